//! Files from elsewhere that must not be believed: wheels, source distributions, archives with interpreters. A table
//! each, one line a case; whatever is refused fails alone, writes nothing outside, and takes no memory to speak of.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use rootstock::digest::Digest;

use crate::limits;
use crate::sandbox::archive::{Entry, MODULE, RawWheel};
use crate::sandbox::{Interpreters, Output, Sandbox, Sdist};
use crate::wheels::{Case, Has, Prints, Refused, try_all};

/// A member that is listed, with something else wrong.
fn bent(wheel: RawWheel, change: impl FnOnce(&mut Entry)) -> RawWheel {
    wheel.file("@/x.py", "x = 1\n").last(change)
}

fn mode(wheel: RawWheel, mode: u32) -> RawWheel {
    bent(wheel, |entry| entry.mode = mode)
}

/// A program of this line of `entry_points.txt`.
fn program(wheel: RawWheel, line: &str) -> RawWheel {
    wheel.entry_points(&format!("[console_scripts]\n{line}\n"))
}

/// The archive's end, changed.
fn end(mut bytes: Vec<u8>, at: usize, by: &[u8]) -> Vec<u8> {
    let end = bytes.len() - 22;
    bytes[end + at..end + at + by.len()].copy_from_slice(by);
    bytes
}

const NO_DIGEST: &str = "does not have the digest in its RECORD";
const CONTRADICTS: &str = "contradict each other";

