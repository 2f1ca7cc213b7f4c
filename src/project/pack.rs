//! A directory as an archive: the same files make the same bytes for every user, at any time and place.
//!
//! The archive is an uncompressed tar (GNU format). Every file stands below `project/`, sorted by path, with no
//! owner, from 1980-01-01, with mode 0644 or, if its owner may run it, 0755; symbolic links are links. Empty
//! directories are left out, and so is what no project is made of: see [`is_left_out`]. The digest of a directory is
//! the sha256 of this archive.

use std::io::{self, Write};
use std::path::{Component, Path};

use crate::digest::{Digest, Hashing};
use crate::files::{self, Context, Kind};

/// The directory that everything stands below.
pub(crate) const TOP: &str = "project";

/// What a directory was packed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    /// The digest of the archive.
    pub sha256: Digest,
    /// Its size.
    pub size: u64,
}

/// Histories of version control, virtual environments and what tools leave behind.
pub(crate) fn is_left_out(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        ".git",
        ".hg",
        ".svn",
        ".venv",
        ".tox",
        ".nox",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".eggs",
        ".DS_Store",
    ];
    NAMES.contains(&name) || matches!(name.rsplit_once('.'), Some((_, "egg-info" | "pyc")))
}

/// The digest and the size of the archive that a directory would be packed to.
pub(crate) fn digest(directory: &Path) -> files::Result<Packed> {
    pack(directory, io::sink())
}

/// Packs a directory.
pub(crate) fn pack(directory: &Path, to: impl Write) -> files::Result<Packed> {
    let mut archive = tar::Builder::new(Hashing::new(to));
    let entries = files::walk_some(directory, &|below| {
        below
            .file_name()
            .is_none_or(|name| !is_left_out(&name.to_string_lossy()))
    })?;
    for entry in entries {
        let path = directory.join(&entry.path);
        let name = Path::new(TOP).join(&entry.path);
        let mut header = tar::Header::new_gnu();
        header.set_mtime(files::REPRODUCIBLE_TIME);
        header.set_uid(0);
        header.set_gid(0);
        match entry.kind {
            Kind::File => {
                header.set_mode(if entry.mode & 0o100 == 0 {
                    0o644
                } else {
                    0o755
                });
                header.set_size(entry.size);
                let file = files::open(&path)?;
                archive
                    .append_data(&mut header, &name, file)
                    .context("pack", &path)?;
            }
            Kind::Link => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                let target = files::link_target(&path)?.unwrap_or_default();
                archive
                    .append_link(&mut header, &name, &target)
                    .context("pack", &path)?;
            }
            Kind::Directory | Kind::Other => {}
        }
    }
    let hashing = archive.into_inner().context("pack", directory)?;
    let (sha256, size) = hashing.finish();
    Ok(Packed { sha256, size })
}

/// Whether the second path is the first one or lies below it. Both as they are, without links.
pub(crate) fn holds(directory: &Path, path: &Path) -> bool {
    let plain = |path: &Path| {
        path.components()
            .filter(|part| *part != Component::CurDir)
            .collect::<std::path::PathBuf>()
    };
    plain(path).starts_with(plain(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(directory: &Path) {
        for (path, text) in [
            ("pyproject.toml", "[project]\n"),
            ("src/a/__init__.py", ""),
            ("build.sh", "#!/bin/sh\n"),
            (".git/HEAD", "x"),
            ("src/a/__pycache__/x.pyc", "x"),
            ("a.egg-info/PKG-INFO", "x"),
        ] {
            let path = directory.join(path);
            files::create_directories(path.parent().unwrap()).unwrap();
            files::write(&path, text.as_bytes()).unwrap();
        }
        files::set_mode(&directory.join("build.sh"), 0o700).unwrap();
        files::symlink(Path::new("a"), &directory.join("src/link")).unwrap();
        let long = "x".repeat(90);
        let deep = directory.join(&long).join(&long);
        files::create_directories(&deep).unwrap();
        files::write(&deep.join("file"), b"1").unwrap();
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let temporary = tempfile::tempdir().unwrap();
        let (one, two) = (temporary.path().join("one"), temporary.path().join("two"));
        tree(&one);
        tree(&two);
        // Neither of these is the project.
        files::write(&two.join(".git/HEAD"), b"y").unwrap();
        files::set_mode(&two.join("pyproject.toml"), 0o600).unwrap();
        let mut bytes = Vec::new();
        let packed = pack(&one, &mut bytes).unwrap();
        assert_eq!(digest(&two).unwrap(), packed);
        assert_eq!(
            (Digest::of(&bytes), bytes.len() as u64),
            (packed.sha256, packed.size)
        );
        // Locks name this digest: it must stay the same for ever.
        assert_eq!(
            packed.sha256.to_string(),
            "057dd323ca7560db266f3fbbcc5b1eac4a355b0b8264a8a19ba0dd55d8a62add"
        );
        files::write(&two.join("src/a/__init__.py"), b"1").unwrap();
        assert_ne!(digest(&two).unwrap().sha256, packed.sha256);
    }

    #[test]
    fn what_was_packed_unpacks_to_the_same() {
        let temporary = tempfile::tempdir().unwrap();
        let (tree_, out) = (temporary.path().join("tree"), temporary.path().join("out"));
        tree(&tree_);
        let archive = temporary.path().join("a-1.tar");
        let packed = pack(&tree_, files::create_new(&archive, 0o644).unwrap()).unwrap();
        let top = crate::project::unpack::unpack(&archive, "a-1.tar", &out).unwrap();
        assert_eq!(top, out.join(TOP));
        assert_eq!(digest(&top).unwrap(), packed);
    }

    #[test]
    fn a_directory_holds_what_is_below_it() {
        for (directory, path, expected) in [
            ("/a/.", "/a/rootstock.toml", true),
            ("/a/b", "/a/rootstock.toml", false),
            ("/a", "/ab", false),
        ] {
            assert_eq!(
                holds(Path::new(directory), Path::new(path)),
                expected,
                "{directory} {path}"
            );
        }
    }
}
