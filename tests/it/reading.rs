//! Read anything: whatever lies where a file is expected, each command ends, in bounded memory, and names the file. What a
//! project names is read only in the project, and what lies elsewhere is never quoted.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::sandbox::{Output, Sandbox, Wheel};

/// Kilobytes of addresses that a command may take: less than the sparse file has.
const MEMORY: u32 = 900_000;

const SECRET: &str = "machine-example.org-password-hunter2";

/// What is put in a file's place.
const KINDS: [&str; 8] = [
    "fifo",
    "zero",
    "directory",
    "mode",
    "sparse",
    "latin",
    "outside",
    "socket",
];

fn put(kind: &str, path: &Path, secret: &Path) {
    // Generations are read-only.
    let parent = path.parent().unwrap();
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
    if kind != "mode" {
        fs::remove_file(path).unwrap();
    }
    match kind {
        "fifo" => {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }
        "zero" => symlink("/dev/zero", path).unwrap(),
        "directory" => fs::create_dir(path).unwrap(),
        "mode" => fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap(),
        "sparse" => fs::File::create(path).unwrap().set_len(1 << 30).unwrap(),
        "latin" => fs::write(path, b"# caf\xe9\n").unwrap(),
        "outside" => symlink(secret, path).unwrap(),
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        other => panic!("{other}"),
    }
}

/// Puts back what was there.
fn restore(path: &Path, bytes: &[u8], mode: u32) {
    // A command may have removed or replaced it.
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => fs::create_dir_all(path.parent().unwrap()).unwrap(),
    }
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a command with little memory.
fn run(sandbox: &Sandbox, words: &str) -> Output {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("ulimit -v {MEMORY}; exec \"$@\""), "sh"]);
    shell.arg(env!("CARGO_BIN_EXE_rootstock"));
    shell.args(words.split_whitespace());
    sandbox.set_up(&mut shell);
    Output::from(shell.output().unwrap())
}

/// Puts each kind in the place of each file, and runs each command; `named` are those of which each must name the file.
#[expect(clippy::print_stdout, reason = "each run says how many cases it tried")]
fn each(sandbox: &Sandbox, paths: &[&str], commands: &[&str], named: bool) {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), format!("{SECRET}\n")).unwrap();
    let mut tried = 0;
    for below in paths {
        let path = sandbox.path(below);
        let (bytes, mode) = (
            fs::read(&path).unwrap(),
            fs::metadata(&path).unwrap().permissions().mode(),
        );
        for kind in KINDS {
            for command in commands {
                put(kind, &path, secret.path());
                // root may read everything.
                let nothing = kind == "mode" && fs::File::open(&path).is_ok();
                let output = run(sandbox, command);
                restore(&path, &bytes, mode);
                let message = format!("{}{}", output.stdout, output.stderr);
                let case = format!("{below} as {kind}: {command}: {:?}\n{message}", output.code);
                assert!(matches!(output.code, Some(0..=4)), "{case}");
                assert!(!message.contains("hunter2"), "{case}");
                if named && !nothing {
                    let name = Path::new(below).file_name().unwrap().to_str().unwrap();
                    assert!(output.code != Some(0) && message.contains(name), "{case}");
                }
                tried += 1;
            }
        }
    }
    println!("{tried} cases");
}

