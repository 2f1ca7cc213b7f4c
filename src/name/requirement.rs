//! Requirements (PEP 508) from untrusted texts. `pep508_rs` panics at some of them.

use pep508_rs::{Pep508Error, Pep508ErrorSource, Pep508Url, Requirement};

/// The requirement of a text.
pub(crate) fn requirement<T: Pep508Url>(text: &str) -> Result<Requirement<T>, Pep508Error<T>> {
    let wrong = if let Some(start) = unfinished_name(text) {
        (start, "a name must end with a letter or a digit")
    } else if let Some(start) = unreadable_marker(text) {
        (
            start,
            "only ASCII characters may follow the `;` of a marker",
        )
    } else {
        return text.parse();
    };
    let (start, why) = wrong;
    Err(Pep508Error {
        message: Pep508ErrorSource::String(why.to_owned()),
        start,
        len: text[start..].chars().next().map_or(1, char::len_utf8),
        input: text.to_owned(),
    })
}

/// Where a marker has a character of more than one byte: the parser takes the number of characters for that of bytes.
fn unreadable_marker(text: &str) -> Option<usize> {
    let start = text.find(';')?;
    Some(start + text[start..].find(|c: char| !c.is_ascii())?)
}

/// Where the name of the package or of an extra ends in `.`, `-` or `_`: the parser believes that it has refused these.
fn unfinished_name(text: &str) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let rest = text.trim_start();
    let (name, behind) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
    let extras = behind.trim_start().strip_prefix('[').unwrap_or_default();
    let extras = extras.split(']').next().unwrap_or_default();
    let names = std::iter::once(name).chain(extras.split(',').map(str::trim));
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
        requirement::<VerbatimUrl>(text)
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

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a.\\-\\[\\], é;=><0-9@'/]{0,12}", any in ".{0,40}") {
            let _ = (read(&text), read(&any), read(&format!("a[{any}]")), read(&format!("a{text}")));
            let _ = (read(&format!("a; os_name == 'x'{any}")), read(&format!("a; os_name == 'x' {any}")));
        }
    }
}
