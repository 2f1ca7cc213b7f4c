//! Tasks of a parallel program: with a real MPI and its launcher, a command in an environment is a task with its rank, and a
//! worker knows it. `run` shows the same for the variables of other launchers.

use std::path::Path;
use std::process::Command;

use super::sandbox::Output;

const ROOTSTOCK: &str = env!("CARGO_BIN_EXE_rootstock");

/// Sums the ranks, so that the tasks have to speak with each other.
pub(crate) const PROGRAM: &str = "from mpi4py import MPI\n\
     world = MPI.COMM_WORLD\n\
     print('rank', world.rank, 'of', world.size, 'sum', world.allreduce(world.rank))\n";

pub(crate) fn built() -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mpi-root");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mpi/rootstock.toml");
    let output = Command::new(ROOTSTOCK)
        .arg("sync")
        .arg("--manifest")
        .arg(manifest)
        .arg("--root")
        .arg(&root)
        .output();
    Output::from(output.unwrap()).expect(0);
    root
}

#[test]
fn commands_and_workers_are_the_tasks_that_mpiexec_starts() {
    let root = built();
    let mpiexec = root.join("envs/mpi/bin/mpiexec");
    let two = |command: &[&str]| {
        let output = Command::new(&mpiexec)
            .args(["-n", "2"])
            .args(command)
            .env("ROOTSTOCK_ROOT", &root)
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .output();
        Output::from(output.unwrap())
    };
    let python = ["python", "-c", PROGRAM];
    let run = [ROOTSTOCK, "run", "mpi"];
    let shell = "eval \"$(\"$0\" run mpi --print sh)\" && exec python -c \"$1\"";
    for command in [
        &[&run[..], &["--"], &python].concat()[..],
        &[&run[..], &["--clean", "--"], &python].concat(),
        &["/bin/sh", "-c", shell, ROOTSTOCK, PROGRAM],
    ] {
        let result = two(command);
        let mut lines: Vec<&str> = result.expect(0).stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["rank 0 of 2 sum 1", "rank 1 of 2 sum 1"],
            "{command:?}"
        );
    }
    let server = ["--unix", "nowhere", "--species", "H", "--pbc", "FFF"];
    let result = two(&[&[ROOTSTOCK, "worker", "mpi-rank"], &server[..]].concat());
    result.expect(1);
    for task in ["a task of ['0', '2']", "a task of ['1', '2']"] {
        assert!(result.stderr.contains(task), "{}", result.stderr);
    }
}
