//! `rootstock run`: a command in an environment, with the variables it should have and no others, and its own end.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use snapbox::str;

use super::sandbox::{Output, Sandbox};

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
fn variable<'a>(output: &'a Output, name: &str) -> Option<&'a str> {
    let lines = output.stdout.lines();
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
    // A pipe without a reader ends it, though it does not end rootstock.
    let result = sandbox.run(&["run", "one", "--", "/bin/cat", "/proc/self/status"]);
    let ignored = result
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    assert_eq!(ignored & 1 << 12, 0, "{ignored:x}");
    // Nor does it block a signal that its caller does not.
    let blocked = |status: &str| {
        let lines = status.lines();
        lines
            .filter_map(|line| line.strip_prefix("SigBlk:"))
            .map(|mask| mask.trim().to_owned())
            .next()
    };
    let ours = Command::new("/bin/cat").arg("/proc/self/status").output();
    let ours = Output::from(ours.unwrap());
    assert_eq!(blocked(&result.stdout), blocked(&ours.stdout));
}

#[test]
fn the_command_runs_in_the_generation_itself() {
    let sandbox = built();
    let code = "import sys, single; print(sys.prefix, single.__file__, *sys.argv[1:])";
    let output = sandbox.run(&["run", "one", "--", "python", "-c", code, "--root", "x y"]);
    let generation = sandbox.generation("root", "one");
    let words: Vec<&str> = output.expect(0).stdout.split_whitespace().collect();
    assert_eq!(words[0], generation.to_str().unwrap());
    assert!(words[1].starts_with(words[0]), "{words:?}");
    assert_eq!(words[2..], ["--root", "x", "y"]);
}

