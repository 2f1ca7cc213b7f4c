//! What is reported where a model or an environment cannot be used: the manifest may know one that the root does not have yet,
//! and a name may be misspelt. The manifest is read only then; what is built runs without it.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::{Shared, given};
use crate::manifest::{Manifest, nearest};
use crate::runtime::Unusable;
use crate::runtime::select::CUSTOM;

/// The manifest's names of environments, each with those of its models.
struct Known(Vec<(String, Vec<String>)>);

/// Something of the manifest that `sync` has not built yet.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("environment `{environment}` is not built in the root{model}")]
#[diagnostic(help("build it with `rootstock sync {environment}{root}`"))]
struct NotBuilt {
    environment: String,
    /// The model that needs it, if one was named.
    model: String,
    /// `--root`, where it is not the manifest's.
    root: String,
}

/// The report about a name that cannot be used, with its exit code.
pub(super) fn failure(error: Unusable, name: &str, shared: &Shared) -> Failure {
    let report = match error {
        Unusable::Unknown { .. } | Unusable::UnknownEnvironment { .. } | Unusable::Empty(_) => {
            let known = Known::read(shared);
            if let Some(not_built) = known.not_built(name, shared) {
                return Failure {
                    report: not_built.into(),
                    exit: Exit::Environment,
                };
            }
            suggest(error, &known, name)
        }
        Unusable::NoFile { path, .. } => Unusable::NoFile {
            advice: given::advice(&path),
            path,
        },
        error => error,
    };
    let exit = match report {
        Unusable::Unknown { .. }
        | Unusable::UnknownEnvironment { .. }
        | Unusable::Model { .. }
        | Unusable::NoWeights(_)
        | Unusable::NotCustom(_)
        | Unusable::NoFile { .. }
        | Unusable::Pointer { .. } => Exit::Usage,
        _ => Exit::Environment,
    };
    Failure {
        report: report.into(),
        exit,
    }
}

impl Known {
    /// None where there is no manifest, or one that cannot be read.
    fn read(shared: &Shared) -> Self {
        let Ok(manifest) = Manifest::load(&shared.manifest, Path::new("")) else {
            return Self(Vec::new());
        };
        let environments = manifest.environments.iter().map(|environment| {
            let models = manifest.models.iter();
            let models = models.filter(|model| model.environment == environment.name);
            (
                environment.name.to_string(),
                models.map(|model| model.id.to_string()).collect(),
            )
        });
        Self(environments.collect())
    }

    fn not_built(&self, name: &str, shared: &Shared) -> Option<NotBuilt> {
        let plain = name.strip_suffix(CUSTOM).unwrap_or(name);
        let (environment, models) = self.0.iter().find(|(environment, models)| {
            environment == plain || models.iter().any(|model| model == name)
        })?;
        let is_model = models.iter().any(|model| model == name);
        let root = shared.root.as_ref();
        Some(NotBuilt {
            environment: environment.clone(),
            model: if is_model {
                format!(", and model `{name}` needs it")
            } else {
                String::new()
            },
            root: root.map_or_else(String::new, |root| format!(" --root {}", root.display())),
        })
    }
}

/// The same error with the name that was probably meant.
fn suggest(error: Unusable, known: &Known, name: &str) -> Unusable {
    let (name, custom) = name
        .strip_suffix(CUSTOM)
        .map_or((name, ""), |name| (name, CUSTOM));
    let with =
        |names: &[String], known: String| match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}{custom}`? {known}"),
            None => known,
        };
    match error {
        Unusable::Unknown {
            model,
            known: help,
            mut names,
        } => {
            for (environment, models) in &known.0 {
                names.push(environment.clone());
                names.extend(models.iter().cloned());
            }
            let known = with(&names, help);
            Unusable::Unknown {
                model,
                known,
                names,
            }
        }
        Unusable::UnknownEnvironment {
            environment,
            known: help,
            mut names,
        } => {
            names.extend(known.0.iter().map(|(environment, _)| environment.clone()));
            let known = with(&names, help);
            Unusable::UnknownEnvironment {
                environment,
                known,
                names,
            }
        }
        error => error,
    }
}
