//! `references/<model>.extxyz`: recorded numbers of models, so that a root is enough to compare others with them. Written
//! by `sync`; what belongs to a file is in the catalogue.

use std::path::PathBuf;

use super::Root;
use crate::digest::Digest;
use crate::files;
use crate::name::ModelId;

/// Where the recorded numbers of a model lie.
pub(crate) fn path(root: &Root, model: &ModelId) -> PathBuf {
    root.references().join(format!("{model}.extxyz"))
}

/// The recorded numbers of a model; `None` if there are none.
pub(crate) fn read(root: &Root, model: &ModelId) -> files::Result<Option<String>> {
    files::read_text_if_present(&path(root, model))
}

/// Whether the numbers with this digest are there.
pub(crate) fn has(root: &Root, model: &ModelId, sha256: &Digest) -> bool {
    let text = read(root, model).ok().flatten();
    text.is_some_and(|text| Digest::of(text) == *sha256)
}

/// Writes the recorded numbers of a model.
pub(crate) fn write(root: &Root, model: &ModelId, bytes: &[u8]) -> files::Result<()> {
    let path = files::room_below(&root.references(), &format!("{model}.extxyz"))?;
    files::write_atomically(&path, bytes)
}
