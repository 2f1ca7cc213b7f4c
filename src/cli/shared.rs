//! The options that every command has.

use std::path::PathBuf;

use super::{context, show};

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Shared {
    /// The manifest.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "FILE",
        default_value = "rootstock.toml"
    )]
    pub(crate) manifest: PathBuf,
    /// The root: the directory of everything that is built; if not given, `ROOTSTOCK_ROOT`.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "DIR"
    )]
    pub(crate) root: Option<PathBuf>,
    /// Use root, cache, access and link mode of this cluster of the manifest.
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
    /// When to use colours.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub(crate) color: show::Colour,
}

impl Shared {
    /// Fills in options from environment variables.
    pub(super) fn complete(&mut self) {
        let path = |name| context::variable(name).map(PathBuf::from);
        self.root = self.root.take().or_else(|| path("ROOTSTOCK_ROOT"));
        self.uv = self.uv.take().or_else(|| path("ROOTSTOCK_UV"));
    }
}
