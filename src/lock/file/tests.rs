//! Locks written and read again, edited byte by byte, and of later formats.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Bytecode, InternedPackage, LockedArchive, LockedEnvironment, LockedModel, LockedPackage,
    LockedPython, LockedSource, LockedTarget, LockedWeight, Origin, PythonSource, Question,
    RecordedTree,
};
use super::*;
use crate::about::{About, Dtype, Elements, Structure, Tolerance};
use crate::digest::Digest;
use crate::numbers::Record;
use crate::target::Target;

fn commit(subdirectory: Option<String>) -> Origin {
    Origin::Git {
        url: "https://example.com/r".into(),
        commit: "1".repeat(40),
        subdirectory,
    }
}

/// A small lock, whole.
#[expect(clippy::too_many_lines, reason = "one lock with everything in it")]
pub(crate) fn sample() -> Lock {
    let plain = |name: &str, fill: char, index: Option<&str>| LockedPackage {
        name: name.parse().unwrap(),
        version: "1.0".parse().unwrap(),
        origin: Origin::Index(index.map(|index| index.parse().unwrap())),
        file: format!("{name}-1.0-py3-none-any.whl"),
        size: index.is_none().then_some(12),
        sha256: fill.to_string().repeat(64).parse().unwrap(),
    };
    let package = |name, fill, index| InternedPackage::from(plain(name, fill, index));
    let direct = |name, fill, origin| {
        InternedPackage::from(LockedPackage {
            origin,
            ..plain(name, fill, None)
        })
    };
    let address = Origin::Url {
        url: "https://e.org/c-1.0.tar.gz".into(),
        subdirectory: Some("c".into()),
    };
    let beside = Origin::Path {
        path: "./libs/d".into(),
        subdirectory: None,
    };
    let dependencies = ["a==1.0", "b"].map(str::to_owned).to_vec();
    let question = Question(BTreeMap::from([
        ("dependency".to_owned(), dependencies),
        ("python".to_owned(), vec!["3.11".to_owned()]),
    ]));
    let mut environment = LockedEnvironment {
        name: "emt".parse().unwrap(),
        source: LockedSource {
            path: "environments/emt.py".into(),
            sha256: Digest::of("x"),
        },
        variables: BTreeMap::from([("A".to_owned(), "quote \" and \\".to_owned())]),
        keep: BTreeSet::from(["SLURM_*".to_owned()]),
        functions: BTreeSet::from(["env_source:add".to_owned()]),
        bytecode: Bytecode::All,
        question,
        resolver: "uv 0.13.9".into(),
        inputs: Digest::of(""),
        targets: vec![LockedTarget {
            target: Target::named("linux-x86_64").unwrap(),
            python: LockedPython {
                implementation: "cpython".into(),
                version: "3.11".parse().unwrap(),
                source: PythonSource::System,
                soabi: "cpython-311-x86_64-linux-gnu".into(),
            },
            packages: vec![
                package("a", '1', None),
                package("b", '2', Some("torch")),
                direct("c", '3', address),
                direct("d", '4', beside),
                direct("e", '5', commit(None)),
                direct("f", '6', commit(Some("python".into()))),
            ],
            builds: BTreeMap::from([
                ("c".parse().unwrap(), vec![package("g", '7', None)]),
                ("d".parse().unwrap(), Vec::new()),
            ]),
            digest: Digest::of(""),
            trees: BTreeMap::new(),
        }],
    };
    environment.inputs = Digest::of(environment.asked());
    let managed = managed(&environment.targets[0]);
    environment.targets.insert(0, managed);
    for at in 0..environment.targets.len() {
        let digest = Digest::of(environment.answer(&environment.targets[at]));
        environment.targets[at].digest = digest;
    }
    for id in ["0d", "1e"] {
        let python = "3.11.7".into();
        let tree = Digest::of(id);
        let record = RecordedTree { python, tree };
        environment.targets[1].trees.insert(id.into(), record);
    }
    let setup =
        serde_json::json!({ "dtype": "float32", "n": 1, "t": { "a.b": 2 }, "x": [1.5, true] });
    let serde_json::Value::Object(setup) = setup else {
        unreachable!()
    };
    let model = LockedModel {
        id: "emt-0.1".parse().unwrap(),
        environment: "emt".parse().unwrap(),
        argument: "x".into(),
        setup,
        weights: vec![LockedWeight {
            url: "https://example.com/x".into(),
            commit: None,
            path: "x/y".into(),
            size: None,
            sha256: Digest::of("weights"),
        }],
        about: about(),
        reference: Some(Record {
            path: "references/\"x\".extxyz".into(),
            sha256: Digest::of("numbers"),
            target: "linux-x86_64".into(),
            answer: Digest::of("answer"),
            generation: "0d".into(),
            model: Digest::of("model"),
            weights: Digest::of("weights"),
            dtype: Dtype::Float32,
            conditions: [("device".to_owned(), "cpu".to_owned())].into(),
        }),
    };
    Lock {
        environments: vec![environment],
        models: vec![model],
    }
}

