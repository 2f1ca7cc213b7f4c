//! One environment from its parts to its link: assembled, published, pointed to. Where the parts come from is not
//! known here.

use crate::digest::Digest;
use crate::files::{self, link};
use crate::lock::{InternedPackage, LockedEnvironment, LockedPackage, LockedTarget};
use crate::python::Interpreter;
use crate::store::installed::{self, Generation};
use crate::store::interpreter::{self, Part};
use crate::store::{Root, Stamp, generation_id, managed, stamp};

use super::assemble::{self, Recipe};
use super::publish::{self, Candidate, Published, Staging, Verdict};
use super::record;

/// An environment to be built, with the interpreter chosen for it.
#[derive(Debug, Clone)]
pub(super) struct Job<'a> {
    pub(super) environment: &'a LockedEnvironment,
    pub(super) target: &'a LockedTarget,
    pub(super) interpreter: &'a Interpreter,
    /// The bytes of its source file.
    pub(super) source: Vec<u8>,
    pub(super) force: bool,
}

/// An environment cannot be built from its parts.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// It cannot be assembled.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Assemble(#[from] assemble::Error),
    /// It cannot be published.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Publish(#[from] publish::Error),
    /// It is another one than the lock records.
    #[error(transparent)]
    #[diagnostic(transparent)]
    TreeMismatch(Box<record::TreeMismatch>),
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its id.
    pub id: String,
    /// Its tree digest.
    pub tree: Digest,
    /// Whether it is new; it may have been there already.
    pub new: bool,
}

impl<'a> Job<'a> {
    /// The name its generation will have: the same lock on the same interpreter has the same everywhere.
    pub(super) fn id(&self) -> String {
        let interpreter = self.interpreter.identity.digest();
        generation_id(&self.target.digest, &interpreter)
    }

    /// What building a package of it takes; nothing for wheels.
    pub(super) fn requirements(&self, package: &LockedPackage) -> &'a [InternedPackage] {
        self.target
            .builds
            .get(&package.name)
            .map_or(&[], Vec::as_slice)
    }

    /// The generation that would be built, if it is there already and can be used; the environment then leads to it.
    pub(super) fn adopt(&self, root: &Root) -> files::Result<Option<Built>> {
        if self.force {
            return Ok(None);
        }
        let (name, id) = (&self.environment.name, self.id());
        let Some(Generation::Complete(there)) = installed::look(root, name, &id) else {
            return Ok(None);
        };
        let recorded = self.target.recorded(&id);
        if recorded.is_some_and(|tree| *tree != there.stamp.tree) {
            return Ok(None);
        }
        let source = self.environment.source.sha256;
        match publish::verdict(&there, self.interpreter, source) {
            Verdict::Useless => return Ok(None),
            Verdict::Good => {}
            Verdict::Stamp => {
                let stamp = Stamp {
                    python: self.interpreter.clone(),
                    interpreter: interpreter::parts(self.interpreter)?,
                    ..there.stamp.clone()
                };
                let generation = root.generation(name, &id);
                if !publish::write_stamp_again(root, &generation, &stamp)? {
                    return Ok(None);
                }
            }
        }
        if !publish::flip(root, name, &id)? {
            return Ok(None);
        }
        Ok(Some(Built {
            id,
            tree: there.stamp.tree,
            new: false,
        }))
    }

    /// Builds the generation and points the environment to it. Uses the rayon pool it is called in.
    pub(super) fn build(
        &self,
        root: &Root,
        parts: &[assemble::Part],
        method: link::Method,
    ) -> Result<Built, Error> {
        let name = &self.environment.name;
        let staging = Staging::new(root, name)?;
        let recipe = Recipe {
            parts,
            source: &self.source,
            interpreter: self.interpreter,
        };
        let assembled = assemble::assemble(staging.path(), recipe, method)?;
        let stamp = self.stamp(&assembled, interpreter::parts(self.interpreter)?);
        if let Some(recorded) = self.target.recorded(&stamp.id)
            && *recorded != stamp.tree
        {
            let mismatch =
                record::tree_mismatch(root, self.target, &stamp, *recorded, &assembled.tree)?;
            return Err(Error::TreeMismatch(Box::new(mismatch)));
        }
        let published = staging.publish(Candidate {
            stamp: &stamp,
            source: self.environment.source.sha256,
            force: self.force,
        })?;
        publish::flip(root, name, &stamp.id)?;
        Ok(Built {
            id: stamp.id,
            tree: stamp.tree,
            new: published == Published::Ours,
        })
    }

    /// The id of its interpreter below `pythons`.
    fn managed(&self) -> Option<String> {
        let archive = self.target.python.archive()?;
        Some(managed::id(&archive.sha256))
    }

    fn stamp(&self, assembled: &assemble::Assembled, interpreter: Vec<Part>) -> Stamp {
        Stamp {
            schema: stamp::SCHEMA,
            rootstock: stamp::this_version(),
            environment: self.environment.name.clone(),
            digest: self.target.digest,
            id: self.id(),
            target: self.target.target.name().to_owned(),
            python: self.interpreter.clone(),
            managed: self.managed(),
            interpreter,
            tree: Digest::of(assembled.tree.text()),
            packages: self.target.packages.len() as u64,
            files: assembled.tree.0.len() as u64,
            bytes: assembled.bytes,
        }
    }
}

#[cfg(test)]
mod tests;
