//! What a program prints for other programs, compared whole with a file: keys, codes and values are an interface. What
//! differs from run to run or from machine to machine is masked, and so are sentences for people.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use snapbox::data::DataFormat;
use snapbox::{Assert, Data};

use super::{Output, Sandbox, python};

/// Keys with sentences for people.
const SENTENCES: &[&str] = &[
    "error", "errors", "fix", "found", "help", "message", "reason", "text",
];

/// Keys with amounts that depend on the machine, its Python or its speed. Zero stays: it means that there is nothing.
const AMOUNTS: &[&str] = &[
    "bytes",
    "bytes-free",
    "bytes-left",
    "cache",
    "compute",
    "exchange_us",
    "generations",
    "hand_over",
    "hand_over_us",
    "inodes",
    "inodes-free",
    "inodes-left",
    "overhead",
    "overhead_percent",
    "process",
    "round_trip",
    "seconds",
    "socket",
    "store",
    "trash",
];

/// Keys whose values describe the machine.
const MACHINE: &[&str] = &[
    "abilities",
    "beat",
    "builder",
    "device",
    "driver",
    "glibc",
    "host",
    "kind",
    "network",
    "of",
    "platform",
    "quotas",
    "since",
    "soabi",
    "user",
];

/// Objects in which the keys of [`MACHINE`] do describe the machine.
const OF_MACHINE: &[&str] = &[
    "filesystem",
    "machine",
    "room",
    "building",
    "identity",
    "python",
];

/// Runs the program and compares its command line, exit code and JSON with `tests/it/json/NAME.json`.
#[track_caller]
pub(crate) fn check(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Output {
    let output = sandbox.run(arguments);
    compare(sandbox, name, arguments, &output);
    output
}

/// The same for what was run already.
#[track_caller]
pub(crate) fn compare(sandbox: &Sandbox, name: &str, arguments: &[&str], result: &Output) {
    let output = serde_json::from_str(&result.stdout).unwrap_or_else(|_| {
        let lines = result
            .stdout
            .lines()
            .map(|line| Value::from(annotation(line)));
        Value::Array(lines.collect())
    });
    document(
        sandbox,
        name,
        &json!({ "arguments": arguments, "exit": result.code, "output": output }),
    );
}

/// Compares a file that the program has written.
#[track_caller]
pub(crate) fn file(sandbox: &Sandbox, name: &str, path: &str) {
    document(
        sandbox,
        name,
        &serde_json::from_str(&sandbox.read(path)).unwrap(),
    );
}

#[track_caller]
fn document(sandbox: &Sandbox, name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/json/{name}.json"));
    let expected = Data::read_from(&path, Some(DataFormat::Text));
    let actual = format!("{:#}\n", masked(sandbox, "", "", value));
    Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(actual, expected.raw());
}

/// A workflow command without its sentence.
fn annotation(line: &str) -> String {
    match line.rfind("::") {
        Some(end) if line.starts_with("::") && end > 0 => format!("{}::[text]", &line[..end]),
        _ => line.to_owned(),
    }
}

fn masked(sandbox: &Sandbox, parent: &str, key: &str, value: &Value) -> Value {
    match value {
        _ if MACHINE.contains(&key) && OF_MACHINE.contains(&parent) => "[machine]".into(),
        Value::String(_) if key == "serialNumber" => "[digest]".into(),
        // One entry for each file that the machine's Python is made of.
        Value::Array(_) if key == "interpreter" => "[machine]".into(),
        Value::Null => Value::Null,
        _ if SENTENCES.contains(&key) && !value.is_object() => sentences(sandbox, key, value),
        Value::Number(number) if AMOUNTS.contains(&key) && number.as_f64() != Some(0.0) => {
            "[number]".into()
        }
        Value::String(text) => plain(sandbox, text).into(),
        Value::Array(items) => {
            let items = items.iter().map(|item| masked(sandbox, key, key, item));
            let mut items: Vec<Value> = items.collect();
            // Sorted by ids, which differ from run to run.
            if matches!(key, "items" | "kept") {
                items.sort_by_key(Value::to_string);
            }
            items.into()
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (plain(sandbox, name), masked(sandbox, key, name, value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// One sentence or several; what is no sentence (a list of failed environments, say) is looked into.
fn sentences(sandbox: &Sandbox, key: &str, value: &Value) -> Value {
    match value {
        Value::String(_) => "[text]".into(),
        Value::Array(items) => items
            .iter()
            .map(|item| masked(sandbox, key, key, item))
            .collect(),
        other => other.clone(),
    }
}

/// A text without the places, versions and digests of this run.
fn plain(sandbox: &Sandbox, text: &str) -> String {
    let (interpreter, version) = interpreter();
    let project = sandbox.path("").canonicalize().unwrap();
    let mut text = text.to_owned();
    for (found, mask) in [
        (project.to_str().unwrap(), "[PROJECT]"),
        (interpreter.to_str().unwrap(), "[PYTHON]"),
        (&sandbox.index.url(), "[INDEX]/"),
        (version, "[PYTHON-VERSION]"),
        (env!("CARGO_TARGET_TMPDIR"), "[TARGET]"),
        (std::env::consts::ARCH, "[ARCH]"),
    ] {
        text = text.replace(found.trim_end_matches('/'), mask.trim_end_matches('/'));
    }
    if text == env!("CARGO_PKG_VERSION") {
        return "[VERSION]".into();
    }
    without_digests(&text)
}

/// The Python 3.11 of this machine and its version.
fn interpreter() -> &'static (PathBuf, String) {
    static INTERPRETER: OnceLock<(PathBuf, String)> = OnceLock::new();
    INTERPRETER.get_or_init(|| {
        let interpreter = python();
        let version = Command::new(&interpreter)
            .args([
                "-I",
                "-c",
                "import platform; print(platform.python_version())",
            ])
            .output()
            .unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        (interpreter, version.trim().to_owned())
    })
}

/// Runs of 12 and more hexadecimal digits are digests.
fn without_digests(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            run.push(c);
            continue;
        }
        out.push_str(if run.len() < 12 { &run } else { "[digest]" });
        run.clear();
        out.push(c);
    }
    out.pop();
    out
}
