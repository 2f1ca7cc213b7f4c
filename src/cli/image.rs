//! `rootstock image`: environments of a root in one file. Changes nothing in the root.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, interrupt, progress, root, selection, show};
use crate::build::pythons;
use crate::files;
use crate::image::{self, Format, Image, NamedError, Packed, Report, Selection, SystemPython};
use crate::manifest::path_advice;
use crate::name::ModelId;
use crate::process::threads;
use crate::store::Root;

/// Arguments of `rootstock image`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The image holds the current generation of each environment, its managed interpreter, the catalogue of models, and the \
                  weights of the models; not the store. The same lock gives the same bytes, whatever the root, the user, the \
                  umask and `-j`; every file is compared with what was built. `rootstock stage FILE` unpacks it on a node.\n\n\
                  Examples:\n  \
                  rootstock image mace -o mace.tar.zst             an environment with the weights of all its models\n  \
                  rootstock image mace-mp-small -o mace.tar.zst    with the weights of one model\n  \
                  rootstock image mace:custom -o mace.tar.zst      without weights"
)]
pub(crate) struct Arguments {
    /// Environments or models; without any, all that the root has.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The file; its name ends in `.tar.zst`.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    python: Python,
    /// The number of threads that read and compress; as many as there are processors if not given.
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What becomes of interpreters of the machine.
#[derive(Debug, clap::Args)]
pub(super) struct Python {
    /// Take this machine's own Python along where an environment runs on it: its program, its library and the standard
    /// library, nothing of what is installed beside them.
    #[arg(long, conflicts_with = "allow_system_python")]
    with_python: bool,
    /// Where an environment runs on this machine's own Python, require the same one of every node, at the same path.
    #[arg(long)]
    allow_system_python: bool,
}

impl Python {
    pub(super) fn choice(&self) -> SystemPython {
        match (self.with_python, self.allow_system_python) {
            (true, _) => SystemPython::Carry,
            (_, true) => SystemPython::Require,
            _ => SystemPython::Refuse,
        }
    }
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let output = output(&arguments.output)?;
    let root = root::built(shared)?;
    root::warn_of_open(&root);
    let selection = select(shared, &root, &arguments.names, arguments.python.choice())?;
    let directory = output.parent().unwrap_or(Path::new("/")).to_owned();
    let jobs = arguments
        .jobs
        .map_or_else(context::processors, NonZeroUsize::get);
    let make = || make(selection, &root, &output, jobs);
    let (image, packed) =
        interrupt::minding(&Root::at(&directory, None), "no image was made", make)
            .map_err(failure)?;
    let report = Report::of(&output, &image, packed);
    show::report(&report, arguments.json)?;
    Ok(Exit::Ok)
}

/// The file that is to be made, with its format.
fn output(path: &Path) -> Result<PathBuf, Failure> {
    if Format::of(path).is_none() {
        return Err(Failure::usage(
            &format!(
                "`{}` does not say which format the image is to have",
                path.display()
            ),
            "give the file a name that ends in `.tar.zst`",
        ));
    }
    let path = files::absolute(path).or_exit(Exit::Usage)?;
    let directory = path.parent().unwrap_or(&path);
    if !files::is_directory(directory) {
        return Err(Failure::usage(
            &format!("there is no directory `{}`", directory.display()),
            &path_advice(directory),
        ));
    }
    if files::is_directory(&path) {
        return Err(Failure::usage(
            &format!("`{}` is a directory", path.display()),
            "name a file with `-o FILE`",
        ));
    }
    Ok(path)
}

fn make(
    selection: Selection,
    root: &Root,
    output: &Path,
    jobs: usize,
) -> Result<(Image, Packed), image::Error> {
    let directory = output.parent().unwrap_or(Path::new("/"));
    image::sweep(directory);
    let contents = selection.contents;
    // Only made where an interpreter has to be copied first.
    let beside = contents.systems().next().map(|_| image::beside(directory));
    let beside = beside.transpose()?;
    let copied = Root::at(
        beside.as_ref().map_or(directory, |beside| beside.path()),
        None,
    );
    let variables = context::kept_environment();
    pythons::copy_all(contents.systems(), &copied, &variables)
        .map_err(|error| image::Error::Python(Box::new(error)))?;
    let watch = progress::Transfer::new("packing");
    let pool = threads::pool(jobs)?;
    let inventory = pool.install(|| image::inventory(contents, root, &copied))?;
    image::check_room(&inventory.image, directory)?;
    let watch = |event| watch.on_event(event);
    let packed = pool.install(|| image::pack(&inventory, output, jobs, &watch))?;
    Ok((inventory.image, packed))
}

/// What these names are in a root; says which models may lack files.
pub(super) fn select(
    shared: &Shared,
    root: &Root,
    names: &[String],
    python: SystemPython,
) -> Result<Selection, Failure> {
    let selection = image::select(root, names, python).map_err(|named| {
        let NamedError { name, error } = named;
        match error {
            image::Error::Unusable(error) => selection::failure(*error, &name, shared),
            error => failure(error),
        }
    })?;
    if !selection.not_loaded.is_empty() {
        let names: Vec<&str> = selection.not_loaded.iter().map(ModelId::as_str).collect();
        show::remark(&format!(
            "warning: what these models fetch by themselves is left out, because no `rootstock sync` has loaded them yet: {}",
            names.join(", ")
        ));
    }
    Ok(selection)
}

/// An error with its exit code.
pub(super) fn failure(error: image::Error) -> Failure {
    let exit = match &error {
        image::Error::Files(_) | image::Error::Full { .. } | image::Error::Threads(_) => {
            Exit::Failed
        }
        image::Error::Unusable(_) | image::Error::Damaged { .. } | image::Error::Python(_) => {
            Exit::Environment
        }
        image::Error::SystemPython { .. }
        | image::Error::Name { .. }
        | image::Error::NoImage { .. }
        | image::Error::Newer { .. }
        | image::Error::Another { .. } => Exit::Usage,
    };
    Failure {
        report: error.into(),
        exit,
    }
}
