//! Bytecode of an unpacked wheel, the same bytes on every machine: compiled by the environment's own interpreter, with
//! names in it that depend on neither root nor environment (Python puts the real ones in their place on import).
//!
//! What Python does with a file that does not compile, it does when it is imported; here it is left out and listed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use rayon::prelude::*;

use crate::digest::Digest;
use crate::files::{self, Context};
use crate::process::{self, Command};
use crate::python::Interpreter;
use crate::python::bytecode::{is_module, is_test};
use crate::store::Root;
use crate::store::wheels::{self, Scheme, Staging, UnpackedFile, UnpackedWheel};

use super::workers::Workers;

const SCRIPT: &str = include_str!("bytecode.py");

/// So many files are compiled by one process. The number is part of the installed form, because the bytes of a file
/// depend on those compiled before it; it must not depend on the machine.
const GROUP: usize = 200;

/// Larger modules are not compiled: Python takes many times their size in memory for it.
const LARGEST: u64 = 32 << 20;

/// Bytecode cannot be made.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The interpreter cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The interpreter gave up.
    #[error("`{}` {exit} while it compiled `{}`:\n{output}", python.display(), sources.display())]
    Compiler {
        /// The interpreter.
        python: std::path::PathBuf,
        /// The directory with the modules.
        sources: std::path::PathBuf,
        /// How it ended.
        exit: process::Exit,
        /// The end of its output.
        output: String,
    },
    /// The wheel store cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] wheels::Error),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Compiles the modules of an unpacked wheel, those of tests or all others, and puts the bytecode into the store.
/// `variables` are those the interpreter may need to start; groups of files are compiled at once as the workers allow.
pub(super) fn compile(
    root: &Root,
    wheel: &UnpackedWheel,
    sha256: &Digest,
    tests: bool,
    interpreter: &Interpreter,
    variables: &BTreeMap<OsString, OsString>,
    workers: &Workers,
) -> Result<UnpackedWheel, Error> {
    let directory = wheels::bytecode_directory(root, sha256, &interpreter.identity, tests);
    let staging = Staging::beside(&directory, root)?;
    let modules = wheel
        .files
        .iter()
        .filter(|file| file.scheme == Scheme::SitePackages && is_module(&file.path))
        .filter(|file| is_test(&file.path) == tests);
    let (modules, large): (Vec<_>, Vec<_>) = modules.partition(|file| file.size <= LARGEST);
    let modules: Vec<&str> = modules.iter().map(|file| file.path.as_str()).collect();
    let large = large
        .iter()
        .map(|file| format!("{}: it is longer than {LARGEST} bytes\n", file.path));
    let (major, minor) = interpreter.series();
    let skipped = Modules {
        sources: &wheel.directory_of(Scheme::SitePackages),
        targets: &staging.directory_of(Scheme::SitePackages),
        name: &format!("lib/python{major}.{minor}/site-packages/"),
    }
    .compile(&modules, interpreter, variables, workers)?;
    let skipped: String = [skipped].into_iter().chain(large).collect();
    files::write(&staging.path().join("skipped.txt"), skipped.as_bytes())?;
    let files = workers.install(|| collect(&staging))?;
    Ok(staging.publish(files)?)
}

/// Modules in a directory, and where their bytecode goes.
pub(super) struct Modules<'a> {
    pub(super) sources: &'a Path,
    /// Each file goes where Python looks for it beside its source, were that here.
    pub(super) targets: &'a Path,
    /// What stands for `sources`, with a `/` at its end, in the names that bytecode carries.
    pub(super) name: &'a str,
}

impl Modules<'_> {
    /// Compiles the modules at these paths and returns a line for each of those left out.
    pub(super) fn compile(
        &self,
        paths: &[&str],
        interpreter: &Interpreter,
        variables: &BTreeMap<OsString, OsString>,
        workers: &Workers,
    ) -> Result<String, Error> {
        if !paths.is_empty() {
            files::create_directories(self.targets)?;
        }
        let compile = |group| workers.run(|| compile_group(self, group, interpreter, variables));
        let compiled = workers.each(paths.chunks(GROUP).collect(), compile);
        compiled.into_iter().collect()
    }
}

/// Compiles these files in one process and returns the lines of those left out.
fn compile_group(
    modules: &Modules,
    group: &[&str],
    interpreter: &Interpreter,
    variables: &BTreeMap<OsString, OsString>,
) -> Result<String, Error> {
    let plain = |(name, _): &(&OsString, _)| !name.to_string_lossy().starts_with("PYTHON");
    let variables = variables.iter().filter(plain);
    let output = Command::new(&interpreter.executable)
        // Not `-I`: it would also ignore the hash seed.
        .arguments(["-S", "-s", "-B", "-c", SCRIPT])
        .arguments([modules.sources, modules.targets])
        .argument(modules.name)
        .variables(variables)
        .variable("PYTHONHASHSEED", "0")
        .variable("PYTHONUTF8", "1")
        .variable("PYTHONSAFEPATH", "1")
        .input(group.join("\n"))
        .run()?;
    if !output.exit.success() {
        return Err(Error::Compiler {
            python: interpreter.executable.clone(),
            sources: modules.sources.to_owned(),
            exit: output.exit,
            output: process::tail(&output.stderr, 8),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Seals what was compiled and lists it.
fn collect(staging: &Staging) -> Result<Vec<UnpackedFile>, Error> {
    let place = staging.directory_of(Scheme::SitePackages);
    if !files::is_directory(&place) {
        return Ok(Vec::new());
    }
    let compiled: Vec<String> = files::walk(&place)?
        .into_iter()
        .filter(|entry| entry.kind == files::Kind::File)
        .map(|entry| entry.path.to_string_lossy().into_owned())
        .collect();
    let unpacked = compiled.into_par_iter().map(|path| {
        let at = place.join(&path);
        let (sha256, size) = finish(&at)?;
        Ok(UnpackedFile {
            scheme: Scheme::SitePackages,
            path,
            sha256,
            size,
            executable: false,
        })
    });
    unpacked.collect()
}

/// Digest and size of a file, which gets its final mode and time.
fn finish(path: &Path) -> files::Result<(Digest, u64)> {
    let file = files::open(path)?;
    let found = Digest::of_reader(&file).context("read", path)?;
    files::make_reproducible(&file, path, false)?;
    Ok(found)
}

#[cfg(test)]
mod tests;
