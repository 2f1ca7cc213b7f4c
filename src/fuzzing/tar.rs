//! Tar archives, as source distributions and as interpreters.

use crate::archive::fuzzing as described;
use crate::build::pythons::unpack as interpreter;
use crate::files::{self, fuzzing::Scratch};
use crate::project::unpack as sdist;

/// Whatever is in an archive, it is unpacked into its directory or refused; a disk without faults is not blamed.
pub fn tar(bytes: &[u8]) {
    let scratch = Scratch::new();
    let archive = if bytes.starts_with(b"\x1f\x8b") {
        bytes.to_vec()
    } else {
        let bytes = described::tar(bytes);
        let archive = scratch.file("plain", &bytes);
        let result = sdist::unpack(&archive, "a-1.0.tar", &scratch.path("tree"));
        assert_refused(&result);
        described::gzipped(&bytes)
    };
    let archive = scratch.file("archive", &archive);
    let result = sdist::unpack(&archive, "a-1.0.tar.gz", &scratch.path("sdist"));
    assert_refused(&result);
    let into = scratch.path("interpreter");
    files::create_directory(&into).expect("it is new");
    if let Err(error @ interpreter::Error::Files(_)) = interpreter::unpack(&archive, &into) {
        panic!("{error}");
    }
    scratch.assert_nothing_but(&["plain", "tree", "archive", "sdist", "interpreter"]);
}

fn assert_refused<T>(result: &Result<T, sdist::Error>) {
    if let Err(error @ sdist::Error::Files(_)) = result {
        panic!("{error}");
    }
}
