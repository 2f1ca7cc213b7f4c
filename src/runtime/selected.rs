//! An environment that can run on this machine, and the reasons why one cannot.

use std::path::PathBuf;

use crate::about::About;
use crate::files;
use crate::name::EnvironmentName;
use crate::store::{CatalogueEnvironment, catalogue, layout};

/// A model and its environment, ready to run.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The environment's name.
    pub environment: EnvironmentName,
    /// The real path of the generation: it stays the same whatever is published meanwhile.
    pub generation: PathBuf,
    /// The argument of `setup`.
    pub argument: String,
    /// Extra keyword arguments of `setup`.
    pub setup: serde_json::Map<String, serde_json::Value>,
    /// The user's own weights, for `setup_from_path` instead of `setup`.
    pub weights: Option<PathBuf>,
    /// The model's files in the cache.
    pub cached: Vec<PathBuf>,
    /// The manifest's variables, unexpanded.
    pub settings: CatalogueEnvironment,
    /// What the model is for.
    pub about: About,
}

impl Selected {
    /// Environment and generation, as other commands take them: `mace@ID`.
    pub(crate) fn pinned(&self) -> String {
        format!("{}@{}", self.environment, self.id())
    }

    /// The generation's id.
    pub(crate) fn id(&self) -> String {
        let id = self.generation.file_name().unwrap_or_default();
        id.to_string_lossy().into_owned()
    }
}

/// A model or an environment cannot run here.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Unusable {
    /// The root has another layout.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] layout::Error),
    /// The catalogue cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// Nothing has been built here.
    #[error("nothing is built in the root `{0}`")]
    #[diagnostic(help("run `rootstock sync` there, or name another root with `--root`"))]
    Empty(String),
    /// `ENVIRONMENT:custom` without weights.
    #[error("`{0}` needs weights of your own")]
    #[diagnostic(help("name the file with `--weights FILE`"))]
    NoWeights(String),
    /// Weights for a model that has its own.
    #[error("`{0}` has weights of its own and cannot load others")]
    #[diagnostic(help("use `ENVIRONMENT:custom` with weights of your own"))]
    NotCustom(String),
    /// The user's weights are missing.
    #[error("there is no weights file `{}`", path.display())]
    #[diagnostic(help("{advice}"))]
    NoFile {
        /// As typed.
        path: PathBuf,
        /// Advice, as a sentence.
        advice: String,
    },
    /// The user's weights are a pointer file.
    #[error("`{}` is a Git LFS pointer, not the weights themselves", .0.display())]
    #[diagnostic(help("run `git lfs pull` in its repository"))]
    Pointer(PathBuf),
    /// Neither a model nor an environment.
    #[error("the root has no model `{model}`")]
    #[diagnostic(help("{known}"))]
    Unknown {
        /// As typed.
        model: String,
        /// The names it has, as a sentence.
        known: String,
        /// The same names, for suggestions.
        names: Vec<String>,
    },
    /// Not an environment.
    #[error("the root has no environment `{environment}`")]
    #[diagnostic(help("{known}"))]
    UnknownEnvironment {
        /// As typed.
        environment: String,
        /// The names it has, as a sentence.
        known: String,
        /// The same names, for suggestions.
        names: Vec<String>,
    },
    /// A model instead of an environment.
    #[error("`{model}` is a model, not an environment")]
    #[diagnostic(help("it runs in the environment `{environment}`"))]
    Model {
        /// As typed.
        model: String,
        /// The environment it runs in.
        environment: EnvironmentName,
    },
    /// The environment is not built.
    #[error("environment `{environment}` is not built")]
    #[diagnostic(help("build it with `rootstock sync {environment}`; {built}"))]
    Missing {
        /// The environment's name.
        environment: EnvironmentName,
        /// The environments that are built, as a sentence.
        built: String,
    },
    /// The manifest has it, and `sync` has not built it yet.
    #[error("environment `{environment}` is not built in the root{model}")]
    #[diagnostic(help("build it with `rootstock sync {environment}{root}`"))]
    NotBuilt {
        /// The environment's name.
        environment: String,
        /// The model that needs it, if one was named, as a part of the sentence.
        model: String,
        /// The option `--root`, where it is not the manifest's.
        root: String,
    },
    /// This generation of the environment is not there.
    #[error("the root has no generation `{id}` of environment `{environment}`{named}")]
    #[diagnostic(help(
        "it was built in another root, or `rootstock gc` has removed it: sync the lock that it was built from, `rootstock sync \
         {environment}`"
    ))]
    Generation {
        /// The environment's name.
        environment: EnvironmentName,
        /// The generation.
        id: String,
        /// Where the id is from, if it was not typed with the name.
        named: &'static str,
    },
    /// A weight file is missing.
    #[error("a weight file of `{model}` is missing: `{}`", path.display())]
    #[diagnostic(help("fetch it with `rootstock sync {model}`"))]
    Weights {
        /// The model.
        model: String,
        /// The path of the file.
        path: PathBuf,
    },
    /// The environment was built for another machine.
    #[error("environment `{environment}` was built for {target}, and this machine is {here}")]
    #[diagnostic(help(
        "use a root of this machine's own; there, build it with `rootstock sync {environment}`"
    ))]
    Foreign {
        /// The environment's name.
        environment: EnvironmentName,
        /// The machine type it was built for.
        target: String,
        /// This machine's type.
        here: String,
    },
    /// The environment was built by a later rootstock.
    #[error("environment `{environment}` was built by a newer rootstock (schema {schema})")]
    #[diagnostic(help(
        "use that rootstock, or build it again with this one: `rootstock sync {environment}`"
    ))]
    Newer {
        /// The environment's name.
        environment: EnvironmentName,
        /// The schema of its stamp.
        schema: u32,
    },
    /// `bin/python` is not the interpreter that the environment was built on.
    #[error("the Python of environment `{environment}` cannot be used: `{}` {wrong}", path.display())]
    #[diagnostic(help("repair the environment: `rootstock sync --repair {environment}`"))]
    Python {
        /// The environment's name.
        environment: EnvironmentName,
        /// Its `bin/python`.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
    /// This user may not read the interpreter.
    #[error("no permission to read the Python of environment `{environment}`: `{}`", path.display())]
    #[diagnostic(help(
        "ask the owner of the root to run `rootstock doctor`: it names the directory that other users cannot enter"
    ))]
    Closed {
        /// The environment's name.
        environment: EnvironmentName,
        /// The file that cannot be read.
        path: PathBuf,
    },
    /// The interpreter is missing.
    #[error("the Python of environment `{environment}` is missing: `{}`", path.display())]
    #[diagnostic(help("build the environment again: `rootstock sync {environment}`"))]
    Interpreter {
        /// The environment's name.
        environment: EnvironmentName,
        /// The interpreter's missing file.
        path: PathBuf,
    },
}
