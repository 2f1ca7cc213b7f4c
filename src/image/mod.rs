//! Images: one file with everything that environments need on a node, or the same as a directory. The store is no part of it, and
//! nothing in it names a root, a user or a time: the same lock on the same interpreter gives the same bytes.
//!
//! ```text
//! rootstock-image.json                       what follows (see `contents`)
//! pythons/<id>/rootstock-tree.txt            sha256, mode and path of every file, then those files
//! generations/<env>/<id>/rootstock-tree.txt  the same
//! cache/<path>                               weights
//! ```
//!
//! A `.tar.zst` is a tar archive (GNU) in this order, each directory sorted by path: files 0444 or 0555, links, no directories, no
//! owner, time 0; in one zstd frame with a checksum. What names a place is left out, because it is written when an image is unpacked:
//! stamps, `pyvenv.cfg` and `bin/python` of each environment, `models.json`.

mod failed;
pub(crate) mod contents;
mod copy;
mod decoder;
mod format;
mod inventory;
mod pack;
pub(crate) mod read;
mod report;
mod room;
mod select;
mod write;

use crate::store::prefetched;

pub(crate) use contents::{Contents, Image, Totals};
pub(crate) use copy::copy;
pub(crate) use failed::{Error, Event, Watch};
pub(crate) use format::Format;
pub(crate) use inventory::inventory;
pub(crate) use pack::{Packed, pack};
pub(crate) use read::{head, unpack};
pub(crate) use report::Report;
pub(crate) use room::{beside, check_room, sweep};
pub(crate) use select::{NamedError, Selection, SystemPython, select};

/// The record of a model, if it has one that is whole.
pub(crate) type Record = prefetched::Record;
