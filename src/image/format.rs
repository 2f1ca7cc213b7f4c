//! The formats of images, known by the end of a file's name.

use std::path::Path;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `.tar.zst`, which rootstock writes itself.
    TarZst,
}

impl Format {
    /// The format that a file's name says.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let is = |end: &str| name.len() > end.len() && name.ends_with(end);
        is(".tar.zst").then_some(Format::TarZst)
    }
}
