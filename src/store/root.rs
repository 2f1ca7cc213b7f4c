//! A root on disk: the only source of paths inside one.

use std::path::{Path, PathBuf};

use super::chosen::Chosen;
use super::policy::Policy;
use crate::access::Access;
use crate::digest::Digest;
use crate::files;
use crate::name::EnvironmentName;

const WHEELS: &str = "wheels-2";
const BYTECODE: &str = "bytecode-4";
const BUILT: &str = "built-1";

/// The directories of a root, by name.
pub(crate) mod directory {
    /// The link of each environment.
    pub(crate) const ENVIRONMENTS: &str = "envs";
    /// Environments as they were built.
    pub(crate) const GENERATIONS: &str = "generations";
    /// Managed interpreters.
    pub(crate) const PYTHONS: &str = "pythons";
    /// What is shared between environments.
    pub(crate) const STORE: &str = "store";
    /// What was replaced.
    pub(crate) const TRASH: &str = "trash";
    /// Model weights.
    pub(crate) const CACHE: &str = "cache";
}

/// An install root. Holding one does not mean that anything exists below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
    cache: PathBuf,
    policy: Option<Policy>,
    chosen: Chosen,
}

impl Root {
    /// The root at this absolute path; the cache is `cache` or lies below it.
    pub fn at(path: &Path, cache: Option<&Path>) -> Self {
        Self {
            path: path.to_owned(),
            cache: cache.map_or_else(|| path.join(directory::CACHE), Path::to_owned),
            policy: None,
            chosen: Chosen::default(),
        }
    }

    /// The same root with a policy that whatever is made in it has to follow.
    #[must_use]
    pub fn under(self, policy: Option<Policy>) -> Self {
        Self { policy, ..self }
    }

    /// The same root with this cache.
    #[must_use]
    pub(crate) fn with_cache(self, cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
            ..self
        }
    }

    /// The same root, from which these generations run instead of the current ones.
    #[must_use]
    pub(crate) fn choosing(self, chosen: Chosen) -> Self {
        Self { chosen, ..self }
    }

    /// The generation that was chosen for an environment.
    pub(crate) fn chosen(&self, environment: &EnvironmentName) -> Option<&str> {
        self.chosen.of(environment)
    }

    /// Who may use what is made in it; `None` if that was not configured.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// The policy by itself.
    pub(crate) fn access(&self) -> Option<&Access> {
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
    pub(crate) fn cache_elsewhere(&self) -> Option<&Path> {
        Some(self.cache()).filter(|cache| *cache != self.path.join(directory::CACHE))
    }

    /// The file with the root's layout.
    pub(crate) fn layout(&self) -> PathBuf {
        self.path.join("layout.json")
    }

    /// The file with what each model id means.
    pub(crate) fn models(&self) -> PathBuf {
        self.path.join("models.json")
    }

    /// The links of all environments.
    pub(crate) fn environments(&self) -> PathBuf {
        self.path.join(directory::ENVIRONMENTS)
    }

    /// The link to the current generation of an environment.
    pub(crate) fn current(&self, environment: &EnvironmentName) -> PathBuf {
        self.environments().join(environment.as_str())
    }

    /// All generations of all environments.
    pub(crate) fn all_generations(&self) -> PathBuf {
        self.path.join(directory::GENERATIONS)
    }

    /// All generations of an environment.
    pub(crate) fn generations(&self, environment: &EnvironmentName) -> PathBuf {
        self.all_generations().join(environment.as_str())
    }

    /// One generation of an environment.
    pub(crate) fn generation(&self, environment: &EnvironmentName, id: &str) -> PathBuf {
        self.generations(environment).join(id)
    }

    /// Its time of change is when the environment's link was switched away from this generation. There is
    /// none if that was never so.
    pub(crate) fn retired(&self, environment: &EnvironmentName, id: &str) -> PathBuf {
        self.generations(environment).join(format!("{RETIRED}{id}"))
    }

    /// Claims of builders.
    pub(crate) fn claims(&self) -> PathBuf {
        self.path.join("claims")
    }

    /// Pins of generations.
    pub(crate) fn pins(&self) -> PathBuf {
        self.path.join("pins")
    }

    /// What models have fetched themselves.
    pub(crate) fn prefetched(&self) -> PathBuf {
        self.path.join("prefetched")
    }

    /// Recorded numbers of models.
    pub(crate) fn references(&self) -> PathBuf {
        self.path.join("references")
    }

    /// Outcomes of comparisons with them.
    pub(crate) fn verified(&self) -> PathBuf {
        self.path.join("verified")
    }

    /// Managed interpreters.
    pub(crate) fn pythons(&self) -> PathBuf {
        self.path.join(directory::PYTHONS)
    }

    /// What was replaced and may still be in use; emptied by `gc`.
    pub(crate) fn trash(&self) -> PathBuf {
        self.path.join(directory::TRASH)
    }

    /// What is shared between environments.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join(directory::STORE)
    }

    /// Locked files from their download until they are unpacked.
    pub(crate) fn archives(&self) -> PathBuf {
        self.store().join("archives")
    }

    /// Where the locked file of this digest lies from its download until it is unpacked.
    pub(crate) fn archive(&self, sha256: &Digest) -> PathBuf {
        self.archives().join(sha256.to_string())
    }

    /// Unpacked wheels, by their digest.
    pub(crate) fn wheels(&self) -> PathBuf {
        self.store().join(WHEELS)
    }

    /// Bytecode of wheels, by the digest of the wheel and the interpreter.
    pub(crate) fn bytecode(&self) -> PathBuf {
        self.store().join(BYTECODE)
    }

    /// Wheels that were built from source distributions, by the digest of what they were built from.
    pub(crate) fn built_wheels(&self) -> PathBuf {
        self.store().join(BUILT)
    }

    /// The real path of an environment's current generation, its link resolved once; `None` if there is none.
    pub(crate) fn resolve(&self, environment: &EnvironmentName) -> files::Result<Option<PathBuf>> {
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

pub(super) const RETIRED: &str = ".retired-";

/// Whose time [`Root::retired`] has this name; `None` if it is another name.
pub(crate) fn retired_id(name: &str) -> Option<&str> {
    name.strip_prefix(RETIRED)
}

/// Files of a generation, by name. Everything else in it belongs to Python.
pub(crate) mod inside {
    /// The copy of the environment's source, with `setup()`.
    pub(crate) const SOURCE: &str = "env_source.py";
    /// sha256, mode and path of every file.
    pub(crate) const TREE: &str = "rootstock-tree.txt";
    /// The last file written.
    pub(crate) const STAMP: &str = "rootstock-stamp.json";
    /// What makes Python take the directory for an environment.
    pub(crate) const CONFIGURATION: &str = "pyvenv.cfg";
    /// The interpreter, a link to the base interpreter.
    pub(crate) const PYTHON: &str = "bin/python";
}

/// What the link of an environment reads when it leads to this generation: relative, so that a root can be mounted
/// elsewhere.
pub(crate) fn link_to(environment: &EnvironmentName, id: &str) -> PathBuf {
    Path::new("../generations")
        .join(environment.as_str())
        .join(id)
}

/// The format of what is built. It counts up when this program would make other files of the same lock, so that
/// environments are built anew once.
pub(super) const BUILD_FORMAT: u32 = 5;

/// The name of a generation: of what it is built from, the digests of the lock's answer and of the interpreter.
pub(crate) fn generation_id(answer: &Digest, interpreter: &Digest) -> String {
    let text = format!("rootstock generation {BUILD_FORMAT}\n{answer}\n{interpreter}\n");
    Digest::of(text).short(32)
}
