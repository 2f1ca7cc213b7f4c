//! The report about a model or an environment that cannot be used.

use super::Shared;
use super::exit::{Exit, Failure};
use crate::runtime::Unusable;
use crate::runtime::advice::{Project, with_advice};

/// The report, with its exit code.
pub(super) fn failure(error: Unusable, name: &str, shared: &Shared) -> Failure {
    let error = with_advice(error, name, project(shared));
    let exit = match error {
        Unusable::Unknown { .. }
        | Unusable::UnknownEnvironment { .. }
        | Unusable::Model { .. }
        | Unusable::NoWeights(_)
        | Unusable::NotCustom(_)
        | Unusable::NoFile { .. }
        | Unusable::Pointer { .. } => Exit::Usage,
        _ => Exit::Environment,
    };
    Failure {
        report: error.into(),
        exit,
    }
}

/// The project of this run.
pub(super) fn project(shared: &Shared) -> Project<'_> {
    Project {
        manifest: &shared.manifest,
        root: shared.root.as_deref(),
    }
}
