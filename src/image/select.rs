//! What of a root goes into an image: environments and models by name. Reads stamps and lists, none of the files themselves.

use std::collections::BTreeMap;
use std::path::Path;

use super::contents::{Base, Cached, Contents, Environment, Python};
use super::{Error, Record};
use crate::archive;
use crate::digest::Digest;
use crate::files;
use crate::hub;
use crate::name::{EnvironmentName, ModelId};
use crate::runtime::{Selected, Unusable, select as runtime};
use crate::store::stamp::Found;
use crate::store::{Catalogue, Root, Stamp, catalogue, managed, prefetched, weights};

/// What to do about an interpreter that belongs to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SystemPython {
    /// It is an error.
    #[default]
    Refuse,
    /// Take it along.
    Carry,
    /// Require it of the machine where the image is used.
    Require,
}

/// What was chosen.
#[derive(Debug)]
pub(crate) struct Selection {
    /// What the image is to hold.
    pub(crate) contents: Contents,
    /// Models that need files of which nothing is recorded: `sync` has not loaded them.
    pub(crate) not_loaded: Vec<ModelId>,
}

/// Chooses these environments and models; without names, all that the root has. An environment brings all its models, a model
/// only itself, and `ENVIRONMENT:custom` none.
pub(crate) fn select(
    root: &Root,
    names: &[String],
    system: SystemPython,
) -> Result<Selection, NamedError> {
    let catalogue = read(root).map_err(|error| NamedError::of("", error))?;
    let all: Vec<String>;
    let names = if names.is_empty() {
        all = built(root, &catalogue).map_err(|error| NamedError::of("", error))?;
        &all
    } else {
        names
    };
    let mut selecting = Selecting {
        root,
        system,
        catalogue: &catalogue,
        contents: Contents {
            target: String::new(),
            environments: BTreeMap::new(),
            pythons: BTreeMap::new(),
            catalogue: Catalogue {
                schema: catalogue::SCHEMA,
                ..Catalogue::default()
            },
            prefetched: BTreeMap::new(),
            cache: BTreeMap::new(),
        },
        not_loaded: Vec::new(),
    };
    for name in names {
        let added = selecting.add(name);
        added.map_err(|error| NamedError::of(name, error))?;
    }
    Ok(Selection {
        contents: selecting.contents,
        not_loaded: selecting.not_loaded,
    })
}

/// The environments that are built; where none is, the first one, for the error about it.
fn built(root: &Root, catalogue: &Catalogue) -> Result<Vec<String>, Error> {
    let mut built = Vec::new();
    for name in catalogue.environments.keys() {
        if root.resolve(name)?.is_some() {
            built.push(name.to_string());
        }
    }
    if built.is_empty() {
        built.extend(
            catalogue
                .environments
                .keys()
                .next()
                .map(ToString::to_string),
        );
    }
    Ok(built)
}

/// An error, and the name that it is about.
#[derive(Debug)]
pub(crate) struct NamedError {
    /// As it was given.
    pub(crate) name: String,
    /// What is wrong.
    pub(crate) error: Error,
}

impl NamedError {
    fn of(name: &str, error: impl Into<Error>) -> Self {
        Self {
            name: name.to_owned(),
            error: error.into(),
        }
    }
}

fn read(root: &Root) -> Result<Catalogue, Unusable> {
    crate::store::layout::check(root)?;
    let found = Catalogue::read(&root.models())?;
    found
        .filter(|catalogue| !catalogue.environments.is_empty())
        .ok_or_else(|| Unusable::Empty(root.path().display().to_string()))
}

struct Selecting<'a> {
    root: &'a Root,
    system: SystemPython,
    catalogue: &'a Catalogue,
    contents: Contents,
    not_loaded: Vec<ModelId>,
}

