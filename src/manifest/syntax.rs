//! What is wrong with a text that is not TOML, where the parser's own words do not help: typographic quotes, and what is
//! there twice. Finds places, reports nothing.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

const QUOTES: [char; 6] = ['“', '”', '„', '‘', '’', '‚'];

/// The typographic quotes in the line where the parser stopped, if it stopped because of one.
pub(super) fn curly_quotes(text: &str, place: &Range<usize>) -> Option<Vec<Range<usize>>> {
    let line = line(text, place.start);
    let found: Vec<Range<usize>> = text[line.clone()]
        .char_indices()
        .filter(|(_, character)| QUOTES.contains(character))
        .map(|(at, character)| line.start + at..line.start + at + character.len_utf8())
        .collect();
    let stopped = found.first().is_some_and(|first| {
        let before = text[line.start..first.start].trim_end();
        before.ends_with(['=', '[', ',', '{', '(']) || before.is_empty()
    });
    stopped.then_some(found)
}

/// Whether a place is in the header of a table.
pub(super) fn is_header(text: &str, place: &Range<usize>) -> bool {
    header(&text[line(text, place.start)]).is_some()
}

/// Where the key at this place stands for the first time.
pub(super) fn first(text: &str, place: &Range<usize>) -> Option<Range<usize>> {
    let line = line(text, place.start);
    let name = unquoted(text.get(place.clone())?);
    // In an inline table both stand in one line.
    let within = text[line.start..place.start].rfind('{');
    if let Some(open) = within {
        let open = line.start + open;
        let at = text[open..place.start].find(name)? + open;
        return Some(at..at + name.len());
    }
    let before = &text[..line.start];
    let mut path = match header(&text[line.clone()]) {
        Some(path) => path,
        None => {
            let above = before.lines().rev().find_map(header).unwrap_or_default();
            let key = text[line].split('=').next()?.trim();
            above.into_iter().chain(segments(key)).collect()
        }
    };
    // The duplicate is at this path; what follows there is below it.
    let end = path.iter().rposition(|part| part == name)?;
    path.truncate(end + 1);
    let (table, _) = DeTable::parse_recoverable(before);
    find(table.get_ref(), &path)
}

fn find(table: &DeTable<'_>, path: &[String]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    if rest.is_empty() {
        return Some(key.span());
    }
    match value.get_ref() {
        DeValue::Table(table) => find(table, rest),
        DeValue::Array(items) => find(items.iter().last()?.get_ref().as_table()?, rest),
        _ => None,
    }
}

/// The line around a place, without its end.
fn line(text: &str, at: usize) -> Range<usize> {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    start..end
}

/// The parts of the name in a table's header.
fn header(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let inner = line.strip_prefix('[')?;
    let (inner, _) = inner.trim_start_matches('[').split_once(']')?;
    (!inner.contains(['"', '\'', ',']) || !inner.contains(',')).then(|| segments(inner))
}

fn segments(key: &str) -> Vec<String> {
    key.split('.')
        .map(|part| unquoted(part).to_owned())
        .collect()
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}
