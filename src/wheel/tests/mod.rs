//! Tiny wheels, made and unpacked here.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use super::*;
use crate::lock::Origin;

mod refusals;

/// A wheel in the making: members in order, each with its mode.
struct Wheel {
    members: Vec<(String, Vec<u8>, u32)>,
    /// Lines to put into RECORD instead of the right ones.
    record: Option<String>,
}

const WHEEL: &str =
    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

impl Wheel {
    /// `demo-1.0` with one module.
    fn new() -> Self {
        let wheel = Self {
            members: Vec::new(),
            record: None,
        };
        wheel
            .with("demo/__init__.py", "x = 1\n")
            .with("demo-1.0.dist-info/METADATA", "Name: demo\nVersion: 1.0\n")
            .with("demo-1.0.dist-info/WHEEL", WHEEL)
    }

    fn with(self, path: &str, contents: &str) -> Self {
        self.with_mode(path, contents, 0o100_644)
    }

    fn with_mode(mut self, path: &str, contents: &str, mode: u32) -> Self {
        self.members.push((path.into(), contents.into(), mode));
        self
    }

    /// Changes the member's contents, but not RECORD.
    fn tampered(mut self, path: &str) -> Self {
        self.record = Some(self.lines());
        let member = self.members.iter_mut().find(|m| m.0 == path).unwrap();
        *member.1.last_mut().unwrap() ^= 1;
        self
    }

    fn record(mut self, change: impl FnOnce(String) -> String) -> Self {
        self.record = Some(change(self.lines()));
        self
    }

    fn lines(&self) -> String {
        let files: Vec<UnpackedFile> = self
            .members
            .iter()
            .filter(|(path, ..)| !path.ends_with('/'))
            .map(|(path, contents, _)| UnpackedFile {
                scheme: Scheme::SitePackages,
                path: path.clone(),
                sha256: Digest::of(contents),
                size: contents.len() as u64,
                executable: false,
            })
            .collect();
        record::text(&files, "demo-1.0.dist-info/RECORD")
    }

    fn bytes(self) -> Vec<u8> {
        let record = self.record.clone().unwrap_or_else(|| self.lines());
        let wheel = self.with("demo-1.0.dist-info/RECORD", &record);
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, contents, mode) in wheel.members {
            let options = SimpleFileOptions::default().unix_permissions(mode & 0o7777);
            if mode & 0o170_000 == 0o120_000 {
                let target = String::from_utf8(contents).unwrap();
                zip.add_symlink(path, target, options).unwrap();
            } else if path.ends_with('/') {
                zip.add_directory(path, options).unwrap();
            } else {
                zip.start_file(path, options).unwrap();
                zip.write_all(&contents).unwrap();
            }
        }
        zip.finish().unwrap().into_inner()
    }

    fn unpack(self) -> (Store, Result<UnpackedWheel, Error>) {
        Store::new().unpack(&self.bytes())
    }

    /// Unpacks it and returns what was wrong; nothing may be left of it.
    fn refusal(self) -> String {
        let (place, result) = self.unpack();
        let error = result.unwrap_err();
        assert_eq!(
            files::names(&place.root.store().join("wheels-2")).unwrap(),
            Vec::<String>::new()
        );
        error.to_string()
    }
}

/// A root to unpack into.
struct Store {
    temporary: tempfile::TempDir,
    root: Root,
}

impl Store {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = Root::at(&temporary.path().join("root"), None);
        Self { temporary, root }
    }

    fn unpack(self, bytes: &[u8]) -> (Self, Result<UnpackedWheel, Error>) {
        let archive = self.temporary.path().join("archive");
        files::write(&archive, bytes).unwrap();
        let digest = Digest::of(bytes);
        let result = unpack(&self.root, &demo(), &archive, &digest);
        (self, result)
    }
}

