//! What an environment asks of the resolver, in normal form.

use std::collections::BTreeMap;

use pep440_rs::VersionSpecifiers;
use pep508_rs::PackageName;

use super::Question;
use crate::manifest::{Environment, Manifest, Requirement, normal_form};

/// The question of an environment: everything in the manifest that decides what is resolved, and nothing else.
pub fn question(manifest: &Manifest, environment: &Environment) -> Question {
    let Environment {
        name: _,
        source: _,
        sha256: _,
        python,
        python_source,
        requires_python,
        dependencies,
        // What is beside the manifest is compared with what is locked of it.
        local: _,
        constraints,
        build_constraints,
        build_dependencies,
        overrides,
        exclude,
        exclude_newer,
        indexes,
        sdists,
        variables: _,
        keep: _,
        optional: _,
        prefetch: _,
        // It decides what is built of the answer.
        bytecode: _,
        functions: _,
        about: _,
    } = environment;
    let asked = [
        ("build-constraint", normal_forms(build_constraints)),
        (
            "build-dependency",
            declared_for_builds(build_dependencies.iter()),
        ),
        ("constraint", normal_forms(constraints)),
        ("dependency", normal_forms(dependencies)),
        ("exclude", texts(exclude)),
        ("exclude-newer", texts(exclude_newer)),
        // By name alone: a mirror of an index is the same index.
        (
            "index",
            indexes
                .iter()
                .map(|(package, index)| format!("{package} {index}"))
                .collect(),
        ),
        ("index-exclude-newer", cut_offs(manifest, environment)),
        ("override", normal_forms(overrides)),
        ("python", texts(python)),
        ("python-source", vec![python_source.as_str().to_owned()]),
        ("requires-python", specifiers(requires_python.as_ref())),
        ("sdist", texts(sdists)),
    ];
    let mut question = BTreeMap::new();
    for (key, mut values) in asked {
        values.sort();
        values.dedup();
        if !values.is_empty() {
            question.insert(key.to_owned(), values);
        }
    }
    Question(question)
}

fn normal_forms(requirements: &[Requirement]) -> Vec<String> {
    requirements.iter().map(normal_form).collect()
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

/// Each requirement with the package that it is declared for.
fn declared_for_builds<'a>(
    declared: impl Iterator<Item = (&'a PackageName, &'a Vec<Requirement>)>,
) -> Vec<String> {
    let lines = declared.flat_map(|(package, requirements)| {
        let requirements = requirements.iter();
        requirements.map(move |one| format!("{package} {}", normal_form(one)))
    });
    lines.collect()
}

/// One value, whatever the order of its specifiers.
fn specifiers(requires_python: Option<&VersionSpecifiers>) -> Vec<String> {
    let mut specifiers = texts(requires_python.into_iter().flat_map(|all| all.iter()));
    specifiers.sort();
    if specifiers.is_empty() {
        return Vec::new();
    }
    vec![specifiers.join(",")]
}

/// The cut-offs of the indexes that an environment uses, where they have their own.
fn cut_offs(manifest: &Manifest, environment: &Environment) -> Vec<String> {
    let used = environment.indexes.values();
    let own = used.filter_map(|name| {
        let exclude_newer = manifest.indexes.get(name)?.exclude_newer.as_ref()?;
        Some(format!("{name} {exclude_newer}"))
    });
    own.collect()
}
