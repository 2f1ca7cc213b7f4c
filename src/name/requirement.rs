//! Requirements and markers (PEP 508) from untrusted texts. `pep508_rs` panics at some of them, overflows the stack at others,
//! and takes time and memory without bounds for some markers.

use std::str::FromStr as _;

use pep508_rs::{MarkerTree, Pep508Error, Pep508ErrorSource, Pep508Url, Requirement};

/// The most parentheses of a marker that are open at once: the parser calls itself for each.
const MOST_NESTED: usize = 50;

/// The most comparisons of a marker; published ones have up to ten.
const MOST_COMPARISONS: usize = 100;

/// The most that are made with `in` or of `extra`: each is a variable of its own in a decision diagram, which may double
/// in size with it.
const MOST_VARIABLES: usize = 20;

/// The requirement of a text.
pub(crate) fn requirement<T: Pep508Url>(text: &str) -> Result<Requirement<T>, Pep508Error<T>> {
    let marker = text.find(';').unwrap_or(text.len());
    let name = unfinished_name(text).map(|at| (at, "a name must end with a letter or a digit"));
    let wrong =
        name.or_else(|| unreadable_marker(&text[marker..]).map(|(at, why)| (marker + at, why)));
    match wrong {
        Some(wrong) => Err(error(text, wrong)),
        None => text.parse().map_err(within_text),
    }
}

/// The marker of a text.
pub(crate) fn marker(text: &str) -> Result<MarkerTree, Pep508Error> {
    match unreadable_marker(text) {
        Some(wrong) => Err(error(text, wrong)),
        None => MarkerTree::from_str(text).map_err(within_text),
    }
}

/// Corrects the place of an error where it lies inside a character or behind the text: printing it would panic.
fn within_text<T: Pep508Url>(mut error: Pep508Error<T>) -> Pep508Error<T> {
    let boundary = |at: &usize| error.input.is_char_boundary(*at);
    let end = (error.start.saturating_add(error.len)..=error.input.len()).find(boundary);
    let end = end.unwrap_or(error.input.len());
    let start = (0..=error.start.min(end)).rev().find(boundary).unwrap_or(0);
    (error.start, error.len) = (start, end - start);
    error
}

fn error<T: Pep508Url>(text: &str, (start, why): (usize, &str)) -> Pep508Error<T> {
    Pep508Error {
        message: Pep508ErrorSource::String(why.to_owned()),
        start,
        len: text[start..].chars().next().map_or(1, char::len_utf8),
        input: text.to_owned(),
    }
}

/// Where a marker is one that the parser must not get, and why.
fn unreadable_marker(text: &str) -> Option<(usize, &'static str)> {
    // The parser takes the number of characters for that of bytes.
    if let Some(at) = text.find(|c: char| !c.is_ascii()) {
        return Some((at, "only ASCII characters may be in a marker"));
    }
    let (mut nested, mut comparisons, mut variables) = (0_usize, 0, 0);
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let length = match first {
            '(' => {
                nested += 1;
                1
            }
            ')' => {
                nested = nested.saturating_sub(1);
                1
            }
            '"' | '\'' => {
                comparisons += 1;
                text[at + 1..]
                    .find(first)
                    .map_or(text.len() - at, |end| end + 2)
            }
            'a'..='z' => {
                let word = text[at..].split(|c: char| !c.is_ascii_lowercase()).next()?;
                variables += usize::from(matches!(word, "in" | "extra"));
                word.len()
            }
            _ => 1,
        };
        if nested > MOST_NESTED || comparisons > MOST_COMPARISONS || variables > MOST_VARIABLES {
            return Some((
                at,
                "the marker has too many parts; split the requirement into several",
            ));
        }
        at += length;
    }
    None
}

