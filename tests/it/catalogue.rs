//! The catalogue of this repository: every environment of `rootstock.toml` says what it is, and computes.
//!
//! With `ROOTSTOCK_TEST_CATALOGUE` those without a framework and those with the torch that most of them share; with
//! `ROOTSTOCK_TEST_CATALOGUE=all` those with a framework of their own too. NVIDIA's libraries are left out
//! (`tests/catalogue/cuda_standin.py`); all other packages are those of the lock, which is compared. Weights that are not in a
//! package are replaced by a small random model that the package makes and saves (`tests/catalogue/tiny.py`).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::foreign::builds::of_series;
use crate::sandbox::{lacking, python};

const ROOTSTOCK: &str = env!("CARGO_BIN_EXE_rootstock");

/// Environments, and their models that compute with what is in the package; an empty one is the environment's default.
type Family = (&'static str, &'static [&'static str], Tiny);

/// What is loaded by its path, through `ENVIRONMENT:custom`.
#[derive(Clone, Copy)]
enum Tiny {
    Made(&'static [&'static str]),
    /// There is no `setup_from_path`.
    None,
}
use Tiny::{Made, None as Nothing};

/// Without a framework: seconds each.
const LIGHT: &[Family] = &[
    ("lj", &["lj-argon"], Nothing),
    ("xtb", &["xtb-GFN2-xTB", "xtb-GFN1-xTB"], Nothing),
    ("dftd", &["dftd-d3bj", "dftd-d3zero", "dftd-d4"], Nothing),
    ("quippy", &["quippy-sw"], Made(&["quippy"])),
    ("nep", &[], Made(&["nep"])),
    ("pyscf", &["pyscf-HF", "pyscf-PBE"], Nothing),
];

/// With torch 2.15, or JAX for the CPU.
const TORCH: &[Family] = &[
    ("chgnet", &["chgnet-0.3.0"], Made(&["chgnet"])),
    (
        "sevennet",
        &["7net-0", "7net-mf-0-pbe"],
        Made(&["sevennet"]),
    ),
    ("hienet", &["hienet-HIENet-0"], Made(&["hienet"])),
    ("diep", &["diep-diep_fold1"], Made(&["diep"])),
    ("so3lr", &["so3lr"], Made(&["so3lr"])),
    ("mace", &[], Made(&["mace"])),
    ("matgl", &[], Made(&["matgl", "m3gnet"])),
    ("nequip", &[], Made(&["nequip"])),
    ("graph-pes", &[], Made(&["graph-pes"])),
    ("nequix", &[], Made(&["nequix"])),
    ("aimnet", &[], Made(&["aimnet"])),
];

/// The same torch, and packages that need Python 3.12.
const NEW_PYTHON: &[Family] = &[
    ("orb", &[], Made(&["orb"])),
    ("schnetpack", &[], Made(&["schnetpack"])),
    ("mattersim", &[], Made(&["mattersim"])),
];

/// With another torch: 1.5 GB on disk for each.
const ALONE: &[Family] = &[("torchani", &[], Made(&["torchani"]))];

/// Locked, and computed nowhere here: what is missing.
const NOT_COMPUTED: &[(&str, &str)] = &[
    (
        "uma",
        "its weights need a licence that has to be accepted, and its networks cannot be made without them",
    ),
    (
        "upet",
        "its weights are files of a hub; a model of one's own is trained first",
    ),
    (
        "deepmd",
        "its weights are files of a hub; a model of one's own is trained first",
    ),
    (
        "grace",
        "its weights are files of a hub; a model of one's own is trained first",
    ),
];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What computes everywhere else in the tests.
const ELSEWHERE: [&str; 2] = ["emt", "tblite"];

#[test]
fn every_environment_says_what_it_is_and_is_tested_or_says_why_not() {
    let manifest = std::fs::read_to_string(here().join("rootstock.toml")).unwrap();
    let headers = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("[environments.")?.strip_suffix(']'));
    let computed = [LIGHT, TORCH, NEW_PYTHON, ALONE].concat();
    let mut known: Vec<&str> = computed.iter().map(|family| family.0).collect();
    known.extend(NOT_COMPUTED.iter().map(|(name, _)| name));
    known.extend(ELSEWHERE);
    for name in headers {
        assert!(known.contains(&name), "{name}: is it computed, or why not?");
        let source = here().join(format!("environments/{name}.py"));
        let source = std::fs::read_to_string(source).unwrap();
        let (_, rest) = source.split_once("\"\"\"").unwrap();
        let (text, _) = rest.split_once("\"\"\"").unwrap();
        let first = text.lines().next().unwrap();
        assert!(
            first.len() > 40 && first.ends_with('.'),
            "{name}: {first:?}"
        );
        assert!(text.contains("Licence"), "{name}: whose licence?");
        let has = |function| source.contains(&format!("def {function}("));
        assert!(has("setup"), "{name}");
        known.retain(|one| *one != name);
    }
    assert!(known.is_empty(), "not in rootstock.toml: {known:?}");
}

