//! The kinds of failure of a call, each with its exit code and whether another try may succeed.

use crate::pool::signals::StopSignal;
use crate::process::Exit;

/// Why a request has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No request, or a wrong one.
    BadRequest,
    /// Source text in a request, without `--allow-code`.
    CodeNotAllowed,
    /// The environment lacks something of `dependencies`.
    RequirementsUnmet,
    /// The environment is not built.
    EnvironmentMissing,
    /// It is damaged.
    EnvironmentBroken,
    /// It is for another machine, or of another rootstock.
    EnvironmentForeign,
    /// No such module, function, class, entry point or instance.
    NotFound,
    /// An exception.
    Raised,
    /// Python ended without an answer.
    NoResult,
    /// By this signal.
    Killed(i32),
    /// The call took too long.
    Timeout,
    /// Loading took too long.
    StartupTimeout,
    /// The result is no JSON.
    Unserialisable,
    /// The result is too long.
    TooLarge,
    /// The outputs of a task are not what they should be.
    BadOutput,
    /// `rootstock` was stopped by a signal.
    Interrupted(StopSignal),
    /// Python is not the one that the environment was built on.
    IdentityMismatch,
    /// Code that was pickled in another Python.
    PythonMismatch,
}

/// Kinds that Python reports, by their names.
const REPORTED: [Kind; 7] = [
    Kind::BadRequest,
    Kind::NotFound,
    Kind::Raised,
    Kind::Unserialisable,
    Kind::TooLarge,
    Kind::BadOutput,
    Kind::PythonMismatch,
];

impl Kind {
    /// Its name in responses.
    pub fn name(self) -> &'static str {
        match self {
            Kind::BadRequest => "bad-request",
            Kind::CodeNotAllowed => "code-not-allowed",
            Kind::RequirementsUnmet => "requirements-unmet",
            Kind::EnvironmentMissing => "environment-missing",
            Kind::EnvironmentBroken => "environment-broken",
            Kind::EnvironmentForeign => "environment-foreign",
            Kind::NotFound => "not-found",
            Kind::Raised => "raised",
            Kind::NoResult => "no-result",
            Kind::Killed(_) => "killed",
            Kind::Timeout => "timeout",
            Kind::StartupTimeout => "startup-timeout",
            Kind::Unserialisable => "unserialisable",
            Kind::TooLarge => "too-large",
            Kind::BadOutput => "bad-output",
            Kind::Interrupted(_) => "interrupted",
            Kind::IdentityMismatch => "identity-mismatch",
            Kind::PythonMismatch => "python-mismatch",
        }
    }

    /// The kind that Python reports by this name.
    pub(super) fn reported(name: &str) -> Option<Self> {
        REPORTED.into_iter().find(|kind| kind.name() == name)
    }

    /// The exit code of a single call that fails like this.
    pub fn exit(self) -> u8 {
        match self {
            Kind::BadRequest | Kind::CodeNotAllowed => 2,
            Kind::RequirementsUnmet
            | Kind::EnvironmentMissing
            | Kind::EnvironmentBroken
            | Kind::EnvironmentForeign
            | Kind::IdentityMismatch => 4,
            Kind::NotFound
            | Kind::Raised
            | Kind::NoResult
            | Kind::Unserialisable
            | Kind::TooLarge
            | Kind::BadOutput
            | Kind::PythonMismatch => 1,
            Kind::Timeout | Kind::StartupTimeout => 124,
            Kind::Killed(signal) => 128 + u8::try_from(signal).unwrap_or(127).min(127),
            Kind::Interrupted(signal) => signal.exit(),
        }
    }

    /// Whether another try may succeed. Memory that was too small once is so again.
    pub fn is_retryable(self) -> bool {
        match self {
            Kind::Timeout | Kind::StartupTimeout | Kind::Interrupted(_) => true,
            Kind::Killed(signal) => signal != 9,
            _ => false,
        }
    }
}

/// The longest text of a failure, in characters; it may quote a request of any length. Python has the same limit.
const LONGEST: usize = 2_000;

/// The beginning and the end of a text that is too long.
fn cut(text: String) -> String {
    let length = text.chars().count();
    if length <= LONGEST {
        return text;
    }
    let half = LONGEST / 2;
    let begin: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(length - half).collect();
    let between = length - 2 * half;
    format!("{begin} [... {between} characters left out ...] {end}")
}

/// A failure of one request.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// The class of an exception; otherwise the kind's name.
    pub error_type: String,
    /// What is wrong.
    pub message: String,
    /// Where it was raised; may be empty.
    pub traceback: String,
    /// What to do; may be empty.
    pub hint: String,
    /// The exit code, where it is not that of the kind.
    pub exit: Option<u8>,
}

impl Failure {
    /// A failure that is no exception.
    pub fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind,
            error_type: kind.name().to_owned(),
            message: cut(message.into()),
            traceback: String::new(),
            hint: cut(hint.into()),
            exit: None,
        }
    }

    /// One with the message and the help of an error.
    pub(crate) fn of(kind: Kind, error: &dyn miette::Diagnostic) -> Self {
        let help = error.help().map(|help| help.to_string());
        Self::new(kind, error.to_string(), help.unwrap_or_default())
    }

    /// A wrong request.
    pub(super) fn bad_request(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, message, hint)
    }

    /// `rootstock` was stopped by this signal.
    pub fn interrupted(signal: StopSignal) -> Self {
        let message = format!("ended by {signal}");
        Self::new(Kind::Interrupted(signal), message, "send the request again")
    }

    /// A Python that was killed, while it did this.
    pub(super) fn killed(signal: i32, doing: &str) -> Self {
        let hint = match signal {
            9 => "out of memory? the system and schedulers kill with this signal",
            11 => {
                "a segmentation fault in compiled code; `traceback` has the lines of Python that led to it"
            }
            _ => "",
        };
        let message = format!("Python {}{doing}", Exit::Signal(signal));
        Self::new(Kind::Killed(signal), message, hint)
    }

    /// The exit code of a single call.
    pub fn exit(&self) -> u8 {
        self.exit.unwrap_or(self.kind.exit())
    }
}
