//! Which Python a program is: asked once, and remembered for this user until the file changes.
//!
//! `interpreters/<digest of the path>.json` in the user's cache is a JSON object with the fields of [`Known`].

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Variables;
use crate::digest::Digest;
use crate::files::{self, Signature};
use crate::python::Interpreter;

const SCHEMA: u32 = 1;

/// A Python that was asked before.
#[derive(Serialize, Deserialize)]
struct Known {
    schema: u32,
    /// The real path of the program.
    path: String,
    signature: Signature,
    python: Interpreter,
}

/// What the program at this path is; `None` if it is no Python, or does not answer in time. `cache` is the user's.
pub(crate) fn identify(
    program: &Path,
    cache: &Path,
    variables: &Variables,
    limit: Duration,
) -> Option<Interpreter> {
    let real = files::real_path(program).ok()?;
    let signature = files::signature(&real).ok()?;
    let name = Digest::of(real.as_os_str().as_encoded_bytes()).short(32);
    let directory = cache.join("interpreters");
    let file = directory.join(format!("{name}.json"));
    let is_it = |known: &Known| {
        known.schema == SCHEMA && Path::new(&known.path) == real && known.signature == signature
    };
    if let Some(known) = read(&file).filter(is_it) {
        return Some(known.python);
    }
    let python = Interpreter::ask_within(program, variables, limit)?;
    // What a wrapper starts may be another Python tomorrow.
    if python.executable == real
        && let Some(path) = real.to_str()
    {
        let known = Known {
            schema: SCHEMA,
            path: path.to_owned(),
            signature,
            python: python.clone(),
        };
        let text = serde_json::to_string(&known).expect("plain fields are JSON");
        // Where it cannot be kept it is asked again.
        let _ = files::create_directories(&directory)
            .and_then(|()| files::write_atomically(&file, text.as_bytes()));
    }
    Some(python)
}

fn read(file: &Path) -> Option<Known> {
    strict_json::from_str(&files::read_text(file).ok()?).ok()
}
