//! Everything that lies in the store, with the keys by which environments need it. Which ones do is not known here.

use std::path::{Path, PathBuf};

use super::{TESTS, read};
use crate::digest::Digest;
use crate::files;
use crate::store::Root;

/// Something that lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// The path of the file or directory.
    pub path: PathBuf,
    /// Its digests.
    pub content: Content,
}

/// What lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A wheel: its digest as its name, and the digest of its `RECORD`, which each environment has that it is in.
    Wheel {
        /// Its digest.
        sha256: String,
        /// Distribution and version, for people.
        distribution: String,
        /// The digest of its `RECORD`; `None` if it is damaged.
        record: Option<Digest>,
    },
    /// Bytecode of a wheel.
    Bytecode {
        /// The digest of the wheel.
        wheel: String,
        /// The beginning of the digest of the interpreter's identity.
        interpreter: String,
    },
    /// What was built from a source distribution, with the digest of the wheel; `None` if it is damaged.
    Built(Option<String>),
    /// A file that was downloaded and is not unpacked, or has been.
    Archive,
}

/// Everything finished in the store of this root. What other versions of this program keep there is not listed.
pub(crate) fn contents(root: &Root) -> files::Result<Vec<Object>> {
    let mut found = Vec::new();
    let mut list = |directory: &Path, content: &dyn Fn(String, &Path) -> Content| {
        for name in files::names(directory)? {
            let path = directory.join(&name);
            if !name.starts_with('.') {
                let content = content(name, &path);
                found.push(Object { path, content });
            }
        }
        files::Result::Ok(())
    };
    list(&root.wheels(), &wheel)?;
    list(&root.bytecode(), &|name, _| bytecode(&name))?;
    list(&root.built_wheels(), &|_, path| Content::Built(built(path)))?;
    let archives = root.archives();
    let names = files::names(&archives)?.into_iter();
    let whole = names.filter(|name| !name.starts_with('.') && !name.contains(".part"));
    found.extend(whole.map(|name| Object {
        path: archives.join(name),
        content: Content::Archive,
    }));
    Ok(found)
}

fn wheel(sha256: String, path: &Path) -> Content {
    // A damaged one is unpacked again when it is needed.
    let files = read(path).ok().flatten().map_or(Vec::new(), |s| s.files);
    let record = files
        .iter()
        .find(|file| file.path.ends_with(".dist-info/RECORD"));
    let distribution = record.and_then(|file| {
        let (name, version) = file.path.split_once(".dist-info/")?.0.split_once('-')?;
        Some(format!("{name} {version}"))
    });
    Content::Wheel {
        distribution: distribution.unwrap_or_else(|| "damaged".into()),
        record: record.map(|file| file.sha256),
        sha256,
    }
}

fn bytecode(name: &str) -> Content {
    let name = name.strip_suffix(TESTS).unwrap_or(name);
    let (wheel, interpreter) = name.split_once('-').unwrap_or((name, ""));
    Content::Bytecode {
        wheel: wheel.to_owned(),
        interpreter: interpreter.to_owned(),
    }
}

fn built(path: &Path) -> Option<String> {
    let text = files::read_text_if_present(&path.join("wheel.txt")).ok()?;
    text.map(|text| text.trim_end().to_owned())
}
