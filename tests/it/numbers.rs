//! Recorded numbers: what a model computed once is what it computes under every number of threads and with all kernels, and
//! what is wrong with a later one is named.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sandbox::{Output, Sandbox};

const ROOTSTOCK: &str = env!("CARGO_BIN_EXE_rootstock");

/// EMT, wrong in the way that a variable names.
const SCRIPT: &str = "
import os
from ase.calculators.emt import EMT
from ase.units import GPa

class Measured(EMT):
    def calculate(self, atoms=None, properties=('energy',), system_changes=None):
        fault = os.environ.get('ODD_FAULT')
        if fault == 'species':
            atoms = atoms.copy()
            atoms.numbers = atoms.numbers[::-1]
        super().calculate(atoms, properties, ['positions', 'numbers', 'cell', 'pbc'])
        results = self.results
        if fault == 'GPa' and 'stress' in results:
            results['stress'] = results['stress'] / GPa
        if fault == 'sign':
            results['forces'] = -results['forces']
        if fault == 'energy':
            results['energy'] += 1e-7
        if fault == 'single':
            results['forces'] = results['forces'].astype('float32')

def setup(way):
    return Measured()
";

/// A project with one model, in a root of its own that has the environment of `tests/project`.
struct Project(tempfile::TempDir);

impl Project {
    fn new(more: &str) -> Self {
        let built = super::worker::root();
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let project = Self(place);
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/project");
        std::fs::create_dir(project.path("environments")).unwrap();
        for name in ["rootstock.lock", "environments/odd.py"] {
            std::fs::copy(here.join(name), project.path(name)).unwrap();
        }
        std::fs::write(project.path("script.py"), SCRIPT).unwrap();
        let mut manifest = std::fs::read_to_string(here.join("rootstock.toml")).unwrap();
        manifest = manifest.replace("../../target/tmp/root", "root");
        let script = project.path("script.py");
        writeln!(
            manifest,
            "\n[models.measured]\nenvironment = \"odd\"\nsetup = {{ script = \"{}\" }}\n\
             elements = [\"H\", \"C-O\", \"Al\", \"Cu\", \"Au\"]\nlicence = \"LGPL-2.1\"\n\
             reference = \"references/measured.extxyz\"\n{more}\n\
             [models.direct]\nenvironment = \"odd\"\nargument = \"lies-forces\"\nsetup = {{ factor = 0.5 }}\n\
             conservative = false\nprobe = [\"Al\"]",
            script.display()
        )
        .unwrap();
        std::fs::write(project.path("rootstock.toml"), manifest).unwrap();
        // The same files under other names: a root that costs nothing.
        std::fs::create_dir(project.path("root")).unwrap();
        for name in ["envs", "generations", "layout.json", "models.json"] {
            let copied = Command::new("cp")
                .arg("-al")
                .args([built.join(name), project.path("root")])
                .status();
            assert!(copied.unwrap().success());
        }
        // That one is written by `sync`.
        let models = std::fs::read(built.join("models.json")).unwrap();
        std::fs::remove_file(project.path("root/models.json")).unwrap();
        std::fs::write(project.path("root/models.json"), models).unwrap();
        project.run(&["lock"]).expect(0);
        project.run(&["sync"]).expect(0);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ROOTSTOCK);
        command.args(arguments).current_dir(self.0.path());
        for name in ["ROOTSTOCK_ROOT", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap().into()
    }

    fn check(&self, variable: (&str, &str)) -> Output {
        let mut command = self.command(&["probe", "measured", "--check", "--json"]);
        command.env(variable.0, variable.1).output().unwrap().into()
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(self.path(file), text.replacen(from, to, 1)).unwrap();
    }
}

impl Drop for Project {
    /// Published directories are read-only; only root can empty them.
    fn drop(&mut self) {
        let _ = Command::new("chmod")
            .args(["-R", "u+w"])
            .arg(self.path("root"))
            .status();
    }
}

fn condition<'v>(report: &'v Value, name: &str) -> Option<&'v Value> {
    let mut all = report["differs"].as_array().unwrap().iter();
    all.find(|differs| differs["condition"] == name)
}

