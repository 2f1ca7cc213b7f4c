use std::path::Path;

use super::*;
use crate::plan::tests::{SOURCE, locked};
use crate::store::inside;
use crate::store::installed::Current;
use crate::store::interpreter::Base;
use crate::store::wheels::{Scheme, UnpackedFile, UnpackedWheel};
use crate::store::{Verifier, layout};

/// A root, an unpacked wheel, and an interpreter whose files may be changed.
struct TestRoot {
    temporary: tempfile::TempDir,
    root: Root,
    environment: LockedEnvironment,
    unpacked: UnpackedWheel,
    interpreter: Interpreter,
}

fn world() -> TestRoot {
    let temporary = tempfile::tempdir().unwrap();
    let root = Root::at(&temporary.path().join("root"), None);
    layout::create(&root).unwrap();
    let executable = temporary.path().join("python3.11");
    files::write(&executable, b"an interpreter").unwrap();
    let file = UnpackedFile {
        scheme: Scheme::SitePackages,
        path: "package/__init__.py".into(),
        sha256: Digest::of("x = 1"),
        size: 5,
        executable: false,
    };
    let unpacked = UnpackedWheel {
        directory: temporary.path().join("wheel"),
        files: vec![file],
    };
    let at = unpacked.source(&unpacked.files[0]);
    files::create_directories(at.parent().unwrap()).unwrap();
    files::write(&at, b"x = 1").unwrap();
    files::set_mode(&at, 0o444).unwrap();
    TestRoot {
        root,
        environment: locked("emt", "1"),
        unpacked,
        interpreter: Interpreter {
            executable,
            ..crate::plan::tests::interpreter()
        },
        temporary,
    }
}

impl TestRoot {
    fn job(&self, force: bool) -> Job<'_> {
        Job {
            environment: &self.environment,
            target: &self.environment.targets[0],
            interpreter: &self.interpreter,
            source: SOURCE.into(),
            force,
        }
    }

    fn build(&self, force: bool) -> Result<Built, Error> {
        let parts = [assemble::Part {
            package: "package 1",
            unpacked: &self.unpacked,
            compiled: false,
        }];
        // Copies: a test that damages a generation must not damage the store.
        self.job(force)
            .build(&self.root, &parts, link::Method::Copy)
    }

    fn installed(&self) -> installed::Installed {
        let name = &self.environment.name;
        let mut all = installed::read(&self.root, [name]);
        all.remove(name).unwrap()
    }

    fn names(&self, below: &str) -> Vec<String> {
        files::names(&self.root.path().join(below)).unwrap()
    }

    fn path(&self, id: &str, file: &str) -> std::path::PathBuf {
        self.root.generation(&self.environment.name, id).join(file)
    }

    fn damage(&self, id: &str, file: &str) {
        let path = self.path(id, file);
        files::set_mode(&path, 0o644).unwrap();
        files::write(&path, b"x = 2").unwrap();
        files::set_mode(&path, 0o444).unwrap();
    }
}

const MODULE: &str = "lib/python3.11/site-packages/package/__init__.py";

#[test]
fn what_is_built_is_whole_read_only_and_found() {
    let world = world();
    let built = world.build(false).unwrap();
    assert!(built.new);
    let installed = world.installed();
    assert_eq!(installed.current, Current::Generation(built.id.clone()));
    let Some(Generation::Complete(there)) = installed.current() else {
        panic!("{installed:?}");
    };
    assert_eq!((&there.base, &there.damage), (&Base::Same, &None));
    assert_eq!(there.stamp.tree, built.tree);
    let path = world.path(&built.id, "");
    assert!(installed::is_intact(&world.root, &path, &there.stamp, &Verifier::default()).unwrap());
    for entry in files::walk(&path).unwrap() {
        if entry.kind != files::Kind::Link {
            assert_eq!(entry.mode & 0o222, 0, "{entry:?}");
        }
    }
    assert_eq!(world.names("envs"), ["emt"]);
    assert_eq!(world.names("generations/emt"), [built.id]);
}

#[test]
fn who_builds_the_same_second_finds_it_there() {
    let world = world();
    let first = world.build(false).unwrap();
    let second = world.build(false).unwrap();
    assert_eq!(
        (&second.id, second.tree, second.new),
        (&first.id, first.tree, false)
    );
    assert_eq!(
        world.names("generations/emt"),
        std::slice::from_ref(&first.id)
    );
    assert_eq!(world.names("trash"), [""; 0]);
    let adopted = world.job(false).adopt(&world.root).unwrap();
    assert_eq!(
        adopted,
        Some(Built {
            new: false,
            ..first
        })
    );
}

