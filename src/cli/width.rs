//! Lines that fit the terminal they go to: broken at spaces, never inside a word or a name. What goes to a file or a pipe stays as
//! it is.

use std::os::fd::AsFd;

use textwrap::{Options, WordSeparator, WordSplitter};

/// How many characters a line has there, if it is a terminal.
pub(super) fn of(stream: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    // Some terminals do not say it.
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// A text in lines of this width; what goes on stands below the beginning of its line, a little further in.
pub(super) fn fit(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let lines = text.split('\n').map(|line| {
        if line.chars().count() <= width {
            return line.to_owned();
        }
        let (begin, text) = line.split_at(line.len() - line.trim_start().len());
        let indent = " ".repeat((begin.len() + 2).min(width / 2));
        let options = Options::new(width)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation)
            .break_words(false)
            .initial_indent(begin)
            .subsequent_indent(&indent);
        textwrap::wrap(text, options).join("\n")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn lines_are_broken_between_words_only() {
        let text = "one: mace-mp-0-small is not fetched\n  /a/very/long/path/that/fits/nowhere x";
        assert_eq!(fit(text, None), text);
        assert_eq!(
            fit(text, Some(22)),
            "one: mace-mp-0-small\n  is not fetched\n  /a/very/long/path/that/fits/nowhere\n    x"
        );
    }
}
