//! What uv answers. An environment on a system's interpreter is asked for by its series, `3.11`, and built on any patch
//! version of that, so its answer must be the same on all of them: it is asked for on the lowest, on the highest, on
//! those of this machine, and around those that a requirement or a marker names.
//!
//! The same holds for the kernel, which no target states.

use std::collections::{BTreeMap, BTreeSet};

use pep440_rs::Version;
use pep508_rs::{MarkerEnvironment, MarkerTree};

use super::ask::Asking;
use super::{Failure, Solver};
use crate::manifest::{Environment, normal_form, patches};
use crate::name;
use crate::target::Target;
use crate::uv::{Compile, Package};

impl Solver<'_> {
    /// What uv answers, with every routed package from its own index; only what the target needs.
    pub(super) fn answer<'e>(
        &self,
        environment: &'e Environment,
        ask: &Compile<'e>,
        target: &Target,
        python: &Version,
    ) -> Result<Vec<Package>, Failure> {
        let asked = environment
            .dependencies
            .iter()
            .chain(&environment.overrides);
        for requirement in asked {
            let marker = normal_form(requirement);
            if depends_on_kernel(&target.markers(python), &requirement.marker, &marker) {
                return Err(Failure::Kernel {
                    environment: environment.name.clone(),
                    package: requirement.name.to_string(),
                    marker,
                });
            }
        }
        if python.release().len() > 2 {
            let answer = self.on_version(environment, ask, target, (python, python))?;
            return needed(environment, target, python, answer);
        }
        let allowed: Vec<Version> = patches(environment.requires_python.as_ref(), python).collect();
        let (Some(lowest), Some(highest)) = (allowed.first(), allowed.last()) else {
            // What it is locked for would be no Python at all; who chose it has seen to that.
            let answer = self.on_version(environment, ask, target, (python, python))?;
            return needed(environment, target, python, answer);
        };
        let mut versions: BTreeSet<Version> = [lowest, highest].into_iter().cloned().collect();
        let here = self
            .resolver
            .interpreters
            .iter()
            .filter_map(crate::python::Interpreter::version);
        versions.extend(here.filter(|version| allowed.contains(version)));
        let lists = [&ask.requirements, &ask.constraints, &ask.overrides];
        for text in lists.into_iter().flatten() {
            versions.extend(near(text, &allowed));
        }
        let mut answers: BTreeMap<Version, Result<Vec<Package>, Failure>> = BTreeMap::new();
        while let Some(version) = versions.pop_first() {
            if answers.contains_key(&version) {
                continue;
            }
            let answer = self.on_version(environment, ask, target, (&version, python));
            let markers = answer
                .iter()
                .flatten()
                .filter_map(|package| package.marker.as_ref());
            versions.extend(markers.flat_map(|marker| near(marker, &allowed)));
            let answer = answer.and_then(|answer| needed(environment, target, &version, answer));
            if matches!(&answer, Err(failure) if !failure.is_no_solution()) {
                return answer;
            }
            answers.insert(version, answer);
        }
        self.same(environment, python, answers)
    }

    /// What uv answers on one version, `(version, as it is called in messages)`.
    fn on_version<'e>(
        &self,
        environment: &'e Environment,
        ask: &Compile<'e>,
        target: &Target,
        (python, shown): (&Version, &Version),
    ) -> Result<Vec<Package>, Failure> {
        let asking = Asking {
            environment,
            target,
            python,
            shown,
        };
        self.packages(&asking, ask)
    }

    /// The one answer for all patch versions.
    fn same(
        &self,
        environment: &Environment,
        python: &Version,
        answers: BTreeMap<Version, Result<Vec<Package>, Failure>>,
    ) -> Result<Vec<Package>, Failure> {
        let versions = |answer: &Result<Vec<Package>, Failure>| match answer {
            Ok(packages) => packages
                .iter()
                .map(|package| format!("{} {}", package.name, package.version))
                .collect(),
            Err(_) => BTreeSet::from(["no solution".to_owned()]),
        };
        let (first, of_first) = answers
            .first_key_value()
            .expect("at least one is asked for");
        let of_first = versions(of_first);
        let other = answers
            .iter()
            .find(|(_, answer)| versions(answer) != of_first);
        let Some((other, of_other)) = other else {
            let mut answers = answers;
            let (_, answer) = answers.pop_first().expect("at least one is asked for");
            return answer;
        };
        let of_other = versions(of_other);
        let only = |of: &BTreeSet<String>, not: &BTreeSet<String>| {
            let only: Vec<String> = of
                .difference(not)
                .map(|version| format!("`{version}`"))
                .collect();
            if only.is_empty() {
                "without that".to_owned()
            } else {
                only.join(", ")
            }
        };
        let series = &python.release()[..2];
        let here = self
            .resolver
            .interpreters
            .iter()
            .filter_map(crate::python::Interpreter::version);
        let mut here = here.filter(|version| version.release().starts_with(series));
        let exact = here.find(|version| answers.get(version).is_some_and(Result::is_ok));
        let solved = answers.iter().rev().find(|(_, answer)| answer.is_ok());
        let exact = exact.or_else(|| solved.map(|(version, _)| version.clone()));
        Err(Failure::Patch {
            environment: environment.name.clone(),
            series: python.clone(),
            first: format!("with {first} {}", only(&of_first, &of_other)),
            other: format!("with {other} {}", only(&of_other, &of_first)),
            exact: exact.unwrap_or_else(|| first.clone()),
            source_path: environment.source.clone(),
        })
    }
}

