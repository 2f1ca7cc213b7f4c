//! Environments are added to a project, or removed from it. Sources are written first, the manifest is checked as it will be, and
//! renamed into its place last; what was written is taken back if something is wrong. So a project is never left half changed.

use std::fmt;
use std::path::{Path, PathBuf};

use toml_edit::{Item, TableLike};

use super::addition::Addition;
use super::carried;
use super::document::{Conflict, Document};
use crate::files;
use crate::manifest::{Complaints, Manifest, Text};
use crate::name::EnvironmentName;
use crate::report::{counted, line, listed};

/// A project cannot be changed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// A file operation.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// The manifest, as it is or would be.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Complaints(#[from] Complaints),
    /// The manifest says something else already.
    #[error(
        "environment `{environment}` would be another one than the manifest has:\n{}",
        conflict_lines(conflicts)
    )]
    #[diagnostic(help(
        "add it under another name with `--name`, or make the manifest agree; nothing was written"
    ))]
    Conflicts {
        /// The environment's name.
        environment: EnvironmentName,
        /// What differs.
        conflicts: Vec<Conflict>,
    },
    /// Another file has the place of the source.
    #[error("`{}` is there already and is another file", path.display())]
    #[diagnostic(help(
        "add the environment under another name with `--name`, or move that file away; nothing was written"
    ))]
    Occupied {
        /// The path of the file.
        path: PathBuf,
    },
    /// There is no such environment.
    #[error("the manifest has no environment `{name}`")]
    #[diagnostic(help("{known}"))]
    Unknown {
        /// The name.
        name: String,
        /// Those that it has.
        known: String,
    },
}

