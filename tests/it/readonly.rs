//! On compute nodes the root, and the cache where it lies elsewhere, are mounted read-only: nothing that runs there
//! writes, or even tries to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::str;

use crate::sandbox::person::{Person, can_be_others};
use crate::sandbox::{Output, Sandbox, lacking, trace};
use crate::worker;

const ROOTSTOCK: &str = env!("CARGO_BIN_EXE_rootstock");

/// System calls that change a filesystem; those that open a file do it with some flags only.
const CHANGING: &str = "trace=open,openat,creat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,\
                        link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,chown,lchown,fchown,fchownat,utime,utimes,\
                        utimensat,futimesat,truncate,ftruncate,mknod,mknodat,setxattr,lsetxattr";

/// Whether this machine lets us mount something for ourselves; if not, the test is skipped.
fn can_mount() -> bool {
    let script = "mount --bind /usr /mnt && mount -o remount,ro,bind /mnt";
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-ec", script])
        .output();
    lacking::unless(output.is_ok_and(|output| output.status.success()), "mounts")
}

/// A command that starts rootstock with these directories mounted read-only; what it changes is written to `seen`.
fn mounted(directories: &[&Path], seen: &Path) -> Command {
    let mount = |directory: &&Path| {
        let path = directory.display();
        format!(
            "mount --bind '{path}' '{path}'\nmount -o remount,ro,bind '{path}'\n\
             if touch '{path}/x' 2>/dev/null; then exit 99; fi\n"
        )
    };
    let mut script: String = directories.iter().map(mount).collect();
    script.push_str("exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-ec", &script, "sh"]);
    if trace::is_possible() {
        command.args(["strace", "-f", "-y", "-qq", "-e", CHANGING, "-o"]);
        command.arg(seen);
    }
    command.arg(ROOTSTOCK);
    command
}

/// The system calls that would have changed something in these directories.
fn attempts(directories: &[&Path], seen: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(seen) else {
        return Vec::new();
    };
    assert!(text.contains("O_RDONLY"), "strace saw nothing: {text}");
    let changes = |line: &&str| {
        let opens = line.contains(" open") && !line.contains("O_CREAT");
        let reads = opens && !line.contains("O_WRONLY") && !line.contains("O_RDWR");
        let inside = directories
            .iter()
            .any(|directory| line.contains(&format!("{}/", directory.display())));
        inside && !reads
    };
    text.lines().filter(changes).map(str::to_owned).collect()
}