/// A project of these environments, locked and synced; kept from run to run.
fn project(name: &str, families: &[Family]) -> PathBuf {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let writer = here().join("tests/catalogue/project.py");
    let names = families.iter().map(|family| OsStr::new(family.0));
    let arguments = [here().as_os_str(), project.as_os_str()];
    let mut write = Command::new(python());
    succeeds(write.arg(&writer).args(arguments).args(names));
    for command in ["lock", "sync"] {
        succeeds(
            with_pythons(&mut Command::new(ROOTSTOCK))
                .arg(command)
                .current_dir(&project),
        );
    }
    let mut compare = Command::new(python());
    succeeds(compare.arg(&writer).arg("--compare").args(arguments));
    project
}

/// Where Python 3.12 is looked for first.
fn with_pythons(command: &mut Command) -> &mut Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Some(python) = of_series("3.12") {
        places.insert(0, python.parent().unwrap().to_owned());
    }
    command.env("PATH", std::env::join_paths(places).unwrap())
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

/// Computes with each family; prints a table of what came out, and fails with all that failed.
fn compute(project: &Path, families: &[Family]) {
    let mut failures = BTreeMap::new();
    for (environment, models, tiny) in families {
        let paths = if let Made(names) = tiny { *names } else { &[] };
        let cases = models.iter().map(|model| (*model, false));
        for (name, by_path) in cases.chain(paths.iter().map(|name| (*name, true))) {
            match one(project, environment, name, by_path) {
                Ok(row) => {
                    let _ = writeln!(std::io::stderr(), "{row}");
                }
                Err(text) => {
                    failures.insert((*environment, name), text);
                }
            }
        }
    }
    let text: Vec<String> = failures
        .iter()
        .map(|(what, text)| format!("{what:?}\n{text}"))
        .collect();
    assert!(failures.is_empty(), "{}", text.join("\n\n"));
}

/// One model: a row of the table, or what was printed.
fn one(project: &Path, environment: &str, name: &str, by_path: bool) -> Result<String, String> {
    let root = project.join("root");
    let (scripts, scratch) = (
        here().join("tests/catalogue"),
        project.join("tiny").join(name),
    );
    std::fs::create_dir_all(&scratch).unwrap();
    let python = || {
        let mut command = Command::new(root.join("envs").join(environment).join("bin/python"));
        command
            .args(["-B", "-W", "ignore"])
            .env("PYTHONPATH", here().join("tests/python"))
            .env("HOME", &scratch)
            .env("MPLCONFIGDIR", project.join("tiny"))
            .env("OMP_NUM_THREADS", "1");
        command
    };
    let run = |command: &mut Command| -> Result<String, String> {
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            Ok(stdout.lines().last().unwrap_or_default().to_owned())
        } else {
            Err(format!("{stdout}\n{stderr}"))
        }
    };
    let mut compute = python();
    compute.arg(scripts.join("compute.py"));
    compute.arg(ROOTSTOCK).arg(&root).arg(environment);
    if by_path {
        let path = run(python()
            .arg(scripts.join("tiny.py"))
            .arg(name)
            .arg(&scratch))?;
        run(compute.arg(format!("{environment}:custom")).arg(path))
    } else {
        run(compute.arg(name))
    }
}

fn is_wanted(everything: bool) -> bool {
    let value = std::env::var("ROOTSTOCK_TEST_CATALOGUE").unwrap_or_default();
    !value.is_empty() && (!everything || value == "all")
}

#[test]
fn environments_without_a_framework_compute() {
    if is_wanted(false) {
        compute(&project("catalogue-light", LIGHT), LIGHT);
    }
}

/// One after another, so that each has both cores; Python 3.12 only where it is found.
#[test]
fn environments_with_a_framework_compute() {
    if !is_wanted(false) {
        return;
    }
    for (name, why) in NOT_COMPUTED {
        let _ = writeln!(std::io::stderr(), "NOT COMPUTED {name}: {why}");
    }
    let mut families = TORCH.to_vec();
    if lacking::unless(of_series("3.12").is_some(), "python3.12") {
        families.extend_from_slice(NEW_PYTHON);
    }
    compute(&project("catalogue-torch", &families), &families);
}

#[test]
fn environments_with_a_framework_of_their_own_compute() {
    if is_wanted(true) {
        compute(&project("catalogue-alone", ALONE), ALONE);
    }
}
