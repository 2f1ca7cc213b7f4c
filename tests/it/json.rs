//! The JSON of every command, whole: its keys, codes and values are an interface and stay what they are. Each file in
//! `json/` is one command line, its exit code and what it printed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::sandbox::remote::Remote;
use crate::sandbox::snapshot::{self, check};
use crate::sandbox::{Output, Sandbox, Wheel, python};

/// Two environments, one of them with a model and its weights; locked.
fn project() -> Sandbox {
    Sandbox::shared().with_weights()
}

/// `two` needs what no index has.
fn unsolvable(sandbox: &Sandbox) {
    sandbox.write_source("two", &["shared", "absent"], "");
}

/// Replaces one text in a file; it must be there.
fn edit(sandbox: &Sandbox, file: &str, from: &str, to: &str) {
    let text = sandbox.read(file);
    assert!(text.contains(from), "`{from}` is not in {file}");
    sandbox.write(file, &text.replacen(from, to, 1));
}

#[test]
fn lock() {
    let sandbox = project();
    check(&sandbox, "lock-up-to-date", &["lock", "--json"]);
    fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    check(&sandbox, "lock-first", &["lock", "--json"]);
    sandbox.index.add(&Wheel::simple("shared", "1.1"));
    sandbox.write("remote/weights.bin", "other numbers");
    check(&sandbox, "lock-upgrade", &["lock", "--upgrade", "--json"]);
    sandbox.sync(&[]);
    check(&sandbox, "lock-record", &["lock", "--record", "--json"]);
    unsolvable(&sandbox);
    check(&sandbox, "lock-failed", &["lock", "--json"]);
    edit(&sandbox, "rootstock.lock", "\"shared 1.1", "\"shared 1.0");
    check(
        &sandbox,
        "lock-of-an-edited-lock",
        &["lock", "one", "--json"],
    );
}

#[test]
fn lock_check() {
    let sandbox = project();
    check(&sandbox, "check", &["lock", "--check", "--json"]);
    check(&sandbox, "check-sarif", &["lock", "--check", "--sarif"]);
    let lock = sandbox.read("rootstock.lock");
    sandbox.write_source("one", &["shared"], "# edited\n");
    edit(
        &sandbox,
        "rootstock.toml",
        "argument = \"p\"",
        "argument = \"q\"",
    );
    sandbox.more("[environments.three]\nsource = \"environments/two.py\"");
    check(&sandbox, "check-drift", &["lock", "--check", "--json"]);
    check(
        &sandbox,
        "check-drift-sarif",
        &["lock", "--check", "--sarif"],
    );
    check(
        &sandbox,
        "check-drift-github",
        &["lock", "--check", "--github"],
    );
    check(
        &sandbox,
        "check-drift-of-one",
        &["lock", "two", "--check", "--json"],
    );
    check(&sandbox, "sync-drift", &["sync", "--json"]);
    check(&sandbox, "record-drift", &["lock", "--record", "--json"]);
    edit(&sandbox, "rootstock.lock", "\"shared 1.0", "\"shared 1.1");
    check(&sandbox, "check-edited", &["lock", "--check", "--json"]);
    check(
        &sandbox,
        "check-edited-sarif",
        &["lock", "--check", "--sarif"],
    );
    fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    check(&sandbox, "check-missing", &["lock", "--check", "--json"]);
    check(
        &sandbox,
        "check-missing-github",
        &["lock", "--check", "--github"],
    );
    sandbox.write(
        "rootstock.lock",
        &lock.replace("version = 1", "version = 9"),
    );
    check(&sandbox, "check-unreadable", &["lock", "--check", "--json"]);
}