#[test]
fn a_worker_serves_from_a_root_it_cannot_write() {
    if !can_mount() {
        return;
    }
    let root = worker::root().canonicalize().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let seen = temporary.path().join("seen");
    // The server is the program itself, the worker a process that it starts.
    let output = mounted(&[&root], &seen)
        .args(["probe", "odd-emt", "--steps", "2"])
        .env("ROOTSTOCK_ROOT", &root)
        .env("HOME", temporary.path())
        .env_remove("XDG_CACHE_HOME")
        .current_dir(temporary.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", worker::message(&output));
    assert_eq!(attempts(&[&root], &seen), [""; 0]);
}

/// A cluster whose cache is not in its root, built, with a model that has weights.
fn split() -> (Sandbox, PathBuf, PathBuf) {
    let sandbox = Sandbox::single().with_weights();
    let manifest = sandbox.read("rootstock.toml");
    let manifest = manifest.replacen(
        "[environments.one]\n",
        "[environments.one]\nvariables = { WEIGHTS = \"{cache}/potentials/p.bin\" }\n",
        1,
    );
    let cluster = "[clusters.della]\nroot = \"software/root\"\ncache = \"scratch/cache\"\naccess = \"world\"\n";
    sandbox.write("rootstock.toml", &format!("{manifest}\n{cluster}"));
    sandbox.lock();
    sandbox.sync(&["--cluster", "della"]);
    let real = |name: &str| sandbox.path(name).canonicalize().unwrap();
    let (root, cache) = (real("software/root"), real("scratch/cache"));
    (sandbox, root, cache)
}

#[test]
fn a_command_runs_from_a_root_and_a_cache_it_cannot_write() {
    if !can_mount() {
        return;
    }
    let (sandbox, root, cache) = split();
    let seen = sandbox.path("seen");
    let code = "import os, single; print(single.VERSION, open(os.environ['WEIGHTS']).read())";
    let run = ["run", "one", "--", "python", "-c", code];
    for arguments in [
        &run[..],
        &["doctor"],
        &["doctor", "--import"],
        &["status", "--cluster", "della"],
    ] {
        let mut command = mounted(&[&root, &cache], &seen);
        sandbox.set_up(&mut command);
        let path = std::env::var_os("PATH").unwrap();
        command.args(arguments).env("PATH", path);
        if arguments[0] != "status" {
            command.env("ROOTSTOCK_ROOT", &root);
        }
        let result = Output::from(command.output().unwrap());
        if arguments[0] == "run" {
            assert_eq!(result.expect(0).stdout, "1.0 numbers\n");
        }
        // Doctor tries whether it may write in the root, once, and says that it may not.
        let tried = attempts(&[&root, &cache], &seen);
        let expected = usize::from(arguments[0] == "doctor" && trace::is_possible());
        assert_eq!(tried.len(), expected, "{arguments:?}: {tried:#?}");
        if arguments[0] == "doctor" {
            let message = "no write permission: filesystem not probed";
            assert!(result.stdout.contains(message), "{}", result.stdout);
        }
        if arguments.contains(&"--import") {
            let message = "can be imported: one\n";
            assert!(result.stdout.contains(message), "{}", result.stdout);
            // The machine's own Python may be in a private place.
            let mut found = result.stdout.lines().filter(|line| line.ends_with(']'));
            assert!(
                found.all(|line| line.ends_with("[access-interpreter]")),
                "{}",
                result.stdout
            );
        }
    }
}

#[test]
fn a_sync_of_what_cannot_be_written_is_an_error() {
    if !can_mount() {
        return;
    }
    let (sandbox, root, cache) = split();
    let sync = |sandbox: &Sandbox| {
        let mut command = mounted(&[&root, &cache], &sandbox.path("seen"));
        sandbox.set_up(&mut command);
        let path = std::env::join_paths(
            [sandbox.path("bin")]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        command.env("PATH", path.unwrap());
        let output = command.args(["sync", "--cluster", "della"]).output();
        Output::from(output.unwrap())
    };
    // Where nothing is to be done, nothing is written.
    let result = sync(&sandbox);
    assert!(
        result.expect(0).stdout.starts_with("up to date"),
        "{result:?}"
    );
    sandbox.write_source("one", &["single"], "# edited\n");
    sandbox.lock();
    let result = sync(&sandbox);
    result.expect(1);
    assert!(
        result.stderr.contains("it is mounted read-only here"),
        "{}",
        result.stderr
    );
}

#[test]
fn a_gc_of_what_cannot_be_written_ends_well_where_nothing_is_to_go() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::single();
    // A generation of its own: one of the same id that is in use elsewhere would stay.
    sandbox.write_source("one", &["single"], "# before, of a read-only root\n");
    sandbox.lock();
    sandbox.sync(&[]);
    let root = sandbox.path("root").canonicalize().unwrap();
    let gc = |arguments: &[&str]| {
        let mut command = mounted(&[&root], &sandbox.path("seen"));
        sandbox.set_up(&mut command);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        Output::from(command.arg("gc").args(arguments).output().unwrap())
    };
    let all = ["--keep", "0", "--older-than", "0s"];
    for arguments in [&[][..], &["--dry-run"]] {
        let result = gc(arguments);
        result.expect(0);
        assert!(result.stdout.contains("nothing to remove"), "{result:?}");
    }
    let first = sandbox.generation("root", "one");
    sandbox.write_source("one", &["single"], "# after, of a read-only root\n");
    sandbox.lock();
    sandbox.sync(&[]);
    // What is recent stays, by the time of this host.
    gc(&[]).expect(0);
    let result = gc(&[&all[..], &["--dry-run"]].concat());
    result.expect(0);
    assert!(
        result.stdout.contains("would remove generation one@"),
        "{result:?}"
    );
    let result = gc(&all);
    result.expect(1).stderr_is(
        &sandbox,
        str![[r#"
  × cannot write in `[PROJECT]/root`
  ╰─▶ Read-only file system (os error 30)
  help: it is mounted read-only here: run the command where it can be written
"#]],
    );
    assert_eq!(result.stdout, "");
    assert!(first.is_dir());
    sandbox.run(&[&["gc"][..], &all].concat()).expect(0);
    assert!(!first.exists());
}

#[test]
fn a_gc_of_what_is_another_users_ends_well_where_nothing_is_to_go() {
    if !can_be_others() {
        return;
    }
    let sandbox = Sandbox::single();
    sandbox.write_source("one", &["single"], "# before, of another's root\n");
    sandbox.lock();
    sandbox.sync(&[]);
    let person = Person {
        user: 61001,
        groups: "61001",
    };
    let gc = |arguments: &[&str]| person.run(&sandbox, "022", &[&["gc"], arguments].concat());
    let all = ["--keep", "0", "--older-than", "0s"];
    let output = gc(&all);
    assert!(
        output.expect(0).stdout.contains("nothing to remove"),
        "{output:?}"
    );
    let first = sandbox.generation("root", "one");
    sandbox.write_source("one", &["single"], "# after, of another's root\n");
    sandbox.lock();
    sandbox.sync(&[]);
    gc(&[&all[..], &["--dry-run"]].concat()).expect(0);
    let output = gc(&all);
    output.expect(1).stderr_is(
        &sandbox,
        str![[r#"
  × cannot write in `[PROJECT]/root`
  ╰─▶ Permission denied (os error 13)
  help: you may not write there: check owner and mode of the directory
"#]],
    );
    assert!(first.is_dir());
}

#[test]
fn a_gc_frees_a_filesystem_that_has_no_room_for_a_file() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::single();
    sandbox.write_source("one", &["single"], "# before, of a full filesystem\n");
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox.write_source("one", &["single"], "# after, of a full filesystem\n");
    sandbox.lock();
    sandbox.sync(&[]);
    fs::create_dir_all(sandbox.path("full")).unwrap();
    // What waits in the trash needs no room to go; what is moved there first finds it then. A process that names a part
    // of a root would use it.
    let script = "mount -t tmpfs -o nr_inodes=20000 full full\n\
        cp -a root full/root; mkdir -p full/root/trash; cd full/root/trash\n\
        mkdir gc-1; touch gc-1/a gc-1/b; mkdir ../../filler; cd ../../filler\n\
        seq 20000 | xargs touch 2>/dev/null || cd ../..\n\
        if touch full/x 2>/dev/null; then exit 99; fi\n\
        \"$@\" || echo first $?\n\
        \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-ec", script, "sh", ROOTSTOCK, "gc"]);
    command.args(["--root", "full/root", "--keep", "0", "--older-than", "0s"]);
    sandbox.set_up(&mut command);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let result = Output::from(command.output().unwrap());
    result.expect(0);
    let (first, second) = result.stdout.split_once("first 1\n").expect(&result.stdout);
    assert!(first.contains("removed trash gc-1"), "{result:?}");
    assert!(
        result.message().contains("the filesystem is full"),
        "{result:?}"
    );
    assert!(second.contains("removed generation one@"), "{result:?}");
}

/// What writes a file of the user's, each on a filesystem without a byte and on one without a file: an error that says so, and nothing
/// half made is left.
#[test]
fn a_full_filesystem_gets_no_half_made_file() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    sandbox.write(
        "t.py",
        "def wire(e, p, s): return {'a': b'x' * 5000, 'b': b'y'}\n",
    );
    fs::create_dir(sandbox.path("full")).unwrap();
    let task = "call one --request task.json --spill full/spilled";
    sandbox.write(
        "task.json",
        "{\"entrypoint\": \"t.py:wire\", \"params\": {}, \"seed\": 1}",
    );
    let fills = [
        "head -c 1000000 /dev/zero >full/filler 2>/dev/null || :",
        "seq -f full/filler-%g 64 | xargs touch 2>/dev/null || :",
    ];
    let commands = [
        "export one --format requirements -o full/requirements.txt",
        "export one --format cyclonedx -o full/bom.json",
        "lock --check --sarif full/log.sarif",
        "bundle -o full/carried",
        "image one --allow-system-python -o full/one.tar.zst",
        "stage one --allow-system-python --to full",
        "sync --root full/root",
        task,
        "call one --workdir . --record full/record math:hypot 3 4",
    ];
    for fill in fills {
        for line in commands {
            let script = format!(
                "mount -t tmpfs -o size=200k,nr_inodes=32 full full; {fill}\n\
                 \"$@\" || code=$?; find full -type f -not -name 'filler*' -size +0 >&2; exit ${{code:-0}}"
            );
            let mut command = Command::new("unshare");
            command.args(["-rm", "sh", "-ec", &script, "sh", ROOTSTOCK]);
            command.args(line.split(' '));
            sandbox.set_up(&mut command);
            let paths = [
                std::env::var("PATH").unwrap(),
                sandbox.path("bin").display().to_string(),
            ];
            command.env("PATH", paths.join(":"));
            let result = Output::from(command.output().unwrap());
            let is_record = line.contains("--record");
            let expected = if is_record { &[0, 2][..] } else { &[1] };
            assert!(
                expected.contains(&result.code.unwrap()),
                "{fill}: {line}: {result:?}"
            );
            let all = format!("{}{}", result.stdout, result.stderr);
            let is_named = ["the filesystem is full", "No space left", " free, and "];
            assert!(
                is_named.iter().any(|words| all.contains(words)),
                "{line}: {result:?}"
            );
            assert!(
                !result.stderr.lines().any(|line| line.starts_with("full/")),
                "{line}: {result:?}"
            );
        }
    }
}

#[test]
fn a_separate_cache_is_synced_examined_repaired_and_kept() {
    let (sandbox, root, cache) = split();
    let weights = cache.join("potentials/p.bin");
    assert!(weights.is_file() && !root.join("cache").exists());
    let doctor = |arguments: &[&str]| {
        // Only the root is named: it says itself where its cache is.
        let root = root.to_str().unwrap();
        let output = sandbox.run(&[&["doctor", "--json", "--root", root], arguments].concat());
        let answer = output.json();
        let findings = answer["findings"].as_array().unwrap().clone();
        let here = sandbox.path("").canonicalize().unwrap();
        let message = findings.iter().filter_map(|finding| {
            let path = Path::new(finding["path"].as_str().unwrap());
            let below = path.strip_prefix(&here).ok()?;
            (!below.as_os_str().is_empty())
                .then(|| format!("{} {}", finding["code"].as_str().unwrap(), below.display()))
        });
        message.collect::<Vec<String>>()
    };
    assert_eq!(doctor(&["--deep"]), [""; 0]);
    let permissions = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(&weights, permissions(0o644)).unwrap();
    fs::write(&weights, "numbeRs").unwrap();
    fs::set_permissions(&weights, permissions(0o400)).unwrap();
    fs::set_permissions(&cache, permissions(0o700)).unwrap();
    assert_eq!(
        doctor(&["--deep"]),
        [
            "access-mode scratch/cache",
            "access-mode scratch/cache/potentials/p.bin",
            "weight-changed scratch/cache/potentials/p.bin",
        ]
    );
    sandbox.sync(&["--cluster", "della", "--repair"]);
    assert_eq!(doctor(&["--deep"]), [""; 0]);
    assert_eq!(fs::read_to_string(&weights).unwrap(), "numbers");

    // Whose a cache is beside us, gc does not know.
    fs::write(cache.join("of-another"), "").unwrap();
    let root = root.to_str().unwrap();
    sandbox
        .run(&["gc", "--root", root, "--keep", "0", "--older-than", "0s"])
        .expect(0);
    assert!(weights.is_file() && cache.join("of-another").is_file());
    sandbox
        .run(&["sync", "--cluster", "della", "--check"])
        .expect(0);
}
