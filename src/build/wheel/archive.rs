//! A wheel as a zip archive: its members by safe path, readable from many threads at once. Knows nothing of wheels.

use std::collections::HashMap;
use std::io::Read;

use crate::files::SharedFile;

use super::Defect;

/// An open archive.
pub(super) struct Archive {
    zip: zip::ZipArchive<SharedFile>,
    members: Vec<Member>,
    by_path: HashMap<String, usize>,
}

/// A file in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its number in the archive.
    pub(super) index: usize,
    /// Its path: relative, separated by `/`, without `.`, `..` or empty parts.
    pub(super) path: String,
    /// Its size, unpacked.
    pub(super) size: u64,
    /// Whether the archive marks it as a program.
    pub(super) executable: bool,
}

/// How long a file with metadata may be. The RECORD of the largest wheels has some megabytes.
const LARGEST: u64 = 32 << 20;

const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

impl Archive {
    /// Reads the archive's directory and refuses every path that is not plain.
    pub(super) fn open(file: SharedFile) -> Result<Self, Defect> {
        let zip = zip::ZipArchive::new(file)
            .map_err(|error| Defect(format!("it is not a zip archive: {error}")))?;
        if zip.has_duplicate_names() {
            return Err(Defect("it holds two files of one path".to_owned()));
        }
        let mut members = Vec::with_capacity(zip.len());
        for index in 0..zip.len() {
            members.extend(member(&zip, index)?);
        }
        let by_path = members
            .iter()
            .enumerate()
            .map(|(number, member)| (member.path.clone(), number))
            .collect();
        Ok(Self {
            zip,
            members,
            by_path,
        })
    }

    /// All files in it, in the archive's order.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The file of this path.
    pub(super) fn member(&self, path: &str) -> Option<&Member> {
        self.by_path.get(path).map(|number| &self.members[*number])
    }

    /// Reads a file with `read`.
    pub(super) fn with<T>(
        &self,
        member: &Member,
        read: impl FnOnce(&mut dyn Read) -> T,
    ) -> Result<T, Defect> {
        // A clone shares the directory and the open file, and has its own position.
        let mut zip = self.zip.clone();
        let mut file = zip
            .by_index(member.index)
            .map_err(|error| unreadable(&member.path, &error))?;
        Ok(read(&mut file))
    }

    /// The text of a file that must be there.
    pub(super) fn text(&self, path: &str) -> Result<String, Defect> {
        String::from_utf8(self.bytes(path)?)
            .map_err(|_| Defect(format!("its `{path}` is not UTF-8")))
    }

    /// The same, with what is not UTF-8 replaced.
    pub(super) fn text_or_lossy(&self, path: &str) -> Result<String, Defect> {
        Ok(String::from_utf8_lossy(&self.bytes(path)?).into_owned())
    }

    /// The bytes of a file that must be there, and that is read into memory: it must be of a sane size.
    fn bytes(&self, path: &str) -> Result<Vec<u8>, Defect> {
        let member = self
            .member(path)
            .ok_or_else(|| Defect(format!("it has no `{path}`")))?;
        let mut bytes = Vec::new();
        self.with(member, |file| {
            file.take(LARGEST + 1).read_to_end(&mut bytes)
        })?
        .map_err(|error| unreadable(path, &error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Defect(format!(
                "its `{path}` is longer than {} MiB",
                LARGEST >> 20
            )));
        }
        Ok(bytes)
    }
}

/// A member that cannot be read back.
pub(super) fn unreadable(path: &str, error: &dyn std::error::Error) -> Defect {
    Defect(format!("`{path}` cannot be unpacked: {error}"))
}

/// The member of this number; none if it is a directory, which installers make as they need them.
fn member(zip: &zip::ZipArchive<SharedFile>, index: usize) -> Result<Option<Member>, Defect> {
    let entry = zip
        .by_index_data(index)
        .map_err(|error| Defect(format!("its directory cannot be read: {error}")))?;
    // The format demands UTF-8, whether or not the archive's flag says so.
    let path = str::from_utf8(entry.name_raw())
        .map_err(|_| Defect("the path of a file in it is not UTF-8".to_owned()))?;
    let wrong = |reason: &str| Defect(format!("the path {path:?} in it {reason}"));
    if entry.encrypted() {
        return Err(wrong("is encrypted"));
    }
    let mode = entry.external_attributes() >> 16;
    if mode & FILE_TYPE == LINK {
        return Err(wrong("is a symbolic link"));
    }
    check_path(path.strip_suffix('/').unwrap_or(path)).map_err(wrong)?;
    if path.ends_with('/') {
        return Ok(None);
    }
    Ok(Some(Member {
        index,
        path: path.to_owned(),
        size: entry.size(),
        executable: mode & FILE_TYPE == REGULAR && mode & 0o111 != 0,
    }))
}

/// Says what is wrong with a path that would not stay where it is unpacked, or that no list of files could hold.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.starts_with('/') {
        return Err("is absolute");
    }
    if path.contains('\\') {
        return Err("has a backslash");
    }
    if path.chars().any(char::is_control) {
        return Err("has a control character");
    }
    match path
        .split('/')
        .find(|part| matches!(*part, "" | "." | ".."))
    {
        Some("..") => Err("leads out of it"),
        Some(_) => Err("has an empty part"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_pass() {
        for good in ["a", "a/b.py", "ü/β", "a b", "..a/b..", "C:"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "", "/a", "a//b", "./a", "a/./b", "../a", "a/..", "a\\b", "a\0b", "a\nb",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