fn conflict_lines(conflicts: &[Conflict]) -> String {
    let lines = conflicts.iter().map(|conflict| {
        let Conflict { key, is, wanted } = conflict;
        format!("  {key} is {is}, not {wanted}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What has become of an environment.
#[derive(Debug)]
pub(crate) struct Changed {
    name: EnvironmentName,
    source: String,
    models: usize,
    /// Whether something was changed.
    differs: bool,
}

/// What has become of several environments.
#[derive(Debug)]
pub(crate) struct Added(pub(crate) Vec<Changed>);

impl Added {
    /// The names of those for which something was changed.
    pub(crate) fn names(&self) -> Vec<&str> {
        let changed = self.0.iter().filter(|one| one.differs);
        changed.map(|one| one.name.as_str()).collect()
    }
}

impl fmt::Display for Added {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.0 {
            let Changed {
                name,
                source,
                models,
                differs,
            } = one;
            if !differs {
                line(
                    out,
                    format_args!("{name} is in the manifest already: nothing changed"),
                )?;
                continue;
            }
            let models = match models {
                0 => String::new(),
                models => format!(", {}", counted(*models, "model")),
            };
            line(
                out,
                format_args!("added environment {name}: {source}{models}"),
            )?;
        }
        Ok(())
    }
}

/// The manifest with its text.
struct Project<'a> {
    path: &'a Path,
    /// Where it really is.
    file: PathBuf,
    text: String,
    document: Document,
}

impl<'a> Project<'a> {
    fn read(path: &'a Path) -> Result<Self, Error> {
        let file = files::real_path(path)?;
        let text = files::read_text(&file)?;
        let document = Document::parse(&text).map_err(|_| {
            let mut shown = Text::new(&path.display().to_string(), text.clone());
            let (_, errors) = toml::de::DeTable::parse_recoverable(&text);
            for error in &errors {
                shown.complain_syntax(error);
            }
            Complaints::with_headline(shown.complaints, "wrong with the manifest")
        })?;
        Ok(Self {
            path,
            file,
            text,
            document,
        })
    }

    /// The manifest's directory.
    fn here(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Replaces the manifest, if it has changed and is right.
    fn write(&self) -> Result<(), Error> {
        let text = self.document.text();
        Manifest::check(self.path, text.clone())?;
        if text != self.text {
            files::write_atomically(&self.file, text.as_bytes())?;
        }
        Ok(())
    }
}

/// Adds environments to the manifest at this path: all of them, or none.
pub(crate) fn add(manifest: &Path, additions: &[Addition]) -> Result<Added, Error> {
    let mut project = Project::read(manifest)?;
    let mut sources = Sources::default();
    let mut added = Vec::new();
    for addition in additions {
        let name = addition.name.clone();
        let place = project.here().join(&addition.source);
        let mut is_new = sources.plan(&place, &addition.text, addition.replaces.as_deref())?;
        for (path, text) in &addition.beside {
            is_new |= sources.plan(&project.here().join(path), text, None)?;
        }
        let applied = addition.apply(&mut project.document);
        let changed = applied.map_err(|conflicts| Error::Conflicts {
            environment: name.clone(),
            conflicts,
        })?;
        added.push(Changed {
            name,
            source: addition.source.clone(),
            models: addition.models.len(),
            differs: changed || is_new,
        });
    }
    sources.write()?;
    match project.write() {
        Ok(()) => Ok(Added(added)),
        Err(error) => {
            sources.take_back();
            Err(error)
        }
    }
}

/// Sources that are written before the manifest names them.
#[derive(Default)]
struct Sources {
    planned: Vec<(PathBuf, String, Option<String>)>,
    written: Vec<(PathBuf, Option<String>)>,
    directories: Vec<PathBuf>,
}

impl Sources {
    /// Whether a source is still to be written. Another file in its place is an error.
    fn plan(&mut self, place: &Path, text: &str, replaces: Option<&str>) -> Result<bool, Error> {
        if files::exists(place) {
            let there = files::read_text(place)?;
            if there == text {
                return Ok(false);
            }
            if replaces != Some(there.as_str()) {
                return Err(Error::Occupied {
                    path: place.to_owned(),
                });
            }
        }
        let replaces = replaces.map(str::to_owned);
        let planned = (place.to_owned(), text.to_owned(), replaces);
        if self.planned.contains(&planned) {
            return Ok(true);
        }
        self.planned.push(planned);
        Ok(true)
    }

    fn write(&mut self) -> Result<(), Error> {
        for (place, text, replaces) in std::mem::take(&mut self.planned) {
            let written = self.write_one(&place, &text, replaces);
            if written.is_err() {
                self.take_back();
            }
            written?;
        }
        Ok(())
    }

    fn write_one(
        &mut self,
        place: &Path,
        text: &str,
        replaces: Option<String>,
    ) -> Result<(), Error> {
        if replaces.is_some() {
            files::write_atomically(place, text.as_bytes())?;
        } else {
            let directory = place.parent().unwrap_or(Path::new(""));
            let new = directory
                .ancestors()
                .take_while(|above| !above.as_os_str().is_empty() && !files::exists(above));
            self.directories.extend(new.map(Path::to_owned));
            files::create_directories(directory)?;
            if !files::write_new(place, text.as_bytes())? {
                return Err(Error::Occupied {
                    path: place.to_owned(),
                });
            }
        }
        self.written.push((place.to_owned(), replaces));
        Ok(())
    }

    /// Makes everything as it was. An error is ignored: the one that led here is reported.
    fn take_back(&mut self) {
        for (place, replaced) in self.written.drain(..).rev() {
            let _ = match replaced {
                Some(text) => files::write_atomically(&place, text.as_bytes()),
                None => files::remove_if_present(&place),
            };
        }
        for directory in self.directories.drain(..) {
            files::remove_if_empty(&directory);
        }
    }
}

/// What was removed.
#[derive(Debug)]
pub(crate) struct Removed {
    names: Vec<String>,
    sources: Vec<String>,
    models: Vec<String>,
    indexes: Vec<String>,
    /// Of packages that the environments required by path.
    directories: Vec<String>,
}

impl fmt::Display for Removed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(
            out,
            listed("removed from the manifest:", self.names.iter().cloned()),
        )?;
        for (what, names) in [
            ("its models:", &self.models),
            ("indexes that nothing else uses:", &self.indexes),
            ("source files:", &self.sources),
        ] {
            if !names.is_empty() {
                line(out, listed(&format!("  {what}"), names.iter().cloned()))?;
            }
        }
        Ok(())
    }
}

/// Removes environments from the manifest at this path, with their models, with indexes and sources that nothing else uses.
pub(crate) fn remove(
    manifest: &Path,
    names: &[String],
    keep_sources: bool,
) -> Result<Removed, Error> {
    let mut project = Project::read(manifest)?;
    let mut removed = Removed {
        names: Vec::new(),
        sources: Vec::new(),
        models: Vec::new(),
        indexes: Vec::new(),
        directories: Vec::new(),
    };
    for name in names {
        remove_one(&mut project.document, name, &mut removed)?;
    }
    let document = &mut project.document;
    let used = uses(document, |environment| {
        let routes = environment.get("indexes").and_then(Item::as_table_like);
        let routes = routes.into_iter().flat_map(TableLike::iter);
        routes
            .filter_map(|(_, index)| index.as_str())
            .map(str::to_owned)
            .collect()
    });
    removed.indexes.retain(|index| !used.contains(index));
    for index in &removed.indexes {
        document.remove("indexes", index);
    }
    let used = uses(document, |environment| {
        source(environment).into_iter().collect()
    });
    removed
        .sources
        .retain(|source| !used.contains(source) && !keep_sources);
    let used = uses(document, carried::directories);
    removed
        .directories
        .retain(|directory| !used.contains(directory) && !keep_sources);
    project.write()?;
    for source in &removed.sources {
        let below = Path::new(source);
        if files::in_project(project.here(), below).is_ok() {
            files::remove_if_present(&project.here().join(below))?;
        }
    }
    remove_packages(project.here(), &mut removed)?;
    Ok(removed)
}

/// Removes what `add` has put beside the environments, if it is still the same.
fn remove_packages(here: &Path, removed: &mut Removed) -> Result<(), Error> {
    for (path, text) in carried::packages(&removed.directories) {
        let below = Path::new(path);
        let place = here.join(below);
        let is_ours = files::in_project(here, below).is_ok()
            && files::read_text(&place).is_ok_and(|there| there == text);
        if !is_ours {
            continue;
        }
        files::remove_if_present(&place)?;
        removed.sources.push(path.to_owned());
        let above = below
            .ancestors()
            .skip(1)
            .filter(|above| above.parent().is_some());
        for directory in above.take_while(|above| *above != Path::new("environments")) {
            files::remove_if_empty(&here.join(directory));
        }
    }
    Ok(())
}

fn remove_one(document: &mut Document, name: &str, removed: &mut Removed) -> Result<(), Error> {
    let Some(environment) = document.get("environments", name) else {
        let known = listed("it has:", document.names("environments").into_iter());
        let near = crate::manifest::nearest(
            name,
            document.names("environments").iter().map(String::as_str),
        )
        .map(|near| format!("did you mean `{near}`? "));
        return Err(Error::Unknown {
            name: name.to_owned(),
            known: near.unwrap_or_default() + &known,
        });
    };
    removed.sources.extend(source(environment));
    removed
        .directories
        .extend(carried::directories(environment));
    let routes = environment.get("indexes").and_then(Item::as_table_like);
    let routes = routes.into_iter().flat_map(TableLike::iter);
    for index in routes.filter_map(|(_, index)| index.as_str()) {
        if !removed.indexes.iter().any(|known| known == index) {
            removed.indexes.push(index.to_owned());
        }
    }
    document.remove("environments", name);
    for id in document.names("models") {
        let model = document.get("models", &id);
        let of = model.and_then(|model| model.get("environment")?.as_str());
        if of == Some(name) {
            document.remove("models", &id);
            removed.models.push(id);
        }
    }
    removed.names.push(name.to_owned());
    Ok(())
}

fn source(environment: &dyn TableLike) -> Option<String> {
    let source = environment.get("source")?.as_str()?;
    Some(source.to_owned())
}

/// What the environments of a manifest name.
fn uses(document: &Document, of: impl Fn(&dyn TableLike) -> Vec<String>) -> Vec<String> {
    let names = document.names("environments").into_iter();
    let environments = names.filter_map(|name| document.get("environments", &name).map(&of));
    environments.flatten().collect()
}
