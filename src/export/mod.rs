//! An environment of the lock in the words of other tools, so that it can be built, compared or listed without this one.
//! Texts only: nothing is fetched, nothing is written.

use std::collections::HashMap;

use crate::digest::Digest;
use crate::lock::{LockedEnvironment, LockedModel, LockedTarget};

mod cyclonedx;
mod pylock;
mod requirements;

pub use cyclonedx::cyclonedx;
pub use pylock::{NoAddress, pylock};
pub use requirements::requirements;

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The environment.
    pub environment: &'a LockedEnvironment,
    /// Its answer for one machine type.
    pub target: &'a LockedTarget,
    /// Its models.
    pub models: &'a [&'a LockedModel],
}

/// Where files can be fetched just now, by digest.
pub type Addresses = HashMap<Digest, String>;
