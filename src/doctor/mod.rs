//! Examining a root: what is wrong in it, where, and what mends it. Changes nothing, decides nothing, and needs neither
//! manifest nor lock: a root must be able to answer for itself.
//!
//! A quick examination reads a few small files of each generation. A deep one reads every byte: of every generation,
//! of the store and of the weights. Nothing of a root is run, unless it is asked for ([`Imports`]).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

use crate::files;
use crate::name::EnvironmentName;
use crate::runtime::Unusable;
use crate::store::{Policy, Root, Verifier, installed, layout};

mod access;
mod environments;
mod filesystem;
mod import;
mod interpreters;
mod leftovers;
mod machine;
mod pythons;
mod quota;
mod store;
mod weights;

pub use access::Reach;
pub use filesystem::{Ability, Filesystem, Room, Tried, room};
pub use import::{Import, Imports};
pub use interpreters::examine_interpreters;
pub use machine::{Driver, Machine, Needs};
pub use quota::{Limit, Quota};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is, in a word that never changes; scripts may rely on it.
    pub code: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong.
    pub message: String,
    /// What mends it.
    pub fix: String,
}

impl Finding {
    /// Something cannot be read, so that what is in it is not known. Where it is closed to us alone, that is no fault.
    fn unreadable(error: &files::Error, fix: &str) -> Self {
        Self {
            code: "unreadable",
            path: error.path.clone(),
            message: error.text(),
            fix: if error.is_refused() {
                "look again as its owner, or as a user who may read it".into()
            } else {
                fix.to_owned()
            },
        }
    }
}

/// What an examination found.
#[derive(Debug)]
pub struct Examination {
    /// What the root's filesystem is and can do.
    pub filesystem: Filesystem,
    /// Who can use the root.
    pub reach: Reach,
    /// What its environments need of a machine.
    pub needs: Vec<Needs>,
    /// How many files were read to the end, and how many bytes they have.
    pub read: (u64, u64),
    /// How the imports that were asked for went.
    pub imports: Option<BTreeMap<EnvironmentName, Import>>,
    /// Everything that is wrong, by path.
    pub findings: Vec<Finding>,
}

/// The root cannot be examined at all.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// There is nothing.
    #[error("there is no root at `{}`", .0.display())]
    #[diagnostic(help(
        "name another one with `--root DIR`, or build this one with `rootstock sync`"
    ))]
    Nothing(PathBuf),
    /// Its layout.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] layout::Error),
    /// An environment that was named cannot run here.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Environment(#[from] Unusable),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Hears how far a deep examination is: bytes read so far.
pub type Watch<'a> = &'a (dyn Fn(u64) + Sync);

/// Examines a root as this machine would use it; programs that know of quotas are looked for on `search_path`. Uses the rayon pool it is called in.
pub fn examine(
    root: &Root,
    machine: &Machine,
    search_path: &OsStr,
    deep: bool,
    imports: Option<&Imports>,
    watch: Watch,
) -> Result<Examination, Error> {
    if !layout::check(root)? {
        return Err(Error::Nothing(root.path().to_owned()));
    }
    let filesystem = filesystem::probe(root, search_path)?;
    let mut findings = filesystem.findings(root);
    let policy = match layout::access(root)?.map(Policy::of).transpose() {
        Ok(policy) => policy,
        Err(error) => {
            findings.push(Finding {
                code: "access-unknown",
                path: root.layout(),
                message: error.to_string(),
                fix:
                    "name a group of this machine as `access` in the manifest, and `rootstock sync`"
                        .into(),
            });
            None
        }
    };
    let root = &root.clone().under(policy);
    let imports = imports.map(|imports| imports.carry_out(root)).transpose()?;
    let verifier = Verifier::new(watch);
    let (reach, found) = access::examine(root, deep)?;
    findings.extend(found);
    let names = environments::names(root)?;
    let there = installed::read(root, &names);
    // Where an import has failed, the files that were imported are looked at as well.
    let is_read = |name: &_| deep || import::has_failed(imports.as_ref(), name);
    findings.extend(environments::examine(root, &there, &|name| {
        is_read(name).then_some(&verifier)
    }));
    let failed = import::findings(root, imports.iter().flatten(), &findings);
    findings.extend(failed);
    findings.extend(interpreters::examine_interpreters(root, &there, deep));
    let needs = machine::needs(root, there.iter());
    findings.extend(machine::findings(root, machine, &needs));
    findings.extend(leftovers::examine(root));
    if deep {
        findings.extend(store::examine(root, &verifier)?);
        findings.extend(pythons::examine(root, &verifier));
    }
    findings.extend(weights::examine(root, deep.then_some(&verifier)));
    findings.sort_by(|a, b| (&a.path, a.code).cmp(&(&b.path, b.code)));
    Ok(Examination {
        filesystem,
        reach,
        needs,
        read: verifier.total(),
        imports,
        findings,
    })
}