#[test]
fn sync() {
    let sandbox = project();
    check(&sandbox, "sync-dry-run", &["sync", "--dry-run", "--json"]);
    check(
        &sandbox,
        "sync-check-missing",
        &["sync", "--check", "--json"],
    );
    check(&sandbox, "sync-first", &["sync", "--json"]);
    check(&sandbox, "sync-up-to-date", &["sync", "--json"]);
    check(&sandbox, "sync-check", &["sync", "--check", "--json"]);
    let before = sandbox.read("environments/one.py");
    sandbox.write_source("one", &["shared", "first"], "# edited\n");
    sandbox.lock();
    check(
        &sandbox,
        "sync-dry-run-stale",
        &["sync", "--dry-run", "--json"],
    );
    sandbox.sync(&[]);
    sandbox.write("environments/one.py", &before);
    sandbox.lock();
    check(
        &sandbox,
        "sync-dry-run-switch",
        &["sync", "--dry-run", "--json"],
    );
    check(&sandbox, "sync-switch", &["sync", "--json"]);
    check(
        &sandbox,
        "sync-force",
        &["sync", "one", "--force", "--json"],
    );
    let module = "root/cache/potentials/p.bin";
    fs::set_permissions(sandbox.path(module), fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.write(module, "Numbers");
    check(
        &sandbox,
        "sync-check-damaged",
        &["sync", "--check", "--json"],
    );
    check(&sandbox, "sync-repair", &["sync", "--repair", "--json"]);
    edit(
        &sandbox,
        "rootstock.toml",
        "root = \"root\"",
        "root = \"root\"\naccess = \"private\"",
    );
    check(
        &sandbox,
        "sync-dry-run-access",
        &["sync", "--dry-run", "--json"],
    );
}

#[test]
fn sync_that_fails() {
    let sandbox = project();
    fs::remove_file(sandbox.path("remote/weights.bin")).unwrap();
    sandbox
        .index
        .replace("second-1.0-py3-none-any.whl", b"no wheel");
    check(&sandbox, "sync-failed", &["sync", "--json"]);
    check(
        &sandbox,
        "sync-offline-failed",
        &["sync", "two", "--offline", "--json"],
    );
}

/// Models without weights, one of which fails to load, and an environment that has its own home.
#[test]
fn sync_of_models_that_are_loaded_once() {
    let (sandbox, remote) = (Sandbox::single(), Remote::start());
    remote.add("/large.bin", b"numbers");
    let source = sandbox.read("environments/one.py").replace(
        "    return None\n",
        r#"
    import os, pathlib, urllib.request
    if model == "fails":
        raise OSError("no route")
    file = pathlib.Path(os.environ["XDG_CACHE_HOME"]) / "large.bin"
    file.write_bytes(urllib.request.urlopen(os.environ["REMOTE"] + "/large.bin").read())
"#,
    );
    sandbox.write("environments/one.py", &source);
    sandbox.more("keep = [\"REMOTE\"]\nmodels = [\"fails\", \"large\"]");
    sandbox.lock();
    let with_remote = |name: &str, arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        let result = Output::from(command.env("REMOTE", remote.url()).output().unwrap());
        snapshot::compare(&sandbox, name, arguments, &result);
    };
    with_remote("prefetch-dry-run", &["sync", "--dry-run", "--json"]);
    with_remote("prefetch", &["sync", "--json"]);
    check(&sandbox, "prefetch-status", &["status", "--json"]);
    snapshot::file(
        &sandbox,
        "disk-prefetched",
        "root/prefetched/one-large.json",
    );
    fs::remove_file(sandbox.path("root/cache/large.bin")).unwrap();
    check(&sandbox, "prefetch-status-missing", &["status", "--json"]);
    check(&sandbox, "prefetch-doctor", &["doctor", "--json"]);
    with_remote("prefetch-dry-run-missing", &["sync", "--dry-run", "--json"]);
}

#[test]
fn status() {
    let sandbox = project();
    check(&sandbox, "status-missing", &["status", "--json"]);
    sandbox.sync(&[]);
    check(&sandbox, "status", &["status", "--sizes", "--json"]);
    sandbox.write_source("one", &["shared"], "# edited\n");
    check(&sandbox, "status-drifted", &["status", "--json"]);
    sandbox.lock();
    fs::remove_file(sandbox.path("root/envs/two")).unwrap();
    symlink("../generations/two/gone", sandbox.path("root/envs/two")).unwrap();
    sandbox.more("[environments.three]\nsource = \"environments/two.py\"\noptional = true");
    check(&sandbox, "status-broken", &["status", "--json"]);
}

