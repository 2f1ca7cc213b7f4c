//! `rootstock run ENV --python P`: an environment's packages under a Python that is not its own, or the reason why not.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rootstock::overlay::{Mode, Record};
use snapbox::str;

use crate::sandbox::{Output, Sandbox, Wheel, python, python_version, send, trace};

pub(crate) mod builds;

/// `one` needs `single`, `two` nothing; locked. `two` is built, so that there is a root.
fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["single"]), ("two", &[])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    sandbox.lock();
    sandbox.sync(&["two"]);
    sandbox
}

/// A virtual environment of the machine's Python 3.11: an interpreter that is not the environment's, of the same ABI.
fn venv(sandbox: &Sandbox) -> PathBuf {
    let place = sandbox.path("venv");
    let made = Command::new(python())
        .args(["-I", "-m", "venv", "--without-pip"])
        .arg(&place)
        .status();
    assert!(made.unwrap().success());
    place.join("bin/python")
}

/// A program that says it is this Python, and is the machine's Python otherwise.
fn claiming(sandbox: &Sandbox, implementation: &str, version: &str, rest: &str) -> PathBuf {
    let place = sandbox.path("other/python3");
    let answer = format!(
        r#"{{"executable": "{}", "identity": {{"implementation": "{implementation}", "version": "{version}", {rest}}}"#,
        place.display()
    );
    let script = format!(
        "#!/bin/sh\nif [ \"$1 $2\" = '-I -S' ]; then echo '{answer}'; exit; fi\nexec {} \"$@\"\n",
        python().display()
    );
    sandbox.program("other/python3", &script);
    place
}

/// A program that says it is a CPython 3.10.
fn of_another_series(sandbox: &Sandbox) -> PathBuf {
    let machine = std::env::consts::ARCH;
    let rest = format!(
        r#""soabi": "cpython-310-{machine}-linux-gnu", "platform": "linux-{machine}"}}, "glibc": "2.36""#
    );
    claiming(sandbox, "cpython", "3.10.13", &rest)
}

/// The command, with a cache of its own.
fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    private(sandbox, &mut command);
    command
}

fn private(sandbox: &Sandbox, command: &mut Command) {
    command
        .env("XDG_CACHE_HOME", sandbox.path("cache"))
        .env("ROOTSTOCK_UV", crate::limits::uv())
        .env("UV_CACHE_DIR", sandbox.path("uv-cache"));
}

/// `rootstock run one --python PYTHON OPTIONS -- python CODE`.
fn run(sandbox: &Sandbox, python: &Path, options: &[&str], code: &str) -> Output {
    let python = python.to_str().unwrap();
    let all = [
        &["run", "one", "--python", python],
        options,
        &["--", "python", "-c", code],
    ]
    .concat();
    command(sandbox, &all).output().unwrap().into()
}

const IMPORT: &str = "import single; print(single.VERSION, single.__file__)";

fn records(sandbox: &Sandbox, name: &str) -> Vec<Record> {
    let text = sandbox.read(name);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn a_python_of_the_same_abi_has_what_is_built_and_builds_nothing() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let before = sandbox.index.asked();
    let mut pythons = vec![venv(&sandbox)];
    let debian = PathBuf::from("/usr/bin/python3.11");
    let differs = debian.exists() && debian.canonicalize().unwrap() != python();
    if differs {
        pythons.push(debian);
    }
    for python in pythons {
        let output = run(&sandbox, &python, &["--record", "record"], IMPORT);
        assert_eq!(output.expect(0).stderr, "");
        let (version, path) = output.stdout.trim().split_once(' ').unwrap();
        assert_eq!(version, "1.0");
        assert!(
            Path::new(path).starts_with(sandbox.generation("root", "one")),
            "{path}"
        );
        let records = records(&sandbox, "record");
        let record = records.last().unwrap();
        assert_eq!(record.environment.as_str(), "one");
        assert_eq!(record.overlay, Mode::Prepend);
        assert_eq!(
            record.generation.as_deref(),
            sandbox.stamp("root", "one", "id").as_str()
        );
        let python_in_it = record.python.as_ref().unwrap();
        assert_eq!(python_in_it.executable.as_deref(), python.to_str());
        assert_eq!(
            (python_in_it.pid, record.argv0.as_deref()),
            (record.pid, Some("-c"))
        );
    }
    assert_eq!(sandbox.index.asked(), before);
    // The rest of the caller's variables is as it was.
    let code =
        "import os; print(os.environ['PYTHONPATH'].split(':')[1:], os.environ['LD_LIBRARY_PATH'])";
    let venv = sandbox.path("venv/bin/python");
    let output = command(
        &sandbox,
        &[
            "run",
            "one",
            "--python",
            venv.to_str().unwrap(),
            "--",
            "python3",
            "-c",
            code,
        ],
    )
    .env("PYTHONPATH", "/a:/b")
    .env("LD_LIBRARY_PATH", "/c")
    .output()
    .unwrap();
    assert_eq!(Output::from(output).expect(0).stdout, "['/a', '/b'] /c\n");
}

