//! `rootstock bundle`: everything that a sync downloads, in one directory. Builds nothing.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, findings, lock, root, show};
use crate::files;
use crate::name::ModelId;
use crate::report::{bytes, chain};
use crate::store::bundle::{self, Index};
use crate::sync;
use crate::sync::bundle::Request;

/// Arguments of `rootstock bundle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The directory holds files of packages, managed interpreters, weights, the manifest, the lock and the \
                  environments' sources; `rootstock-bundle.json` lists them. Of models \
                  without weights it has what `rootstock sync` into the manifest's root has recorded. A run that broke off is continued by the \
                  same command, and what is damaged is fetched again. Files of packages that this run does not name are \
                  removed.\n\n\
                  Examples:\n  rootstock bundle -o carry                         what is not optional, for this machine type\n  \
                  rootstock bundle -o carry --target linux-aarch64  for another one\n\n  \
                  and there, without a network:\n  \
                  rootstock --manifest carry/rootstock.toml --root ROOT sync --offline --bundle carry"
)]
pub(crate) struct Arguments {
    /// Environments or models; without any, all environments that are not optional.
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// All environments, the optional ones too.
    #[arg(long)]
    all: bool,
    /// The directory; made if it is not there.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// A machine type of the lock; this machine's if not given. May be repeated.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let manifest = lock::manifest(shared)?;
    let chosen = root::environments(&arguments.names, arguments.all, &manifest)?;
    let lock_path = lock::lock_path(&manifest.path);
    let only = (!arguments.names.is_empty()).then_some(&chosen[..]);
    let lock = match lock::current(&manifest, &lock_path, only)? {
        Ok(current) => current.lock,
        Err(found) => return Ok(findings::drifted(&found, &lock_path, &manifest)),
    };
    let targets = if arguments.target.is_empty() {
        vec![root::target()?.to_owned()]
    } else {
        arguments.target.clone()
    };
    let output = files::absolute(&arguments.output).or_exit(Exit::Usage)?;
    // Without a root no model was loaded.
    let loaded_in = root::named(shared, &manifest).ok();
    let request = Request {
        manifest: &manifest,
        lock: &lock,
        lock_path: &lock_path,
        environments: &chosen,
        targets: &targets,
        loaded_in: loaded_in.as_ref(),
    };
    context::warn_of_refused(&["uv", "git"]);
    let root = bundle::as_root(&output);
    let supply = context::supply(&manifest, None, false);
    let context = context::build(shared, &manifest, &root, supply, None);
    let filled = sync::bundle::fill(&request, &context).map_err(|error| {
        let exit = if error.is_usage() {
            Exit::Usage
        } else {
            Exit::Failed
        };
        Failure {
            report: error.into(),
            exit,
        }
    })?;
    report_not_loaded(&filled.not_loaded);
    report_failures(&filled.failures);
    let Some(index) = filled.index else {
        return Ok(Exit::Failed);
    };
    report(&output, &index, arguments.json);
    Ok(Exit::Ok)
}

fn report_not_loaded(models: &[ModelId]) {
    if !models.is_empty() {
        let names: Vec<&str> = models.iter().map(ModelId::as_str).collect();
        show::remark(&format!(
            "what these models fetch by themselves is not in the bundle, because no `rootstock sync` into this \
             manifest's root has loaded them yet: {}",
            names.join(", ")
        ));
    }
}

fn report_failures(failures: &[sync::bundle::Failure]) {
    let failures = failures.iter();
    let mut failures: Vec<(String, Option<String>)> = failures
        .map(|failure| (chain(failure), failure.advice()))
        .collect();
    // What kept us from several files is printed once.
    failures.sort();
    failures.dedup();
    for (text, help) in failures {
        show::failure(&Failure::new(Exit::Failed, &text, help.as_deref()));
    }
}

fn report(output: &Path, index: &Index, as_json: bool) {
    let size: u64 = index.files.iter().map(|entry| entry.size).sum();
    if as_json {
        show::json(&json!({
            "bundle": output,
            "targets": index.targets,
            "environments": index.environments,
            "files": index.files,
            "bytes": size,
        }));
        return;
    }
    show::line(&format!(
        "`{}`: {} files, {}, for {}",
        output.display(),
        index.files.len(),
        bytes(size),
        index.targets.join(", ")
    ));
}
