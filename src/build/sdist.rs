//! From a source distribution to a wheel: built once from the same inputs and kept.
//!
//! ```text
//! {root}/store/built-1/<digest of the inputs>/
//! ├── inputs.txt             what went into it, one line each
//! ├── wheel.txt              the wheel's sha256
//! └── wheel.whl
//! ```
//!
//! A build sees an environment that is assembled from the locked build requirements as any other is, the project's
//! unpacked files, and of the machine its compilers; see [`crate::project::backend`]. What the backend asks for must be
//! locked: it is asked again here, because it was asked on another machine when the lock was written. Whether a package
//! may be built at all was decided by the manifest.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pep508_rs::{Requirement, VersionOrUrl};

use crate::digest::Digest;
use crate::files::{self, Context, link};
use crate::lock::{InternedPackage, LockedPackage, LockedTarget};
use crate::name;
use crate::project::{Backend, Hook, backend, unpack};
use crate::python::Interpreter;
use crate::store::wheels::{self, Staging};
use crate::store::{Root, inside};

use super::assemble::{self, Part};

/// Counts up when this program would build other wheels of the same inputs.
const FORMAT: u32 = 2;

/// What a wheel is built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe<'a> {
    /// The source distribution.
    pub package: &'a LockedPackage,
    /// The interpreter to build with and for.
    pub interpreter: &'a Interpreter,
    /// Every package that building it takes.
    pub requirements: &'a [InternedPackage],
}

/// What a build finds on this machine.
#[derive(Clone, Copy)]
pub(crate) struct BuildEnv<'a> {
    /// The target, against which markers of requirements are read.
    pub target: &'a LockedTarget,
    /// The installed form of the requirements.
    pub parts: &'a [Part<'a>],
    /// The search path for programs.
    pub path: &'a OsStr,
}

/// A wheel that was built here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuiltWheel {
    /// The wheel.
    pub archive: PathBuf,
    /// Its digest.
    pub sha256: Digest,
}

/// A wheel cannot be built.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The source distribution is not the file that was locked.
    #[error("`{file}` has the sha256 {got}, but {expected} is expected")]
    #[diagnostic(help(
        "the file was changed after it was downloaded: run `rootstock sync` again to fetch it again"
    ))]
    Digest {
        /// The locked file's name.
        file: String,
        /// Its digest by the lock.
        expected: Digest,
        /// The digest of what was found.
        got: Digest,
    },
    /// It cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] unpack::Error),
    /// It has a pointer of Git LFS in the place of a file.
    #[error("`{path}` in `{file}` is a Git LFS pointer, not the file itself")]
    #[diagnostic(help("{}", unpack::pointer_advice(file)))]
    Pointer {
        /// The locked file's name.
        file: String,
        /// The file in it.
        path: String,
    },
    /// What builds it cannot be installed.
    #[error("what builds `{file}` cannot be installed: {source}")]
    Assemble {
        /// The locked file's name.
        file: String,
        /// The cause.
        source: Box<assemble::Error>,
    },
    /// The build failed.
    #[error("`{file}` cannot be built: {source}")]
    #[diagnostic(help(
        "a compiler or headers may be missing here, and a build has no network; a version that is published as a wheel \
         needs neither. If a build requirement is too new for it, bound it: `build-constraints = [\"setuptools<81\"]`"
    ))]
    Backend {
        /// The locked file's name.
        file: String,
        /// The cause.
        source: backend::Error,
    },
    /// The backend asks for something else than when it was locked.
    #[error(
        "building `{file}` takes `{requirement}` on this machine, which the lock does not hold"
    )]
    #[diagnostic(help(
        "its requirements depend on the machine: run `rootstock lock` on a machine of this kind"
    ))]
    Unlocked {
        /// The locked file's name.
        file: String,
        /// What the backend asks for.
        requirement: String,
    },
    /// The store cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] wheels::Error),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

impl Recipe<'_> {
    /// Everything that decides what is built, as a canonical text.
    fn inputs(&self) -> String {
        let Recipe {
            package,
            interpreter,
            requirements,
        } = self;
        let mut text = format!("rootstock build {FORMAT}\n");
        let _ = writeln!(text, "source {}", package.sha256);
        if let Some(within) = package.origin.subdirectory() {
            let _ = writeln!(text, "subdirectory {within}");
        }
        if let Some(version) = given_version(package) {
            let _ = writeln!(text, "version {version}");
        }
        let _ = writeln!(text, "python {}", interpreter.identity.digest());
        for required in *requirements {
            let LockedPackage {
                name,
                version,
                sha256,
                ..
            } = &**required;
            let _ = writeln!(text, "requires {name} {version} {sha256}");
        }
        text
    }

    /// Identifies a build.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.inputs())
    }

    fn directory(&self, root: &Root) -> PathBuf {
        let name = self.digest().to_string();
        root.built_wheels().join(name)
    }
}

