//! `rootstock run`: a command in an environment, with the variables it should have and no others, and its own end.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::sandbox::{Said, Sandbox};

/// The project with one environment, built, whose manifest says something of variables.
fn built() -> Sandbox {
    let sandbox = Sandbox::single();
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &format!(
            "{manifest}variables = {{ WHERE = \"{{env}}:{{cache}}\" }}\nkeep = [\"MY_SITE\", \"GRID_*\"]\n\
             models = [\"a\"]\n"
        ),
    );
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox
}

/// A variable among those that `env` printed.
fn variable<'a>(said: &'a Said, name: &str) -> Option<&'a str> {
    let lines = said.stdout.lines();
    lines
        .filter_map(|line| line.split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

#[test]
fn the_command_ends_as_it_ends() {
    let sandbox = built();
    let run = |script: &str| {
        sandbox
            .command(&["run", "one", "--", "/bin/sh", "-c", script])
            .output()
            .unwrap()
            .status
    };
    assert_eq!(run("exit 7").code(), Some(7));
    assert_eq!(run("kill -TERM $$").signal(), Some(15));
    // A pipe that nobody reads ends it, though it does not end rootstock.
    let said = sandbox.run(&["run", "one", "--", "/bin/cat", "/proc/self/status"]);
    let ignored = said
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    assert_eq!(ignored & 1 << 12, 0, "{ignored:x}");
}

#[test]
fn the_command_runs_in_the_generation_itself() {
    let sandbox = built();
    let code = "import sys, single; print(sys.prefix, single.__file__, *sys.argv[1:])";
    let said = sandbox.run(&["run", "one", "--", "python", "-c", code, "--root", "x y"]);
    let generation = sandbox.generation("root", "one");
    let words: Vec<&str> = said.expect(0).stdout.split_whitespace().collect();
    assert_eq!(words[0], generation.to_str().unwrap());
    assert!(words[1].starts_with(words[0]), "{words:?}");
    assert_eq!(words[2..], ["--root", "x", "y"]);
}

#[test]
fn only_what_is_listed_is_there() {
    let sandbox = built();
    let said = sandbox
        .command(&["run", "one", "--", "/usr/bin/env"])
        .envs([
            ("HOME", "/home/me"),
            ("XDG_CACHE_HOME", ""),
            ("CUDA_VISIBLE_DEVICES", "GPU-8932f937,MIG-1"),
            ("PYTHONPATH", "/evil"),
            ("LD_LIBRARY_PATH", "/evil"),
            ("CONDA_PREFIX", "/evil"),
            ("SECRET_TOKEN", "x"),
            ("MY_SITE", "here"),
            ("GRID_JOB", "12"),
        ])
        .output()
        .unwrap()
        .into();
    let get = |name| variable(&said, name);
    assert_eq!(get("CUDA_VISIBLE_DEVICES"), Some("GPU-8932f937,MIG-1"));
    assert_eq!(get("CUDA_DEVICE_ORDER"), Some("PCI_BUS_ID"));
    assert_eq!(get("HF_HUB_OFFLINE"), Some("1"));
    assert_eq!(
        get("TRITON_CACHE_DIR"),
        Some("/home/me/.cache/rootstock/triton")
    );
    assert_eq!(
        (get("MY_SITE"), get("GRID_JOB")),
        (Some("here"), Some("12"))
    );
    for absent in [
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "CONDA_PREFIX",
        "SECRET_TOKEN",
        "ROOTSTOCK_ROOT",
    ] {
        assert_eq!(get(absent), None, "{absent}");
    }
    let generation = sandbox.generation("root", "one");
    let (env, cache) = (generation.display(), sandbox.path("root/cache"));
    assert_eq!(get("WHERE"), Some(&*format!("{env}:{}", cache.display())));
    let path = format!("{env}/bin:/usr/local/bin:/usr/bin:/bin");
    assert_eq!(get("PATH"), Some(&*path));
}

#[test]
fn the_root_alone_is_enough() {
    let sandbox = built();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::rename(sandbox.path("root"), elsewhere.path().join("moved")).unwrap();
    let run = |arguments: &[&str]| -> Said {
        Command::new(env!("CARGO_BIN_EXE_rootstock"))
            .args(arguments)
            .current_dir(elsewhere.path())
            .env("ROOTSTOCK_ROOT", "moved")
            .output()
            .unwrap()
            .into()
    };
    let said = run(&[
        "run",
        "one",
        "--",
        "python",
        "-c",
        "import single; print(single.__file__)",
    ]);
    assert!(said.expect(0).stdout.contains("/moved/generations/one/"));
    run(&["run", "two", "--", "true"]).expect(2);
}

#[test]
fn a_cache_outside_the_root_is_found_from_the_root() {
    let sandbox = Sandbox::single();
    let manifest = sandbox.read("rootstock.toml");
    let cluster = "[clusters.della]\nroot = \"shared\"\ncache = \"scratch\"\n";
    sandbox.write("rootstock.toml", &format!("{manifest}{cluster}"));
    sandbox.sync(&["--cluster", "della"]);
    let said = sandbox.run(&["--root", "shared", "run", "one", "--", "/usr/bin/env"]);
    let cache = sandbox.path("scratch");
    assert_eq!(variable(said.expect(0), "XDG_CACHE_HOME"), cache.to_str());
    // Nothing to do means nothing to write.
    let said = sandbox.sync(&["--cluster", "della"]);
    assert!(said.stdout.contains("up to date"), "{}", said.stdout);
}

#[test]
fn what_cannot_run_says_why_with_a_code_of_its_own() {
    let sandbox = built();
    sandbox.write("plain", "");
    let run = |arguments: &[&str], code: i32, fragments: &[&str]| {
        let said = sandbox.run(&[&["run"], arguments].concat());
        said.expect(code);
        for fragment in fragments {
            assert!(said.stderr.contains(fragment), "{}", said.stderr);
        }
    };
    run(
        &["one", "--", "no-such-program"],
        127,
        &["`no-such-program` is not found"],
    );
    run(&["one", "--", "./no-such-program"], 127, &["is not found"]);
    run(
        &["one", "--", "./plain"],
        126,
        &["`./plain` is not executable"],
    );
    sandbox.write("script", "#!/no/such/interpreter\n");
    let made = Command::new("/bin/chmod")
        .arg("+x")
        .arg(sandbox.path("script"))
        .status();
    assert!(made.unwrap().success());
    run(&["one", "--", "./script"], 127, &["cannot run"]);
    run(&["one"], 2, &["CMD"]);
    run(
        &["three", "--", "true"],
        2,
        &["the root knows no model `three`", "one"],
    );
    run(
        &["one-a", "--", "true"],
        2,
        &["`one-a` is a model", "it runs in the environment `one`"],
    );
    std::fs::remove_file(sandbox.path("root/envs/one")).unwrap();
    run(
        &["one", "--", "true"],
        4,
        &["environment `one` is not built", "rootstock sync one"],
    );
    run(
        &["one", "--root", "nowhere", "--", "true"],
        4,
        &["nothing is built"],
    );
}

#[test]
fn a_shell_can_take_it_over() {
    let sandbox = built();
    let script = "eval \"$(\"$0\" run one --print sh)\"; python -c 'import single'; /usr/bin/env";
    let mut command = Command::new("/bin/sh");
    sandbox.set_up(&mut command);
    let said: Said = command
        .args(["-c", script, env!("CARGO_BIN_EXE_rootstock")])
        .envs([
            ("HOME", "/home/it's me"),
            ("PATH", "/usr/bin:/bin"),
            ("XDG_CACHE_HOME", ""),
            ("SLURM_NODELIST", "n[1-4]"),
            ("PYTHONPATH", "/evil"),
            ("VIRTUAL_ENV", "/evil"),
        ])
        .output()
        .unwrap()
        .into();
    said.expect(0);
    assert_eq!(said.stderr, "");
    let get = |name| variable(&said, name);
    let bin = sandbox.generation("root", "one").join("bin");
    assert_eq!(
        get("PATH"),
        Some(&*format!("{}:/usr/bin:/bin", bin.display()))
    );
    assert_eq!(
        get("NUMBA_CACHE_DIR"),
        Some("/home/it's me/.cache/rootstock/numba")
    );
    assert_eq!((get("PYTHONPATH"), get("VIRTUAL_ENV")), (None, None));
    // The job's own shell goes on with its own work.
    assert_eq!(get("SLURM_NODELIST"), Some("n[1-4]"));
}

#[test]
fn a_program_can_read_it() {
    let sandbox = built();
    let value = sandbox.run(&["run", "one", "--print", "json"]).json();
    let generation = sandbox.generation("root", "one");
    assert_eq!(value["environment"], "one");
    assert_eq!(value["generation"], generation.to_str().unwrap());
    assert_eq!(
        value["python"],
        generation.join("bin/python").to_str().unwrap()
    );
    let said = sandbox.run(&["run", "one", "--", "/usr/bin/env"]);
    let printed = value["variables"].as_object().unwrap();
    let seen: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(printed.len(), seen.len(), "{printed:?} {seen:?}");
    for line in seen {
        let (name, value) = line.split_once('=').unwrap();
        assert_eq!(printed[name], value, "{name}");
    }
}

#[test]
fn what_is_kept_is_locked_checked_and_no_reason_to_build_again() {
    let sandbox = built();
    let digest = sandbox.stamp("root", "one", "digest");
    assert!(
        sandbox
            .read("rootstock.lock")
            .contains("keep = [\"GRID_*\", \"MY_SITE\"]")
    );
    let manifest = sandbox.read("rootstock.toml").replace("GRID_*", "PBS_*");
    sandbox.write("rootstock.toml", &manifest);
    let said = sandbox.run(&["lock", "--check", "--json"]);
    assert_eq!(
        said.expect(3).json()["findings"][0]["code"],
        "keep-changed",
        "{}",
        said.stdout
    );
    sandbox.lock();
    sandbox.run(&["sync", "--check"]).expect(3);
    sandbox.sync(&[]);
    assert_eq!(sandbox.stamp("root", "one", "digest"), digest);
    assert_eq!(sandbox.names("root/generations/one").len(), 1);
    let mut command = sandbox.command(&["run", "one", "--", "/usr/bin/env"]);
    let said: Said = command
        .envs([("GRID_JOB", "1"), ("PBS_JOB", "2")])
        .output()
        .unwrap()
        .into();
    assert_eq!(
        (variable(&said, "GRID_JOB"), variable(&said, "PBS_JOB")),
        (None, Some("2"))
    );
}

#[test]
fn what_must_not_be_kept_is_refused_in_its_place() {
    let sandbox = Sandbox::single();
    let manifest = sandbox.read("rootstock.toml");
    let kept = "keep = [\"GRID_*\", \"*\", \"PYTHONPATH\", \"LD_*\", \"A B\"]\n";
    sandbox.write("rootstock.toml", &format!("{manifest}{kept}"));
    let said = sandbox.run(&["lock"]);
    for fragment in [
        "`*` is not a variable's name",
        "`A B` is not a variable's name",
        "`PYTHONPATH` cannot be kept: `PYTHON…` decides which code Python loads",
        "`LD_*` cannot be kept",
        "give it a value of its own in `variables`",
    ] {
        assert!(said.expect(2).stderr.contains(fragment), "{}", said.stderr);
    }
}