#[test]
fn another_lock_is_another_generation_and_the_old_one_stays() {
    let mut world = world();
    let old = world.build(false).unwrap();
    world.environment = locked("emt", "2");
    let new = world.build(false).unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!(
        new.tree, old.tree,
        "an empty change of the lock changes no file"
    );
    assert_eq!(world.installed().current, Current::Generation(new.id));
    assert_eq!(world.installed().generations.len(), 2);
    world.environment = locked("emt", "1");
    assert_eq!(
        world.job(false).adopt(&world.root).unwrap().unwrap().id,
        old.id
    );
    assert_eq!(world.installed().current, Current::Generation(old.id));
}

#[test]
fn an_unfinished_directory_in_the_way_is_moved_to_the_trash() {
    let world = world();
    let id = world.job(false).id();
    files::create_directories(&world.path(&id, "lib")).unwrap();
    let built = world.build(false).unwrap();
    assert!(built.new);
    assert_eq!(world.names("trash").len(), 1);
    assert!(files::exists(&world.path(&id, MODULE)));
}

#[test]
fn force_replaces_only_what_is_damaged() {
    let world = world();
    let first = world.build(false).unwrap();
    assert!(!world.build(true).unwrap().new, "intact: the old one stays");
    assert_eq!(world.names("trash"), [""; 0]);
    world.damage(&first.id, MODULE);
    assert!(world.build(true).unwrap().new);
    assert_eq!(
        files::read_text(&world.path(&first.id, MODULE)).unwrap(),
        "x = 1"
    );
    assert_eq!(world.names("trash").len(), 1);
}

#[test]
fn a_tampered_source_is_not_adopted() {
    let world = world();
    let first = world.build(false).unwrap();
    world.damage(&first.id, inside::SOURCE);
    assert_eq!(world.job(false).adopt(&world.root).unwrap(), None);
    assert!(world.build(false).unwrap().new);
}

#[test]
fn another_tree_from_the_same_lock_is_an_error() {
    let mut world = world();
    world.build(false).unwrap();
    world.unpacked.files[0].path = "package/other.py".into();
    let (from, to) = ("package/__init__.py", "package/other.py");
    let place = world.unpacked.directory.join("tree/site-packages");
    files::rename(&place.join(from), &place.join(to)).unwrap();
    let error = world.build(false).unwrap_err();
    assert!(
        matches!(error, Error::Publish(publish::Error::Differs { .. })),
        "{error}"
    );
    assert_eq!(world.names("generations/emt").len(), 1, "ours was dropped");
}

#[test]
fn an_updated_interpreter_of_the_same_version_needs_a_new_stamp_only() {
    let world = world();
    let first = world.build(false).unwrap();
    files::write(&world.interpreter.executable, b"an updated interpreter").unwrap();
    let base = |installed: &installed::Installed| match installed.current() {
        Some(Generation::Complete(there)) => there.base.clone(),
        other => panic!("{other:?}"),
    };
    let python = world.interpreter.executable.clone();
    assert_eq!(base(&world.installed()), Base::Changed(python));
    let adopted = world.job(false).adopt(&world.root).unwrap();
    assert_eq!(adopted.map(|b| b.id), Some(first.id));
    assert_eq!(base(&world.installed()), Base::Same);
}

#[test]
fn an_interpreter_that_moved_away_needs_a_new_generation() {
    let mut world = world();
    let first = world.build(false).unwrap();
    let elsewhere = world.temporary.path().join("elsewhere");
    files::rename(&world.interpreter.executable, &elsewhere).unwrap();
    world.interpreter.executable = elsewhere;
    assert_eq!(world.job(false).adopt(&world.root).unwrap(), None);
    let second = world.build(false).unwrap();
    assert!(second.new);
    assert_eq!(
        (second.id, second.tree),
        (first.id, first.tree),
        "the tree does not name the machine"
    );
}

#[test]
fn staging_of_dead_processes_is_swept_and_that_of_live_ones_is_not() {
    let world = world();
    let name = &world.environment.name;
    let ours = Staging::new(&world.root, name).unwrap();
    let us = crate::files::maker::this_process();
    let dead = us.rsplit_once('-').unwrap().0.to_owned() + "-1";
    let generations = world.root.generations(name);
    let envs = world.root.environments();
    for maker in [&dead, "0-0-1-1"] {
        files::create_directories(&generations.join(format!(".staging-{maker}-abc/lib"))).unwrap();
        files::symlink(Path::new("x"), &envs.join(format!(".emt-{maker}"))).unwrap();
    }
    crate::store::unfinished::sweep(&world.root);
    let left = world.names("generations/emt");
    let ours_name = ours.path().file_name().unwrap().to_string_lossy();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&ours_name.into_owned()));
    assert!(left.contains(&".staging-0-0-1-1-abc".to_owned()));
    assert_eq!(world.names("envs"), [".emt-0-0-1-1"]);
    drop(ours);
    assert_eq!(world.names("generations/emt").len(), 1);
}