/// The packages of an answer whose markers hold on the target, on every kernel.
fn needed(
    environment: &Environment,
    target: &Target,
    python: &Version,
    answer: Vec<Package>,
) -> Result<Vec<Package>, Failure> {
    let markers = target.markers(python);
    let mut needed = Vec::new();
    for mut package in answer {
        let Some(text) = package.marker.take() else {
            needed.push(package);
            continue;
        };
        let marker = name::marker(&text).map_err(|error| Failure::Answer {
            environment: environment.name.clone(),
            reason: format!("{}: {}", package.name, error.message),
        })?;
        if depends_on_kernel(&markers, &marker, &text) {
            return Err(Failure::Kernel {
                environment: environment.name.clone(),
                package: package.name,
                marker: text,
            });
        }
        if marker.evaluate(&markers, &[]) {
            needed.push(package);
        }
    }
    Ok(needed)
}

/// Whether a marker, whose text this is, holds on one kernel and not on another.
fn depends_on_kernel(markers: &MarkerEnvironment, marker: &MarkerTree, text: &str) -> bool {
    // Those that the marker names, and one before and one behind all of them.
    let mut kernels: Vec<&str> = text.split(['\'', '"']).collect();
    kernels.extend(["", "~"]);
    let mut holds = kernels.iter().flat_map(|release| {
        let markers = markers.clone().with_platform_release(*release);
        let on = |version: &&str| {
            let markers = markers.clone().with_platform_version(*version);
            marker.evaluate(&markers, &[])
        };
        kernels.iter().map(on).collect::<Vec<bool>>()
    });
    let first = holds.next();
    holds.any(|holds| Some(holds) != first)
}

/// The patch versions that a text names, and those around them, as far as they are allowed.
fn near(text: &str, allowed: &[Version]) -> Vec<Version> {
    let Some([major, minor, ..]) = allowed.first().map(Version::release) else {
        return Vec::new();
    };
    let series = format!("{major}.{minor}.");
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&series) {
        let digits: String = text[at + series.len()..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let Ok(patch) = digits.parse::<u64>() else {
            continue;
        };
        let around = patch.saturating_sub(1)..=patch.saturating_add(1);
        found.extend(around.map(|patch| Version::new([*major, *minor, patch])));
    }
    found.retain(|version| allowed.contains(version));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_marker_names_is_asked_for_on_both_sides() {
        let (from, series) = (">=3.11.3".parse().unwrap(), "3.11".parse().unwrap());
        let allowed: Vec<Version> = patches(Some(&from), &series).collect();
        let near = |text: &str| -> Vec<String> {
            near(text, &allowed)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(
            near("a; python_full_version != '3.11.6'"),
            ["3.11.5", "3.11.6", "3.11.7"]
        );
        assert_eq!(
            near("a>=3.12.1; python_full_version > '3.11.2'"),
            ["3.11.3"]
        );
        assert!(near("a==3.11").is_empty());
    }

    #[test]
    fn a_kernel_that_is_only_asked_about_elsewhere_is_none() {
        let markers = Target::named("linux-x86_64")
            .unwrap()
            .markers(&"3.11.7".parse().unwrap());
        let depends = |text: &str| depends_on_kernel(&markers, &text.parse().unwrap(), text);
        assert!(
            depends("platform_release >= '5'")
                && depends("platform_version == 'x' or platform_release != ''")
        );
        assert!(!depends(
            "sys_platform == 'darwin' and platform_release >= '20'"
        ));
        assert!(!depends(
            "sys_platform == 'linux' or platform_version == ''"
        ));
    }
}
