//! Managed interpreters while a lock is made: where their archives are mirrored, and one to ask build backends with.

use std::path::Path;

use super::{context, progress, show};
use crate::build;
use crate::fetch::Mirror;
use crate::files;
use crate::lock::LockedPython;
use crate::manifest::Manifest;
use crate::python::Interpreter;
use crate::report::Problem;
use crate::store::Root;

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
    let provided = build::pythons::provide_one(python, &place, mirror, &variables, &*watcher);
    provided.map_err(|error| Problem::from(&error).to_string())
}
