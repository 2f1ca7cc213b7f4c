//! Killed at any moment, `sync` leaves nothing half-made in sight, and the next one finishes.
//!
//! `ROOTSTOCK_TEST_KILLS` says how often `killed_at_random_moments` kills (a few times, if it does not), and
//! `ROOTSTOCK_TEST_SEED` which moments are drawn.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rootstock::digest::Digest;

use crate::sandbox::{Numbers, Output, Sandbox, Wheel, setting, trace};

const SIGKILL: i32 = 9;

/// Every path under `envs/` leads to a whole generation, or is not there.
fn nothing_half_made_is_visible(sandbox: &Sandbox) {
    let envs = sandbox.names("root/envs");
    for name in envs.iter().filter(|name| !name.starts_with('.')) {
        let generation = sandbox.generation("root", name);
        assert!(
            generation.join("rootstock-stamp.json").is_file(),
            "{}",
            generation.display()
        );
        let tree = std::fs::read_to_string(generation.join("rootstock-tree.txt")).unwrap();
        assert_eq!(
            sandbox.stamp("root", name, "tree"),
            Digest::of(&tree).to_string()
        );
        for line in tree.lines() {
            let mut words = line.splitn(3, ' ');
            let (first, path) = (words.next().unwrap(), words.nth(1).unwrap());
            let place = generation.join(path);
            match first {
                "link" => assert!(place.exists(), "{}", place.display()),
                // The only file that names the machine.
                _ if path == "pyvenv.cfg" => assert!(place.is_file()),
                sha256 => {
                    let found = Digest::of(std::fs::read(&place).unwrap()).to_string();
                    assert_eq!(found, sha256, "{}", place.display());
                }
            }
        }
    }
}

/// A sync after the crash ends well and leaves no staging.
fn the_next_sync_finishes(sandbox: &Sandbox) -> Output {
    let output = sandbox.sync(&[]);
    for environment in ["one", "two"] {
        assert_eq!(
            sandbox.python(environment, "import shared; print(shared.VERSION)"),
            "1.0\n"
        );
        let generations = sandbox.names(&format!("root/generations/{environment}"));
        assert_eq!(generations.len(), 1, "{generations:?}");
    }
    assert_eq!(sandbox.names("root/envs"), ["one", "two"]);
    sandbox.run(&["sync", "--check"]).expect(0);
    output
}

#[test]
fn killed_while_it_downloads() {
    let sandbox = Sandbox::shared();
    let file = "second-1.0-py3-none-any.whl";
    sandbox.index.hold(file);
    let mut child = sandbox.start(&["sync"]);
    sandbox.index.wait_for(file);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));
    sandbox.index.release();
    assert_eq!(sandbox.names("root/envs"), [""; 0]);
    the_next_sync_finishes(&sandbox);
}

/// A project to kill; `None` where there is no strace, or it may not be used: `killed_while_it_downloads` is all we can
/// do there.
fn victim() -> Option<Sandbox> {
    if !trace::is_possible() {
        return None;
    }
    let sandbox = Sandbox::new(&[("one", &["shared"]), ("two", &["shared"])]);
    sandbox.index.add(&Wheel::simple("shared", "1.0"));
    sandbox.lock();
    Some(sandbox)
}

fn remove(sandbox: &Sandbox, directory: &str) {
    let path = sandbox.path(directory);
    let removed = Command::new("rm").arg("-rf").arg(path).status().unwrap();
    assert!(removed.success());
}

/// Kills a sync at every system call of these kinds that can be the moment between two states of the root.
fn kill_at_every(calls: &str, least: usize) {
    let Some(sandbox) = victim() else { return };
    let mut kills = 0;
    while let Ok(stopped) = trace::stopped_after(&sandbox, calls, kills + 1, &["sync"]) {
        stopped.send("KILL");
        stopped.go_on();
        nothing_half_made_is_visible(&sandbox);
        kills += 1;
        // Every other time the next one finds what this one has left; all begin anew in the end, so that later moments
        // are reached as well.
        if kills.is_multiple_of(2) {
            the_next_sync_finishes(&sandbox);
        }
        remove(&sandbox, "root");
    }
    assert!(kills >= least, "{kills}");
    the_next_sync_finishes(&sandbox);
}

#[test]
fn killed_at_every_rename() {
    // Root, claims, archive, wheel, bytecode, two generations, two links and the list of models.
    kill_at_every("rename,renameat,renameat2", 9);
}

#[test]
fn killed_at_every_symbolic_link() {
    // Each environment's link, and those in it.
    kill_at_every("symlink,symlinkat", 4);
}

