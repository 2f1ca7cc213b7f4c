//! What a model's name means in a root, and whether it can run here. Reads what `sync` left and nothing else; builds
//! nothing.
//!
//! A name is a model id; or the name of an environment, which then gets an empty argument; or `ENVIRONMENT:custom`, which
//! gets weights of the user's own. The environment's link is followed once: a worker runs from the real path, whatever is
//! built or switched while it runs.

use std::path::{Path, PathBuf};

use crate::files;
use crate::name::EnvironmentName;
use crate::store::interpreter::{self, Base};
use crate::store::stamp::Found;
use crate::store::{
    Catalogue, CatalogueEnvironment, CatalogueModel, Root, Stamp, catalogue, inside, layout,
    weights,
};
use crate::target::Target;

/// What follows the name of an environment, for weights of the user's own.
const CUSTOM: &str = ":custom";

/// A model that can run here.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Its environment.
    pub environment: EnvironmentName,
    /// The real path of the generation.
    pub generation: PathBuf,
    /// The argument of `setup`.
    pub argument: String,
    /// Extra keyword arguments of `setup`.
    pub setup: serde_json::Map<String, serde_json::Value>,
    /// Weights of the user's own, for `setup_from_path` in place of `setup`.
    pub weights: Option<PathBuf>,
    /// The model's files in the cache.
    pub cached: Vec<PathBuf>,
    /// What the manifest says of the variables it runs with, unexpanded.
    pub settings: CatalogueEnvironment,
}

/// A model cannot run here.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A root of another layout.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] layout::Error),
    /// A catalogue that cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// A file that cannot be read.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// Nothing was ever built here.
    #[error("nothing is built in the root `{0}`")]
    #[diagnostic(help("run `rootstock sync` there, or name another root with `--root`"))]
    Empty(String),
    /// Nobody says which weights.
    #[error("`{0}` has no weights but yours")]
    #[diagnostic(help("name their file with `--weights FILE`"))]
    NoWeights(String),
    /// Weights for a model that has its own.
    #[error("`{0}` has its own weights and takes no others")]
    #[diagnostic(help("a model with weights of your own is called `ENVIRONMENT:custom`"))]
    NotCustom(String),
    /// The user's weights are not there.
    #[error("there is no weights file `{}`", .0.display())]
    NoFile(PathBuf),
    /// The user's weights are none.
    #[error("`{}` is a pointer of Git LFS, not the weights themselves", .0.display())]
    #[diagnostic(help("run `git lfs pull` where it lies"))]
    Pointer(PathBuf),
    /// No model and no environment.
    #[error("the root knows no model `{model}`")]
    #[diagnostic(help("{known}"))]
    Unknown {
        /// As typed.
        model: String,
        /// What it could have been.
        known: String,
        /// The same, name by name.
        names: Vec<String>,
    },
    /// No environment, where only one will do.
    #[error("the root has no environment `{environment}`")]
    #[diagnostic(help("{known}"))]
    UnknownEnvironment {
        /// As typed.
        environment: String,
        /// What it could have been.
        known: String,
        /// The same, name by name.
        names: Vec<String>,
    },
    /// No environment, but a model of one.
    #[error("`{model}` is a model, and this is about environments")]
    #[diagnostic(help("it runs in the environment `{environment}`"))]
    Model {
        /// As typed.
        model: String,
        /// Where it runs.
        environment: EnvironmentName,
    },
    /// The environment was not built.
    #[error("environment `{environment}` is not built")]
    #[diagnostic(help("build it with `rootstock sync {environment}`; {built}"))]
    Missing {
        /// Which.
        environment: EnvironmentName,
        /// What is.
        built: String,
    },
    /// A weight file is not in the cache.
    #[error("the weights of `{model}` are not there: `{}`", path.display())]
    #[diagnostic(help("fetch them with `rootstock sync {model}`"))]
    Weights {
        /// Which model.
        model: String,
        /// Where they should be.
        path: PathBuf,
    },
    /// The environment was built for another machine.
    #[error("environment `{environment}` was built for {target}, and this machine is {here}")]
    #[diagnostic(help(
        "use a root of this machine's own; there, build it with `rootstock sync {environment}`"
    ))]
    Foreign {
        /// Which.
        environment: EnvironmentName,
        /// For what.
        target: String,
        /// What this is.
        here: String,
    },
    /// The environment was built by a later rootstock.
    #[error("environment `{environment}` was built by a newer rootstock (schema {schema})")]
    #[diagnostic(help(
        "use that rootstock, or build it again with this one: `rootstock sync {environment}`"
    ))]
    Newer {
        /// Which.
        environment: EnvironmentName,
        /// The schema of its stamp.
        schema: u32,
    },
    /// Its own `bin/python` is not the interpreter it was built on.
    #[error("the Python of environment `{environment}` cannot be used: `{}` {wrong}", path.display())]
    #[diagnostic(help("repair the environment: `rootstock sync --repair {environment}`"))]
    Python {
        /// Which.
        environment: EnvironmentName,
        /// Its `bin/python`.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
    /// The interpreter below it is closed to us.
    #[error("the Python of environment `{environment}` is closed to you: `{}`", path.display())]
    #[diagnostic(help(
        "have the owner of the root run `rootstock doctor`: it names the directory that others cannot pass"
    ))]
    Closed {
        /// Which.
        environment: EnvironmentName,
        /// The file that cannot be read.
        path: PathBuf,
    },
    /// The interpreter below it is gone.
    #[error("the Python of environment `{environment}` is gone: `{}`", path.display())]
    #[diagnostic(help("build it again on another one: `rootstock sync {environment}`"))]
    Interpreter {
        /// Which.
        environment: EnvironmentName,
        /// The interpreter's missing file.
        path: PathBuf,
    },
}

