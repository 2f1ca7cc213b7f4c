//! Builds with a stand-in for uv, which says how it was called and leaves what the test wants.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::*;
use crate::lock::Origin;
use crate::python::Identity;
use crate::uv::Search;

struct World {
    temporary: tempfile::TempDir,
    root: Root,
    archive: PathBuf,
    package: LockedPackage,
    interpreter: Interpreter,
}

fn world() -> World {
    let temporary = tempfile::tempdir().unwrap();
    let archive = temporary.path().join("archive");
    files::write(&archive, b"source").unwrap();
    World {
        root: Root::at(&temporary.path().join("root"), None),
        archive,
        package: LockedPackage {
            name: "demo".parse().unwrap(),
            version: "1.0".parse().unwrap(),
            origin: Origin::Index(None),
            file: "demo-1.0.tar.gz".into(),
            size: None,
            sha256: Digest::of("source"),
        },
        interpreter: Interpreter {
            executable: "/some/python3".into(),
            identity: Identity {
                implementation: "cpython".into(),
                version: "3.11.7".into(),
                soabi: "cpython-311-x86_64-linux-gnu".into(),
                platform: "linux-x86_64".into(),
            },
            glibc: None,
        },
        temporary,
    }
}

impl World {
    /// A uv that does this when it is to build; `$out` is where wheels go and `$last` the last argument.
    fn uv(&self, script: &str) -> Uv {
        let program = self.temporary.path().join("uv");
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && echo 'uv 0.13.9' && exit\n\
             for last; do [ \"$before\" = --out-dir ] && out=$last; before=$last; done\n{script}\n"
        );
        files::write(&program, text.as_bytes()).unwrap();
        files::set_mode(&program, 0o755).unwrap();
        let environment =
            BTreeMap::from([(OsString::from("PATH"), OsString::from("/usr/bin:/bin"))]);
        let search = Search {
            named: Some(&program),
            path: OsStr::new(""),
            cache: self.temporary.path(),
            environment: &environment,
        };
        Uv::find(&search).unwrap()
    }

    fn recipe<'a>(&'a self, constraints: &'a [String]) -> Recipe<'a> {
        Recipe {
            package: &self.package,
            interpreter: &self.interpreter,
            constraints,
        }
    }

    fn build(&self, script: &str) -> Result<BuiltWheel, Error> {
        build(
            &self.root,
            &self.recipe(&[]),
            &self.archive,
            &self.uv(script),
        )
    }

    fn kept(&self) -> Vec<String> {
        files::names(&self.root.store().join("built-1")).unwrap()
    }
}

#[test]
fn a_wheel_is_built_once_and_kept_by_its_inputs() {
    let world = world();
    let none = world.recipe(&[]);
    assert_eq!(find(&world.root, &none).unwrap(), None);
    let built = world
        .build("cat \"$last\" > \"$out/demo-1.0-py3-none-any.whl\"")
        .unwrap();
    assert_eq!(built.sha256, Digest::of("source"));
    assert_eq!(files::read(&built.archive).unwrap(), b"source");
    assert_eq!(find(&world.root, &none).unwrap(), Some(built.clone()));
    let names = files::names(built.archive.parent().unwrap()).unwrap();
    assert_eq!(names, ["inputs.txt", "wheel.txt", "wheel.whl"]);

    let pinned = ["setuptools==80 --hash=sha256:0".to_owned()];
    assert_eq!(find(&world.root, &world.recipe(&pinned)).unwrap(), None);
    let mut other = world.interpreter.clone();
    other.identity.version = "3.11.8".into();
    let other = Recipe {
        interpreter: &other,
        ..none
    };
    assert_eq!(find(&world.root, &other).unwrap(), None);
}

#[test]
fn who_builds_second_uses_the_first_wheel() {
    let world = world();
    let first = world.build("echo first > \"$out/a.whl\"").unwrap();
    let second = world.build("echo second > \"$out/a.whl\"").unwrap();
    assert_eq!(second, first);
    assert_eq!(files::read(&second.archive).unwrap(), b"first\n");
    assert_eq!(world.kept().len(), 1);
}

#[test]
fn the_build_sees_nothing_that_changes_from_day_to_day() {
    let world = world();
    let said = world.temporary.path().join("said");
    let pinned = ["setuptools==80 --hash=sha256:0".to_owned()];
    let script = format!(
        "{{ echo \"$@\"; /usr/bin/env | /usr/bin/sort; cat \"${{out%/*}}/constraints.txt\"; }} > {}\n: > \"$out/a.whl\"",
        said.display()
    );
    build(
        &world.root,
        &world.recipe(&pinned),
        &world.archive,
        &world.uv(&script),
    )
    .unwrap();
    let said = files::read_text(&said).unwrap();
    let built = world.root.store().join("built-1").display().to_string();
    let mut lines = said.lines();
    let arguments = lines.next().unwrap();
    assert!(arguments.starts_with("--no-config "), "{arguments}");
    assert!(
        arguments.contains(" --python /some/python3 "),
        "{arguments}"
    );
    assert!(
        arguments.contains(" --require-hashes --build-constraints "),
        "{arguments}"
    );
    assert!(
        arguments.ends_with("/source/demo-1.0.tar.gz"),
        "{arguments}"
    );
    let variables: Vec<&str> = lines
        .map(|line| {
            if line.contains(&built) {
                line.split('=').next().unwrap()
            } else {
                line
            }
        })
        // Of the shell's own making.
        .filter(|line| !line.starts_with("PWD=") && !line.starts_with("_="))
        .collect();
    assert_eq!(
        variables,
        [
            "LC_ALL=C.UTF-8",
            "PATH=/usr/bin:/bin",
            "PYTHONHASHSEED=0",
            "SOURCE_DATE_EPOCH=315532800",
            "TMPDIR",
            "setuptools==80 --hash=sha256:0",
        ]
    );
}

#[test]
fn a_build_that_fails_is_shown_with_its_last_words() {
    let world = world();
    let error = world
        .build("echo 'error: no compiler' >&2; exit 2")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`demo-1.0.tar.gz` cannot be built, uv ended with exit code 2:\nerror: no compiler"
    );
    let error = world.build(":").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the build of `demo-1.0.tar.gz` left 0 wheels instead of one"
    );
    assert_eq!(world.kept(), Vec::<String>::new());
}

#[test]
fn nothing_of_a_file_that_is_not_the_locked_one_is_run() {
    let world = world();
    files::write(&world.archive, b"other").unwrap();
    let ran = world.temporary.path().join("ran");
    let error = world.build(&format!(": > {}", ran.display())).unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    assert!(!files::exists(&ran));
}