#[rustfmt::skip]
const WHEELS: &[Case] = &[
    ("a whole one beside all these", |w| w, Prints("import @; @.main()")),
    // Paths.
    ("up", |w| w.file("../evil", "x"), Refused("\"../evil\" in it leads out of it")),
    ("up from inside", |w| w.file("@/../../evil", "x"), Refused("leads out of it")),
    ("up at the end", |w| w.file("@/..", "x"), Refused("leads out of it")),
    ("absolute", |w| w.file("/tmp/evil", "x"), Refused("\"/tmp/evil\" in it is absolute")),
    ("two slashes first", |w| w.file("//tmp/evil", "x"), Refused("is absolute")),
    ("of Windows", |w| w.file("C:\\evil", "x"), Refused("has a backslash")),
    ("a backslash", |w| w.file("@\\evil", "x"), Refused("has a backslash")),
    ("up with backslashes", |w| w.file("..\\evil", "x"), Refused("has a backslash")),
    ("an empty part", |w| w.file("@//x", "x"), Refused("has an empty part")),
    ("a dot", |w| w.file("./@/x", "x"), Refused("has an empty part")),
    ("no name", |w| w.entry(Entry::new("", b"x")), Refused("has an empty part")),
    ("NUL", |w| w.file("@/a\0b", "x"), Refused("has a control character")),
    ("a line end", |w| w.entry(Entry::new("@/a\nb", b"x")), Refused("has a control character")),
    ("ESC", |w| w.file("@/a\u{1b}[2Jb", "x"), Refused("\\u{1b}")),
    ("not UTF-8", |w| bent(w, |e| e.name = b"a/\xff".to_vec()), Refused("is not UTF-8")),
    ("a directory that leads out", |w| w.entry(Entry::new("../x/", b"")), Refused("leads out of it")),
    ("data that leads out", |w| w.data("data/../../../evil", "x"), Refused("leads out of it")),
    ("scripts that lead out", |w| w.data("scripts/../../evil", "x"), Refused("leads out of it")),
    // Kinds.
    ("a link", |w| mode(w, 0o120_777), Refused("is a symbolic link")),
    ("a link to a directory", |w| w.entry(Entry { mode: 0o120_777, ..Entry::new("@/etc", b"/etc") }).file("@/etc/x", "x"), Refused("is a symbolic link")),
    ("encrypted", |w| bent(w, |e| e.flags |= 1), Refused("is encrypted")),
    ("an unknown method", |w| bent(w, |e| e.method = 99), Refused("cannot be unpacked")),
    ("a file below a file", |w| w.file("@/x", "x").file("@/x/y", "y"), Refused("is a file and a directory")),
    // Places.
    ("Python replaced", |w| w.data("scripts/python", "x"), Refused("would replace a part of the environment")),
    ("python3.11 replaced", |w| w.data("scripts/python3.11", "x"), Refused("would replace a part of the environment")),
    ("Python replaced from data", |w| w.data("data/bin/python3", "x"), Refused("would replace a part of the environment")),
    ("pyvenv.cfg", |w| w.data("data/pyvenv.cfg", "x"), Refused("would replace a part of the environment")),
    ("the source", |w| w.data("data/env_source.py", "x"), Refused("would replace a part of the environment")),
    ("the stamp", |w| w.data("data/rootstock-stamp.json", "x"), Refused("would replace a part of the environment")),
    ("the tree", |w| w.data("data/rootstock-tree.txt", "x"), Refused("would replace a part of the environment")),
    ("an unknown scheme", |w| w.data("elsewhere/x", "x"), Refused("is in no known directory")),
    ("no scheme", |w| w.data("x", "x"), Refused("is in no known directory")),
    ("two contents at one path", |w| w.data("purelib/@/__init__.py", "x"), Refused("that differ go to")),
    ("two programs at one path", |w| w.data("scripts/x", "x").data("data/bin/x", "y"), Refused("that differ go to")),
    ("one path twice", |w| w.entry(Entry::new("@/__init__.py", MODULE.as_bytes())), Refused("it holds two files of one path")),
    ("one path twice, otherwise", |w| w.entry(Entry::new("@/__init__.py", b"other")), Refused("it holds two files of one path")),
    ("names that differ in case", |w| w.file("@/x.py", "1").file("@/X.py", "2"), Refused("differ only in case")),
    ("directories that differ in case", |w| w.file("@/a/x.py", "1").file("@/A/y.py", "2"), Refused("differ only in case")),
    ("names that differ in normalisation", |w| w.file("@/caf\u{e9}.py", "1").file("@/cafe\u{301}.py", "2"), Refused("differ only in case")),
    ("programs that differ in case", |w| w.entry_points("[console_scripts]\nx = @:main\nX = @:main\n"), Refused("differ only in case")),
    ("a program and a script that differ in case", |w| w.data("scripts/X", "x").entry_points("[console_scripts]\nx = @:main\n"), Refused("differ only in case")),
    // RECORD.
    ("no RECORD", |mut w| { w.recorded = false; w }, Refused("it has no `@-1.0.dist-info/RECORD`")),
    ("an empty RECORD", |w| w.written(|_| Vec::new()), Refused("its RECORD does not list")),
    ("an unlisted file", |w| w.entry(Entry::new("@/x.py", b"x")), Refused("its RECORD does not list `@/x.py`")),
    ("an unlisted .pth", |w| w.entry(Entry::new("@.pth", b"import os")), Refused("its RECORD does not list `@.pth`")),
    ("an unlisted program", |w| w.entry(Entry::new("@-1.0.data/scripts/x", b"x")), Refused("its RECORD does not list")),
    ("an unlisted METADATA", |w| w.without("@-1.0.dist-info/METADATA").entry(Entry::new("@-1.0.dist-info/METADATA", b"Name: x\n")), Refused("METADATA")),
    ("another file of its length", |w| w.file("@/x.py", "x").last(|e| { let n = e.name.clone(); *e = Entry::new("", b"y"); e.name = n; }), Refused(NO_DIGEST)),
    ("a script that is another", |w| w.data("scripts/x", "#!python\n1\n").last(|e| { let n = e.name.clone(); *e = Entry::new("", b"#!python\n2\n"); e.name = n; }), Refused(NO_DIGEST)),
    ("bytecode that is another", |w| w.file("@/__init__.pyc", "x").last(|e| { let n = e.name.clone(); *e = Entry::new("", b"y"); e.name = n; }), Refused(NO_DIGEST)),
    ("one of two that is another", |w| w.data("purelib/@/__init__.py", MODULE).last(|e| { let n = e.name.clone(); *e = Entry::new("", MODULE.to_uppercase().as_bytes()); e.name = n; }), Refused(NO_DIGEST)),
    ("without digest", |w| w.written(|r| r.replacen("sha256=", "", 1).into()), Refused("as the digest of")),
    ("no digest at all", |w| w.without("@/__init__.py").entry(Entry::new("@/__init__.py", b"")).line("@/__init__.py,,"), Refused("its RECORD has no digest of")),
    ("md5", |w| w.written(|r| r.replacen("sha256=", "md5=", 1).into()), Refused("by `md5`")),
    ("sha1", |w| w.written(|r| r.replacen("sha256=", "sha1=", 1).into()), Refused("by `sha1`")),
    ("sha512 of another length", |w| w.written(|r| r.replacen("sha256=", "sha512=", 1).into()), Refused("as the digest of")),
    ("a digest cut short", |w| w.written(|r| r.replacen("sha256=", "sha256=AA", 1).into()), Refused("as the digest of")),
    ("another size", |w| w.file("@/x.py", "x").replaced(",1\n", ",2\n"), Refused("bytes long, not 2 as in its RECORD")),
    ("two digests", |w| w.line("@/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,29"), Refused("that contradict each other")),
    ("two digests by two paths", |w| w.line("./@/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,29"), Refused("that contradict each other")),
    ("a wrong digest in another algorithm", |w| w.line("@/__init__.py,sha512=z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg_SpIdNs6c5H0NE8XYXysP-DGNKHfuwvY7kxvUdBeoGlODJ6-SfaPg,"), Refused(NO_DIGEST)),
    ("two sizes", |w| w.line("@/__init__.py,,1"), Refused("that contradict each other")),
    ("a line of two fields", |w| w.line("a,b"), Refused("its RECORD has the line \"a,b\"")),
    ("a line of one field", |w| w.line("\u{1b}[2J"), Refused("\\u{1b}")),
    ("RECORD in UTF-16", |w| w.written(|r| r.encode_utf16().flat_map(u16::to_le_bytes).collect()), Refused("its RECORD has the line \"\\0\"")),
    ("RECORD in latin-1", |w| w.written(|r| [r.as_bytes(), b"\xe9,,\n"].concat()), Refused("is not UTF-8")),
    ("an absolute path in RECORD", |w| w.written(|r| r.replacen("p0", "/p0", 1).into()), Refused("its RECORD does not list")),
    // Sizes.
    ("RECORD of 1 GiB", |mut w| { w.recorded = false; w.entry(Entry::large("@-1.0.dist-info/RECORD", b"", b'\n', 1024)) }, Refused("RECORD` is longer than 32 MiB")),
    ("RECORD of 1 GiB, of one line", |mut w| { w.recorded = false; w.entry(Entry::large("@-1.0.dist-info/RECORD", b"\"", b'a', 1024)) }, Refused("RECORD` is longer than 32 MiB")),
    ("entry_points.txt of 1 GiB", |w| w.entry(Entry::large("@-1.0.dist-info/entry_points.txt", b"[console_scripts]\n", b'\n', 1024)), Refused("entry_points.txt` is longer than 32 MiB")),
    ("WHEEL of 1 GiB", |w| w.without("@-1.0.dist-info/WHEEL").entry(Entry::large("@-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\n", b'\n', 1024)), Refused("WHEEL` is longer than 32 MiB")),
    ("METADATA of 1 GiB", |w| w.without("@-1.0.dist-info/METADATA").entry(Entry::large("@-1.0.dist-info/METADATA", b"Name: @\n", b'\n', 1024)), Refused("METADATA` is longer than 32 MiB")),
    ("a script of 1 GiB", |w| w.entry(Entry::large("@-1.0.data/scripts/x", b"#!python\n", b'\n', 1024)).line("@-1.0.data/scripts/x,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,"), Refused(NO_DIGEST)),
    ("a file of 1 GiB that should be short", |w| w.entry(Entry::large("@/x", b"", b'a', 1024)).line("@/x,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,1"), Refused("bytes long, not 1 as in its RECORD")),
    ("a file of 1 GiB that says it is short", |w| w.entry(Entry { size: 1, ..Entry::large("@/x", b"", b'a', 1024) }).line("@/x,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,"), Refused("`@/x` ")),
    ("a module of 64 MiB", |w| w.file("@/x.py", vec![b'\n'; 64 << 20]), Has(&["x.py"], &["__pycache__/x.cpython-311.pyc"])),
    ("a file that is shorter than it says", |w| bent(w, |e| e.size += 1), Refused("is 7 bytes long, not 6 as in its RECORD")),
    ("a path of 60 KB", |w| w.file(&format!("@/{}x", "a/".repeat(30_000)), "x"), Refused("is too long")),
    ("a name of 300 bytes", |w| w.file(&format!("@/{}", "a".repeat(300)), "x"), Refused("is too long")),
    // The archive.
    ("no archive", |w| w.bent(|_| b"<html>".to_vec()), Refused("is not a zip archive")),
    ("nothing", |w| w.bent(|_| Vec::new()), Refused("is not a zip archive")),
    ("an empty archive", |mut w| { w.entries.clear(); w.recorded = false; w }, Refused("it has no .dist-info directory")),
    ("half an archive", |w| w.bent(|mut b| { b.truncate(b.len() / 2); b }), Refused("is not a zip archive")),
    ("without its end", |w| w.bent(|mut b| { b.truncate(b.len() - 10); b }), Refused("is not a zip archive")),
    ("something before it", |w| w.bent(|b| [b"#!/bin/sh\nevil\n".to_vec(), b].concat()), Refused("there is something before its first file")),
    ("an archive before it", |w| { w.bent(|b| [b.clone(), b].concat()) }, Refused("there is something before its first file")),
    ("something behind it", |w| w.bent(|b| [b, b"evil".to_vec()].concat()), Refused("there is something behind its end")),
    ("a directory elsewhere", |w| w.bent(|b| end(b, 16, &[0; 4])), Refused("contradict each other")),
    ("more members than there are", |w| w.bent(|b| end(b, 8, &[255; 4])), Refused("is not a zip archive")),
    ("fewer members than there are", |w| w.bent(|b| end(b, 8, &[2, 0, 2, 0])), Refused("that is no file")),
    ("another name before the contents", |w| bent(w, |e| e.local_name = Some(b"evil".to_vec())), Refused(CONTRADICTS)),
    ("another size before the contents", |w| bent(w, |e| e.local_size = Some(1)), Refused(CONTRADICTS)),
    ("a header that is none", |w| bent(w, |e| e.offset = Some(7)), Refused("contradict each other")),
    ("two members in one place", |w| w.entry(Entry { offset: Some(0), ..Entry::new("@/x.py", MODULE.as_bytes()) }).line("@/x.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,"), Refused(CONTRADICTS)),
    ("a member within another", |w| w.entry(Entry { offset: Some(0), ..Entry::new("@/__init__.py", MODULE.as_bytes()) }), Refused("it holds two files of one path")),
    ("a wrong checksum", |w| bent(w, |e| e.crc ^= 1), Refused("cannot be unpacked: Invalid checksum")),
    ("contents that are not deflated", |w| bent(w, |e| e.method = 8), Refused("cannot be unpacked: corrupt deflate stream")),
    // Metadata.
    ("two .dist-info", |w| w.file("other-1.0.dist-info/METADATA", "x"), Refused("it holds both")),
    ("no .dist-info", |mut w| { w.entries.retain(|e| !String::from_utf8_lossy(&e.name).contains("dist-info")); w.recorded = false; w }, Refused("it has no .dist-info directory")),
    ("another package", |mut w| { w.entries.clear(); w.recorded = false; w.file("other-1.0.dist-info/METADATA", "x") }, Refused("it holds `other-1.0.dist-info` instead of @ 1.0")),
    ("another name in METADATA", |w| w.info("METADATA", "Name: other\nVersion: 1.0\n"), Refused("METADATA file is that of")),
    ("another version in METADATA", |w| w.info("METADATA", "Name: @\nVersion: 2.0\n"), Refused("METADATA file is that of")),
    ("no METADATA", |w| w.without("@-1.0.dist-info/METADATA"), Refused("it has no `@-1.0.dist-info/METADATA`")),
    ("METADATA with a name that does not end", |w| w.info("METADATA", "Name: @\nVersion: 1.0\nRequires-Dist: x.; platform_release > '1'\nRequires-Dist: x[y-]; python_full_version > '1'\n"), Prints("import @; @.main()")),
    ("METADATA with a million parentheses", |w| w.info("METADATA", format!("Name: @\nVersion: 1.0\nRequires-Dist: x; python_full_version > '1' and {}\n", "(".repeat(1 << 20))), Prints("import @; @.main()")),
    ("METADATA with a marker that doubles with each part", |w| w.info("METADATA", format!("Name: @\nVersion: 1.0\nRequires-Dist: x; {}\n", limits::doubling(40) + " and platform_release > '1'")), Prints("import @; @.main()")),
    ("METADATA after a BOM", |w| w.info("METADATA", "\u{feff}Metadata-Version: 2.1\nName: @\nVersion: 1.0\n"), Refused("METADATA file has no Name")),
    ("METADATA after an empty line", |w| w.info("METADATA", "\nName: @\nVersion: 1.0\n"), Refused("METADATA file has no Name")),
    ("no WHEEL", |w| w.without("@-1.0.dist-info/WHEEL"), Refused("it has no `@-1.0.dist-info/WHEEL`")),
    ("an empty WHEEL", |w| w.info("WHEEL", ""), Refused("has no Wheel-Version")),
    ("WHEEL after a BOM", |w| w.info("WHEEL", "\u{feff}Wheel-Version: 1.0\n"), Refused("has no Wheel-Version")),
    ("WHEEL in latin-1", |w| w.info("WHEEL", b"Wheel-Version: 1.0\nGenerator: \xe9\n"), Refused("is not UTF-8")),
    ("a format of tomorrow", |w| w.info("WHEEL", "Wheel-Version: 2.0\n"), Refused("of version 2.0 of the wheel format")),
    ("a format that is no number", |w| w.info("WHEEL", "Wheel-Version: one\n"), Refused("of the wheel format")),
    // Programs.
    ("a program outside", |w| program(w, "../x = @:main"), Refused("line 2 of its entry_points.txt, \"../x = @:main\", names a program outside `bin`")),
    ("an absolute program", |w| program(w, "/tmp/x = @:main"), Refused("names a program outside `bin`")),
    ("a program in a directory", |w| program(w, "a/b = @:main"), Refused("names a program outside `bin`")),
    ("a program with NUL", |w| program(w, "a\0b = @:main"), Refused("with a control character")),
    ("a program with ESC", |w| program(w, "a\u{1b}b = @:main"), Refused("\\u{1b}")),
    ("a program for the shell", |w| program(w, "a;reboot = @:main"), Refused("that a shell gives a meaning of its own")),
    ("a program that is run", |w| program(w, "$(reboot) = @:main"), Refused("that a shell gives a meaning of its own")),
    ("a program in quotes", |w| program(w, "'a' = @:main"), Refused("that a shell gives a meaning of its own")),
    ("a program that is an option", |w| program(w, "-rf = @:main"), Refused("that a shell gives a meaning of its own")),
    ("a program without a name", |w| program(w, " = @:main"), Refused("names no program")),
    ("a program named .", |w| program(w, ". = @:main"), Refused("names a program outside `bin`")),
    ("a program that is Python", |w| program(w, "python3 = @:main"), Refused("would replace the environment's own")),
    ("code in the place of a module", |w| program(w, "x = os; import evil:main"), Refused("names what is neither a module nor a function")),
    ("code in the place of a function", |w| program(w, "x = @:main()"), Refused("names what is neither a module nor a function")),
    ("a quote in a module", |w| program(w, "x = a-\"b:main"), Refused("names what is neither a module nor a function")),
    ("a program without a function", |w| program(w, "x = @"), Refused("names no function")),
    ("a line that is no program", |w| program(w, "x"), Refused("is not `name = module:function`")),
    ("a program with a name of 300 letters", |w| program(w, &format!("{} = @:main", "x".repeat(300))), Refused("names a program with a name that no filesystem takes")),
    ("programs in latin-1", |w| w.info("entry_points.txt", b"[console_scripts]\n# \xe9\n"), Refused("is not UTF-8")),
];

