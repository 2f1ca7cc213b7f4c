//! Workers, through the real binary, in a real environment, driven by the servers people use. What is compared and
//! awaited stands in `tests/python/`; this says which promises there are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::sandbox::trace;

pub(crate) const ROOTSTOCK: &str = env!("CARGO_BIN_EXE_rootstock");

/// This repository.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A root with the environment of `tests/project`, built by `rootstock sync`; kept from run to run, because syncing a
/// root that is up to date costs nothing and proves that it is.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("worker-root");
        let output = Command::new(ROOTSTOCK)
            .args([
                "sync",
                "--manifest",
                "tests/project/rootstock.toml",
                "--root",
            ])
            .arg(&root)
            .current_dir(here())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", message(&output));
        root
    })
}

pub(crate) fn message(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs a script of `tests/python` with the environment's own Python.
pub(crate) fn run(script: &str, cases: &[&str]) {
    let output = Command::new(root().join("envs/odd/bin/python"))
        .arg("-B")
        .arg(here().join("tests/python").join(script))
        .args([ROOTSTOCK.as_ref(), root().as_os_str()])
        .args(cases)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script} {cases:?}\n{}",
        message(&output)
    );
}

/// A worker that is not expected to get as far as Python, in an empty directory: above the build directory is this repository's
/// manifest, and what that one declares would be reported as not built.
fn worker(arguments: &[&str]) -> (Option<i32>, String) {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(ROOTSTOCK)
        .args(["worker", "--unix", "nobody"])
        .args(arguments)
        .env_remove("ROOTSTOCK_ROOT")
        .current_dir(empty.path())
        .output()
        .unwrap();
    (output.status.code(), message(&output))
}

/// One test for each case of a script.
macro_rules! cases {
    ($script:literal: $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                run($script, &[stringify!($case)]);
            }
        )*
    };
}

mod ase {
    #[test]
    fn energies_forces_and_stress_equal_those_in_process() {
        super::run("ase_equal.py", &[]);
    }
}

mod ipi {
    use super::run;
    cases!("ipi_runs.py": fused unfused missing_stress
        batch batch_by_setup_batch batch_one_after_another batch_that_is_short shared_memory everything
        preempted
        another_worker_takes_over
        another_worker_takes_over_from_one_that_was_stopped
        another_worker_takes_over_over_tcp);
}

mod ipi_at_scale {
    use super::run;
    use crate::sandbox::complete;

    /// Many simulations at once, by real i-PI: ten seconds.
    fn run_if_complete(case: &str) {
        if complete::is_wanted() {
            run("ipi_runs.py", &[case]);
        }
    }

    #[test]
    fn beads_over_several_workers_and_tcp() {
        run_if_complete("many_beads");
    }

    #[test]
    fn replica_exchange_over_several_workers() {
        run_if_complete("replica_exchange");
    }
}

mod lammps {
    use super::run;
    use crate::sandbox::{complete, lacking};
    cases!("lammps.py": numbers an_exception_is_nan a_killed_python_costs_a_slow_step
        a_python_that_always_dies_is_nan a_model_that_cannot_be_loaded_ends_lammps
        a_root_that_is_not_there_ends_lammps arguments_reach_setup);

    #[test]
    fn the_core_of_the_styles_unchanged() {
        let has_compiler = std::process::Command::new("c++")
            .arg("--version")
            .output()
            .is_ok();
        if complete::is_wanted() && lacking::unless(has_compiler, "c++") {
            run("lammps.py", &["all_of_the_core"]);
        }
    }
}

mod servers {
    use super::run;
    cases!("servers.py": one_after_another none_comes an_abandoned_step_hangs
        python_ends_between_two_servers species_of_another_server silent an_answer_that_is_not_read);
}

mod json {
    use super::run;
    cases!("json_server.py": equal errors info missing_stress);
}

mod own {
    use super::run;
    cases!("own_client.py": equal full_stress_tensor errors failed_start refused standard_input);
}

mod hostile_servers {
    use super::run;
    cases!("hostile_ipi.py": stock in_json closing gone_before_it_was_answered silent a_byte_at_a_time);
}

mod stresses {
    use super::run;
    cases!("stresses.py": of_single_atoms missing);
}

