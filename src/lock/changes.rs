//! The difference between two locks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::{InternedPackage, Lock, LockedEnvironment, LockedModel, LockedTarget, LockedWeight};

/// One thing that is new, gone or another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose: `mace`, `mace (linux-aarch64)`, `model mace-small`.
    place: String,
    kind: Kind,
    /// Of which environment, or of which model.
    of: String,
    target: Option<&'static str>,
    /// Which package or file; empty where the kind is enough.
    name: String,
    was: Option<String>,
    now: Option<String>,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Resolver,
    Python,
    Package,
    /// A package that building a source distribution takes: `bibtexparser/setuptools`.
    Build,
    /// The tree of a generation, by the exact version of the Python it stands on.
    Recorded,
    Weights,
    /// The recorded numbers of a model.
    Reference,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Resolver => "resolver",
            Kind::Python => "python",
            Kind::Package => "package",
            Kind::Build => "build",
            Kind::Recorded => "recorded",
            Kind::Weights => "weights",
            Kind::Reference => "reference",
        }
    }
}

/// Everything in which a lock differs from the one before it: environments by name, then models.
pub(crate) fn between(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let mut changes = Vec::new();
    let names: BTreeSet<_> = [old, Some(new)]
        .into_iter()
        .flatten()
        .flat_map(|lock| {
            lock.environments
                .iter()
                .map(|environment| &environment.name)
        })
        .collect();
    for name in names {
        let before = old.and_then(|old| old.environment(name));
        let after = new.environment(name);
        let mut push = |kind, target: Option<&'static str>, (name_of, was, now)| {
            let place = match target {
                Some(target) if several_targets(new) => format!("{name} ({target})"),
                _ => name.to_string(),
            };
            changes.push(Change {
                place,
                kind,
                of: name.to_string(),
                target,
                name: name_of,
                was,
                now,
            });
        };
        let resolver = |there: Option<&LockedEnvironment>| {
            facts(there.map(|there| (String::new(), there.resolver.clone())))
        };
        for fact in differences(&resolver(before), &resolver(after)) {
            push(Kind::Resolver, None, fact);
        }
        let targets: BTreeSet<_> = [before, after]
            .into_iter()
            .flatten()
            .flat_map(|there| there.targets.iter().map(|target| target.target.name()))
            .collect();
        for target in targets {
            let before = before.and_then(|before| before.target(target));
            let after = after.and_then(|after| after.target(target));
            for fact in differences(&python(before), &python(after)) {
                push(Kind::Python, Some(target), fact);
            }
            for fact in differences(&packages(before), &packages(after)) {
                push(Kind::Package, Some(target), fact);
            }
            for fact in differences(&builds(before), &builds(after)) {
                push(Kind::Build, Some(target), fact);
            }
            for fact in differences(&recorded(before), &recorded(after)) {
                push(Kind::Recorded, Some(target), fact);
            }
        }
    }
    changes.extend(models(old, new));
    changes
}

fn models<'a>(old: Option<&'a Lock>, new: &'a Lock) -> impl Iterator<Item = Change> {
    let of = |lock: Option<&'a Lock>| lock.map_or(&[][..], |lock| &lock.models);
    let (before, after) = (of(old), of(Some(new)));
    let ids: BTreeSet<_> = before.iter().chain(after).map(|model| &model.id).collect();
    ids.into_iter().flat_map(move |id| {
        let find = |models: &'a [LockedModel]| models.iter().find(|model| model.id == *id);
        let weights = differences(&weights(find(before)), &weights(find(after)));
        let weights = weights.into_iter().map(|fact| (Kind::Weights, fact));
        let references = differences(&reference(find(before)), &reference(find(after)));
        let references = references.into_iter().map(|fact| (Kind::Reference, fact));
        let facts = weights.chain(references);
        facts.map(move |(kind, (name, was, now))| Change {
            place: format!("model {id}"),
            kind,
            of: id.to_string(),
            target: None,
            name,
            was,
            now,
        })
    })
}

fn several_targets(lock: &Lock) -> bool {
    lock.environments
        .iter()
        .any(|environment| environment.targets.len() > 1)
}

