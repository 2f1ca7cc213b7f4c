//! From a source distribution to a wheel: built once from the same inputs and kept.
//!
//! ```text
//! {root}/store/built-1/<digest of the inputs>/
//! ├── inputs.txt             what went into it, one line each
//! ├── wheel.txt              the wheel's sha256
//! └── wheel.whl
//! ```
//!
//! The build itself is uv's: an isolated environment, the package's own build backend. What it may depend on beside the
//! inputs is taken away: configuration, variables, time and hash seed. Its requirements are chosen by uv on the day it
//! is built unless [`Recipe::constraints`] pin them; whether a package may be built at all was decided by the manifest.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::files::{self, Context};
use crate::lock::LockedPackage;
use crate::process::{self, Exit};
use crate::python::Interpreter;
use crate::store::Root;
use crate::uv::Uv;

use super::shelf::{self, Staging};
use super::wheel::MODIFIED;

/// What a wheel is built from.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The source distribution.
    pub package: &'a LockedPackage,
    /// The interpreter to build with and for.
    pub interpreter: &'a Interpreter,
    /// Its build requirements, each pinned to a version with `--hash` of its files, as a requirements file has them.
    /// Without any, they are not pinned.
    pub constraints: &'a [String],
}

/// A wheel that was built here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltWheel {
    /// The wheel.
    pub archive: PathBuf,
    /// Its digest.
    pub sha256: Digest,
}

/// A wheel cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source distribution is not the file that was locked.
    #[error("`{file}` has the sha256 {got}, but {expected} is expected")]
    Digest {
        /// The locked file's name.
        file: String,
        /// Its digest by the lock.
        expected: Digest,
        /// The digest of what was found.
        got: Digest,
    },
    /// The build failed.
    #[error("`{file}` cannot be built, uv {exit}:\n{said}")]
    Failed {
        /// The locked file's name.
        file: String,
        /// How uv ended.
        exit: Exit,
        /// The end of what it and the build said.
        said: String,
    },
    /// The build ended well, but not with one wheel.
    #[error("the build of `{file}` left {found} wheels instead of one")]
    Wheels {
        /// The locked file's name.
        file: String,
        /// How many it left.
        found: usize,
    },
    /// uv cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Shelf(#[from] shelf::Error),
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        Error::Shelf(error.into())
    }
}

impl Error {
    /// What a person can do about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Error::Digest { .. } => Some(
                "the file was changed after it was downloaded: run `rootstock sync` again to fetch it anew"
                    .to_owned(),
            ),
            Error::Failed { .. } => Some(
                "a compiler, headers or the network may be missing here; a version that is published as a wheel needs \
                 none of them"
                    .to_owned(),
            ),
            Error::Wheels { .. } | Error::Process(_) => None,
            Error::Shelf(error) => error.advice(),
        }
    }
}

impl Recipe<'_> {
    /// Everything that decides what is built, as a canonical text.
    fn inputs(&self) -> String {
        let Recipe {
            package,
            interpreter,
            constraints,
        } = self;
        let mut text = String::from("rootstock build 1\n");
        let _ = writeln!(text, "source {}", package.sha256);
        let _ = writeln!(text, "python {}", interpreter.identity.digest());
        for constraint in *constraints {
            let _ = writeln!(text, "requires {constraint}");
        }
        text
    }

    fn directory(&self, root: &Root) -> PathBuf {
        let name = Digest::of(self.inputs()).to_string();
        root.store().join(shelf::BUILT).join(name)
    }
}

/// The wheel that was built from this before, if it is still there.
pub fn find(root: &Root, recipe: &Recipe) -> Result<Option<BuiltWheel>, Error> {
    let directory = recipe.directory(root);
    let list = directory.join("wheel.txt");
    let Some(text) = files::read_text_if_present(&list)? else {
        return Ok(None);
    };
    let sha256 = text.trim_end().parse();
    let sha256 = sha256.map_err(|_| shelf::Error::Damaged {
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
pub fn build(root: &Root, recipe: &Recipe, archive: &Path, uv: &Uv) -> Result<BuiltWheel, Error> {
    let package = recipe.package;
    verify(package, archive)?;
    let directory = recipe.directory(root);
    let staging = Staging::beside(&directory)?;
    let scratch = Scratch::new(staging.path(), package, archive)?;
    run(recipe, &scratch, uv)?;

    let mut wheels = files::names(&scratch.wheels)?;
    wheels.retain(|name| Path::new(name).extension().is_some_and(|e| e == "whl"));
    let [wheel] = wheels.as_slice() else {
        return Err(Error::Wheels {
            file: package.file.clone(),
            found: wheels.len(),
        });
    };
    let built = staging.path().join("wheel.whl");
    files::rename(&scratch.wheels.join(wheel), &built)?;
    let (sha256, _) = Digest::of_reader(files::open(&built)?).context("read", &built)?;
    files::remove_tree(&scratch.directory)?;
    let lists = [
        ("inputs.txt", recipe.inputs()),
        ("wheel.txt", format!("{sha256}\n")),
    ];
    for (name, text) in lists {
        files::write(&staging.path().join(name), text.as_bytes())?;
    }
    staging.settle()?;
    Ok(find(root, recipe)?.unwrap_or(BuiltWheel {
        archive: directory.join("wheel.whl"),
        sha256,
    }))
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

/// Directories of one build, within its staging.
struct Scratch {
    directory: PathBuf,
    source: PathBuf,
    wheels: PathBuf,
    temporary: PathBuf,
}

impl Scratch {
    /// Creates them. The archive gets its published name back, by which build tools know what it is.
    fn new(staging: &Path, package: &LockedPackage, archive: &Path) -> files::Result<Self> {
        let directory = staging.join("build");
        let scratch = Self {
            source: directory.join("source").join(&package.file),
            wheels: directory.join("wheels"),
            temporary: directory.join("tmp"),
            directory,
        };
        for directory in ["source", "wheels", "tmp"] {
            files::create_directories(&scratch.directory.join(directory))?;
        }
        files::symlink(&files::real_path(archive)?, &scratch.source)?;
        Ok(scratch)
    }
}

fn run(recipe: &Recipe, scratch: &Scratch, uv: &Uv) -> Result<(), Error> {
    let mut command = uv
        .command()
        .arguments([
            "build",
            "--wheel",
            "--force-pep517",
            "--no-create-gitignore",
        ])
        .arguments(["--no-sources", "--python"])
        .argument(&recipe.interpreter.executable)
        .argument("--out-dir")
        .argument(&scratch.wheels)
        .variable("SOURCE_DATE_EPOCH", MODIFIED.to_string())
        .variable("PYTHONHASHSEED", "0")
        .variable("LC_ALL", "C.UTF-8")
        .variable("TMPDIR", &scratch.temporary);
    if !recipe.constraints.is_empty() {
        let list = scratch.directory.join("constraints.txt");
        files::write(&list, recipe.constraints.join("\n").as_bytes())?;
        command = command
            .arguments(["--require-hashes", "--build-constraints"])
            .argument(&list);
    }
    let output = command.argument(&scratch.source).run()?;
    if output.exit.success() {
        return Ok(());
    }
    Err(Error::Failed {
        file: recipe.package.file.clone(),
        exit: output.exit,
        said: process::tail(&output.stderr, 20),
    })
}

#[cfg(test)]
mod tests;