mod shared_memory {
    use super::run;
    cases!("shared_memory.py": refused);
}

mod inputs {
    use super::run;
    cases!("inputs.py": template options_go_before_the_template
        json_server what_is_not_known_is_refused a_server_and_a_template);
}

mod mutating {
    use super::run;
    cases!("mutating.py": stock own batch batch_one_after_another);
}

mod tcp {
    use super::run;
    cases!("tcp.py": ase nothing_listens);
}

mod stopped {
    use super::run;
    cases!("stop_signals.py":
        while_loading while_connecting while_idle while_computing
        while_the_server_speaks while_the_server_does_not_listen ignored
    );
}

mod ends {
    use super::run;
    cases!("ends.py":
        exception not_finite wrong_shape
        python_exits python_is_killed python_is_killed_while_idle
        launcher_is_killed grandchildren_do_not_stay chatter_does_not_block
        no_stress other_atoms coinciding_atoms charge_and_spin
        setup_fails broken_template
        nothing_listens server_comes_late_and_leaves_early server_leaves_in_the_middle_of_a_step strangers_are_refused
    );
}

mod starts {
    use super::run;
    cases!("starts.py": apart device heartbeat);
}

mod survives {
    use super::run;
    cases!("survives.py":
        killed crashed exited hanging killed_between_steps the_same_step_twice only_so_often
    );
}

mod examples {
    use super::{Command, ROOTSTOCK, here, message, root};

    /// The examples use the environment `emt` of this repository; the same calculator is `odd-emt` here.
    fn example(program: &str, arguments: &[&str]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let bin = root().join("envs/odd/bin");
        let rootstock = std::path::Path::new(ROOTSTOCK).parent().unwrap();
        let path = format!("{}:{}:/usr/bin:/bin", bin.display(), rootstock.display());
        let output = Command::new(bin.join("python"))
            .args([
                "-B",
                "-c",
                "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])",
                program,
            ])
            .args(arguments)
            .env("PATH", path)
            .env("ROOTSTOCK_ROOT", root())
            .env("ROOTSTOCK_MODEL", "odd-emt")
            .env("DIRECTORY", directory.path())
            .current_dir(here())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", message(&output));
        message(&output)
    }

