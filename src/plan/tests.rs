use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::about::About;
use crate::digest::Digest;
use crate::lock::{LockedModel, LockedPython, LockedSource, PythonSource, Question};
use crate::python::{Identity, Interpreter};
use crate::store::installed::{Complete, Generation};
use crate::store::interpreter::Base;
use crate::store::{Stamp, generation_id, stamp};
use crate::target::Target;

pub(crate) const SOURCE: &str = "def setup(model, device): ...\n";

/// An environment without packages; `version` stands for whatever may change in a lock.
pub(crate) fn locked(name: &str, version: &str) -> LockedEnvironment {
    LockedEnvironment {
        name: name.parse().unwrap(),
        source: LockedSource {
            path: format!("environments/{name}.py"),
            sha256: Digest::of(SOURCE),
        },
        keep: std::collections::BTreeSet::new(),
        functions: std::collections::BTreeSet::new(),
        bytecode: crate::lock::Bytecode::default(),
        variables: BTreeMap::from([("OMP_NUM_THREADS".into(), "1".into())]),
        question: Question::default(),
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
            packages: Vec::new(),
            builds: BTreeMap::new(),
            digest: Digest::of(format!("{name} {version}")),
            trees: BTreeMap::new(),
        }],
    }
}

fn lock(environments: Vec<LockedEnvironment>) -> Lock {
    let models = environments.iter().map(|environment| LockedModel {
        id: environment.name.as_str().parse().unwrap(),
        environment: environment.name.clone(),
        argument: String::new(),
        setup: serde_json::Map::new(),
        weights: Vec::new(),
        about: About::default(),
        reference: None,
    });
    Lock {
        models: models.collect(),
        environments,
    }
}

pub(crate) fn interpreter() -> Interpreter {
    Interpreter {
        executable: "/usr/bin/python3.11".into(),
        identity: Identity {
            implementation: "cpython".into(),
            version: "3.11.7".into(),
            soabi: "cpython-311-x86_64-linux-gnu".into(),
            platform: "linux-x86_64".into(),
        },
        glibc: Some("2.36".into()),
    }
}

/// A whole generation of what is locked.
fn complete(environment: &LockedEnvironment) -> Complete {
    let target = &environment.targets[0];
    Complete {
        stamp: Stamp {
            schema: stamp::SCHEMA,
            rootstock: "0.1.0".parse().unwrap(),
            environment: environment.name.clone(),
            digest: target.digest,
            id: generation_id(&target.digest, &interpreter().identity.digest()),
            target: target.target.name().into(),
            python: interpreter(),
            managed: None,
            interpreter: Vec::new(),
            tree: Digest::of(""),
            packages: 0,
            files: 0,
            bytes: 0,
        },
        base: Base::Same,
        source: Some(environment.source.sha256),
        damage: None,
    }
}

fn installed(current: &str, generations: Vec<(&str, Generation)>) -> Installed {
    Installed {
        current: Current::Generation(current.into()),
        generations: generations
            .into_iter()
            .map(|(id, generation)| (id.to_owned(), generation))
            .collect(),
        unreadable: None,
    }
}

/// What is planned for one environment that is locked as `now`.
fn planned(installed: Installed, force: bool) -> Action {
    let lock = lock(vec![locked("emt", "now")]);
    let name = lock.environments[0].name.clone();
    let disk = Disk {
        environments: BTreeMap::from([(name.clone(), installed)]),
        weights: BTreeMap::new(),
        references: BTreeMap::new(),
        prefetched: BTreeMap::new(),
        catalogue: None,
        access: None,
    };
    let request = Request {
        drifted: BTreeSet::new(),
        prefetch: &[],
        target: "linux-x86_64",
        environments: &[name],
        force,
        cache: None,
        access: None,
    };
    let plan = plan(&lock, &request, &disk).unwrap();
    plan.steps[0].action.clone()
}

fn changed(change: impl FnOnce(&mut Complete)) -> Installed {
    let mut complete = complete(&locked("emt", "now"));
    change(&mut complete);
    installed("id", vec![("id", Generation::Complete(Box::new(complete)))])
}

fn whole(version: &str) -> Generation {
    Generation::Complete(Box::new(complete(&locked("emt", version))))
}

#[test]
fn what_is_as_locked_is_kept() {
    let keep = Action::Keep { id: "id".into() };
    assert_eq!(planned(changed(|_| ()), false), keep);
    // A newer rootstock does not by itself rebuild anything.
    let older = changed(|there| there.stamp.rootstock = "0.0.1".parse().unwrap());
    assert_eq!(planned(older, false), keep);
}

