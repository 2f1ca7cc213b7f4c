//! Reports what a sync would do: `--dry-run` and `--check`, for people and as JSON. How one ended is reported by `outcome`.

use serde_json::{Value, json};

use super::show;
use crate::build::estimate::BuildEstimate;
use crate::doctor::Room;
use crate::files;
use crate::plan::{self, Action, Plan, PrefetchStep, Step, WeightStep};
use crate::report::bytes;
use crate::store::Root;
use crate::sync::preview::{self, Preview};

/// What would be done, and why; and whether there is room for it, as far as it was looked at.
pub(super) fn report(plan: &Plan, root: &Root, left: &[Room], as_json: bool) -> files::Result<()> {
    let preview = preview::preview(plan, root)?;
    if as_json {
        show::json(&json(&preview, root, left));
    } else {
        print(&preview, root, left);
    }
    Ok(())
}

fn json(preview: &Preview, root: &Root, left: &[Room]) -> Value {
    let plan = preview.plan;
    let steps = plan.steps.iter().zip(&preview.estimates);
    let rooms = left.iter().map(|there| {
        json!({
            "of": there.of,
            "bytes-left": there.bytes,
            "inodes-left": there.inodes,
            "enough": !lacks(there, preview),
        })
    });
    json!({
        "root": root.path(),
        "matches": plan.is_nothing(),
        "environments": steps.map(step_json).collect::<Vec<_>>(),
        "weights": plan.weights.iter().map(weight_json).collect::<Vec<_>>(),
        "references": plan.references,
        "prefetch": plan.prefetch.iter().map(prefetch_json).collect::<Vec<_>>(),
        "access": plan.access.as_ref().map(|step| step.now.to_string()),
        "catalogue": if plan.catalogue.is_some() { "write" } else { "keep" },
        "download": { "files": preview.files, "bytes": preview.download },
        "room": rooms.collect::<Vec<_>>(),
    })
}

fn print(preview: &Preview, root: &Root, left: &[Room]) {
    let plan = preview.plan;
    if let Some(step) = &plan.access {
        show::line(&format!("access: {step}"));
    }
    for (step, estimate) in plan.steps.iter().zip(&preview.estimates) {
        show::line(&describe(step));
        if let Some(estimate) = estimate {
            show::line(&format!("  {}", amounts(estimate)));
        }
    }
    for WeightStep {
        model,
        weight,
        because,
    } in &plan.weights
    {
        show::line(&format!("{}: fetch `{}`: {because}", model.id, weight.path));
    }
    for PrefetchStep { model, because, .. } in &plan.prefetch {
        show::line(&format!("{}: load once: {because}", model.id));
    }
    for (path, commit) in &plan.references {
        show::line(&format!("{path}: update to {commit}"));
    }
    if plan.catalogue.is_some() {
        show::line("models.json: update");
    }
    if preview.files > 0 {
        let size = bytes(preview.download);
        show::line(&format!("to download: {} files, {size}", preview.files));
    }
    for there in left.iter().filter(|there| lacks(there, preview)) {
        print_shortage(there, preview);
    }
    if plan.is_nothing() {
        show::line(&format!("`{}` matches the lock", root.path().display()));
    }
}

fn lacks(there: &Room, preview: &Preview) -> bool {
    let bytes = there.bytes.is_some_and(|left| left < preview.bytes);
    bytes || there.inodes.is_some_and(|left| left < preview.inodes)
}

fn print_shortage(there: &Room, preview: &Preview) {
    let size = there.bytes.map(bytes);
    let files = there.inodes.map(|left| format!("{left} inodes"));
    let amounts: Vec<String> = size.into_iter().chain(files).collect();
    show::line(&format!(
        "this may not fit: all that is to be built takes about {} and {} inodes if nothing is linked, and {} has {} left",
        bytes(preview.bytes),
        preview.inodes,
        place(there),
        amounts.join(" and ")
    ));
}

fn place(room: &Room) -> String {
    match room.of.as_str() {
        "filesystem" => "the filesystem".to_owned(),
        whose => format!("the quota of {whose}"),
    }
}

/// What a build takes, in one line.
fn amounts(estimate: &BuildEstimate) -> String {
    let download = match estimate.files {
        0 => "nothing to download".to_owned(),
        files => format!(
            "download {}, {}",
            show::counted(files, "file"),
            bytes(estimate.download)
        ),
    };
    let about = if estimate.estimated == 0 {
        ""
    } else {
        "about "
    };
    let estimated = match estimate.estimated {
        0 => String::new(),
        number => format!(
            " (estimated for {} that are not in the store)",
            show::counted(number, "package")
        ),
    };
    format!(
        "{download}; on disk {about}{}, {} inodes{estimated}",
        bytes(estimate.bytes),
        estimate.inodes
    )
}

fn describe(step: &Step) -> String {
    let name = &step.environment.name;
    match &step.action {
        Action::Keep { id } => format!("{name}: keep {id}"),
        Action::Flip { to, because } => format!("{name}: switch to {to}: {because}"),
        Action::Build { because } => format!("{name}: build: {because}"),
    }
}

fn weight_json(
    WeightStep {
        model,
        weight,
        because,
    }: &WeightStep,
) -> Value {
    json!({ "model": model.id, "path": weight.path, "size": weight.size, "reason": because.to_string() })
}

fn prefetch_json(PrefetchStep { model, because, .. }: &PrefetchStep) -> Value {
    json!({ "model": model.id, "reason": because.to_string() })
}

fn step_json((step, estimates): (&Step, &Option<BuildEstimate>)) -> Value {
    let (action, id, because) = match &step.action {
        Action::Keep { id } => ("keep", Some(id), None),
        Action::Flip { to, because } => ("switch", Some(to), Some(because)),
        Action::Build { because } => ("build", None, Some(because)),
    };
    json!({
        "environment": step.environment.name,
        "action": action,
        "state": because.map_or("fresh", plan::Reason::state),
        "reason": because.map(ToString::to_string),
        "id": id,
        "digest": step.target.digest,
        "download": estimates.map(|f| json!({ "files": f.files, "bytes": f.download })),
        "disk": estimates.map(|f| json!({
            "bytes": f.bytes,
            "inodes": f.inodes,
            "estimated-packages": f.estimated,
        })),
    })
}
