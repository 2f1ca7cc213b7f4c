//! `layout.json`: which layout a root has, `{"schema": 1}`. A root without one is new. A root of a newer layout is
//! neither read nor written: what it means is not known here.

use serde::{Deserialize, Serialize};

use crate::files;

use super::Root;

/// The layout this version reads and writes.
pub const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Layout {
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
    /// It is not ours.
    #[error("`{path}` does not say which layout the root has")]
    #[diagnostic(help(
        "it should read {{\"schema\": {SCHEMA}}}; if the directory is not a root, choose another `--root`"
    ))]
    Broken {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Whether the root says it has our layout; `false` for a new one.
pub fn check(root: &Root) -> Result<bool, Error> {
    let path = root.layout();
    let Some(text) = files::read_text_if_present(&path)? else {
        return Ok(false);
    };
    match serde_json::from_str(&text) {
        Ok(Layout { schema: SCHEMA }) => Ok(true),
        Ok(Layout { schema }) => Err(Error::Newer {
            root: root.path().display().to_string(),
            schema,
        }),
        Err(source) => Err(Error::Broken {
            path: path.display().to_string(),
            source,
        }),
    }
}

/// Makes the root and its directories, and says which layout it has. What is there already is left alone.
pub fn create(root: &Root) -> Result<(), Error> {
    for directory in ["envs", "generations", "store"] {
        files::create_directories(&root.path().join(directory))?;
    }
    if !check(root)? {
        let text = serde_json::to_string(&Layout { schema: SCHEMA }).expect("a number is JSON");
        files::write_atomically(&root.layout(), format!("{text}\n").as_bytes())?;
    }
    Ok(())
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
