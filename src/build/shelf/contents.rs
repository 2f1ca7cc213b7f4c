//! Everything that lies in the store, with what tells whether somebody needs it. Who needs it is not known here.

use std::path::PathBuf;

use super::{BUILT, BYTECODE, STAGING, WHEELS, find};
use crate::digest::Digest;
use crate::files::{self, maker};
use crate::store::Root;

/// Something that lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub what: What,
}

/// What lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
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
    /// Something unfinished; what its name says about who makes it.
    Unfinished(String),
    /// A download that broke off; what its name says about who had it.
    Part(String),
}

/// Everything in the store of this root. What other versions of this program keep there is not looked at.
pub fn contents(root: &Root) -> files::Result<Vec<Object>> {
    let mut found = Vec::new();
    for shelf in [WHEELS, BYTECODE, BUILT] {
        let shelf_path = root.store().join(shelf);
        for name in files::names(&shelf_path)? {
            let path = shelf_path.join(&name);
            let what = match name.strip_prefix(STAGING) {
                Some(maker) => What::Unfinished(maker.to_owned()),
                // Put aside, because it is another maintainer's.
                None if name.starts_with('.') => unfinished(&name),
                None if shelf == WHEELS => wheel(name, &path),
                None if shelf == BYTECODE => bytecode(&name),
                None => What::Built(built(&path)),
            };
            found.push(Object { path, what });
        }
    }
    let archives = root.store().join("archives");
    for name in files::names(&archives)? {
        let what = match name.split_once(".part") {
            Some((_, maker)) => What::Part(maker.trim_start_matches('-').to_owned()),
            None if name.starts_with('.') => unfinished(&name),
            None => What::Archive,
        };
        let path = archives.join(name);
        found.push(Object { path, what });
    }
    // Where links were tried out by a run that was killed.
    let tried = files::names(&root.store())?;
    found.extend(tried.into_iter().filter(|n| n.starts_with('.')).map(|n| {
        let what = unfinished(&n);
        let path = root.store().join(n);
        Object { path, what }
    }));
    Ok(found)
}

fn wheel(sha256: String, path: &std::path::Path) -> What {
    // A damaged one is made anew by who needs it.
    let files = find(path).ok().flatten().map_or(Vec::new(), |s| s.files);
    let record = files
        .iter()
        .find(|file| file.path.ends_with(".dist-info/RECORD"));
    let distribution = record.and_then(|file| {
        let (name, version) = file.path.split_once(".dist-info/")?.0.split_once('-')?;
        Some(format!("{name} {version}"))
    });
    What::Wheel {
        distribution: distribution.unwrap_or_else(|| "damaged".into()),
        record: record.map(|file| file.sha256),
        sha256,
    }
}

fn unfinished(name: &str) -> What {
    What::Unfinished(maker::in_name(name).unwrap_or_default().to_owned())
}

fn bytecode(name: &str) -> What {
    let (wheel, interpreter) = name.split_once('-').unwrap_or((name, ""));
    What::Bytecode {
        wheel: wheel.to_owned(),
        interpreter: interpreter.to_owned(),
    }
}

fn built(path: &std::path::Path) -> Option<String> {
    let text = files::read_text_if_present(&path.join("wheel.txt")).ok()?;
    text.map(|text| text.trim_end().to_owned())
}