#[test]
fn wheels_that_must_not_be_believed_are_refused_each_alone() {
    try_all(WHEELS);
}

/// A member of a tar archive: its path, what it is, and what it holds or where it leads.
type Member = (&'static str, tar::EntryType, &'static str);

/// What it is, the member, and the message. `@` stands for the canary's path, `LONG` for 300 letters.
type Tar = (&'static str, Member, &'static str);

const FILE: tar::EntryType = tar::EntryType::Regular;
const LINK: tar::EntryType = tar::EntryType::Symlink;
const HARD: tar::EntryType = tar::EntryType::Link;

const LEAVES: &str = "is a link that leaves the archive";
const NEITHER: &str = "is neither a file nor a directory nor a link";

/// Each beside `python/bin/x`, a file, `python/up`, a link to `bin`, and `python/bin/deep`, a link to `..`.
#[rustfmt::skip]
const TARS: &[Tar] = &[
    ("an absolute file", ("@", FILE, "evil"), "is absolute"),
    ("an absolute directory", ("@", tar::EntryType::Directory, ""), "is absolute"),
    ("up", ("../canary", FILE, "evil"), "leads out of it"),
    ("up from inside", ("python/../../canary", FILE, "evil"), "leads out of it"),
    ("a link to a file outside", ("python/x", LINK, "@"), LEAVES),
    ("a link up", ("python/x", LINK, "../../canary"), LEAVES),
    ("a link up through a link", ("python/x", LINK, "bin/deep/../../canary"), LEAVES),
    ("a link to nothing", ("python/x", LINK, ""), LEAVES),
    ("a file through a link", ("python/up/evil", FILE, "evil"), "is below a link or a file"),
    ("a file below a file", ("python/bin/x/y", FILE, "evil"), "is below a link or a file"),
    ("a file in the place of a link", ("python/up", FILE, "evil"), "occurs twice, as different things"),
    ("a link in the place of a file", ("python/bin/x", LINK, "y"), "occurs twice, as different things"),
    ("another name of a file outside", ("python/x", HARD, "@"), LEAVES),
    ("another name of a file above", ("python/x", HARD, "../canary"), LEAVES),
    ("another name of a link", ("python/x", HARD, "python/up"), "is another name of no file before it"),
    ("another name of nothing", ("python/x", HARD, "python/y"), "is another name of no file before it"),
    ("a FIFO", ("python/x", tar::EntryType::Fifo, ""), NEITHER),
    ("a device", ("python/x", tar::EntryType::Char, ""), NEITHER),
    ("a name in another case", ("python/bin/X", FILE, "evil"), "only in case"),
    ("a directory in another case", ("python/BIN/y", FILE, "evil"), "only in case"),
    ("a line end in a name", ("python/a\nb", FILE, "evil"), "has a control character"),
    ("ESC in a name", ("python/a\u{1b}[2Jb", FILE, "evil"), "has a control character"),
    ("a link to a name with a line end", ("python/x", LINK, "a\nb"), "is a link to a path with a control character"),
    ("a file without a name", ("./", FILE, "evil"), "has no name"),
    ("a link without a name", (".", LINK, "python"), "has no name"),
    ("a name that no filesystem takes", ("python/LONG", FILE, "evil"), "is too long"),
    ("a link to such a name", ("python/x", LINK, "LONG"), "is a link to a path that is too long"),
    ("a name of 1 GiB", ("python/x", tar::EntryType::GNULongName, "large"), "is a name of"),
    ("a target of 1 GiB", ("python/x", tar::EntryType::GNULongLink, "large"), "is a name of"),
    ("attributes of 1 GiB", ("python/x", tar::EntryType::XHeader, "large"), "is a name of"),
    ("a size beside the header's", ("python/x", tar::EntryType::XHeader, "12 size=999\n"), "has another size than in its header"),
];

