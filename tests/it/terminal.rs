//! Nothing raw reaches a terminal or a CI log: what others have written is shown with its control and bidirectional
//! characters written out, in text and in every machine format, and no line of it is a command to a CI runner.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixListener;

use crate::sandbox::{Output, Sandbox, Wheel};
use crate::worker;

/// Colour, title, bell, carriage return, a workflow command, the one-byte CSI, and a reversal.
const EVIL: &str =
    "a\u{1b}[31m\u{1b}]0;t\u{7}\r\n::error::b\u{9b}1m\u{7f}\u{202e}c\u{2066}\u{200f}d";

/// The same as TOML and JSON may write it.
fn escaped() -> String {
    let one = |c: char| match u32::from(c) {
        32..=126 => c.to_string(),
        number => format!("\\u{number:04x}"),
    };
    EVIL.chars().map(one).collect()
}

#[track_caller]
fn harmless(case: &str, output: &Output, is_shown: bool) {
    let mut all = format!("{}\n{}", output.stdout, output.stderr);
    if case.contains("always") {
        // Our own colours.
        for colour in ["0", "2", "31", "35;1", "36", "36;1;4", "33;1", "32;1"] {
            all = all.replace(&["\u{1b}[", colour, "m"].concat(), "");
        }
    }
    let raw = |c: &char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert_eq!(all.chars().find(raw), None, "{case}: {all:?}");
    for line in all.lines() {
        let ours = line.starts_with("::error file=");
        assert!(
            ours || !line.trim_start().starts_with("::"),
            "{case}: {all}"
        );
    }
    let number = [
        "\\r\\n",
        "\\u{9b}",
        "\\u{202e}",
        "\\u202e",
        "\\u{1b}",
        "\\u001b",
        "\\x1b",
    ];
    assert!(
        !is_shown || number.iter().any(|form| all.contains(form)),
        "{case}: not shown: {all}"
    );
}

/// A project with this in place of that in its manifest, or in its lock.
fn with(file: &str, from: &str, to: &str) -> Sandbox {
    let sandbox = Sandbox::single();
    let text = sandbox.read(file);
    assert!(text.contains(from), "{text}");
    sandbox.write(file, &text.replacen(from, to, 1));
    sandbox
}

#[test]
fn names_of_a_manifest_and_its_lock() {
    let evil = escaped();
    let manifest = "rootstock.toml";
    let source = "source = \"environments/one.py\"";
    let cases = [
        (manifest, source, format!("{source}\n\"{evil}\" = 1")),
        (manifest, source, format!("source = \"{evil}.py\"")),
        (
            manifest,
            source,
            format!("{source}\ndependencies = [\"{evil}\"]"),
        ),
        (
            manifest,
            source,
            format!("{source}\ndependencies = [\"x @ ./{evil}.whl\"]"),
        ),
        (
            manifest,
            source,
            format!("{source}\nindexes = {{ \"{evil}\" = \"x\" }}"),
        ),
        (manifest, source, format!("{source}\nmodels = [\"{evil}\"]")),
        (
            manifest,
            "[environments.one]",
            format!("[environments.\"{evil}\"]"),
        ),
        // Raw, in a line that is shown.
        (
            manifest,
            source,
            format!("{source}\nb = '\u{202e}\u{200f}\u{2066}'"),
        ),
        (
            manifest,
            "python = \"3.11\"",
            format!("python = \"{evil}\""),
        ),
        ("rootstock.lock", "single", evil.clone()),
        ("rootstock.lock", "requires", format!("\"{evil}\"")),
        ("environments/one.py", "\"single\"", format!("\"{evil}\"")),
    ];
    for (file, from, to) in &cases {
        let sandbox = with(file, from, to);
        for words in [
            "lock --check",
            "lock --check --json",
            "lock --check --github",
            "lock --check --sarif -",
            "lock --check --color always",
            "sync",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let case = format!("{file}: {to}: {words:?}");
            // A requirement that the lock has and the manifest has not is not named.
            harmless(&case, &sandbox.run(&words), *from != "single");
        }
        let output = sandbox.run(&["lock", "--check"]);
        assert_ne!(output.code, Some(0), "{file}: {to}");
    }
}

