//! What is exported.

use std::collections::HashMap;

use crate::digest::Digest;
use crate::lock::{LockedEnvironment, LockedModel, LockedTarget};

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The environment as it is locked.
    pub environment: &'a LockedEnvironment,
    /// Its answer for one machine type.
    pub target: &'a LockedTarget,
    /// Its models.
    pub models: &'a [&'a LockedModel],
}

/// Where files can be fetched just now, by digest.
pub type Addresses = HashMap<Digest, String>;
