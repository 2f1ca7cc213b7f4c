//! What distinguishes builds, and what is required against what is locked. Builds themselves are tested
//! through the program.

use super::*;
use crate::lock::Origin;
use crate::plan;

fn package(name: &str, version: &str, origin: Origin) -> LockedPackage {
    LockedPackage {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        origin,
        file: format!("{name}-{version}.tar.gz"),
        size: None,
        sha256: Digest::of("source"),
    }
}

fn interpreter(version: &str) -> Interpreter {
    let mut interpreter = plan::tests::interpreter();
    interpreter.identity.version = version.into();
    interpreter
}

#[test]
fn a_build_is_named_by_everything_that_goes_into_it() {
    let demo = package("demo", "1.0", Origin::Index(None));
    let python = interpreter("3.11.7");
    let pinned = [package("setuptools", "80", Origin::Index(None)).into()];
    let recipe = Recipe {
        package: &demo,
        interpreter: &python,
        requirements: &pinned,
    };
    let within = |subdirectory: Option<&str>| {
        let origin = Origin::Git {
            url: "https://example.org/r".into(),
            commit: "1".into(),
            subdirectory: subdirectory.map(str::to_owned),
        };
        package("demo", "1.0", origin)
    };
    let (top, below) = (within(None), within(Some("python")));
    let other = interpreter("3.11.8");
    let digests = [
        recipe.digest(),
        Recipe {
            requirements: &[],
            ..recipe
        }
        .digest(),
        Recipe {
            interpreter: &other,
            ..recipe
        }
        .digest(),
        Recipe {
            package: &below,
            ..recipe
        }
        .digest(),
    ];
    for (at, digest) in digests.iter().enumerate() {
        assert!(!digests[..at].contains(digest), "{at}");
    }
    // Where the same bytes come from is no difference.
    assert_eq!(
        Recipe {
            package: &top,
            ..recipe
        }
        .digest(),
        digests[0]
    );
}

#[test]
fn what_is_asked_for_must_be_locked() {
    let demo = package("demo", "1.0", Origin::Index(None));
    let python = interpreter("3.11.7");
    let pinned = [package("setuptools", "80", Origin::Index(None)).into()];
    let recipe = Recipe {
        package: &demo,
        interpreter: &python,
        requirements: &pinned,
    };
    let target = plan::tests::locked("emt", "now").targets.remove(0);
    for (requirement, expected) in [
        ("setuptools>=61", true),
        ("setuptools<80", false),
        ("wheel", false),
        ("wheel; sys_platform == 'win32'", true),
    ] {
        assert_eq!(
            is_locked(requirement, &recipe, &target),
            expected,
            "{requirement}"
        );
    }
}

#[test]
fn nothing_of_a_file_that_is_not_the_locked_one_is_unpacked() {
    let temporary = tempfile::tempdir().unwrap();
    let archive = temporary.path().join("archive");
    files::write(&archive, b"other").unwrap();
    let error = verify(&package("demo", "1.0", Origin::Index(None)), &archive).unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
}
