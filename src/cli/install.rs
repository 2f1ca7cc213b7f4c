//! Whether a command under another Python may build what it needs, and with which options that is done.

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, root, show};
use crate::build;
use crate::files;
use crate::manifest::{self, Install, Manifest};
use crate::store::Root;
use crate::sync::on_demand::Caller;

/// Takes the place of `install` in `[runtime]`.
const VARIABLE: &str = "ROOTSTOCK_RUNTIME_INSTALL";

/// What `[runtime]` or the variable says.
pub(super) fn install(shared: &Shared) -> Result<Install, Failure> {
    if let Some(value) = context::variable(VARIABLE) {
        let text = value.to_string_lossy();
        let install = Install::named(&text);
        if install.is_none() {
            show::remark(&format!(
                "warning: {VARIABLE} is `{text}`, which is neither `auto` nor `skip`: `auto` is used"
            ));
        }
        return Ok(install.unwrap_or_default());
    }
    if !files::exists(&shared.manifest) {
        return Ok(Install::default());
    }
    let install = manifest::install(&shared.manifest).or_exit(Exit::Usage)?;
    Ok(install.unwrap_or_default())
}

impl Caller for Shared {
    fn root(&self, manifest: &Manifest) -> Option<Root> {
        root::with_policy(self, manifest).ok()
    }

    fn context<'a>(
        &'a self,
        manifest: &'a Manifest,
        root: &'a Root,
    ) -> Result<build::Context<'a>, String> {
        let supply = context::supply(manifest, None, false);
        Ok(build::Context {
            link: root::link_mode(self, manifest).map_err(|f| f.report.to_string())?,
            ..context::build(self, manifest, root, supply, None)
        })
    }

    fn print(&self, text: &str) {
        show::remark(text);
    }
}