/// Finds a model and makes sure that its environment can run here.
pub fn select(root: &Root, model: &str) -> Result<Selected, Error> {
    let catalogue = read(root)?;
    let meaning = find(&catalogue, model)?;
    let weights: Vec<PathBuf> = meaning
        .weights
        .iter()
        .map(|weight| weights::path(root, &weight.path))
        .collect();
    let selected = usable(root, &catalogue, meaning)?;
    match weights.iter().find(|weight| !weights::is_there(weight)) {
        Some(absent) => Err(Error::Weights {
            model: model.to_owned(),
            path: absent.clone(),
        }),
        None => Ok(Selected {
            cached: weights,
            ..selected
        }),
    }
}

/// Finds the environment of `ENVIRONMENT:custom`, which will load this file.
pub fn custom(root: &Root, model: &str, weights: &Path) -> Result<Selected, Error> {
    let name = model
        .strip_suffix(CUSTOM)
        .ok_or_else(|| Error::NotCustom(model.to_owned()))?;
    let catalogue = read(root)?;
    let meaning = itself(&catalogue, name).ok_or_else(|| unknown(&catalogue, model))?;
    if !files::exists(weights) {
        return Err(Error::NoFile(weights.to_owned()));
    }
    if !files::is_directory(weights) && files::is_pointer(weights)? {
        return Err(Error::Pointer(weights.to_owned()));
    }
    Ok(Selected {
        weights: Some(files::absolute(weights)?),
        ..usable(root, &catalogue, meaning)?
    })
}

/// Finds an environment, whatever models it has, and makes sure that it can run here.
pub fn environment(root: &Root, name: &str) -> Result<Selected, Error> {
    let catalogue = read(root)?;
    match itself(&catalogue, name) {
        Some(meaning) => usable(root, &catalogue, meaning),
        None => Err(match find(&catalogue, name) {
            Ok(model) => Error::Model {
                model: name.to_owned(),
                environment: model.environment,
            },
            Err(_) => unknown_environment(&catalogue, name),
        }),
    }
}

fn unknown(catalogue: &Catalogue, model: &str) -> Error {
    let models = catalogue.models.keys().map(ToString::to_string);
    let environments = catalogue.environments.keys().map(ToString::to_string);
    Error::Unknown {
        model: model.to_owned(),
        known: known(catalogue),
        names: models.chain(environments).collect(),
    }
}

