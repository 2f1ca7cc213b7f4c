//! The part of a download that is there already.
//!
//! While it grows it is called `<name>.part-<process>-<random>`; a process that gives up renames it to `<name>.part`. A
//! new download takes over, by rename, a part that was given up or whose process is gone. So two processes never write
//! to one file, and what a killed one had downloaded is not lost.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hashing};
use crate::files::maker;
use crate::files::{self, Context, File};

/// A growing file of our own. Dropped before it is finished, it stays for the next run.
pub(super) struct Part {
    path: PathBuf,
    given_up: PathBuf,
    /// The open file with the digest of what is in it; `None` once the file is gone from this name.
    out: Option<Hashing<File>>,
}

impl Part {
    /// A part for this destination: what an earlier run left of it, or an empty one.
    pub(super) fn claim(destination: &Path) -> files::Result<Self> {
        let directory = destination
            .parent()
            .expect("a destination is in a directory");
        files::create_directories(directory)?;
        let name = destination
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let given_up = format!("{name}.part");
        let path = files::new_file(directory, &format!("{given_up}-"))?;
        let part = |out| Self {
            path: path.clone(),
            given_up: directory.join(&given_up),
            out,
        };
        for left in files::names(directory)? {
            let abandoned = left.strip_prefix(&given_up).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('-').is_some_and(maker::is_gone)
            });
            // If another process is faster, the rename fails.
            let left = directory.join(left);
            // A link, or a second name of another file, was planted there: it would be written through.
            let takes = abandoned && files::is_file_of_its_own(&left);
            if takes && files::rename(&left, &path).is_ok() {
                // Another user's may not be readable: then the download begins again.
                let out = reread(&path).or_else(|_| empty(&path))?;
                return Ok(part(Some(out)));
            }
        }
        let file = files::append(&path)?;
        Ok(part(Some(Hashing::new(file))))
    }

    /// How many bytes are there.
    pub(super) fn bytes(&self) -> u64 {
        self.out.as_ref().map_or(0, Hashing::bytes)
    }

    /// Adds to its end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> files::Result<()> {
        let out = self.out.as_mut().expect("only an open part grows");
        out.write_all(bytes).context("write", &self.path)
    }

    /// Empties it.
    pub(super) fn restart(&mut self) -> files::Result<()> {
        if self.bytes() > 0 || self.out.is_none() {
            self.out = None;
            files::write(&self.path, b"")?;
            self.out = Some(Hashing::new(files::append(&self.path)?));
        }
        Ok(())
    }

    /// The digest of all that is there. Nothing can be added afterwards.
    pub(super) fn digest(&mut self) -> Digest {
        let out = self.out.take();
        let out = out.expect("its digest is asked for once after each download");
        out.finish().0
    }

    /// Removes it: what is in it is wrong.
    pub(super) fn discard(&mut self) -> files::Result<()> {
        self.out = None;
        files::remove_if_present(&self.path)
    }

    /// Gives it the destination's name.
    pub(super) fn finish(self, destination: &Path) -> files::Result<()> {
        files::set_mode(&self.path, 0o444)?;
        files::rename(&self.path, destination)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Best effort: the next run also takes it over under its present name, once this process is gone. Nothing of
        // that name exists after it was finished or discarded.
        let _ = match files::size(&self.path) {
            Ok(0) => files::remove_if_present(&self.path),
            Ok(_) => files::rename(&self.path, &self.given_up),
            Err(_) => Ok(()),
        };
    }
}

/// Digests what is there and opens it to add to it.
fn reread(path: &Path) -> files::Result<Hashing<File>> {
    let mut out = Hashing::new(std::io::sink());
    std::io::copy(&mut files::open(path)?, &mut out).context("read", path)?;
    Ok(out.with_writer(files::append(path)?))
}

/// An empty file of ours in its place.
fn empty(path: &Path) -> files::Result<Hashing<File>> {
    files::remove_if_present(path)?;
    Ok(Hashing::new(files::create_new(path, 0o600)?))
}
