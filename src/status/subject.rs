//! What a status is of.

use crate::lock::Lock;
use crate::manifest::Manifest;
use crate::store::Root;

/// What a status is about.
pub struct Subject<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// The lock, if there is one.
    pub lock: Option<&'a Lock>,
    /// The root; it need not exist.
    pub root: &'a Root,
    /// From where it is known, for people.
    pub origin: &'a str,
    /// The name of this machine's target.
    pub target: &'a str,
}
