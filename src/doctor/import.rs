//! Whether environments can be imported, for those who ask: the source of each is imported as a worker would do it, and
//! nothing else of it is run. How that is done is known to `worker::import`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rayon::prelude::*;

use super::Finding;
use crate::files;
use crate::name::EnvironmentName;
use crate::runtime::{Selected, Unusable, Variables, select};
use crate::store::{Catalogue, Root};
use crate::worker::import::{self, TaskError};

/// How many are imported at the same time: each takes a processor, hundreds of megabytes, and on a network filesystem
/// the patience of its server.
const AT_ONCE: usize = 4;

/// Which environments to import, and how.
pub struct Imports<'a> {
    /// Those of these names; all that are built, if there is none.
    pub names: &'a [String],
    /// How long each may take.
    pub patience: Duration,
    /// The variables that we have ourselves.
    pub inherited: &'a Variables,
    /// Hears how many are to be imported, and then how many have been.
    pub watch: &'a (dyn Fn(usize, usize) + Sync),
}

/// How an import went.
#[derive(Debug)]
pub enum Import {
    /// It can be imported.
    Done,
    /// It cannot.
    Failed(TaskError),
    /// It cannot run on this machine, or not at all; other findings say what mends that, where something is wrong.
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
        (self.watch)(count, 0);
        let waiting = Mutex::new(chosen.into_iter());
        let next = || waiting.lock().expect(HELD).next();
        (0..AT_ONCE).into_par_iter().for_each(|_| {
            while let Some((name, selected)) = next() {
                let imported = import::import(root, &selected, self.inherited, self.patience);
                let import = imported.map_or_else(Import::Failed, |()| Import::Done);
                let mut finished = finished.lock().expect(HELD);
                finished.insert(name, import);
                (self.watch)(count, finished.len());
            }
        });
        Ok(done)
    }
}

const HELD: &str = "nobody panics while holding it";

/// Every environment that a link leads to and that models are known of. What is wrong with the catalogue is told elsewhere.
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

/// What cannot be imported; where its files are not what they were, which is known by now, that comes first.
pub(super) fn findings<'a>(
    root: &Root,
    imports: impl Iterator<Item = (&'a EnvironmentName, &'a Import)>,
    known: &[Finding],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, import) in imports {
        let Import::Failed(failure) = import else {
            continue;
        };
        let generation = root.resolve(name).unwrap_or_default();
        let id = generation.as_deref().and_then(Path::file_name);
        let path = id.map(|id| root.generation(name, &id.to_string_lossy()));
        let is_damaged = path.is_some_and(|path| {
            let mut damaged = known.iter().map(|finding| &finding.path);
            damaged.any(|damaged| damaged.starts_with(&path))
        });
        let message = format!(
            "`{name}` cannot be imported: {failure}\n{}",
            failure.details()
        );
        let fix = if is_damaged {
            format!("its files are not as they were built: `rootstock sync --repair {name}`")
        } else {
            format!(
                "its files are as they were built; {}",
                advice(name, failure)
            )
        };
        findings.push(Finding {
            code: "import-failed",
            path: root.current(name),
            message: message.trim_end().to_owned(),
            fix,
        });
    }
    findings
}

fn advice(name: &EnvironmentName, failure: &TaskError) -> String {
    match failure {
        TaskError::Raised(exception) if exception.kind == "ModuleNotFoundError" => format!(
            "add what is missing to its `dependencies`, then `rootstock lock && rootstock sync {name}`"
        ),
        TaskError::Raised(_) => format!(
            "mend its source or its `dependencies`, then `rootstock lock && rootstock sync {name}`; where a driver or MPI is \
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
