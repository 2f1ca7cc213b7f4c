//! Smoke imports: the source of each environment is imported as a worker would do it, and nothing else of it is run. How
//! is known to `worker::import`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rayon::prelude::*;

use super::finding::{Code, Finding};
use crate::files;
use crate::name::EnvironmentName;
use crate::runtime::{Selected, Unusable, Variables, select};
use crate::store::{Catalogue, Root};
use crate::worker::import::{self, TaskError};

/// The number of imports at the same time: each takes a processor, hundreds of megabytes, and time of a network filesystem's
/// server.
const AT_ONCE: usize = 4;

/// Which environments to import, and how.
pub struct Imports<'a> {
    /// Those of these names; all that are built, if there is none.
    pub names: &'a [String],
    /// Time limit of each.
    pub timeout: Duration,
    /// The variables of this process.
    pub inherited: &'a Variables,
    /// Called with the number of imports in all, and of those that are finished.
    pub on_progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// The outcome of an import.
#[derive(Debug)]
pub enum Import {
    /// It can be imported.
    Done,
    /// It cannot.
    Failed(TaskError),
    /// It cannot run on this machine, or not at all; other findings have the fix, where something is wrong.
    Unusable(Unusable),
}

impl Imports<'_> {
    pub(super) fn carry_out(
        &self,
        root: &Root,
    ) -> Result<BTreeMap<EnvironmentName, Import>, Unusable> {
        let mut done = BTreeMap::new();
        let mut chosen: BTreeMap<EnvironmentName, Selected> = BTreeMap::new();
        for name in self.names {
            let selected = select::environment(root, name)?;
            chosen.insert(selected.environment.clone(), selected);
        }
        if self.names.is_empty() {
            for name in built(root) {
                match select::environment(root, name.as_str()) {
                    Ok(selected) => drop(chosen.insert(name, selected)),
                    Err(error) => drop(done.insert(name, Import::Unusable(error))),
                }
            }
        }
        let (count, finished) = (chosen.len(), Mutex::new(&mut done));
        (self.on_progress)(count, 0);
        let waiting = Mutex::new(chosen.into_iter());
        let next = || waiting.lock().expect(HELD).next();
        (0..AT_ONCE).into_par_iter().for_each(|_| {
            while let Some((name, selected)) = next() {
                let imported = import::import(root, &selected, self.inherited, self.timeout);
                let import = imported.map_or_else(Import::Failed, |()| Import::Done);
                let mut finished = finished.lock().expect(HELD);
                finished.insert(name, import);
                (self.on_progress)(count, finished.len());
            }
        });
        Ok(done)
    }
}

const HELD: &str = "no thread panics while holding it";

/// Every environment that a link leads to and that models are known of. A broken catalogue is reported elsewhere.
fn built(root: &Root) -> Vec<EnvironmentName> {
    let catalogue = Catalogue::read(&root.models()).ok().flatten();
    let names = catalogue.unwrap_or_default().environments.into_keys();
    names
        .filter(|name| files::exists(&root.current(name)))
        .collect()
}

/// Whether this one could not be imported.
pub(super) fn has_failed(
    imports: Option<&BTreeMap<EnvironmentName, Import>>,
    name: &EnvironmentName,
) -> bool {
    let import = imports.and_then(|imports| imports.get(name));
    matches!(import, Some(Import::Failed(_)))
}

/// Failed imports. Damage that is known by now is blamed first.
pub(super) fn findings<'a>(
    root: &Root,
    imports: impl Iterator<Item = (&'a EnvironmentName, &'a Import)>,
    known: &[Finding],
) -> Vec<Finding> {
    let failed = imports.filter_map(|(name, import)| match import {
        Import::Failed(failure) => Some((name, failure)),
        Import::Done | Import::Unusable(_) => None,
    });
    failed
        .map(|(name, failure)| {
            let message = format!(
                "`{name}` cannot be imported: {failure}\n{}",
                failure.details()
            );
            let fix = if is_damaged(root, name, known) {
                format!("its files are not as they were built: `rootstock sync --repair {name}`")
            } else {
                format!("its files are as they were built; {}", fix(name, failure))
            };
            Finding::new(
                Code::ImportFailed,
                root.current(name),
                message.trim_end(),
                fix,
            )
        })
        .collect()
}

/// Whether there are findings about an environment's current generation.
fn is_damaged(root: &Root, name: &EnvironmentName, known: &[Finding]) -> bool {
    let generation = root.resolve(name).unwrap_or_default();
    let id = generation.as_deref().and_then(Path::file_name);
    id.is_some_and(|id| {
        let path = root.generation(name, &id.to_string_lossy());
        known.iter().any(|finding| finding.path.starts_with(&path))
    })
}

fn fix(name: &EnvironmentName, failure: &TaskError) -> String {
    match failure {
        TaskError::Raised(exception) if exception.kind == "ModuleNotFoundError" => format!(
            "add what is missing to its `dependencies`, then `rootstock lock && rootstock sync {name}`"
        ),
        TaskError::Raised(_) => format!(
            "fix its source or its `dependencies`, then `rootstock lock && rootstock sync {name}`; where a driver or MPI is \
             missing, look again on a node that has it"
        ),
        TaskError::Died { .. } => {
            "look again where it is to run: a login node may lack memory, a driver, MPI or instructions of the processor"
                .to_owned()
        }
        TaskError::TimedOut { .. } => {
            "give it more time with `--import-timeout`, or look again where it is to run".to_owned()
        }
        TaskError::Process(_) | TaskError::System(_) => "look again on another node".to_owned(),
    }
}
