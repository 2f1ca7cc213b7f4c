//! What a process has sent or how it has ended, as a result or a failure.

use serde::Deserialize;

use super::failure::{Failure, Kind};
use super::fields::Fields;
use super::trace;
use crate::pool::End;
use crate::process::Exit;
use crate::python::Identity;

/// A failure as Python reports it.
#[derive(Deserialize)]
struct Reported {
    kind: String,
    #[serde(rename = "type")]
    error_type: String,
    message: String,
    traceback: String,
    hint: String,
    exit: Option<u8>,
}

/// What Python reports of itself.
#[derive(Debug, Deserialize)]
struct Report {
    implementation: String,
    version: String,
    soabi: String,
    prefix: std::path::PathBuf,
}

/// An answer that no shim has written.
pub(super) struct Foreign;

/// The answer to the request of this number: its fields, or the failure it reports.
pub(super) fn read(text: &[u8], number: u64) -> Result<Result<Fields<'_>, Failure>, Foreign> {
    let fields: Fields<'_> = serde_json::from_slice(text).map_err(|_| Foreign)?;
    let answers: Option<u64> = fields.get("n").and_then(|n| n.get().parse().ok());
    if answers != Some(number) {
        return Err(Foreign);
    }
    match fields.get("failure") {
        None => Ok(Ok(fields)),
        Some(failure) => reported(failure.get()).map(Err).ok_or(Foreign),
    }
}

/// Whether the process that has sent this cannot be used again, by the shim's last key.
pub(super) fn is_worn(text: &[u8]) -> bool {
    text.ends_with(b",\"worn\":true}")
}

fn reported(text: &str) -> Option<Failure> {
    let reported: Reported = serde_json::from_str(text).ok()?;
    Some(Failure {
        kind: Kind::reported(&reported.kind)?,
        error_type: reported.error_type,
        message: reported.message,
        traceback: reported.traceback,
        hint: reported.hint,
        exit: reported.exit.filter(|code| *code != 0),
    })
}

/// Checks that a process is the Python that the environment was built on.
pub(super) fn check_identity(
    text: &[u8],
    built_on: &Identity,
    generation: &std::path::Path,
) -> Result<(), Failure> {
    let Ok(report) = serde_json::from_slice::<Report>(text) else {
        return Err(Failure::new(
            Kind::IdentityMismatch,
            "Python has not reported what it is",
            "",
        ));
    };
    let pairs = [
        (
            "implementation",
            &report.implementation,
            &built_on.implementation,
        ),
        ("version", &report.version, &built_on.version),
        ("SOABI", &report.soabi, &built_on.soabi),
    ];
    let differs = pairs.iter().find(|(_, here, there)| here != there);
    let message = match differs {
        Some((what, here, there)) => {
            format!("the environment was built on {what} {there}, and Python has {here}")
        }
        None if report.prefix != generation => format!(
            "Python runs in `{}`, and not in `{}`",
            report.prefix.display(),
            generation.display()
        ),
        None => return Ok(()),
    };
    Err(Failure::new(
        Kind::IdentityMismatch,
        message,
        "build the environment again: `rootstock sync`",
    ))
}

/// The failure of a request whose process has ended.
pub(super) fn of_end(end: &End, timeout: Option<f64>, startup_timeout: f64) -> Failure {
    let loading = |is: bool| if is { " while it loaded" } else { "" };
    match end {
        End::Raised(text) => load_failure(text),
        End::Killed {
            signal,
            while_loading,
        } => Failure::killed(*signal, loading(*while_loading)),
        End::Exited {
            code,
            while_loading,
        } => no_result(
            format!(
                "Python {}{}, without a result",
                Exit::Code(*code),
                loading(*while_loading)
            ),
            "does the function call `os._exit`, or close what it has not opened?",
        ),
        End::Closed => no_result(
            "the function has closed the connection to `rootstock`".to_owned(),
            "close only what the function has opened itself",
        ),
        End::Invalid => no_result(
            "something else than the result was written to the connection to `rootstock`"
                .to_owned(),
            "write only to what the function has opened itself",
        ),
        End::TimedOut {
            while_loading,
            trace,
        } => timed_out(*while_loading, trace, timeout, startup_timeout),
    }
}

fn no_result(message: String, hint: &str) -> Failure {
    Failure::new(Kind::NoResult, message, hint)
}

fn load_failure(text: &[u8]) -> Failure {
    let fields = serde_json::from_slice::<Fields<'_>>(text).ok();
    let failure = fields.and_then(|fields| reported(fields.get("failure")?.get()));
    failure.unwrap_or_else(|| no_result("Python could not load".to_owned(), ""))
}

fn timed_out(
    while_loading: bool,
    trace: &str,
    timeout: Option<f64>,
    startup_timeout: f64,
) -> Failure {
    let (kind, message) = if while_loading {
        let message = format!("Python was not ready after {startup_timeout} s");
        (Kind::StartupTimeout, message)
    } else {
        let seconds = timeout.unwrap_or_default();
        (Kind::Timeout, format!("no result after {seconds} s"))
    };
    let place = trace::last_line(trace);
    let option = if while_loading {
        "--startup-timeout"
    } else {
        "--timeout"
    };
    let hint = if place.is_empty() {
        format!("allow more with `{option} SECONDS`")
    } else {
        format!("{place}; allow more with `{option} SECONDS`")
    };
    Failure::new(kind, message, hint)
}
