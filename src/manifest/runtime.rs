//! `[runtime]`: what `rootstock run` may do by itself.

use std::path::Path;

use toml::de::DeTable;

use super::complaint::{Complaints, Text, nearest};
use super::reader::{Placed, Section};

/// What happens when a command needs a generation that is not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Install {
    /// It is built from the lock.
    #[default]
    Auto,
    /// Nothing is built.
    Skip,
}

impl Install {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Install::Auto),
            "skip" => Some(Install::Skip),
            _ => None,
        }
    }
}

/// `install` of `[runtime]`; `None` if the manifest does not say it.
pub(super) fn read(text: &mut Text, top: &Section) -> Option<Install> {
    let section = top.table(text, "runtime", "`[runtime]`")?;
    section.check_keys(text, &["install"]);
    let install = section.string(text, "install")?;
    let found = Install::named(&install.value);
    if found.is_none() {
        complain(text, install);
    }
    found
}

/// Checks only `[runtime]`.
pub(super) fn install(path: &Path, text: String) -> Result<Option<Install>, Complaints> {
    let mut text = Text::new(&path.display().to_string(), text);
    let shared = text.text();
    let table = match DeTable::parse(&shared) {
        Ok(table) => table,
        Err(error) => {
            text.complain_syntax(&error);
            return Err(Complaints::new(text.complaints));
        }
    };
    let top = Section {
        table: table.get_ref(),
        span: 0..0,
        what: "the manifest",
    };
    let install = read(&mut text, &top);
    if text.complaints.is_empty() {
        Ok(install)
    } else {
        Err(Complaints::new(text.complaints))
    }
}

fn complain(text: &mut Text, install: Placed<String>) {
    let help = nearest(&install.value, ["auto", "skip"]).map_or_else(
        || "write `auto` to build what a command needs, or `skip` to build nothing".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    text.complain(
        install.span,
        format!("`{}` does not say what `install` does", install.value),
        "`auto` or `skip`",
        Some(help),
    );
}
