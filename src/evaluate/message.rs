//! Messages: the length of a head, the head as JSON, and bytes that the head describes.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the length.
const LENGTH: usize = 4;

/// A message with this head and these parts behind it.
pub(super) fn pack(head: &impl Serialize, parts: &[&[u8]]) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(head)?;
    let length = u32::try_from(head.len()).map_err(io::Error::other)?;
    let mut message = length.to_le_bytes().to_vec();
    message.extend(head);
    for part in parts {
        message.extend_from_slice(part);
    }
    Ok(message)
}

/// The head of a message and the bytes behind it; `None` if it is no message.
pub(super) fn unpack<T: DeserializeOwned>(message: &[u8]) -> Option<(T, &[u8])> {
    let (length, rest) = message.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (head, rest) = rest.split_at_checked(length)?;
    Some((strict_json::from_slice(head).ok()?, rest))
}

/// Cuts pieces of these lengths off; `None` if the bytes are not as many.
pub(super) fn cut(mut bytes: &[u8], lengths: impl Iterator<Item = usize>) -> Option<Vec<&[u8]>> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = bytes.split_at_checked(length)?;
        pieces.push(piece);
        bytes = rest;
    }
    bytes.is_empty().then_some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_nothing_else_is_one() {
        let message = pack(&vec![3, 1], &[b"abc", b"d"]).unwrap();
        let (head, rest) = unpack::<Vec<usize>>(&message).unwrap();
        assert_eq!(head, [3, 1]);
        assert_eq!(cut(rest, head.into_iter()).unwrap(), [&b"abc"[..], b"d"]);
        assert!(cut(rest, [3].into_iter()).is_none());
        assert!(cut(rest, [3, 2].into_iter()).is_none());
        for length in 0..8 {
            assert!(unpack::<Vec<usize>>(&message[..length]).is_none());
        }
    }
}
