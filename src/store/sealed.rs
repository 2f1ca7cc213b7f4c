//! A JSON object that carries a digest of itself: the last field, `seal`, is the sha256 of the others as they are
//! written. Detects that it was changed, not by whom.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    #[serde(flatten)]
    content: T,
    seal: Digest,
}

fn seal(content: &impl Serialize) -> Digest {
    Digest::of(serde_json::to_vec(content).expect("only plain fields are sealed"))
}

/// The text of a sealed object.
pub(super) fn text<T: Serialize>(content: &T) -> String {
    let seal = seal(content);
    let mut text = serde_json::to_string_pretty(&Sealed { content, seal })
        .expect("only plain fields are sealed");
    text.push('\n');
    text
}

/// The object in a text; `None` if it is none, or its seal is broken.
pub(super) fn open<T: Serialize + DeserializeOwned>(text: &[u8]) -> Option<T> {
    let found: Sealed<T> = strict_json::from_slice(text).ok()?;
    (found.seal == seal(&found.content)).then_some(found.content)
}
