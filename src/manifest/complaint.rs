//! What is wrong with a file a person wrote: each complaint with its place in the text and what to write instead.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::syntax;
use crate::files;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Complaint {
    /// What is wrong.
    pub message: String,
    /// Where in its whole text it is.
    place: usize,
    #[source_code]
    text: NamedSource<Arc<String>>,
    #[label("{label}")]
    span: SourceSpan,
    label: String,
    #[label("{other_label}")]
    other: Option<SourceSpan>,
    other_label: &'static str,
    #[help]
    help: Option<String>,
}

impl Complaint {
    /// Where in its text it is.
    pub(crate) fn place(&self) -> usize {
        self.place
    }
}

/// So many complaints are drawn; those of a file that is no manifest at all say nothing more.
const DRAWN: usize = 100;

/// Everything that is wrong with the manifest and the files it names.
#[derive(Debug, Clone, thiserror::Error, Diagnostic)]
#[error("{headline}")]
pub struct Complaints {
    /// The first of them, in the order of the files.
    #[related]
    pub all: Vec<Complaint>,
    headline: String,
}

impl Complaints {
    /// All of these, about a manifest.
    pub(super) fn new(all: Vec<Complaint>) -> Self {
        Self::with_headline(all, "wrong with the manifest")
    }

    /// All of these; `what` goes on after "2 things are".
    pub(crate) fn with_headline(mut all: Vec<Complaint>, what: &str) -> Self {
        let headline = headline(all.len(), what);
        all.truncate(DRAWN);
        Self { all, headline }
    }
}

fn headline(count: usize, what: &str) -> String {
    match count {
        1 => format!("one thing is {what}"),
        n if n > DRAWN => format!("{n} things are {what}; the first {DRAWN} are"),
        n => format!("{n} things are {what}"),
    }
}

/// A text a person wrote, and what has been found wrong with it so far.
#[derive(Debug)]
pub(crate) struct Text {
    name: String,
    content: Arc<String>,
    /// The same with passwords covered, for people.
    shown: Arc<String>,
    /// What is wrong with it.
    pub(crate) complaints: Vec<Complaint>,
}

impl Text {
    pub(crate) fn new(name: &str, text: String) -> Self {
        Self {
            name: name.to_owned(),
            shown: Arc::new(covered(&text)),
            content: Arc::new(text),
            complaints: Vec::new(),
        }
    }

    /// The text itself, shared, so that complaints can be added while it is read.
    pub(crate) fn text(&self) -> Arc<String> {
        Arc::clone(&self.content)
    }

    /// Complains about a place; `label` stands under the caret.
    pub(crate) fn complain(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let end = span.end.min(self.content.len());
        // A parser may point behind the end of the file.
        let start = span.start.min(end);
        let mut label = label.into();
        let (text, shown) = match excerpt(&self.shown, start..end) {
            None => (Arc::clone(&self.shown), start..end),
            Some(Excerpt { text, span, column }) => {
                label = format!("{label} (column {column})");
                (Arc::new(text), span)
            }
        };
        self.complaints.push(Complaint {
            message: message.into(),
            place: start,
            text: NamedSource::new(&self.name, text),
            span: shown.into(),
            label,
            other: None,
            other_label: "",
            help: help.into(),
        });
    }

    /// Points the last complaint to a second place.
    fn beside(&mut self, place: Range<usize>, label: &'static str) {
        // Of a long text only an excerpt is shown.
        let whole = |complaint: &&mut Complaint| complaint.span.offset() == complaint.place;
        if let Some(complaint) = self.complaints.last_mut().filter(whole) {
            complaint.other = Some(place.into());
            complaint.other_label = label;
        }
    }

    /// Complains about TOML that cannot be read.
    pub(crate) fn complain_syntax(&mut self, error: &toml::de::Error) {
        let content = self.text();
        let message = error.message().trim().to_owned();
        let span = error.span().unwrap_or(0..0);
        if let Some(quotes) = syntax::curly_quotes(&content, &span) {
            self.complain(
                quotes[0].clone(),
                "a text is written in straight quotes",
                "this is a typographic quote",
                Some("write `\"…\"`: some editors and word processors replace them".to_owned()),
            );
            if let [_, last, ..] = quotes.as_slice() {
                self.beside(last.clone(), "and this");
            }
        } else if message.starts_with("duplicate key") {
            let name = content.get(span.clone()).unwrap_or_default();
            let what = if syntax::is_header(&content, &span) {
                "table"
            } else {
                "key"
            };
            self.complain(
                span.clone(),
                format!("the {what} `{name}` occurs twice"),
                "the second one",
                Some(format!("keep one of them: TOML has each {what} once")),
            );
            if let Some(first) = syntax::first(&content, &span) {
                self.beside(first, "the first one");
            }
        } else {
            self.complain(span, "this is not TOML", message, None);
        }
    }
}

