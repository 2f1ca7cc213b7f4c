//! Percent-encoding in addresses (RFC 3986).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// What is escaped in one segment of a path, or in a value of a query: everything that is not unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is escaped in a path.
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// The text as one segment of a path.
pub(crate) fn encode_segment(text: &str) -> String {
    percent_encode(text.as_bytes(), SEGMENT).to_string()
}

/// The bytes as a path; its slashes stay.
pub(crate) fn encode_path(path: impl AsRef<[u8]>) -> String {
    percent_encode(path.as_ref(), PATH).to_string()
}

/// The text without escapes; `None` if that is not UTF-8. A `%` that begins no escape stays.
pub(crate) fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        for text in ["a-b._~", "/a b/c+d%.whl", "é\n\u{202e}?#&="] {
            assert_eq!(decode(&encode_path(text)).as_deref(), Some(text));
            assert_eq!(decode(&encode_segment(text)).as_deref(), Some(text));
        }
        assert_eq!(encode_path("/a b/c+d%"), "/a%20b/c%2Bd%25");
        assert_eq!(encode_segment("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(decode("100%").as_deref(), Some("100%"));
        assert_eq!(decode("%FF"), None);
    }
}
