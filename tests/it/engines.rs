//! Workflow engines, the real ones, in an environment of their own (`.ci/engines.txt`): each of their processes keeps one
//! worker, at nearly the speed of a calculator in process; and the examples for them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::sandbox::{Output, complete};
use crate::worker::{ROOTSTOCK, here, root};

/// The Python with the engines; made once, and made again where the list has changed.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines");
        let list = here().join(".ci/engines.txt");
        let wanted = std::fs::read_to_string(&list).unwrap();
        let complete = made.join("complete");
        let python = made.join("bin/python");
        if std::fs::read_to_string(&complete).ok().as_ref() != Some(&wanted) {
            let venv = Command::new("python3.11")
                .args(["-m", "venv", "--clear"])
                .arg(&made)
                .output();
            Output::from(venv.unwrap()).expect(0);
            let pip = Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "-r"])
                .arg(list)
                .output();
            Output::from(pip.unwrap()).expect(0);
            std::fs::write(complete, wanted).unwrap();
        }
        python
    })
}

/// Runs a script with the engines' Python.
fn run(script: &str, arguments: &[&str]) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let bin = python().parent().unwrap();
    let paths = [
        Path::new(ROOTSTOCK).parent().unwrap(),
        bin,
        "/usr/bin".as_ref(),
        "/bin".as_ref(),
    ];
    let output = Command::new(python())
        .arg("-B")
        .arg(here().join(script))
        .args(arguments)
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("ROOTSTOCK_PROGRAM", ROOTSTOCK)
        .env("ROOTSTOCK_ROOT", root())
        .env("ROOTSTOCK_MODEL", "odd-emt")
        .env(
            "PYTHONPATH",
            ["python", "tests/python", "tests/python/stubs"]
                .map(|path| here().join(path).display().to_string())
                .join(":"),
        )
        .env("PARSL_RUN_DIR", scratch.path().join("parsl"))
        .current_dir(scratch.path())
        .output();
    let result = Output::from(output.unwrap());
    result.expect(0);
    result.stdout.clone()
}

/// 200 tasks through each of them.
#[test]
fn workers_are_as_many_as_processes_and_cost_little() {
    if complete::sites_are_wanted() {
        for engine in ["Pool", "Joblib", "Dask", "Parsl", "MatCalc"] {
            let times = run("tests/python/engines.py", &[".", engine]);
            let _ = std::io::Write::write_all(&mut std::io::stdout(), times.as_bytes());
        }
    }
}

#[test]
fn examples_compute() {
    if !complete::sites_are_wanted() {
        return;
    }
    for (example, expected) in [
        (
            "examples/parsl.py",
            "200 energies, the lowest -0.0562 eV, by 2 processes",
        ),
        (
            "examples/dask.py",
            "200 energies, the lowest -0.0562 eV, by 2 processes",
        ),
        ("examples/matcalc.py", "Å relaxes to 3.59"),
        ("examples/atomate2.py", "a = 3.700 Å relaxes to 3.59"),
    ] {
        let printed = run(example, &[]);
        assert!(printed.contains(expected), "{example}: {printed}");
    }
}
