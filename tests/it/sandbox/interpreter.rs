//! Managed interpreters made in the test from the Python of this machine, in the layout of python-build-standalone, and
//! the list that uv is given instead of its own.

use std::process::Command;
use std::sync::OnceLock;

use rootstock::digest::Digest;
use serde_json::{Value, json};

use super::{Sandbox, python};

/// An archive, and the exact version of the Python in it.
fn packed() -> &'static (Vec<u8>, String) {
    static PACKED: OnceLock<(Vec<u8>, String)> = OnceLock::new();
    PACKED.get_or_init(|| {
        let temporary = tempfile::tempdir().unwrap();
        let archive = temporary.path().join("archive");
        let output = Command::new(python())
            .args(["-I", "-c", include_str!("interpreter.py")])
            .arg(&archive)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let version = String::from_utf8(output.stdout).unwrap();
        (std::fs::read(archive).unwrap(), version.trim().to_owned())
    })
}

/// The archives that a sandbox's index has.
pub(crate) struct Interpreters<'s> {
    sandbox: &'s Sandbox,
    list: serde_json::Map<String, Value>,
}

impl<'s> Interpreters<'s> {
    /// One archive of this machine's Python, built on 2020-01-01; environments of the sandbox use managed interpreters.
    pub(crate) fn new(sandbox: &'s Sandbox) -> Self {
        let manifest = sandbox.read("rootstock.toml");
        let managed = manifest.replace("\"system\"", "\"managed\"");
        sandbox.write("rootstock.toml", &managed);
        let mut interpreters = Self {
            sandbox,
            list: serde_json::Map::new(),
        };
        interpreters.publish(Self::version(), "20200101", Self::bytes());
        interpreters
    }

    /// The exact version of this machine's Python.
    pub(crate) fn version() -> &'static str {
        &packed().1
    }

    /// The archive.
    pub(crate) fn bytes() -> &'static [u8] {
        &packed().0
    }

    /// Publishes an archive, which uv knows from now on. What it was called before is forgotten.
    pub(crate) fn publish(&mut self, version: &str, build: &str, bytes: &[u8]) {
        let file = Self::file(version, build);
        let path = format!("pythons/{build}/{}", file.replace('+', "%2B"));
        let url = self.sandbox.index.put(&path, bytes);
        let numbers: Vec<u64> = version.split('.').map(|n| n.parse().unwrap()).collect();
        let architecture = std::env::consts::ARCH;
        let entry = json!({
            "name": "cpython",
            "arch": { "family": architecture, "variant": null },
            "os": "linux",
            "libc": "gnu",
            "major": numbers[0],
            "minor": numbers[1],
            "patch": numbers[2],
            "prerelease": "",
            "url": url,
            "sha256": Digest::of(bytes),
            "variant": null,
            "build": build,
        });
        let key = format!("cpython-{version}-linux-{architecture}-gnu");
        self.list.insert(key, entry);
        let list = Value::Object(self.list.clone()).to_string();
        self.sandbox.write("interpreters.json", &list);
    }

    /// The name of an archive's file.
    pub(crate) fn file(version: &str, build: &str) -> String {
        let architecture = std::env::consts::ARCH;
        format!(
            "cpython-{version}+{build}-{architecture}-unknown-linux-gnu-install_only_stripped.tar.gz"
        )
    }
}
