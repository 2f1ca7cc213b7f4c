//! Values of requests that two programs would read differently, or that Python could not read: refused before anything is called.

use super::failure::Failure;

/// What is wrong with a value, by a part of the reader's message; and what to do.
const ADVICE: [(&str, &str); 4] = [
    (
        "occurs twice",
        "programs differ in which of the two values they read: remove one",
    ),
    (
        "number out of range",
        "a number has to fit into a 64-bit float, that is below 1.8e308: send a larger one as text",
    ),
    (
        "recursion limit exceeded",
        "lists and objects can be nested 120 deep: send deeper ones flat, or as text",
    ),
    (
        "hex escape",
        "an escape from `\\ud800` to `\\udfff` has to be one of a pair: other text is no Unicode",
    ),
];

/// Makes sure that no object in this JSON repeats a key, and that all numbers, texts and depths can be carried.
pub(super) fn check(text: &[u8]) -> Result<(), Failure> {
    strict_json::check(text, usize::MAX).map_err(|error| {
        let message = error.to_string();
        let advice = advice(&message).unwrap_or_default();
        Failure::bad_request(format!("the request cannot be read: {message}"), advice)
    })
}

/// What to do about JSON that is well formed and is refused with this message.
pub(crate) fn advice(message: &str) -> Option<&'static str> {
    let mut known = ADVICE.iter();
    let found = known.find(|(part, _)| message.contains(part));
    found.map(|(_, advice)| *advice)
}
