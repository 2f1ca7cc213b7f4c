//! Direct references against what is locked of them: the same address, repository or path, and beside the manifest the
//! same bytes.

use super::super::{LockedPackage, Origin};
use super::{Code, Findings};
use crate::manifest::{Environment, Fragment, Reference};

/// Whether a package comes from where it is asked for, and is the file whose sha256 is asked for.
pub(super) fn answers(reference: &Reference, package: &LockedPackage) -> bool {
    let fits = |fragment: &Fragment| {
        let mut checksums = fragment.checksums.iter();
        fragment.subdirectory.as_deref() == package.origin.subdirectory()
            && checksums.all(|one| one.sha256().is_none_or(|sha256| sha256 == package.sha256))
    };
    match (reference, &package.origin) {
        (
            Reference::Url {
                url: asked,
                fragment,
            },
            Origin::Url { url: locked, .. },
        )
        | (
            Reference::Path {
                path: asked,
                fragment,
            },
            Origin::Path { path: locked, .. },
        ) => asked == locked && fits(fragment),
        (
            Reference::Git {
                url: asked,
                revision,
                subdirectory: within,
            },
            Origin::Git {
                url,
                commit,
                subdirectory,
            },
        ) => {
            // Only a commit can be compared without the repository.
            let is_commit = |revision: &&String| {
                revision.len() == commit.len() && revision.bytes().all(|b| b.is_ascii_hexdigit())
            };
            let moved = revision
                .as_ref()
                .filter(is_commit)
                .is_some_and(|revision| !revision.eq_ignore_ascii_case(commit));
            asked == url && within == subdirectory && !moved
        }
        _ => false,
    }
}

/// A package from beside the manifest must be asked for, and its bytes must be those that were locked.
pub(super) fn local(
    found: &mut Findings,
    environment: &Environment,
    package: &LockedPackage,
    place: &str,
) {
    let Origin::Path { path, .. } = &package.origin else {
        return;
    };
    match environment.local.get(path) {
        Some(there) if there.sha256 == package.sha256 => {}
        Some(there) => found.add(
            Code::LocalChanged,
            format!("`{path}` has changed since it was locked for {place}"),
            Some(package.sha256.to_string()),
            Some(there.sha256.to_string()),
        ),
        None => found.add(
            Code::VersionViolatesManifest,
            format!(
                "`{}` is locked for {place} from `{path}`, which no dependency names",
                package.name
            ),
            Some(path.clone()),
            None,
        ),
    }
}
