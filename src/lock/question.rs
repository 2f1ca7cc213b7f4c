//! What an environment asks of the resolver, in normal form. Asks nobody.

use std::collections::BTreeMap;

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
        indexes,
        sdists,
        variables: _,
        keep: _,
        optional: _,
        prefetch: _,
    } = environment;
    let requirements = |all: &[Requirement]| all.iter().map(normal_form).collect::<Vec<_>>();
    let mut specifiers: Vec<String> = requires_python
        .iter()
        .flat_map(|all| all.iter().map(ToString::to_string))
        .collect();
    specifiers.sort();
    let asked = [
        ("build-constraint", requirements(build_constraints)),
        (
            "build-dependency",
            build_dependencies
                .iter()
                .flat_map(|(package, all)| {
                    let all = all.iter();
                    all.map(move |one| format!("{package} {}", normal_form(one)))
                })
                .collect(),
        ),
        ("constraint", requirements(constraints)),
        ("dependency", requirements(dependencies)),
        ("exclude", exclude.iter().map(ToString::to_string).collect()),
        (
            "exclude-newer",
            manifest.exclude_newer.iter().cloned().collect(),
        ),
        // By name alone: a mirror of an index is the same index.
        (
            "index",
            indexes
                .iter()
                .map(|(package, index)| format!("{package} {index}"))
                .collect(),
        ),
        ("index-exclude-newer", cut_offs(manifest, environment)),
        ("override", requirements(overrides)),
        ("python", python.iter().map(ToString::to_string).collect()),
        ("python-source", vec![python_source.as_str().to_owned()]),
        (
            "requires-python",
            if specifiers.is_empty() {
                Vec::new()
            } else {
                vec![specifiers.join(",")]
            },
        ),
        ("sdist", sdists.iter().map(ToString::to_string).collect()),
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

/// The cut-offs of the indexes that an environment uses, where they have their own.
fn cut_offs(manifest: &Manifest, environment: &Environment) -> Vec<String> {
    let used = environment.indexes.values();
    let own = used.filter_map(|name| {
        let exclude_newer = manifest.indexes.get(name)?.exclude_newer.as_ref()?;
        Some(format!("{name} {exclude_newer}"))
    });
    own.collect()
}