/// The archive with these members, gzipped. Headers are written as they are, however bad.
fn tar_of(members: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(gzip);
    let long = "a".repeat(300);
    for (name, kind, text) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o777);
        let linked = matches!(*kind, LINK | HARD);
        let (name, text) = (name.replace("LONG", &long), text.replace("LONG", &long));
        let mut begin = |kind: tar::EntryType, text: &str, field: &mut [u8; 100]| {
            if let Some(field) = field.get_mut(..text.len()) {
                field.copy_from_slice(text.as_bytes());
            } else {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(kind);
                header.set_size(text.len() as u64);
                header.set_cksum();
                builder.append(&header, text.as_bytes()).unwrap();
            }
        };
        begin(
            tar::EntryType::GNULongName,
            &name,
            &mut header.as_old_mut().name,
        );
        if linked {
            begin(
                tar::EntryType::GNULongLink,
                &text,
                &mut header.as_old_mut().linkname,
            );
        }
        let size = match text.as_str() {
            "large" => 1 << 30,
            _ if linked => 0,
            text => text.len() as u64,
        };
        header.set_size(size);
        header.set_cksum();
        if text == "large" {
            builder
                .append(&header, std::io::repeat(b'a').take(size))
                .unwrap();
        } else {
            let data = &text.as_bytes()[..usize::try_from(size).unwrap()];
            builder.append(&header, data).unwrap();
        }
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// A file beside all, which nothing may touch.
struct Canary(std::path::PathBuf);