#[test]
fn what_a_check_finds_in_every_format() {
    let sandbox = with(
        "rootstock.toml",
        "environments/one.py",
        &format!("{}.py", escaped()),
    );
    fs::rename(
        sandbox.path("environments/one.py"),
        sandbox.path(&format!("{EVIL}.py")),
    )
    .unwrap();
    for format in [&[][..], &["--json"], &["--github"], &["--sarif", "-"]] {
        let output = sandbox.run(&[&["lock", "--check"], format].concat());
        harmless(&format!("{format:?}"), output.expect(3), true);
    }
    sandbox
        .run(&["lock", "--check", "--sarif", "log"])
        .expect(3);
    let log = Output {
        code: None,
        stdout: sandbox.read("log"),
        stderr: String::new(),
    };
    harmless("a file", &log, true);
    // What is locked has them too.
    let sandbox = with(
        "rootstock.toml",
        "python = \"3.11\"",
        &format!("python = \"3.11\"\nvariables = {{ A = \"{}\" }}", escaped()),
    );
    sandbox.lock();
    sandbox.sync(&[]);
    harmless(
        "--print json",
        &sandbox.run(&["run", "one", "--print", "json"]),
        true,
    );
}

#[test]
fn the_argument_of_a_model() {
    let sandbox = Sandbox::single();
    let argument = escaped();
    sandbox.more(&format!(
        "[models.m]\nenvironment = \"one\"\nargument = \"{argument}\""
    ));
    sandbox.lock();
    sandbox.run(&["sync", "--offline"]);
    for words in [&["status"][..], &["status", "--json"]] {
        harmless(&format!("{words:?}"), &sandbox.run(words), true);
    }
}

#[test]
fn a_claim_of_another_user() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let id = sandbox.stamp("root", "one", "id");
    let evil = escaped();
    let claim = format!(
        "{{\"schema\": 1, \"environment\": \"one\", \"id\": {id}, \"user\": \"{evil}\", \"host\": \"{evil}\", \
         \"process\": 1, \"maker\": \"{evil}\", \"since\": \"{evil}\", \"beat\": 1}}"
    );
    let id = id.as_str().unwrap();
    sandbox.write(&format!("root/claims/one@{id}.json"), &claim);
    for words in [&["status"][..], &["status", "--json"]] {
        harmless(&format!("{words:?}"), &sandbox.run(words), true);
    }
    for words in [&["doctor"][..], &["gc", "--older-than", "0s"]] {
        harmless(&format!("{words:?}"), &sandbox.run(words), false);
    }
}

#[test]
fn names_in_a_wheel() {
    for name in [
        "single/\u{1b}[31m\u{202e}x.py",
        "single/a\r\n::error::b.py",
        "single/\u{9b}.py",
    ] {
        let sandbox = Sandbox::new(&[("one", &["single"])]);
        let wheel = Wheel::simple("single", "1.0").file(name, "x = 1\n");
        sandbox.index.add(&wheel);
        sandbox.lock();
        harmless(name, sandbox.run(&["sync"]).expect(1), true);
        harmless(name, sandbox.run(&["sync", "--json"]).expect(1), true);
        harmless(name, sandbox.run(&["doctor", "--deep"]).expect(0), false);
    }
}

#[test]
fn what_an_import_prints_and_raises() {
    let sandbox = Sandbox::single();
    let raise = format!("print(\"{0}\")\nraise ValueError(\"{0}\")\n", escaped());
    sandbox.write_source("one", &["single"], &raise);
    sandbox.lock();
    harmless("sync", sandbox.run(&["sync"]).expect(1), true);
    for words in [
        &["doctor", "--import"][..],
        &["doctor", "--import", "--json"],
    ] {
        harmless(&format!("{words:?}"), sandbox.run(words).expect(1), true);
    }
}

#[test]
fn the_reply_of_a_server() {
    let root = worker::root();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server");
    let server = UnixListener::bind(&path).unwrap();
    let worker = std::process::Command::new(worker::ROOTSTOCK)
        .args([
            "worker",
            "odd-zero",
            "--species",
            "Cu",
            "--pbc",
            "TTT",
            "--color",
            "always",
            "--root",
        ])
        .arg(root)
        .arg("--unix")
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut connection, _) = server.accept().unwrap();
    connection
        .write_all("\u{1b}[31m\u{202e}\u{7}abc".as_bytes())
        .unwrap();
    drop(connection);
    let output = Output::from(worker.wait_with_output().unwrap());
    assert_ne!(output.code, Some(0));
    harmless("server, --color always", &output, true);
    drop(fs::remove_file(path));
}