#[test]
fn a_clean_command_gets_only_what_is_listed() {
    let sandbox = built();
    let result = sandbox
        .command(&["run", "one", "--clean", "--", "/usr/bin/env"])
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
    let get = |name| variable(&result, name);
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

/// What launchers and schedulers give their tasks, and what a job has of its own.
const OF_THE_JOB: &[&str] = &[
    "SLURM_JOB_NODELIST",
    "SLURM_TASK_PID",
    "PMI_RANK",
    "PMI_SIZE",
    "PMI_FD",
    "PMIX_RANK",
    "PMIX_SERVER_URI41",
    "OMPI_COMM_WORLD_RANK",
    "PALS_RANKID",
    "FLUX_URI",
    "PBS_NODEFILE",
    "MV2_COMM_WORLD_RANK",
    "MPI_LOCALRANKID",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
];

/// What else a caller's environment may hold and a command may need.
const OF_THE_CALLER: &[&str] = &[
    "NCCL_SOCKET_IFNAME",
    "FI_PROVIDER",
    "UCX_TLS",
    "https_proxy",
    "SCRATCH",
    "PARAM",
    "LOADEDMODULES",
    "PIP_INDEX_URL",
    "UV_CACHE_DIR",
];

/// What decides which code Python, the loader, or a tool of another virtual environment loads.
const CHOOSES_CODE: &[&str] = &[
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "PYENV_VERSION",
    "PIXI_ENVIRONMENT_NAME",
    "UV_PROJECT_ENVIRONMENT",
    "PIP_TARGET",
];

/// The variables as this form of `run` gives them, where the caller has all of the above and some more.
fn seen(sandbox: &Sandbox, form: &str, options: &[&str]) -> BTreeMap<String, String> {
    let arguments = [&["run", "one"], options].concat();
    let mut command = Command::new("/usr/bin/env");
    sandbox.set_up(&mut command);
    let program = env!("CARGO_BIN_EXE_rootstock");
    match form {
        "command" => command.args(["-u", "_", program]).args(&arguments),
        _ => command.args(["-u", "_", "/bin/sh", "-c"]),
    };
    match form {
        "command" => command.args(["--", "/usr/bin/env"]),
        "sh" => command
            .arg("eval \"$(\"$0\" \"$@\" --print sh)\"; exec /usr/bin/env")
            .arg(program)
            .args(&arguments),
        _ => command
            .arg("exec \"$0\" \"$@\" --print json")
            .arg(program)
            .args(&arguments),
    };
    for name in OF_THE_JOB.iter().chain(OF_THE_CALLER).chain(CHOOSES_CODE) {
        command.env(name, format!("value of '{name}'"));
    }
    let path = format!("/no/slurm/bin:{}", sandbox.path("bin").display());
    command
        .env("PATH", path)
        .env("XDG_CACHE_HOME", "")
        .env("VIRTUAL_ENV", "/other")
        .env("NUMBA_CACHE_DIR", "/mine/numba")
        .env("HF_HUB_OFFLINE", "0")
        .env("OMP_NUM_THREADS", "7");
    let result = Output::from(command.output().unwrap());
    let mut variables: BTreeMap<String, String> = if form == "json" {
        serde_json::from_value(result.expect(0).json()["variables"].take()).unwrap()
    } else {
        let lines = result.expect(0).stdout.lines();
        let pairs = lines.map(|line| line.split_once('=').unwrap());
        pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    };
    // A shell's own.
    for name in ["PWD", "OLDPWD", "SHLVL", "_"] {
        variables.remove(name);
    }
    variables
}

#[test]
fn a_command_gets_what_its_caller_has_but_for_what_chooses_code() {
    let sandbox = built();
    let seen = seen(&sandbox, "command", &[]);
    let get = |name: &str| seen.get(name).map(String::as_str);
    for name in OF_THE_JOB.iter().chain(OF_THE_CALLER) {
        assert_eq!(get(name), Some(&*format!("value of '{name}'")), "{name}");
    }
    for name in CHOOSES_CODE {
        assert_eq!(get(name), None, "{name}");
    }
    let generation = sandbox.generation("root", "one");
    let (env, bin) = (generation.display(), sandbox.path("bin"));
    assert_eq!(get("VIRTUAL_ENV"), generation.to_str());
    let path = format!("{env}/bin:/no/slurm/bin:{}", bin.display());
    assert_eq!(get("PATH"), Some(&*path));
    // What has a good default is the caller's; where the weights are is the root's, and the manifest has the last word.
    assert_eq!(get("NUMBA_CACHE_DIR"), Some("/mine/numba"));
    assert_eq!(get("HF_HUB_OFFLINE"), Some("0"));
    assert_eq!(get("OMP_NUM_THREADS"), Some("7"));
    let cache = sandbox.path("root/cache");
    assert_eq!(get("XDG_CACHE_HOME"), cache.to_str());
    assert_eq!(get("WHERE"), Some(&*format!("{env}:{}", cache.display())));
    assert_eq!(get("PYTHONNOUSERSITE"), Some("1"));
}

#[test]
fn all_forms_agree() {
    let sandbox = built();
    for options in [
        &[][..],
        &["--clean"],
        &["--clean", "--keep", "PARAM", "--keep", "NCCL_*"],
        &["--clean", "--keep", "PATH", "--keep", "SEED=a 'b'"],
    ] {
        let command = seen(&sandbox, "command", options);
        for form in ["sh", "json"] {
            assert_eq!(seen(&sandbox, form, options), command, "{form} {options:?}");
        }
    }
}

#[test]
fn a_clean_command_gets_also_what_is_kept() {
    let sandbox = built();
    let options = ["--keep", "PARAM", "--keep", "NCCL_*", "--keep", "SEED=1=2"];
    let seen = seen(&sandbox, "command", &[&["--clean"], &options[..]].concat());
    let get = |name: &str| seen.get(name).map(String::as_str);
    assert_eq!(get("PARAM"), Some("value of 'PARAM'"));
    assert_eq!(
        get("NCCL_SOCKET_IFNAME"),
        Some("value of 'NCCL_SOCKET_IFNAME'")
    );
    assert_eq!(get("SEED"), Some("1=2"));
    // A task of a parallel job stays one.
    for name in OF_THE_JOB {
        assert_eq!(get(name), Some(&*format!("value of '{name}'")), "{name}");
    }
    for name in OF_THE_CALLER.iter().skip(1).filter(|n| **n != "PARAM") {
        assert_eq!(get(name), None, "{name}");
    }
    for (kept, words) in [
        ("PYTHONPATH", "decides which code Python loads"),
        ("LD_*", "decides which code Python loads"),
        ("*", "is not a variable's name"),
        ("A B=1", "is not a variable's name"),
        ("=1", "is not a variable's name"),
        ("A*=1", "cannot have a value"),
    ] {
        let output = sandbox.run(&["run", "one", "--clean", "--keep", kept, "--", "true"]);
        assert!(
            output.expect(2).message().contains(words),
            "{}",
            output.stderr
        );
    }
    let output = sandbox.run(&["run", "one", "--keep", "PARAM", "--", "true"]);
    output.expect(2).stderr_is(
        &sandbox,
        str![[r#"
error: the following required arguments were not provided:
  --clean
Usage: rootstock run --clean --keep <NAME[=VALUE]|PREFIX*> <ENVIRONMENT> -- <CMD>...
For more information, try '--help'.
"#]],
    );
}

#[test]
fn a_program_of_the_caller_s_path_is_found_by_what_the_command_starts() {
    let sandbox = built();
    sandbox.program("tools/sbatch", "#!/bin/sh\necho submitted\n");
    let path = format!("{}:/usr/bin:/bin", sandbox.path("tools").display());
    for command in [&["sbatch"][..], &["/bin/sh", "-c", "sbatch"]] {
        let mut run = sandbox.command(&[&["run", "one", "--"], command].concat());
        let result = Output::from(run.env("PATH", &path).output().unwrap());
        assert_eq!(result.expect(0).stdout, "submitted\n");
    }
}

#[test]
fn no_other_python_or_pip_is_run() {
    let sandbox = built();
    for name in [
        "python3.12",
        "python3.99",
        "pip",
        "pip3",
        "pip3.11",
        "pythonw",
    ] {
        sandbox.program(&format!("shims/{name}"), "#!/bin/sh\necho another\n");
    }
    for name in ["python", "python3", "python3.11", "pipeline", "python-lint"] {
        sandbox.program(&format!("shims/{name}"), "#!/bin/sh\necho another\n");
    }
    let path = format!("{}:/usr/bin:/bin", sandbox.path("shims").display());
    let run = |name: &str| {
        let mut command = sandbox.command(&["run", "one", "--", name, "-c", "print('ours')"]);
        Output::from(command.env("PATH", &path).output().unwrap())
    };
    for name in ["python", "python3", "python3.11"] {
        assert_eq!(run(name).expect(0).stdout, "ours\n", "{name}");
    }
    for name in ["python3.12", "python3.99", "pythonw"] {
        let result = run(name);
        let words = format!("environment `one` has no `{name}`");
        assert!(
            result.expect(4).message().contains(&words),
            "{}",
            result.stderr
        );
    }
    for name in ["pip", "pip3", "pip3.11"] {
        let result = run(name);
        let words = "add packages to its source's `dependencies`";
        assert!(
            result.expect(4).message().contains(words),
            "{}",
            result.stderr
        );
    }
    // Only names of Python and pip are taken for them.
    for name in ["pipeline", "python-lint"] {
        assert_eq!(run(name).expect(0).stdout, "another\n", "{name}");
    }
}

/// Runs a program of the system.
fn system(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

#[test]
fn a_dead_python_is_an_error_in_every_form_and_its_advice_repairs_it() {
    let sandbox = built();
    sandbox.program("bin/python", "#!/bin/sh\necho another\n");
    sandbox.program("elsewhere", "#!/bin/sh\necho another\n");
    let bin = sandbox.generation("root", "one").join("bin");
    system("/bin/chmod", &["u+w", bin.to_str().unwrap()]);
    let python = bin.join("python");
    let python = python.to_str().unwrap();
    let elsewhere = sandbox.path("elsewhere");
    let damages: [(&str, &dyn Fn(), &str); 5] = [
        ("missing", &|| {}, "is missing"),
        (
            "dangling",
            &|| system("/bin/ln", &["-s", "/no/such/python", python]),
            "is a broken link: No such file or directory",
        ),
        (
            "not executable",
            &|| system("/bin/ln", &["-s", "/etc/passwd", python]),
            "is not executable",
        ),
        (
            "another program",
            &|| system("/bin/ln", &["-s", elsewhere.to_str().unwrap(), python]),
            "is not the Python it was built on",
        ),
        (
            "a loop",
            &|| system("/bin/ln", &["-s", "python", python]),
            "is a broken link",
        ),
    ];
    for (damage, make, words) in damages {
        std::fs::remove_file(python).unwrap();
        make();
        for arguments in [
            &["run", "one", "--", "python", "-c", "print('ours')"][..],
            &["run", "one", "--", "python3", "-c", "print('ours')"],
            &["run", "one", "--", "sh", "-c", "python"],
            &["run", "one", "--print", "sh"],
            &["run", "one", "--print", "json"],
            &["run", "one", "--print", "python"],
            &["worker", "one", "--unix", "x", "--species-from-server"],
        ] {
            let output = sandbox.run(arguments);
            assert_eq!(output.expect(4).stdout, "", "{damage} {arguments:?}");
            for words in [
                "the Python of environment `one` cannot be used",
                words,
                "`rootstock sync --repair one`",
            ] {
                assert!(
                    output.message().contains(words),
                    "{words}: {}",
                    output.stderr
                );
            }
        }
        sandbox.sync(&["--repair", "one"]);
        let output = sandbox.run(&["run", "one", "--", "python", "-c", "print('ours')"]);
        assert_eq!(output.expect(0).stdout, "ours\n");
        let bin = sandbox.generation("root", "one").join("bin");
        system("/bin/chmod", &["u+w", bin.to_str().unwrap()]);
    }
}

#[test]
fn a_program_that_the_environment_has_lost_is_not_taken_from_path() {
    let sandbox = built();
    sandbox.program("shims/single", "#!/bin/sh\necho another\n");
    let path = format!("{}:/usr/bin:/bin", sandbox.path("shims").display());
    let run = || {
        let mut command = sandbox.command(&["run", "one", "--", "single"]);
        Output::from(command.env("PATH", &path).output().unwrap())
    };
    let tool = sandbox.generation("root", "one").join("bin/single");
    let tool = tool.to_str().unwrap();
    system("/bin/chmod", &["a-x", tool]);
    let result = run();
    assert!(
        result.expect(4).message().contains("cannot be executed"),
        "{}",
        result.stderr
    );
    system("/bin/rm", &["-f", tool]);
    let result = run();
    assert!(
        result.expect(4).message().contains("is gone"),
        "{}",
        result.stderr
    );
    sandbox.sync(&["--repair", "one"]);
    assert_eq!(run().expect(0).stdout, "single 1.0\n");
}

#[test]
fn the_interpreter_s_path_is_the_generation_s_own() {
    let sandbox = built();
    let output = sandbox.run(&["run", "one", "--print", "python"]);
    let python = sandbox.generation("root", "one").join("bin/python");
    assert_eq!(output.expect(0).stdout, format!("{}\n", python.display()));
}

#[test]
fn the_root_alone_is_enough() {
    let sandbox = built();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::rename(sandbox.path("root"), elsewhere.path().join("moved")).unwrap();
    let run = |arguments: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_rootstock"))
            .args(arguments)
            .current_dir(elsewhere.path())
            .env("ROOTSTOCK_ROOT", "moved")
            .output()
            .unwrap()
            .into()
    };
    let result = run(&[
        "run",
        "one",
        "--",
        "python",
        "-c",
        "import single; print(single.__file__)",
    ]);
    assert!(result.expect(0).stdout.contains("/moved/generations/one/"));
    run(&["run", "two", "--", "true"]).expect(2);
}

#[test]
fn a_cache_outside_the_root_is_found_from_the_root() {
    let sandbox = Sandbox::single();
    let manifest = sandbox.read("rootstock.toml");
    let cluster = "[clusters.della]\nroot = \"shared\"\ncache = \"scratch\"\n";
    sandbox.write("rootstock.toml", &format!("{manifest}{cluster}"));
    sandbox.sync(&["--cluster", "della"]);
    let output = sandbox.run(&["--root", "shared", "run", "one", "--", "/usr/bin/env"]);
    let cache = sandbox.path("scratch");
    assert_eq!(variable(output.expect(0), "XDG_CACHE_HOME"), cache.to_str());
    // Nothing to do means nothing to write.
    let output = sandbox.sync(&["--cluster", "della"]);
    assert!(output.stdout.contains("up to date"), "{}", output.stdout);
}

#[test]
fn what_cannot_run_is_explained_and_has_its_own_exit_code() {
    let sandbox = built();
    sandbox.write("plain", "");
    let run = |arguments: &[&str], code: i32, fragments: &[&str]| {
        let output = sandbox.run(&[&["run"], arguments].concat());
        output.expect(code);
        for fragment in fragments {
            assert!(output.stderr.contains(fragment), "{}", output.stderr);
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
        &["the root has no environment `three`", "one"],
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
        &["environment `one` is not built", "--root nowhere"],
    );
}

#[test]
fn a_shell_can_take_it_over() {
    let sandbox = built();
    let script = "eval \"$(\"$0\" run one --print sh)\"; python -c 'import single'; /usr/bin/env";
    let mut command = Command::new("/bin/sh");
    sandbox.set_up(&mut command);
    let result: Output = command
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
    result.expect(0);
    assert_eq!(result.stderr, "");
    let get = |name| variable(&result, name);
    let bin = sandbox.generation("root", "one").join("bin");
    assert_eq!(
        get("PATH"),
        Some(&*format!("{}:/usr/bin:/bin", bin.display()))
    );
    assert_eq!(
        get("NUMBA_CACHE_DIR"),
        Some("/home/it's me/.cache/rootstock/numba")
    );
    let environment = bin.parent().unwrap().to_str();
    assert_eq!((get("PYTHONPATH"), get("VIRTUAL_ENV")), (None, environment));
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
    let output = sandbox.run(&["run", "one", "--", "/usr/bin/env"]);
    let printed = value["variables"].as_object().unwrap();
    let seen: Vec<&str> = output.stdout.lines().collect();
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
    let manifest = sandbox.read("rootstock.toml").replace("GRID_*", "SITE_*");
    sandbox.write("rootstock.toml", &manifest);
    let result = sandbox.run(&["lock", "--check", "--json"]);
    assert_eq!(
        result.expect(3).json()["findings"][0]["code"],
        "keep-changed",
        "{}",
        result.stdout
    );
    sandbox.lock();
    sandbox.run(&["sync", "--check"]).expect(3);
    sandbox.sync(&[]);
    assert_eq!(sandbox.stamp("root", "one", "digest"), digest);
    assert_eq!(sandbox.names("root/generations/one").len(), 1);
    let mut command = sandbox.command(&["run", "one", "--clean", "--", "/usr/bin/env"]);
    let result: Output = command
        .envs([("GRID_JOB", "1"), ("SITE_JOB", "2")])
        .output()
        .unwrap()
        .into();
    assert_eq!(
        (variable(&result, "GRID_JOB"), variable(&result, "SITE_JOB")),
        (None, Some("2"))
    );
}

#[test]
fn what_must_not_be_kept_is_refused_in_its_place() {
    let sandbox = Sandbox::single();
    let manifest = sandbox.read("rootstock.toml");
    let kept = "keep = [\"GRID_*\", \"*\", \"PYTHONPATH\", \"LD_*\", \"A B\"]\n";
    sandbox.write("rootstock.toml", &format!("{manifest}{kept}"));
    let output = sandbox.run(&["lock"]);
    for fragment in [
        "`*` is not a variable's name",
        "`A B` is not a variable's name",
        "`PYTHONPATH` cannot be kept: `PYTHON…` decides which code Python loads",
        "`LD_*` cannot be kept",
        "give it a value of its own in `variables`",
    ] {
        assert!(
            output.expect(2).stderr.contains(fragment),
            "{}",
            output.stderr
        );
    }
}
