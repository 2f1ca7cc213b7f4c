//! The examples end, and leave nothing behind, also where the worker or its server cannot start.

use std::path::Path;
use std::process::Command;

use super::sandbox::Output;
use super::worker::{ROOTSTOCK, here, root};

/// Runs a command in an empty directory with the environment's programs, which have ASE and i-PI, and this model. Returns only
/// when all that it has started is gone: who holds its output open is waited for.
fn example(directory: &Path, command: &[&str], model: &str) -> Output {
    let bin = root().join("envs/odd/bin");
    let rootstock = Path::new(ROOTSTOCK).parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), rootstock.display());
    let output = Command::new(bin.join(command[0]))
        .args(&command[1..])
        .env("PATH", path)
        .env("ROOTSTOCK_ROOT", root())
        .env("ROOTSTOCK_MODEL", model)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(directory)
        .output();
    Output::from(output.unwrap())
}

/// Processes that work in this directory.
fn processes(directory: &Path) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap();
    let paths = all.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
        })
        .map(|path| path.display().to_string())
        .collect()
}

#[test]
fn no_server_is_left_behind_by_a_worker_that_cannot_start() {
    let directory = tempfile::tempdir().unwrap();
    let examples = here().join("examples");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(examples.join("ipi"))
        .arg(directory.path())
        .status();
    assert!(copied.unwrap().success());
    let script = directory.path().join("ipi/run.sh");
    let script = script.to_str().unwrap();
    // One that is unknown, and one whose Python fails.
    for model in ["no-such-model", "odd-fails"] {
        let output = example(directory.path(), &["/bin/sh", script], model);
        assert!(![Some(0), None].contains(&output.code), "{output:?}");
        assert!(!output.stderr.is_empty(), "{model}: {output:?}");
        assert_eq!(processes(directory.path()), Vec::<String>::new());
    }
    let ase = examples.join("ase_md.py");
    let output = example(
        directory.path(),
        &["python", ase.to_str().unwrap()],
        "no-such-model",
    );
    assert!(![Some(0), None].contains(&output.code), "{output:?}");
    assert!(output.stderr.contains("no-such-model"), "{output:?}");
    assert!(!output.stderr.contains("KeyboardInterrupt"), "{output:?}");
}

#[test]
fn no_worker_waits_for_a_server_that_is_not_there() {
    let script = here().join("examples/ipi/run.sh");
    let output = Command::new("/bin/sh")
        .arg(script)
        .env("PATH", "/usr/bin:/bin")
        .output();
    let result = Output::from(output.unwrap());
    assert_eq!(result.expect(127).stderr, "i-pi is not on PATH\n");
}
