//! Making one package ready to be linked: its wheel unpacked, its bytecode beside it, built first if it is
//! a source distribution. Where its file comes from, and which environments need it, is not known here.

use std::path::Path;
use std::sync::Arc;

use crate::digest::Digest;
use crate::files;
use crate::lock::{Bytecode, Distribution, LockedPackage};
use crate::python::Interpreter;
use crate::report::help;

use super::checked::checked;
use super::{Error, Gathered, Gathering, Need, Prepared, Ready, key};
use crate::build::assemble::Part;
use crate::build::{bytecode, sdist};
use crate::store::wheels::{self, UnpackedWheel};
use crate::wheel;

/// Makes a need ready from what the store holds; `None` if the locked file itself is needed and not there.
pub(super) fn from_store(
    need: &Need,
    ready: &Gathered,
    gathering: &Gathering,
) -> Result<Option<Prepared>, Error> {
    let archive = need.archive(gathering.context.root);
    if let Some(prepared) = unpacked_before(need, gathering)? {
        // A process that was killed between unpacking and removing it has left it.
        files::remove_if_present(&archive)?;
        return Ok(Some(prepared));
    }
    if !files::exists(&archive) {
        return Ok(None);
    }
    match from_archive(need, ready, gathering) {
        // It was damaged since it was downloaded: it is fetched again.
        Err(
            Error::Wheel(wheel::Error::Digest { .. }) | Error::Sdist(sdist::Error::Digest { .. }),
        ) => {
            files::remove_if_present(&archive)?;
            Ok(None)
        }
        prepared => prepared.map(Some),
    }
}

/// Makes a need ready from wheels that are unpacked or were built here before; `None` if one is missing.
fn unpacked_before(need: &Need, gathering: &Gathering) -> Result<Option<Prepared>, Error> {
    let (root, package) = (gathering.context.root, need.package);
    let mut prepared = Vec::new();
    for interpreter in &need.interpreters {
        let (wheel, sha256) = match package.distribution() {
            Distribution::Wheel => {
                let wheel = checked(gathering, wheels::find(root, &package.sha256))?;
                (wheel, package.sha256)
            }
            Distribution::Source => match sdist::find(root, &need.recipe(interpreter))? {
                Some(built) => {
                    let wheel = unpack(gathering, package, &built.archive, &built.sha256)?;
                    (Some(wheel), built.sha256)
                }
                None => (None, package.sha256),
            },
        };
        let Some(wheel) = wheel else { return Ok(None) };
        let compiled = compiled(wheel, &sha256, interpreter, need.tests, gathering)?;
        prepared.push((
            key(package, need.requirements, interpreter),
            Arc::new(compiled),
        ));
    }
    Ok(Some(prepared))
}

/// Makes a need ready from its locked file, which is removed: what is unpacked is not needed twice.
pub(super) fn from_archive(
    need: &Need,
    ready: &Gathered,
    gathering: &Gathering,
) -> Result<Prepared, Error> {
    let (root, package) = (gathering.context.root, need.package);
    let archive = need.archive(root);
    let mut prepared = Vec::new();
    for interpreter in &need.interpreters {
        let (wheel, sha256) = match package.distribution() {
            Distribution::Wheel => (archive.clone(), package.sha256),
            Distribution::Source => {
                let built = build(need, interpreter, &archive, ready, gathering)?;
                (built.archive, built.sha256)
            }
        };
        let wheel = unpack(gathering, package, &wheel, &sha256)?;
        let compiled = compiled(wheel, &sha256, interpreter, need.tests, gathering)?;
        prepared.push((
            key(package, need.requirements, interpreter),
            Arc::new(compiled),
        ));
    }
    files::remove_if_present(&archive)?;
    Ok(prepared)
}

fn build(
    need: &Need,
    interpreter: &Interpreter,
    archive: &Path,
    ready: &Gathered,
    gathering: &Gathering,
) -> Result<sdist::BuiltWheel, Error> {
    let root = gathering.context.root;
    let recipe = sdist::Recipe {
        package: need.package,
        interpreter,
        requirements: need.requirements,
    };
    if let Some(built) = sdist::find(root, &recipe)? {
        return Ok(built);
    }
    let mut installed = Vec::new();
    for package in need.requirements {
        match &ready[&key(package, &[], interpreter)] {
            Ok(there) => installed.push((package.reference(), there)),
            Err(why) => {
                return Err(Error::Requirement {
                    file: need.package.file.clone(),
                    requirement: package.name.to_string(),
                    why: Arc::clone(why),
                    advice: help(&**why),
                });
            }
        }
    }
    let parts: Vec<Part> = installed
        .iter()
        .flat_map(|(package, there)| there.parts(package, Bytecode::NoTests))
        .collect();
    let build_env = sdist::BuildEnv {
        target: need.target,
        parts: &parts,
        path: &gathering.context.path,
    };
    // Another process that built it first has removed the archive since.
    let built = gathering
        .workers
        .install(|| sdist::build(root, &recipe, archive, &build_env));
    match built {
        Err(error) => {
            let used = parts.iter().map(|part| part.unpacked.directory.as_path());
            let used = used.chain([archive]);
            sdist::find(root, &recipe)?.ok_or_else(|| Error::Sdist(error).unless_gone(used))
        }
        built => Ok(built?),
    }
}

/// A wheel in the store, unpacked from this archive if it is not there.
fn unpack(
    gathering: &Gathering,
    package: &LockedPackage,
    archive: &Path,
    sha256: &Digest,
) -> Result<UnpackedWheel, Error> {
    let (root, workers) = (gathering.context.root, gathering.workers);
    if let Some(wheel) = checked(gathering, wheels::find(root, sha256))? {
        return Ok(wheel);
    }
    // Another process that unpacked it first has removed the archive since.
    match workers.install(|| wheel::unpack(root, package, archive, sha256)) {
        Err(error) => wheels::find(root, sha256)?
            .ok_or_else(|| Error::Wheel(error).unless_gone([archive].into_iter())),
        unpacked => Ok(unpacked?),
    }
}

/// A wheel with its bytecode.
fn compiled(
    wheel: UnpackedWheel,
    sha256: &Digest,
    interpreter: &Interpreter,
    tests: bool,
    gathering: &Gathering,
) -> Result<Ready, Error> {
    let bytecode = |tests| bytecode_of(&wheel, sha256, interpreter, tests, gathering);
    Ok(Ready {
        bytecode: bytecode(false)?,
        tests: tests.then(|| bytecode(true)).transpose()?,
        wheel,
    })
}

/// The bytecode of a wheel's tests, or of its other modules; compiled if it is not there.
fn bytecode_of(
    wheel: &UnpackedWheel,
    sha256: &Digest,
    interpreter: &Interpreter,
    tests: bool,
    gathering: &Gathering,
) -> Result<UnpackedWheel, Error> {
    let root = gathering.context.root;
    let there = wheels::bytecode_directory(root, sha256, &interpreter.identity, tests);
    if let Some(bytecode) = checked(gathering, wheels::read(&there))? {
        return Ok(bytecode);
    }
    bytecode::compile(
        root,
        wheel,
        sha256,
        tests,
        interpreter,
        &gathering.context.variables,
        gathering.workers,
    )
    .map_err(|error| Error::from(error).unless_gone([wheel.directory.as_path()].into_iter()))
}
