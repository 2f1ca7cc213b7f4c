//! The inline script metadata of an environment's source file (PyPA "inline script metadata", PEP 723).
//!
//! ```text
//! # /// script
//! # requires-python = ">=3.11"
//! # dependencies = ["ase==3.29.0"]
//! # ///
//! ```
//!
//! Follows the specification's reference regular expression
//! `(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$`, but accepts Windows line ends as well.
//! Nothing of the file is run.

use std::ops::Range;

use super::complaint::Text;

/// A `script` block: its TOML, as long as the file and at the same places, so that a span in one is a span in the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) toml: String,
    pub(crate) span: Range<usize>,
}

/// What keeps a file from having one `script` block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// There is none.
    Missing,
    /// It is never closed, or a line in it is not a comment.
    Unclosed {
        opening: Range<usize>,
        stops_at: Range<usize>,
    },
    /// There are two: the specification makes that an error.
    Twice { second: Range<usize> },
}

struct Line<'t> {
    text: &'t str,
    span: Range<usize>,
}

/// The `script` block of a Python file.
pub(crate) fn block(source: &str) -> Result<Block, Broken> {
    let lines = lines(source);
    let mut found: Option<Block> = None;
    let mut at = 0;
    while at < lines.len() {
        if block_type(lines[at].text).is_none() {
            at += 1;
            continue;
        }
        // The expression is greedy: a block reaches to the last closing line of the run of comments that follows.
        let comments = lines[at + 1..]
            .iter()
            .take_while(|line| is_content(line.text))
            .count();
        let closing = (at + 1..=at + comments)
            .rev()
            .find(|&i| lines[i].text == "# ///" && i > at + 1);
        let is_script = block_type(lines[at].text) == Some("script");
        match closing {
            Some(end) if is_script => {
                if found.is_some() {
                    return Err(Broken::Twice {
                        second: lines[at].span.clone(),
                    });
                }
                found = Some(masked(source, &lines[at..=end]));
                at = end + 1;
            }
            Some(end) => at = end + 1,
            None if is_script => {
                let stop = lines.get(at + 1 + comments).unwrap_or(&lines[at]);
                return Err(Broken::Unclosed {
                    opening: lines[at].span.clone(),
                    stops_at: stop.span.clone(),
                });
            }
            None => at += 1,
        }
    }
    found.ok_or(Broken::Missing)
}

/// Complains about a source without one `script` block.
pub(super) fn complain(text: &mut Text, source: &str, broken: Broken) {
    let example = "begin the file with\n  # /// script\n  # requires-python = \">=3.11\"\n  # dependencies = [\"ase==3.29.0\"]\n  # ///";
    match broken {
        Broken::Missing => {
            let first = text.text().find('\n').unwrap_or(0);
            text.complain(
                0..first,
                format!("`{source}` has no PEP 723 `script` block"),
                "expected near the top",
                Some(example.into()),
            );
        }
        Broken::Unclosed { opening, stops_at } => {
            let stops = text.text()[stops_at].to_owned();
            text.complain(
                opening,
                format!("the `script` block of `{source}` is not closed"),
                "opened here",
                Some(format!("close it with a line `# ///` before `{stops}`; every line of it begins with `# `")),
            );
        }
        Broken::Twice { second } => {
            text.complain(
                second,
                format!("`{source}` has two `script` blocks"),
                "the second one",
                Some("keep one (PEP 723)".into()),
            );
        }
    }
}

fn lines(source: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    source
        .split_inclusive('\n')
        .map(|whole| {
            let text = whole.trim_end_matches('\n').trim_end_matches('\r');
            let span = start..start + text.len();
            start += whole.len();
            Line { text, span }
        })
        .collect()
}

fn block_type(line: &str) -> Option<&str> {
    let name = line.strip_prefix("# /// ")?;
    let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    valid.then_some(name)
}

fn is_content(line: &str) -> bool {
    line == "#" || line.starts_with("# ")
}

/// The block's lines without their comment signs, everything else blanked out byte by byte.
/// (Only a TOML multi-line string would differ with the blanks.)
fn masked(source: &str, block: &[Line<'_>]) -> Block {
    let mut toml: Vec<u8> = source
        .bytes()
        .map(|b| if b == b'\n' { b'\n' } else { b' ' })
        .collect();
    for line in &block[1..block.len() - 1] {
        let content = line.span.start + 1..line.span.end;
        toml[content.clone()].copy_from_slice(&source.as_bytes()[content]);
    }
    Block {
        toml: String::from_utf8(toml).expect("whole lines of a text, and blanks"),
        span: block[0].span.start..block[block.len() - 1].span.end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_in_the_block_is_a_span_in_the_file() {
        let source =
            "'''docs é'''\n# /// script\n# requires-python = \">=3.11\"\n#\n# ///\nimport x\n";
        let block = block(source).unwrap();
        assert_eq!(block.toml.len(), source.len());
        assert_eq!(block.toml.trim(), "requires-python = \">=3.11\"");
        assert_eq!(block.toml.find("requires"), source.find("requires"));
        assert!(source[block.span].starts_with("# /// script") && source.contains("# ///\n"));
    }

    #[test]
    fn the_last_closing_line_of_a_run_of_comments_closes() {
        let source = "# /// script\n# a = '''\n# ///\n# '''\n# ///\n";
        assert_eq!(
            block(source).unwrap().toml.trim(),
            "a = '''\n  ///\n  '''".trim()
        );
    }

    #[test]
    fn other_blocks_are_not_ours() {
        let source = "# /// tool\n# x = 1\n# ///\n\n# /// script\n# a = 1\n# ///\n";
        assert_eq!(block(source).unwrap().toml.trim(), "a = 1");
        assert_eq!(block("print('# /// script')\n"), Err(Broken::Missing));
        assert_eq!(block("#/// script\n# a = 1\n# ///\n"), Err(Broken::Missing));
    }

    #[test]
    fn windows_line_ends_are_read() {
        assert_eq!(
            block("# /// script\r\n# a = 1\r\n# ///\r\n")
                .unwrap()
                .toml
                .trim(),
            "a = 1"
        );
    }

    #[test]
    fn an_open_block_and_a_second_one_are_errors() {
        let open = "# /// script\n# a = 1\nimport x\n# ///\n";
        assert!(
            matches!(block(open), Err(Broken::Unclosed { stops_at, .. }) if &open[stops_at.clone()] == "import x")
        );
        let one = "# /// script\n# a = 1\n# ///\n\n";
        assert!(matches!(block(&one.repeat(2)), Err(Broken::Twice { .. })));
        assert!(matches!(
            block("# /// script\n# ///\n"),
            Err(Broken::Unclosed { .. })
        ));
    }
}
