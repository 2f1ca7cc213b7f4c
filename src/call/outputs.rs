//! The outputs of a task: size and sha256 computed again, and written into files where there is a place for them. A file has the
//! name of its sha256, so that the same output is written once.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::failure::{Failure, Kind};
use super::fields::{Fields, Line};
use crate::digest::Digest;
use crate::files;
use crate::report::help;

/// Longer outputs on a line are warned of.
const LONG: u64 = 1_000_000;

/// An output as Python sends it.
#[derive(Deserialize)]
struct Output<'a> {
    size: u64,
    checksum: Digest,
    inline: &'a str,
}

/// An output in a file.
#[derive(Serialize)]
struct Spilled {
    size: u64,
    checksum: Digest,
    path: PathBuf,
}

/// Checks the outputs in an answer, if it has some. Returns what replaces them where they were written into files.
pub(super) fn check(
    answer: &Fields<'_>,
    spill: Option<&Path>,
    warn: &dyn Fn(&str),
) -> Result<Option<Box<RawValue>>, Failure> {
    let Some(outputs) = answer.get("outputs") else {
        return Ok(None);
    };
    let bad = |message: String| Failure::new(Kind::BadOutput, message, "");
    let outputs: Fields<'_> =
        serde_json::from_str(outputs.get()).map_err(|error| bad(error.to_string()))?;
    let mut replaced = Line::new();
    for (name, output) in &outputs.0 {
        let Output {
            size,
            checksum,
            inline,
        } = serde_json::from_str(output.get())
            .map_err(|error| bad(format!("the output `{name}` cannot be read: {error}")))?;
        let data = STANDARD
            .decode(inline)
            .map_err(|error| bad(format!("the output `{name}` is no base64: {error}")))?;
        if data.len() as u64 != size || Digest::of(&data) != checksum {
            return Err(bad(format!(
                "the output `{name}` is not what its size and checksum say"
            )));
        }
        match spill {
            Some(directory) => {
                let path = write(directory, &checksum, &data);
                let path = path.map_err(|error| unwritten(name, &error))?;
                let spilled = Spilled {
                    size,
                    checksum,
                    path,
                };
                replaced.field(name, &spilled);
            }
            None if size > LONG => warn(&format!(
                "warning: the output `{name}` has {size} bytes on one line; `--spill DIR` writes outputs into files"
            )),
            None => {}
        }
    }
    let Some(_) = spill else { return Ok(None) };
    let text = RawValue::from_string(replaced.end());
    text.map(Some).map_err(|error| bad(error.to_string()))
}

fn unwritten(name: &str, error: &files::Error) -> Failure {
    let message = format!("the output `{name}` cannot be written: {}", error.text());
    let hint =
        help(error).unwrap_or_else(|| "name another directory with `--spill DIR`".to_owned());
    Failure::new(Kind::BadOutput, message, hint)
}

fn write(directory: &Path, checksum: &Digest, data: &[u8]) -> files::Result<PathBuf> {
    files::create_directories(directory)?;
    let path = directory.join(checksum.to_string());
    // Someone else may have cut it short, or put something else there.
    if !files::holds(&path, data) {
        files::write_atomically(&path, data)?;
    }
    Ok(path)
}
