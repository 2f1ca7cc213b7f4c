//! The difference between two locks, as a table and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{InternedPackage, Lock, LockedEnvironment, LockedModel, LockedTarget, LockedWeight};

/// One thing that is new, gone or another one.
pub(crate) struct Change {
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Resolver,
    Python,
    Package,
    /// A package that building a source distribution takes: `bibtexparser/setuptools`.
    Build,
    /// The tree of a generation, by the exact version of the Python it stands on.
    Recorded,
    Weights,
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
        let facts = differences(&weights(find(before)), &weights(find(after)));
        facts.into_iter().map(move |(name, was, now)| Change {
            place: format!("model {id}"),
            kind: Kind::Weights,
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
    /// For machines.
    pub(crate) fn json(&self) -> Value {
        let Change {
            place: _,
            kind,
            of,
            target,
            name,
            was,
            now,
        } = self;
        let of_what = if *kind == Kind::Weights {
            "model"
        } else {
            "environment"
        };
        let name = (!name.is_empty()).then_some(name);
        let mut change = json!({ "kind": kind.name(), of_what: of, "target": target, "name": name, "was": was, "now": now });
        if let Value::Object(change) = &mut change {
            change.retain(|key, value| matches!(key.as_str(), "was" | "now") || !value.is_null());
        }
        change
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

/// The changes as a table; no line if there are none.
pub(crate) fn table(changes: &[Change]) -> Vec<String> {
    if changes.is_empty() {
        return Vec::new();
    }
    let or_nothing = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![["where", "what", "was", "now"].map(str::to_owned)];
    rows.extend(changes.iter().map(|change| {
        [
            change.place.clone(),
            change.what(),
            or_nothing(&change.was),
            or_nothing(&change.now),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    let line = |[place, what, was, now]: &[String; 4]| {
        let [a, b, c] = widths;
        format!("{place:a$}  {what:b$}  {was:c$}  {now}")
    };
    rows.iter().map(line).collect()
}
