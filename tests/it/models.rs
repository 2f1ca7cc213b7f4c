//! The environments of this repository: real packages, real forces, the same tree wherever they are built.
//!
//! CHGNet and SevenNet take 3 GB to download, so they are tested where `ROOTSTOCK_TEST_MLIP` is set, as in CI.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::sandbox::refuse;

const ROOTSTOCK: &str = env!("CARGO_BIN_EXE_rootstock");

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn with_mlips() -> bool {
    std::env::var_os("ROOTSTOCK_TEST_MLIP").is_some()
}

/// Runs `rootstock sync` of this repository's manifest into a root; must succeed.
fn sync(root: &Path, names: &[&str]) {
    let output = Command::new(ROOTSTOCK)
        .args(["sync", "--root"])
        .arg(root)
        .args(names)
        .current_dir(here())
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", message(&output));
}

/// A root with the environments under test; kept from run to run, because syncing a root that is up to date costs
/// nothing and proves that it is.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("models-world");
        for_everybody(&root);
        sync(&root, &[]);
        if with_mlips() {
            sync(&root, &["chgnet", "sevennet"]);
        }
        root
    })
}

/// A root that says itself whom it is for, as one does that an administrator has set up.
fn for_everybody(root: &Path) {
    std::fs::create_dir_all(root).unwrap();
    let layout = root.join("layout.json");
    if !layout.exists() {
        std::fs::write(layout, "{\"schema\":1,\"access\":\"world\"}\n").unwrap();
    }
}

fn stamp(root: &Path, environment: &str) -> serde_json::Value {
    let stamp = root
        .join("envs")
        .join(environment)
        .join("rootstock-stamp.json");
    serde_json::from_slice(&std::fs::read(stamp).unwrap()).unwrap()
}

fn run(python: &Path, script: &str, arguments: &[&std::ffi::OsStr]) {
    let mut command = Command::new(python);
    command
        .arg("-B")
        .arg(here().join("tests/python").join(script))
        .args(arguments);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{script} {arguments:?}\n{}",
        message(&output)
    );
}

/// A worker with the model, driven by stock ASE, against the calculator in process and known energies.
fn compare(environment: &str, model: &str) {
    let python = root().join("envs").join(environment).join("bin/python");
    run(
        &python,
        "models.py",
        &[ROOTSTOCK.as_ref(), root().as_os_str(), model.as_ref()],
    );
}

#[test]
fn emt_gives_what_it_gives_in_process() {
    compare("emt", "emt");
}

#[test]
fn gfn2_xtb_gives_what_it_gives_in_process() {
    compare("tblite", "gfn2-xtb");
}

#[test]
fn chgnet_and_sevennet_give_what_they_give_in_process() {
    if with_mlips() {
        compare("chgnet", "chgnet-0.3.0");
        compare("sevennet", "7net-0");
    }
}

/// Computed on another machine, in one thread: here with more, and with the kernels of other processors.
#[test]
fn recorded_numbers_hold_with_other_threads_and_kernels() {
    for (model, variable) in [
        ("emt", ("OPENBLAS_CORETYPE", "Prescott")),
        ("gfn2-xtb", ("OMP_NUM_THREADS", "2")),
        ("gfn2-xtb", ("OPENBLAS_CORETYPE", "Haswell")),
        ("gfn1-xtb", ("OPENBLAS_CORETYPE", "Prescott")),
    ] {
        let output = Command::new(ROOTSTOCK)
            .args(["probe", model, "--check", "--root"])
            .arg(root())
            .env(variable.0, variable.1)
            .current_dir(here())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{model} {variable:?}: {}",
            message(&output)
        );
    }
}