/// The wheel that was built from this before, if it is still there.
pub(crate) fn find(root: &Root, recipe: &Recipe) -> Result<Option<BuiltWheel>, Error> {
    let directory = recipe.directory(root);
    let list = directory.join("wheel.txt");
    let Some(text) = files::read_text_if_present(&list)? else {
        return Ok(None);
    };
    let sha256 = text.trim_end().parse();
    let sha256 = sha256.map_err(|_| wheels::Error::Damaged {
        path: list,
        line: 1,
    })?;
    Ok(Some(BuiltWheel {
        archive: directory.join("wheel.whl"),
        sha256,
    }))
}

/// Builds a wheel from the source distribution at `archive`. If another process builds the same at the same time, the
/// wheel of the one that is done first is used by both.
pub(crate) fn build(
    root: &Root,
    recipe: &Recipe,
    archive: &Path,
    build_env: &BuildEnv,
) -> Result<BuiltWheel, Error> {
    let package = recipe.package;
    verify(package, archive)?;
    let directory = recipe.directory(root);
    let staging = Staging::beside(&directory, root)?;
    let scratch = staging.path().join("build");
    let (name, wheels) = run(recipe, archive, build_env, &scratch)?;
    let built = staging.path().join("wheel.whl");
    files::rename(&wheels.join(name), &built)?;
    let (sha256, _) = Digest::of_reader(files::open(&built)?).context("read", &built)?;
    files::remove_tree(&scratch)?;
    let lists = [
        ("inputs.txt", recipe.inputs()),
        ("wheel.txt", format!("{sha256}\n")),
    ];
    for (name, text) in lists {
        files::write(&staging.path().join(name), text.as_bytes())?;
    }
    staging.rename()?;
    Ok(find(root, recipe)?.unwrap_or(BuiltWheel {
        archive: directory.join("wheel.whl"),
        sha256,
    }))
}

/// The version for tools that would ask the project's history: what is packed of a tree has none.
fn given_version(package: &LockedPackage) -> Option<String> {
    package.is_tree().then(|| package.version.to_string())
}

/// Whether the archive is the locked file. Nothing of any other may run.
fn verify(package: &LockedPackage, archive: &Path) -> Result<(), Error> {
    let (got, _) = Digest::of_reader(files::open(archive)?).context("read", archive)?;
    if got == package.sha256 {
        return Ok(());
    }
    Err(Error::Digest {
        file: package.file.clone(),
        expected: package.sha256,
        got,
    })
}

/// Builds in the directory `scratch`; the wheel's name, and where it is.
fn run(
    recipe: &Recipe,
    archive: &Path,
    build_env: &BuildEnv,
    scratch: &Path,
) -> Result<(String, PathBuf), Error> {
    let file = &recipe.package.file;
    let top = unpack::unpack(archive, file, &scratch.join("source"))?;
    let within = recipe.package.origin.subdirectory();
    let project = within.map_or(top.clone(), |within| top.join(within));
    if let Some(path) = files::first_pointer(&project)? {
        return Err(Error::Pointer {
            file: file.clone(),
            path,
        });
    }
    let environment = scratch.join("environment");
    files::create_directories(&environment)?;
    let assembled = assemble::assemble(
        &environment,
        assemble::Recipe {
            parts: build_env.parts,
            source: b"",
            interpreter: recipe.interpreter,
        },
        // What is built may write where it likes: it gets files of its own.
        link::Method::Copy,
    );
    assembled.map_err(|source| Error::Assemble {
        file: file.clone(),
        source: Box::new(source),
    })?;
    let failed = |source| Error::Backend {
        file: file.clone(),
        source,
    };
    let path = std::env::join_paths(
        std::iter::once(environment.join("bin")).chain(std::env::split_paths(build_env.path)),
    );
    let version = given_version(recipe.package);
    let hook = Hook {
        project: &project,
        python: &environment.join(inside::PYTHON),
        sites: None,
        scratch,
        // A search path that cannot be extended has no use here.
        path: &path.unwrap_or_default(),
        version: version.as_deref(),
    };
    let backend = Backend::of(&project).map_err(failed)?;
    let asked = backend.requirements(&hook).map_err(failed)?;
    for requirement in backend.requires.iter().chain(&asked) {
        if !is_locked(requirement, recipe, build_env.target) {
            return Err(Error::Unlocked {
                file: file.clone(),
                requirement: requirement.clone(),
            });
        }
    }
    let wheels = scratch.join("wheels");
    files::create_directories(&wheels)?;
    let name = backend.wheel(&hook, &wheels).map_err(failed)?;
    Ok((name, wheels))
}

/// Whether one of the locked build requirements is what is asked for.
fn is_locked(requirement: &str, recipe: &Recipe, target: &LockedTarget) -> bool {
    // What cannot be read, uv has refused when it was locked, or understood better than we do.
    let Ok(asked): Result<Requirement, _> = name::requirement(requirement) else {
        return true;
    };
    let markers = target.target.markers(&target.python.version);
    if !asked.evaluate_markers(&markers, &[]) {
        return true;
    }
    recipe.requirements.iter().any(|locked| {
        let fits = match &asked.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => {
                specifiers.contains(&locked.version)
            }
            Some(VersionOrUrl::Url(_)) | None => true,
        };
        locked.name == asked.name && fits
    })
}

#[cfg(test)]
mod tests;
