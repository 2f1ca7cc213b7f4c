//! `layout.json`: which layout a root has, `{"schema": 1}`, and who may use it, if that was configured:
//! `"access": "group:mlip"` (see `access`). A root without the file is new. A root of a newer layout is
//! neither read nor written: what it means is not known here.

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::files::{self, Kind};

use super::{Root, directory};

/// The layout this version reads and writes.
pub(crate) const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Layout {
    schema: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access: Option<Access>,
}

/// The part that every version of the file has.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

/// The root cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The file itself.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// A later rootstock made it.
    #[error("the root `{root}` has layout {schema}, and this rootstock knows layout {SCHEMA}")]
    #[diagnostic(help(
        "use the rootstock that made it or a newer one, or choose another `--root`"
    ))]
    Newer {
        /// The root.
        root: String,
        /// Its layout.
        schema: u32,
    },
    /// Something else has the name of a folder.
    #[error("`{}` is {}, where the root has a directory of its own", path.display(), if *link { "a link" } else { "a file" })]
    #[diagnostic(help(
        "look who made it (`ls -l {}`), then remove it; what belongs there is made anew by `rootstock sync`. To keep a root on \
         another filesystem, place all of it there",
        files::quoted(path)
    ))]
    NoFolder {
        /// What is there.
        path: std::path::PathBuf,
        /// Whether it is a link.
        link: bool,
    },
    /// It is not ours.
    #[error("`{path}` does not say which layout the root has")]
    #[diagnostic(help(
        "it should read {{\"schema\": {SCHEMA}}}; if the directory is not a root, choose another `--root`"
    ))]
    Broken {
        /// The path of the file, as text.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Folders of notes: one that is something else holds no notes, and stops nothing.
const OF_NOTES: [&str; 2] = ["claims", "pins"];

/// The folders of a root in which things are made, moved and removed by their names.
const FOLDERS: [&str; 10] = [
    "claims",
    "pins",
    "prefetched",
    "references",
    "verified",
    directory::ENVIRONMENTS,
    directory::GENERATIONS,
    directory::PYTHONS,
    directory::STORE,
    directory::TRASH,
];

/// Those whose own folders are also such.
const WITH_FOLDERS: [&str; 2] = [directory::GENERATIONS, directory::STORE];

/// Makes sure that the folders of a root are directories. Through a link, which another maintainer may have planted, a
/// `sync` would write in another directory, and a `gc` would remove what is there.
pub(crate) fn check_folders(root: &Root) -> Result<(), Error> {
    let no_folder = |path: std::path::PathBuf, kind| Error::NoFolder {
        link: kind == Kind::Link,
        path,
    };
    for (folder, kind) in files::entries(root.path())? {
        let is = |folders: &[&str]| folders.contains(&folder.as_str());
        let path = root.path().join(&folder);
        let may_be_other = !is(&FOLDERS) || is(&OF_NOTES) && kind != Kind::Link;
        if kind != Kind::Directory && !may_be_other {
            return Err(no_folder(path, kind));
        }
        if kind == Kind::Directory && is(&WITH_FOLDERS) {
            for (name, kind) in files::entries(&path)? {
                // What is unfinished, or put aside, may be anything.
                if !name.starts_with('.') && kind == Kind::Link {
                    return Err(no_folder(path.join(&name), kind));
                }
            }
        }
    }
    Ok(())
}

/// Whether the root has our layout; `false` for a new one.
pub(crate) fn check(root: &Root) -> Result<bool, Error> {
    Ok(read(root)?.is_some())
}

/// Who may use the root, from its own policy file.
pub(crate) fn access(root: &Root) -> Result<Option<Access>, Error> {
    Ok(read(root)?.and_then(|layout| layout.access))
}

fn read(root: &Root) -> Result<Option<Layout>, Error> {
    let path = root.layout();
    let Some(text) = files::read_text_if_present(&path)? else {
        return Ok(None);
    };
    let broken = |source| Error::Broken {
        path: path.display().to_string(),
        source,
    };
    let Schema { schema } = strict_json::from_str(&text).map_err(broken)?;
    if schema != SCHEMA {
        return Err(Error::Newer {
            root: root.path().display().to_string(),
            schema,
        });
    }
    Ok(Some(strict_json::from_str(&text).map_err(broken)?))
}

/// Makes the root and its directories, and writes which layout it has and who may use it. What is there already is left
/// alone, but for the modes of the root's own directories where it has a policy.
pub(crate) fn create(root: &Root) -> Result<(), Error> {
    files::create_directories(root.path())?;
    make_writable(root, root.path())?;
    for path in [root.environments(), root.all_generations(), root.store()] {
        files::create_directories(&path)?;
        make_writable(root, &path)?;
    }
    if root.policy().is_some() {
        files::create_directories(root.cache())?;
        make_writable(root, root.cache())?;
    }
    let there = read(root)?;
    let access = root
        .access()
        .or(there.as_ref().and_then(|t| t.access.as_ref()));
    let layout = Layout {
        schema: SCHEMA,
        access: access.cloned(),
    };
    if there.is_none_or(|there| there.access != layout.access) {
        let text = serde_json::to_string(&layout).expect("plain fields are JSON");
        files::write_atomically(&root.layout(), format!("{text}\n").as_bytes())?;
        if let Some(policy) = root.policy() {
            policy.make_readable(&root.layout())?;
        }
    }
    Ok(())
}

fn make_writable(root: &Root, directory: &std::path::Path) -> files::Result<()> {
    match root.policy() {
        Some(policy) => policy.make_writable_if_owned(directory),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_root_is_made_and_then_known() {
        let temporary = tempfile::tempdir().unwrap();
        let root = Root::at(&temporary.path().join("a/root"), None);
        assert!(!check(&root).unwrap());
        create(&root).unwrap();
        assert!(check(&root).unwrap());
    }

    #[test]
    fn a_root_of_a_newer_layout_is_refused_with_both_numbers() {
        let temporary = tempfile::tempdir().unwrap();
        let root = Root::at(temporary.path(), None);
        files::write(&root.layout(), br#"{"schema": 9, "more": true}"#).unwrap();
        let error = check(&root).unwrap_err().to_string();
        assert!(
            error.contains("has layout 9, and this rootstock knows layout 1"),
            "{error}"
        );
        files::write(&root.layout(), b"nonsense").unwrap();
        assert!(matches!(check(&root), Err(Error::Broken { .. })));
    }
}
