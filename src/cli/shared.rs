//! The options that every command has.

use std::path::PathBuf;

use super::exit::Failure;
use super::{context, locate, show};

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Shared {
    /// Work in this directory.
    #[arg(
        short = 'C',
        global = true,
        help_heading = "Global options",
        value_name = "DIR"
    )]
    working_directory: Option<PathBuf>,
    /// The manifest; if not given, the first `rootstock.toml` in this directory and those above it.
    #[arg(
        global = true,
        help_heading = "Global options",
        value_name = "FILE",
        long = "manifest"
    )]
    named_manifest: Option<PathBuf>,
    /// The manifest of this run.
    #[arg(skip)]
    pub(crate) manifest: PathBuf,
    /// The root: the directory of everything that is built; if not given, `ROOTSTOCK_ROOT`.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "DIR"
    )]
    pub(crate) root: Option<PathBuf>,
    /// Use root, cache, access and link mode of this cluster of the manifest or of a configuration; if not given,
    /// `ROOTSTOCK_CLUSTER`.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "NAME"
    )]
    pub(crate) cluster: Option<String>,
    /// The uv to resolve with; if not given, `ROOTSTOCK_UV`.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "FILE"
    )]
    pub(crate) uv: Option<PathBuf>,
    /// Print no progress and no hints, only results, warnings and errors.
    #[arg(
        short,
        long,
        global = true,
        help_heading = "Global options",
        conflicts_with = "verbose"
    )]
    pub(super) quiet: bool,
    /// Print which manifest and which root are used, and why.
    #[arg(short, long, global = true, help_heading = "Global options")]
    verbose: bool,
    /// When to use colours.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub(crate) color: show::Colour,
    /// Whether the root is that of the option, not that of the variable.
    #[arg(skip)]
    pub(super) root_is_option: bool,
}

impl Shared {
    /// Goes to the directory, and fills in options from environment variables and from what is there.
    pub(super) fn complete(&mut self) -> Result<(), Failure> {
        if let Some(directory) = &self.working_directory {
            locate::enter(directory)?;
        }
        let path = |name| context::variable(name).map(PathBuf::from);
        self.root_is_option = self.root.is_some();
        self.root = self.root.take().or_else(|| path("ROOTSTOCK_ROOT"));
        self.uv = self.uv.take().or_else(|| path("ROOTSTOCK_UV"));
        if self.root.is_none() && self.cluster.is_none() {
            let cluster = context::variable("ROOTSTOCK_CLUSTER");
            self.cluster = cluster.map(|name| name.to_string_lossy().into_owned());
        }
        let named = self.named_manifest.clone();
        self.manifest = named.unwrap_or_else(locate::manifest);
        if self.verbose {
            locate::explain(self);
        }
        Ok(())
    }

    /// Whether `--manifest` names the manifest.
    pub(super) fn is_manifest_named(&self) -> bool {
        self.named_manifest.is_some()
    }

    /// From where the root is known, if it was given.
    pub(super) fn root_origin(&self) -> locate::Origin {
        locate::Origin::Given(if self.root_is_option {
            "--root"
        } else {
            "ROOTSTOCK_ROOT"
        })
    }
}
