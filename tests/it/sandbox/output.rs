//! The output of the program, and how tests compare it: by its exit code, as JSON, or as a whole message.

use std::process;

use serde_json::Value;
use snapbox::data::Inline;

use super::Sandbox;

/// What the program printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<process::Output> for Output {
    fn from(output: process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Output {
    #[track_caller]
    pub(crate) fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard error, without the frame and the line breaks that errors are drawn with.
    pub(crate) fn message(&self) -> String {
        let words = self.stderr.split_whitespace().filter(|word| *word != "│");
        words.collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// Compares all of standard error, with `[PROJECT]`, `[PORT]`, `[PYTHON]` and `[MACHINE]` for what differs from run to run or
    /// from machine to machine. `SNAPSHOTS=overwrite` writes what is there now into the test.
    #[track_caller]
    pub(crate) fn stderr_is(&self, sandbox: &Sandbox, expected: Inline) -> &Self {
        let assert = snapbox::Assert::new().action_env(snapbox::assert::DEFAULT_ACTION_ENV);
        assert.eq(sandbox.anywhere(&unwrapped(&self.stderr)), expected);
        self
    }
}

/// The same without the line breaks that depend on how long the names of this machine are, and without empty lines.
fn unwrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        // How well archives of a test are compressed differs between machines.
        if let Some((files, _)) = line.split_once(", ")
            && files.starts_with("downloading ")
        {
            lines.push(format!("{files}, [SIZE]"));
            continue;
        }
        let inner = line.trim_start();
        let indent = line.len() - inner.len();
        let last = lines.last_mut().filter(|last| is_message(last));
        match (last, inner.strip_prefix("│ ")) {
            (Some(last), Some(more)) if indent < 6 => go_on(last, more.trim_start()),
            (Some(last), None) if indent >= 6 => go_on(last, inner),
            _ => lines.push(line.trim_end().to_owned()),
        }
    }
    // Environments are resolved at the same time: which of them begins first, and what is printed before, is chance.
    let (mut beginnings, others): (Vec<String>, Vec<String>) = lines
        .into_iter()
        .partition(|line| line.starts_with("resolving "));
    beginnings.sort();
    beginnings.extend(others);
    beginnings.join("\n")
}

/// Lines are broken at spaces, and behind the hyphens of names.
fn go_on(line: &mut String, more: &str) {
    let in_a_name = line.ends_with('-') && !line.ends_with(" -");
    *line += if in_a_name { "" } else { " " };
    *line += more;
}

/// Whether a line begins a message, a cause or a help text, which may be broken into several.
fn is_message(line: &str) -> bool {
    let line = line.trim_start();
    ["× ", "⚠ ", "├─▶ ", "╰─▶ ", "help: "]
        .iter()
        .any(|begin| line.starts_with(begin))
}
