//! Two users of one machine: what the one plants wherever a root's policy lets them write, and in directories of temporary
//! files, does not run code as the other, nor stop or deceive the other, nor touch the other's files. SECURITY.md says what the
//! maintainers of one root have to trust each other with.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::person::{Person, can_be_others};
use crate::sandbox::{Output, Sandbox, traces};

/// Two maintainers of one root, members of `users`, and one user who is not.
const ALICE: Person = Person {
    user: 61001,
    groups: "100",
};
const BOB: Person = Person {
    user: 61002,
    groups: "100",
};
const EVE: Person = Person {
    user: 61003,
    groups: "60",
};

const SYNC: [&str; 6] = [
    "sync",
    "--offline",
    "--bundle",
    "carried",
    "--root",
    "shared/root",
];

const REPAIR: [&str; 8] = [
    "sync",
    "--repair",
    "--only",
    "envs",
    "--bundle",
    "carried",
    "--root",
    "shared/root",
];

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A project whose root, `shared/root`, Alice has made under this policy; what Bob has of his own is in `bob`.
fn project(access: &str) -> Sandbox {
    let sandbox = Sandbox::shared().with_weights();
    let manifest = sandbox.read("rootstock.toml");
    let table = format!("[rootstock]\naccess = \"{access}\"\n");
    sandbox.write(
        "rootstock.toml",
        &manifest.replacen("[rootstock]\n", &table, 1),
    );
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    let mut readable = Command::new("chmod");
    readable.args(["-R", "a+rX"]).arg(sandbox.path(""));
    assert!(readable.status().unwrap().success());
    for (directory, owner, mode) in [("shared", 0, 0o1777), ("bob", BOB.user, 0o700)] {
        let path = sandbox.path(directory);
        fs::create_dir(&path).unwrap();
        lchown(&path, Some(owner), None).unwrap();
        chmod(&path, mode);
    }
    ALICE.run(&sandbox, "022", &SYNC).expect(0);
    sandbox
}

/// Runs a shell command as this user; must succeed.
fn shell(person: Person, sandbox: &Sandbox, script: &str) -> String {
    let mut command = person.command(sandbox, Path::new("/bin/sh"));
    let output = command.args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What Bob has: of each kind of name that something in a root may have, so that a command that comes here through a link finds
/// what it would remove.
fn belongings(sandbox: &Sandbox) -> PathBuf {
    let dead = crate::sandbox::maker_like(4_194_304);
    let id = "0123456789abcdef0123456789abcdef";
    let script = format!(
        "cd bob; rm -rf own; mkdir own; cd own; echo machine-hunter2 > letter
         for name in {id} .staging-{dead}-a .trash-old gc-old one wheels-2 archives .part-{dead}; do
             mkdir \"$name\"; echo work > \"$name/work\"
         done
         echo '{{}}' > one@{id}.json; : > one@{id}; echo part > letter.part"
    );
    shell(BOB, sandbox, &script);
    sandbox.path("bob/own")
}

/// Bob's commands, each with the exit code that it has whatever Alice has planted, if that is not among the exceptions.
const COMMANDS: [(&str, i32); 9] = [
    ("status", 0),
    ("sync", 0),
    ("run", 0),
    ("worker", 1),
    ("lock --check", 0),
    ("doctor", 1),
    ("doctor --deep", 1),
    ("gc", 0),
    ("sync --repair", 0),
];

fn bob(sandbox: &Sandbox, command: &str) -> Output {
    let mut shell = command_of_bob(sandbox, command);
    shell.env("HOME", sandbox.path("bob"));
    Output::from(shell.output().unwrap())
}

/// The same where the variables say nothing of where he is at home.
fn bob_without_home(sandbox: &Sandbox, command: &str) -> Output {
    let mut shell = command_of_bob(sandbox, command);
    shell.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    shell.env("TMPDIR", sandbox.path("shared/temporary"));
    Output::from(shell.output().unwrap())
}

fn command_of_bob(sandbox: &Sandbox, command: &str) -> Command {
    let root = ["--root", "shared/root"];
    let words: Vec<&str> = command.split(' ').collect();
    let arguments = match words[..] {
        ["sync", "--repair"] => REPAIR.to_vec(),
        ["sync"] => SYNC.to_vec(),
        ["run"] => [
            &["run"],
            &root[..],
            &["one", "--", "python", "-c", "import shared, first"],
        ]
        .concat(),
        ["worker"] => [
            &["worker", "potential", "--unix", "bob/nowhere"],
            &root[..],
            &["--species", "Cu", "--pbc", "TTT", "--connect-timeout", "0"],
        ]
        .concat(),
        ["gc"] => [&["gc"], &root[..], &["--keep", "0", "--older-than", "0s"]].concat(),
        _ => [&words[..], &root].concat(),
    };
    let mut shell = BOB.command(sandbox, Path::new("/usr/bin/timeout"));
    // Longer than any of them takes on the slowest machine: it only ends what would hang.
    shell
        .args(["500", env!("CARGO_BIN_EXE_rootstock")])
        .args(arguments);
    shell
}

/// What is planted in each folder that Alice may write in, with its names there, and the commands of Bob that do not end as always.
type Planted = (&'static str, &'static str, &'static [(&'static str, i32)]);

