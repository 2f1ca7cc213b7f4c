//! Programs, and directories with code, that another user can replace are not run: a table of ways in which that can be so.

mod lists;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use crate::sandbox::person::{Person, can_be_others};
use crate::sandbox::{Output, Sandbox};

/// Two users who are neither root nor the user of the test.
const MALLORY: u32 = 61001;
const VICTIM: Person = Person {
    user: 61002,
    groups: "61002",
};
/// `users` of every Debian: a group that others are in.
const USERS: u32 = 100;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn owner(path: &Path, user: u32) {
    lchown(path, Some(user), None).unwrap();
}

fn group(path: &Path, group: u32) {
    chown(path, None, Some(group)).unwrap();
}

/// Where programs lie: `top/bin`, first on PATH.
struct Place {
    top: PathBuf,
    bin: PathBuf,
    programs: Vec<PathBuf>,
}

impl Place {
    /// Scripts that leave a trace of having been run, by the names of programs that `lock` runs.
    fn new(sandbox: &Sandbox) -> Self {
        let top = sandbox.path("top");
        let _ = fs::remove_dir_all(&top);
        for directory in [&top, &top.join("bin")] {
            fs::create_dir(directory).unwrap();
            chmod(directory, 0o755);
        }
        let canary = sandbox.path("canary");
        let _ = fs::remove_file(&canary);
        let text = format!("#!/bin/sh\necho \"$0\" >> '{}'\nexit 1\n", canary.display());
        let bin = top.join("bin");
        let program = |name: &str| {
            let path = bin.join(name);
            fs::write(&path, &text).unwrap();
            chmod(&path, 0o755);
            path
        };
        let programs = ["uv", "python3.11"].map(program).into();
        Self { top, bin, programs }
    }
}

/// How a place is made one that others can change, or that only looks so; the message, or nothing if it is run.
type Case = (
    &'static str,
    &'static [&'static str],
    fn(&Place),
    Option<&'static str>,
);

/// What modes alone say.
const MODES: &[Case] = &[
    ("as it should be", &[], |_| {}, None),
    (
        "a program that everybody can write",
        &[],
        |place| place.programs.iter().for_each(|path| chmod(path, 0o757)),
        Some("everybody can write"),
    ),
    (
        "a directory that everybody can write in",
        &[],
        |place| chmod(&place.bin, 0o777),
        Some("everybody can write"),
    ),
    (
        "a directory above that everybody can write in",
        &[],
        |place| chmod(&place.top, 0o777),
        Some("everybody can write"),
    ),
    (
        "a sticky directory above",
        &[],
        |place| chmod(&place.top, 0o1777),
        None,
    ),
    (
        "links to programs that everybody can write",
        &[],
        |place| {
            for program in &place.programs {
                let real = place.top.join(program.file_name().unwrap());
                fs::rename(program, &real).unwrap();
                chmod(&real, 0o777);
                symlink(Path::new("..").join(real.file_name().unwrap()), program).unwrap();
            }
        },
        Some("everybody can write"),
    ),
    (
        "a machine without other users",
        &["*"],
        |place| chmod(&place.bin, 0o777),
        None,
    ),
];

/// What owners and groups say; only root can make these.
const OWNERS: &[Case] = &[
    (
        "another user's program",
        &[],
        |place| place.programs.iter().for_each(|path| owner(path, MALLORY)),
        Some("belongs to user 61001, who is neither you nor root"),
    ),
    (
        "another user's directory",
        &[],
        |place| owner(&place.bin, MALLORY),
        Some("belongs to user 61001"),
    ),
    (
        "another user's directory above",
        &[],
        |place| owner(&place.top, MALLORY),
        Some("belongs to user 61001"),
    ),
    (
        "another user's links",
        &[],
        |place| {
            for program in &place.programs {
                let real = place.top.join(program.file_name().unwrap());
                fs::rename(program, &real).unwrap();
                symlink(&real, program).unwrap();
                owner(program, MALLORY);
            }
        },
        Some("belongs to user 61001"),
    ),
    (
        "a user who is trusted",
        &["61001"],
        |place| {
            owner(&place.bin, MALLORY);
            chmod(&place.bin, 0o775);
        },
        None,
    ),
    (
        "another user than the trusted",
        &["61003,nobody"],
        |place| owner(&place.bin, MALLORY),
        Some("belongs to user 61001"),
    ),
    (
        "our directory, which a group can write in",
        &[],
        |place| {
            group(&place.bin, USERS);
            chmod(&place.bin, 0o775);
        },
        Some("the group users can write"),
    ),
    (
        "our programs, which a group can write",
        &[],
        |place| {
            for program in &place.programs {
                group(program, USERS);
                chmod(program, 0o775);
            }
        },
        Some("the group users can write"),
    ),
    (
        "our directory, which is shared with a group on purpose",
        &[],
        |place| {
            group(&place.bin, USERS);
            chmod(&place.bin, 0o2775);
        },
        None,
    ),
    (
        "our directory of our own group",
        &[],
        |place| chmod(&place.bin, 0o775),
        None,
    ),
    (
        "a directory above, which a group can write in",
        &[],
        |place| {
            group(&place.top, USERS);
            chmod(&place.top, 0o775);
        },
        None,
    ),
];

