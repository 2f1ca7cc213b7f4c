//! Programs on a search path: the first one that no untrusted user can replace (`files::trust`). A directory that is not
//! named from the top of the filesystem is not searched: what lies in it depends on where the command is run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::files;
use crate::files::trust::{Exposed, Trust};

/// A program that is not run because an untrusted user can replace it.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not run: {exposed}", program.display())]
pub(crate) struct Refused {
    /// The program's path.
    pub program: PathBuf,
    /// Who can replace it, and how.
    #[source]
    pub exposed: Exposed,
}

impl miette::Diagnostic for Refused {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.exposed.help()
    }
}

/// The directories of a search path.
pub(crate) fn directories(path: &OsStr) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(path).filter(|directory| directory.is_absolute())
}

/// Where on a search path a program of this name is first that may be run by a process with these variables.
pub(crate) fn find(
    name: &str,
    path: &OsStr,
    variables: &BTreeMap<OsString, OsString>,
) -> Option<PathBuf> {
    let trust = Trust::of(variables);
    programs(name, path).find(|program| trust.check(program).is_ok())
}

/// All programs of this name on a search path that may be run.
pub(crate) fn all(
    name: &str,
    path: &OsStr,
    variables: &BTreeMap<OsString, OsString>,
) -> Vec<PathBuf> {
    let trust = Trust::of(variables);
    let trusted = programs(name, path).filter(|program| trust.check(program).is_ok());
    trusted.collect()
}

/// The programs of these names on a search path that are not run.
pub(crate) fn refused(
    names: &[&str],
    path: &OsStr,
    variables: &BTreeMap<OsString, OsString>,
) -> Vec<Refused> {
    let trust = Trust::of(variables);
    let programs = names.iter().flat_map(|name| programs(name, path));
    let refused = programs.filter_map(|program| {
        let exposed = trust.check(&program).err()?;
        Some(Refused { program, exposed })
    });
    refused.collect()
}

/// Every place of this name on a search path, in its order; also those in directories that depend on where the command is
/// run, as in a shell.
pub(crate) fn places(name: &OsStr, path: &OsStr) -> impl Iterator<Item = PathBuf> {
    let directories = std::env::split_paths(path);
    let named = directories.filter(|directory| !directory.as_os_str().is_empty());
    named.map(move |directory| directory.join(name))
}

fn programs(name: &str, path: &OsStr) -> impl Iterator<Item = PathBuf> {
    let places = directories(path).map(move |directory| directory.join(name));
    places.filter(|place| files::is_executable(place))
}
