//! What a model's `setup()` left in one cache, carried to another: into a bundle, and out of it again. Calls nothing.
//!
//! Every file is compared with its record after it was carried, and the record is written last. What is there already
//! and whole stays.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::{digest, list, share};
use crate::archive;
use crate::digest::Digest;
use crate::fetch;
use crate::files;
use crate::name::ModelId;
use crate::store::prefetched::{self, Record};
use crate::store::{Root, weights};

/// What a model's `setup()` left cannot be carried.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A file cannot be copied, or is not the one on record.
    #[error("`{path}`, which its `setup()` has left, cannot be carried")]
    #[diagnostic(help("make the bundle again with `rootstock bundle -o DIR`"))]
    File {
        /// Below the cache.
        path: String,
        /// The cause.
        source: fetch::Error,
    },
    /// A link leads to something else than what is on record.
    #[error("`{path}` has the sha256 {found}, and {recorded} is on record")]
    #[diagnostic(help("make the bundle again with `rootstock bundle -o DIR`"))]
    Another {
        /// Below the cache.
        path: String,
        /// The digest on record.
        recorded: Digest,
        /// That of what is there.
        found: Digest,
    },
    /// A record of a bundle names a file that would not lie in the cache.
    #[error("the record names `{path}`, which {why}")]
    #[diagnostic(help("make the bundle again with `rootstock bundle -o DIR`"))]
    Outside {
        /// As recorded.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no way to copy with a comparison.
    #[error(transparent)]
    #[diagnostic(help("make the bundle again with `rootstock bundle -o DIR`"))]
    Fetch(fetch::Error),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Carries the files of a record, and the record, from the cache of one place with the shape of a root to that of
/// another.
pub(crate) fn carry(
    model: &ModelId,
    record: &Record,
    (from, to): (&Root, &Root),
    variables: &BTreeMap<OsString, OsString>,
) -> Result<(), Error> {
    let client = fetch::Client::new(variables).map_err(Error::Fetch)?;
    // Before anything is written: a bundle is no more trusted than a server.
    for file in &record.files {
        let outside = |why| Error::Outside {
            path: file.path.clone(),
            why,
        };
        archive::check_path(&file.path).map_err(outside)?;
    }
    for file in &record.files {
        let there = weights::path(from, &file.path);
        let place = weights::destination(to, &file.path)?;
        if digest(to, &file.path).is_ok_and(|found| found == file.sha256) {
            continue;
        }
        // What cannot be read as a link is a file.
        let link = files::link_target(&there).unwrap_or_default();
        match link.filter(|target| stays_below(&file.path, target)) {
            Some(target) => files::point(&place, &target)?,
            None => {
                let (address, size) = (fetch::file_address(&there), Some(file.size));
                fetch::download(&client, &address, &place, &file.sha256, size, &|_| {}).map_err(
                    |source| Error::File {
                        path: file.path.clone(),
                        source,
                    },
                )?;
            }
        }
    }
    // A link may come before what it leads to.
    for file in &record.files {
        let found = digest(to, &file.path)?;
        if found != file.sha256 {
            return Err(Error::Another {
                path: file.path.clone(),
                recorded: file.sha256,
                found,
            });
        }
    }
    // Where no model has left a file there may be no cache at all.
    let there = if record.files.is_empty() {
        BTreeMap::new()
    } else {
        list(to.cache())?
    };
    for (path, entry) in there {
        let ours = |file: &str| file == path || file.starts_with(&format!("{path}/"));
        if record.files.iter().any(|file| ours(&file.path)) {
            share(to, &entry)?;
        }
    }
    Ok(prefetched::write(to, model, record)?)
}

/// Whether a link at this path below the cache leads to somewhere below the cache, judged by its text. `..` may only begin it:
/// behind a name that is a link itself, it leads to somewhere else.
fn stays_below(path: &str, target: &Path) -> bool {
    let mut there: PathBuf = Path::new(path).parent().unwrap_or(Path::new("")).into();
    let is_up = |component: &Component| *component == Component::ParentDir;
    if target.components().skip_while(is_up).any(|c| is_up(&c)) {
        return false;
    }
    target.components().all(|component| match component {
        Component::Normal(name) => {
            there.push(name);
            true
        }
        Component::CurDir => true,
        Component::ParentDir => there.pop(),
        Component::RootDir | Component::Prefix(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_out_of_the_cache_is_seen() {
        let blob = Path::new("../../blobs/ab");
        assert!(stays_below("hub/models--a/snapshots/1/m", blob) && !stays_below("m/n", blob));
        assert!(!stays_below("m", Path::new("/etc/passwd")));
        assert!(!stays_below("a/m", Path::new("d/..")));
    }
}
