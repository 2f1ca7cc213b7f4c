//! A response: one line of JSON for each request.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Environment;
use super::failure::Failure;
use super::fields::{Fields, Line};
use super::request::Id;
use super::trace;
use crate::pool::Captured;
use crate::process;

/// How many lines of standard error a failure repeats.
const TAIL: usize = 20;

/// What every response says.
pub(super) struct Common<'a> {
    pub(super) id: &'a Id,
    /// Whether it has only the fields that a cold runner's has.
    pub(super) bare: bool,
    pub(super) stdout: &'a Captured,
    pub(super) stderr: &'a Captured,
    pub(super) seconds: f64,
    pub(super) environment: &'a Environment,
    /// What the Python that answered has reported of itself.
    pub(super) python: Option<&'a RawValue>,
}

/// The part of a failure for programs that expect nothing else.
#[derive(Serialize)]
struct Fatal<'a> {
    code: u8,
    kind: &'a str,
    #[serde(rename = "type")]
    error_type: &'a str,
    message: &'a str,
    traceback: &'a str,
    stderr_tail: &'a str,
    retryable: bool,
    hint: &'a str,
}

/// The fields of a bare response.
const BARE: [&str; 5] = ["task_id", "outputs", "loss", "diagnostics", "n_replicates"];

/// The response to a request that succeeded, with these fields of Python's answer.
pub(super) fn success(common: &Common<'_>, answer: &Fields<'_>) -> String {
    if common.bare {
        let mut line = Line::new();
        for key in BARE {
            if let Some(value) = answer.get(key) {
                line.raw(key, value);
            }
        }
        return line.end();
    }
    let mut line = begin(common, true);
    if let Some(result) = answer.get("result") {
        line.raw("result", result);
    }
    output(common, &mut line);
    for (key, value) in &answer.0 {
        if !matches!(key.as_str(), "result" | "n" | "worn") {
            line.raw(key, value);
        }
    }
    line.end()
}

/// The response to a request that failed.
pub(super) fn failure(common: &Common<'_>, failure: &Failure) -> String {
    let tail = process::tail(&common.stderr.text, TAIL);
    let crash = trace::crash(&common.stderr.text).filter(|_| failure.traceback.is_empty());
    let traceback = crash.as_ref().unwrap_or(&failure.traceback);
    let mut line = Line::new();
    if !common.bare {
        line = begin(common, false);
        line.field("error", &failure.message);
        line.field("error_type", &failure.error_type);
        line.field("traceback", &traceback);
        output(common, &mut line);
    }
    let fatal = Fatal {
        code: failure.exit(),
        kind: failure.kind.name(),
        error_type: &failure.error_type,
        message: &failure.message,
        traceback,
        stderr_tail: &tail,
        retryable: failure.kind.is_retryable(),
        hint: &failure.hint,
    };
    line.field("_fatal_error", &fatal);
    line.end()
}

/// The record of a process that has answered for its identity.
pub(super) fn record(environment: &Environment, python: &RawValue) -> String {
    let mut line = Line::new();
    line.field("schema", &1);
    line.field("rootstock", &crate::store::stamp::this_version());
    line.field("env", &environment.name);
    line.field("generation", &environment.id);
    line.field("digest", &environment.digest);
    line.raw("python", python);
    line.end()
}

fn begin(common: &Common<'_>, success: bool) -> Line {
    let mut line = Line::new();
    line.field("id", common.id);
    line.field("success", &success);
    line
}

fn output(common: &Common<'_>, line: &mut Line) {
    line.field("stdout", &common.stdout.text);
    line.field("stderr", &common.stderr.text);
    line.field(
        "truncated",
        &(common.stdout.truncated || common.stderr.truncated),
    );
    line.field("duration_s", &((common.seconds * 1e6).round() / 1e6));
    line.field("environment", common.environment);
    if let Some(python) = common.python {
        line.raw("python", python);
    }
}
