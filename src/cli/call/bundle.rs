//! `rootstock call --bundle DIR`: the options for the project's environment, and the exit codes.

use std::path::Path;

use super::{Arguments, Interrupted};
use crate::build;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::{Shared, context, given, interrupt, lock, root, show};
use crate::files;
use crate::manifest::Manifest;
use crate::project_env::{self, Caller, Error, ProjectEnvironment, Request};
use crate::report::Problem;
use crate::resolve::{Resolved, Upgrade};
use crate::store::Root;

/// The environment of a project, made where it is not there yet.
pub(super) fn provide(
    shared: &Shared,
    arguments: &Arguments,
    directory: &Path,
    interrupted: Interrupted,
) -> Result<ProjectEnvironment, Failure> {
    context::check_trust()?;
    given::exists("bundle", directory)?;
    let is_set = |name| context::variable(name).is_some_and(|value| value == "1");
    let request = Request {
        directory: files::absolute(directory).or_exit(Exit::Usage)?,
        name: Some(arguments.target.as_str()).filter(|name| !name.is_empty()),
        root: shared.root.as_deref(),
        target: root::target()?,
        fresh: arguments.fresh,
        keep: arguments.keep || is_set("PRESERVE_TMP"),
        reuse: is_set("REUSE"),
        temporary: std::env::temp_dir(),
        variables: context::variables(),
        print: show::remark,
    };
    let caller = OfCall {
        shared,
        interrupted,
    };
    project_env::provide(&caller, request)
}

/// Removes the directory that a root is in, if it was to be removed at the end: for a process that was interrupted.
pub(in crate::cli) fn remove_scratch(root: &Path) {
    if context::variable("PRESERVE_TMP").is_none_or(|value| value != "1") {
        project_env::remove(root, &std::env::temp_dir());
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error {
            Error::NotCurrent { .. } => Exit::Environment,
            Error::Lock(_)
            | Error::NoProject(_)
            | Error::Project(_)
            | Error::Manifest(_)
            | Error::Unknown(_)
            | Error::Several { .. } => Exit::Usage,
            Error::Unresolved(_)
            | Error::Sync(_)
            | Error::Catalogue(_)
            | Error::Files(_)
            | Error::NotMade(_) => Exit::Failed,
        };
        Failure {
            report: error.into(),
            exit,
        }
    }
}

/// What makes the environment for a call.
struct OfCall<'a> {
    shared: &'a Shared,
    interrupted: Interrupted<'a>,
}

impl Caller for OfCall<'_> {
    type Failure = Failure;

    fn named_root(&self, manifest: &Manifest) -> Option<Root> {
        root::named(self.shared, manifest).ok()
    }

    fn root_with_policy(&self, manifest: &Manifest) -> Result<Root, Failure> {
        root::with_policy(self.shared, manifest)
    }

    fn with_own_policy(&self, root: Root) -> Result<Root, Failure> {
        root::with_own_policy(root)
    }

    fn resolve(&self, manifest: &Manifest, upgrade: &Upgrade) -> Result<Resolved, Failure> {
        lock::resolve(self.shared, manifest, None, None, upgrade)
    }

    fn context<'a>(&'a self, manifest: &'a Manifest, root: &'a Root) -> build::Context<'a> {
        let supply = context::supply(manifest, None, false);
        context::build(self.shared, manifest, root, supply, None)
    }

    fn change<T: Send>(&self, root: &Root, work: impl FnOnce() -> T + Send) -> T {
        root::apply_umask(root);
        interrupt::minding_and(root, "nothing half-made is left", self.interrupted, work)
    }

    fn print_problems(&self, problems: &[Problem]) {
        show::problems(problems);
    }
}
