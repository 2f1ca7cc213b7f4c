//! Several syncs of one root at once: no error, nothing twice, nothing half.
//!
//! `ROOTSTOCK_TEST_ROUNDS` says how many rounds are made without any lock (two, if it does not).

use std::process::{Command, Stdio};

use crate::sandbox::{Output, Sandbox, refuse};

/// Runs so many syncs of one root at once.
fn at_once(sandbox: &Sandbox, number: usize, arguments: &[&str]) -> Vec<Output> {
    started(number, &|_| {
        sandbox.command(&[&["sync"], arguments].concat())
    })
}

/// Runs so many commands at once.
fn started(number: usize, command: &dyn Fn(usize) -> Command) -> Vec<Output> {
    let children: Vec<_> = (0..number)
        .map(|index| {
            command(index)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    children
        .into_iter()
        .map(|child| Output::from(child.wait_with_output().unwrap()))
        .collect()
}

#[test]
fn eight_syncs_of_one_root_make_one_generation_of_each_environment() {
    let sandbox = Sandbox::shared();
    for output in at_once(&sandbox, 8, &[]) {
        output.expect(0);
    }
    for environment in ["one", "two"] {
        let generations = sandbox.names(&format!("root/generations/{environment}"));
        assert_eq!(generations.len(), 1, "{generations:?}");
        assert_eq!(
            sandbox.python(environment, "import shared; print(shared.VERSION)"),
            "1.0\n"
        );
    }
    assert_eq!(sandbox.names("root/envs"), ["one", "two"]);
    assert_eq!(sandbox.names("root/trash"), [""; 0]);
    assert_eq!(
        sandbox.names("root/store/archives"),
        [""; 0],
        "nothing is left of downloads"
    );
    sandbox.run(&["sync", "--check"]).expect(0);
}

#[test]
fn eight_syncs_after_a_killed_one_clean_up_and_finish() {
    let sandbox = Sandbox::shared();
    let file = "second-1.0-py3-none-any.whl";
    sandbox.index.hold(file);
    let mut child = sandbox.command(&["sync"]).spawn().unwrap();
    sandbox.index.wait_for(file);
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.index.release();
    for output in at_once(&sandbox, 8, &[]) {
        output.expect(0);
    }
    for directory in ["generations/one", "generations/two", "store/wheels-2"] {
        let names = sandbox.names(&format!("root/{directory}"));
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    }
    assert_eq!(sandbox.names("root/store/archives"), [""; 0]);
}

#[test]
fn eight_syncs_by_force_change_nothing_that_is_whole() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let before = sandbox.generation("root", "one");
    for output in at_once(&sandbox, 8, &["--force"]) {
        output.expect(0);
    }
    assert_eq!(sandbox.generation("root", "one"), before);
    assert_eq!(sandbox.names("root/trash"), [""; 0]);
    sandbox.run(&["sync", "--check"]).expect(0);
}

#[test]
fn eight_syncs_at_once_where_no_lock_works() {
    let rounds = std::env::var("ROOTSTOCK_TEST_ROUNDS").map_or(2, |text| text.parse().unwrap());
    let sandbox = Sandbox::shared();
    // From a bundle, so that uv, which locks the cache of its user, is not needed.
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    for round in 0..rounds {
        let root = format!("root-{round}");
        let error = ["ENOLCK", "ENOSYS", "EINVAL"][round % 3];
        // flock(2), and the locks of POSIX and of open file descriptions.
        let Some(_) = refuse::command(&sandbox, &["flock", "locks"], error) else {
            return;
        };
        let output = started(8, &|_| {
            let mut command = refuse::command(&sandbox, &["flock", "locks"], error).unwrap();
            command.args(["sync", "--offline", "--bundle", "carried", "--root", &root]);
            command
        });
        for output in &output {
            output.expect(0);
        }
        for environment in ["one", "two"] {
            let generations = sandbox.names(&format!("{root}/generations/{environment}"));
            assert_eq!(generations.len(), 1, "{generations:?}");
        }
        assert_eq!(sandbox.names(&format!("{root}/envs")), ["one", "two"]);
        sandbox
            .run(&["doctor", "--deep", "--root", &root])
            .expect(0);
        // Offline nothing was loaded.
        sandbox
            .run(&["sync", "--check", "--only", "envs", "--root", &root])
            .expect(0);
    }
}