impl Selecting<'_> {
    fn add(&mut self, name: &str) -> Result<(), Error> {
        if let Some(name) = name.strip_suffix(runtime::CUSTOM) {
            let selected = runtime::environment(self.root, name)?;
            return self.add_environment(selected);
        }
        match runtime::environment(self.root, name) {
            Ok(selected) => {
                let of_it = |(_, model): &(_, &catalogue::CatalogueModel)| {
                    model.environment == selected.environment
                };
                let models = self.catalogue.models.iter().filter(of_it);
                let models: Vec<ModelId> = models.map(|(id, _)| id.clone()).collect();
                for model in &models {
                    self.add_model(model)?;
                }
                // An environment without models is loaded by its own name.
                if let Ok(itself) = selected.environment.as_str().parse()
                    && models.is_empty()
                    && !self.catalogue.models.contains_key(&itself)
                {
                    self.add_prefetched(&itself)?;
                }
                self.add_environment(selected)
            }
            Err(Unusable::Model { model, .. }) => {
                let Ok(id) = model.parse() else {
                    unreachable!("it is a name of the catalogue")
                };
                let selected = runtime::model(self.root, &model)?;
                self.add_model(&id)?;
                self.add_environment(selected)
            }
            // It may be meant for a model too.
            Err(error @ Unusable::UnknownEnvironment { .. }) => {
                let of_models = runtime::model(self.root, name).err();
                Err(of_models.unwrap_or(error).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn add_environment(&mut self, selected: Selected) -> Result<(), Error> {
        let name = selected.environment;
        if self.contents.environments.contains_key(&name) {
            return Ok(());
        }
        let Found::Stamp(stamp) = Stamp::read(&selected.generation)? else {
            return Err(Unusable::Missing {
                environment: name,
                built: String::new(),
            }
            .into());
        };
        let python = self.base(&name, &stamp)?;
        let environment = Environment {
            python,
            id: stamp.id,
            digest: stamp.digest,
            tree: stamp.tree,
            packages: stamp.packages,
            files: stamp.files,
            bytes: stamp.bytes,
            identity: stamp.python.identity,
        };
        let settings = (name.clone(), selected.settings);
        self.contents.catalogue.environments.extend([settings]);
        self.contents.target = stamp.target;
        self.contents.environments.insert(name, environment);
        Ok(())
    }

    /// The interpreter of a generation, which goes into the image if it may.
    fn base(&mut self, name: &EnvironmentName, stamp: &Stamp) -> Result<Base, Error> {
        let executable = &stamp.python.executable;
        let (archive, system) = match (&stamp.managed, self.system) {
            (Some(id), _) => {
                let home = self.root.pythons().join(id);
                let found = managed::Stamp::read(&home)?;
                let damaged = || Error::Damaged {
                    path: home.clone(),
                    wrong: "has no stamp that can be read".to_owned(),
                    help: format!("repair it: `rootstock sync --repair {name}`"),
                };
                (found.ok_or_else(damaged)?.archive, None)
            }
            (None, SystemPython::Refuse) => {
                return Err(Error::SystemPython {
                    environment: name.clone(),
                    executable: executable.clone(),
                });
            }
            (None, SystemPython::Require) => return Ok(Base::System(executable.clone())),
            (None, SystemPython::Carry) => {
                let parts = stamp.interpreter.iter();
                let parts: Vec<String> = parts.map(|part| part.sha256.to_string()).collect();
                let identity = stamp.python.identity.digest();
                let text = format!(
                    "rootstock system python 1\n{identity}\n{}\n",
                    parts.join("\n")
                );
                (Digest::of(text), Some(stamp.python.clone()))
            }
        };
        let id = managed::id(&archive);
        let (major, minor) = stamp.python.series();
        let python = Python {
            executable: format!("bin/python{major}.{minor}"),
            archive,
            system,
        };
        self.contents.pythons.insert(id.clone(), python);
        Ok(Base::Carried(id))
    }

    fn add_model(&mut self, id: &ModelId) -> Result<(), Error> {
        // Says which of its weights is missing.
        runtime::model(self.root, id.as_str())?;
        let model = self.catalogue.models[id].clone();
        for weight in &model.weights {
            self.add_file(&weight.path, weight.sha256)?;
            self.add_references(&weight.path)?;
        }
        if model.weights.is_empty() && !self.add_prefetched(id)? {
            self.not_loaded.push(id.clone());
        }
        self.contents.catalogue.models.insert(id.clone(), model);
        Ok(())
    }

    /// What a model without weights has fetched when `sync` loaded it; `false` where it has not.
    fn add_prefetched(&mut self, id: &ModelId) -> Result<bool, Error> {
        let Some(found) = prefetched::read(self.root, id, false)? else {
            return Ok(false);
        };
        if let Some(path) = found.gone() {
            return Err(Unusable::Weights {
                model: id.to_string(),
                path: weights::path(self.root, path),
            }
            .into());
        }
        let record: Record = found.record;
        for file in &record.files {
            self.add_file(&file.path, file.sha256)?;
        }
        self.contents.prefetched.insert(id.clone(), record);
        Ok(true)
    }

    /// A file of the cache; a link to another file of it brings that file.
    fn add_file(&mut self, path: &str, sha256: Digest) -> Result<(), Error> {
        let named = |why| Error::Name {
            path: path.to_owned(),
            why,
        };
        archive::check_path(path).map_err(named)?;
        let at = weights::path(self.root, path);
        let target = files::link_target(&at)?;
        let target = target.and_then(|target| target.into_os_string().into_string().ok());
        let file = target.and_then(|target| Some((archive::linked(path, &target)?, target)));
        let holder = match file {
            Some((file, target)) if files::is_file(&weights::path(self.root, &file)) => {
                let link = (path.to_owned(), Cached::Link(target));
                self.contents.cache.extend([link]);
                file
            }
            _ => path.to_owned(),
        };
        let size = files::size(&at)?;
        self.contents
            .cache
            .insert(holder, Cached::File { sha256, size });
        Ok(())
    }

    /// What names the commit of a file of the hub: its library looks for `main`.
    fn add_references(&mut self, path: &str) -> Result<(), Error> {
        let Some((directory, commit)) = hub::references_of(path) else {
            return Ok(());
        };
        for entry in walk(&weights::path(self.root, &directory))? {
            if entry.kind != files::Kind::File {
                continue;
            }
            let path = format!("{directory}/{}", entry.path.display());
            let text = files::read(&weights::path(self.root, &path))?;
            if text.trim_ascii() == commit.as_bytes() {
                self.add_file(&path, Digest::of(text))?;
            }
        }
        Ok(())
    }
}

fn walk(directory: &Path) -> files::Result<Vec<files::Entry>> {
    if files::is_really_directory(directory) {
        files::walk(directory)
    } else {
        Ok(Vec::new())
    }
}
