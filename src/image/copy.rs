//! An image as a directory, copied from a root: every file is compared with its list on the way.

use std::path::Path;

use rayon::prelude::*;

use super::inventory::{Inventory, Kind, Piece};
use super::write::{self, Failed, Wanted};
use super::{Error, Event, Watch};
use crate::access::{self, Access};
use crate::files::{self, Context as _};

/// Copies everything into a directory that has none of it. Uses the rayon pool it is called in.
pub(crate) fn copy(
    inventory: &Inventory,
    into: &Path,
    access: Option<&Access>,
    watch: Watch,
) -> Result<(), Error> {
    let totals = &inventory.image.totals;
    watch(Event::Begin(totals.files, totals.bytes));
    let (name, text) = inventory.beginning();
    files::write(&into.join(name), text.as_bytes())?;
    let pieces = inventory.pieces.par_iter();
    pieces.try_for_each(|piece| one(piece, into, access, watch))?;
    watch(Event::End);
    Ok(())
}

fn one(piece: &Piece, into: &Path, access: Option<&Access>, watch: Watch) -> Result<(), Error> {
    let to = into.join(&piece.path);
    // An interpreter of the system was copied there before it was listed.
    if piece.from == to {
        return Ok(());
    }
    let (sha256, executable) = match &piece.kind {
        Kind::Link(target) => {
            write::check_link(piece)?;
            return Ok(write::link(target, &to)?);
        }
        Kind::File {
            sha256, executable, ..
        } => (*sha256, *executable),
    };
    let wanted = Wanted {
        sha256,
        mode: access::published(access, executable),
    };
    match write::file(&mut write::open(piece)?, &to, wanted) {
        Ok(bytes) => {
            watch(Event::Bytes(bytes));
            Ok(())
        }
        Err(Failed::Read(error)) => Err(error).context("read", &piece.from)?,
        Err(Failed::Write(error)) => Err(error.into()),
        Err(Failed::Content) => Err(write::changed(piece)),
    }
}