/// Their models leave nothing in the cache. The kernel refuses every connection, where it has seccomp.
#[test]
fn the_default_environments_are_carried_into_an_empty_directory_and_built_without_a_network() {
    let place = tempfile::tempdir().unwrap();
    let (carried, brought) = (place.path().join("carried"), place.path().join("brought"));
    let succeeds = |command: &mut Command, what: &str| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{what}: {}", message(&output));
        message(&output)
    };
    let mut bundle = Command::new(ROOTSTOCK);
    bundle.current_dir(here()).arg("--root").arg(root());
    let result = succeeds(bundle.args(["bundle", "-o"]).arg(&carried), "bundle");
    assert!(!result.contains("not in the bundle"), "{result}");
    std::fs::rename(&carried, &brought).unwrap();
    let there = place.path().join("there");
    let cut_off = || {
        let mut command =
            refuse::program(&["connect"], "EPERM").unwrap_or_else(|| Command::new(ROOTSTOCK));
        command
            .current_dir(place.path())
            .envs(
                ["UV_DEFAULT_INDEX", "HTTP_PROXY", "HTTPS_PROXY"]
                    .map(|n| (n, "http://127.0.0.1:9")),
            )
            .env("ROOTSTOCK_UV", "/nowhere/uv")
            .args(["--manifest", "brought/rootstock.toml", "--root", "there"]);
        command
    };
    let arguments = ["sync", "--offline", "--bundle", "brought"];
    succeeds(cut_off().args(arguments), "sync");
    for environment in ["emt", "tblite"] {
        let [here, there] = [root(), &there].map(|root| stamp(root, environment));
        for field in ["id", "tree"] {
            assert_eq!(here[field], there[field], "{environment} {field}");
        }
    }
    let result = succeeds(cut_off().args(["status", "--json"]), "status");
    let status: serde_json::Value = serde_json::from_str(&result).unwrap();
    for (kind, name, state) in [
        ("environments", "emt", "fresh"),
        ("models", "gfn1-xtb", "fresh"),
        ("models", "gfn2-xtb", "fresh"),
    ] {
        let mut all = status[kind].as_array().unwrap().iter();
        let found = all.find(|one| one["name"] == name || one["id"] == name);
        assert_eq!(found.unwrap()["state"], state, "{name}: {result}");
    }
    let result = succeeds(cut_off().args(arguments), "again");
    assert!(result.starts_with("up to date"), "{result}");
}

/// Another path, another number of threads, another umask.
#[test]
fn two_roots_hold_the_same_trees_bytecode_included_and_the_same_modes() {
    let other = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let elsewhere = other.path().join("a/longer/path than the first");
    for_everybody(&elsewhere);
    let output = Command::new("/bin/sh")
        .args(["-c", "umask 077; exec \"$@\"", "sh", ROOTSTOCK])
        .args(["sync", "-j", "3", "--root"])
        .arg(&elsewhere)
        .current_dir(here())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", message(&output));
    for environment in ["emt", "tblite"] {
        let (here, there) = (stamp(root(), environment), stamp(&elsewhere, environment));
        assert_eq!(here["tree"], there["tree"], "{environment}");
        assert_eq!(here["id"], there["id"], "{environment}");
        let modes = |root: &Path| modes(&root.join("envs").join(environment));
        assert_eq!(modes(root()), modes(&elsewhere), "{environment}");
    }
    make_removable(&elsewhere);
}

/// Every path below a directory with its mode, as `find` prints it; links have none of their own.
fn modes(directory: &Path) -> Vec<String> {
    let output = Command::new("find")
        .arg(directory.canonicalize().unwrap())
        .args(["!", "-type", "l", "-printf", "%m %P\n"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", message(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Published directories are read-only; only root can empty them.
fn make_removable(directory: &Path) {
    let changed = Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(directory)
        .status()
        .unwrap();
    assert!(changed.success());
}

/// `examples/minimal` is what its README says: a repository whose lock is current, and which builds.
#[test]
fn a_minimal_repository_is_complete() {
    let example = here().join("examples/minimal");
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("minimal-root");
    for arguments in [&["lock", "--check"][..], &["sync"], &["sync", "--check"]] {
        let mut command = Command::new(ROOTSTOCK);
        command
            .args(arguments)
            .arg("--root")
            .arg(&root)
            .current_dir(&example);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}\n{}",
            message(&output)
        );
    }
}

#[test]
fn installed_files_are_those_of_pip() {
    let mut environments = vec!["emt", "tblite"];
    if with_mlips() {
        environments.push("chgnet");
    }
    for environment in environments {
        let stamp = stamp(root(), environment);
        let python = PathBuf::from(stamp["python"]["executable"].as_str().unwrap());
        let (lock, generation) = (
            here().join("rootstock.lock"),
            root().join("envs").join(environment),
        );
        let generation = generation.canonicalize().unwrap();
        run(
            &python,
            "pip_equal.py",
            &[
                lock.as_os_str(),
                generation.as_os_str(),
                environment.as_ref(),
            ],
        );
    }
}
