//! Where an environment's packages go on a Python's search path, given what that Python has itself. No input, no output, but for
//! the metadata of the environment.

use std::collections::BTreeSet;

use pep440_rs::Version;
use pep508_rs::{MarkerEnvironment, PackageName, VersionOrUrl};

use super::names::{Seen, Theirs};
use super::{Chosen, Collision, Contents, Mode};

/// Where they are asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Placement {
    /// Before that Python's own if it has none of them, else behind; nowhere if its own do not fit.
    #[default]
    Auto,
    /// Behind its own packages.
    Append,
    /// Before its own packages.
    Prepend,
    /// Nowhere.
    Skip,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Where they go.
    pub(crate) mode: Mode,
    /// Names that both have.
    pub(crate) collisions: Vec<Collision>,
    /// Packages that both have, one line for each distribution: `numpy 2.1.3 in /venv/lib/…, not 2.5.5`.
    pub(crate) both: Vec<Both>,
    /// Requirements of the environment that the Python's own packages do not meet: `ase 3.26.0 requires numpy>=2, and …`.
    pub(crate) unmet: Vec<String>,
}

/// A distribution that both have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Both {
    /// Its name, or the import name where it is of none.
    pub(crate) name: String,
    /// The version that Python has.
    pub(crate) theirs: String,
    /// The directory in which that Python has it.
    pub(crate) place: String,
    /// The environment's version.
    pub(crate) ours: String,
}

/// Decides it. `seen` is `None` where that Python did not say what it has.
pub(crate) fn decide(
    placement: Placement,
    contents: &Contents,
    chosen: Option<&Chosen>,
    seen: Option<&Seen>,
    markers: &MarkerEnvironment,
) -> Decision {
    let names = seen.into_iter().flat_map(|seen| &seen.names);
    let (collisions, both): (Vec<Collision>, BTreeSet<Both>) = names
        .map(|(name, theirs)| collision(name, theirs, contents))
        .unzip();
    let unmet = if collisions.is_empty() {
        Vec::new()
    } else {
        unmet(contents, chosen, seen, markers)
    };
    let mode = match placement {
        Placement::Skip => Mode::Skip,
        Placement::Prepend => Mode::Prepend,
        Placement::Auto if !unmet.is_empty() => Mode::None,
        Placement::Auto if seen.is_some() && collisions.is_empty() => Mode::Prepend,
        Placement::Append | Placement::Auto => Mode::Append,
    };
    Decision {
        mode,
        collisions,
        both: both.into_iter().collect(),
        unmet,
    }
}

fn collision(name: &str, theirs: &Theirs, contents: &Contents) -> (Collision, Both) {
    let ours = contents.owner(name);
    let place = theirs.place.display().to_string();
    let both = Both {
        name: theirs
            .distribution
            .clone()
            .unwrap_or_else(|| name.to_owned()),
        theirs: theirs
            .version
            .clone()
            .unwrap_or_else(|| "of no known version".to_owned()),
        ours: ours.map_or_else(
            || "the environment's".to_owned(),
            |(_, version)| version.to_string(),
        ),
        place: place.clone(),
    };
    let collision = Collision {
        name: name.to_owned(),
        theirs: theirs.version.clone(),
        ours: ours.map(|(_, version)| version.to_string()),
        place,
    };
    (collision, both)
}

/// What the environment requires of packages that the Python has in another version.
fn unmet(
    contents: &Contents,
    chosen: Option<&Chosen>,
    seen: Option<&Seen>,
    markers: &MarkerEnvironment,
) -> Vec<String> {
    let theirs = seen.into_iter().flat_map(|seen| seen.names.values());
    let theirs: Vec<(PackageName, Version, &Theirs)> = theirs
        .filter_map(|theirs| {
            let name = theirs.distribution.as_ref()?.parse().ok()?;
            Some((name, theirs.version.as_ref()?.parse().ok()?, theirs))
        })
        .collect();
    let mut lines = BTreeSet::new();
    for required in contents.required(chosen, markers) {
        let requirement = &required.requirement;
        let Some(VersionOrUrl::VersionSpecifier(specifiers)) = &requirement.version_or_url else {
            continue;
        };
        let their = theirs.iter().find(|(name, ..)| *name == requirement.name);
        if let Some((name, version, theirs)) = their.filter(|(_, v, _)| !specifiers.contains(v)) {
            lines.insert(format!(
                "{} requires {name}{specifiers}, and {name} {version} is in {}",
                required.by,
                theirs.place.display()
            ));
        }
    }
    lines.into_iter().collect()
}
