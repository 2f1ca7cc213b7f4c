//! The page of an index, in JSON (PEP 691) or HTML (PEP 503): which of its files are yanked. Asks no server.

use std::collections::BTreeSet;

use html5gum::{Token, Tokenizer};
use serde::Deserialize;

use crate::fetch::{Page, file_name};

/// What is understood, the better first.
pub(super) const KINDS: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

#[derive(Deserialize)]
struct Listing {
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    filename: String,
    #[serde(default)]
    yanked: Mark,
}

/// `true`, or the reason, which may be empty.
#[derive(Deserialize)]
#[serde(untagged)]
enum Mark {
    Is(bool),
    Because(#[expect(dead_code, reason = "any reason is one")] String),
}

impl Default for Mark {
    fn default() -> Self {
        Mark::Is(false)
    }
}

/// The names of the yanked files on a page.
pub(super) fn yanked(page: &Page) -> Result<BTreeSet<String>, String> {
    if page.kind.ends_with("json") {
        let listing: Listing = strict_json::from_slice(&page.bytes)
            .map_err(|error| format!("its list of files cannot be read: {error}"))?;
        let yanked = |file: &Listed| !matches!(file.yanked, Mark::Is(false));
        let yanked = listing.files.into_iter().filter(yanked);
        return Ok(yanked.map(|file| file.filename).collect());
    }
    let mut names = BTreeSet::new();
    for Ok(token) in Tokenizer::new(&page.bytes[..]) {
        let Token::StartTag(tag) = token else {
            continue;
        };
        let attribute = |name: &[u8]| {
            let (_, value) = tag
                .attributes
                .iter()
                .find(|(key, _)| key.as_slice() == name)?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        if tag.name.as_slice() == b"a" && attribute(b"data-yanked").is_some() {
            names.extend(attribute(b"href").and_then(|href| file_name(&href)));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: &str, text: &str) -> Vec<String> {
        let page = Page {
            kind: kind.into(),
            bytes: text.into(),
        };
        yanked(&page).unwrap().into_iter().collect()
    }

    #[test]
    fn the_mark_is_read_in_every_form() {
        let html = "<!DOCTYPE html><a href=\"../f/a-1%2Bx-py3-none-any.whl#sha256=1\" DATA-YANKED>a</a>\n\
                    <A data-yanked='broken &gt; bad' HREF='b-1.tar.gz?x=1'>b</A><a href=c-1.whl>c</a>\
                    <!-- <a href=d-1.whl data-yanked> -->";
        assert_eq!(
            names("text/html", html),
            ["a-1+x-py3-none-any.whl", "b-1.tar.gz"]
        );
        let json = r#"{"files": [{"filename": "a", "yanked": true}, {"filename": "b", "yanked": ""},
            {"filename": "c", "yanked": false}, {"filename": "d"}]}"#;
        let kind = "application/vnd.pypi.simple.v1+json";
        assert_eq!(names(kind, json), ["a", "b"]);
    }
}
