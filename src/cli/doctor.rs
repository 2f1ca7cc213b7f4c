//! `rootstock doctor`: what is wrong in a root, in words or as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::progress::{self, bytes};
use super::{Shared, context, interrupt, place, selection, show};
use crate::doctor::{
    self, Ability, Driver, Examination, Filesystem, Finding, Import, Imports, Limit, Machine,
    Needs, Quota, Reach, Tried,
};
use crate::name::EnvironmentName;
use crate::runtime::Unusable;
use crate::store::{Root, installed};
use crate::target::Glibc;

/// Arguments of `rootstock doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs only the root. Exit 1 if anything is wrong; each finding names what mends it.

With `--import` the source of each environment is imported by the environment's own Python, with the variables that a worker \
gets: what it imports is loaded, `setup()` is not called and nothing is written. An environment that fails is read to the end, \
as with `--deep`, to see whether its files are to blame.

Examples:
  rootstock doctor                  in a moment: links, stamps, interpreters, filesystem
  rootstock doctor --deep           read every byte of environments, store and weights
  rootstock sync && rootstock doctor --import
                                    build, and see that each environment can be imported
  rootstock doctor --import mace    the same for one
  rootstock --root DIR doctor       without a manifest")]
pub(crate) struct Arguments {
    /// Read every file of every generation, of the store and of the weights, and compare it with its sha256.
    #[arg(long)]
    deep: bool,
    /// Import the source of each environment, or of these, as a worker would do it (a smoke import).
    #[arg(long, value_name = "ENV", num_args = 0..)]
    import: Option<Vec<String>>,
    /// How long an import may take, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        requires = "import"
    )]
    import_timeout: u32,
    /// Compare what the environments need with this NVIDIA driver instead of this machine's: that of the compute nodes.
    #[arg(long, value_name = "VERSION")]
    driver: Option<Driver>,
    /// Compare what the environments need with this glibc instead of this machine's.
    #[arg(long, value_name = "VERSION", value_parser = glibc)]
    glibc: Option<Glibc>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

