//! `rootstock stage`: environments on the node's own disk, and the root that they are in.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, image as cli, interrupt, progress, root, show};
use crate::access::Access;
use crate::digest::Digest;
use crate::files::trust::Trust;
use crate::files::{self, ownership};
use crate::image::{self, Format};
use crate::manifest::path_advice;
use crate::stage::{self, Place, Request, Source};
use crate::store::Root;

/// Arguments of `rootstock stage`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints the directory, a root with these environments, alone on standard output. All tasks of a node may ask at once: one of them \
copies, the others wait, and what is there already is used. Every file is compared with what was built. It is never done by halves: \
where there is no room or no such directory, it is an error, and nothing is printed.

The stage lies in `rootstock-UID/stages` (0700) below the job's own directory: SLURM_TMPDIR if it is set, else TMPDIR, else /tmp. \
For many nodes an image is better than a root: a node then opens one file of the shared filesystem, not each.

Examples:
  export ROOTSTOCK_ROOT=$(rootstock stage mace)          in a job script; `worker`, `run` and `status` then use it
  srun --ntasks-per-node=1 rootstock stage mace.tar.zst  once on each node, before the tasks start
  rootstock stage mace --to /dev/shm                     in memory
  rootstock stage --clean --older-than 1d                remove what no process uses and no job asked for since yesterday")]
pub(crate) struct Arguments {
    /// Environments or models of the root, as for `rootstock image`; or one image, whose name ends in `.tar.zst`.
    #[arg(value_name = "NAME|IMAGE", conflicts_with = "clean")]
    names: Vec<String>,
    /// A directory on the node's own disk, instead of the job's.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// The image must have this digest.
    #[arg(long, value_name = "DIGEST", conflicts_with = "clean")]
    sha256: Option<Digest>,
    #[command(flatten)]
    python: cli::Python,
    /// The number of threads that copy or unpack; as many as there are processors if not given.
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Remove the stages there that no process of this node runs from.
    #[arg(long)]
    clean: bool,
    /// With `--clean`: only those that were not asked for in this time: `30d`, `1d 12h`.
    #[arg(long, value_name = "DURATION", requires = "clean", default_value = "0s", hide_default_value = true, value_parser = humantime::parse_duration)]
    older_than: Duration,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    ownership::set_umask(Access::Owner.umask());
    if arguments.clean {
        return clean(arguments);
    }
    let image = image_of(&arguments.names)?;
    if let (Some(_), None) = (arguments.sha256, image) {
        return Err(Failure::usage(
            "`--sha256` is about an image, and none was named",
            "name an image, or leave `--sha256` out: a root is compared with its own lists",
        ));
    }
    let root;
    let source = if let Some(path) = image {
        root::warn_of_exposed("the image", path);
        let image = Box::new(image::head(path).map_err(cli::failure)?);
        let sha256 = arguments.sha256;
        Source::Image {
            path,
            image,
            sha256,
        }
    } else {
        root = root::built(shared)?;
        root::warn_of_open(&root);
        let python = arguments.python.choice();
        let selected = cli::select(shared, &root, &arguments.names, python)?;
        Source::Root(&root, Box::new(selected.contents))
    };
    let place = Place::make(&directory(arguments)?, &trust()).map_err(failure)?;
    let watch = progress::Transfer::new("staging");
    let request = Request {
        source,
        place: &place,
        jobs: arguments
            .jobs
            .map_or_else(context::processors, NonZeroUsize::get),
        variables: &context::kept_environment(),
        watch: &|event| watch.on_event(event),
        waits: &|claim| {
            show::remark(&format!(
                "{} is staged by {claim}: waiting",
                claim.environment
            ));
        },
    };
    let beside = Root::at(place.directory(), None);
    let staged = interrupt::minding(&beside, "nothing was staged", || stage::stage(&request));
    show::report(&staged.map_err(failure)?, arguments.json)?;
    Ok(Exit::Ok)
}

fn trust() -> Trust {
    Trust::of(&context::kept_environment())
}

/// The image among the arguments.
fn image_of(names: &[String]) -> Result<Option<&Path>, Failure> {
    let Some(image) = names
        .iter()
        .find(|name| Format::of(Path::new(name)).is_some())
    else {
        return match names.iter().find(|name| name.contains('/')) {
            None => Ok(None),
            Some(path) => Err(Failure::usage(
                &format!(
                    "`{path}` is neither the name of an environment or model nor that of an image"
                ),
                "the name of an image ends in `.tar.zst`",
            )),
        };
    };
    if names.len() > 1 {
        return Err(Failure::usage(
            &format!("`{image}` is an image, and an image is staged as a whole"),
            "name the image alone; to have several environments in one stage, make one image of them",
        ));
    }
    let path = Path::new(image);
    if !files::exists(path) {
        return Err(Failure::usage(
            &format!("there is no image `{image}`"),
            &path_advice(path),
        ));
    }
    Ok(Some(path))
}

/// Where stages lie.
fn directory(arguments: &Arguments) -> Result<PathBuf, Failure> {
    let variable = |name: &str| {
        let path = context::variable(name)?;
        Some((PathBuf::from(path), format!(", of {name},")))
    };
    let (base, origin) = match &arguments.to {
        Some(to) => (files::absolute(to).or_exit(Exit::Usage)?, String::new()),
        None => variable("SLURM_TMPDIR")
            .or_else(|| variable("TMPDIR"))
            .unwrap_or_else(|| ("/tmp".into(), String::new())),
    };
    Place::below(&base, &origin).map_err(failure)
}

fn clean(arguments: &Arguments) -> Result<Exit, Failure> {
    let directory = directory(arguments)?;
    let cleaned = if files::exists(&directory) {
        let place = Place::make(&directory, &trust()).map_err(failure)?;
        stage::clean(&place, arguments.older_than).or_exit(Exit::Failed)?
    } else {
        stage::Cleaned::default()
    };
    show::report(&cleaned, arguments.json)?;
    Ok(Exit::Ok)
}

fn failure(error: stage::Error) -> Failure {
    let exit = match error {
        stage::Error::Image(error) => return cli::failure(error),
        stage::Error::NoDirectory { .. } | stage::Error::Unprintable(_) => Exit::Usage,
        stage::Error::Foreign { .. }
        | stage::Error::Python { .. }
        | stage::Error::OtherPython { .. } => Exit::Environment,
        _ => Exit::Failed,
    };
    Failure {
        report: error.into(),
        exit,
    }
}
