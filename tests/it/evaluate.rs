//! `rootstock evaluate`: many structures from a file to a file, whatever happens to the processes that compute.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::sandbox::events::Watched;
use crate::sandbox::{Output, send};
use crate::worker::{ROOTSTOCK, root};

/// A directory with structures, and the program started in it.
struct Place(tempfile::TempDir);

impl Place {
    /// With `in.xyz`: so many cells of copper, rattled, numbered in `info`.
    fn new(count: usize) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.python(&format!(
            "images = []\n\
             for number in range({count}):\n\
             \x20   atoms = bulk('Cu', a=3.6, cubic=True)\n\
             \x20   atoms.rattle(0.05, seed=number)\n\
             \x20   atoms.info['number'] = number\n\
             \x20   images.append(atoms)\n\
             write('in.xyz', images)"
        ));
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs code in the environment's Python; returns what it prints.
    fn python(&self, code: &str) -> String {
        let begin = "import sys, numpy as np\nfrom ase import Atoms\nfrom ase.build import bulk, molecule\n\
                     from ase.io import read, write\nfrom ase.calculators.emt import EMT\n";
        let output = Command::new(root().join("envs/odd/bin/python"))
            .args(["-I", "-B", "-c", &format!("{begin}{code}")])
            .current_dir(self.0.path())
            .output();
        let output = Output::from(output.unwrap());
        output.expect(0);
        output.stdout
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ROOTSTOCK);
        command
            .arg("evaluate")
            .args(arguments)
            .env("ROOTSTOCK_ROOT", root())
            .current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap().into()
    }

    /// Asserts that these structures of `in.xyz` are in a file, in order, with the energies, forces and stress of ASE's EMT in process.
    fn assert_emt(&self, name: &str, numbers: &[u64]) {
        self.python(&format!(
            "images, found = read('in.xyz', ':'), read('{name}', ':')\n\
             assert [atoms.info['rootstock_index'] for atoms in found] == {numbers:?}, [atoms.info for atoms in found]\n\
             for atoms in found:\n\
             \x20   given = images[atoms.info['rootstock_index']]\n\
             \x20   assert atoms.info['number'] == given.info['number']\n\
             \x20   assert np.array_equal(atoms.positions, given.positions)\n\
             \x20   given.calc = EMT()\n\
             \x20   assert atoms.get_potential_energy() == given.get_potential_energy()\n\
             \x20   assert np.array_equal(atoms.get_forces(), given.get_forces())\n\
             \x20   assert np.array_equal(atoms.get_stress(), given.get_stress())"
        ));
    }
}