impl Canary {
    fn new(sandbox: &Sandbox) -> Self {
        sandbox.write("canary", "sings");
        let canary = Self(sandbox.path("canary"));
        fs::set_permissions(&canary.0, fs::Permissions::from_mode(0o640)).unwrap();
        canary
    }

    #[track_caller]
    fn sings(&self, what: &str) {
        let mode = fs::metadata(&self.0).unwrap().permissions().mode() & 0o7777;
        let text = fs::read_to_string(&self.0).unwrap();
        assert_eq!((text.as_str(), mode), ("sings", 0o640), "{what}");
    }
}

/// Runs the program with memory for no archive as a whole.
fn limited(sandbox: &Sandbox, arguments: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    let line = format!("ulimit -v 1000000; exec \"$0\" {arguments}");
    command.args(["-c", &line, env!("CARGO_BIN_EXE_rootstock")]);
    sandbox.set_up(&mut command);
    Output::from(command.stdin(Stdio::null()).output().unwrap())
}

#[test]
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
fn interpreters_that_would_write_elsewhere_are_refused_before_anything_is_written() {
    for (what, (path, kind, text), why) in TARS {
        let sandbox = Sandbox::new(&[("one", &[])]);
        let canary = Canary::new(&sandbox);
        let outside = canary.0.display().to_string();
        let (path, text) = (path.replace('@', &outside), text.replace('@', &outside));
        let bytes = tar_of(&[
            ("python/bin/x", FILE, "x"),
            ("python/up", LINK, "bin"),
            ("python/bin/deep", LINK, ".."),
            (&path, *kind, &text),
        ]);
        let mut interpreters = Interpreters::new(&sandbox);
        interpreters.publish(Interpreters::version(), "20990101", &bytes);
        sandbox.lock();
        let output = limited(&sandbox, "sync");
        output.expect(1);
        assert!(output.message().contains(why), "{what}: {}", output.stderr);
        assert_eq!(sandbox.names("root/pythons"), [""; 0], "{what}");
        canary.sings(what);
    }
    println!("{} archives with interpreters tried", TARS.len());
}