/// Names with what is locked under them.
type Facts = BTreeMap<String, String>;

fn facts(pairs: impl IntoIterator<Item = (String, String)>) -> Facts {
    pairs.into_iter().collect()
}

fn python(target: Option<&LockedTarget>) -> Facts {
    facts(target.map(|target| (String::new(), target.python.label())))
}

fn packages(target: Option<&LockedTarget>) -> BTreeMap<String, &InternedPackage> {
    let packages = target.map_or(&[][..], |target| &target.packages);
    packages
        .iter()
        .map(|package| (package.name.to_string(), package))
        .collect()
}

fn builds(target: Option<&LockedTarget>) -> BTreeMap<String, &InternedPackage> {
    let builds = target.into_iter().flat_map(|target| &target.builds);
    builds
        .flat_map(|(sdist, packages)| {
            packages
                .iter()
                .map(move |package| (format!("{sdist}/{}", package.name), package))
        })
        .collect()
}

fn recorded(target: Option<&LockedTarget>) -> Facts {
    let trees = target.into_iter().flat_map(|target| target.trees.values());
    facts(trees.map(|record| (record.python.clone(), record.tree.short(12))))
}

fn weights(model: Option<&LockedModel>) -> BTreeMap<String, &LockedWeight> {
    let weights = model.map_or(&[][..], |model| &model.weights);
    weights
        .iter()
        .map(|weight| (weight.path.clone(), weight))
        .collect()
}

fn reference(model: Option<&LockedModel>) -> Facts {
    let record = model.and_then(|model| model.reference.as_ref());
    facts(record.map(|record| (record.path.clone(), record.digest().short(12))))
}

/// The text for something that is locked, next to what it replaces or what replaces it.
trait Describe: PartialEq {
    fn describe(&self, other: Option<&Self>) -> String;
}

impl Describe for String {
    fn describe(&self, _: Option<&Self>) -> String {
        self.clone()
    }
}

impl Describe for &InternedPackage {
    fn describe(&self, other: Option<&Self>) -> String {
        match other {
            // It is another file of the same version.
            Some(other) if other.version == self.version && other.file != self.file => {
                format!("{} {}", self.version, self.file)
            }
            Some(other) if other.version == self.version => {
                format!("{} sha256 {}", self.version, self.sha256.short(12))
            }
            _ => self.version.to_string(),
        }
    }
}

impl Describe for &LockedWeight {
    fn describe(&self, other: Option<&Self>) -> String {
        match other {
            Some(other) if other.sha256 == self.sha256 => self.url.clone(),
            _ => format!("sha256 {}", self.sha256.short(12)),
        }
    }
}

/// What is not the same under the same name: name, before, after.
fn differences<T: Describe>(
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> Vec<(String, Option<String>, Option<String>)> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    let change = |name: &String| {
        let (was, now) = (before.get(name), after.get(name));
        (
            name.clone(),
            was.map(|was| was.describe(now)),
            now.map(|now| now.describe(was)),
        )
    };
    names.into_iter().filter(differs).map(change).collect()
}

impl Change {
    /// Its row in a table: where, what, was, now.
    pub(super) fn row(&self) -> [String; 4] {
        let or_nothing = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        [
            self.place.clone(),
            self.what(),
            or_nothing(&self.was),
            or_nothing(&self.now),
        ]
    }

    /// `torch`, `python`, `weights mace/small`.
    fn what(&self) -> String {
        match self.kind {
            Kind::Package => self.name.clone(),
            kind if self.name.is_empty() => kind.name().to_owned(),
            kind => format!("{} {}", kind.name(), self.name),
        }
    }
}

/// A change in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    was: Option<&'a str>,
    now: Option<&'a str>,
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_model = matches!(self.kind, Kind::Weights | Kind::Reference);
        let entry = Entry {
            kind: self.kind.name(),
            environment: (!is_model).then_some(self.of.as_str()),
            model: is_model.then_some(self.of.as_str()),
            target: self.target,
            name: Some(self.name.as_str()).filter(|name| !name.is_empty()),
            was: self.was.as_deref(),
            now: self.now.as_deref(),
        };
        entry.serialize(serializer)
    }
}