#[test]
#[expect(clippy::print_stdout, reason = "who runs the long one wants to know")]
fn killed_at_random_moments() {
    let (kills, seed) = (
        setting("ROOTSTOCK_TEST_KILLS", 6),
        setting("ROOTSTOCK_TEST_SEED", 1),
    );
    let sandbox = Sandbox::shared();
    let states: Vec<[(&str, String); 3]> = (0..4)
        .map(|n| {
            for (name, other) in [("one", "first"), ("two", "second")] {
                sandbox.write_source(name, &["shared", other], &format!("# {n}\n"));
            }
            sandbox.lock();
            [
                "environments/one.py",
                "environments/two.py",
                "rootstock.lock",
            ]
            .map(|file| (file, sandbox.read(file)))
        })
        .collect();
    let started = Instant::now();
    sandbox.sync(&[]);
    let whole = u64::try_from(started.elapsed().as_micros()).unwrap();
    let mut numbers = Numbers::from(seed);
    let (mut killed, mut finished) = (0, 0);
    while killed < kills {
        // From nothing, from the store alone, from another lock, or from where the last one was killed.
        let longest = match numbers.below(5) {
            0 => {
                remove(&sandbox, "root");
                whole
            }
            1 | 2 => {
                for directory in ["root/envs", "root/generations"] {
                    remove(&sandbox, directory);
                }
                whole / 2
            }
            3 => {
                for (file, text) in &states[usize::try_from(numbers.below(4)).unwrap()] {
                    sandbox.write(file, text);
                }
                whole / 4
            }
            _ => whole / 4,
        };
        let mut child = sandbox.start(&["sync"]);
        // Not a wait for anything: the moment is what the test varies, and whichever it is, what it leaves must be whole.
        // Naps, so that one that was faster is not slept over.
        let end = Instant::now() + Duration::from_micros(numbers.below(longest));
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        match child.wait().unwrap().signal() {
            Some(SIGKILL) => killed += 1,
            _ => finished += 1,
        }
        nothing_half_made_is_visible(&sandbox);
    }
    println!("seed {seed}: {killed} killed, {finished} were faster");
    sandbox.sync(&[]);
    sandbox.run(&["sync", "--check"]).expect(0);
    sandbox.run(&["doctor", "--deep"]).expect(0);
    // Nothing that a killed one left is there for ever.
    sandbox
        .run(&["gc", "--keep", "0", "--older-than", "0s"])
        .expect(0);
    for directory in [
        "envs",
        "generations/one",
        "generations/two",
        "store/wheels-2",
        "store/archives",
    ] {
        let names = sandbox.names(&format!("root/{directory}"));
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    }
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

/// Every file below a directory that has a name of its own, with its bytes.
fn files(directory: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found: Vec<_> = crate::image::walk(directory)
        .into_iter()
        .map(std::path::PathBuf::from)
        .filter(|path| {
            // Named as unfinished: staging, and what has arrived of a download.
            !path
                .iter()
                .map(|part| part.to_string_lossy())
                .any(|part| part.starts_with(".rootstock-") || part.contains(".part-"))
        })
        .filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?)))
        .collect();
    found.sort();
    found
}

/// Commands that write files of the user's, killed before each rename: a file is there whole or not at all, and the next run finishes.
#[test]
fn files_of_the_user_s_are_whole_or_not_there() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    sandbox.write(
        "t.py",
        "def wire(e, p, s): return {'a': b'x' * 9000, 'b': b'y' * 9000}\n",
    );
    sandbox.write(
        "task.json",
        "{\"entrypoint\": \"t.py:wire\", \"params\": {}, \"seed\": 1}",
    );
    let calls = "rename,renameat,renameat2,link,linkat";
    for line in [
        "call one --request task.json --spill out",
        "export one --format requirements -o out/requirements.txt",
        "export one --format cyclonedx -o out/bom.json",
        "image one --allow-system-python -o out/one.tar.zst",
        "bundle -o out",
        "lock --check --sarif out/log.sarif",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let out = sandbox.path("out");
        let empty = || {
            let _ = std::fs::remove_dir_all(&out);
            std::fs::create_dir(&out).unwrap();
        };
        empty();
        sandbox.run(&arguments).expect(0);
        let whole = files(&out);
        assert!(!whole.is_empty(), "{line}");
        for kills in 1.. {
            empty();
            let Ok(stopped) = trace::stopped_after(&sandbox, calls, kills, &arguments) else {
                assert!(kills > 1, "{line}");
                break;
            };
            stopped.send("KILL");
            stopped.go_on();
            for file in files(&out) {
                assert!(whole.contains(&file), "{line}: {}", file.0.display());
            }
            sandbox.run(&arguments).expect(0);
            assert!(files(&out) == whole, "{line}: {kills}");
        }
    }
}