#[test]
fn recorded_numbers_are_computed_again_under_all_conditions_and_faults_are_named() {
    let project = Project::new("probe = [\"Cu\", \"CuAu cesiumchloride 3.1\", \"CH3OH\"]\n");
    let output = project.run(&["lock", "--check"]);
    assert!(
        output
            .expect(3)
            .message()
            .contains("`rootstock probe measured --record` [reference-missing]"),
        "{}",
        output.message()
    );
    project.run(&["probe", "measured", "--check"]).expect(3);
    let output = project.run(&["probe", "measured", "--record"]);
    let text = &output.expect(0).stdout;
    assert!(
        text.contains("measured: 3 structures recorded in references/measured.extxyz, float64"),
        "{text}"
    );
    project.run(&["lock", "--check"]).expect(0);
    // ASE reads the file, and no force is zero.
    let read = "import ase.io, sys, numpy\n\
                for atoms in ase.io.read('references/measured.extxyz', ':'):\n    \
                print(len(atoms), atoms.get_potential_energy(), abs(atoms.get_forces()).max(axis=1).min() > 1e-6, \
                atoms.pbc.any() == (atoms.calc.results.get('stress') is not None))";
    let python = super::worker::root().join("envs/odd/bin/python");
    let read = Command::new(python)
        .args(["-c", read])
        .current_dir(project.0.path())
        .output()
        .unwrap();
    let read = super::worker::message(&read);
    assert_eq!(read.matches("True True").count(), 3, "{read}");

    for variable in [
        ("OMP_NUM_THREADS", "1"),
        ("OMP_NUM_THREADS", "2"),
        ("OPENBLAS_CORETYPE", "Prescott"),
        ("OPENBLAS_CORETYPE", "Haswell"),
        ("ATEN_CPU_CAPABILITY", "default"),
    ] {
        let report = project.check(variable).expect(0).json();
        assert_eq!(report["ok"], true, "{variable:?}: {report}");
        assert_eq!(report["structures"].as_array().unwrap().len(), 3);
        assert_eq!(report["tolerance"]["measured"], true);
        if variable == ("OMP_NUM_THREADS", "2") {
            assert_eq!(
                condition(&report, "threads").unwrap()["recorded"],
                "1",
                "{report}"
            );
        }
    }
    for (fault, quantity, differs) in [
        ("GPa", "stress", None),
        ("sign", "forces", None),
        ("species", "energy", None),
        ("energy", "energy", None),
        ("single", "forces", Some("dtype")),
    ] {
        let report = project.check(("ODD_FAULT", fault)).expect(3).json();
        assert_eq!(report["ok"], false, "{fault}");
        let structures = report["structures"].as_array().unwrap();
        let quantities = structures
            .iter()
            .flat_map(|s| s["quantities"].as_array().unwrap());
        let bad: Vec<&Value> = quantities
            .filter(|q| q["ok"] == false)
            .map(|q| &q["quantity"])
            .collect();
        assert!(bad.iter().any(|bad| **bad == quantity), "{fault}: {report}");
        if let Some(differs) = differs {
            assert_eq!(condition(&report, differs).unwrap()["recorded"], "float64");
        }
    }
    let mut command = project.command(&["probe", "measured", "--check"]);
    let output = Output::from(command.env("ODD_FAULT", "sign").output().unwrap());
    assert!(
        output.expect(3).stdout.contains("eV/Å (too large)"),
        "{}",
        output.stdout
    );
    edited_and_stale(&project);
    direct_forces(&project);
}

/// Forces that are no slope of the energy are wrong, unless the model says that it predicts them.
fn direct_forces(project: &Project) {
    let output = project.run(&["probe", "direct", "--steps", "0", "--json"]);
    let report = output.expect(0).json();
    assert_eq!(report["conservative"], false);
    assert_eq!(report["structure"]["name"], "Al");
    assert_eq!(report["checks"].as_array().unwrap().len(), 1, "{report}");
    let output = project.run(&["probe", "direct", "--steps", "0"]);
    let expected = "direct     forces are no slope of the energy";
    assert!(
        output.expect(0).stdout.contains(expected),
        "{}",
        output.stdout
    );
}

