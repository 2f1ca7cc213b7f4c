//! `rootstock export`: an environment of the lock for other tools.

use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, lock, root, show};
use crate::export::{self, Addresses, Subject};
use crate::files;
use crate::lock::{LockedPackage, Origin};
use crate::manifest::Manifest;
use crate::plan;
use crate::python;
use crate::report::Problem;

/// Arguments of `rootstock export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rootstock export mace --format pylock -o pylock.mace.toml   then: uv pip sync pylock.mace.toml\n  \
                        rootstock export mace --format requirements -o mace.txt\n      \
                            then: pip install --no-deps --require-hashes -r mace.txt\n  \
                        rootstock export mace --format cyclonedx -o mace.cdx.json   packages, interpreter, weights"
)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(value_name = "ENV")]
    environment: String,
    /// In which form.
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// For which machine type; this one if not given.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Write to this file; to standard output if not given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What other tools read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// `pylock.toml` (PEP 751); asks the package index where the files are.
    Pylock,
    /// Requirements with hashes.
    Requirements,
    #[value(help = "A bill of materials, CycloneDX 1.6 in JSON")]
    Cyclonedx,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let manifest = lock::manifest(shared)?;
    let mut known = manifest.environments.iter().map(|e| &e.name);
    let asked = known.find(|name| name.as_str() == arguments.environment);
    let lock = lock::current(&manifest, asked.map(std::slice::from_ref))?.lock;
    let wanted = lock
        .environments
        .iter()
        .find(|environment| environment.name.as_str() == arguments.environment);
    let Some(environment) = wanted else {
        let names: Vec<&str> = lock.environments.iter().map(|e| e.name.as_str()).collect();
        return Err(Failure::usage(
            &format!("there is no environment `{}`", arguments.environment),
            &format!("the environments are: {}", names.join(", ")),
        ));
    };
    let target = match &arguments.target {
        Some(target) => target.as_str(),
        None => root::target()?,
    };
    let target = plan::target(environment, target).or_exit(Exit::Usage)?;
    let models = lock.models.iter();
    let models: Vec<_> = models
        .filter(|model| model.environment == environment.name)
        .collect();
    let subject = Subject {
        environment,
        target,
        models: &models,
    };
    let text = match arguments.format {
        Format::Pylock => {
            arguments.check_name()?;
            let addresses = addresses(&subject, shared, &manifest)?;
            export::pylock(&subject, &addresses).or_exit(Exit::Failed)?
        }
        Format::Requirements => export::requirements(&subject),
        Format::Cyclonedx => {
            let components = export::cyclonedx(&subject, env!("CARGO_PKG_VERSION"));
            format!("{}\n", show::json_text(&components))
        }
    };
    match &arguments.output {
        Some(file) => files::write_atomically(file, text.as_bytes())
            .map_err(|error| Failure::problem(&Problem::from(&error)))?,
        None => show::document(text.trim_end()),
    }
    Ok(Exit::Ok)
}

impl Arguments {
    /// PEP 751 says what such a file is called, and uv takes no other.
    fn check_name(&self) -> Result<(), Failure> {
        let Some(name) = self.output.as_deref().and_then(Path::file_name) else {
            return Ok(());
        };
        let name = name.to_string_lossy();
        let middle = name
            .strip_prefix("pylock.")
            .and_then(|rest| rest.strip_suffix(".toml"));
        let fits = name == "pylock.toml"
            || middle.is_some_and(|middle| !middle.is_empty() && !middle.contains('.'));
        if fits {
            return Ok(());
        }
        let help = format!(
            "call it `pylock.toml` or `pylock.{}.toml`",
            self.environment.replace('.', "-")
        );
        Err(Failure::usage(
            &format!("`{name}` is not the name of a PEP 751 file"),
            &help,
        ))
    }
}

/// Where the files of the index's packages are, as uv says.
fn addresses(
    subject: &Subject,
    shared: &Shared,
    manifest: &Manifest,
) -> Result<Addresses, Failure> {
    let all = subject.target.packages.iter().map(|package| &**package);
    let packages: Vec<&LockedPackage> = all
        .filter(|package| matches!(package.origin, Origin::Index(_)))
        .collect();
    if packages.is_empty() {
        return Ok(Addresses::new());
    }
    context::warn_of_refused(&["uv"]);
    let environment = context::uv_environment();
    let uv = context::find_uv(shared, &environment).or_exit(Exit::Failed)?;
    let interpreters = python::on_path(&context::search_path(), &context::kept_environment());
    let series = subject.target.python.series();
    let interpreter = interpreters.iter().find(|there| there.series() == series);
    let answer = uv.with_indexes(&manifest.indexes).addresses(
        &packages,
        &subject.target.target,
        &subject.target.python.version,
        interpreter.map(|interpreter| interpreter.executable.as_path()),
    );
    answer.map_err(|error| {
        let problem = Problem::from(&error);
        Failure::problem(&problem.in_context("cannot find out where the locked files are"))
    })
}
