//! What calls need beside their requests: the environment, which can run here, its variables, and a file for the record.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Context, Ends, Failure, Kind, Model, Options, Summary, serve};
use crate::files;
use crate::runtime::advice::{Project, with_advice};
use crate::runtime::command::{Keep, for_call};
use crate::runtime::job::local_rank;
use crate::runtime::user_cache::check_user_cache;
use crate::runtime::{Selected, Unusable, Variables, select};
use crate::store::stamp::Found;
use crate::store::{Policy, Root, Stamp, Verifier, installed, layout};

/// An environment that functions can be called in.
pub(crate) struct Prepared {
    /// The root.
    pub(crate) root: Root,
    /// The environment and its generation.
    pub(crate) selected: Selected,
    /// The stamp of its generation.
    pub(crate) stamp: Stamp,
    /// Where the caller is.
    pub(crate) directory: PathBuf,
    is_model: bool,
}

/// How its functions are called.
pub(crate) struct Setup<'a> {
    /// Options.
    pub(crate) options: Options,
    /// The device for `setup()` of a model.
    pub(crate) device: String,
    /// Variables that are passed on as well.
    pub(crate) keep: &'a [Keep],
    /// All variables of the caller.
    pub(crate) inherited: Variables,
    /// For private directories.
    pub(crate) temporary: PathBuf,
    /// The file that gets a line for each process.
    pub(crate) record: Option<&'a Path>,
}

/// An environment, or a model of one; and which of them.
fn select(root: &Root, name: &str, project: Project) -> Result<(Selected, bool), Failure> {
    let selected = match select::environment(root, name) {
        Err(Unusable::Model { .. }) => select::model(root, name).map(|selected| (selected, true)),
        Err(Unusable::UnknownEnvironment { .. }) => {
            select::model(root, name).map(|selected| (selected, true))
        }
        selected => selected.map(|selected| (selected, false)),
    };
    selected.map_err(|error| {
        let kind = match &error {
            Unusable::Foreign { .. } | Unusable::Newer { .. } | Unusable::Layout(_) => {
                Kind::EnvironmentForeign
            }
            Unusable::Python { .. }
            | Unusable::Interpreter { .. }
            | Unusable::Closed { .. }
            | Unusable::Catalogue(_)
            | Unusable::Files(_) => Kind::EnvironmentBroken,
            _ => Kind::EnvironmentMissing,
        };
        Failure::of(kind, &with_advice(error, name, project))
    })
}

impl Prepared {
    /// Finds the environment, or that of a model.
    pub(crate) fn new(
        root: Root,
        name: &str,
        project: Project,
        variables: &Variables,
    ) -> Result<Self, Failure> {
        let (selected, is_model) = select(&root, name, project)?;
        check_user_cache(variables)
            .map_err(|error| Failure::of(Kind::EnvironmentBroken, &error))?;
        let stamp = match Stamp::read(&selected.generation) {
            Ok(Found::Stamp(stamp)) => *stamp,
            _ => {
                return Err(Failure::new(
                    Kind::EnvironmentBroken,
                    format!("the stamp of `{}` is gone", selected.generation.display()),
                    format!("build it again: `rootstock sync {}`", selected.environment),
                ));
            }
        };
        let directory = files::absolute(Path::new(".")).map_err(|error| of_files(&error))?;
        let directory = in_utf8(directory)?;
        Ok(Self {
            root,
            selected,
            stamp,
            directory,
            is_model,
        })
    }

    /// Reads every byte of the environment.
    pub(crate) fn verify(&self) -> Result<(), Failure> {
        let environment = &self.selected.environment;
        let broken = |message: String| {
            let repair = format!("repair it: `rootstock sync --repair {environment}`");
            Failure::new(Kind::EnvironmentBroken, message, repair)
        };
        let access = layout::access(&self.root).map_err(|error| broken(error.to_string()))?;
        let policy = access.map(Policy::of).transpose();
        let policy = policy.map_err(|error| Failure::of(Kind::EnvironmentBroken, &error))?;
        let root = self.root.clone().under(policy);
        let verifier = Verifier::default();
        match installed::is_intact(&root, &self.selected.generation, &self.stamp, &verifier) {
            Ok(true) => Ok(()),
            Ok(false) => Err(broken(format!(
                "environment `{environment}` has changed since it was built"
            ))),
            Err(error) => Err(broken(error.text())),
        }
    }

    /// Answers requests.
    pub(crate) fn call(&self, setup: Setup, ends: Ends) -> Result<Summary, Failure> {
        let Setup {
            options,
            device,
            keep,
            inherited,
            temporary,
            record,
        } = setup;
        let variables = for_call(&self.root, &self.selected, &inherited, keep);
        let with_cache = |cache: &Path| {
            let mut inherited = inherited.clone();
            inherited.insert("XDG_CACHE_HOME".into(), OsString::from(cache));
            for_call(&self.root, &self.selected, &inherited, keep)
        };
        let context = Context {
            selected: &self.selected,
            stamp: &self.stamp,
            model: Model {
                device,
                is_named: self.is_model,
                rank: local_rank(&inherited),
            },
            variables: &variables,
            with_cache: &with_cache,
            directory: self.directory.clone(),
            temporary,
            options: &options,
        };
        let record = record.map(files::append).transpose();
        let record = record.map_err(|error| of_files(&error))?;
        let warn = ends.warn;
        let record = record
            .as_ref()
            .map(|file| move |line: &str| write_record(file, line, warn));
        let ends = Ends {
            record: record.as_ref().map(|record| record as &dyn Fn(&str)),
            ..ends
        };
        serve(&context, ends).map_err(|error| {
            let message = format!("cannot serve requests: {error}");
            Failure::new(Kind::NoResult, message, "")
        })
    }
}

fn of_files(error: &files::Error) -> Failure {
    Failure {
        message: error.text(),
        ..Failure::of(Kind::BadRequest, error)
    }
}

/// A directory that a message can name.
pub(crate) fn in_utf8(directory: PathBuf) -> Result<PathBuf, Failure> {
    if directory.to_str().is_some() {
        return Ok(directory);
    }
    Err(Failure::new(
        Kind::BadRequest,
        format!("the path `{}` is not UTF-8", directory.display()),
        "rename the directory, or call from another one",
    ))
}

/// Adds a line to the file of `--record`, in one write: other processes may add theirs.
fn write_record(mut file: &files::File, line: &str, warn: &dyn Fn(&str)) {
    if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
        warn(&format!("warning: cannot write the record: {error}"));
    }
}
