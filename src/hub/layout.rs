//! Where the hub's own library looks for a file: names below a cache directory (`XDG_CACHE_HOME`), none of which is
//! made here.
//!
//! ```text
//! huggingface/hub/models--org--name/
//! ├── blobs/<digest>                      contents; of large files the digest is the sha256, we name all so
//! ├── snapshots/<commit>/<file> -> ../../blobs/<digest>
//! └── refs/<branch or tag>                the commit it means, nothing else
//! ```

use std::path::PathBuf;

use super::File;
use crate::digest::Digest;

impl File {
    fn directory(&self) -> String {
        let name = self.repository.replace('/', "--");
        format!("huggingface/hub/models--{name}")
    }

    /// The name by which the library finds a file at its commit.
    pub(crate) fn snapshot(&self) -> String {
        format!(
            "{}/snapshots/{}/{}",
            self.directory(),
            self.revision,
            self.path
        )
    }

    /// What holds its contents.
    pub(crate) fn blob(&self, sha256: &Digest) -> String {
        format!("{}/blobs/{sha256}", self.directory())
    }

    /// What the snapshot's name leads to.
    pub(crate) fn link(&self, sha256: &Digest) -> PathBuf {
        // Out of the snapshot, out of `snapshots`, and out of every directory the file is in.
        let up = "../".repeat(2 + self.path.matches('/').count());
        PathBuf::from(format!("{up}blobs/{sha256}"))
    }

    /// The file that holds the commit of a revision.
    pub(crate) fn reference(&self, revision: &str) -> String {
        format!("{}/refs/{revision}", self.directory())
    }
}

/// Of a file's name at its commit, the directory of its repository's revisions, and the commit; `None` if it is another name.
pub(crate) fn references_of(snapshot: &str) -> Option<(String, &str)> {
    let below = snapshot.strip_prefix("huggingface/hub/")?;
    let (repository, rest) = below.split_once("/snapshots/")?;
    let (commit, _) = rest.split_once('/')?;
    let plain = repository.starts_with("models--") && !repository.contains('/');
    plain.then(|| (format!("huggingface/hub/{repository}/refs"), commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_library() {
        let file: File = "hf://org/name@c/a/b.ckpt".parse().unwrap();
        let base = "huggingface/hub/models--org--name";
        let sha256 = Digest::of("x");
        assert_eq!(file.snapshot(), format!("{base}/snapshots/c/a/b.ckpt"));
        assert_eq!(file.blob(&sha256), format!("{base}/blobs/{sha256}"));
        assert_eq!(
            file.link(&sha256),
            PathBuf::from(format!("../../../blobs/{sha256}"))
        );
        assert_eq!(file.reference("main"), format!("{base}/refs/main"));
        let found = references_of("huggingface/hub/models--org--name/snapshots/c/a/b.ckpt");
        assert_eq!(found, Some((format!("{base}/refs"), "c")));
        assert_eq!(references_of("potentials/snapshots/p.bin"), None);
    }
}
