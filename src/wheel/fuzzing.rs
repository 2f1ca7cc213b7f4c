//! Wheels, their `RECORD` and their `entry_points.txt` of any content.

use std::borrow::Cow;

use super::entry_points::{Launcher, launchers};
use super::record::{Checksum, Record};
use super::{Error, install, record, scripts};
use crate::archive::{check_path, fuzzing as described};
use crate::digest::Digest;
use crate::files::{self, fuzzing::Scratch};
use crate::lock::{LockedPackage, Origin};
use crate::store::Root;
use crate::store::wheels::{self, Scheme, Staging, UnpackedFile};

/// Whatever is in a wheel, it is unpacked as its `RECORD` lists it, or refused; a disk without faults is not blamed.
pub fn wheel(bytes: &[u8]) {
    let bytes = if bytes.starts_with(b"PK") {
        Cow::Borrowed(bytes)
    } else {
        Cow::Owned(described::zip(bytes, add_record))
    };
    let scratch = Scratch::new();
    let archive = scratch.file("archive", &bytes);
    let root = Root::at(&scratch.path("root"), None);
    let sha256 = Digest::of(&bytes);
    let package = demo();
    let staging = Staging::beside(&wheels::directory(&root, &sha256), &root)
        .expect("there is room for a directory");
    let file = files::SharedFile::open(&archive).expect("it is there");
    let refused = |defect| Error::Refused {
        file: package.file.clone(),
        defect,
    };
    match install(&package, file, &staging, &refused) {
        Ok(installed) => assert_installed(&installed, &staging),
        Err(Error::Refused { defect, .. }) => {
            assert!(!defect.0.is_empty());
        }
        Err(error) => panic!("{error}"),
    }
    scratch.assert_nothing_but(&["archive", "root"]);
}

fn demo() -> LockedPackage {
    LockedPackage {
        name: "demo".parse().expect("it is a name"),
        version: "1.0".parse().expect("it is a version"),
        origin: Origin::Index(None),
        file: "demo-1.0-py3-none-any.whl".to_owned(),
        size: None,
        sha256: Digest::of(""),
    }
}

/// The `RECORD` of these members, with the lines that it has already.
fn add_record(members: &[(Vec<u8>, &[u8])]) -> Option<(Vec<u8>, Vec<u8>)> {
    const RECORD: &str = "demo-1.0.dist-info/RECORD";
    if members.iter().any(|(name, _)| name == RECORD.as_bytes()) {
        return None;
    }
    let files: Vec<UnpackedFile> = members
        .iter()
        .map(|(name, contents)| listed(&String::from_utf8_lossy(name), contents))
        .collect();
    Some((RECORD.into(), record::text(&files, RECORD).into()))
}

fn listed(path: &str, contents: &[u8]) -> UnpackedFile {
    UnpackedFile {
        scheme: Scheme::SitePackages,
        path: path.to_owned(),
        sha256: Digest::of(contents),
        size: contents.len() as u64,
        executable: false,
    }
}

/// Every file that is reported as installed exists, and is in `RECORD`.
fn assert_installed(installed: &[UnpackedFile], staging: &Staging) {
    let place = |file: &UnpackedFile| staging.directory_of(file.scheme).join(&file.path);
    let record = installed
        .iter()
        .find(|file| file.path.ends_with(".dist-info/RECORD"))
        .expect("it is written last");
    let text = files::read_text(&place(record)).expect("it was written");
    let record = Record::parse(&text).expect("we wrote it");
    for file in installed {
        check_path(&file.path).expect("others are refused");
        let bytes = files::read(&place(file)).expect("it was written");
        assert_eq!(
            (Digest::of(&bytes), bytes.len() as u64),
            (file.sha256, file.size),
            "{}",
            file.path
        );
        if file.path.ends_with(".dist-info/RECORD") {
            continue;
        }
        let path = format!("{}{}", file.scheme.relative_to_site_packages(), file.path);
        let claim = record.claim(&path).expect("every file is in RECORD");
        assert_eq!(claim.checksums, [Checksum::Sha256(file.sha256)]);
    }
}

/// A `RECORD` gives digests or an error; what is written about files is what is read back.
pub fn record(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(record) = Record::parse(&text) {
        for path in text.split(['\n', '\r', ',', '"']) {
            if let Ok(claim) = record.claim(path) {
                assert!(!claim.checksums.is_empty());
            }
        }
    }
    let files: Vec<UnpackedFile> = text
        .split(['\n', ','])
        .filter(|path| check_path(path).is_ok())
        .map(|path| listed(path, path.as_bytes()))
        .collect();
    let record = Record::parse(&record::text(&files, "x-1.dist-info/RECORD")).expect("we wrote it");
    for file in &files {
        let claim = record.claim(&file.path).expect("it was written");
        assert_eq!(claim.checksums, [Checksum::Sha256(file.sha256)]);
        assert_eq!(claim.size, Some(file.size));
    }
}

/// A program has a name and calls a function, and nothing else comes into its text.
pub fn entry_points(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.as_ref();
    for text in [text.to_owned(), format!("[console_scripts]\n{text}")] {
        match launchers(&text) {
            Ok(found) => found.iter().for_each(assert_program),
            Err(error) => assert!(!error.0.contains(char::is_control), "{error}"),
        }
    }
}

fn assert_program(launcher: &Launcher) {
    let Launcher {
        name,
        module,
        function,
    } = launcher;
    check_path(name).expect("others are refused");
    assert!(!name.contains('/'));
    let lines = scripts::launcher(launcher).lines().count();
    assert!(lines <= 10, "{launcher:?}");
    let again = launchers(&format!("[gui_scripts]\n{name} = {module}:{function}\n"));
    assert_eq!(again.as_deref(), Ok(&[launcher.clone()][..]));
}