/// A link where an environment or a part of the store would be is refused by what writes: see the next test.
const REFUSED: &[(&str, i32)] = &[("sync", 1), ("sync --repair", 1), ("gc", 1)];

/// `$canary` is a program that leaves a trace, `$bob` what Bob has.
const PLANTED: &[Planted] = &[
    (
        "programs, and modules that Python imports by itself",
        "for name in python python3 python3.11 uv git sh sitecustomize.py usercustomize.py json.py site.py evil.pth; do
             cp $canary $name 2> /dev/null || true
         done; echo \"import os; os.system('$canary')\" > sitecustomize.py
         cp sitecustomize.py usercustomize.py; cp sitecustomize.py evil.pth",
        &[],
    ),
    (
        "FIFOs",
        "mkfifo fifo .fifo one@0123456789abcdef0123456789abcdef.json gc-fifo potential.json.part || true",
        &[],
    ),
    (
        "links to what Bob has",
        "for name in link .trash-link .staging-link gc-link one@0123456789abcdef0123456789abcdef.json three; do
             ln -s $bob $name
         done; ln -s $bob/letter letter; ln -s $bob/letter .trash-letter",
        REFUSED,
    ),
    (
        "links to what never ends",
        "ln -s /dev/zero zero; ln -s /dev/zero one@0123456789abcdef0123456789abcdef.json; ln -s loop loop",
        REFUSED,
    ),
    (
        "names that are not UTF-8, and names that act",
        "for name in $(printf 'caf\\351 one@\\377.json .trash-\\377 .staging-\\377 gc-\\377 \\377.json.part \\033[2J \\302\\233x \\342\\200\\256x'); do
             mkdir \"$name\"; echo x > \"$name/$name\"; echo '{}' > \"$name.json\"
         done; touch \"$(printf 'line\\nend')\" \"$(printf '::error::x')\" -- -rf",
        &[],
    ),
    (
        "files of a terabyte",
        "truncate -s 1T large one@0123456789abcdef0123456789abcdef.json potential.json letter.part .trash-large gc-large",
        &[],
    ),
    (
        "directories and files that are closed to Bob",
        "mkdir closed .trash-closed gc-closed; echo x > closed/x; echo x > .trash-closed/x; echo x > gc-closed/x
         chmod 0 closed .trash-closed gc-closed; echo x > file; chmod 0 file",
        &[("gc", 1)],
    ),
];

/// The folders of the root that Alice may write in.
fn folders(sandbox: &Sandbox) -> Vec<String> {
    let script = "cd shared/root; mkdir -p claims pins trash pythons prefetched; chmod 2770 claims pins trash pythons prefetched
        find . -type d -writable -print";
    let list = shell(ALICE, sandbox, script);
    let mut folders: Vec<String> = list.lines().map(str::to_owned).collect();
    folders.sort();
    folders
}

