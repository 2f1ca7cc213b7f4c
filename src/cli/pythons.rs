//! Managed interpreters while a lock is made: the sha256 of an archive, from its publisher's list, else by a download;
//! where such archives are mirrored; and one to ask build backends with.

use std::collections::BTreeSet;
use std::path::Path;

use super::{context, progress, show};
use crate::build;
use crate::digest::Digest;
use crate::fetch::{self, Client, Mirror};
use crate::files;
use crate::lock::LockedPython;
use crate::manifest::Manifest;
use crate::python::Interpreter;
use crate::store::Root;

/// No list of digests is longer.
const LONGEST_LIST: u64 = 16 << 20;

/// The mirror of this run: `ROOTSTOCK_PYTHON_MIRROR` before the manifest's `python-mirror`.
pub(super) fn mirror(manifest: &Manifest) -> Option<Mirror> {
    let variable = context::variable("ROOTSTOCK_PYTHON_MIRROR");
    let given = variable.map(|value| value.to_string_lossy().into_owned());
    let text = given.or_else(|| manifest.python_mirror.clone())?;
    // A directory in a variable is meant from here on, as in a shell.
    if text.contains("://") {
        return Some(Mirror::new(&text));
    }
    let path = files::absolute(Path::new(&text)).unwrap_or_else(|_| text.into());
    Some(Mirror::Directory(path))
}

/// The digest of the archive at this address, or at the mirror's.
pub(super) fn digest(url: &str, mirror: Option<&Mirror>) -> Result<Digest, String> {
    let address = mirror.map_or_else(|| url.to_owned(), |mirror| mirror.address(url));
    let work = context::own_cache()
        .and_then(|cache| files::temporary_directory(&cache, "python-"))
        .map_err(|error| format!("{error}: {}", error.source))?;
    let client = Client::new(&context::kept_environment()).map_err(|error| explained(&error))?;
    let (beside, file) = address.rsplit_once('/').unwrap_or_default();
    match fetch::read(&client, &format!("{beside}/SHA256SUMS"), LONGEST_LIST) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes);
            let text = text.map_err(|_| format!("`{beside}/SHA256SUMS` is not UTF-8"))?;
            if let Some(digest) = listed(&text, &file.replace("%2B", "+"))? {
                return Ok(digest);
            }
        }
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(explained(&error)),
    }
    show::remark(&format!("downloading {address} to learn its sha256 …"));
    let archive = work.path().join("archive");
    let found =
        fetch::discover(&client, &address, &archive, &|_| {}).map_err(|error| explained(&error))?;
    Ok(found.0)
}

/// A managed interpreter for use on this machine, kept in the user's cache, which has the shape of a root for it.
pub(super) fn provide(
    python: &LockedPython,
    mirror: Option<&Mirror>,
) -> Result<Interpreter, String> {
    show::remark(&format!("providing Python {} …", python.label()));
    let cache = context::own_cache().map_err(|error| error.text())?;
    let place = Root::at(&cache, None);
    let variables = context::kept_environment();
    let watcher = progress::watcher();
    build::pythons::provide_one(python, &place, mirror, &variables, &*watcher).map_err(|error| {
        let text = crate::report::chain(&error);
        error
            .advice()
            .map_or(text.clone(), |advice| format!("{text}\n{advice}"))
    })
}

/// The digest beside a file's name, in the form of `sha256sum`; `None` if the file is not listed.
fn listed(sums: &str, file: &str) -> Result<Option<Digest>, String> {
    let of_file = sums.lines().filter_map(|line| {
        let (digest, name) = line.split_once(char::is_whitespace)?;
        let name = name.trim_start().trim_start_matches('*');
        (name == file).then_some(digest)
    });
    let digests: Result<BTreeSet<Digest>, _> = of_file.map(str::parse).collect();
    let digests = digests.map_err(|error| format!("in SHA256SUMS, beside `{file}`: {error}"))?;
    if digests.len() > 1 {
        return Err(format!("`{file}` has two digests in SHA256SUMS"));
    }
    Ok(digests.into_iter().next())
}

fn explained(error: &fetch::Error) -> String {
    let text = crate::report::chain(error);
    match error.advice() {
        Some(advice) => format!("{text}\n{advice}"),
        None => text,
    }
}