    #[test]
    fn molecular_dynamics_with_ase_conserves_energy() {
        let message = example("python", &["examples/ase_md.py"]);
        let totals: Vec<f64> = message
            .lines()
            .filter_map(|line| {
                line.split("total ")
                    .nth(1)?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .collect();
        assert_eq!(totals.len(), 11, "{message}");
        let (least, most) = totals
            .iter()
            .fold((f64::MAX, f64::MIN), |(least, most), total| {
                (least.min(*total), most.max(*total))
            });
        assert!(most - least < 0.02, "{message}");
    }

    #[test]
    fn molecular_dynamics_with_ipi_runs_to_its_end() {
        let copy = "cp -r examples/ipi \"$DIRECTORY/ipi\" && exec \"$DIRECTORY/ipi/run.sh\"";
        let message = example("sh", &["-c", copy]);
        let last = message
            .lines()
            .rev()
            .find(|line| line.contains("e+02"))
            .expect(&message);
        assert!(last.trim_start().starts_with("1.00000000e+02"), "{message}");
    }
}

#[test]
fn a_worker_without_species_does_not_start() {
    let (code, message) = worker(&["emt", "--root", "nowhere"]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("no species given: the server sends only positions"),
        "{message}"
    );
    assert!(message.contains("--template FILE"), "{message}");
}

#[test]
fn species_that_are_none_are_named() {
    for (arguments, expected) in [
        (
            &["--species", "Qq", "--pbc", "TTT"][..],
            "`Qq` is not a chemical element",
        ),
        (
            &["--species", "Cu", "--pbc", "TT"],
            "`--pbc TT`: expected three letters",
        ),
        (&["--species", "Cu"], "--pbc"),
        (
            &["--template", "missing.xyz"],
            "there is no template `missing.xyz`",
        ),
    ] {
        let (code, message) = worker(&[&["emt", "--root", "nowhere"], arguments].concat());
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_root_where_nothing_is_built_is_reported() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().to_str().unwrap();
    let (code, message) = worker(&["emt", "--species", "Cu", "--pbc", "TTT", "--root", path]);
    assert_eq!(code, Some(4));
    assert!(
        message.contains("nothing is built in the root"),
        "{message}"
    );
    assert!(message.contains("rootstock sync"), "{message}");
}

#[test]
fn a_model_that_is_not_there_comes_with_those_that_are() {
    let root = root().to_str().unwrap();
    let start = |model: &str| worker(&[model, "--species", "Cu", "--pbc", "TTT", "--root", root]);
    let (code, message) = start("mace");
    assert_eq!(code, Some(2));
    assert!(
        message.contains("the root has no model `mace`"),
        "{message}"
    );
    assert!(
        message.contains("odd-emt") && message.contains("odd-zero"),
        "{message}"
    );
}

#[test]
fn a_catalogue_of_another_form_comes_with_the_command_that_writes_it_again() {
    let sandbox = crate::sandbox::Sandbox::single();
    sandbox.sync(&[]);
    let models = sandbox.read("root/models.json");
    sandbox.write("root/models.json", r#"{"schema": 1, "models": ["one"]}"#);
    let started = ["worker", "one", "--unix", "nobody", "--species-from-server"];
    let output = sandbox.run(&started);
    let output = output.expect(4);
    assert!(
        output.stderr.contains("is not a catalogue of models"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("run `rootstock sync`"),
        "{}",
        output.stderr
    );
    sandbox.sync(&[]);
    assert_eq!(sandbox.read("root/models.json"), models);
}

#[test]
fn an_environment_that_is_not_built_comes_with_the_command_that_builds_it() {
    let temporary = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(temporary.path().join(name), text).unwrap();
    write("layout.json", r#"{"schema": 1}"#);
    write(
        "models.json",
        r#"{"schema": 1, "environments": {"mace": {}, "emt": {}}, "models": {"mace-small": {"environment": "mace", "argument": "small"}}}"#,
    );
    let path = temporary.path().to_str().unwrap();
    let start = || {
        worker(&[
            "mace-small",
            "--species",
            "Cu",
            "--pbc",
            "TTT",
            "--root",
            path,
        ])
    };
    let (code, message) = start();
    assert_eq!(code, Some(4));
    assert!(
        message.contains("environment `mace` is not built"),
        "{message}"
    );
    assert!(
        message.contains("`rootstock sync mace`; no environment of this root is built"),
        "{message}"
    );
    // A directory without a stamp is none.
    std::fs::create_dir_all(temporary.path().join("generations/mace/1")).unwrap();
    std::fs::create_dir_all(temporary.path().join("envs")).unwrap();
    std::os::unix::fs::symlink("../generations/mace/1", temporary.path().join("envs/mace"))
        .unwrap();
    let (code, message) = start();
    assert_eq!(code, Some(4));
    assert!(
        message.contains("environment `mace` is not built"),
        "{message}"
    );
    write(
        "generations/mace/1/rootstock-stamp.json",
        r#"{"schema": 99}"#,
    );
    let (code, message) = start();
    assert_eq!(code, Some(4));
    assert!(
        message.contains("was built by a newer rootstock (schema 99)"),
        "{message}"
    );
}

/// Traced where the machine has strace.
#[test]
fn libraries_are_read_ahead_where_they_are_wanted_to_be() {
    if !trace::is_possible() {
        return;
    }
    let looked_at = |prewarm: &str| {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prewarm-{prewarm}"));
        let traced = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=preadv2", "-o"])
            .arg(&log)
            .args([ROOTSTOCK, "worker", "odd-zero", "--unix", "nobody"])
            .args(["--connect-timeout", "0", "--species", "Cu", "--pbc", "TTT"])
            .args(["--prewarm", prewarm, "--root"])
            .arg(root())
            .output()
            .unwrap();
        assert!(message(&traced).contains("no server listens"), "{traced:?}");
        let seen = std::fs::read_to_string(log).unwrap();
        seen.matches("preadv2(").count()
    };
    assert_eq!(looked_at("never"), 0);
    assert!(looked_at("always") > 10);
}