fn demo() -> LockedPackage {
    LockedPackage {
        name: "demo".parse().unwrap(),
        version: "1.0".parse().unwrap(),
        origin: Origin::Index(None),
        file: "demo-1.0-py3-none-any.whl".into(),
        size: None,
        sha256: Digest::of(""),
    }
}

/// Everything in the store for the wheel: path in an environment, mode and text.
fn contents(unpacked: &UnpackedWheel) -> Vec<(String, u32, String)> {
    unpacked
        .files
        .iter()
        .map(|file| {
            let bytes = files::read(&unpacked.source(file)).unwrap();
            assert_eq!(Digest::of(&bytes), file.sha256, "{}", file.path);
            assert_eq!(bytes.len() as u64, file.size, "{}", file.path);
            let text = String::from_utf8(bytes).unwrap();
            (file.installed((3, 11)), file.mode(), text)
        })
        .collect()
}

fn text(unpacked: &UnpackedWheel, path: &str) -> String {
    let found = contents(unpacked).into_iter().find(|c| c.0 == path);
    found.unwrap_or_else(|| panic!("no {path}")).2
}

#[test]
fn a_plain_wheel_is_installed_as_specified() {
    let (store, unpacked) = Wheel::new()
        .with("demo/empty/", "")
        .with_mode("demo/ü tool,1", "#!/bin/sh\n", 0o100_775)
        .unpack();
    let unpacked = unpacked.unwrap();
    let site = "lib/python3.11/site-packages";
    let found: Vec<(String, u32)> = contents(&unpacked)
        .into_iter()
        .map(|c| (c.0, c.1))
        .collect();
    let expected = [
        (format!("{site}/demo-1.0.dist-info/INSTALLER"), 0o444),
        (format!("{site}/demo-1.0.dist-info/METADATA"), 0o444),
        (format!("{site}/demo-1.0.dist-info/RECORD"), 0o444),
        (format!("{site}/demo-1.0.dist-info/WHEEL"), 0o444),
        (format!("{site}/demo/__init__.py"), 0o444),
        (format!("{site}/demo/ü tool,1"), 0o555),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        text(&unpacked, &format!("{site}/demo-1.0.dist-info/INSTALLER")),
        "rootstock\n"
    );
    let record = text(&unpacked, &format!("{site}/demo-1.0.dist-info/RECORD"));
    let paths: Vec<&str> = record
        .lines()
        .map(|l| l.split(",sha256").next().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "\"demo/ü tool,1\"",
            "demo-1.0.dist-info/INSTALLER",
            "demo-1.0.dist-info/METADATA",
            "demo-1.0.dist-info/RECORD,,",
            "demo-1.0.dist-info/WHEEL",
            "demo/__init__.py",
        ]
    );
    // On disk as in the list.
    for entry in files::walk(&unpacked.directory.join("tree")).unwrap() {
        let mode = if entry.kind == files::Kind::File {
            [0o444, 0o555]
        } else {
            [0o755; 2]
        };
        assert!(mode.contains(&entry.mode), "{entry:?}");
    }
    let wheel = Digest::of(files::read(&store.temporary.path().join("archive")).unwrap());
    assert_eq!(wheels::find(&store.root, &wheel).unwrap(), Some(unpacked));
}

