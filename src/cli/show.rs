//! Everything a person or a machine reads: the only printing.

#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

use std::io::{IsTerminal, Write};

use super::exit::Failure;

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
        Colour::Auto => std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal(),
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

/// One line on standard output. Whoever stops reading (`| head`) has read enough: that is no error of ours.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One line on standard error: progress and remarks.
pub(crate) fn remark(text: &str) {
    eprintln!("{text}");
}

/// A value for machines, on standard output.
pub(crate) fn json(value: &serde_json::Value) {
    line(&format!("{value:#}"));
}

/// An error, on standard error.
pub(crate) fn failure(failure: &Failure) {
    eprintln!("{:?}", failure.report);
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