/// A proposed lock can name another archive than the one that uv unpacked, and would have refused.
fn lock_names(sandbox: &Sandbox, archive: &[u8], instead_of: &[u8]) {
    let digests = [instead_of, archive].map(|bytes| Digest::of(bytes).to_string());
    let sizes = [instead_of, archive].map(|bytes| format!("size = {},", bytes.len()));
    let text = sandbox.read("rootstock.lock");
    let lock = rootstock::lock::file::read("rootstock.lock", &text).unwrap();
    let answer = lock.environments[0].answer(&lock.environments[0].targets[0]);
    let ends = [0, 1].map(|n| format!(" {} {}\n", [instead_of, archive][n].len(), digests[n]));
    let forged = answer.replace(&ends[0], &ends[1]);
    assert_ne!(answer, forged);
    let [right, wrong] = [answer, forged].map(|answer| Digest::of(answer).to_string());
    let text = text
        .replace(&digests[0], &digests[1])
        .replace(&digests[0][..12], &digests[1][..12])
        .replace(&sizes[0], &sizes[1])
        .replace(&right, &wrong);
    sandbox.write("rootstock.lock", &text);
}

#[test]
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
fn source_distributions_that_would_write_elsewhere_are_refused() {
    let sdist = Sdist::new("hostile", "1.0");
    let inside = |path: &str| format!("hostile-1.0/{path}");
    let files: Vec<(String, String)> = sdist
        .files()
        .into_iter()
        .map(|(name, text)| (inside(&name), text))
        .collect();
    for (what, (path, kind, text), why) in TARS {
        let sandbox = Sandbox::new(&[("one", &["hostile"])]);
        sandbox.more("sdists = [\"hostile\"]");
        let canary = Canary::new(&sandbox);
        let outside = canary.0.display().to_string();
        let placed = |path: &str| path.replace('@', &outside).replace("python/", &inside(""));
        let (path, text) = (placed(path), placed(text));
        let files = files.iter().map(|(name, text)| (&**name, FILE, &**text));
        let mut members: Vec<(&str, tar::EntryType, &str)> = files.collect();
        members.extend([
            ("hostile-1.0/bin/x", FILE, "x"),
            ("hostile-1.0/up", LINK, "bin"),
            ("hostile-1.0/bin/deep", LINK, ".."),
            (&path, *kind, &text),
        ]);
        let file = sdist.file_name();
        sandbox.index.add_sdist(&sdist);
        sandbox.lock();
        let archive = tar_of(&members);
        lock_names(&sandbox, &archive, &sdist.bytes());
        sandbox.index.exchange(&file, archive);
        let output = limited(&sandbox, "sync");
        assert_eq!(output.code, Some(1), "{what}: {}", output.stderr);
        assert!(output.message().contains(why), "{what}: {}", output.stderr);
        canary.sings(what);
    }
    println!("{} source distributions tried", TARS.len());
}

