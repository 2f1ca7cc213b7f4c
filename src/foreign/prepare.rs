//! Finds the packages for a Python, and where they go on its search path.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use super::on_demand::Wanted;
use super::{Error, Foreign, PATIENCE, Prepared};
use crate::files;
use crate::manifest::{self, Install, nearest};
use crate::overlay::decide::decide;
use crate::overlay::{
    Built, Chosen, Contents, Decision, Mode, Placement, Unavailable, choose, interpreter, names,
};
use crate::python::Interpreter;
use crate::report::listed;
use crate::target::Target;

/// The variable that takes the place of `install` in `[runtime]`.
const INSTALL: &str = "ROOTSTOCK_RUNTIME_INSTALL";

impl Foreign<'_> {
    /// Finds the packages and where they go.
    pub(super) fn prepare(&self, cache: &Path) -> Result<Prepared, Error> {
        if self.request.placement == Placement::Skip {
            if self.request.require_overlay {
                return Err(Error::Contradiction);
            }
            return Ok(Prepared {
                start: self.nothing(Mode::Skip),
                both: Vec::new(),
                is_compared: true,
            });
        }
        let limit = self.deadline.saturating_duration_since(Instant::now());
        let Some(python) =
            interpreter::identify(&self.request.python, cache, &self.request.variables, limit)
        else {
            return Err(self.unknown());
        };
        let built = match choose::built(self.request.root, &self.request.name, &python) {
            Some(built) => built,
            None => self.wanted(&python, cache).provide(self.install()?)?,
        };
        self.decide(&python, &built, cache)
    }

    /// The environment for this Python, which the root does not have.
    fn wanted<'a>(&'a self, python: &'a Interpreter, cache: &'a Path) -> Wanted<'a> {
        Wanted {
            request: &self.request,
            python,
            cache,
            path: &self.search_path,
        }
    }

    fn decide(&self, python: &Interpreter, built: &Built, cache: &Path) -> Result<Prepared, Error> {
        let placement = self.request.placement;
        let contents = Contents::read(&built.generation, built.stamp.python.series());
        let contents = contents.map_err(Unavailable::from)?;
        let (Some(target), Some(version)) = (Target::here(), python.version()) else {
            return Err(self.unknown());
        };
        let markers = target.markers(&version);
        let chosen = self.chosen(&contents, &markers)?;
        let names: BTreeSet<String> = match &chosen {
            Some(chosen) => contents.names_among(&chosen.names),
            None => contents.names(),
        };
        // Building may have taken minutes.
        let limit = self.deadline.max(Instant::now() + PATIENCE / 2) - Instant::now();
        let seen = names::seen(&self.request.python, &names, cache, &self.asking, limit);
        let decision = decide(
            placement,
            &contents,
            chosen.as_ref(),
            seen.as_ref(),
            &markers,
        );
        let Decision {
            mode,
            collisions,
            both,
            unmet,
        } = decision;
        if mode == Mode::None {
            return Err(Error::Unavailable(Unavailable::Unmet {
                python: self.request.python.clone(),
                environment: built.environment.clone(),
                unmet,
            }));
        }
        let mut start = self.nothing(mode);
        start.set(built);
        start.record.collisions = collisions;
        start.site_packages = Some(contents.site_packages.clone());
        start.chosen = chosen;
        start.prefix = seen
            .as_ref()
            .map(|seen| seen.prefix.clone())
            .filter(|_| placement == Placement::Auto);
        let is_compared = seen.is_some();
        Ok(Prepared {
            start,
            both,
            is_compared,
        })
    }

    /// The packages that were named.
    fn chosen(
        &self,
        contents: &Contents,
        markers: &pep508_rs::MarkerEnvironment,
    ) -> Result<Option<Chosen>, Error> {
        let packages = self.request.packages;
        if packages.is_empty() {
            return Ok(None);
        }
        contents
            .choose(packages, markers)
            .map(Some)
            .map_err(|unknown| {
                let known = || unknown.known.iter().map(String::as_str);
                let help = nearest(&unknown.name, known()).map_or_else(
                    || listed("it has:", unknown.known.iter().cloned()),
                    |near| format!("did you mean `{near}`?"),
                );
                Error::Package { unknown, help }
            })
    }

    fn unknown(&self) -> Error {
        Unavailable::Unknown(self.request.python.clone()).into()
    }

    /// Whether what is missing may be built: as the variable says, else as `[runtime]` of the manifest does.
    fn install(&self) -> Result<Install, Error> {
        let value = self.request.variables.get(OsStr::new(INSTALL));
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let text = value.to_string_lossy();
            let install = Install::named(&text);
            if install.is_none() {
                self.print(&format!(
                    "warning: {INSTALL} is `{text}`, which is neither `auto` nor `skip`: `auto` is used"
                ));
            }
            return Ok(install.unwrap_or_default());
        }
        if !files::exists(self.request.manifest) {
            return Ok(Install::default());
        }
        Ok(manifest::install(self.request.manifest)?.unwrap_or_default())
    }
}