/// Where the name of the package or of an extra ends in `.`, `-` or `_`: the parser believes that it has refused these.
fn unfinished_name(text: &str) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let length_of_name = |text: &str| text.find(|c| !is_part(c)).unwrap_or(text.len());
    let rest = text.trim_start();
    let (name, behind) = rest.split_at(length_of_name(rest));
    let extras = behind.trim_start().strip_prefix('[').unwrap_or_default();
    let extras = extras.split(']').next().unwrap_or_default();
    // Whatever follows in front of the next comma is refused by the parser after it has taken the name.
    let extras = extras.split(',').map(str::trim_start);
    let extras = extras.map(|extra| &extra[..length_of_name(extra)]);
    let names = std::iter::once(name).chain(extras);
    let unfinished = names
        .filter(|name| name.starts_with(|first: char| first.is_ascii_alphanumeric()))
        .find(|name| name.ends_with(['.', '-', '_']))?;
    // A part of the text, so its address in memory gives its position.
    Some(unfinished.as_ptr() as usize + unfinished.len() - 1 - text.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use pep508_rs::VerbatimUrl;

    use super::*;

    fn read(text: &str) -> Result<Requirement, Pep508Error> {
        let read = requirement::<VerbatimUrl>(text);
        // Its place is one of the text.
        let _ = read.as_ref().map_err(ToString::to_string);
        read
    }

    #[test]
    fn a_name_that_does_not_end_is_refused_in_its_place() {
        for (text, place) in [
            ("ase.", 3),
            ("ase.=3", 3),
            (" ase- >=3", 4),
            ("ase_;python_version>'3'", 3),
            ("é", 0),
            ("ase[x.]", 5),
            ("ase [x, y-z_ ]==1", 11),
            ("ase[x.,y]", 5),
            ("ase[8.\t¡]", 5),
            ("ase[x, y- z]", 8),
            ("ase.[x]", 3),
            ("ase.@ https://example.com", 3),
        ] {
            assert_eq!(read(text).unwrap_err().start, place, "{text}");
        }
        for (text, place) in [
            ("a; os_name > 'x' é", 17),
            ("a; os_name > 'x'\u{3000}or'é'", 16),
        ] {
            assert_eq!(read(text).unwrap_err().start, place, "{text}");
        }
        for text in ["a", "a.b-c_d", "a[b.c,d]>1.", "a; os_name=='x.'", "a[]"] {
            let _ = read(text);
        }
        assert!(read("a.b-c_d[e-f]").is_ok());
    }

    #[test]
    fn a_marker_of_too_many_parts_is_refused() {
        let pair = |n: usize| format!("'a{n}' in os_name and 'b{n}' in sys_platform");
        let pairs = |count| (0..count).map(pair).collect::<Vec<_>>().join(" or ");
        let extras = |count: usize| {
            (0..count)
                .map(|n| format!("extra == 'e{n}'"))
                .collect::<Vec<_>>()
                .join(" or ")
        };
        let systems = |count: usize| {
            (0..count)
                .map(|n| format!("os_name > 'o{n}'"))
                .collect::<Vec<_>>()
                .join(" or ")
        };
        let nested = |count| format!("{}os_name == 'x'{}", "(".repeat(count), ")".repeat(count));
        for accepted in [pairs(10), extras(20), systems(100), nested(50)] {
            assert!(marker(&accepted).is_ok(), "{accepted}");
            assert!(read(&format!("a; {accepted}")).is_ok(), "{accepted}");
        }
        for refused in [
            pairs(11),
            pairs(40),
            extras(21),
            systems(101),
            nested(51),
            nested(1_000_000),
            "(".repeat(1 << 20),
        ] {
            let error = marker(&refused).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("the marker has too many parts"),
                "{error}"
            );
            assert!(read(&format!("a>1; {refused}")).is_err(), "{refused}");
        }
        // Not these: they are text.
        for text in [
            "os_name == '((((in in extra'",
            "os_name == \"'\" and os_name != '\"'",
            "python_version < '3' and sys_platform == 'linux'",
        ] {
            assert_eq!(
                marker(text).unwrap(),
                MarkerTree::from_str(text).unwrap(),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_marker_panics(text in "['\"inorextraands_ename()<>=!~ .0-9*é]{0,30}", any in ".{0,40}") {
            for text in [&text, &any, &format!("os_name == 'x'{any}"), &format!("python_version in '{any}'")] {
                let _ = marker(text).map_err(|error| error.to_string());
            }
        }

        #[test]
        fn no_text_panics(text in "[a.\\-\\[\\], é;=><0-9@'/]{0,12}", any in ".{0,40}") {
            let _ = (read(&text), read(&any), read(&format!("a[{any}]")), read(&format!("a{text}")));
            let _ = (read(&format!("a; os_name == 'x'{any}")), read(&format!("a; os_name == 'x' {any}")));
        }
    }
}