/// The generation of the environment.
fn generation() -> String {
    let path = fs::canonicalize(root().join("envs/odd")).unwrap();
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn numbers(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn results_are_those_of_a_calculator_in_process_in_the_order_of_the_input() {
    let place = Place::new(40);
    let output = place.run(&[
        "odd-emt",
        "in.xyz",
        "-o",
        "out.xyz",
        "--workers",
        "2",
        "--json",
    ]);
    output.expect(0);
    place.assert_emt("out.xyz", &numbers(0..40));
    let report = output.json();
    assert_eq!(report["done"], 40);
    assert_eq!(report["generation"], generation());
    assert!(report["structures_per_second"].as_f64().unwrap() > 0.0);
    let text = place.read("out.xyz");
    let marks = format!(
        " rootstock_model=odd-emt rootstock_generation={} ",
        generation()
    );
    assert_eq!(text.matches(&marks).count(), 40);
    let mut names: Vec<_> = fs::read_dir(place.0.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["in.xyz", "out.xyz"]);
}

#[test]
fn batches_go_through_setup_batch() {
    let place = Place::new(10);
    let output = place.run(&[
        "odd-single",
        "in.xyz",
        "-o",
        "out.xyz",
        "--workers",
        "1",
        "--batch",
        "4",
    ]);
    output.expect(0);
    let batches: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("setup_batch"))
        .collect();
    assert_eq!(
        batches,
        ["setup_batch: 4", "setup_batch: 4", "setup_batch: 2"]
    );
    assert!(
        output.stderr.contains("1 worker on cpu, batches of 4"),
        "{}",
        output.stderr
    );
    place.python(
        "for given, atoms in zip(read('in.xyz', ':'), read('out.xyz', ':')):\n\
         \x20   given.calc = EMT()\n\
         \x20   assert atoms.get_potential_energy() == np.float32(given.get_potential_energy())",
    );
}

#[test]
fn a_structure_that_fails_is_listed_and_the_others_are_written() {
    let place = Place::new(5);
    place.python(
        "images = read('in.xyz', ':')\nimages[3].symbols[0] = 'U'\nwrite('in.xyz', images)",
    );
    let output = place.run(&["odd-emt", "in.xyz", "-o", "out.xyz", "--json"]);
    output.expect(1);
    assert!(
        output
            .stderr
            .contains("structure 3: NotImplementedError: No EMT-potential for U"),
        "{}",
        output.stderr
    );
    assert_eq!(output.json()["failed"][0]["index"], 3);
    place.assert_emt("out.xyz", &[0, 1, 2, 4]);
}

#[test]
fn a_function_runs_inside_the_environment() {
    let place = Place::new(3);
    place.write(
        "relax.py",
        "from ase.optimize import BFGS\n\
         def relax(atoms):\n\
         \x20   BFGS(atoms, logfile=None).run(fmax=0.05, steps=100)\n\
         \x20   return atoms\n\
         def path(atoms):\n\
         \x20   other = atoms.copy()\n\
         \x20   other.rattle(0.01)\n\
         \x20   return [atoms, other]\n\
         def bulk(atoms):\n\
         \x20   return {'modulus': 3.5, 'list': [1.0, 2.0], 'text': 'a \"b\"'}\n",
    );
    place
        .run(&[
            "odd-emt",
            "in.xyz",
            "-o",
            "relaxed.xyz",
            "--with",
            "relax.py:relax",
        ])
        .expect(0);
    place.python("for atoms in read('relaxed.xyz', ':'):\n    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.05");
    place
        .run(&[
            "odd-emt",
            "in.xyz",
            "-o",
            "path.xyz",
            "--with",
            "relax.py:path",
        ])
        .expect(0);
    place.python("assert [atoms.info['rootstock_image'] for atoms in read('path.xyz', ':')] == ['0/2', '1/2'] * 3");
    place
        .run(&[
            "odd-emt",
            "in.xyz",
            "-o",
            "bulk.xyz",
            "--with",
            "relax.py:bulk",
        ])
        .expect(0);
    place.python(
        "for atoms in read('bulk.xyz', ':'):\n\
         \x20   assert atoms.info['modulus'] == 3.5 and list(atoms.info['list']) == [1, 2] and atoms.info['text'] == 'a \"b\"'",
    );
}

/// The first bytes of a file that has so many structures.
fn first(text: &str, count: usize) -> &str {
    let starts: Vec<usize> = text.match_indices("4\nLattice").map(|(at, _)| at).collect();
    &text[..starts[count]]
}

#[test]
fn what_a_run_has_left_is_completed() {
    let place = Place::new(12);
    place
        .run(&["odd-emt", "in.xyz", "-o", "out.xyz", "--workers", "1"])
        .expect(0);
    let whole = place.read("out.xyz");
    // Killed while it wrote.
    fs::remove_file(place.path("out.xyz")).unwrap();
    let written = first(&whole, 5);
    place.write("out.xyz.partial", &format!("{written}4\nLattice=\"3.6 0"));
    let refused = place.run(&["odd-emt", "in.xyz", "-o", "out.xyz"]);
    refused.expect(2);
    assert!(
        refused.stderr.contains("of a run that was not finished"),
        "{}",
        refused.stderr
    );
    let resumed = place.run(&["odd-emt", "in.xyz", "-o", "out.xyz", "--resume", "--json"]);
    resumed.expect(0);
    assert_eq!(
        (&resumed.json()["already"], &resumed.json()["done"]),
        (&5.into(), &7.into())
    );
    assert_eq!(place.read("out.xyz"), whole);
    // Nothing is missing.
    let again = place.run(&["odd-emt", "in.xyz", "-o", "out.xyz", "--resume", "--json"]);
    again.expect(0);
    assert_eq!(
        (&again.json()["already"], &again.json()["done"]),
        (&12.into(), &0.into())
    );
    assert_eq!(place.read("out.xyz"), whole);
    // Another model, another input, and a file of something else.
    for (arguments, message) in [
        (
            &["odd-single", "in.xyz"][..],
            "has results of something else: its model is `odd-emt`",
        ),
        (
            &["odd-emt", "in.xyz@1:"],
            "structure 0 of the input is not the one",
        ),
        (
            &["odd-emt", "in.xyz@:7"],
            "has results of 5 structures that the input does not have",
        ),
    ] {
        let output = place.run(&[arguments, &["-o", "out.xyz", "--resume"]].concat());
        output.expect(2);
        assert!(output.stderr.contains(message), "{}", output.stderr);
        assert_eq!(place.read("out.xyz"), whole);
    }
}

#[test]
fn shards_together_are_the_whole() {
    let place = Place::new(7);
    for id in ["1", "2", "3"] {
        let mut command = place.command(&[
            "odd-emt",
            "in.xyz",
            "-o",
            "out.{shard}.xyz",
            "--shard",
            "auto",
        ]);
        let array = [
            ("ID", id),
            ("MIN", "1"),
            ("MAX", "3"),
            ("STEP", "1"),
            ("COUNT", "3"),
        ];
        command.envs(array.map(|(name, value)| (format!("SLURM_ARRAY_TASK_{name}"), value)));
        Output::from(command.output().unwrap()).expect(0);
    }
    place.assert_emt("out.0.xyz", &[0, 3, 6]);
    place.assert_emt("out.1.xyz", &[1, 4]);
    place.assert_emt("out.2.xyz", &[2, 5]);
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_computed() {
    let place = Place::new(2);
    place.write("empty.xyz", "");
    place.write("odd.xyz", "neither this\nnor that\n");
    fs::create_dir(place.path("directory")).unwrap();
    place.write("there.xyz", "something");
    for (arguments, code, message) in [
        (
            &["odd-emt", "nothing.xyz", "-o", "o.xyz"][..],
            2,
            "there is no file `nothing.xyz`",
        ),
        (
            &["odd-emt", "empty.xyz", "-o", "o.xyz"],
            2,
            "the file is empty",
        ),
        (
            &["odd-emt", "odd.xyz", "-o", "o.xyz"],
            2,
            "cannot read structures of",
        ),
        (
            &["odd-emt", "in.xyz@7:", "-o", "o.xyz"],
            2,
            "there are no structures at `7:`",
        ),
        (
            &["odd-emt", "in.xyz", "-o", "in.xyz", "--overwrite"],
            2,
            "is the input itself",
        ),
        (
            &["odd-emt", "in.xyz", "-o", "directory"],
            2,
            "is a directory",
        ),
        (&["odd-emt", "in.xyz", "-o", "there.xyz"], 2, "exists"),
        (&["odd-emt", "in.xyz", "-o", "nowhere/o.xyz"], 1, "nowhere"),
        (
            &["odd-emt", "in.xyz", "-o", "o.xyz", "--shard", "2/2"],
            2,
            "`2/2` is no shard",
        ),
        (
            &["odd-emt", "in.xyz", "-o", "o.xyz", "--with", "relax"],
            2,
            "does not say which function",
        ),
        (
            &["odd-fails", "in.xyz", "-o", "o.xyz"],
            1,
            "there is no model for the device 'cpu'",
        ),
        (&["odder", "in.xyz", "-o", "o.xyz"], 2, "odder"),
    ] {
        let output = place.run(arguments);
        assert_eq!(output.code, Some(code), "{arguments:?}\n{}", output.stderr);
        let text = output
            .stderr
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace("│ ", "");
        assert!(text.contains(message), "{arguments:?}\n{text}");
        assert!(!place.path("o.xyz.partial").exists(), "{arguments:?}");
        assert!(!place.path("o.xyz.lock").exists(), "{arguments:?}");
    }
    assert_eq!(place.read("there.xyz"), "something");
}

#[test]
fn a_structure_that_hangs_or_kills_is_listed_and_the_others_are_written() {
    let place = Place::new(6);
    place.write(
        "wild.py",
        "import os, time\n\
         def wild(atoms):\n\
         \x20   if atoms.info['number'] == 1:\n\
         \x20       time.sleep(1000)\n\
         \x20   if atoms.info['number'] == 4:\n\
         \x20       os.kill(os.getpid(), 11)\n\
         \x20   return None\n",
    );
    let output = place.run(&[
        "odd-emt",
        "in.xyz",
        "-o",
        "out.xyz",
        "--with",
        "wild.py:wild",
        "--workers",
        "1",
        "--step-timeout",
        "3",
        "--json",
    ]);
    output.expect(1);
    let report = output.json();
    let failed: Vec<(&Value, &Value)> = report["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["index"], &one["type"]))
        .collect();
    assert_eq!(
        failed,
        [
            (&json!(1), &json!("timeout")),
            (&json!(4), &json!("killed"))
        ]
    );
    assert!(
        report["failed"][0]["traceback"]
            .as_str()
            .unwrap()
            .contains("wild.py"),
        "{report}"
    );
    place.assert_emt("out.xyz", &[0, 2, 3, 5]);
}

#[test]
fn a_disk_that_is_full_leaves_what_can_be_completed() {
    let place = Place::new(30);
    place
        .run(&["odd-emt", "in.xyz", "-o", "whole.xyz"])
        .expect(0);
    let mut command = Command::new("sh");
    let limited =
        format!("ulimit -f 8; exec {ROOTSTOCK} evaluate odd-emt in.xyz -o out.xyz --workers 1");
    command
        .args(["-c", &limited])
        .env("ROOTSTOCK_ROOT", root())
        .current_dir(place.0.path());
    let output = Output::from(command.output().unwrap());
    output.expect(1);
    assert!(
        output.stderr.contains("out.xyz.partial") && output.stderr.contains("--resume"),
        "{}",
        output.stderr
    );
    assert!(!place.path("out.xyz").exists());
    let resumed = place.run(&["odd-emt", "in.xyz", "-o", "out.xyz", "--resume", "--json"]);
    resumed.expect(0);
    assert!(
        resumed.json()["already"].as_u64().unwrap() > 0,
        "{}",
        resumed.stdout
    );
    assert_eq!(place.read("out.xyz"), place.read("whole.xyz"));
}

#[test]
fn what_extended_xyz_carries_comes_back_and_the_rest_is_refused_by_name() {
    let place = Place::new(1);
    place.python(
        "from ase.constraints import FixAtoms, FixBondLengths, FixCartesian\n\
         from ase.calculators.singlepoint import SinglePointCalculator\n\
         images = []\n\
         def one(**info):\n\
         \x20   atoms = bulk('Cu', a=3.6, cubic=True)\n\
         \x20   atoms.info.update(info)\n\
         \x20   images.append(atoms)\n\
         \x20   return atoms\n\
         one(text='a\\nb \"c\" \\\\ = {', digits='007', truth='T', empty='')\n\
         one(**{'x y': 1, 'nested': {'a': [1, None, {'b': 'c'}]}, 'texts': ['a', 'b c'], 'flag': True, 'number': 1e300})\n\
         one(matrix=np.array([[1.5, 2], [3, 4]]), whole=np.arange(3), nan=float('nan'))\n\
         one().set_constraint(FixAtoms([1, 2]))\n\
         one().set_constraint(FixCartesian(1, mask=[True, False, False]))\n\
         one().set_tags([1, 2, 3, 4])\n\
         one().calc = SinglePointCalculator(images[-1], energy=7.0, magmom=3.0)\n\
         one().set_constraint(FixBondLengths([[0, 1]]))\n\
         one(dipole=[1.0, 2.0, 3.0])\n\
         one().positions[0, 0] = np.nan\n\
         one().cell[0] = 0\n\
         images.append(Atoms())\n\
         write('in.traj', images)",
    );
    let output = place.run(&["odd-emt", "in.traj", "-o", "out.xyz"]);
    output.expect(1);
    for message in [
        "structure 7: extended XYZ cannot carry the constraint FixBondLengths",
        "structure 8: extended XYZ keeps the key 'dipole' of `info` for itself",
        "structure 9: positions or cell are not finite",
        "structure 10: the system is periodic along the cell vector 1, which is zero",
        "structure 11: the structure has no atoms",
    ] {
        assert!(
            output.stderr.contains(message),
            "{message}\n{}",
            output.stderr
        );
    }
    place.python(
        "given, found = read('in.traj', ':'), read('out.xyz', ':')\n\
         assert len(found) == 7\n\
         for one, other in zip(given, found):\n\
         \x20   info = {key: value for key, value in other.info.items() if not key.startswith('rootstock_')}\n\
         \x20   assert repr(list(info)) == repr(list(one.info)), info\n\
         \x20   for key, value in one.info.items():\n\
         \x20       assert np.array_equal(value, info[key], equal_nan=key == 'nan'), (key, value, info[key])\n\
         \x20   assert np.array_equal(one.get_tags(), other.get_tags())\n\
         \x20   moved = one.copy(), other.copy()\n\
         \x20   for atoms in moved:\n\
         \x20       atoms.set_positions(atoms.positions + 1)\n\
         \x20   assert np.array_equal(moved[0].positions, moved[1].positions)\n\
         \x20   assert other.get_potential_energy() != 7.0 and 'magmom' not in other.calc.results",
    );
}

/// A function that waits at one structure until the file `go` is there, and says so by the file `waits`.
const WAITING: &str = "\
import os, time
def wait(atoms):
    atoms.get_potential_energy()
    if atoms.info['number'] == 9:
        open('waits', 'w').close()
        while not os.path.exists('go'):
            time.sleep(0.01)
    return atoms
";

/// The processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let words = text.split_whitespace();
    words.map(|word| word.parse().unwrap()).collect()
}

/// Starts a run and returns when its function waits at a structure.
fn started(place: &Place, arguments: &[&str]) -> std::process::Child {
    let watched = Watched::new(place.0.path());
    let streams = Stdio::piped;
    let child = place
        .command(arguments)
        .stdout(streams())
        .stderr(streams())
        .spawn()
        .unwrap();
    let waits = place.path("waits");
    watched.wait_until(|| waits.exists());
    fs::remove_file(waits).unwrap();
    child
}

#[test]
fn whatever_is_killed_nothing_is_lost_and_nothing_is_computed_twice() {
    let place = Place::new(12);
    place.write("wait.py", WAITING);
    let command = [
        "odd-emt",
        "in.xyz",
        "-o",
        "out.xyz",
        "--with",
        "wait.py:wait",
        "--workers",
        "2",
    ];
    let go = place.path("go");
    fs::write(&go, "").unwrap();
    place.run(&command).expect(0);
    let whole = place.read("out.xyz");
    place.assert_emt("out.xyz", &numbers(0..12));
    for (signal, code) in [("TERM", Some(143)), ("INT", Some(130)), ("KILL", None)] {
        fs::remove_file(&go).unwrap();
        fs::remove_file(place.path("out.xyz")).unwrap();
        // Of the round before.
        let _ = fs::remove_file(place.path("waits"));
        let child = started(&place, &command);
        // A second run does not write to the same file.
        let second = place.run(&[&command[..], &["--resume"]].concat());
        second.expect(2);
        assert!(
            second.stderr.contains("is being written"),
            "{}",
            second.stderr
        );
        let pythons = children(child.id());
        send(signal, child.id());
        let output = Output::from(child.wait_with_output().unwrap());
        assert_eq!(output.code, code, "{}", output.stderr);
        assert!(!place.path("out.xyz").exists());
        for python in pythons {
            await_end(python);
        }
        fs::write(&go, "").unwrap();
        let resumed = place.run(&[&command[..], &["--resume", "--json"]].concat());
        resumed.expect(0);
        let report = resumed.json();
        let (already, done) = (
            report["already"].as_u64().unwrap(),
            report["done"].as_u64().unwrap(),
        );
        assert_eq!(already + done, 12);
        assert!(done > 0);
        assert_eq!(place.read("out.xyz"), whole);
    }
    // Each of the processes of a run that goes on.
    for victim in 0..2 {
        fs::remove_file(&go).unwrap();
        fs::remove_file(place.path("out.xyz")).unwrap();
        let _ = fs::remove_file(place.path("waits"));
        let child = started(&place, &command);
        if let Some(python) = children(child.id()).get(victim) {
            send("KILL", *python);
        }
        fs::write(&go, "").unwrap();
        let output = Output::from(child.wait_with_output().unwrap());
        output.expect(0);
        assert_eq!(place.read("out.xyz"), whole);
    }
}

/// Waits until a process has ended; this machine's first process may not reap it.
fn await_end(process: u32) {
    let has_ended = || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_none_or(|state| state.starts_with('Z'))
    };
    while !has_ended() {
        std::thread::yield_now();
    }
}

#[test]
fn workers_get_the_devices_that_torch_sees_or_that_were_named() {
    let place = Place::new(64);
    let devices = |variables: &[(&str, &str)], arguments: &[&str]| {
        let common = [
            "odd-emt",
            "in.xyz",
            "-o",
            "out.xyz",
            "--overwrite",
            "--json",
        ];
        let mut command = place.command(&[&common[..], arguments].concat());
        let output = Output::from(command.envs(variables.iter().copied()).output().unwrap());
        output.expect(0);
        output.json()["devices"].clone()
    };
    let two = ("ODD_DEVICES", "2");
    assert_eq!(devices(&[two], &["--workers", "1"]), json!(["cuda:0"]));
    let rank = [
        two,
        ("OMPI_COMM_WORLD_RANK", "1"),
        ("OMPI_COMM_WORLD_SIZE", "2"),
        ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
    ];
    assert_eq!(devices(&rank, &[]), json!(["cuda:1"]));
    assert_eq!(
        devices(&[], &["--device", "cuda:7", "--workers", "1"]),
        json!(["cuda:7"])
    );
}
