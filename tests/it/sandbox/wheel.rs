//! Wheels made in the test.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use base64::Engine;
use rootstock::digest::Digest;
use zip::write::SimpleFileOptions;

/// A wheel to be.
#[derive(Clone)]
pub(crate) struct Wheel {
    pub(crate) name: String,
    pub(crate) version: String,
    requires: Vec<String>,
    files: Vec<(String, String)>,
    tag: String,
    python: Option<String>,
}

impl Wheel {
    /// A package with one module that says its name, and a program that prints it.
    pub(crate) fn simple(name: &str, version: &str) -> Self {
        Self::new(name, version)
            .file(
                &format!("{name}/__init__.py"),
                &format!("\"\"\"{name}\"\"\"\nVERSION = \"{version}\"\n\n\ndef main():\n    print(\"{name}\", VERSION)\n"),
            )
            .file(
                &format!("{name}-{version}.dist-info/entry_points.txt"),
                &format!("[console_scripts]\n{name} = {name}:main\n"),
            )
    }

    /// A package without files.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            requires: Vec::new(),
            files: Vec::new(),
            tag: "py3-none-any".into(),
            python: None,
        }
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    /// For one kind of machine.
    pub(crate) fn tagged(mut self, tag: &str) -> Self {
        self.tag = tag.into();
        self
    }

    /// For these versions of Python.
    pub(crate) fn requires_python(mut self, specifiers: &str) -> Self {
        self.python = Some(specifiers.into());
        self
    }

    pub(crate) fn requires(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.into());
        self
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}-{}.whl", self.name, self.version, self.tag)
    }

    pub(crate) fn metadata(&self) -> String {
        let requires = self
            .requires
            .iter()
            .map(|r| format!("Requires-Dist: {r}\n"));
        let python = self.python.iter();
        let python = python.map(|specifiers| format!("Requires-Python: {specifiers}\n"));
        let extra = |requirement: &String| {
            let (_, extra) = requirement.split_once("extra == '")?;
            Some(format!(
                "Provides-Extra: {}\n",
                extra.trim_end_matches('\'')
            ))
        };
        format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n{}{}{}",
            self.name,
            self.version,
            python.collect::<String>(),
            requires.collect::<String>(),
            self.requires.iter().filter_map(extra).collect::<String>()
        )
    }

    /// The archive; the same bytes each time.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let inside = format!("{}-{}.dist-info", self.name, self.version);
        let mut files = self.files.clone();
        files.push((format!("{inside}/METADATA"), self.metadata()));
        files.push((
            format!("{inside}/WHEEL"),
            format!(
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {}\n",
                self.tag
            ),
        ));
        let mut record = String::new();
        for (path, text) in &files {
            let digest = Digest::of(text);
            let digest = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes());
            writeln!(record, "{path},sha256={digest},{}", text.len()).unwrap();
        }
        writeln!(record, "{inside}/RECORD,,").unwrap();
        files.push((format!("{inside}/RECORD"), record));
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, text) in files {
            archive
                .start_file(path, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }
}
