//! A root on disk: the only source of paths inside one, and what is found there. Builds nothing, decides nothing.
//!
//! ```text
//! {root}/
//! ├── layout.json                       on-disk layout version, and who may use the root
//! ├── models.json                       what each model id means here (see `catalogue`)
//! ├── prefetched/<model>.json           what its `setup()` left in the cache (see `prefetched`)
//! ├── envs/<env> -> ../generations/<env>/<id>
//! ├── generations/<env>/<id>/           immutable, read-only after publish
//! ├── generations/<env>/.retired-<id>   its time says when the link was led away from that generation
//! ├── pythons/<id>/                     managed interpreters (see `managed`), read-only
//! ├── store/                            wheels and bytecode by content, shared by all environments
//! ├── cache/                            XDG_CACHE_HOME of workers
//! ├── claims/<env>@<id>.json            who is building it (see `claims`)
//! ├── pins/<env>@<id>                  what `gc` must leave (see `pins`)
//! └── trash/                            what was replaced and may still be in use (see `trash`)
//! ```

use std::path::{Path, PathBuf};

use crate::access::Access;
use crate::digest::Digest;
use crate::files;
use crate::name::EnvironmentName;

pub mod bundle;
pub mod catalogue;
pub mod claims;
pub mod installed;
pub mod interpreter;
pub mod layout;
pub mod managed;
pub mod pins;
pub mod policy;
pub mod prefetched;
pub mod reading;
mod sealed;
pub mod stamp;
pub mod trash;
pub mod tree;

pub use crate::files::maker;
pub mod weights;

pub use catalogue::{Catalogue, CatalogueEnvironment, CatalogueModel, CatalogueWeight};
pub use installed::Installed;
pub use policy::Policy;
pub use reading::Reading;
pub use stamp::Stamp;
pub use tree::Tree;

/// An install root. Holding one says nothing about what exists below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
    cache: PathBuf,
    policy: Option<Policy>,
}

impl Root {
    /// The root at this absolute path; the cache is `cache` or lies below it.
    pub fn at(path: &Path, cache: Option<&Path>) -> Self {
        Self {
            path: path.to_owned(),
            cache: cache.map_or_else(|| path.join("cache"), Path::to_owned),
            policy: None,
        }
    }

    /// The same root with a policy that whatever is made in it has to follow.
    #[must_use]
    pub fn under(self, policy: Option<Policy>) -> Self {
        Self { policy, ..self }
    }

    /// Who may use what is made in it; `None` if nobody has said so.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// The policy by itself.
    pub fn access(&self) -> Option<&Access> {
        self.policy().map(Policy::access)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Caches of workers: model weights.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The cache, if it is not where a root has it by itself.
    pub fn cache_elsewhere(&self) -> Option<&Path> {
        Some(self.cache()).filter(|cache| *cache != self.path.join("cache"))
    }

    /// Says which layout the root has.
    pub fn layout(&self) -> PathBuf {
        self.path.join("layout.json")
    }

    /// Says what each model id means.
    pub fn models(&self) -> PathBuf {
        self.path.join("models.json")
    }

    /// The link to the current generation of an environment.
    pub fn current(&self, environment: &EnvironmentName) -> PathBuf {
        self.path.join("envs").join(environment.as_str())
    }

    /// All generations of an environment.
    pub fn generations(&self, environment: &EnvironmentName) -> PathBuf {
        self.path.join("generations").join(environment.as_str())
    }

    /// One generation of an environment.
    pub fn generation(&self, environment: &EnvironmentName, id: &str) -> PathBuf {
        self.generations(environment).join(id)
    }

    /// Its time of change says since when the link of the environment does not lead to this generation any more. There is
    /// none if that was never so.
    pub fn retired(&self, environment: &EnvironmentName, id: &str) -> PathBuf {
        self.generations(environment).join(format!(".retired-{id}"))
    }

    /// Managed interpreters.
    pub fn pythons(&self) -> PathBuf {
        self.path.join("pythons")
    }

    /// What was replaced and may still be in use; emptied by `gc`.
    pub fn trash(&self) -> PathBuf {
        self.path.join("trash")
    }

    /// What is shared between environments.
    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Where the locked file of this digest lies from its download until it is unpacked.
    pub fn archive(&self, sha256: &Digest) -> PathBuf {
        self.store().join("archives").join(sha256.to_string())
    }

    /// The real path of an environment's current generation, its link resolved once; `None` if there is none.
    pub fn resolve(&self, environment: &EnvironmentName) -> files::Result<Option<PathBuf>> {
        let link = self.current(environment);
        match files::link_target(&link)? {
            Some(_) => match files::real_path(&link) {
                Ok(path) => Ok(Some(path)),
                Err(error) if error.is_missing() => Ok(None),
                Err(error) => Err(error),
            },
            None => Ok(None),
        }
    }
}

/// Files of a generation, by name. Everything else in it belongs to Python.
pub mod inside {
    /// The copy of the environment's source, with `setup()`.
    pub const SOURCE: &str = "env_source.py";
    /// sha256, mode and path of every file.
    pub const TREE: &str = "rootstock-tree.txt";
    /// The last file written.
    pub const STAMP: &str = "rootstock-stamp.json";
    /// What makes Python take the directory for an environment.
    pub const CONFIGURATION: &str = "pyvenv.cfg";
    /// The interpreter, a link to the base interpreter.
    pub const PYTHON: &str = "bin/python";
}

/// What the link of an environment reads when it leads to this generation: relative, so that a root can be mounted
/// elsewhere.
pub fn link_to(environment: &EnvironmentName, id: &str) -> PathBuf {
    Path::new("../generations")
        .join(environment.as_str())
        .join(id)
}

/// The name of a generation: enough of its digest to be unique for ever.
pub fn generation_id(digest: &Digest) -> String {
    digest.short(32)
}
