//! Answers of uv, and exported locks, of any content.

use super::pylock::{Direct, packages};
use crate::digest::{Checksum, Digest};
use crate::lock::LockedTarget;

/// Every file of an answer has a name, and its digest is one of those that are given.
pub fn pylock(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let packages = match packages(&text) {
        Ok(packages) => packages,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for package in packages {
        let direct = match &package.direct {
            Some(Direct::Archive { file, .. }) => Some(file),
            _ => None,
        };
        let files = package.wheels.iter().chain(&package.sdist).chain(direct);
        for file in files {
            assert!(!file.name.is_empty(), "{file:?}");
            let digests = file.checksums.iter().filter_map(Checksum::sha256);
            assert_eq!(file.sha256, digests.into_iter().next());
        }
    }
}

/// The text names the files of a target, each with its digest, but for what is a directory or a commit.
pub(crate) fn assert_exported(text: &str, target: &LockedTarget) {
    let written: toml::Table = match text.parse() {
        Ok(written) => written,
        Err(error) => panic!("{error}\n{text}"),
    };
    let count = written.get("packages").and_then(|p| p.as_array());
    assert_eq!(count.map_or(0, Vec::len), target.packages.len());
    // Of a directory the format knows no version, and uv never answers with one.
    let Ok(packages) = packages(text) else { return };
    for (read, locked) in packages.iter().zip(&target.packages) {
        assert_eq!(read.name, locked.name.to_string());
        let direct = match &read.direct {
            Some(Direct::Archive { file, .. }) => Some(file),
            _ => None,
        };
        let mut files = read.wheels.iter().chain(&read.sdist).chain(direct);
        let digests: Vec<Option<Digest>> = files.by_ref().map(|file| file.sha256).collect();
        if !digests.is_empty() {
            assert_eq!(digests, [Some(locked.sha256)]);
        }
    }
}