fn glibc(text: &str) -> Result<Glibc, String> {
    text.parse()
        .map_err(|()| "write it as `ldd --version` does: `2.28`".to_owned())
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let root = place::built(shared)?;
    let here = Machine::here();
    let machine = Machine {
        glibc: arguments.glibc.or(here.glibc),
        driver: arguments.driver.clone().or(here.driver),
    };
    let work = || examine(shared, &root, &machine, arguments);
    let examination = interrupt::minding(&root, "nothing of it is left in the root", work)?;
    if arguments.json {
        print_json(&root, &machine, &examination);
    } else {
        print_text(&root, &machine, &examination);
    }
    Ok(if examination.findings.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn examine(
    shared: &Shared,
    root: &Root,
    machine: &Machine,
    arguments: &Arguments,
) -> Result<Examination, Failure> {
    let reading = progress::Reading::new();
    let importing = progress::Importing::new();
    let inherited = context::variables();
    let heard = |all, done| importing.heard(all, done);
    let imports = arguments.import.as_ref().map(|names| Imports {
        names,
        patience: Duration::from_secs(arguments.import_timeout.into()),
        inherited: &inherited,
        watch: &heard,
    });
    let watch = |bytes| reading.heard(bytes);
    let examined = doctor::examine(
        root,
        machine,
        &context::search_path(),
        arguments.deep,
        imports.as_ref(),
        &watch,
    );
    importing.finish();
    reading.finish();
    examined.map_err(|error| match error {
        doctor::Error::Environment(error) => {
            let name = match &error {
                Unusable::UnknownEnvironment { environment, .. } => environment.clone(),
                _ => String::new(),
            };
            selection::failure(error, &name, shared)
        }
        error => Failure {
            exit: match error {
                doctor::Error::Nothing(_) => Exit::Usage,
                _ => Exit::Failed,
            },
            report: error.into(),
        },
    })
}

/// Those for whom a root is cannot use what stands on an interpreter that is closed to them.
pub(super) fn warn_of_closed_interpreters(root: &Root, chosen: &[EnvironmentName]) {
    let there = installed::read(root, chosen);
    for closed in doctor::examine_interpreters(root, &there, false) {
        show::remark(&format!(
            "warning: `{}`: {}. To change that: `{}`, or have the environment run on a managed Python",
            closed.path.display(),
            closed.message,
            closed.fix
        ));
    }
}

fn print_text(root: &Root, machine: &Machine, examination: &Examination) {
    let Examination {
        filesystem,
        reach,
        needs,
        read: (files, size),
        imports,
        findings,
    } = examination;
    show::line(&format!("root: {}", root.path().display()));
    show::line(&format!("filesystem: {}", describe(filesystem)));
    for quota in &filesystem.quotas {
        show::line(&format!("  {}", describe_quota(quota)));
    }
    for Ability {
        name,
        works,
        meaning,
        ..
    } in filesystem.abilities.abilities().into_iter().flatten()
    {
        let works = if *works { "yes" } else { "no" };
        show::line(&format!("  {name:16}  {works:3}  {meaning}"));
    }
    match filesystem.abilities {
        Tried::All(_) => {}
        Tried::MayNot => show::line("  we may not write there: nothing was tried"),
        Tried::NoRoom(reason) => show::line(&format!("  {reason}: nothing was tried")),
    }
    show::line(&format!("access: {}", describe_reach(reach)));
    show::line(&format!("machine: {}", describe_machine(machine)));
    for line in needs.iter().filter_map(describe_needs) {
        show::line(&format!("  {line}"));
    }
    for line in imports.iter().flat_map(describe_imports) {
        show::line(&line);
    }
    if *files > 0 {
        show::line(&format!("read: {files} files, {}", bytes(*size)));
    }
    for Finding {
        code,
        path,
        message,
        fix,
    } in findings
    {
        let (message, more) = message.split_once('\n').unwrap_or((message, ""));
        show::line("");
        show::line(&format!("{}: {message} [{code}]", path.display()));
        for line in more.lines() {
            show::line(&format!("    {line}"));
        }
        show::line(&format!("  to mend it: {fix}"));
    }
    show::line("");
    show::line(&match findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    });
}

fn describe_reach(Reach { policy, closed }: &Reach) -> String {
    let stop: Vec<String> = closed
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    match (policy, stop.is_empty()) {
        (Some(policy), true) => policy.to_string(),
        (Some(policy), false) => format!("{policy}, but not through {}", stop.join(", ")),
        (None, true) => {
            "nobody has said for whom (`access` in the manifest); others can come here".to_owned()
        }
        (None, false) => format!(
            "nobody has said for whom (`access` in the manifest); others cannot pass {}",
            stop.join(", ")
        ),
    }
}

fn describe_machine(Machine { glibc, driver }: &Machine) -> String {
    let glibc = glibc.map_or("no glibc that we know of".to_owned(), |g| {
        format!("glibc {g}")
    });
    let driver = driver.as_ref().map_or("no NVIDIA driver".to_owned(), |d| {
        format!("NVIDIA driver {d}")
    });
    format!("{glibc}, {driver}")
}

/// `mace needs glibc 2.28 (torch 2.9.1) and an NVIDIA driver 525.60.13 (…)`; nothing for what runs everywhere.
fn describe_needs(needs: &Needs) -> Option<String> {
    let glibc = needs.glibc.as_ref();
    let glibc = glibc.map(|(floor, package)| format!("glibc {floor} ({package})"));
    let driver = needs.driver.as_ref();
    let driver = driver.map(|(floor, package)| format!("NVIDIA driver {floor} ({package})"));
    let all: Vec<String> = glibc.into_iter().chain(driver).collect();
    (!all.is_empty()).then(|| format!("{} needs {}", needs.environment, all.join(", ")))
}

/// Which environments can be imported, and which were not asked because they cannot run here; the rest are findings.
fn describe_imports(imports: &BTreeMap<EnvironmentName, Import>) -> Vec<String> {
    let done = imports.iter().filter(|(_, i)| matches!(i, Import::Done));
    let done: Vec<&str> = done.map(|(name, _)| name.as_str()).collect();
    let mut lines = vec![if done.is_empty() {
        "can be imported: none".to_owned()
    } else {
        format!("can be imported: {}", done.join(", "))
    }];
    for import in imports.values() {
        if let Import::Unusable(error) = import {
            lines.push(format!("  not tried: {error}"));
        }
    }
    lines
}

fn describe(filesystem: &Filesystem) -> String {
    let space = &filesystem.space;
    let place = if space.network { ", on a network" } else { "" };
    let inodes = if space.inodes == 0 {
        String::new()
    } else {
        format!(", {} of {} files free", space.inodes_free, space.inodes)
    };
    format!(
        "{}{place}, {} of {} free{inodes}",
        space.kind,
        bytes(space.bytes_free),
        bytes(space.bytes)
    )
}

/// `quota of user 1000: 102.1 GB, 495047 files left`.
fn describe_quota(quota: &Quota) -> String {
    let Quota {
        whose,
        bytes: size,
        inodes,
    } = quota;
    let size = size.left().map(bytes);
    let inodes = inodes.left().map(|left| format!("{left} files"));
    let left: Vec<String> = size.into_iter().chain(inodes).collect();
    format!("quota of {whose}: {} left", left.join(", "))
}

fn quota_json(quota: &Quota) -> Value {
    let Quota {
        whose,
        bytes,
        inodes,
    } = quota;
    let limit = |limit: &Limit| {
        let Limit { used, soft, hard } = limit;
        json!({ "used": used, "soft": soft, "hard": hard, "left": limit.left() })
    };
    json!({ "whose": whose, "bytes": limit(bytes), "inodes": limit(inodes) })
}

fn print_json(root: &Root, machine: &Machine, examination: &Examination) {
    let Examination {
        filesystem:
            Filesystem {
                space,
                quotas,
                abilities,
            },
        reach,
        needs,
        read: (files, size),
        imports,
        findings,
    } = examination;
    let abilities = abilities.abilities().map(|abilities| {
        let each = abilities
            .iter()
            .map(|ability| (ability.name.to_owned(), Value::Bool(ability.works)));
        Value::Object(each.collect())
    });
    let findings: Vec<Value> = findings
        .iter()
        .map(
            |Finding {
                 code,
                 path,
                 message,
                 fix,
             }| json!({ "code": code, "path": path, "message": message, "fix": fix }),
        )
        .collect();
    show::json(&json!({
        "root": root.path(),
        "filesystem": {
            "kind": space.kind,
            "network": space.network,
            "bytes-free": space.bytes_free,
            "bytes": space.bytes,
            "inodes-free": space.inodes_free,
            "inodes": space.inodes,
            "quotas": quotas.iter().map(quota_json).collect::<Vec<_>>(),
            "abilities": abilities,
        },
        "access": { "policy": reach.policy, "closed": reach.closed },
        "machine": {
            "glibc": machine.glibc.map(|glibc| glibc.to_string()),
            "driver": machine.driver.as_ref().map(ToString::to_string),
        },
        "needs": needs.iter().map(needs_json).collect::<Vec<_>>(),
        "imports": imports.as_ref().map(|imports| imports.iter().map(import_json).collect::<Vec<_>>()),
        "read": { "files": files, "bytes": size },
        "findings": findings,
    }));
}

fn import_json((name, import): (&EnvironmentName, &Import)) -> Value {
    let (imported, reason) = match import {
        Import::Done => (Some(true), None),
        Import::Failed(failure) => (Some(false), Some(failure.to_string())),
        Import::Unusable(error) => (None, Some(error.to_string())),
    };
    json!({ "environment": name, "imported": imported, "reason": reason })
}

fn needs_json(needs: &Needs) -> Value {
    let floor = |floor: Option<(String, &String)>| {
        floor.map(|(floor, package)| json!({ "floor": floor, "package": package }))
    };
    let glibc = needs.glibc.as_ref();
    let driver = needs.driver.as_ref();
    json!({
        "environment": needs.environment,
        "glibc": floor(glibc.map(|(floor, package)| (floor.to_string(), package))),
        "driver": floor(driver.map(|(floor, package)| (floor.to_string(), package))),
    })
}
