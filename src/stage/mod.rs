//! Stages: roots on a node's own disk, made once by all tasks of the node, from a root or from an image.
//!
//! ```text
//! {base}/rootstock-<uid>/stages/      0700, of this user alone
//! ├── <id>/                           a root; the id is the digest of what it holds (see `image::contents`)
//! │   ├── rootstock-stage.json        which boot of the node it was made in; its time is when it was last asked for
//! │   ├── rootstock-image.json        what it holds
//! │   └── envs/ generations/ pythons/ cache/ prefetched/ models.json layout.json
//! ├── .staging-<maker>-…              one that is being made
//! └── claims/                         who makes it (see `store::claims`)
//! ```
//!
//! A stage is made beside its place and renamed when every file of it was compared with its list. It counts only in the boot of
//! the node in which it was made, so that nothing needs to be flushed to disk, and only while every file of it is there: what
//! cleans up temporary directories may have taken some.

mod request;
mod clean;
mod fill;
mod finish;
mod look;
mod place;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::build::waiting::{Claims, wait};

use crate::files;

use crate::process::threads::{self};

use crate::store::{Root, unfinished};

pub(crate) use clean::{Cleaned, clean};
pub(crate) use look::Found;
pub(crate) use place::Place;
pub(crate) use request::{Error, Request, Source};

/// A stage that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Staged {
    /// The root.
    pub(crate) root: PathBuf,
    /// Whether this call has made it.
    pub(crate) new: bool,
}

impl Display for Staged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.root.display())
    }
}

/// Stages, unless that was done before; while another process of the node does it, waits for that.
pub(crate) fn stage(request: &Request) -> Result<Staged, Error> {
    let contents = request.source.contents();
    let id = contents.id();
    let directory = request.place.directory();
    let stages = Root::at(directory, None);
    unfinished::sweep(&stages);
    let to = directory.join(&id);
    let found = |new| Staged {
        root: to.clone(),
        new,
    };
    // The claim bears a name; a root without any environment cannot be staged.
    let Some(name) = contents.environments.keys().next() else {
        return Ok(found(false));
    };
    loop {
        if look::look(&to, &id)? == Found::Whole {
            look::touch(&to)?;
            return Ok(found(false));
        }
        let (mut held, others) = Claims::take(&stages, &[(name.clone(), id.clone())]);
        if let Some(Some(other)) = others.into_iter().next() {
            (request.waits)(&other);
            wait(&stages, &other);
            continue;
        }
        // Between the first look and the claim another process may have finished.
        let there = look::look(&to, &id)?;
        if there == Found::Whole {
            look::touch(&to)?;
            return Ok(found(false));
        }
        held.with_heartbeat(|| make(request, &to, &id, there))?;
        return Ok(found(true));
    }
}

fn make(request: &Request, to: &Path, id: &str, there: Found) -> Result<(), Error> {
    if there == Found::Damaged {
        clean::remove(to)?;
    }
    let staging = place::Staging::new(request.place)?;
    let pool = threads::pool(request.jobs)?;
    let image = pool.install(|| fill::fill(request, staging.path()))?;
    pool.install(|| finish::finish(&image, request.variables, staging.path(), to, id))?;
    match files::rename(staging.path(), to) {
        // Without claims, as on a full disk, another process may have been first with the same.
        Err(error) if error.is_occupied() && look::look(to, id)? == Found::Whole => Ok(()),
        renamed => Ok(renamed?),
    }
}
