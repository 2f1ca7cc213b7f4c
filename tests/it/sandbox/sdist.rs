//! Source distributions made in the test, with a build backend of their own that needs nothing but the standard
//! library.

use std::fs;
use std::io::Write as _;
use std::path::Path;

/// A project to be: a source distribution or a directory.
#[derive(Clone)]
pub(crate) struct Sdist {
    pub(crate) name: String,
    pub(crate) version: String,
    requires: Vec<String>,
    asks: String,
    body: String,
    dependencies: Vec<String>,
    dynamic: bool,
    more: Vec<(String, String)>,
}

/// The backend. `MODULE` is the code that makes the text of the only module in the wheel.
const BACKEND: &str = r#"
import base64, hashlib, os, sys, zipfile

NAME, VERSION, DEPENDENCIES = @NAME@, @VERSION@, @DEPENDENCIES@


def get_requires_for_build_wheel(settings=None):
@ASKS@


def module():
@MODULE@


def build_wheel(directory, settings=None, metadata=None):
    inside = "%s-%s.dist-info/" % (NAME, VERSION)
    needs = "".join("Requires-Dist: %s\n" % d for d in DEPENDENCIES)
    files = {
        NAME + ".py": module(),
        inside + "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s" % (NAME, VERSION, needs),
        inside + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        record += "%s,sha256=%s,%d\n" % (path, digest, len(text.encode()))
    files[inside + "RECORD"] = record + inside + "RECORD,,\n"
    file = "%s-%s-py3-none-any.whl" % (NAME, VERSION)
    with zipfile.ZipFile(os.path.join(directory, file), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return file
"#;

impl Sdist {
    /// A project whose module says its version.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            requires: Vec::new(),
            asks: "return []".into(),
            body: "return 'VERSION = %r\\n' % VERSION".into(),
            dependencies: Vec::new(),
            dynamic: false,
            more: Vec::new(),
        }
    }

    /// What `pyproject.toml` says that building takes.
    pub(crate) fn requires(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.into());
        self
    }

    /// What the wheel says that it needs.
    pub(crate) fn depends(mut self, requirement: &str) -> Self {
        self.dependencies.push(requirement.into());
        self
    }

    /// One more file.
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.more.push((path.into(), text.into()));
        self
    }

    /// Only the backend knows what it depends on.
    pub(crate) fn dynamic(mut self) -> Self {
        self.dynamic = true;
        self
    }

    /// The body of `get_requires_for_build_wheel`.
    pub(crate) fn asks(mut self, python: &str) -> Self {
        self.asks = python.into();
        self
    }

    /// The body of the function that returns the text of the module.
    pub(crate) fn makes(mut self, python: &str) -> Self {
        self.body = python.into();
        self
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}.tar.gz", self.name, self.version)
    }

    /// Its files with their texts.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let indented = |body: &str| {
            let lines = body.lines().map(|line| format!("    {line}\n"));
            lines.collect::<String>()
        };
        let backend = BACKEND
            .replace("@NAME@", &format!("{:?}", self.name))
            .replace("@VERSION@", &format!("{:?}", self.version))
            .replace("@DEPENDENCIES@", &format!("{:?}", self.dependencies))
            .replace("@ASKS@", &indented(&self.asks))
            .replace("@MODULE@", &indented(&self.body));
        let project = format!(
            "[build-system]\nrequires = {:?}\nbuild-backend = \"backend\"\nbackend-path = [\"build_tools\"]\n\n\
             [project]\nname = {:?}\nversion = {:?}\ndependencies = {:?}\n",
            self.requires, self.name, self.version, self.dependencies
        );
        let (system, _) = project.split_once("\n\n").unwrap();
        let project = if self.dynamic {
            format!("{system}\n")
        } else {
            project.clone()
        };
        let depends = self
            .dependencies
            .iter()
            .map(|d| format!("Requires-Dist: {d}\n"));
        let about = format!(
            "Metadata-Version: {}\nName: {}\nVersion: {}\n{}",
            if self.dynamic { "2.1" } else { "2.2" },
            self.name,
            self.version,
            depends.collect::<String>()
        );
        let mut files = vec![
            ("PKG-INFO".into(), about),
            ("build_tools/backend.py".into(), backend),
            ("pyproject.toml".into(), project),
        ];
        files.extend_from_slice(&self.more);
        files
    }

    /// The archive; the same bytes each time.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        for (path, text) in self.files() {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            let path = format!("{}-{}/{path}", self.name, self.version);
            archive
                .append_data(&mut header, path, text.as_bytes())
                .unwrap();
        }
        let mut gzip = archive.into_inner().unwrap();
        gzip.flush().unwrap();
        gzip.finish().unwrap()
    }

    /// Writes it as a directory.
    pub(crate) fn write(&self, directory: &Path) {
        for (path, text) in self.files() {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
}