fn about() -> About {
    let mut elements = Elements::default();
    elements.add("H-Ar").unwrap();
    About {
        elements,
        licence: Some("MIT \"code\"".into()),
        weights_licence: Some("ASL".into()),
        citation: Some("Ono, J. Ex. (2020)".into()),
        conservative: false,
        dtype: Some(Dtype::Float64),
        probe: vec![Structure::parse("NaCl rocksalt 5.64").unwrap()],
        tolerance: Some(Tolerance {
            energy: Some(1e-5),
            forces: Some(1.0),
            stress: None,
            reason: "tensor cores".into(),
        }),
    }
}

/// The same for another machine, on a managed interpreter.
fn managed(system: &LockedTarget) -> LockedTarget {
    let archive = LockedArchive {
        build: Some("20261110".into()),
        url: "https://example.com/20261110/python.tar.gz".into(),
        sha256: Digest::of("archive"),
    };
    LockedTarget {
        target: Target::named("linux-aarch64").unwrap(),
        python: LockedPython {
            version: "3.11.18".parse().unwrap(),
            source: PythonSource::Managed(archive),
            ..system.python.clone()
        },
        ..system.clone()
    }
}

#[test]
fn a_lock_reads_back_as_itself() {
    let text = text(&sample());
    assert_eq!(read("rootstock.lock", &text).unwrap(), sample());
    assert_eq!(
        read("rootstock.lock", &text.replace('\n', "\r\n")).unwrap(),
        sample()
    );
}

#[test]
fn a_large_lock_is_read_whole_and_edits_are_found_in_their_places() {
    let mut lock = sample();
    let environment = &mut lock.environments[0];
    environment.targets[0].packages = (0..600)
        .map(|at| LockedPackage {
            name: format!("p{at:03}").parse().unwrap(),
            version: "1.0".parse().unwrap(),
            origin: Origin::Index(None),
            file: format!("p{at:03}-1.0-py3-none-any.whl"),
            size: Some(at),
            sha256: Digest::of(at.to_string()),
        })
        .map(InternedPackage::from)
        .collect();
    let digest = Digest::of(environment.answer(&environment.targets[0]));
    environment.targets[0].digest = digest;
    environment.targets[0].trees.clear();
    let text = text(&lock);
    assert_eq!(read("rootstock.lock", &text).unwrap(), lock);
    // A line twice, a table behind, a line that is none, another size.
    let first = text.rfind("\"p300 1.0").unwrap();
    let (first, second) = text.split_at(first);
    let line = text.lines().find(|line| line.starts_with("\"p001 1.0"));
    let again = format!("{first}{}\n{second}", line.unwrap());
    let behind = format!("{text}\n[models]\n");
    let broken = format!("{first}what is this?\n{second}");
    let size = second.replacen("size = ", "size = 1", 1);
    for edited in [&again, &behind, &broken, &format!("{first}{size}")] {
        assert!(read("rootstock.lock", edited).is_err(), "{edited}");
    }
    let Err(Error::Unreadable(unreadable)) = read("rootstock.lock", &broken) else {
        panic!("it was read");
    };
    let place = unreadable.place.unwrap();
    assert!(first.len() <= place.offset() && place.offset() < first.len() + 14);
}

#[test]
fn a_lock_without_a_version_is_none() {
    let text = text(&sample()).replace("version = 1\n", "");
    let Err(Error::Unreadable(unreadable)) = read("rootstock.lock", &text) else {
        panic!("it was read");
    };
    assert!(unreadable.reason.contains("version"), "{unreadable}");
}

#[test]
fn every_single_byte_edit_is_found() {
    let text = text(&sample());
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        let Ok(edited) = String::from_utf8(bytes) else {
            continue;
        };
        assert!(
            read("rootstock.lock", &edited).is_err() || differs_in_model(&edited),
            "byte {at}: {edited}"
        );
    }
}

/// A model's entry in the manifest is compared with the lock, so a lock needs no digest of it.
fn differs_in_model(edited: &str) -> bool {
    let lock = read("rootstock.lock", edited).unwrap();
    let sample = sample();
    let variables = lock.environments[0].variables != sample.environments[0].variables
        || lock.environments[0].keep != sample.environments[0].keep
        || lock.environments[0].functions != sample.environments[0].functions;
    let path = lock.environments[0].source.path != sample.environments[0].source.path;
    lock.models != sample.models
        || variables
        || path
        || lock.environments[0].name != sample.environments[0].name
}

#[test]
fn a_later_format_is_not_guessed_at() {
    let text = text(&sample()).replace("version = 1\n", "version = 2\nnews = 1\n");
    assert!(matches!(
        read("rootstock.lock", &text),
        Err(Error::Newer { found: 2, .. })
    ));
}
