//! Commands on one root beside each other: `sync --repair` beside `gc` at each moment of the one, and `sync`, `sync --repair`, `gc`
//! and `doctor` that are killed beside each other.
//!
//! `ROOTSTOCK_TEST_BESIDE` says how many rounds of kills there are (a few, if it does not), and `ROOTSTOCK_TEST_SEED` which
//! moments are drawn.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::sandbox::{Numbers, Output, Sandbox, setting, trace};

/// What nothing leads to goes, however young it is.
const GC: [&str; 5] = ["gc", "--keep", "0", "--older-than", "0s"];

/// Two environments, each of which has an older generation that `gc` takes away; the number makes them others.
fn with_older_generations(sandbox: &Sandbox, number: usize) {
    for n in [2 * number, 2 * number + 1] {
        for (name, other) in [("one", "first"), ("two", "second")] {
            let more = format!("# {n} in {}\n", sandbox.path("").display());
            sandbox.write_source(name, &["shared", other], &more);
        }
        sandbox.lock();
        sandbox.sync(&[]);
    }
}

fn assert_whole(sandbox: &Sandbox) {
    sandbox.run(&["doctor", "--deep"]).expect(0);
    sandbox.run(&["sync", "--check"]).expect(0);
}

/// `gc` runs whole while a `sync --repair` is between two of its calls: it opens, lists and changes what `gc` takes away.
#[test]
#[expect(clippy::print_stdout, reason = "each run says how many cases it tried")]
fn gc_at_any_moment_of_a_repair() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = Sandbox::shared();
    let manifest = sandbox.read("rootstock.toml");
    let access = "[rootstock]\naccess = \"owner\"\n";
    sandbox.write(
        "rootstock.toml",
        &manifest.replacen("[rootstock]\n", access, 1),
    );
    let calls = "getdents64,openat";
    let repair = ["sync", "--repair", "-j", "1"];
    with_older_generations(&sandbox, 0);
    let all = trace::count(&sandbox, calls, &repair);
    // The first and last calls are those of the loader and of writing.
    let (moments, mut between) = (16, 0);
    for moment in 0..moments {
        with_older_generations(&sandbox, moment + 1);
        let nth = all * (2 * moment + 1) / (2 * moments);
        match trace::stopped_after(&sandbox, calls, nth, &repair) {
            Ok(stopped) => {
                sandbox.run(&GC).expect(0);
                stopped.go_on().expect(0);
                between += 1;
            }
            // It was faster than the one that was counted.
            Err(output) => drop(output.expect(0)),
        }
        assert_whole(&sandbox);
    }
    assert!(between >= moments / 2, "{between} of {moments}");
    println!("{between} moments of {all} calls");
}

/// What runs beside each other, all at once, as often as it is named.
const COMMANDS: [&[&str]; 6] = [
    &["sync"],
    &["sync", "--repair"],
    &GC,
    &["doctor", "--deep"],
    &["sync", "--force"],
    &GC,
];

/// Kills each of these at a moment of its own; which of them were faster.
fn kill_at(children: Vec<(Child, Instant)>) -> Vec<Option<Output>> {
    let mut ended: Vec<Option<Option<Output>>> = children.iter().map(|_| None).collect();
    let mut children: Vec<Option<(Child, Instant)>> = children.into_iter().map(Some).collect();
    while ended.iter().any(Option::is_none) {
        for (child, ended) in children.iter_mut().zip(&mut ended) {
            let Some((running, end)) = child else {
                continue;
            };
            let is_over = running.try_wait().unwrap().is_some();
            if !is_over && Instant::now() < *end {
                continue;
            }
            // Not a wait for anything: the moment is what the test varies, and whichever it is, what is left must be whole.
            running.kill().unwrap();
            let (running, _) = child.take().unwrap();
            let output = running.wait_with_output().unwrap();
            *ended = Some(output.status.code().map(|_| Output::from(output)));
        }
        // A nap, so that the processors are left to them.
        std::thread::sleep(Duration::from_micros(200));
    }
    ended.into_iter().flatten().collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "who runs the long one wants to know")]
fn killed_beside_each_other_at_random_moments() {
    let (rounds, seed) = (
        setting("ROOTSTOCK_TEST_BESIDE", 3),
        setting("ROOTSTOCK_TEST_SEED", 1),
    );
    let sandbox = Sandbox::shared();
    // From a bundle, so that no round waits for a server.
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    let mut numbers = Numbers::from(seed);
    let (mut killed, mut faster) = (0, 0);
    for round in 0..rounds {
        let started = Instant::now();
        with_older_generations(&sandbox, usize::try_from(round).unwrap());
        // Twice locked and synced.
        let longest = u64::try_from(started.elapsed().as_micros()).unwrap() / 4;
        // One round in three finds a store that is damaged, another none at all.
        match round % 3 {
            1 => damage(&sandbox),
            2 => std::fs::remove_dir_all(sandbox.path("root/envs")).unwrap(),
            _ => {}
        }
        let children = COMMANDS.map(|command| {
            let end = Instant::now() + Duration::from_micros(numbers.below(longest));
            (sandbox.start(command), end)
        });
        for (output, command) in kill_at(children.into()).iter().zip(COMMANDS) {
            let Some(output) = output else {
                killed += 1;
                continue;
            };
            faster += 1;
            // Beside the others a `doctor` sees what is being done, and a `sync` what was taken away: never more than findings.
            let is_expected = match command[0] {
                "doctor" => matches!(output.code, Some(0 | 1)),
                _ => output.code == Some(0),
            };
            assert!(
                is_expected,
                "seed {seed}, round {round}, {command:?}: {output:?}"
            );
        }
        // At rest all is whole again, and nothing of the killed ones is left.
        sandbox.sync(&["--repair"]);
        sandbox.run(&GC).expect(0);
        assert_whole(&sandbox);
        for directory in [
            "envs",
            "generations/one",
            "generations/two",
            "store/wheels-2",
        ] {
            let names = sandbox.names(&format!("root/{directory}"));
            assert!(
                names
                    .iter()
                    .all(|name| !name.starts_with('.') || name.starts_with(".retired-")),
                "seed {seed}, round {round}, {directory}: {names:?}"
            );
        }
    }
    println!("seed {seed}: {killed} killed, {faster} were faster");
}

/// Changes a file in the store, and so, where files are shared by links, in a generation.
fn damage(sandbox: &Sandbox) {
    let wheels = sandbox.path("root/store/wheels-2");
    let find = "find \"$0\" -name '*.py' | sort | head -n 1";
    let output = std::process::Command::new("sh")
        .args(["-c", find])
        .arg(wheels)
        .output()
        .unwrap();
    let path = String::from_utf8(output.stdout).unwrap();
    let path = std::path::Path::new(path.trim());
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode(0o644)).unwrap();
    std::fs::write(path, "import evil\n").unwrap();
    std::fs::set_permissions(path, mode(0o444)).unwrap();
}