#[test]
fn what_differs_from_the_lock_is_built_and_the_reason_is_given() {
    let digest = |version: &str| locked("emt", version).targets[0].digest;
    let path = PathBuf::from("/usr/bin/python3.11");
    for (disk, state, reason) in [
        (Installed::default(), "missing", Reason::Missing),
        (installed("gone", vec![]), "incomplete", Reason::Incomplete),
        (
            installed("id", vec![("id", Generation::Incomplete)]),
            "incomplete",
            Reason::Incomplete,
        ),
        (
            installed("id", vec![("id", Generation::Newer(7))]),
            "foreign",
            Reason::Foreign("a newer rootstock built it (stamp schema 7)".into()),
        ),
        (
            changed(|there| there.stamp.target = "linux-aarch64".into()),
            "foreign",
            Reason::Foreign("it was built for linux-aarch64".into()),
        ),
        (
            installed("id", vec![("id", whole("before"))]),
            "stale",
            Reason::LockChanged {
                was: digest("before"),
                now: digest("now"),
            },
        ),
        (
            changed(|there| there.source = Some(Digest::of("tampered"))),
            "broken",
            Reason::Broken("`env_source.py` has changed".into()),
        ),
        (
            changed(|there| there.damage = Some("`pyvenv.cfg` is missing".into())),
            "broken",
            Reason::Broken("`pyvenv.cfg` is missing".into()),
        ),
        (
            changed(|there| there.base = Base::Changed(path.clone())),
            "broken",
            Reason::InterpreterChanged(path.clone()),
        ),
        (
            changed(|there| there.base = Base::Missing(path.clone())),
            "broken",
            Reason::InterpreterMissing(path.clone()),
        ),
        (
            Installed {
                current: Current::Elsewhere("/elsewhere".into()),
                ..Installed::default()
            },
            "broken",
            Reason::Broken(
                "its link leads to `/elsewhere`, which is not one of its generations".into(),
            ),
        ),
    ] {
        assert_eq!(reason.state(), state);
        assert_eq!(planned(disk, false), Action::Build { because: reason });
    }
}

#[test]
fn a_recorded_tree_binds_the_generation_it_was_recorded_for_and_no_other() {
    let installed = changed(|_| ());
    let mut environment = locked("emt", "now");
    let record = crate::lock::RecordedTree {
        python: "3.11.7".into(),
        tree: Digest::of("another"),
    };
    let trees = &mut environment.targets[0].trees;
    trees.insert("that of another interpreter".into(), record.clone());
    let state = |environment: &LockedEnvironment| {
        reason(environment, &environment.targets[0], &installed).map(|reason| reason.state())
    };
    assert_eq!(state(&environment), None);
    let target = &mut environment.targets[0];
    let id = generation_id(&target.digest, &interpreter().identity.digest());
    target.trees.insert(id, record);
    assert_eq!(state(&environment), Some("broken"));
}

#[test]
fn a_generation_that_is_there_is_flipped_to() {
    let disk = installed("new", vec![("new", whole("newer")), ("old", whole("now"))]);
    let digest = |version: &str| locked("emt", version).targets[0].digest;
    let because = Reason::LockChanged {
        was: digest("newer"),
        now: digest("now"),
    };
    let to = "old".into();
    assert_eq!(planned(disk, false), Action::Flip { to, because });
    let unlinked = Installed {
        current: Current::Nothing,
        ..installed("", vec![("old", whole("now"))])
    };
    let (to, because) = ("old".into(), Reason::Missing);
    assert_eq!(planned(unlinked, false), Action::Flip { to, because });
}

#[test]
fn force_builds_what_is_as_locked() {
    let because = Reason::Forced;
    assert_eq!(planned(changed(|_| ()), true), Action::Build { because });
}

#[test]
fn only_what_was_chosen_is_planned_and_the_catalogue_is_always_whole() {
    let lock = lock(vec![locked("a", "1"), locked("b", "1"), locked("c", "1")]);
    let chosen: Vec<EnvironmentName> = vec!["c".parse().unwrap(), "a".parse().unwrap()];
    let request = Request {
        drifted: BTreeSet::new(),
        prefetch: &[],
        target: "linux-x86_64",
        environments: &chosen,
        force: false,
        cache: None,
        access: None,
    };
    let first = plan(&lock, &request, &Disk::default()).unwrap();
    let names: Vec<&str> = first
        .steps
        .iter()
        .map(|step| step.environment.name.as_str())
        .collect();
    assert_eq!(names, ["a", "c"]);
    let catalogue = first.catalogue.unwrap();
    assert_eq!(catalogue.models.len(), 3);
    assert_eq!(catalogue.environments.len(), 3);

    let disk = Disk {
        catalogue: Some(catalogue),
        ..Disk::default()
    };
    let nothing = Request {
        drifted: BTreeSet::new(),
        prefetch: &[],
        environments: &[],
        ..request
    };
    assert!(plan(&lock, &nothing, &disk).unwrap().is_nothing());
}

#[test]
fn a_machine_type_that_is_not_locked_is_refused_with_those_that_are() {
    let lock = lock(vec![locked("emt", "1")]);
    let request = Request {
        drifted: BTreeSet::new(),
        prefetch: &[],
        target: "linux-aarch64",
        environments: &[lock.environments[0].name.clone()],
        force: false,
        cache: None,
        access: None,
    };
    assert_eq!(
        plan(&lock, &request, &Disk::default())
            .unwrap_err()
            .to_string(),
        "the lock has no `linux-aarch64` for the environment `emt`; it has `linux-x86_64`"
    );
}