#[test]
fn data_directories_are_spread() {
    let (_store, unpacked) = Wheel::new()
        .with("demo-1.0.data/purelib/demo/pure.py", "pure\n")
        .with("demo-1.0.data/platlib/demo/plat.py", "plat\n")
        .with("demo-1.0.data/headers/demo.h", "h\n")
        .with("demo-1.0.data/data/share/demo.txt", "d\n")
        .with("demo-1.0.data/scripts/tool", "#!/bin/sh\n")
        .with("demo-1.0.data/scripts/short", "#!/bin")
        .with(
            "demo-1.0.data/scripts/python-tool",
            "#!python -x\r\nprint(1)\r\n",
        )
        .with("demo-1.0.data/scripts/windows", "#!pythonw")
        .unpack();
    let unpacked = unpacked.unwrap();
    let beginning = "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")/python\" \"$0\" \"$@\"\n' '''\n";
    let found: Vec<_> = contents(&unpacked)
        .into_iter()
        .filter(|(path, ..)| !path.contains("dist-info") && !path.ends_with("__init__.py"))
        .collect();
    let expected = [
        (
            "lib/python3.11/site-packages/demo/plat.py",
            0o444,
            "plat\n".to_owned(),
        ),
        (
            "lib/python3.11/site-packages/demo/pure.py",
            0o444,
            "pure\n".to_owned(),
        ),
        ("bin/python-tool", 0o555, format!("{beginning}print(1)\r\n")),
        ("bin/short", 0o555, "#!/bin".to_owned()),
        ("bin/tool", 0o555, "#!/bin/sh\n".to_owned()),
        ("bin/windows", 0o555, beginning.to_owned()),
        ("include/site/demo/demo.h", 0o444, "h\n".to_owned()),
        ("share/demo.txt", 0o444, "d\n".to_owned()),
    ];
    assert_eq!(found, expected.map(|(p, m, t)| (p.to_owned(), m, t)));
    let record = text(
        &unpacked,
        "lib/python3.11/site-packages/demo-1.0.dist-info/RECORD",
    );
    for path in [
        "../../../bin/tool,",
        "../../../include/site/demo/demo.h,",
        "../../../share/demo.txt,",
        "demo/pure.py,",
    ] {
        assert!(
            record.lines().any(|l| l.starts_with(path)),
            "{path}\n{record}"
        );
    }
}

#[test]
fn launchers_run_from_anywhere_through_a_link() {
    let (store, unpacked) = Wheel::new()
        .with(
            "demo-1.0.dist-info/entry_points.txt",
            "[console_scripts]\ndemo = demo.cli:Main.run [x]\n[gui_scripts]\nshow = demo:x\n",
        )
        // The launcher wins, as with pip.
        .with("demo-1.0.data/scripts/demo", "#!python\nwrong\n")
        .unpack();
    let unpacked = unpacked.unwrap();
    let launcher = text(&unpacked, "bin/demo");
    assert!(launcher.ends_with(
        "import sys\n\nfrom demo.cli import Main\n\nif __name__ == \"__main__\":\n    sys.exit(Main.run())\n"
    ));
    assert!(text(&unpacked, "bin/show").contains("from demo import x"));

    // Run for real, with a stand-in for Python that prints how it was called.
    let place = store.temporary.path().join("an environment");
    files::create_directories(&place.join("bin")).unwrap();
    for (name, text) in [
        ("python", "#!/bin/sh\necho \"$0|$1|$2\"\n"),
        ("demo", launcher.as_str()),
    ] {
        let path = place.join("bin").join(name);
        files::write(&path, text.as_bytes()).unwrap();
        files::set_mode(&path, 0o755).unwrap();
    }
    let link = store.temporary.path().join("link");
    files::symlink(&place.join("bin/demo"), &link).unwrap();
    let output = crate::process::Command::new(&link)
        .arguments(["an argument"])
        .variable("PATH", "/usr/bin:/bin")
        .run()
        .unwrap();
    let python = files::real_path(&place.join("bin/python")).unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{}|{}|an argument\n", python.display(), link.display())
    );
}

#[test]
fn two_stores_hold_the_same_bytes() {
    let bytes = Wheel::new()
        .with(
            "demo-1.0.dist-info/entry_points.txt",
            "[console_scripts]\na = demo:x\n",
        )
        .with("demo-1.0.data/scripts/b", "#!python\n")
        .bytes();
    let (_one, first) = Store::new().unpack(&bytes);
    let (_two, second) = Store::new().unpack(&bytes);
    let list = |s: UnpackedWheel| files::read_text(&s.directory.join("files.txt")).unwrap();
    assert_eq!(list(first.unwrap()), list(second.unwrap()));
}
