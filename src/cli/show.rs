//! Everything a person or a machine reads: the only printing. Writing never panics: a pipe that is closed, on either
//! stream, is no error. Any other failure to write standard output ends the command with exit code 1 ([`unwritten`]).

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::context;
use super::exit::{Exit, Failure};

/// Why standard output is not whole. Like standard output itself it belongs to the process.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Decides once how errors look.
pub(crate) fn set_up(colour: Colour) {
    let coloured = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => context::variable("NO_COLOR").is_none() && io::stderr().is_terminal(),
    };
    // Fails only when set twice.
    let _ = miette::set_hook(Box::new(move |_| {
        let theme = if coloured {
            miette::GraphicalTheme::unicode()
        } else {
            miette::GraphicalTheme::unicode_nocolor()
        };
        Box::new(
            miette::MietteHandlerOpts::new()
                .graphical_theme(theme)
                .color(coloured)
                .width(110)
                .build(),
        )
    }));
}

/// One line on standard output. A reader that closes the pipe (`| head`) has read enough.
pub(crate) fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    if let Err(error) = written
        && !has_gone(&error)
    {
        // The first error is the cause of those that follow.
        let _ = UNWRITTEN.set(error);
    }
}

/// Whether a reader of standard output has gone: of a pipe, or the terminal.
fn has_gone(error: &io::Error) -> bool {
    let is_device = || {
        let stat = rustix::fs::fstat(io::stdout());
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice)
    };
    error.kind() == io::ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(Errno::IO.raw_os_error()) && is_device()
}

/// The error that kept standard output from being whole, if there was one.
pub(super) fn unwritten() -> Option<Failure> {
    let error = UNWRITTEN.get()?;
    let message = format!("cannot write to standard output: {error}");
    Some(Failure::new(
        Exit::Failed,
        &message,
        Some(
            "what was printed is incomplete; if it goes to a file, make room there and run this again",
        ),
    ))
}

/// One line on standard error: progress and remarks. Where it cannot be written there is no other place for it.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A value for machines, on standard output.
pub(crate) fn json(value: &serde_json::Value) {
    line(&format!("{value:#}"));
}

/// An error, on standard error.
pub(crate) fn failure(failure: &Failure) {
    remark(&format!("{:?}", failure.report));
}

/// `there are: emt, mace`, or `there are: none`.
pub(crate) fn listed(introduction: &str, names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        format!("{introduction} none")
    } else {
        format!("{introduction} {}", names.join(", "))
    }
}

/// `1 file`, `2 files`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