#[test]
fn status_while_something_is_built() {
    const FILE: &str = "second-1.0-py3-none-any.whl";
    let sandbox = Sandbox::shared();
    sandbox.index.hold(FILE);
    let sync = sandbox.start(&["sync", "two"]);
    sandbox.index.wait_for(FILE);
    check(&sandbox, "status-building", &["status", "--json"]);
    sandbox.index.release();
    Output::from(sync.wait_with_output().unwrap()).expect(0);
}

#[test]
fn doctor() {
    let sandbox = project();
    sandbox.sync(&[]);
    check(&sandbox, "doctor", &["doctor", "--json"]);
    check(&sandbox, "doctor-deep", &["doctor", "--deep", "--json"]);
    sandbox.write_source("one", &["shared"], "import absent\n");
    sandbox.lock();
    sandbox.sync(&[]);
    check(&sandbox, "doctor-import", &["doctor", "--import", "--json"]);
    check(
        &sandbox,
        "doctor-machine",
        &[
            "doctor",
            "--driver",
            "570.124.06",
            "--glibc",
            "2.28",
            "--json",
        ],
    );
    let one = sandbox.generation("root", "one");
    for file in ["env_source.py", "pyvenv.cfg"] {
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(one.join(file), mode).unwrap();
        fs::write(one.join(file), "changed").unwrap();
    }
    fs::set_permissions(&one, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(one.join("added"), "").unwrap();
    fs::remove_file(sandbox.path("root/envs/two")).unwrap();
    symlink("../generations/two/gone", sandbox.path("root/envs/two")).unwrap();
    fs::remove_file(sandbox.path("root/cache/potentials/p.bin")).unwrap();
    check(&sandbox, "doctor-findings", &["doctor", "--json"]);
    check(
        &sandbox,
        "doctor-deep-findings",
        &["doctor", "--deep", "--json"],
    );
    check(
        &sandbox,
        "doctor-import-unusable",
        &["doctor", "--import", "--json"],
    );
    check(
        &sandbox,
        "doctor-unknown",
        &["doctor", "--import", "four", "--json"],
    );
}

#[test]
fn gc() {
    let sandbox = Sandbox::single();
    for number in 0..3 {
        // No other sandbox has generations of these ids: those that processes of another test use would stay.
        let source = format!("# {number} in {}\n", sandbox.path("").display());
        sandbox.write_source("one", &["single"], &source);
        sandbox.lock();
        sandbox.sync(&[]);
    }
    check(&sandbox, "gc-nothing", &["gc", "--json"]);
    let all = ["--keep", "0", "--older-than", "0s", "--json"];
    check(
        &sandbox,
        "gc-dry-run",
        &[&["gc", "--dry-run"][..], &all].concat(),
    );
    check(&sandbox, "gc", &["gc", "--older-than", "0s", "--json"]);
    check(&sandbox, "gc-pin", &["gc", "--pin", "one", "--json"]);
    check(&sandbox, "gc-unpin", &["gc", "--unpin", "one", "--json"]);
    sandbox.run(&["gc", "--pin", "one"]).expect(0);
    sandbox.write("root/store/archives/.part-1/f", "");
    check(&sandbox, "gc-pinned", &[&["gc"][..], &all].concat());
    check(
        &sandbox,
        "gc-no-root",
        &["gc", "--root", "nowhere", "--json"],
    );
}

#[test]
fn image_and_stage() {
    let sandbox = project();
    sandbox.sync(&[]);
    let names = [
        "image",
        "--allow-system-python",
        "-o",
        "all.tar.zst",
        "--json",
    ];
    check(&sandbox, "image", &names);
    fs::create_dir(sandbox.path("node")).unwrap();
    let user = std::os::unix::fs::MetadataExt::uid(&fs::metadata(sandbox.path("node")).unwrap());
    for (name, arguments) in [
        (
            "stage-first",
            &["stage", "all.tar.zst", "--to", "node", "--json"][..],
        ),
        ("stage", &["stage", "all.tar.zst", "--to", "node", "--json"]),
        (
            "stage-clean",
            &["stage", "--to", "node", "--clean", "--json"],
        ),
    ] {
        let mut ended = sandbox.run(arguments);
        ended.stdout = ended
            .stdout
            .replace(&format!("rootstock-{user}/"), "rootstock-[UID]/");
        snapshot::compare(&sandbox, name, arguments, &ended);
    }
}

#[test]
fn bundle() {
    let sandbox = project();
    check(&sandbox, "bundle", &["bundle", "-o", "carried", "--json"]);
    snapshot::file(&sandbox, "disk-bundle", "carried/rootstock-bundle.json");
}

#[test]
fn run_and_export() {
    let sandbox = project();
    check(&sandbox, "run-missing", &["run", "one", "--print", "json"]);
    sandbox.sync(&[]);
    let arguments = ["run", "one", "--clean", "--print", "json"];
    let mut command = sandbox.command(&arguments);
    let result = Output::from(
        command
            .env_clear()
            .env("HOME", "/nowhere")
            .output()
            .unwrap(),
    );
    snapshot::compare(&sandbox, "run", &arguments, &result);
    check(
        &sandbox,
        "export-cyclonedx",
        &["export", "one", "--format", "cyclonedx"],
    );
}

/// Forces, stress and energy of a model without interactions are zero on every machine.
#[test]
fn probe() {
    let sandbox = Sandbox::new(&[]);
    symlink(python(), sandbox.path("bin/python3")).unwrap();
    let root = super::worker::root().to_str().unwrap();
    let probe = |name: &str, arguments: &[&str]| {
        let output = sandbox.run(&[&["probe", "--root", root, "--json"], arguments].concat());
        snapshot::compare(&sandbox, name, &[&["probe"], arguments].concat(), &output);
    };
    probe("probe", &["odd-zero", "--steps", "2"]);
    probe(
        "probe-without-steps",
        &["odd-zero", "--steps", "0", "--max-overhead", "1"],
    );
    probe("probe-refused", &["odd-raises", "--steps", "0"]);
    probe("probe-ipc", &["--ipc-only", "--steps", "2"]);
}

/// What other programs read in a root.
#[test]
fn files_of_a_root() {
    let sandbox = project();
    sandbox.sync(&[]);
    snapshot::file(&sandbox, "disk-models", "root/models.json");
    snapshot::file(&sandbox, "disk-layout", "root/layout.json");
    let stamp = sandbox
        .generation("root", "one")
        .join("rootstock-stamp.json");
    sandbox.write("stamp", &fs::read_to_string(stamp).unwrap());
    snapshot::file(&sandbox, "disk-stamp", "stamp");
}

/// JSON has no bytes that are not UTF-8.
#[test]
fn a_path_that_is_not_utf_8_is_an_error() {
    let sandbox = project();
    let root = sandbox.path("").join(OsStr::from_bytes(b"r\xff"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("layout.json"), "{\"schema\": 1}").unwrap();
    for command in ["doctor", "gc", "status"] {
        let run = |arguments: &[&str]| {
            let mut command = sandbox.command(arguments);
            Output::from(command.arg("--root").arg(&root).output().unwrap())
        };
        let result = run(&[command, "--json"]);
        assert_eq!(
            (result.code, result.stdout.as_str()),
            (Some(1), ""),
            "{command}"
        );
        let message = result.message();
        assert!(
            message.contains("cannot print as JSON: path contains invalid UTF-8"),
            "{message}"
        );
        assert!(run(&[command]).stdout.contains("r\u{fffd}"), "{command}");
    }
}
