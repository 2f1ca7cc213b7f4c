//! The files of a stage, copied from a root or unpacked from an image. What names its place is written afterwards.

use std::path::Path;

use super::{Error, Request, Source};
use crate::access::Access;
use crate::build::pythons;
use crate::files::space;
use crate::image::read::Unpacking;
use crate::image::{self, Image, Totals};
use crate::report::{bytes, counted};
use crate::store::Root;
use crate::target::Target;

/// What the files of a stage take beside those of the image: stamps, links, claims.
const OURS: u64 = 1 << 20;

/// Fills an empty directory; what is in it now is the answer.
pub(super) fn fill(request: &Request, into: &Path) -> Result<Image, Error> {
    match &request.source {
        Source::Root(root, contents) => {
            let copied = Root::at(into, None).under(None);
            pythons::copy_all(contents.systems(), &copied, request.variables)
                .map_err(|error| image::Error::Python(Box::new(error)))?;
            let inventory = image::inventory((**contents).clone(), root, &copied)?;
            check_room(&inventory.image.totals, into)?;
            image::copy(&inventory, into, Some(&Access::Owner), request.watch)?;
            Ok(inventory.image)
        }
        Source::Image {
            path,
            image,
            sha256,
        } => {
            check_target(image, path)?;
            check_room(&image.totals, into)?;
            image::unpack(Unpacking {
                path,
                image,
                sha256: *sha256,
                into,
                access: Some(&Access::Owner),
                jobs: request.jobs,
                watch: request.watch,
            })?;
            Ok((**image).clone())
        }
    }
}

fn check_target(image: &Image, path: &Path) -> Result<(), Error> {
    let here = Target::here().map_or("another machine", |target| target.name());
    let target = &image.contents.target;
    if target == here {
        return Ok(());
    }
    Err(Error::Foreign {
        path: path.to_owned(),
        target: target.clone(),
        here: here.to_owned(),
    })
}

/// Makes sure that there is room before the first file is written.
fn check_room(totals: &Totals, into: &Path) -> Result<(), Error> {
    let space = space::of(into)?;
    let room = totals.room + OURS;
    let what = if space.bytes_free < room {
        format!(
            "{} free, and {} are needed",
            bytes(space.bytes_free),
            bytes(room)
        )
    } else if space.inodes > 0 && space.inodes_free < totals.inodes {
        let needed = totals.inodes;
        let free = usize::try_from(space.inodes_free).unwrap_or(usize::MAX);
        format!(
            "room for {} more, and {needed} are needed",
            counted(free, "file")
        )
    } else {
        return Ok(());
    };
    Err(image::Error::Full {
        path: into.parent().unwrap_or(into).to_owned(),
        what,
        option: "--to",
    }
    .into())
}