/// Where weights go, as TOML writes it, and what is shown of it.
const PATHS: &[(&str, &str)] = &[
    ("a\\u001b[2Jb", "a\\u{1b}[2Jb"),
    ("a\\u0000b", "a\\0b"),
    ("a\\nb", "a\\nb"),
    ("a\\rb", "a\\rb"),
    ("a\\u0007", "a\\u{7}"),
    ("a\\u202Eb", "a\\u{202e}b"),
    ("a//b", "a//b"),
    ("a/./b", "a/./b"),
    ("a/../b", "a/../b"),
    ("/a", "/a"),
    ("a/", "a/"),
    ("", ""),
    ("$(reboot)", "$(reboot)"),
    ("`reboot`", "`reboot`"),
    ("a;reboot", "a;reboot"),
    ("a|b", "a|b"),
    ("a > b", "a > b"),
    ("*", "*"),
    ("~\\u0009", "~\\t"),
    ("a\\\\b", "a\\\\b"),
];

#[test]
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
fn weights_are_not_put_where_a_shell_or_terminal_would_stumble() {
    let sandbox = Sandbox::single();
    let manifest = sandbox.read("rootstock.toml");
    let lines = manifest.lines().count();
    for (path, shown) in PATHS {
        sandbox.write(
            "rootstock.toml",
            &format!(
                "{manifest}\n[models.m]\nenvironment = \"one\"\nargument = \"x\"\n\
                 weights = [{{ url = \"https://example.org/w\", path = \"{path}\" }}]\n"
            ),
        );
        let output = sandbox.run(&["lock", "--check"]);
        output.expect(2);
        assert!(
            output.stderr.contains(&format!("`{shown}` ")),
            "{path}: {}",
            output.stderr
        );
        let place = format!("rootstock.toml:{}:", lines + 5);
        assert!(output.stderr.contains(&place), "{path}: {}", output.stderr);
        assert!(
            !output
                .stderr
                .contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']),
            "{path}: {:?}",
            output.stderr
        );
    }
    println!("{} paths tried", PATHS.len());
}
