//! Wheels that must not be installed, and why.

use super::*;

#[test]
fn an_archive_that_is_not_the_locked_one_is_refused() {
    let store = Store::new();
    let archive = store.temporary.path().join("archive");
    files::write(&archive, &Wheel::new().bytes()).unwrap();
    let error = unpack(&store.root, &demo(), &archive, &Digest::of("other")).unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    files::write(&archive, b"no zip at all").unwrap();
    let error = unpack(&store.root, &demo(), &archive, &Digest::of("no zip at all")).unwrap_err();
    assert!(
        error.to_string().contains("is not a zip archive"),
        "{error}"
    );
    assert_eq!(
        files::names(&store.root.store().join("wheels-2")).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn what_record_does_not_vouch_for_is_refused() {
    let cases = [
        (
            Wheel::new().tampered("demo/__init__.py"),
            "`demo/__init__.py` does not have the digest in its RECORD",
        ),
        (
            Wheel::new()
                .with("demo-1.0.data/scripts/run", "#!python\n1\n")
                .tampered("demo-1.0.data/scripts/run"),
            "`demo-1.0.data/scripts/run` does not have the digest in its RECORD",
        ),
        (
            Wheel::new().record(|r| without(&r, "demo/__init__.py")),
            "its RECORD does not list `demo/__init__.py`",
        ),
        (
            Wheel::new().record(|r| without(&r, "demo/__init__.py") + "demo/__init__.py,,\n"),
            "its RECORD has no digest of `demo/__init__.py`",
        ),
        (
            Wheel::new().record(|r| {
                without(&r, "demo/__init__.py") + "demo/__init__.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,6\n"
            }),
            "its RECORD has a digest of `demo/__init__.py` by `md5`, and only sha256, sha384 and sha512 are accepted",
        ),
        (
            Wheel::new().record(|r| r.replace(",6\n", ",7\n")),
            "`demo/__init__.py` is 6 bytes long, not 7 as in its RECORD",
        ),
        (
            Wheel::new().record(|r| r + "a,b\n"),
            r#"its RECORD has the line "a,b""#,
        ),
    ];
    for (wheel, reason) in cases {
        assert_eq!(
            wheel.refusal(),
            format!("`demo-1.0-py3-none-any.whl` cannot be installed: {reason}")
        );
    }
}

fn without(record: &str, path: &str) -> String {
    record
        .lines()
        .filter(|line| !line.starts_with(&format!("{path},")))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn stronger_digests_are_verified_too() {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use sha2::Digest as _;
    let encoded = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha512::digest(text));
    let line = |text: &str| format!("demo/__init__.py,sha512={},6\n", encoded(text));
    let (_store, unpacked) = Wheel::new()
        .record(|r| without(&r, "demo/__init__.py") + &line("x = 1\n"))
        .unpack();
    assert!(unpacked.is_ok(), "{unpacked:?}");
    let refusal = Wheel::new()
        .record(|r| without(&r, "demo/__init__.py") + &line("x = 2\n"))
        .refusal();
    assert!(refusal.contains("does not have the digest"), "{refusal}");
}

#[test]
fn what_would_leave_its_place_is_refused() {
    let cases = [
        (
            Wheel::new().with("../evil", "x"),
            r#"the path "../evil" in it leads out of it"#,
        ),
        (
            Wheel::new().with("/etc/evil", "x"),
            r#"the path "/etc/evil" in it is absolute"#,
        ),
        (
            Wheel::new().with("a\\b", "x"),
            r#"the path "a\\b" in it has a backslash"#,
        ),
        (
            Wheel::new().with("a\0b", "x"),
            r#"the path "a\0b" in it has a control character"#,
        ),
        (
            Wheel::new().with("a//b", "x"),
            r#"the path "a//b" in it has an empty part"#,
        ),
        (
            Wheel::new().with_mode("demo/link", "/etc/passwd", 0o120_777),
            r#"the path "demo/link" in it is a symbolic link"#,
        ),
        (
            Wheel::new().with("demo-1.0.data/scripts/../../x", "x"),
            r#"the path "demo-1.0.data/scripts/../../x" in it leads out of it"#,
        ),
        (
            Wheel::new().with("demo-1.0.data/scripts/python3", "x"),
            "its `scripts/python3` would replace a part of the environment itself",
        ),
        (
            Wheel::new().with("demo-1.0.data/data/pyvenv.cfg", "x"),
            "its `data/pyvenv.cfg` would replace a part of the environment itself",
        ),
        (
            Wheel::new().with("demo-1.0.data/elsewhere/x", "x"),
            "`demo-1.0.data/elsewhere/x` is in no known directory of `demo-1.0.data`",
        ),
        (
            Wheel::new().with("demo-1.0.data/purelib/demo/__init__.py", "x"),
            "two files in it that differ go to `site-packages/demo/__init__.py`",
        ),
        (
            Wheel::new()
                .with("demo-1.0.data/scripts/x", "x")
                .with("demo-1.0.data/data/bin/x", "y"),
            "two files in it that differ go to `data/bin/x`",
        ),
        (
            Wheel::new().with(
                "demo-1.0.dist-info/entry_points.txt",
                "[console_scripts]\npython = a:b\n",
            ),
            "its program `python` would replace the environment's own",
        ),
    ];
    for (wheel, reason) in cases {
        assert_eq!(
            wheel.refusal(),
            format!("`demo-1.0-py3-none-any.whl` cannot be installed: {reason}")
        );
    }
}

#[test]
fn two_members_of_one_path_are_refused() {
    // The zip writer refuses to make such an archive, so a name is changed in a finished one, in both of its places.
    let mut bytes = Wheel::new()
        .with("demo/first.py", "1")
        .with("demo/other.py", "2")
        .bytes();
    let name = b"demo/other.py";
    for at in 0..bytes.len() - name.len() {
        if &bytes[at..at + name.len()] == name && bytes[at + name.len()] != b',' {
            bytes[at..at + name.len()].copy_from_slice(b"demo/first.py");
        }
    }
    let (_store, result) = Store::new().unpack(&bytes);
    let error = result.unwrap_err().to_string();
    assert!(error.ends_with("it holds two files of one path"), "{error}");
}

#[test]
fn a_wheel_of_something_else_is_refused() {
    let mut other = Wheel::new();
    for member in &mut other.members {
        member.0 = member.0.replace("demo-1.0", "demo-1.1");
    }
    let mut two = Wheel::new();
    two = two.with("other-1.0.dist-info/WHEEL", WHEEL);
    let mut unversioned = Wheel::new();
    unversioned.members[2].1 = b"Generator: test\n".to_vec();
    let mut newer = Wheel::new();
    newer.members[2].1 = b"Wheel-Version: 2.0\n".to_vec();
    let mut without_wheel = Wheel::new();
    without_wheel.members.pop();
    let cases = [
        (
            other,
            "it holds both `demo-1.1.dist-info` and `demo-1.0.dist-info`",
        ),
        (
            two,
            "it holds both `demo-1.0.dist-info` and `other-1.0.dist-info`",
        ),
        (unversioned, "its WHEEL file has no Wheel-Version"),
        (
            newer,
            "it is of version 2.0 of the wheel format, and this rootstock knows version 1",
        ),
        (without_wheel, "it has no `demo-1.0.dist-info/WHEEL`"),
    ];
    for (wheel, reason) in cases {
        assert_eq!(
            wheel.refusal(),
            format!("`demo-1.0-py3-none-any.whl` cannot be installed: {reason}")
        );
    }
    let store = Store::new();
    let archive = store.temporary.path().join("archive");
    let bytes = Wheel::new().bytes();
    files::write(&archive, &bytes).unwrap();
    let mut package = demo();
    package.version = "1.1".parse().unwrap();
    let error = unpack(&store.root, &package, &archive, &Digest::of(&bytes)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it holds `demo-1.0.dist-info` instead of demo 1.1"),
        "{error}"
    );
}

#[test]
fn a_wheel_that_cannot_be_read_to_its_end_is_refused() {
    let mut bytes = Wheel::new()
        .with("demo/long.py", &"line\n".repeat(1000))
        .bytes();
    // Within the first member's data: its checksum no longer holds.
    let at = bytes
        .windows(16)
        .position(|w| w == b"demo/__init__.py")
        .unwrap()
        + 20;
    bytes[at] ^= 0xff;
    let (_store, result) = Store::new().unpack(&bytes);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("`demo/__init__.py`"), "{error}");
}
