//! All printing. Writing never panics: a closed pipe, on either stream, is no error. Any other failure to write standard
//! output ends the command with exit code 1 ([`unwritten`]).

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::sync::OnceLock;

use rustix::fs::FileType;
use rustix::io::Errno;
use serde::Serialize;
use textwrap::{WordSeparator, WordSplitter};

use super::exit::{Exit, Failure};
use super::{context, escape, limits, width};

use crate::lock::drift;
use crate::report::Problem;

/// The error that cut standard output short. Like standard output itself it belongs to the process.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Whether standard error has only warnings and errors; decided once.
static QUIET: OnceLock<bool> = OnceLock::new();

/// The widest line of an error.
const WIDEST: usize = 110;

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

/// Decides once how errors look, and whether there is anything else.
pub(crate) fn set_up(colour: Colour, quiet: bool) {
    // Fails only when set twice.
    let _ = QUIET.set(quiet);
    let coloured = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => context::variable("NO_COLOR").is_none() && io::stderr().is_terminal(),
    };
    // Fails only when set twice.
    let _ = miette::set_hook(Box::new(move |_| Box::new(handler(coloured).build())));
}

fn handler(coloured: bool) -> miette::MietteHandlerOpts {
    let theme = if coloured {
        miette::GraphicalTheme::unicode()
    } else {
        miette::GraphicalTheme::unicode_nocolor()
    };
    miette::MietteHandlerOpts::new()
        .graphical_theme(theme)
        .color(coloured)
        .width(width::of(io::stderr()).map_or(WIDEST, |width| width.min(WIDEST)))
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
}

/// A workflow command of GitHub Actions; other lines never become one.
pub(crate) fn command(name: &str, text: &str) {
    document(&format!("::{name} {}", escape::line(text)));
}

/// A document in a format for other programs, unescaped. A reader may close the pipe (`| head`).
pub(crate) fn document(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    if let Err(error) = written
        && !has_gone(&error)
    {
        // The first error is the cause of those that follow.
        let _ = UNWRITTEN.set(error);
    }
}

/// Whether the reader of standard output is gone: of a pipe, or the terminal.
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

/// Whether progress and hints are not printed.
pub(crate) fn is_quiet() -> bool {
    QUIET.get().copied().unwrap_or(false)
}

/// One line on standard error: progress, hints and warnings; with `--quiet` only warnings. An error is ignored: there is no other
/// place to print.
pub(crate) fn remark(text: &str) {
    if is_quiet() && !text.starts_with("warning: ") {
        return;
    }
    let text = width::fit(&escape::line(text), width::of(io::stderr()));
    let _ = writeln!(io::stderr(), "{text}");
}

/// Several lines on standard error: the output of a program.
pub(crate) fn remarks(text: &str) {
    let _ = writeln!(io::stderr(), "{}", escape::lines(text));
}

/// What a program prints, as it is passed on to standard error while it prints: without what acts on a terminal. Progress bars
/// become lines.
pub(crate) fn passed_on(bytes: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if bytes.iter().all(is_plain) && !bytes.windows(2).any(|two| two == b"::" || two == b"##") {
        return bytes.to_vec();
    }
    let text = String::from_utf8_lossy(bytes)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    escape::lines(&text).into_bytes()
}

/// A report on standard output: its JSON for programs, or its text for people.
pub(crate) fn report(report: &(impl Serialize + Display), as_json: bool) -> Result<(), Failure> {
    if as_json {
        return value(report);
    }
    text(report);
    Ok(())
}

/// A text for people on standard output.
pub(crate) fn text(text: &impl Display) {
    let text = match width() {
        Some(width) => format!("{text:width$}"),
        None => text.to_string(),
    };
    document(&width::fit(&escape::lines(text.trim_end()), width()));
}

/// How many characters a line of standard output has, if that is a terminal.
pub(crate) fn width() -> Option<usize> {
    width::of(io::stdout())
}

/// A value for programs, as JSON on standard output.
pub(crate) fn value(value: &impl Serialize) -> Result<(), Failure> {
    let value = serde_json::to_value(value).map_err(|error| {
        Failure::new(
            Exit::Failed,
            &format!("cannot print as JSON: {error}"),
            Some("JSON has only UTF-8: rename the file or directory, or do without `--json`"),
        )
    })?;
    document(&json_text(&value));
    Ok(())
}

/// The parts of a report that failed, on standard error.
pub(crate) fn problems<'a>(problems: impl IntoIterator<Item = &'a Problem>) {
    for problem in problems {
        failure(&Failure::problem(problem));
    }
}

/// A value for machines: no character in it acts on a terminal.
pub(crate) fn json_text(value: &serde_json::Value) -> String {
    escape::json(&format!("{value:#}"))
}

/// An error, on standard error, with the limits that may be behind it. The differences of a lock are lines. Colours are themselves control characters: an error
/// that has other ones goes without.
pub(crate) fn failure(failure: &Failure) {
    if let Some(drift) = failure.report.downcast_ref::<drift::Report>() {
        return remarks(drift.to_string().trim_end());
    }
    let coloured = format!("{:?}", failure.report);
    let mut plain = String::new();
    let drawn = handler(false).build();
    let written = write!(plain, "{}", Drawn(&drawn, failure.report.as_ref()));
    if written.is_ok() && escape::is_needed(&plain) {
        remarks(&plain);
    } else {
        let _ = writeln!(io::stderr(), "{coloured}");
    }
    if !matches!(failure.exit, Exit::Usage | Exit::Drift) {
        note_limits(&plain);
    }
}

/// Names the limits that may be behind a failure.
pub(crate) fn note_limits(failure: &str) {
    let limits = limits::behind(failure);
    if !limits.is_empty() {
        remark(&format!(
            "note: this process and those that it starts are limited to {}; that may be the cause",
            limits.join(", ")
        ));
    }
}

/// An error as this handler draws it.
struct Drawn<'a>(&'a miette::MietteHandler, &'a dyn miette::Diagnostic);

impl std::fmt::Display for Drawn<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        miette::ReportHandler::debug(self.0, self.1, out)
    }
}