/// What was planted and is still there goes, as root.
fn clean(sandbox: &Sandbox, before: &BTreeMap<PathBuf, u64>) {
    let root = sandbox.path("shared/root");
    for (path, inode) in inodes(&root) {
        if before.get(&path) == Some(&inode) || fs::symlink_metadata(&path).is_err() {
            continue;
        }
        let is_planted = path.components().all(|name| !name.as_os_str().is_empty());
        let removed = Command::new("rm").arg("-rf").arg(&path).status().unwrap();
        assert!(removed.success() && is_planted);
    }
}

fn inodes(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
        }
        found.insert(path, metadata.ino());
    }
    found
}

/// No control character is shown, nothing of a file of Bob's, and no command was ended.
fn assert_is_in_order(output: &Output, case: &str) {
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(matches!(output.code, Some(0..=4)), "{case}: {output:?}");
    let raw = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!all.contains(raw), "{case}: {all:?}");
    assert!(!all.contains("hunter2"), "{case}: {all}");
}

#[test]
#[expect(clippy::print_stdout, reason = "each run says how many cases it tried")]
fn what_one_maintainer_plants_in_a_root_does_nothing_to_another() {
    if !can_be_others() {
        return;
    }
    let sandbox = project("group:users");
    let own = belongings(&sandbox);
    let canary = sandbox.path("shared/canary");
    sandbox.program(
        "shared/plant",
        &format!("#!/bin/sh\necho ran >> '{}'\n", canary.display()),
    );
    let folders = folders(&sandbox);
    bob(&sandbox, "sync --repair").expect(0);
    let (before, belongs) = (inodes(&sandbox.path("shared/root")), traces(&own));
    let mut tried = 0;
    for (what, plant, exceptions) in PLANTED {
        for folder in &folders {
            let script = format!(
                "canary={}; bob={}; cd shared/root/{folder}; umask 0; {plant}",
                sandbox.path("shared/plant").display(),
                own.display()
            );
            shell(ALICE, &sandbox, &script);
        }
        for (command, code) in COMMANDS {
            let output = bob(&sandbox, command);
            let case = format!("{what}: {command}");
            assert_is_in_order(&output, &case);
            let exception = exceptions.iter().find(|(name, _)| *name == command);
            let code = exception.map_or(code, |(_, code)| *code);
            assert_eq!(
                output.code,
                Some(code),
                "{case}: {}\n{}",
                output.stdout,
                output.stderr
            );
            assert!(!canary.exists(), "{case}: code of Alice's ran as Bob");
            assert_eq!(traces(&own), belongs, "{case}");
            tried += folders.len();
        }
        clean(&sandbox, &before);
        bob(&sandbox, "sync --repair").expect(0);
    }
    println!("{tried} cases");
}

/// Folders of the root, and with which exit code `run` ends where something else has their name.
const FOLDERS: [(&str, i32); 11] = [
    ("claims", 0),
    ("envs", 4),
    ("generations", 4),
    ("generations/one", 4),
    ("pins", 0),
    ("prefetched", 0),
    ("pythons", 0),
    ("store", 0),
    ("store/wheels-2", 0),
    ("store/archives", 0),
    ("trash", 0),
];