#[test]
fn the_environment_s_own_python_gets_no_overlay() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let own = sandbox.path("root/envs/one/bin/python");
    let link = sandbox.path("link");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    for python in [&own, &link] {
        let code = "import single, sys; print(sys.prefix)";
        let output = run(&sandbox, python, &["--record", "record"], code);
        let generation = sandbox.generation("root", "one");
        assert_eq!(output.expect(0).stdout.trim(), generation.to_str().unwrap());
        assert_eq!(
            records(&sandbox, "record").last().unwrap().overlay,
            Mode::Own
        );
    }
    let output = run(
        &sandbox,
        &own,
        &["--require-overlay"],
        "raise SystemExit(3)",
    );
    output.expect(3);
}

/// The programs that were started, of those that are below this directory or have this name.
fn started(seen: &Path, what: &str) -> usize {
    let text = fs::read_to_string(seen).unwrap();
    let is_start = |line: &&str| line.contains("execve(") && line.contains(" = 0");
    let lines = text.lines().filter(is_start);
    lines
        .filter(|line| {
            line.split('"')
                .nth(1)
                .is_some_and(|path| path.contains(what))
        })
        .count()
}

#[test]
fn without_the_option_no_python_is_started() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = project();
    sandbox.sync(&["one"]);
    let seen = sandbox.path("seen");
    let mut traced = trace::writing_to(&sandbox, &seen, &["trace=execve"]);
    let output = traced
        .args(["run", "one", "--", "/bin/sh", "-c", ":"])
        .output();
    Output::from(output.unwrap()).expect(0);
    assert_eq!(started(&seen, "python"), 0);
    assert_eq!(started(&seen, ""), 2);
}

