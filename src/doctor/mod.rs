//! Diagnoses a root, including problems only other users would hit, and gives the fix of each. Changes nothing, and needs
//! neither manifest nor lock.
//!
//! A quick examination reads a few small files of each generation. A deep one reads every byte: of every generation,
//! of the store and of the weights. Nothing in a root is run, unless it is asked for ([`Imports`]).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

use crate::files;
use crate::name::EnvironmentName;
use crate::runtime::Unusable;
use crate::store::installed::Generation;
use crate::store::{Installed, Policy, Root, Stamp, Verifier, installed, layout};

mod access;
mod environments;
mod filesystem;
mod finding;
mod import;
mod interpreters;
mod leftovers;
mod machine;
mod pythons;
mod quota;
mod report;
mod store;
mod weights;

pub use access::Reach;
pub use filesystem::{Ability, Filesystem, ProbeResult, Room, room};
pub use finding::{Code, Finding};
pub use import::{Import, Imports};
pub use interpreters::examine_interpreters;
pub(crate) use machine::glibc_floor;
pub use machine::{Driver, Machine, Need, Needs};
pub use quota::{Limit, Quota};
pub use report::{Read, Report};

/// The root cannot be examined at all.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It does not exist.
    #[error("there is no root at `{}`", .0.display())]
    #[diagnostic(help(
        "name another one with `--root DIR`, or build this one with `rootstock sync`"
    ))]
    Nothing(PathBuf),
    /// Its layout is unknown.
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

/// A folder that is none: what it leads to is not the root's.
fn replaced(error: &layout::Error) -> Option<Finding> {
    let layout::Error::NoFolder { path, .. } = error else {
        return None;
    };
    let fix = format!("rm {} && rootstock sync", files::quoted(path));
    Some(Finding::new(
        Code::FolderReplaced,
        path,
        error.to_string(),
        fix,
    ))
}

/// Called with the number of bytes read so far.
pub type OnProgress<'a> = &'a (dyn Fn(u64) + Sync);

/// What to examine beside the small files of a root, and how.
pub struct Options<'a> {
    /// Read every byte.
    pub deep: bool,
    /// Import environments.
    pub imports: Option<Imports<'a>>,
    /// Where to look for programs that know of quotas.
    pub search_path: &'a OsStr,
    /// Follows a deep examination.
    pub on_progress: OnProgress<'a>,
}

/// Examines a root as this machine would use it. Uses the rayon pool it is called in.
pub fn examine(root: &Root, machine: Machine, options: &Options) -> Result<Report, Error> {
    if !layout::check(root)? {
        return Err(Error::Nothing(root.path().to_owned()));
    }
    let filesystem = filesystem::probe(root, options.search_path)?;
    let mut findings = filesystem.findings(root);
    if let Err(error) = layout::check_folders(root) {
        findings.extend(replaced(&error));
    }
    let policy = match policy(root)? {
        Ok(policy) => policy,
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let root = &root.clone().under(policy);
    let imports = options.imports.as_ref();
    let imports = imports.map(|imports| imports.carry_out(root)).transpose()?;
    let verifier = Verifier::new(options.on_progress);
    let (access, found) = access::examine(root, options.deep)?;
    findings.extend(found);
    let there = installed::read(root, &environments::names(root)?);
    let needs = machine::needs(root, there.iter());
    findings.extend(machine::findings(root, &machine, &needs));
    findings.extend(contents(
        root,
        &there,
        imports.as_ref(),
        &verifier,
        options.deep,
    )?);
    findings.sort_by(|a, b| (&a.path, a.code).cmp(&(&b.path, b.code)));
    let (files, bytes) = verifier.total();
    Ok(Report {
        root: root.path().to_owned(),
        filesystem,
        access,
        machine,
        needs,
        imports,
        read: Read { files, bytes },
        findings,
    })
}

/// What the current generations of these environments need of a machine.
pub(crate) fn needs_of<'a>(
    root: &Root,
    names: impl Iterator<Item = &'a EnvironmentName>,
) -> Vec<Needs> {
    machine::needs(root, installed::read(root, names).iter())
}

/// The policy of a root, or the finding that this machine cannot apply it.
fn policy(root: &Root) -> Result<Result<Option<Policy>, Finding>, Error> {
    let policy = layout::access(root)?.map(Policy::of).transpose();
    Ok(policy.map_err(|error| {
        let fix = "name a group of this machine as `access` in the manifest, and `rootstock sync`";
        Finding::new(Code::AccessUnknown, root.layout(), error.to_string(), fix)
    }))
}

/// Findings about the files of a root.
fn contents(
    root: &Root,
    there: &BTreeMap<EnvironmentName, Installed>,
    imports: Option<&BTreeMap<EnvironmentName, Import>>,
    verifier: &Verifier,
    deep: bool,
) -> Result<Vec<Finding>, Error> {
    // Where an import has failed, the files that were imported are read as well.
    let is_read = |name: &_| deep || import::has_failed(imports, name);
    let mut findings =
        environments::examine(root, there, &|name| is_read(name).then_some(verifier));
    let failed = import::findings(root, imports.into_iter().flatten(), &findings);
    findings.extend(failed);
    let stamps: Vec<(&EnvironmentName, &Stamp)> = there
        .iter()
        .filter_map(|(name, there)| match there.current()? {
            Generation::Complete(complete) => Some((name, &complete.stamp)),
            _ => None,
        })
        .collect();
    findings.extend(examine_interpreters(root, &stamps, deep));
    findings.extend(leftovers::examine(root));
    if deep {
        findings.extend(store::examine(root, verifier)?);
        findings.extend(pythons::examine(root, verifier));
    }
    findings.extend(weights::examine(root, deep.then_some(verifier)));
    Ok(findings)
}