/// What is no longer what was recorded is drift, and stops no sync.
fn edited_and_stale(project: &Project) {
    let file = "references/measured.extxyz";
    let recorded = std::fs::read_to_string(project.path(file)).unwrap();
    project.edit(file, "energy=", "energy=1");
    for arguments in [&["lock", "--check"][..], &["probe", "measured", "--check"]] {
        let output = project.run(arguments);
        let message = output.expect(3).message();
        assert!(message.contains("[reference-changed]"), "{message}");
    }
    project.run(&["sync"]).expect(0);
    std::fs::write(project.path(file), recorded).unwrap();

    // A digit of the record itself.
    let lock = std::fs::read_to_string(project.path("rootstock.lock")).unwrap();
    project.edit("rootstock.lock", "threads = \"1\"", "threads = \"2\"");
    let output = project.run(&["lock", "--check"]);
    let message = output.expect(3).message();
    assert!(message.contains("[lock-edited]"), "{message}");
    std::fs::write(project.path("rootstock.lock"), lock).unwrap();

    // The root is enough, once it is synced.
    project.run(&["sync"]).expect(0);
    let elsewhere = tempfile::tempdir().unwrap();
    let root = project.path("root");
    let alone = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command
            .current_dir(elsewhere.path())
            .env("ROOTSTOCK_ROOT", &root);
        Output::from(command.output().unwrap())
    };
    alone(&["probe", "--all", "--check"]).expect(0);
    let models = alone(&["models", "--json"]).expect(0).json();
    let models = models["models"].as_array().unwrap();
    let measured = models
        .iter()
        .find(|model| model["id"] == "measured")
        .unwrap();
    assert_eq!(measured["licence"], "LGPL-2.1");
    assert_eq!(measured["elements"][1], "C");
    assert_eq!(measured["verified"][0]["ok"], true);
    assert_eq!(measured["verified"][0]["device"], "cpu");
    let text = alone(&["models"]);
    let text = &text.expect(0).stdout;
    assert!(
        text.lines()
            .any(|line| line.trim().starts_with("verified 20") && line.contains(" on cpu, dF ")),
        "{text}"
    );
    assert!(
        text.lines()
            .all(|line| line.chars().count() <= 80 || line.starts_with("root: ")),
        "{text}"
    );
    let page = alone(&["models", "--markdown"]);
    assert!(
        page.expect(0)
            .stdout
            .contains("| `measured` | H, C–O, Al, Cu, Au |"),
        "{}",
        page.stdout
    );
    let status = project.run(&["status"]);
    assert!(
        status.expect(0).stdout.contains("measured: verified 20"),
        "{}",
        status.stdout
    );

    // Other arguments: locked, but not recorded.
    project.edit(
        "rootstock.toml",
        "setup = { ",
        "setup = { way = \"other\", ",
    );
    project.run(&["lock"]).expect(0);
    for arguments in [&["lock", "--check"][..], &["probe", "measured", "--check"]] {
        let output = project.run(arguments);
        let message = output.expect(3).message();
        assert!(message.contains("[reference-stale]"), "{message}");
    }
    project.run(&["probe", "measured", "--record"]).expect(4);
    project.run(&["sync"]).expect(0);
    // Where nothing can be kept, that is reported, and the numbers are compared.
    std::fs::remove_dir_all(project.path("root/verified")).unwrap();
    std::fs::write(project.path("root/verified"), "").unwrap();
    project.run(&["probe", "--all", "--record"]).expect(0);
    let output = project.run(&["probe", "measured", "--check"]);
    assert!(
        output
            .expect(0)
            .stderr
            .contains("the result is not kept in the root"),
        "{}",
        output.stderr
    );
    one_digit(project);
}

