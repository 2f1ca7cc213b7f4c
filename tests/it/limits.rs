//! Limits of a shell or job, each beside each command: what does not fit is an error that names the limit, never a panic.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::sandbox::person::{Person, can_be_others};
use super::sandbox::{Output, Sandbox};

/// The kernel counts processes of each user, and root's not at all.
const COUNTED: Person = Person {
    user: 61_009,
    groups: "61009",
};

/// Options and values of `ulimit`; sizes are in kilobytes.
const LIMITS: &[(&str, &str)] = &[
    ("-u", "1"),
    ("-u", "2"),
    ("-u", "3"),
    ("-u", "4"),
    ("-u", "5"),
    ("-u", "6"),
    ("-u", "7"),
    ("-u", "8"),
    ("-n", "8"),
    ("-n", "16"),
    ("-v", "100000"),
    ("-v", "300000"),
    ("-f", "1"),
];

const COMMANDS: &[&str] = &[
    "lock --upgrade",
    "lock --check",
    "sync",
    "sync --repair",
    "sync --root fresh",
    "sync --check",
    "status",
    "doctor --deep",
    "doctor --import",
    "gc --older-than 0d",
    "worker one-a --unix /no/such/server --species H --pbc FFF --startup-timeout 60",
    "probe one-a",
    "run one -- python -c pass",
    "export one --format requirements",
    "bundle -o carried",
    "image one --allow-system-python -o one.tar.zst",
    "stage one --allow-system-python --to staged",
    "call one math:hypot 3 4",
    "call one --fresh math:hypot 3 4",
    "call one --list bisect",
    "run one --python python3.11 -- python3.11 -c pass",
];

/// The uv that this machine's runs have fetched.
pub(crate) fn uv() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let all = std::fs::read_dir(cache.join("rootstock/uv")).unwrap();
    let mut all = all.map(|entry| entry.unwrap().path());
    all.find(|path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("uv-")
    })
    .expect("lock has fetched it")
}

/// A shell command in the project, by a user whose processes are counted, where there can be one.
fn shell(sandbox: &Sandbox, others: bool, script: &str, arguments: &[&str]) -> Output {
    let bash = Path::new("/bin/bash");
    let mut command = if others {
        COUNTED.command(sandbox, bash)
    } else {
        let mut command = Command::new(bash);
        sandbox.set_up(&mut command);
        command
    };
    command
        .args(["-c", script, "bash"])
        .args(arguments)
        .env("XDG_CACHE_HOME", sandbox.path("home/cache"))
        .env("ROOTSTOCK_UV", uv());
    Output::from(command.output().unwrap())
}

/// A marker whose decision diagram has twice as many nodes with each part.
pub(crate) fn doubling(parts: usize) -> String {
    let part = |n| format!("'a{n}' in os_name and 'b{n}' in sys_platform");
    (0..parts).map(part).collect::<Vec<_>>().join(" or ")
}

/// Reading a project takes neither time nor memory without bounds, nor the whole stack.
#[test]
fn a_marker_of_too_many_parts_is_refused_in_its_place() {
    let sandbox = Sandbox::single();
    let (manifest, source) = (
        sandbox.read("rootstock.toml"),
        sandbox.read("environments/one.py"),
    );
    let nested = format!("{}os_name == 'x'", "(".repeat(100_000));
    let extras: Vec<String> = (0..40).map(|n| format!("extra == 'e{n}'")).collect();
    let many = vec!["os_name != 'x'"; 1000].join(" or ");
    let bounded = "ulimit -v 2000000 -t 60; shift 2; exec \"$@\"";
    let run = |words: &[&str]| {
        let program = env!("CARGO_BIN_EXE_rootstock");
        shell(
            &sandbox,
            false,
            bounded,
            &[&["-", "-", program], words].concat(),
        )
    };
    for marker in [doubling(40), nested, extras.join(" or "), many] {
        for key in [
            "dependencies",
            "constraints",
            "overrides",
            "build-constraints",
        ] {
            let own = format!("source = \"environments/one.py\"\n{key} = [\"single; {marker}\"]");
            sandbox.write(
                "rootstock.toml",
                &manifest.replacen("source = \"environments/one.py\"", &own, 1),
            );
            for words in [&["lock", "--check"][..], &["lock"], &["sync"], &["status"]] {
                let output = run(words);
                output.expect(2);
                let message = output.message();
                assert!(
                    message.contains("the marker has too many parts"),
                    "{key}: {message}"
                );
                assert!(message.contains("rootstock.toml:"), "{key}: {message}");
            }
        }
        sandbox.write("rootstock.toml", &manifest);
        let script = source.replacen("\"single\"", &format!("\"single; {marker}\""), 1);
        sandbox.write("environments/one.py", &script);
        let output = run(&["lock", "--check"]);
        output.expect(2);
        let message = output.message();
        assert!(
            message.contains("the marker has too many parts"),
            "{message}"
        );
        assert!(message.contains("environments/one.py:"), "{message}");
        sandbox.write("environments/one.py", &source);
    }
    run(&["lock", "--check"]).expect(0);
}

#[test]
fn no_limit_makes_a_command_panic() {
    let sandbox = Sandbox::single();
    sandbox.more("prefetch = false\nmodels = [\"a\"]");
    sandbox.lock();
    sandbox.sync(&[]);
    let others = can_be_others();
    if others {
        let project = sandbox.path(".");
        let own = Command::new("chown")
            .args(["-R", "61009:61009"])
            .arg(project)
            .status();
        assert!(own.unwrap().success());
    }
    let mut wrong = Vec::new();
    for (option, value) in LIMITS {
        for line in COMMANDS {
            let limited = "chmod -R u+w staged; rm -rf fresh carried staged; mkdir staged; ulimit \"$1\" \"$2\" || exit 99; shift 2; exec \"$@\"";
            let mut arguments = vec![*option, *value, env!("CARGO_BIN_EXE_rootstock")];
            arguments.extend(line.split(' '));
            let output = shell(&sandbox, others, limited, &arguments);
            let named = output.stderr.contains(&format!("(`ulimit {option}`)"));
            // What `doctor` finds, and what a command of `run` says, is on another stream, or theirs.
            let is_silent = !named
                && matches!(output.code, Some(1 | 4))
                && !line.starts_with("call one --list")
                && !line.starts_with("doctor")
                && !line.starts_with("run");
            if matches!(output.code, None | Some(99 | 101 | 134))
                || output.stderr.contains("panicked at src/")
                || is_silent
            {
                wrong.push(format!(
                    "ulimit {option} {value}; {line}: {:?}\n{}\n{}",
                    output.code, output.stdout, output.stderr
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {}",
        wrong.len(),
        LIMITS.len() * COMMANDS.len(),
        wrong.join("\n")
    );
}