/// Locks anew with that place first on PATH.
fn lock(sandbox: &Sandbox, first: &Path, trusted: &[&str], arguments: &[&str]) -> Output {
    let _ = fs::remove_file(sandbox.path("rootstock.lock"));
    let mut command = sandbox.command(&[&["lock"], arguments].concat());
    let path = format!("{}:{}", first.display(), sandbox.path("bin").display());
    command.env("PATH", path);
    command.envs(trusted.iter().map(|users| ("ROOTSTOCK_TRUST", users)));
    Output::from(command.output().unwrap())
}

#[expect(clippy::print_stdout, reason = "each run says how many cases it tried")]
fn each(cases: &[Case]) {
    let sandbox = Sandbox::single();
    for (what, trusted, make, refused) in cases {
        let place = Place::new(&sandbox);
        make(&place);
        let output = lock(&sandbox, &place.bin, trusted, &[]);
        // Those that come next are taken.
        output.expect(0);
        let ran = fs::read_to_string(sandbox.path("canary")).unwrap_or_default();
        let message = output.message();
        for program in &place.programs {
            let name = program.display().to_string();
            let warned = message.contains(&format!("warning: `{name}` is not run: "));
            assert_eq!(ran.contains(&name), refused.is_none(), "{what}: {message}");
            assert_eq!(warned, refused.is_some(), "{what}: {message}");
        }
        let reason = refused.unwrap_or_default();
        assert!(message.contains(reason), "{what}: {message}");
        // The one that is named is an error.
        let named = place.bin.join("uv").display().to_string();
        let output = lock(&sandbox, Path::new("/"), trusted, &["--uv", &named]);
        output.expect(1);
        let message = output.message();
        let why = refused.unwrap_or("its output is not a version of uv");
        assert!(message.contains(why), "{what}: {message}");
    }
    println!("{} cases", cases.len());
}

#[test]
fn what_modes_let_others_replace_is_not_run() {
    each(MODES);
}

#[test]
fn what_belongs_to_others_is_not_run() {
    if can_be_others() {
        each(OWNERS);
    }
}

#[test]
fn what_lies_in_the_current_directory_is_not_run() {
    let sandbox = Sandbox::single();
    let place = Place::new(&sandbox);
    for program in &place.programs {
        fs::copy(program, sandbox.path("").join(program.file_name().unwrap())).unwrap();
    }
    for first in ["", ".", "top/bin", "./top/bin"] {
        lock(&sandbox, Path::new(first), &[], &[]).expect(0);
        assert!(!sandbox.path("canary").exists(), "{first}");
    }
}

#[test]
fn a_name_that_is_no_user_is_an_error() {
    let sandbox = Sandbox::single();
    let output = lock(&sandbox, Path::new("/"), &["root, no-such-user"], &[]);
    output.expect(2);
    let message = output.message();
    assert!(
        message.contains(
            "ROOTSTOCK_TRUST names `no-such-user`, a user whom this machine does not know"
        ),
        "{message}"
    );
}

/// Where this user's own files are, as the variables say, and what another user may have made of it before.
#[test]
fn a_cache_of_another_user_is_not_used() {
    if !can_be_others() {
        return;
    }
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    chmod(&sandbox.path(""), 0o755);
    let shared = sandbox.path("shared");
    let theirs = |below: &str, mode: u32| {
        let _ = fs::remove_dir_all(&shared);
        fs::create_dir(&shared).unwrap();
        chmod(&shared, 0o1777);
        let path = shared.join(below);
        fs::create_dir(&path).unwrap();
        owner(&path, MALLORY);
        chmod(&path, mode);
    };
    let own = format!("rootstock-{}", VICTIM.user);
    let commands: [&[&str]; 3] = [
        &["run", "one", "--", "python", "-c", "0"],
        &[
            "worker",
            "one",
            "--unix",
            "nowhere",
            "--species",
            "Cu",
            "--pbc",
            "TTT",
        ],
        &["doctor", "--import", "one"],
    ];
    for (variable, below) in [("XDG_CACHE_HOME", "rootstock"), ("TMPDIR", own.as_str())] {
        for mode in [0o755, 0o777, 0o1777] {
            theirs(below, mode);
            for arguments in commands {
                let program = Path::new(env!("CARGO_BIN_EXE_rootstock"));
                let mut command = VICTIM.command(&sandbox, program);
                command
                    .args(arguments)
                    .env_remove("HOME")
                    .env_remove("XDG_CACHE_HOME");
                command.env(variable, &shared);
                let result = Output::from(command.output().unwrap());
                result.expect(1);
                let message = result.message();
                let expected = format!(
                    "cannot keep private files in `{}",
                    shared.join(below).display()
                );
                assert!(message.contains(&expected), "{message}");
                assert!(message.contains("belongs to user 61001"), "{message}");
                assert!(message.contains("XDG_CACHE_HOME"), "{message}");
            }
        }
    }
}
