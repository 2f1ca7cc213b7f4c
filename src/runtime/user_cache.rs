//! Where this program, and the Pythons that it starts, keep what belongs to a user and can be made again. Reads no variable of
//! this process; they come as an argument.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Variables;
use crate::files::trust::{Trust, own_directory};
use crate::files::{self, ownership};

/// The variable that names the directory of all caches (XDG base directory specification).
pub(crate) const VARIABLE: &str = "XDG_CACHE_HOME";

/// The directories of a job on the disk of its node, by their variables; after them `/tmp`.
const OF_JOBS: [&str; 2] = ["SLURM_TMPDIR", "TMPDIR"];

/// The user's cache directory: `$XDG_CACHE_HOME/rootstock`. Without a home it has the user's number in its name, because the
/// directory of temporary files is everybody's.
pub(crate) fn user_cache(inherited: &Variables) -> PathBuf {
    let cache = given(VARIABLE, inherited).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| given("HOME", inherited).map(|home| home.join(".cache")));
    match cache {
        Some(cache) => cache.join("rootstock"),
        None => of_user(&given("TMPDIR", inherited).unwrap_or_else(|| "/tmp".into())),
    }
}

/// The user's cache directory, made for this user alone.
pub(crate) fn own_user_cache(inherited: &Variables) -> files::Result<PathBuf> {
    let cache = user_cache(inherited);
    own_directory(&cache, &Trust::of(inherited))?;
    Ok(cache)
}

/// The directory of caches that replaces the user's own for this job, where that one cannot be written: a home directory that is
/// read-only on compute nodes, that is full, or that does not exist there.
pub(crate) fn replacement(inherited: &Variables) -> Option<PathBuf> {
    // One that another user owns is an error, not a reason to look elsewhere.
    if can_be_written(&user_cache(inherited)) || check_user_cache(inherited).is_err() {
        return None;
    }
    let bases = OF_JOBS.iter().filter_map(|name| given(name, inherited));
    let mut bases = bases.chain([PathBuf::from("/tmp")]);
    let base = bases.find(|base| base.is_absolute() && can_be_written(base))?;
    Some(of_user(&base).join("cache"))
}

/// Whether a directory can be written in, or made.
fn can_be_written(path: &Path) -> bool {
    let there = path.ancestors().find(|path| files::exists(path));
    there.is_some_and(|there| files::is_directory(there) && ownership::may_write(there).is_ok())
}

/// A directory of this user in one that all users share.
fn of_user(shared: &Path) -> PathBuf {
    shared.join(format!("rootstock-{}", ownership::effective_uid()))
}

fn given(name: &str, inherited: &Variables) -> Option<PathBuf> {
    let value = inherited.get(OsStr::new(name))?;
    (!value.is_empty()).then(|| PathBuf::from(value))
}

/// Makes sure that no other user can put compiled code where a Python that is about to be started looks for it. Where that
/// directory cannot be made there is none.
pub(crate) fn check_user_cache(inherited: &Variables) -> files::Result<()> {
    match own_directory(&user_cache(inherited), &Trust::of(inherited)) {
        Err(error) if error.is_not_private() => Err(error),
        _ => Ok(()),
    }
}
