//! `rootstock call --list`: what can be called in an environment, read from its sources.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::call::{self, Arguments};
use super::exit::Exit;
use super::{Shared, show};
use crate::call::list::{self, Listing, Request};
use crate::call::{Failure, Kind, refused};
use crate::files;

pub(super) fn run(shared: &Shared, arguments: &Arguments) -> ExitCode {
    match listing(shared, arguments) {
        Ok(listing) => print(&listing, arguments.json),
        Err(failure) => {
            if arguments.json {
                show::document(&refused(&arguments.target, &[], false, &failure));
            }
            call::explain(&failure);
            failure.exit().into()
        }
    }
}

fn print(listing: &Listing, as_json: bool) -> ExitCode {
    match show::report(listing, as_json) {
        Ok(()) if listing.is_complete() => Exit::Ok.into(),
        Ok(()) => Exit::Failed.into(),
        Err(failure) => {
            show::failure(&failure);
            failure.exit.into()
        }
    }
}

fn listing(shared: &Shared, arguments: &Arguments) -> Result<Listing, Failure> {
    let prepared = call::prepare(shared, arguments, &|_| {})?;
    let paths = call::options(arguments, &prepared.directory)?.paths;
    let paths: Vec<PathBuf> = paths
        .into_iter()
        .flat_map(|path| [path.join("src"), path].into_iter().rev())
        .collect();
    let named = arguments.function.iter().chain(&arguments.values);
    let request = Request {
        references: named.cloned().collect(),
        modules: paths.iter().flat_map(|path| modules(path)).collect(),
        paths: &paths,
        directory: &prepared.directory,
    };
    list::list(&prepared.root, &prepared.selected, &prepared.stamp, request).map_err(|error| {
        let repair = format!(
            "repair it: `rootstock sync --repair {}`",
            prepared.selected.environment
        );
        Failure::new(Kind::EnvironmentBroken, error.to_string(), repair)
    })
}

/// The Python files in a directory, as modules.
fn modules(directory: &Path) -> Vec<String> {
    let names = files::names(directory).unwrap_or_default();
    let names = names.iter().filter_map(|name| name.strip_suffix(".py"));
    names
        .filter(|name| !name.starts_with('_'))
        .map(str::to_owned)
        .collect()
}
