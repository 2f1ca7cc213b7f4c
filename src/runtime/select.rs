//! Finds a model or an environment of a root by name, and checks that it can run on this machine.
//!
//! A name is a model id; or an environment, whose `setup` then gets an empty argument; or `ENVIRONMENT:custom`, which
//! loads weights of the user's own. The environment's link is followed once: a worker runs from the real path, whatever
//! is built or switched meanwhile. `NAME@ID` is the same in this generation of the environment, whatever the link leads to.

use std::path::{Path, PathBuf};

use super::selected::{Selected, Unusable};
use crate::about::About;
use crate::files;
use crate::name::EnvironmentName;
use crate::store::chosen;
use crate::store::interpreter::{self, Base};
use crate::store::stamp::Found;
use crate::store::{Catalogue, CatalogueModel, Root, Stamp, inside, layout, weights};
use crate::target::Target;

/// Follows the name of an environment to load weights of the user's own.
pub(crate) const CUSTOM: &str = ":custom";

/// Finds a model that can run here.
pub(crate) fn model(root: &Root, model: &str) -> Result<Selected, Unusable> {
    let catalogue = read(root)?;
    let (model, id) = with_id(model);
    let entry = find(&catalogue, model)?;
    let weights: Vec<PathBuf> = entry
        .weights
        .iter()
        .map(|weight| weights::path(root, &weight.path))
        .collect();
    let selected = usable(root, &catalogue, entry, id)?;
    match weights.iter().find(|weight| !weights::is_there(weight)) {
        Some(absent) => Err(Unusable::Weights {
            model: model.to_owned(),
            path: absent.clone(),
        }),
        None => Ok(Selected {
            cached: weights,
            ..selected
        }),
    }
}

/// Finds the environment of `ENVIRONMENT:custom`, which loads this file.
pub(crate) fn custom(root: &Root, model: &str, weights: &Path) -> Result<Selected, Unusable> {
    let name = model
        .strip_suffix(CUSTOM)
        .ok_or_else(|| Unusable::NotCustom(model.to_owned()))?;
    let catalogue = read(root)?;
    let entry = as_model(&catalogue, name).ok_or_else(|| unknown_environment(&catalogue, name))?;
    if !files::exists(weights) {
        return Err(Unusable::NoFile {
            path: weights.to_owned(),
            advice: "correct the path".to_owned(),
        });
    }
    if !files::is_directory(weights) && files::is_pointer(weights)? {
        return Err(Unusable::Pointer(weights.to_owned()));
    }
    Ok(Selected {
        weights: Some(files::absolute(weights)?),
        ..usable(root, &catalogue, entry, None)?
    })
}

/// Finds an environment that can run here.
pub(crate) fn environment(root: &Root, name: &str) -> Result<Selected, Unusable> {
    let catalogue = read(root)?;
    let (name, id) = with_id(name);
    match as_model(&catalogue, name) {
        Some(entry) => usable(root, &catalogue, entry, id),
        None => Err(match find(&catalogue, name) {
            Ok(model) => Unusable::Model {
                model: name.to_owned(),
                environment: model.environment,
            },
            Err(_) => unknown_environment(&catalogue, name),
        }),
    }
}

/// A name, and the generation that follows it behind an `@`.
fn with_id(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('@') {
        Some((name, id)) if chosen::is_id(id) => (name, Some(id)),
        _ => (name, None),
    }
}

fn unknown(catalogue: &Catalogue, model: &str) -> Unusable {
    let models = catalogue.models.keys().map(ToString::to_string);
    let environments = catalogue.environments.keys().map(ToString::to_string);
    Unusable::Unknown {
        model: model.to_owned(),
        known: names_in(catalogue),
        names: models.chain(environments).collect(),
    }
}

fn unknown_environment(catalogue: &Catalogue, name: &str) -> Unusable {
    let environments = catalogue.environments.keys().map(ToString::to_string);
    let names: Vec<String> = environments.collect();
    Unusable::UnknownEnvironment {
        environment: name.to_owned(),
        known: if names.is_empty() {
            names_in(&Catalogue::default())
        } else {
            format!("it has the environments {}", names.join(", "))
        },
        names,
    }
}

fn read(root: &Root) -> Result<Catalogue, Unusable> {
    layout::check(root)?;
    Catalogue::read(&root.models())?
        .ok_or_else(|| Unusable::Empty(root.path().display().to_string()))
}

