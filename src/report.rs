//! How a report is put into words. A report is a value that the work returns: `Serialize` for programs, `Display` for
//! people. Prints nothing.

use std::error::Error;
use std::fmt;

use miette::Diagnostic;
use serde::Serialize;

pub(crate) mod codes;

/// Writes one line of a report. A line break in what it quotes (a path, say) is written out, so that it stays one line.
pub(crate) fn line(out: &mut impl fmt::Write, text: impl fmt::Display) -> fmt::Result {
    writeln!(out, "{}", text.to_string().replace('\n', "\\n"))
}

/// An amount of bytes: `1.50 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// `1 file`, `2 files`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
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

/// Rows below each other, their columns aligned.
pub(crate) fn table<const N: usize>(
    out: &mut impl fmt::Write,
    rows: &[[String; N]],
) -> fmt::Result {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| cell.replace('\n', "\\n")))
        .collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
        line(out, cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// The same in lines of at most this many characters, where that is possible: columns are left out, the last ones first.
pub(crate) fn table_within<const N: usize>(
    out: &mut impl fmt::Write,
    rows: &[[String; N]],
    width: Option<usize>,
) -> fmt::Result {
    let widest = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let mut shown = N;
    let total = |shown: usize| (0..shown).map(widest).sum::<usize>() + 2 * shown.saturating_sub(1);
    while shown > 2 && width.is_some_and(|width| total(shown) > width) {
        shown -= 1;
    }
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row[shown..].fill(String::new());
    }
    table(out, &rows)
}

/// A word in front of texts that are broken at spaces where a line would get longer than this.
pub(crate) fn definitions(
    out: &mut impl fmt::Write,
    rows: &[[String; 2]],
    width: Option<usize>,
) -> fmt::Result {
    let indent = rows.iter().map(|row| row[0].chars().count()).max();
    let indent = indent.unwrap_or(0) + 2;
    for [word, text] in rows {
        let mut current = format!("{word:indent$}");
        for part in text.split_whitespace() {
            let length = current.trim_end().chars().count().max(indent) + 1 + part.chars().count();
            let is_first = current.chars().count() <= indent;
            if !is_first && width.is_some_and(|width| length > width) {
                line(out, current.trim_end())?;
                current = " ".repeat(indent);
            }
            current += part;
            current.push(' ');
        }
        line(out, current.trim_end())?;
    }
    Ok(())
}

/// An error with all its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let reason = next.to_string();
        // A transparent error has the text of its cause.
        if !text.ends_with(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = next.source();
    }
    text
}

/// What to do about an error, from the first of its causes that knows.
pub(crate) fn help(error: &dyn Diagnostic) -> Option<String> {
    match (error.help(), error.diagnostic_source()) {
        (Some(help), _) => Some(help.to_string()),
        (None, cause) => cause.and_then(help),
    }
}

/// An error and what to do about it, as one sentence.
pub(crate) fn sentence(error: &dyn Diagnostic) -> String {
    match help(error) {
        Some(help) => format!("{}; {help}", chain(error)),
        None => chain(error),
    }
}

/// An error as a part of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// What is wrong, with all its causes.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl<E: Diagnostic> From<&E> for Problem {
    fn from(error: &E) -> Self {
        Self {
            message: chain(error),
            help: help(error),
        }
    }
}

impl Problem {
    /// The same, with what it is about before it.
    #[must_use]
    pub fn in_context(self, about: impl fmt::Display) -> Self {
        Self {
            message: format!("{about}: {}", self.message),
            help: self.help,
        }
    }
}

/// What to do about it is a line of its own.
impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(out, "\n{help}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_a_line_break_stays_in_its_line() {
        let rows = [["name", "state"], ["é\nx", "fresh"], ["b", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let mut text = String::new();
        table(&mut text, &rows).unwrap();
        assert_eq!(text, "name  state\né\\nx  fresh\nb\n");
    }

    #[test]
    fn a_narrow_table_has_fewer_columns_and_whole_words() {
        let rows = [["name", "state", "id"], ["b", "fresh (optional)", "0123"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let drawn = |width| {
            let mut text = String::new();
            table_within(&mut text, &rows, width).unwrap();
            text
        };
        assert_eq!(
            drawn(None),
            "name  state             id\nb     fresh (optional)  0123\n"
        );
        assert_eq!(drawn(Some(28)), drawn(None));
        let narrow = "name  state\nb     fresh (optional)\n";
        assert_eq!([drawn(Some(27)), drawn(Some(5))], [narrow, narrow]);
        let mut text = String::new();
        let rows = [["a", "one two three"], ["bcd", ""]].map(|row| row.map(str::to_owned));
        definitions(&mut text, &rows, Some(12)).unwrap();
        assert_eq!(text, "a    one two\n     three\nbcd\n");
    }

    #[test]
    fn a_chain_names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read `x`")]
        struct Read(#[source] std::io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error(transparent)]
        struct Outer(#[from] Read);
        let error = Outer(Read(std::io::Error::other("no disk")));
        assert_eq!(chain(&error), "cannot read `x`: no disk");
    }

    #[test]
    fn numbers_have_their_noun() {
        assert_eq!(
            [0, 1, 2].map(|n| counted(n, "file")),
            ["0 files", "1 file", "2 files"]
        );
        assert_eq!(bytes(1_500_000), "1.50 MB");
        assert_eq!(listed("there are:", std::iter::empty()), "there are: none");
    }
}
