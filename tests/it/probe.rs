//! `rootstock probe`: numbers that make sense pass, others do not, and the time is where it was spent.

use std::path::Path;
use std::process::Command;

use super::sandbox::Output;
use super::worker::root;

fn probe(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rootstock"))
        .arg("probe")
        .args(arguments)
        .env("ROOTSTOCK_ROOT", root())
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap()
        .into()
}

#[test]
fn a_sound_model_passes_and_its_time_adds_up() {
    let output = probe(&["odd-emt", "--atoms", "30", "--steps", "5", "--json"]);
    let value = output.expect(0).json();
    assert_eq!(
        (&value["ok"], &value["structure"]["atoms"]),
        (&true.into(), &32.into())
    );
    assert_eq!(
        value["forces_ev_per_angstrom"].as_array().unwrap().len(),
        96
    );
    let checks = value["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 4, "{checks:?}");
    assert!(checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    let latency = |part: &str| value["latency_us"][part].as_f64().unwrap();
    for part in ["socket", "hand_over", "compute"] {
        assert!(
            0.0 < latency(part) && latency(part) < latency("round_trip"),
            "{value}"
        );
    }
    let overhead = 100.0 * (latency("socket") + latency("hand_over")) / latency("compute");
    assert!((value["overhead_percent"].as_f64().unwrap() - overhead).abs() < 1e-6);
}

#[test]
fn weights_of_ones_own_are_probed_as_a_worker_would_load_them() {
    let weights = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe-weights");
    std::fs::write(&weights, "1.5").unwrap();
    let with = |model: &str, weights: &str| {
        let arguments = ["--weights", weights, "--steps", "0", "--json"];
        probe(&[&[model][..], &arguments].concat())
    };
    let output = with("odd:custom", weights.to_str().unwrap());
    assert_eq!(output.expect(0).json()["energy_ev"], 1.5);
    with("odd-emt", weights.to_str().unwrap()).expect(2);
    with("odd:custom", "nowhere").expect(2);
    probe(&["odd:custom"]).expect(2);
}

#[test]
fn the_report_is_for_people_too() {
    let output = probe(&["odd-emt", "--steps", "1"]);
    for fragment in [
        "model      odd-emt, environment odd, device cpu",
        "structure  fcc copper, 4 atoms",
        "eV/Å³",
        "ok   stress is the slope of the energy",
        "hand-over",
    ] {
        assert!(
            output.expect(0).stdout.contains(fragment),
            "{}",
            output.stdout
        );
    }
}

#[test]
fn wrong_units_and_wrong_forces_are_found() {
    for (model, check) in [
        ("odd-lies-stress", "stress is the slope of the energy"),
        ("odd-lies-forces", "force is the slope of the energy"),
    ] {
        let output = probe(&[model, "--steps", "0"]);
        let failed: Vec<&str> = output
            .expect(1)
            .stdout
            .lines()
            .filter(|line| line.starts_with("FAIL"))
            .collect();
        assert_eq!(failed.len(), 1, "{}", output.stdout);
        assert!(failed[0].contains(check), "{failed:?}");
    }
}

/// Copper near its minimum: all forces are smaller than the check's tolerance.
fn small_forces() -> tempfile::NamedTempFile {
    let text = "4\nLattice=\"3.59 0 0 0 3.59 0 0 0 3.59\" Properties=species:S:1:pos:R:3 pbc=\"T T T\"\n\
                Cu 0.001 0 0\nCu 0 1.795 1.795\nCu 1.795 0 1.795\nCu 1.795 1.795 0\n";
    let file = tempfile::Builder::new()
        .suffix(".extxyz")
        .tempfile()
        .unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn wrong_numbers_are_found_where_they_are_small_too() {
    let structure = small_forces();
    let structure = structure.path().to_str().unwrap();
    let probe = |model: &str, setup: &str| {
        let arguments = ["--structure", structure, "--steps", "0", "--json"];
        probe(&[&[model, "--setup", setup][..], &arguments].concat())
    };
    let right = probe("odd-lies-forces", r#"{"factor": 1}"#);
    let value = right.expect(0).json();
    let forces = value["forces_ev_per_angstrom"].as_array().unwrap();
    assert!(
        forces
            .iter()
            .all(|force| force.as_f64().unwrap().abs() < 0.02)
    );
    assert_eq!(value["ok"], true);
    // The sign, of all of them and along one axis; a unit; nothing at all.
    let forces = ["-1", "[1, 1, -1]", "[1, -1, 1]", "0.0194469", "0"];
    let forces = forces.map(|factor| {
        (
            "odd-lies-forces",
            factor,
            "force is the slope of the energy",
        )
    });
    let stress = ["-1", "0"];
    let stress = stress.map(|factor| {
        (
            "odd-lies-stress",
            factor,
            "stress is the slope of the energy",
        )
    });
    for (model, factor, name) in forces.into_iter().chain(stress) {
        let output = probe(model, &format!(r#"{{"factor": {factor}}}"#));
        let value = output.expect(1).json();
        assert_eq!(value["ok"], false);
        let failed: Vec<&str> = value["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["ok"] == false)
            .map(|check| check["name"].as_str().unwrap())
            .collect();
        assert!(failed.contains(&name), "{model} {factor}: {failed:?}");
    }
}

#[test]
fn what_is_too_small_to_judge_is_not_called_right() {
    let value = probe(&["odd-zero", "--steps", "0", "--json"]);
    let value = value.expect(0).json();
    assert_eq!(value["ok"], serde_json::Value::Null);
    let checks = value["checks"].as_array().unwrap();
    let not_judged: Vec<&str> = checks
        .iter()
        .filter(|check| check["ok"].is_null())
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        not_judged,
        [
            "force is the slope of the energy",
            "stress is the slope of the energy"
        ]
    );
    let output = probe(&["odd-zero", "--steps", "0"]);
    assert!(
        output
            .stdout
            .contains("?    force is the slope of the energy: not judged"),
        "{}",
        output.stdout
    );
}

#[test]
fn the_structure_that_was_refused_is_named() {
    let setup = r#"{"factor": 1, "refuses": "Cu"}"#;
    let arguments = ["odd-lies-forces", "--setup", setup, "--steps", "0"];
    let output = probe(&arguments);
    for line in [
        "refused    fcc copper: NotImplementedError: no parameters for Cu",
        "structure  a water molecule, 3 atoms",
    ] {
        assert!(output.expect(0).stdout.contains(line), "{}", output.stdout);
    }
    let value = probe(&[&arguments[..], &["--json"]].concat());
    let value = value.expect(0).json();
    assert_eq!(value["refused"][0]["name"], "fcc copper");
    assert_eq!(value["structure"]["name"], "a water molecule");
    // Arguments that are no object are a usage error here too.
    probe(&["odd-lies-forces", "--setup", "[]"]).expect(2);
}

#[test]
fn an_overhead_is_a_gate() {
    // A calculator that computes nothing has an overhead of more than any per cent; one without steps has shown none.
    let output = probe(&["odd-zero", "--steps", "3", "--max-overhead", "1"]);
    assert!(
        output
            .expect(1)
            .stdout
            .contains("FAIL overhead of at most 1 %"),
        "{}",
        output.stdout
    );
    probe(&["odd-zero", "--steps", "0", "--max-overhead", "1e9"]).expect(1);
    probe(&["odd-zero", "--steps", "3", "--max-overhead", "1e9"]).expect(0);
}

#[test]
fn a_structure_of_ones_own_is_read_by_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("molecule.extxyz");
    let text = "2\nProperties=species:S:1:pos:R:3 charge=3 spin=2\nCu 0 0 0\nCu 0 0 2.3\n";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let value = probe(&["odd-info", "--structure", path, "--steps", "0", "--json"]);
    let value = value.expect(0).json();
    assert_eq!(
        (&value["energy_ev"], &value["structure"]["atoms"]),
        (&203.0.into(), &2.into())
    );
    assert_eq!(value["latency_us"], serde_json::Value::Null);
    std::fs::write(path, "2\n\nCu 0\n").unwrap();
    let output = probe(&["odd-info", "--structure", path]);
    assert!(
        output.expect(2).stderr.contains("cannot read"),
        "{}",
        output.stderr
    );
    probe(&["odd-info", "--structure", "missing.xyz"]).expect(2);
}

#[test]
fn failures_are_reported_with_the_model_s_message() {
    let output = probe(&["odd-raises"]);
    for fragment in [
        "could not compute fcc copper, nor a water molecule",
        "out of memory on device",
        "--structure FILE",
    ] {
        assert!(
            output.expect(1).message().contains(fragment),
            "{}",
            output.stderr
        );
    }
    let output = probe(&["odd-fails", "--device", "abacus"]);
    for fragment in [
        "there is no model for the device 'abacus'",
        "the worker ended with exit code 1",
    ] {
        assert!(
            output.expect(1).message().contains(fragment),
            "{}",
            output.stderr
        );
    }
    probe(&["nothing"]).expect(2);
    probe(&[]).expect(2);
    probe(&["odd-emt", "--root", "nowhere"]).expect(4);
}

#[test]
fn the_exchange_alone_needs_no_environment() {
    let directory = tempfile::tempdir().unwrap();
    let run = |path: &str| -> Output {
        Command::new(env!("CARGO_BIN_EXE_rootstock"))
            .args([
                "probe",
                "--ipc-only",
                "--atoms",
                "100",
                "--steps",
                "5",
                "--json",
            ])
            .env_remove("ROOTSTOCK_ROOT")
            .env("PATH", path)
            .current_dir(directory.path())
            .output()
            .unwrap()
            .into()
    };
    let bin = root().join("envs/odd/bin");
    let python = directory.path().join("python3");
    std::os::unix::fs::symlink(bin.join("python").canonicalize().unwrap(), python).unwrap();
    let value = run(directory.path().to_str().unwrap()).expect(0).json();
    assert_eq!((&value["atoms"], &value["steps"]), (&108.into(), &5.into()));
    assert!(value["exchange_us"].as_f64().unwrap() > 0.0);
    assert!(value["hand_over_us"].as_f64().unwrap() > 0.0);
    let value = run("/nowhere").expect(0).json();
    assert_eq!(value["hand_over_us"], serde_json::Value::Null);
}
