//! The environments that names on a command line mean: their own names, or those of their models.

use super::Manifest;
use crate::name::EnvironmentName;
use crate::report::listed;

/// Names that the manifest does not have.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{names} {verb} neither an environment nor a model of the manifest")]
#[diagnostic(help("{environments}\n{models}"))]
pub struct UnknownNames {
    names: String,
    verb: &'static str,
    environments: String,
    models: String,
}

impl Manifest {
    /// The environments with these names, or of the models with these names. Without names: all that are not optional, or
    /// all.
    pub fn environments_named(
        &self,
        names: &[String],
        all: bool,
    ) -> Result<Vec<EnvironmentName>, UnknownNames> {
        if names.is_empty() {
            let chosen = self.environments.iter().filter(|e| all || !e.optional);
            return Ok(chosen.map(|e| e.name.clone()).collect());
        }
        let (mut chosen, mut unknown) = (Vec::new(), Vec::new());
        for name in names {
            match self.environment_of(name) {
                Some(environment) if chosen.contains(environment) => {}
                Some(environment) => chosen.push(environment.clone()),
                None => unknown.push(format!("`{name}`")),
            }
        }
        if unknown.is_empty() {
            return Ok(chosen);
        }
        let environments = self.environments.iter().map(|e| e.name.to_string());
        let models = self.models.iter().map(|m| m.id.to_string());
        Err(UnknownNames {
            names: unknown.join(", "),
            verb: if unknown.len() == 1 { "is" } else { "are" },
            environments: listed("environments:", environments),
            models: listed("models:", models),
        })
    }

    /// The environment of this name, or that of the model of this name.
    fn environment_of(&self, name: &str) -> Option<&EnvironmentName> {
        let environments = self.environments.iter().map(|e| (e.name.as_str(), &e.name));
        let models = self.models.iter().map(|m| (m.id.as_str(), &m.environment));
        let mut known = environments.chain(models);
        known
            .find(|(known, _)| *known == name)
            .map(|(_, found)| found)
    }
}