#[test]
fn a_series_that_is_not_locked_is_named_and_the_command_runs() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let python = of_another_series(&sandbox);
    let output = run(&sandbox, &python, &[], "print('ran'); raise SystemExit(7)");
    assert_eq!(output.expect(7).stdout, "ran\n");
    let machine = std::env::consts::ARCH;
    assert_eq!(
        output.stderr,
        format!(
            "warning: environment `one` is not locked for cpython 3.10.13 (cpython-310-{machine}-linux-gnu); the command runs \
             without the environment's packages; write `also-python = [\"3.10\"]` into `[environments.one]`, then run \
             `rootstock lock && rootstock sync one@3.10`\n"
        )
    );
    let code = "open('started', 'w')";
    let output = run(&sandbox, &python, &["--require-overlay"], code);
    output.expect(4);
    assert!(
        output.message().contains("`also-python = [\"3.10\"]`"),
        "{}",
        output.message()
    );
    assert!(!sandbox.path("started").exists());
    // Its record says which Python it was in truth, and that it had nothing of the environment.
    let output = run(&sandbox, &python, &["--record", "record"], "import single");
    output.expect(1);
    let record = &records(&sandbox, "record")[0];
    assert_eq!((record.overlay, &record.generation), (Mode::None, &None));
    assert_eq!(record.python.as_ref().unwrap().version, python_version());
    // Where there is no manifest, that is what is missing.
    let output = command(
        &sandbox,
        &[
            "--manifest",
            "no.toml",
            "--root",
            "root",
            "run",
            "one",
            "--python",
        ],
    )
    .arg(&python)
    .args(["--", "/bin/sh", "-c", "exit 5"])
    .output()
    .unwrap();
    let output = Output::from(output);
    output.expect(5);
    assert!(
        output
            .stderr
            .contains("there is no `no.toml` to build it from; the command runs without the environment's packages; in the \
                       directory of its `rootstock.toml`: write `also-python = [\"3.10\"]`"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_version_alone_is_not_enough() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let version = python_version();
    let machine = std::env::consts::ARCH;
    let usual = format!("cpython-311-{machine}-linux-gnu");
    for (implementation, soabi, platform, glibc, why) in [
        (
            "pypy",
            "pypy311-pp73",
            machine,
            "\"2.36\"",
            "with its usual ABI",
        ),
        (
            "cpython",
            "cpython-311t-x86_64-linux-gnu",
            machine,
            "\"2.36\"",
            "with its usual ABI",
        ),
        (
            "cpython",
            "cpython-311d-x86_64-linux-gnu",
            machine,
            "\"2.36\"",
            "with its usual ABI",
        ),
        ("cpython", "", machine, "\"2.36\"", "with its usual ABI"),
        (
            "cpython",
            &usual,
            "riscv64",
            "\"2.36\"",
            "is not locked for",
        ),
        ("cpython", &usual, machine, "null", "does not run on glibc"),
    ] {
        let rest =
            format!(r#""soabi": "{soabi}", "platform": "linux-{platform}"}}, "glibc": {glibc}"#);
        let python = claiming(&sandbox, implementation, version, &rest);
        let output = run(&sandbox, &python, &[], "raise SystemExit(8)");
        output.expect(8);
        assert!(output.stderr.contains(why), "{soabi}: {}", output.stderr);
        run(&sandbox, &python, &["--require-overlay"], "pass").expect(4);
    }
}

/// Puts a package into a virtual environment.
fn put(sandbox: &Sandbox, version: &str) {
    let site = "venv/lib/python3.11/site-packages";
    sandbox.write(
        &format!("{site}/single/__init__.py"),
        &format!("VERSION = \"{version}\"\n"),
    );
    let metadata = format!("Metadata-Version: 2.1\nName: Single\nVersion: {version}\n");
    sandbox.write(
        &format!("{site}/single-{version}.dist-info/METADATA"),
        &metadata,
    );
    sandbox.write(
        &format!("{site}/single-{version}.dist-info/RECORD"),
        "single/__init__.py,,\n",
    );
}

#[test]
fn a_package_of_its_own_wins_and_is_named() {
    let sandbox = Sandbox::new(&[("one", &["single", "other"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    sandbox
        .index
        .add(&Wheel::simple("other", "1.0").requires("single>=1"));
    sandbox.lock();
    sandbox.sync(&[]);
    let python = venv(&sandbox);
    let code = "import single, other; print(single.VERSION, other.VERSION)";
    assert_eq!(
        run(&sandbox, &python, &[], code).expect(0).stdout,
        "1.0 1.0\n"
    );
    // What was remembered of it holds no longer.
    put(&sandbox, "2.1");
    let output = run(&sandbox, &python, &["--record", "record"], code);
    assert_eq!(output.expect(0).stdout, "2.1 1.0\n");
    output.stderr_is(
        &sandbox,
        str!["warning: Single 2.1 in [PROJECT]/venv/lib/python3.11/site-packages is used, not 1.0 of environment `one`; `--overlay prepend` reverses that"],
    );
    let record = &records(&sandbox, "record")[0];
    assert_eq!(record.overlay, Mode::Append);
    let [collision] = &record.collisions[..] else {
        panic!("{record:?}")
    };
    assert_eq!(collision.name, "single");
    assert_eq!(
        (collision.theirs.as_deref(), collision.ours.as_deref()),
        (Some("2.1"), Some("1.0"))
    );
    let output = run(&sandbox, &python, &["--overlay", "prepend"], code);
    assert_eq!(output.expect(0).stdout, "1.0 1.0\n");
    output.stderr_is(
        &sandbox,
        str!["warning: Single 1.0 of environment `one` is used, not 2.1 in [PROJECT]/venv/lib/python3.11/site-packages"],
    );
    // Only what was asked for: `other` needs `single`, and nothing needs `other`.
    let output = run(
        &sandbox,
        &python,
        &["--packages", "other", "--overlay", "prepend"],
        code,
    );
    assert_eq!(output.expect(0).stdout, "1.0 1.0\n");
    let output = run(&sandbox, &python, &["--packages", "single"], "import other");
    output.expect(1);
    let output = run(&sandbox, &python, &["--packages", "singel"], code);
    output.expect(2);
    assert!(
        output.message().contains("did you mean `single`?"),
        "{}",
        output.message()
    );
    let code = "import importlib.metadata as m; print(m.version('other'), m.version('single'))";
    let output = run(&sandbox, &python, &["--packages", "other"], code);
    assert_eq!(output.expect(0).stdout, "1.0 2.1\n");
    let output = run(&sandbox, &python, &["--overlay", "skip"], "import other");
    output.expect(1);
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);
}

#[test]
fn what_does_not_satisfy_the_environment_leaves_it_out() {
    let sandbox = Sandbox::new(&[("one", &["single", "other"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    let other = Wheel::simple("other", "1.0").requires("single>=1,<2");
    sandbox
        .index
        .add(&other.requires("single>=9; python_version < '3'"));
    sandbox.lock();
    sandbox.sync(&[]);
    let python = venv(&sandbox);
    put(&sandbox, "2.1");
    let output = run(
        &sandbox,
        &python,
        &[],
        "import single; print(single.VERSION); import other",
    );
    assert_eq!(output.expect(1).stdout, "2.1\n");
    let first = output.stderr.lines().next().unwrap();
    let last = first.replace(&sandbox.path("").display().to_string(), "[P]/");
    assert_eq!(
        last,
        "warning: what `[P]/venv/bin/python` has does not fit environment `one`: other 1.0 requires single>=1, <2, and \
         single 2.1 is in [P]/venv/lib/python3.11/site-packages; the command runs without the environment's packages; change \
         it there, add only some packages with `--packages`, or let the environment's win with `--overlay prepend`"
    );
    run(&sandbox, &python, &["--require-overlay"], "pass").expect(4);
    // Of `single` alone nothing is required.
    let output = run(
        &sandbox,
        &python,
        &["--packages", "single", "--require-overlay"],
        "import single",
    );
    output.expect(0);
}

#[test]
fn a_program_that_is_no_python_costs_little() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    for (name, script) in [
        ("fails", "exit 1"),
        ("blank", ":"),
        ("garbage", "echo '{\"executable\": 7}'"),
        ("lines", "echo no; echo json"),
        (
            "endless",
            "while :; do echo 0123456789012345678901234567890123456789; done",
        ),
        (
            "raw",
            "printf '{\"version\": \"3\\033[31m\"}\\377\\000'; printf '\\033[31m' >&2",
        ),
        ("killed", "kill -9 $$"),
        (
            "loud",
            "while :; do echo 0123456789012345678901234567890123456789 >&2; done & exit 0",
        ),
        // Were it waited for, the test would not end.
        ("hangs", "sleep 1000"),
        ("hangs-and-holds", "sleep 1000 & exec sleep 1000"),
    ] {
        sandbox.program(&format!("fake/{name}"), &format!("#!/bin/sh\n{script}\n"));
        let fake = sandbox.path(&format!("fake/{name}"));
        let all = ["run", "one", "--python", fake.to_str().unwrap()];
        let all = [&all[..], &["--", "/bin/sh", "-c", "exit 6"]].concat();
        let mut command = command(&sandbox, &all);
        let output = Output::from(command.env("PATH", "/usr/bin:/bin").output().unwrap());
        output.expect(6);
        assert!(
            output.stderr.contains("is no Python, or did not say which"),
            "{}",
            output.stderr
        );
    }
    let output = run(&sandbox, Path::new("/no/such/python"), &[], "pass");
    output.expect(127);
    assert!(
        output.message().contains("`/no/such/python` is not found"),
        "{}",
        output.message()
    );
}

#[test]
fn a_python_that_ignores_the_variables_is_noticed() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let python = venv(&sandbox);
    let with = |options: &[&str], arguments: &[&str]| -> Output {
        let all = [
            &["run", "one", "--python", python.to_str().unwrap()],
            options,
            &["--"],
            arguments,
        ];
        command(&sandbox, &all.concat()).output().unwrap().into()
    };
    for flag in ["-I", "-E", "-S"] {
        let output = with(&["--record", "record"], &["python", flag, "-c", "pass"]);
        assert!(
            output.expect(0).stderr.contains("no Python has reported"),
            "{}",
            output.stderr
        );
        with(&["--require-overlay"], &["python", flag, "-c", "pass"]).expect(1);
        with(
            &["--require-overlay"],
            &["python", flag, "-c", "raise SystemExit(5)"],
        )
        .expect(5);
    }
    let output = with(&["--record", "record"], &["/bin/sh", "-c", "kill -TERM $$"]);
    output.expect(128 + 15);
    let records = records(&sandbox, "record");
    assert_eq!(records.len(), 4);
    assert!(
        records
            .iter()
            .all(|record| record.python.is_none() && record.overlay == Mode::None)
    );
    // Every process of the command has a line; each has the packages.
    let code = "import subprocess, sys, single; subprocess.check_call([sys.executable, '-c', 'import single'])";
    with(
        &["--record", "many", "--require-overlay"],
        &["python", "-c", code],
    )
    .expect(0);
    let many = crate::foreign::records(&sandbox, "many");
    assert_eq!(many.len(), 2);
    assert_ne!(many[0].pid, many[1].pid);
    // One's own `sitecustomize` runs as well.
    sandbox.write("mine/sitecustomize.py", "print('mine')\n");
    let all = [
        "run",
        "one",
        "--python",
        python.to_str().unwrap(),
        "--",
        "python",
        "-c",
        "import single",
    ];
    let output: Output = command(&sandbox, &all)
        .env("PYTHONPATH", sandbox.path("mine"))
        .output()
        .unwrap()
        .into();
    assert_eq!(output.expect(0).stdout, "mine\n");
}

#[test]
fn a_cache_that_cannot_be_made_is_in_no_one_s_way() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let python = venv(&sandbox);
    sandbox.write("file", "");
    let with = |options: &[&str]| -> Output {
        let all = [
            &["run", "one", "--python", python.to_str().unwrap()],
            options,
        ];
        let mut command = sandbox.command(&all.concat());
        command.args(["--", "/bin/sh", "-c", "exit 5"]);
        command.env("XDG_CACHE_HOME", sandbox.path("file"));
        command.output().unwrap().into()
    };
    let output = with(&[]);
    assert!(
        output
            .expect(5)
            .stderr
            .contains("cannot be written: caches of compiled code are in"),
        "{}",
        output.stderr
    );
    with(&["--record", "record"]).expect(5);
    let [record] = &records(&sandbox, "record")[..] else {
        panic!("{}", sandbox.read("record"))
    };
    assert_eq!((record.overlay, &record.python), (Mode::None, &None));
    with(&["--require-overlay"]).expect(5);
}

#[test]
fn a_signal_reaches_the_command() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let python = venv(&sandbox);
    let code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(9)); print('ready', flush=True); signal.pause()";
    let python = python.to_str().unwrap();
    let all = [
        "run", "one", "--python", python, "--record", "record", "--", "python", "-c", code,
    ];
    let mut child = command(&sandbox, &all)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    send("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert!(records(&sandbox, "record")[0].python.is_some());
    // Nothing is left of the wait.
    let left = sandbox.names("cache/rootstock");
    assert_eq!(left, ["interpreters", "overlay"]);
}

#[test]
fn options_of_another_python_need_one() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    for option in [
        &["--overlay", "append"][..],
        &["--packages", "single"],
        &["--require-overlay"],
        &["--record", "record"],
        &["--python", "python3.11", "--clean"],
        &["--python", "python3.11", "--overlay", "sometimes"],
        &["--python", "python3.11", "--record", "no/such/place"],
        &[
            "--python",
            "python3.11",
            "--overlay",
            "skip",
            "--require-overlay",
        ],
    ] {
        let all = [&["run", "one"], option, &["--", "/bin/true"]].concat();
        sandbox.run(&all).expect(2);
    }
    sandbox
        .run(&["run", "oen", "--python", "python3.11", "--", "/bin/true"])
        .expect(2);
}

/// Written by the first version that had records.
const FIRST_RECORD: &str = include_str!("../records/1.jsonl");

/// Which generation fits a Python is chosen; naming one as well is a mistake, with what to write instead.
#[test]
fn a_generation_is_not_named_beside_a_python() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let id = sandbox.stamp("root", "one", "id");
    let name = format!("one@{}", id.as_str().unwrap());
    let python = venv(&sandbox);
    let output = sandbox.run(&[
        "run",
        &name,
        "--python",
        python.to_str().unwrap(),
        "--",
        "python",
        "-c",
        "",
    ]);
    output.expect(2);
    let message = output.message();
    assert!(
        message.contains("is one generation, and `--python` takes the one that fits that Python"),
        "{message}"
    );
    assert!(message.contains("name the environment, `one`"), "{message}");
    sandbox
        .run(&["run", &name, "--", "python", "-c", ""])
        .expect(0);
}

#[test]
fn a_record_of_the_first_version_can_be_read() {
    let read: Vec<Record> = FIRST_RECORD
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read[0].python.as_ref().unwrap().version, "3.12.1");
    assert_eq!(read[0].collisions[0].name, "numpy");
    assert!(read[1].python.is_none());
    let again: String = read.iter().map(Record::line).collect();
    assert_eq!(again, FIRST_RECORD);
}