/// What is shown of a text with a line that is too long to be drawn.
pub(crate) struct Excerpt {
    /// Empty lines up to the place, so that its line keeps its number, and a piece of that.
    pub(crate) text: String,
    /// The place in it.
    pub(crate) span: Range<usize>,
    /// The place's column in the whole line, in characters from 1.
    pub(crate) column: usize,
}

/// What to show of a place in a text, if the lines around it are too long to be drawn as they are.
pub(crate) fn excerpt(text: &str, span: Range<usize>) -> Option<Excerpt> {
    const LONG: usize = 1000;
    const AROUND: usize = 40;
    let is_end = |c: char| c == '\n';
    let begin = text[..span.start].rfind(is_end).map_or(0, |at| at + 1);
    let before = text[..begin.saturating_sub(1)]
        .rfind(is_end)
        .map_or(0, |at| at + 1);
    let end = text[span.end..]
        .find(is_end)
        .map_or(text.len(), |at| span.end + at);
    let rest = &text[(end + 1).min(text.len())..];
    let after = end + rest.find(is_end).unwrap_or(rest.len());
    if after - before <= LONG {
        return None;
    }
    let line_end = text[span.start..]
        .find(is_end)
        .map_or(text.len(), |at| span.start + at);
    let from = boundary(text, span.start.saturating_sub(AROUND)).max(begin);
    let marked = boundary(text, span.end.min(line_end).min(span.start + AROUND));
    let to = boundary(text, (marked + AROUND).min(line_end));
    let lines = text[..begin].matches(is_end).count();
    let shown = format!("{}{}", "\n".repeat(lines), &text[from..to]);
    let start = lines + span.start - from;
    Some(Excerpt {
        text: shown,
        span: start..start + marked.max(span.start) - span.start,
        column: text[begin..span.start].chars().count() + 1,
    })
}

/// The last place up to this one where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    let mut places = (0..=at.min(text.len())).rev();
    places.find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The text with `***` where an address has a user and a password; every place stays where it is.
fn covered(text: &str) -> String {
    let mut covered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        covered.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\''))
            .unwrap_or(after.len());
        let secret = after[..end].rfind('@').unwrap_or(0);
        covered.extend(std::iter::repeat_n('*', secret));
        rest = &after[secret..];
    }
    covered.push_str(rest);
    covered
}

/// Between 0 and 1; capital letters are a small difference.
fn similarity(word: &str, candidate: &str) -> f64 {
    let [word, other] = [word, candidate].map(str::to_lowercase);
    strsim::jaro_winkler(&word, &other)
}

/// The candidate that is nearest to a misspelt word, if one is near.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (similarity(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What to do about a path on the command line where nothing is.
pub(crate) fn path_advice(path: &Path) -> String {
    match nearest_path(Path::new(""), path) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "correct the path; it starts in the current directory".to_owned(),
    }
}

/// What to write for a path below a directory where nothing is: the path that is there and nearest to it.
pub(crate) fn nearest_path(here: &Path, path: &Path) -> Option<String> {
    let mut near = PathBuf::new();
    for part in path.components() {
        let Component::Normal(part) = part else {
            near.push(part);
            continue;
        };
        if files::exists(&here.join(&near).join(part)) {
            near.push(part);
            continue;
        }
        // The directory of a manifest in the current one has an empty path.
        let names = files::names(&here.join(".").join(&near)).ok()?;
        near.push(nearest(
            &part.to_string_lossy(),
            names.iter().map(String::as_str),
        )?);
    }
    Some(near.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_covered_and_places_stay() {
        let text = "a = \"https://me:wörd@h/x@y\"\nb = 'http://h/a' # ssh://git@h\n";
        let shown = covered(text);
        assert_eq!(
            shown,
            "a = \"https://********@h/x@y\"\nb = 'http://h/a' # ssh://***@h\n"
        );
        assert_eq!(shown.len(), text.len());
    }
}
