//! Manifests and `script` blocks of any content.

use std::path::Path;

use super::environment::read_metadata;
use super::{Complaint, Complaints, check, script};

/// What a manifest may name: it is not changed.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/project");

/// A manifest is read or complained about, and both ways to read it find one root.
pub fn manifest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let here = Path::new(HERE);
    let path = here.join("rootstock.toml");
    let root = check::root(&path, here, text.clone(), None);
    match check::manifest(&path, here, text) {
        Ok(manifest) => {
            let root = root.expect("all of it was read");
            assert_eq!(root.map(|cluster| cluster.root), manifest.root);
            for environment in &manifest.environments {
                let path = Path::new(&environment.source);
                assert!(path.is_relative() && !environment.source.contains(".."));
            }
        }
        Err(complaints) => {
            assert_drawn(complaints);
            root.err().into_iter().for_each(assert_drawn);
        }
    }
}

/// A source has one block of as many bytes, in their places, and what stands in it is read or complained about.
pub fn script(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(block) = script::block(&text) {
        assert!(text[block.span].starts_with("# /// script"));
        assert_eq!(block.toml.len(), text.len());
        for (read, written) in block.toml.bytes().zip(text.bytes()) {
            assert!(read == written || read == b' ');
        }
    }
    let mut complaints: Vec<Complaint> = Vec::new();
    let metadata = read_metadata(Path::new(HERE), "environments/a.py", bytes, &mut complaints);
    assert!(metadata.is_some() || !complaints.is_empty());
    assert_drawn(Complaints::new(complaints));
}

/// Complaints can be drawn, and are not longer than a person reads.
fn assert_drawn(complaints: Complaints) {
    let drawn = format!("{:?}", miette::Report::new(complaints));
    assert!(drawn.len() < 1 << 20, "{} bytes", drawn.len());
}