#[test]
fn what_a_project_names() {
    let sandbox = Sandbox::new(&[(
        "one",
        &["single", "local @ ./packages/local-1.0-py3-none-any.whl"],
    )]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    fs::create_dir(sandbox.path("packages")).unwrap();
    let wheel = Wheel::simple("local", "1.0");
    fs::write(
        sandbox.path("packages").join(wheel.file_name()),
        wheel.bytes(),
    )
    .unwrap();
    sandbox.lock();
    let files = ["rootstock.toml", "environments/one.py"];
    let commands = [
        "lock",
        "lock --check",
        "lock --check --github",
        "lock --check --json",
        "sync",
        "export one --format pylock",
        "bundle -o out",
        "status",
    ];
    each(&sandbox, &files, &commands, true);
    let commands = [
        "lock --check",
        "lock --check --github",
        "lock --check --sarif",
        "sync",
        "export one --format pylock",
    ];
    each(
        &sandbox,
        &["rootstock.lock", "packages/local-1.0-py3-none-any.whl"],
        &commands,
        true,
    );
}

/// What other users may write where they share a root.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of what lies in a root")]
fn what_lies_in_a_root() {
    let sandbox = Sandbox::single().with_weights();
    sandbox.sync(&[]);
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    let generation = sandbox.generation("root", "one");
    let top = sandbox.path("").canonicalize().unwrap();
    let inside = |name: &str| {
        let path = generation.join(name);
        path.strip_prefix(&top)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let commands = [
        "status",
        "sync --check",
        "run one -- python -V",
        "doctor",
        "gc --older-than 0s --dry-run",
    ];
    each(&sandbox, &["root/layout.json"], &commands, true);
    each(
        &sandbox,
        &[&inside("rootstock-stamp.json")],
        &commands,
        false,
    );
    each(
        &sandbox,
        &["root/models.json"],
        &[
            "run one -- python -V",
            "worker potential --unix nobody --species Cu --pbc TTT",
            "image one --allow-system-python -o made.tar.zst",
            "stage one --allow-system-python --to .",
        ],
        true,
    );
    each(
        &sandbox,
        &[
            &inside("rootstock-tree.txt"),
            &inside("env_source.py"),
            &inside("pyvenv.cfg"),
        ],
        &[
            "doctor --deep",
            "sync",
            "status",
            "image one --allow-system-python -o made.tar.zst",
            "stage one --allow-system-python --to .",
        ],
        false,
    );
    each(
        &sandbox,
        &["root/cache/potentials/p.bin"],
        &[
            "doctor --deep",
            "sync --check",
            "image one --allow-system-python -o made.tar.zst",
        ],
        true,
    );
    let arguments = ["image", "--allow-system-python", "-o", "one.tar.zst"];
    sandbox.run(&arguments).expect(0);
    each(
        &sandbox,
        &["one.tar.zst"],
        &["stage one.tar.zst --to ."],
        true,
    );
    each(
        &sandbox,
        &["carried/rootstock-bundle.json"],
        &["sync --offline --bundle carried --root there"],
        true,
    );
    let claim = format!(
        "root/claims/one@{}.json",
        generation.file_name().unwrap().to_str().unwrap()
    );
    fs::create_dir_all(sandbox.path("root/claims")).unwrap();
    sandbox.write(&claim, "{}");
    each(
        &sandbox,
        &[&claim],
        &[
            "status",
            "gc --older-than 0s",
            "sync",
            "sync --force",
            "doctor",
        ],
        false,
    );
    let pin = claim.replace("claims", "pins").replace(".json", "");
    fs::create_dir_all(sandbox.path("root/pins")).unwrap();
    sandbox.write(&pin, "");
    each(
        &sandbox,
        &[&pin],
        &["status", "gc --older-than 0s", "doctor"],
        false,
    );
}

/// Names that are not UTF-8 are none of ours, wherever they are: nothing depends on them.
#[test]
fn names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt as _;

    let sandbox = Sandbox::single().with_weights();
    sandbox.sync(&[]);
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    fs::create_dir(sandbox.path("node")).unwrap();
    let commands = [
        "lock --check",
        "status",
        "sync",
        "sync --check",
        "sync --repair",
        "doctor --deep",
        "gc --older-than 0d",
        "export one --format requirements",
        "bundle -o carried",
        "sync --offline --bundle carried --root there",
        "run one -- python -c pass",
        "image one --allow-system-python -o one.tar.zst",
        "stage one --allow-system-python --to node",
        "call one math:hypot 3 4",
        "call one --list --path .",
    ];
    for line in commands {
        sandbox.run(&line.split(' ').collect::<Vec<_>>()).expect(0);
    }
    let mut directories: Vec<_> = [
        ".",
        "environments",
        "carried",
        "carried/store/archives",
        "node",
        "bin",
    ]
    .map(|below| sandbox.path(below))
    .to_vec();
    let root = sandbox.path("root");
    directories.push(root.clone());
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let inside = fs::read_dir(&path)
                .unwrap()
                .map(|inner| inner.unwrap().path());
            directories.extend(inside.filter(|inner| inner.is_dir() && !inner.is_symlink()));
            directories.push(path);
        }
    }
    for directory in directories.iter().filter(|directory| directory.is_dir()) {
        for name in [
            &b"caf\xe9"[..],
            b"python3.\xff",
            b"\xff.dist-info",
            b"x\xff.py",
            b".\xff",
        ] {
            let path = directory.join(std::ffi::OsStr::from_bytes(name));
            fs::write(path, "not ours").unwrap();
        }
    }
    for line in commands {
        let output = sandbox.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.code, Some(0), "{line}: {output:?}");
    }
    let left = root.join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    assert!(left.exists(), "it is not ours");
}