#[test]
#[expect(clippy::print_stdout, reason = "each run says how many cases it tried")]
fn a_folder_of_a_root_that_leads_elsewhere_is_refused_and_nothing_there_is_touched() {
    if !can_be_others() {
        return;
    }
    let sandbox = project("group:users");
    let own = belongings(&sandbox);
    folders(&sandbox);
    let belongs = traces(&own);
    let mut tried = 0;
    let kinds = [
        ("a link", "ln -s $bob"),
        ("a file", "touch"),
        ("a file", "mkfifo"),
    ];
    for (folder, runs) in FOLDERS {
        for (what, make) in kinds {
            let place = format!("bob={}; cd shared/root", own.display());
            // What is no link is replaced there by the `sync` that needs it.
            if folder.contains('/') && what != "a link" {
                continue;
            }
            // Folders of notes stop nothing, unless they lead elsewhere.
            let is_refused = !["claims", "pins"].contains(&folder) || what == "a link";
            let plant = format!("{place}; mkdir -p {folder}; mv {folder} aside; {make} {folder}");
            shell(ALICE, &sandbox, &plant);
            for (command, code) in COMMANDS {
                let output = bob(&sandbox, command);
                let case = format!("{folder} is {what} ({make}): {command}");
                assert_is_in_order(&output, &case);
                assert_eq!(traces(&own), belongs, "{case}");
                let code = match command {
                    "gc" | "sync" | "sync --repair" if is_refused => {
                        let expected = format!("shared/root/{folder}` is {what}");
                        assert!(output.message().contains(&expected), "{case}: {output:?}");
                        assert!(output.message().contains("ls -l"), "{case}: {output:?}");
                        1
                    }
                    "run" => runs,
                    "worker" if runs != 0 => runs,
                    _ => code,
                };
                assert_eq!(
                    output.code,
                    Some(code),
                    "{case}: {}\n{}",
                    output.stdout,
                    output.stderr
                );
                tried += 1;
            }
            shell(
                ALICE,
                &sandbox,
                &format!("{place}; rm {folder}; mv aside {folder}"),
            );
        }
    }
    bob(&sandbox, "sync --repair").expect(0);
    println!("{tried} cases");
}

#[test]
fn who_maintains_no_root_can_write_nowhere_in_it() {
    if !can_be_others() {
        return;
    }
    for (access, others) in [
        ("world", &[BOB, EVE][..]),
        ("world:users", &[EVE]),
        ("group:users", &[EVE]),
        ("owner", &[BOB, EVE]),
    ] {
        let sandbox = project(access);
        folders(&sandbox);
        ALICE.run(&sandbox, "000", &REPAIR).expect(0);
        for person in others {
            let found = shell(
                *person,
                &sandbox,
                "find shared/root ! -type l -writable -print",
            );
            assert_eq!(found, "", "{access}: user {}", person.user);
        }
    }
}

/// Names in a directory of temporary files that programs of this kind may look for.
const TEMPORARY: [&str; 9] = [
    "rootstock",
    "rootstock-61002",
    ".cache",
    "uv",
    "uv-cache",
    "pip-cache",
    "torchinductor_bob",
    "ipi_nowhere",
    "tmp",
];

#[test]
#[expect(clippy::print_stdout, reason = "each run says how many cases it tried")]
fn what_lies_among_temporary_files_is_not_taken_for_ones_own() {
    if !can_be_others() {
        return;
    }
    let sandbox = project("group:users");
    let own = belongings(&sandbox);
    let belongs = traces(&own);
    fs::create_dir(sandbox.path("shared/temporary")).unwrap();
    chmod(&sandbox.path("shared/temporary"), 0o1777);
    let mut tried = 0;
    for (what, plant) in [
        ("a directory for everybody", "mkdir $name; chmod 777 $name"),
        ("a directory", "mkdir $name"),
        ("a file", "echo x > $name"),
        ("a link to what Bob has", "ln -s $bob $name"),
        ("a FIFO", "mkfifo $name"),
    ] {
        let names = TEMPORARY.join(" ");
        let script = format!(
            "bob={}; cd shared/temporary; for name in {names}; do {plant}; done",
            own.display()
        );
        shell(ALICE, &sandbox, &script);
        for (command, code) in COMMANDS {
            let output = bob_without_home(&sandbox, command);
            let case = format!("{what}: {command}");
            assert_is_in_order(&output, &case);
            assert_eq!(traces(&own), belongs, "{case}");
            let message = output.message();
            // These would look for compiled code there.
            let refused = matches!(command, "run" | "worker");
            assert_eq!(
                output.code,
                Some(if refused { 1 } else { code }),
                "{case}: {message}"
            );
            assert!(
                !refused || message.contains("rootstock-61002"),
                "{case}: {message}"
            );
            tried += TEMPORARY.len();
        }
        shell(
            ALICE,
            &sandbox,
            "rm -rf shared/temporary/* shared/temporary/.cache",
        );
    }
    println!("{tried} cases");
}