fn unknown_environment(catalogue: &Catalogue, name: &str) -> Error {
    let environments = catalogue.environments.keys().map(ToString::to_string);
    let names: Vec<String> = environments.collect();
    Error::UnknownEnvironment {
        environment: name.to_owned(),
        known: if names.is_empty() {
            known(&Catalogue::default())
        } else {
            format!("it has the environments {}", names.join(", "))
        },
        names,
    }
}

fn read(root: &Root) -> Result<Catalogue, Error> {
    layout::check(root)?;
    Catalogue::read(&root.models())?.ok_or_else(|| Error::Empty(root.path().display().to_string()))
}

/// Follows the environment's link, once, and reads what stands there.
fn usable(root: &Root, catalogue: &Catalogue, meaning: CatalogueModel) -> Result<Selected, Error> {
    let environment = meaning.environment;
    let missing = || Error::Missing {
        environment: environment.clone(),
        built: built(root, catalogue),
    };
    let Some(generation) = root.resolve(&environment)? else {
        return Err(missing());
    };
    let stamp = match Stamp::read(&generation)? {
        Found::Stamp(stamp) => stamp,
        Found::Newer(schema) => {
            return Err(Error::Newer {
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
        argument: meaning.argument,
        setup: meaning.setup,
        weights: None,
        cached: Vec::new(),
    })
}

fn find(catalogue: &Catalogue, model: &str) -> Result<CatalogueModel, Error> {
    if let Ok(id) = model.parse()
        && let Some(found) = catalogue.models.get(&id)
    {
        return Ok(found.clone());
    }
    if let Some(meaning) = itself(catalogue, model) {
        return Ok(meaning);
    }
    if model.ends_with(CUSTOM) {
        return Err(Error::NoWeights(model.to_owned()));
    }
    Err(unknown(catalogue, model))
}

/// An environment taken for a model: the argument of `setup` is empty.
fn itself(catalogue: &Catalogue, name: &str) -> Option<CatalogueModel> {
    let environment = name.parse().ok()?;
    catalogue
        .environments
        .contains_key(&environment)
        .then(|| CatalogueModel {
            environment,
            argument: String::new(),
            setup: serde_json::Map::new(),
            weights: Vec::new(),
        })
}

fn check(environment: &EnvironmentName, stamp: &Stamp) -> Result<(), Error> {
    let here = Target::here().map_or("another machine", |target| target.name());
    if stamp.target != here {
        return Err(Error::Foreign {
            environment: environment.clone(),
            target: stamp.target.clone(),
            here: here.to_owned(),
        });
    }
    // An interpreter that was updated in place still runs what was built on it; `sync` is who rebuilds.
    match interpreter::base(&stamp.interpreter)? {
        Base::Missing(path) => Err(Error::Interpreter {
            environment: environment.clone(),
            path,
        }),
        Base::Closed(path) => Err(Error::Closed {
            environment: environment.clone(),
            path,
        }),
        Base::Same | Base::Changed(_) => Ok(()),
    }
}

/// Makes sure that `bin/python` leads to the interpreter that the environment was built on: whatever else were started in its
/// place, it would be another Python.
fn check_python(
    environment: &EnvironmentName,
    generation: &Path,
    stamp: &Stamp,
) -> Result<(), Error> {
    let path = generation.join(inside::PYTHON);
    let built_on = &stamp.python.executable;
    let wrong = if !files::exists(&path) {
        "is missing".to_owned()
    } else if let Err(error) = files::real_path(&path) {
        format!("leads nowhere: {}", error.source)
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
    Err(Error::Python {
        environment: environment.clone(),
        path,
        wrong,
    })
}

fn known(catalogue: &Catalogue) -> String {
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
            "it knows none: add one to `rootstock.toml`, then `rootstock lock && rootstock sync`"
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

/// Which environments are there to be used instead.
fn built(root: &Root, catalogue: &Catalogue) -> String {
    let mut built = Vec::new();
    for environment in catalogue.environments.keys() {
        // What is wrong with another one is not what was asked.
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
