//! `rootstock models`: the models of a root, and what they are for.

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, lock, root, show};
use crate::models::{self, Report, Style};
use crate::store::Catalogue;

/// Arguments of `rootstock models`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs only the root. What it shows of a model is declared in the manifest (`elements`, `licence`, `citation` and so on, \
docs/numbers.md); `verified` is the outcome of the last `rootstock probe --check` on each kind of device.

Examples:
  rootstock models
  rootstock models --markdown > models.md       a page for a cluster's documentation
  rootstock models --locked --markdown          of manifest and lock, without a root
  rootstock --root DIR models --json")]
pub(crate) struct Arguments {
    /// Show the models of the lock, without a root.
    #[arg(long)]
    locked: bool,
    /// Print a page in Markdown.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print the models as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let style = if arguments.markdown {
        Style::Markdown
    } else {
        Style::Lines
    };
    let report = if arguments.locked {
        let manifest = lock::manifest(shared)?;
        let lock = lock::current(&manifest, None)?.lock;
        Report {
            root: None,
            models: models::of_lock(&manifest, &lock),
            style,
        }
    } else {
        let root = root::built(shared)?;
        let catalogue = Catalogue::read(&root.models()).or_exit(Exit::Failed)?;
        let catalogue = catalogue.ok_or_else(|| {
            Failure::new(
                Exit::Environment,
                &format!("nothing is built in the root `{}`", root.path().display()),
                Some("run `rootstock sync` there, or name another root with `--root`; `--locked` shows the models of the lock"),
            )
        })?;
        Report {
            models: models::of_root(&root, &catalogue),
            root: Some(root.path().to_owned()),
            style,
        }
    };
    show::report(&report, arguments.json)?;
    Ok(Exit::Ok)
}
