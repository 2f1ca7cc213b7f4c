//! A root on disk: the only source of paths inside one, and what is found there. Builds nothing, decides nothing.
//!
//! ```text
//! {root}/
//! ├── layout.json                       on-disk layout version, and who may use the root
//! ├── models.json                       what each model id means here (see `catalogue`)
//! ├── prefetched/<model>.json           what its `setup()` left in the cache (see `prefetched`)
//! ├── envs/<env> -> ../generations/<env>/<id>
//! ├── generations/<env>/<id>/           immutable, read-only after publish
//! ├── generations/<env>/.retired-<id>   its time is when the link was led away from that generation
//! ├── pythons/<id>/                     managed interpreters (see `managed`), read-only
//! ├── store/archives/<sha256>           files as they were downloaded, until they are unpacked
//! ├── store/{wheels,bytecode,built}-N/  unpacked wheels, their bytecode, and what was built from sources (see `wheels`)
//! ├── cache/                            XDG_CACHE_HOME of workers
//! ├── claims/<env>@<id>.json            who is building it (see `claims`)
//! ├── references/<model>.extxyz         recorded numbers (see `references`)
//! ├── verified/<model>/                 whether they were computed here, too (see `verified`)
//! ├── pins/<env>@<id>                  what `gc` keeps (see `pins`)
//! └── trash/                            what was replaced and may still be in use (see `trash`)
//! ```

mod root;
pub mod bundle;
pub(crate) mod catalogue;
pub(crate) mod chosen;
pub(crate) mod claims;
pub(crate) mod installed;
pub(crate) mod intact;
pub(crate) mod interpreter;
pub(crate) mod layout;
pub(crate) mod look;
pub(crate) mod managed;
pub(crate) mod pins;
pub(crate) mod policy;
pub(crate) mod prefetched;
pub(crate) mod references;
pub(crate) mod repair;
mod sealed;
pub mod stamp;
pub(crate) mod trash;
pub(crate) mod tree;
pub(crate) mod unfinished;
pub(crate) mod verified;
pub(crate) mod verifier;
pub(crate) mod weights;
pub(crate) mod wheels;

pub use crate::files::maker;

pub use catalogue::{Catalogue, CatalogueEnvironment, CatalogueModel, CatalogueWeight};
pub use installed::Installed;
pub use look::{Depth, Disk, Needs, look};
pub use policy::Policy;
pub use root::Root;

pub(crate) use chosen::Chosen;

pub(crate) use root::{directory, generation_id, inside, link_to, retired_id};
pub use stamp::Stamp;
pub use tree::Tree;
pub use verifier::Verifier;
