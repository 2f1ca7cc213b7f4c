//! `OUT.lock`: who writes a file at this moment, so that no second run does. A process of this machine that is gone has no claim.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::files::{self, maker, ownership};

/// A run that writes; removed when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    writer: Writer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Writer {
    user: String,
    host: String,
    process: u32,
    maker: String,
}

impl Claim {
    /// Claims this file.
    pub(super) fn take(out: &Path) -> Result<Self, Error> {
        let path = super::file::beside(out, ".lock");
        let writer = Writer {
            user: ownership::user_name(ownership::effective_uid()),
            host: maker::host(),
            process: std::process::id(),
            maker: maker::this_process(),
        };
        let text = serde_json::to_string(&writer).map_err(std::io::Error::from)? + "\n";
        for _ in 0..3 {
            if files::write_new(&path, text.as_bytes())? {
                return Ok(Self { path, writer });
            }
            let there = read(&path);
            match &there {
                Some(there) if !maker::is_gone(&there.maker) => {
                    return Err(taken(out, &path, Some(there)));
                }
                None if files::exists(&path) => return Err(taken(out, &path, None)),
                _ => {}
            }
            remove(&path, there.as_ref())?;
        }
        Err(taken(out, &path, read(&path).as_ref()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if read(&self.path).as_ref() == Some(&self.writer) {
            // The next run finds that this one is gone.
            let _ = files::remove_if_present(&self.path);
        }
    }
}

/// Takes the claim of a process that is gone away; one that another run has put there meanwhile stays.
fn remove(path: &Path, gone: Option<&Writer>) -> Result<(), Error> {
    if gone.is_none() {
        return Ok(());
    }
    let aside = super::file::beside(path, &format!(".{}", maker::this_process()));
    if files::rename(path, &aside).is_err() {
        return Ok(());
    }
    if read(&aside).as_ref() != gone {
        files::rename(&aside, path)?;
        return Ok(());
    }
    files::remove_if_present(&aside)?;
    Ok(())
}

fn read(path: &Path) -> Option<Writer> {
    strict_json::from_str(&files::read_text(path).ok()?).ok()
}

fn taken(out: &Path, path: &Path, writer: Option<&Writer>) -> Error {
    let whom = writer.map_or_else(String::new, |writer| {
        let Writer {
            user,
            host,
            process,
            ..
        } = writer;
        format!(" by process {process} of {user} on {host}")
    });
    Error::Usage {
        message: format!("`{}` is being written{whom}", out.display()),
        help: format!(
            "wait for it, or write to another file; for shards name one each, as in `-o out.{{shard}}.xyz`. If no such process runs any \
             more: `rm {}`",
            files::quoted(path)
        ),
    }
}
