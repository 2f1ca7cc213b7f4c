//! `rootstock doctor`: diagnoses a root.

use std::time::Duration;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::numbers::{self, All, Checks};
use super::{Shared, context, interrupt, progress, root, selection, show};
use crate::doctor::{self, Code, Driver, Imports, Machine, Options, Report};
use crate::name::EnvironmentName;
use crate::process::threads;
use crate::report::codes;
use crate::runtime::Unusable;
use crate::store::{Root, Stamp, installed};
use crate::target::Glibc;

const EXAMPLES: &str = "\
Needs only the root. Exit 1 if there are findings; each comes with its fix.

With `--import` the source of each environment is imported by the environment's own Python, with the variables that a worker \
gets: what it imports is loaded, `setup()` is not called and nothing is written. The files of an environment that fails are read \
as with `--deep`, to see whether they are to blame.

Examples:
  rootstock doctor                  quickly: links, stamps, interpreters, filesystem
  rootstock doctor --deep           read every byte of environments, store and weights
  rootstock sync && rootstock doctor --import
                                    build, then check that each environment can be imported
  rootstock doctor --import mace    the same for one
  rootstock doctor --numbers        compute the recorded numbers of all models again
  rootstock --root DIR doctor       without a manifest";

/// Every code and what it means.
fn codes() -> String {
    let codes = Code::ALL.iter().map(|code| (code.name(), code.meaning()));
    codes::listed(
        "Findings by their codes, which stay the same for ever:",
        codes,
    )
}

/// Arguments of `rootstock doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", codes()))]
pub(crate) struct Arguments {
    /// Read every file of every generation, of the store and of the weights, and compare it with its sha256.
    #[arg(long)]
    deep: bool,
    /// Import the source of each environment, or of these, as a worker would (a smoke import).
    #[arg(long, value_name = "ENV", num_args = 0..)]
    import: Option<Vec<String>>,
    /// Time limit of each import, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        requires = "import"
    )]
    import_timeout: u32,
    /// Compute the recorded numbers of all models again, on the processor or this device, and compare: exit 3 if they are others.
    #[arg(long, value_name = "DEVICE", num_args = 0..=1, default_missing_value = "cpu")]
    numbers: Option<String>,
    /// Compare the environments with this NVIDIA driver instead of this machine's: that of the compute nodes.
    #[arg(long, value_name = "VERSION")]
    driver: Option<Driver>,
    /// Compare the environments with this glibc instead of this machine's.
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
    let root = root::built(shared)?;
    let here = Machine::here();
    let machine = Machine {
        glibc: arguments.glibc.or(here.glibc),
        driver: arguments.driver.clone().or(here.driver),
    };
    let work = || examine(shared, &root, machine, arguments);
    let report = interrupt::minding(&root, "nothing of it is left in the root", work)?;
    let found = if report.findings.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    };
    let Some(device) = &arguments.numbers else {
        show::report(&report, arguments.json)?;
        return Ok(found);
    };
    if !arguments.json {
        show::report(&report, false)?;
    }
    let all = numbers(shared, &root, device, arguments.json)?;
    if arguments.json {
        show::value(&WithNumbers {
            report: &report,
            numbers: all.value(),
        })?;
    }
    Ok(match (all.exit(), found) {
        (Exit::Ok, found) => found,
        (exit, _) => exit,
    })
}

/// The report with the comparison of numbers.
#[derive(Serialize)]
struct WithNumbers<'a> {
    #[serde(flatten)]
    report: &'a Report,
    numbers: serde_json::Value,
}

fn numbers(shared: &Shared, root: &Root, device: &str, json: bool) -> Result<All, Failure> {
    let checks = Checks {
        model: None,
        device,
        startup_timeout: 600,
        verbose: false,
        json,
    };
    let all = threads::in_pool(context::processors(), || {
        numbers::check_all(shared, root, &checks)
    })?;
    if all.is_nothing() {
        show::remark("no model that is built here has recorded numbers");
    } else if !json {
        show::remark(&all.summary());
    }
    Ok(all)
}

fn examine(
    shared: &Shared,
    root: &Root,
    machine: Machine,
    arguments: &Arguments,
) -> Result<Report, Failure> {
    let reading = progress::Reading::new();
    if arguments.import.is_some() {
        context::check_own_cache_if_present()?;
    }
    let importing = progress::Importing::new();
    let inherited = context::variables();
    let on_import = |all, done| importing.update(all, done);
    let imports = arguments.import.as_ref().map(|names| Imports {
        names,
        timeout: Duration::from_secs(arguments.import_timeout.into()),
        inherited: &inherited,
        on_progress: &on_import,
    });
    let examined = doctor::examine(
        root,
        machine,
        &Options {
            deep: arguments.deep,
            imports,
            search_path: &context::search_path(),
            on_progress: &|bytes| reading.update(bytes),
        },
    );
    importing.finish();
    reading.finish();
    examined.map_err(|error| failure(error, shared))
}

fn failure(error: doctor::Error, shared: &Shared) -> Failure {
    let exit = match error {
        doctor::Error::Environment(error) => {
            let name = match &error {
                Unusable::UnknownEnvironment { environment, .. } => environment.clone(),
                _ => String::new(),
            };
            return selection::failure(error, &name, shared);
        }
        doctor::Error::Nothing(_) => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure {
        exit,
        report: error.into(),
    }
}

/// Warns of interpreters that are closed to other users of the root.
pub(super) fn warn_of_closed_interpreters(root: &Root, chosen: &[EnvironmentName]) {
    if root.policy().is_none() {
        return;
    }
    let stamps: Vec<(&EnvironmentName, Stamp)> = chosen
        .iter()
        .filter_map(|name| Some((name, installed::current_stamp(root, name)?)))
        .collect();
    let stamps: Vec<_> = stamps.iter().map(|(name, stamp)| (*name, stamp)).collect();
    for closed in doctor::examine_interpreters(root, &stamps, false) {
        show::remark(&format!(
            "warning: `{}`: {}. To change that: `{}`, or have the environment run on a managed Python",
            closed.path.display(),
            closed.message,
            closed.fix
        ));
    }
}
