//! A wheel as a zip archive: its members by safe path, readable from many threads at once. Knows nothing of wheels.

use std::collections::HashMap;
use std::io::Read;

use crate::archive::zip::{self, Member};
use crate::files::SharedFile;

use super::Defect;

/// An open archive.
pub(super) struct Archive {
    zip: zip::Archive,
    members: Vec<Member>,
    by_path: HashMap<String, usize>,
}

/// How long a file with metadata may be. The RECORD of the largest wheels has some megabytes.
const LARGEST: u64 = 32 << 20;

impl Archive {
    /// Looks through the archive, and refuses every path that is not plain. Directories are left out: installers make
    /// them as they need them.
    pub(super) fn open(file: SharedFile) -> Result<Self, Defect> {
        let (zip, mut members) = zip::open(file).map_err(Defect)?;
        if let Some(link) = members.iter().find(|member| member.kind == zip::Kind::Link) {
            return Err(Defect(format!(
                "the path {:?} in it is a symbolic link",
                link.path
            )));
        }
        members.retain(|member| member.kind == zip::Kind::File);
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
