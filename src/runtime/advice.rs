//! Advice where a model or an environment cannot be used: the manifest may know one that the root does not have yet, and a name
//! may be misspelt. The manifest is read only then; what is built runs without it.

use std::path::Path;

use super::Unusable;
use super::select::CUSTOM;
use crate::manifest::{Manifest, nearest, path_advice};

/// Where names that the root lacks may be declared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Project<'a> {
    /// Its manifest; there may be none.
    pub(crate) manifest: &'a Path,
    /// The root, where it is not the manifest's.
    pub(crate) root: Option<&'a Path>,
}

/// The manifest's names of environments, each with those of its models.
struct Known(Vec<(String, Vec<String>)>);

/// The same error, with what to do about it in this project.
pub(crate) fn with_advice(error: Unusable, name: &str, project: Project) -> Unusable {
    match error {
        Unusable::Unknown { .. } | Unusable::UnknownEnvironment { .. } | Unusable::Empty(_) => {
            let known = Known::read(project.manifest);
            known
                .not_built(name, project.root)
                .unwrap_or_else(|| suggest(error, &known, name))
        }
        Unusable::NoFile { path, .. } => Unusable::NoFile {
            advice: path_advice(&path),
            path,
        },
        error => error,
    }
}

impl Known {
    /// None where there is no manifest, or one that cannot be read.
    fn read(manifest: &Path) -> Self {
        let Ok(manifest) = Manifest::load(manifest, Path::new("")) else {
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

    fn not_built(&self, name: &str, root: Option<&Path>) -> Option<Unusable> {
        let plain = name.strip_suffix(CUSTOM).unwrap_or(name);
        let (environment, models) = self.0.iter().find(|(environment, models)| {
            environment == plain || models.iter().any(|model| model == name)
        })?;
        let is_model = models.iter().any(|model| model == name);
        Some(Unusable::NotBuilt {
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