/// Checks the generation with this id, or the one that was chosen for the whole job, or the one that the environment's link leads
/// to.
fn usable(
    root: &Root,
    catalogue: &Catalogue,
    entry: CatalogueModel,
    id: Option<&str>,
) -> Result<Selected, Unusable> {
    let environment = entry.environment;
    let chosen = root.chosen(&environment).filter(|_| id.is_none());
    let id = id.or(chosen);
    let missing = || match id {
        Some(id) => Unusable::Generation {
            environment: environment.clone(),
            id: id.to_owned(),
            named: if chosen.is_some() {
                ", which ROOTSTOCK_GENERATION names"
            } else {
                ""
            },
        },
        None => Unusable::Missing {
            environment: environment.clone(),
            built: built(root, catalogue),
        },
    };
    let generation = match id {
        Some(id) => {
            Some(root.generation(&environment, id)).filter(|path| files::is_directory(path))
        }
        None => root.resolve(&environment)?,
    };
    let Some(generation) = generation else {
        return Err(missing());
    };
    let generation = files::real_path(&generation)?;
    let stamp = match Stamp::read(&generation)? {
        Found::Stamp(stamp) => stamp,
        Found::Newer(schema) => {
            return Err(Unusable::Newer {
                environment,
                schema,
            });
        }
        Found::Nothing => return Err(missing()),
    };
    check(&environment, &stamp)?;
    check_python(&environment, &generation, &stamp)?;
    let settings = catalogue.environments.get(&environment).cloned();
    Ok(Selected {
        settings: settings.unwrap_or_default(),
        environment,
        generation,
        argument: entry.argument,
        setup: entry.setup,
        about: entry.about,
        weights: None,
        cached: Vec::new(),
    })
}

fn find(catalogue: &Catalogue, model: &str) -> Result<CatalogueModel, Unusable> {
    if let Ok(id) = model.parse()
        && let Some(found) = catalogue.models.get(&id)
    {
        return Ok(found.clone());
    }
    if let Some(entry) = as_model(catalogue, model) {
        return Ok(entry);
    }
    match model.strip_suffix(CUSTOM) {
        None => Err(unknown(catalogue, model)),
        Some(name) if as_model(catalogue, name).is_none() => {
            Err(unknown_environment(catalogue, name))
        }
        Some(_) => Err(Unusable::NoWeights(model.to_owned())),
    }
}

/// An environment as a model: the argument of `setup` is empty.
fn as_model(catalogue: &Catalogue, name: &str) -> Option<CatalogueModel> {
    let environment = name.parse().ok()?;
    catalogue
        .environments
        .contains_key(&environment)
        .then(|| CatalogueModel {
            environment,
            argument: String::new(),
            setup: serde_json::Map::new(),
            weights: Vec::new(),
            about: About::default(),
            reference: None,
        })
}

fn check(environment: &EnvironmentName, stamp: &Stamp) -> Result<(), Unusable> {
    let here = Target::here().map_or("another machine", |target| target.name());
    if stamp.target != here {
        return Err(Unusable::Foreign {
            environment: environment.clone(),
            target: stamp.target.clone(),
            here: here.to_owned(),
        });
    }
    // An interpreter that was updated in place still runs what was built on it; `sync` rebuilds.
    match interpreter::base(&stamp.interpreter)? {
        Base::Missing(path) => Err(Unusable::Interpreter {
            environment: environment.clone(),
            path,
        }),
        Base::Closed(path) => Err(Unusable::Closed {
            environment: environment.clone(),
            path,
        }),
        Base::Same | Base::Changed(_) => Ok(()),
    }
}

/// Checks that `bin/python` is the interpreter that the environment was built on, and not another Python.
fn check_python(
    environment: &EnvironmentName,
    generation: &Path,
    stamp: &Stamp,
) -> Result<(), Unusable> {
    let path = generation.join(inside::PYTHON);
    let built_on = &stamp.python.executable;
    let wrong = if !files::exists(&path) {
        "is missing".to_owned()
    } else if let Err(error) = files::real_path(&path) {
        format!("is a broken link: {}", error.source)
    } else if !files::is_executable(&path) {
        "is not executable".to_owned()
    } else if files::real_path(&path)? != files::real_path(built_on)? {
        format!(
            "is not the Python it was built on, `{}`",
            built_on.display()
        )
    } else {
        return Ok(());
    };
    Err(Unusable::Python {
        environment: environment.clone(),
        path,
        wrong,
    })
}

fn names_in(catalogue: &Catalogue) -> String {
    let models: Vec<&str> = catalogue
        .models
        .keys()
        .map(crate::name::ModelId::as_str)
        .collect();
    let environments: Vec<&str> = catalogue
        .environments
        .keys()
        .map(EnvironmentName::as_str)
        .collect();
    match (&models[..], &environments[..]) {
        ([], []) => {
            "it has none: add one to `rootstock.toml`, then `rootstock lock && rootstock sync`"
                .to_owned()
        }
        ([], _) => format!("it has the environments {}", environments.join(", ")),
        _ => format!(
            "it has the models {}, and the environments {}",
            models.join(", "),
            environments.join(", ")
        ),
    }
}

/// The environments that are built, as a sentence.
fn built(root: &Root, catalogue: &Catalogue) -> String {
    let mut built = Vec::new();
    for environment in catalogue.environments.keys() {
        // Errors of other environments are not reported here.
        if let Ok(Some(generation)) = root.resolve(environment)
            && let Ok(Found::Stamp(_)) = Stamp::read(&generation)
        {
            built.push(environment.as_str());
        }
    }
    match &built[..] {
        [] => "no environment of this root is built".to_owned(),
        built => format!("built here: {}", built.join(", ")),
    }
}
