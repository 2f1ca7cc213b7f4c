//! Mirrors of interpreters, while `lock` learns the digest of an archive: from the list of digests beside it, else from
//! the archive.

use std::io;
use std::sync::LazyLock;

use rootstock::digest::Digest;

use super::{Refused, Taken, Then, elsewhere, is_anonymous, limited, wrong};
use crate::sandbox::scripted::{Connection, Scripted};
use crate::sandbox::{Interpreters, Sandbox};

static ARCHIVE: [u8; 1000] = [b'x'; 1000];

/// What a mirror answers: for the list of digests, and for the archive. The last is the address of another server.
type Case = (
    &'static str,
    fn(&mut Connection, &str) -> io::Result<()>,
    fn(&mut Connection, &str) -> io::Result<()>,
    Then,
);

/// The list of digests as it should be.
static SUMS: LazyLock<String> = LazyLock::new(|| {
    let file = Interpreters::file(Interpreters::version(), "20200101");
    format!(
        "{}  other\n{}  {file}\n",
        Digest::of("other"),
        Digest::of(ARCHIVE)
    )
});

fn good(c: &mut Connection, _: &str) -> io::Result<()> {
    c.reply("200 OK", "", SUMS.as_bytes())
}

fn missing(c: &mut Connection, _: &str) -> io::Result<()> {
    c.reply("404 No", "", b"")
}

fn archive(c: &mut Connection, _: &str) -> io::Result<()> {
    c.reply("200 OK", "", &ARCHIVE)
}

fn moved(c: &mut Connection, to: &str) -> io::Result<()> {
    c.reply("302 Found", &format!("Location: {to}\r\n"), b"")
}

fn chunked(c: &mut Connection) -> io::Result<()> {
    c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n")
}

fn sums(c: &mut Connection, text: &str) -> io::Result<()> {
    c.reply("200 OK", "", text.as_bytes())
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("a good one beside all these", good, missing, Taken),
    ("no list", missing, archive, Taken),
    ("a list without the file", |c, _| sums(c, "0  x\n"), archive, Taken),
    ("a list in HTML", |c, _| sums(c, "<!DOCTYPE html>"), archive, Taken),
    ("an empty list", |c, _| sums(c, ""), archive, Taken),
    ("a list with the file twice", |c, _| sums(c, &format!("{}{}", *SUMS, SUMS.replace(&Digest::of(ARCHIVE).to_string(), &Digest::of("x").to_string()))), archive, Refused("has two digests")),
    ("a list with what is no digest", |c, _| sums(c, &SUMS.replace(&Digest::of(ARCHIVE).to_string(), "../../x")), archive, Refused("is not a sha256")),
    ("a list that is not UTF-8", |c, _| c.reply("200 OK", "", b"\xff\xfe"), archive, Refused("is not UTF-8")),
    ("an endless list", |c, _| { chunked(c)?; c.repeat(b"x\n") }, archive, Refused("is larger than 16777216 bytes")),
    ("an endless line", |c, _| { chunked(c)?; c.repeat(b"x") }, archive, Refused("is larger than 16777216 bytes")),
    ("a slow list", |c, _| { c.send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")?; c.drip(&[b'x'; 10_000]) }, archive, Refused("comes too slowly: ")),
    ("a silent list", |c, _| c.hold(), archive, Refused("sent no complete response")),
    ("half a list", |c, _| { c.send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")?; c.send(SUMS.as_bytes()) }, archive, Refused("broke off after")),
    ("a list of unknown length", |c, _| c.send(format!("HTTP/1.1 200 OK\r\n\r\n{}", *SUMS)), archive, Refused("does not say how long")),
    ("a list that is a file", |c, _| moved(c, "file:///etc/passwd"), archive, Refused("of the scheme `file`")),
    ("a list that is busy", |c, _| c.reply("500 Busy", "", b""), archive, Refused("status 500")),
    ("an endless archive", missing, |c, _| { chunked(c)?; c.repeat(b"x") }, Refused("is larger than 1000000 bytes")),
    ("a slow archive", missing, |c, _| { c.send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")?; c.drip(&ARCHIVE) }, Refused("comes too slowly: ")),
    ("half an archive", missing, |c, _| { c.send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")?; c.send(ARCHIVE) }, Refused("broke off after")),
    ("an archive of unknown length", missing, |c, _| { c.send("HTTP/1.1 200 OK\r\n\r\n")?; c.send(ARCHIVE) }, Refused("does not say how long")),
    ("an archive elsewhere", missing, moved, Taken),
    ("an archive that is a file", missing, |c, _| moved(c, "file:///etc/passwd"), Refused("of the scheme `file`")),
    ("no archive", missing, missing, Refused("status 404")),
];

#[test]
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
fn a_mirror_of_interpreters_is_believed_only_about_whole_files() {
    let sandbox = Sandbox::new(&[("one", &[])]);
    let _interpreters = Interpreters::new(&sandbox);
    let other = elsewhere(&ARCHIVE);
    let there = format!("http://localhost:{}/there", other.port());
    LazyLock::force(&SUMS);
    let mirror = Scripted::start(move |request, connection| {
        let (case, path) = request.path[1..].split_once('/').unwrap();
        let (_, sums, archive, _) = CASES[case.parse::<usize>().unwrap()];
        let answer = if path.ends_with("SHA256SUMS") {
            sums
        } else {
            archive
        };
        answer(connection, &there)
    });
    let mut faults = Vec::new();
    for (at, (what, .., then)) in CASES.iter().enumerate() {
        let _ = std::fs::remove_file(sandbox.path("rootstock.lock"));
        let address = format!("{}/{at}", mirror.url());
        let variables = [("ROOTSTOCK_PYTHON_MIRROR", address.as_str())];
        let output = limited(&sandbox, 4_000_000, "lock", &variables);
        let mut fault = |what_else: String| faults.push(format!("{what} ({at}): {what_else}"));
        if let Some(wrong) = wrong(&output, *then) {
            fault(wrong);
        }
        if !is_anonymous(&other) {
            fault("credentials were sent to another server".to_owned());
        }
        let lock = std::fs::read_to_string(sandbox.path("rootstock.lock")).unwrap_or_default();
        let locked = lock.contains(&Digest::of(ARCHIVE).to_string());
        if locked != (*then == Taken) {
            fault(format!("it is locked: {locked}"));
        }
    }
    println!("{} mirrors tried, {} faults", CASES.len(), faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
