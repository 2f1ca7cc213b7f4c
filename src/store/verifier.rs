//! Files of a root read to the end, each once: the store and the environments that are linked from it share most of
//! theirs, and a file under two names has one content. What it should be is not known here.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::digest::Digest;
use crate::files::{self, Context, ownership};

/// What was read so far.
pub struct Verifier<'a> {
    watch: &'a (dyn Fn(u64) + Sync),
    files: AtomicU64,
    bytes: AtomicU64,
    /// Digests of files that have several names, by device and inode; the first thread reads, others wait for it.
    shared: Mutex<HashMap<ownership::File, Arc<OnceLock<Option<Digest>>>>>,
}

impl<'a> Verifier<'a> {
    /// Nothing yet; `watch` is called with the number of bytes after each file.
    pub(crate) fn new(watch: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self {
            watch,
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            shared: Mutex::default(),
        }
    }

    /// The digest of a file that several ask for: it is read once, though it has only one name.
    pub(crate) fn digest_once(&self, path: &Path) -> files::Result<Digest> {
        let (file, found) = files::open_examined(path)?;
        self.known(&file, path, ownership::identity(&found))
    }

    /// The digest of a file.
    pub(crate) fn digest(&self, path: &Path) -> files::Result<Digest> {
        Ok(self.digest_and_mode(path)?.0)
    }

    /// The digest of a file, and its permission bits.
    pub(crate) fn digest_and_mode(&self, path: &Path) -> files::Result<(Digest, u32)> {
        let (file, found) = files::open_examined(path)?;
        let digest = match ownership::shared(&found) {
            Some(which) => self.known(&file, path, which),
            None => self.read(&file, path),
        };
        Ok((digest?, files::mode_of(&found)))
    }

    fn known(
        &self,
        file: &files::File,
        path: &Path,
        which: ownership::File,
    ) -> files::Result<Digest> {
        let mut all = self
            .shared
            .lock()
            .expect("no thread panics while holding it");
        let known = Arc::clone(all.entry(which).or_default());
        drop(all);
        let mut failed = None;
        let digest = known.get_or_init(|| match self.read(file, path) {
            Ok(digest) => Some(digest),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        match (digest, failed) {
            (Some(digest), _) => Ok(*digest),
            (None, Some(error)) => Err(error),
            // Under its other name it could not be read: this one has the reason.
            (None, None) => self.read(file, path),
        }
    }

    fn read(&self, file: &files::File, path: &Path) -> files::Result<Digest> {
        let (digest, bytes) = Digest::of_reader(file).context("read", path)?;
        self.count(bytes);
        Ok(digest)
    }

    /// Something of so many bytes was read elsewhere.
    pub(crate) fn count(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        (self.watch)(self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes);
    }

    /// How many files were read, and how many bytes they have.
    pub(crate) fn total(&self) -> (u64, u64) {
        let (files, bytes) = (&self.files, &self.bytes);
        (files.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }
}

impl Default for Verifier<'_> {
    /// Without a watcher.
    fn default() -> Self {
        Self::new(&|_| {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_under_two_names_is_read_once() {
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name);
        files::write(&path("a"), b"text").unwrap();
        std::fs::hard_link(path("a"), path("b")).unwrap();
        files::write(&path("c"), b"text").unwrap();
        let verifier = Verifier::default();
        for name in ["a", "b", "c"] {
            assert_eq!(verifier.digest(&path(name)).unwrap(), Digest::of("text"));
        }
        assert_eq!(verifier.total(), (2, 8));
        assert!(verifier.digest(&path("d")).unwrap_err().is_missing());
    }
}
