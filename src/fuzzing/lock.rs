//! Locks, and what is exported of them.

use crate::export::{self, Addresses, Subject};
use crate::lock::Lock;
use crate::lock::file::{self, fuzzing::resealed};
use crate::uv::fuzzing::assert_exported;

/// A text is a lock only as it is written; what is written of a lock is read as that lock, and exported whole.
pub fn lock(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match file::read("rootstock.lock", &text) {
        Ok(lock) => {
            assert_eq!(file::text(&lock), text.replace("\r\n", "\n"));
            assert_read_as_written(&lock);
        }
        Err(error) => {
            let _ = (error.to_string(), format!("{error:?}"));
        }
    }
    // A mutated lock has the digests of the one before; with its own it is a valid lock of another answer.
    if let Some(lock) = resealed(&text) {
        assert_read_as_written(&lock);
        assert_exports(&lock);
    }
}

fn assert_read_as_written(lock: &Lock) {
    let text = file::text(lock);
    let again = match file::read("rootstock.lock", &text) {
        Ok(again) => again,
        Err(error) => panic!("{error:?}\n{text}"),
    };
    assert_eq!(again, *lock);
}

fn assert_exports(lock: &Lock) {
    for environment in &lock.environments {
        for target in &environment.targets {
            let subject = Subject {
                environment,
                target,
                models: &[],
            };
            let addresses: Addresses = target
                .files()
                .map(|package| {
                    let url = format!("https://example.com/{}", package.sha256);
                    (package.sha256, url)
                })
                .collect();
            let text = export::pylock(&subject, &addresses).expect("every file has an address");
            assert_exported(&text, target);
        }
    }
}
