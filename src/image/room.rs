//! The directory that an image is made in: whether there is room, and what earlier runs have left there.

use std::path::Path;

use super::contents::Cached;
use super::{Error, Image};
use crate::files::{self, space};
use crate::report::bytes;
use crate::store::{Root, unfinished};

/// Packages are packed to a third or less; weights hardly at all.
const LEAST_RATIO: u64 = 4;

/// Makes sure that there is as much room as the image takes at least.
pub(crate) fn check_room(image: &Image, directory: &Path) -> Result<(), Error> {
    let cached = image.contents.cache.values();
    let weights: u64 = cached
        .map(|cached| match cached {
            Cached::File { size, .. } => *size,
            Cached::Link(_) => 0,
        })
        .sum();
    let packages = image.totals.bytes.saturating_sub(weights);
    let needed = packages / LEAST_RATIO + weights / 2;
    let free = space::of(directory)?.bytes_free;
    if free >= needed {
        return Ok(());
    }
    Err(Error::Full {
        path: directory.to_owned(),
        what: format!(
            "{} free, and at least {} are needed",
            bytes(free),
            bytes(needed)
        ),
        option: "-o",
    })
}

/// A new private directory beside the image, removed when dropped.
pub(crate) fn beside(directory: &Path) -> files::Result<tempfile::TempDir> {
    files::temporary_directory(directory, ".rootstock-")
}

/// Removes what killed processes have left beside their images.
pub(crate) fn sweep(directory: &Path) {
    unfinished::sweep(&Root::at(directory, None));
}
