//! The one place where what others have written is made harmless before a person, a terminal or a CI log sees it: names of
//! a manifest, a lock, a claim or a wheel, a server's reply, what a model prints. Control characters act on terminals,
//! bidirectional ones show another text than there is, and lines of GitHub Actions may be commands.

use std::fmt::Write as _;

/// Whether a character does something else than to be seen.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether there is anything to escape in a text of several lines.
pub(super) fn is_needed(text: &str) -> bool {
    text.chars()
        .any(|c| is_active(c) && !matches!(c, '\n' | '\t'))
}

/// A text as one line.
pub(super) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let inner = text.trim_start();
    out.push_str(&text[..text.len() - inner.len()].replace(is_active, " "));
    // What begins like this is an order to GitHub Actions.
    let orders = [("::", "\\u{3a}:"), ("##[", "\\u{23}#[")];
    let rest = orders.iter().find_map(|(order, harmless)| {
        let rest = inner.strip_prefix(order)?;
        out.push_str(harmless);
        Some(rest)
    });
    for c in rest.unwrap_or(inner).chars() {
        match c {
            '\t' => out.push('\t'),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if is_active(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A text of several lines.
pub(super) fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// JSON that says the same: its strings name such characters by number.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_active(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_out_and_what_is_seen_stays() {
        for (text, expected) in [
            ("plain `é` 水 ✓\t×", "plain `é` 水 ✓\t×"),
            ("\u{1b}]0;owned\u{7}", "\\u{1b}]0;owned\\u{7}"),
            ("a\rb\nc", "a\\rb\\nc"),
            ("abc\u{202e}fed\u{2069}", "abc\\u{202e}fed\\u{2069}"),
            ("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\u{7f}\\u{0}"),
            ("  ::error::no", "  \\u{3a}:error::no"),
            ("##[group]x", "\\u{23}#[group]x"),
            ("a::b", "a::b"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(line(text), expected);
        }
        assert_eq!(lines("a\n::b\n\u{1b}"), "a\n\\u{3a}:b\n\\u{1b}");
        assert!(is_needed("\u{200f}") && !is_needed("a\n\tb"));
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ "a\u{202e}\u{7f}": "\u{1b}\u{9b}\u{e0041}é\n" });
        let text = json(&format!("{value:#}"));
        assert!(!is_needed(&text), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