/// A parameter of a potential that is another in its last place shows in no number: its file shows it.
fn one_digit(project: &Project) {
    let root = project.path("root");
    let generation = root.join("envs/odd").canonicalize().unwrap();
    let below = "lib/python3.11/site-packages/ase/calculators/emt.py";
    let path = generation.join(below);
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replacen("-3.51", "-3.5100000000000002", 1);
    assert_ne!(text, changed);
    let directory = path.parent().unwrap();
    let made = Command::new("chmod")
        .arg("u+w")
        .arg(directory)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, changed).unwrap();
    let output = project.run(&["probe", "measured", "--check"]);
    let expected = format!("FAIL `{below}` of the environment was changed");
    assert!(
        output.expect(3).stdout.contains(&expected),
        "{}",
        output.stdout
    );
    let output = project.run(&["probe", "measured", "--record"]);
    assert!(
        output.expect(1).message().contains("is not recorded")
            || output.message().contains("are not recorded"),
        "{}",
        output.message()
    );
}

#[test]
fn a_weight_that_differs_in_one_bit_is_found_before_anything_is_computed() {
    let sandbox = Sandbox::single().with_weights();
    sandbox.more("reference = \"potential.extxyz\"");
    sandbox.sync(&[]);
    let numbers = "1\nLattice=\"0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0\" Properties=species:S:1:pos:R:3:forces:R:3 name=\"H\" \
                   energy=1.0 pbc=\"F F F\"\nH 0.0 0.0 0.0 1.0 0.0 0.0\n";
    sandbox.write("potential.extxyz", numbers);
    let mut lock =
        rootstock::lock::file::read("rootstock.lock", &sandbox.read("rootstock.lock")).unwrap();
    let target = &lock.environments[0].targets[0];
    let weights = lock.models[0].weights.iter();
    let weights = weights.map(|weight| (weight.path.as_str(), &weight.sha256));
    let record = rootstock::numbers::Record {
        path: "potential.extxyz".to_owned(),
        sha256: rootstock::digest::Digest::of(numbers),
        target: target.target.name().to_owned(),
        answer: target.digest,
        generation: sandbox
            .stamp("root", "one", "id")
            .as_str()
            .unwrap()
            .to_owned(),
        model: lock.models[0].identity(),
        weights: rootstock::numbers::digest_of_weights(weights),
        dtype: rootstock::about::Dtype::Float64,
        conditions: rootstock::numbers::Conditions::new(),
    };
    lock.models[0].reference = Some(record);
    sandbox.write("rootstock.lock", &rootstock::lock::file::text(&lock));
    sandbox.run(&["lock", "--check"]).expect(0);
    let file = sandbox.path("root/cache/potentials/p.bin");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "numbesr").unwrap();
    let output = sandbox.run(&["probe", "potential", "--check"]);
    let expected = "FAIL weights `potentials/p.bin` have another sha256";
    assert!(
        output.expect(3).stdout.contains(expected),
        "{}",
        output.stdout
    );
}

#[test]
fn what_has_no_numbers_is_refused_with_what_to_do() {
    let sandbox = Sandbox::single().with_weights();
    sandbox.sync(&[]);
    for (arguments, code, fragment) in [
        (
            &["probe", "potential", "--check"][..],
            2,
            "has no recorded numbers",
        ),
        (
            &["probe", "potential", "--record"],
            2,
            "write `reference = \"references/potential.extxyz\"`",
        ),
        (
            &["probe", "nothing", "--record"],
            2,
            "has no model `nothing`",
        ),
        (&["probe", "--all", "--check"], 2, "has recorded numbers"),
        (&["probe", "--all"], 2, "needs `--check` or `--record`"),
        (
            &["probe", "potential", "--record", "--device", "cuda"],
            2,
            "cannot be used with",
        ),
        (
            &["probe", "potential", "--record", "--check"],
            2,
            "cannot be used with",
        ),
    ] {
        let output = sandbox.run(arguments);
        let message = output.expect(code).message();
        assert!(message.contains(fragment), "{arguments:?}: {message}");
    }
}

/// `SNAPSHOTS=overwrite cargo test --test it -- numbers::the_page` writes it.
#[test]
fn the_page_of_models_is_that_of_manifest_and_lock() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(ROOTSTOCK);
    command
        .args(["models", "--locked", "--markdown"])
        .current_dir(here);
    let output = Output::from(command.output().unwrap());
    let page = snapbox::Data::read_from(&here.join("docs/models.md"), None);
    snapbox::assert_data_eq!(output.expect(0).stdout.clone(), page.raw());
}
