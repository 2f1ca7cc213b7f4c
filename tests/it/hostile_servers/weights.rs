//! Servers of weight files: when `lock` learns the digest of a file, and when `sync` fetches one whose digest it knows.

use std::io;

use rootstock::digest::Digest;

use super::{Believed, Refused, SECRET, Taken, Then, elsewhere, files_below, is_anonymous};
use super::{limited, wrong};
use crate::sandbox::Sandbox;
use crate::sandbox::scripted::{Connection, Request, Scripted};

const SIZE: usize = 100_000;
static FILE: [u8; SIZE] = [b'x'; SIZE];
static OTHER: [u8; SIZE] = [b'y'; SIZE];

/// What a server is asked, and what it may lead to.
struct Ask<'a> {
    request: &'a Request,
    /// Another server, by another name and port.
    elsewhere: &'a str,
    /// A file of this machine.
    canary: &'a str,
}

type Answer = fn(&Ask, &mut Connection) -> io::Result<()>;

/// What it is, what the server does, and what becomes of it in `lock` and in `sync`.
type Case = (&'static str, Answer, Then, Then);

const SLOW: Then = Refused("comes too slowly: ");
const SILENT: Then = Refused("sent no complete response for");
const BROKEN: Then = Refused("broke off after ");
const ENDLESS: Then = Refused("is larger than 1000000 bytes");
const TRAILERS: Then = Refused("sends more than 1048576 bytes that are no part of ");
const LONG: Then = Refused("but 100000 are expected");
const NO_END: Then = Refused("the server does not say how long");
const NO_HTTP: Then = Refused("cannot reach `127.0.0.1:");
const WRONG: Then = Refused("has the sha256 ");
const PARTIAL: Then = Refused("the server answers with status 206");
const ENCODED: Then = Refused("encoded as \"gzip\", which was not asked for");

fn head(c: &mut Connection, text: &str) -> io::Result<()> {
    c.send(text.replace('\n', "\r\n"))
}

fn whole(c: &mut Connection) -> io::Result<()> {
    c.reply("200 OK", "", &FILE)
}

fn chunk(c: &mut Connection, bytes: &[u8]) -> io::Result<()> {
    c.send(format!("{:x}\r\n", bytes.len()))?;
    c.send(bytes)?;
    c.send("\r\n")
}

/// The whole file in chunks, up to where trailers may follow.
fn trailers(c: &mut Connection) -> io::Result<()> {
    head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")?;
    chunk(c, &FILE)?;
    c.send("0\r\n")
}

/// Half of the file, then the end of the connection; after that, this for what is asked for beside the beginning.
fn half_then(a: &Ask, c: &mut Connection, etag: &str, then: Answer) -> io::Result<()> {
    match (a.request.from(), a.request.earlier) {
        (None, 0) => {
            head(
                c,
                &format!("HTTP/1.1 200 OK\n{etag}Content-Length: {SIZE}\n\n"),
            )?;
            c.send(&FILE[..SIZE / 2])
        }
        (None, _) => whole(c),
        (Some(_), _) => then(a, c),
    }
}

/// A part of a file, which says this of itself.
fn part(c: &mut Connection, range: &str, body: &[u8]) -> io::Result<()> {
    c.reply(
        "206 Partial Content",
        &format!("Content-Range: bytes {range}\r\n"),
        body,
    )
}

fn moved(c: &mut Connection, to: &str) -> io::Result<()> {
    c.reply("302 Found", &format!("Location: {to}\r\n"), b"")
}

const FIRST: &str = "ETag: \"first\"\n";

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("a good one beside all these", |_, c| whole(c), Taken, Taken),
    // Without end.
    ("ten bytes a second", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 100000\n\n")?; c.drip(&FILE) }, SLOW, SLOW),
    ("ten bytes a second, in chunks", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")?; loop { c.drip(b"1\r\nx\r\n")?; } }, SLOW, SLOW),
    ("half of it, then nothing", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 100000\n\n")?; c.send(&FILE[..SIZE / 2])?; c.hold() }, SLOW, SLOW),
    ("half of it, then ten bytes a second", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 100000\n\n")?; c.send(&FILE[..SIZE / 2])?; c.drip(&FILE) }, SLOW, SLOW),
    ("a hundred bytes on each connection", |a, c| { let from = a.request.from().unwrap_or(0); head(c, &format!("HTTP/1.1 {}\nContent-Range: bytes {from}-99999/100000\nContent-Length: {}\n\n", if from > 0 { "206 Part" } else { "200 OK" }, SIZE - from))?; c.send(&FILE[..100]) }, BROKEN, BROKEN),
    ("no response", |_, c| c.hold(), SILENT, SILENT),
    ("ten bytes of headers a second", |_, c| c.drip(&[b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(1000)].concat()), SILENT, SILENT),
    ("responses that are none, slowly", |_, c| loop { c.drip(b"HTTP/1.1 102 Wait\r\n\r\n")?; }, SILENT, SILENT),
    ("responses that are none, fast", |_, c| c.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), Refused(""), Refused("")),
    ("chunks without end", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")?; loop { chunk(c, &FILE)?; } }, ENDLESS, Taken),
    ("a chunk without end", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n7fffffffffffffff\n")?; c.repeat(&FILE) }, ENDLESS, Taken),
    ("trailers without end", |_, c| { trailers(c)?; c.repeat(b"a: b\r\n") }, TRAILERS, Taken),
    ("one trailer without end", |_, c| { trailers(c)?; c.repeat(&FILE) }, BROKEN, Taken),
    ("trailers at ten bytes a second", |_, c| { trailers(c)?; loop { c.drip(b"a: b\r\n")?; } }, SLOW, Taken),
    ("a trailer at ten bytes a second", |_, c| { trailers(c)?; c.drip(&FILE) }, SLOW, Taken),
    ("no end after the trailers", |_, c| { trailers(c)?; c.send("a: b\r\n")?; c.hold() }, SLOW, Taken),
    ("trailers of 60 kB", |_, c| { trailers(c)?; c.send(b"a: b\r\n".repeat(10_000))?; c.send("\r\n") }, Taken, Taken),
    ("chunks with an extension without end", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;")?; c.repeat(&FILE) }, BROKEN, BROKEN),
    ("chunks with an extension at ten bytes a second", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;")?; c.drip(&FILE) }, SLOW, SLOW),
    ("until the connection ends, which does not", |_, c| { head(c, "HTTP/1.1 200 OK\n\n")?; c.repeat(&FILE) }, NO_END, Taken),
    ("more bytes than fit on any disk", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 4611686018427387904\n\n")?; c.repeat(&FILE) }, ENDLESS, LONG),
    ("headers of 100 MB", |_, c| { head(c, "HTTP/1.1 200 OK\n")?; (0..1500).try_for_each(|_| c.send(b"a: b\r\n".repeat(11_000)))?; head(c, "\n")?; whole(c) }, NO_HTTP, NO_HTTP),
    ("a header of 100 MB", |_, c| { head(c, "HTTP/1.1 200 OK\na: ")?; (0..1000).try_for_each(|_| c.send(FILE))?; head(c, "\n\n")?; whole(c) }, NO_HTTP, NO_HTTP),
    ("a thousand headers", |_, c| { head(c, "HTTP/1.1 200 OK\n")?; c.send(b"a: b\r\n".repeat(1000))?; head(c, "\n") }, NO_HTTP, NO_HTTP),
    ("redirections to itself", |_, c| moved(c, ""), Refused("redirects to another address more than 10 times"), Refused("more than 10 times")),
    ("redirections to ever new addresses", |a, c| moved(c, &format!("{}x", a.request.path)), Refused("more than 10 times"), Refused("more than 10 times")),
    // Lengths.
    ("cut short, of a known length", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 100000\n\n")?; c.send(&FILE[..SIZE / 2]) }, BROKEN, BROKEN),
    ("cut short, in chunks", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")?; chunk(c, &FILE[..SIZE / 2]) }, BROKEN, BROKEN),
    ("cut short within a chunk", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n186a0\n")?; c.send(&FILE[..SIZE / 2]) }, BROKEN, BROKEN),
    ("cut short, of unknown length", |_, c| { head(c, "HTTP/1.1 200 OK\n\n")?; c.send(&FILE[..SIZE / 2]) }, NO_END, BROKEN),
    ("whole, of unknown length", |_, c| { head(c, "HTTP/1.1 200 OK\n\n")?; c.send(FILE) }, NO_END, Taken),
    ("more than the length", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 100000\n\n")?; c.send(FILE)?; c.send(OTHER) }, Taken, Taken),
    ("a length that is too large", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 100001\n\n")?; c.send(FILE) }, BROKEN, LONG),
    ("a byte too many", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 100001\n\n")?; c.send(FILE)?; c.send("y") }, Believed, LONG),
    ("a negative length", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: -1\n\n")?; c.send(FILE) }, NO_HTTP, NO_HTTP),
    ("two lengths", |_, c| { head(c, "HTTP/1.1 200 OK\nContent-Length: 10\nContent-Length: 100000\n\n")?; c.send(FILE) }, NO_HTTP, NO_HTTP),
    ("chunks of a negative length", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n-5\nxxxxx\n0\n\n")?; c.send(FILE) }, BROKEN, BROKEN),
    ("chunks that are none", |_, c| { head(c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")?; c.send(FILE) }, BROKEN, BROKEN),
    // Contents.
    ("another file of this length", |_, c| c.reply("200 OK", "", &OTHER), Believed, WRONG),
    ("gzip that was not asked for", |_, c| c.reply("200 OK", "Content-Encoding: gzip\r\n", &FILE), ENCODED, ENCODED),
    ("x-gzip that was not asked for", |_, c| c.reply("200 OK", "Content-Encoding: x-gzip\r\n", &FILE), ENCODED, ENCODED),
    ("an encoding with ESC", |_, c| c.reply("200 OK", "Content-Encoding: \u{1b}[2J\r\n", &FILE), NO_HTTP, NO_HTTP),
    // Ranges.
    ("a part that was not asked for", |_, c| part(c, "0-99/100000", &FILE[..100]), PARTIAL, PARTIAL),
    ("a whole that calls itself a part", |_, c| part(c, "0-99999/100000", &FILE), PARTIAL, PARTIAL),
    ("the rest", |a, c| half_then(a, c, FIRST, |_, c| part(c, "50000-99999/100000", &FILE[..SIZE / 2])), Taken, Taken),
    ("another part than asked", |a, c| half_then(a, c, FIRST, |_, c| part(c, "40000-99999/100000", &OTHER[..60_000])), Taken, Taken),
    ("a part before the rest", |a, c| half_then(a, c, FIRST, |_, c| part(c, "0-49999/100000", &OTHER[..SIZE / 2])), Taken, Taken),
    ("a part of another file", |a, c| half_then(a, c, FIRST, |_, c| part(c, "50000-199999/200000", &OTHER)), Taken, Taken),
    ("a part of the rest", |a, c| half_then(a, c, FIRST, |_, c| part(c, "50000-59999/100000", &FILE[..10_000])), Taken, Taken),
    ("a longer part than it says", |a, c| half_then(a, c, FIRST, |_, c| { head(c, "HTTP/1.1 206 Part\nContent-Range: bytes 50000-99999/100000\nContent-Length: 60000\n\n")?; c.send(&OTHER[..60_000]) }), Taken, Taken),
    ("a shorter part than it says", |a, c| half_then(a, c, FIRST, |_, c| part(c, "50000-99999/100000", &OTHER[..10])), Taken, Taken),
    ("a part that says nothing of itself", |a, c| half_then(a, c, FIRST, |_, c| c.reply("206 Part", "", &OTHER[..SIZE / 2])), Taken, Taken),
    ("a part up to the largest number", |a, c| half_then(a, c, FIRST, |_, c| part(c, "50000-18446744073709551615/*", &OTHER[..SIZE / 2])), Taken, Taken),
    ("a part of a file that has changed", |a, c| half_then(a, c, FIRST, |_, c| c.reply("206 Part", "ETag: \"second\"\r\nContent-Range: bytes 50000-99999/100000\r\n", &OTHER[..SIZE / 2])), Taken, Taken),
    ("a part of a file that can change unseen", |a, c| half_then(a, c, "ETag: W/\"weak\"\n", |_, c| part(c, "50000-99999/100000", &OTHER[..SIZE / 2])), Taken, Taken),
    ("a part of another file that says it is the same", |a, c| half_then(a, c, FIRST, |_, c| c.reply("206 Part", "ETag: \"first\"\r\nContent-Range: bytes 50000-99999/100000\r\n", &OTHER[..SIZE / 2])), Believed, Taken),
    ("an encoded part", |a, c| half_then(a, c, FIRST, |_, c| c.reply("206 Part", "Content-Encoding: gzip\r\nContent-Range: bytes 50000-99999/100000\r\n", &OTHER[..SIZE / 2])), ENCODED, ENCODED),
    ("all instead of the rest", |a, c| half_then(a, c, FIRST, |_, c| whole(c)), Taken, Taken),
    ("no such part", |a, c| half_then(a, c, FIRST, |_, c| c.reply("416 No", "Content-Range: bytes */100000\r\n", b"")), Taken, Taken),
    // Redirections.
    ("to another server", |a, c| moved(c, a.elsewhere), Taken, Taken),
    ("to another server, with a password", |a, c| moved(c, &a.elsewhere.replace("//", "//me:pw@")), Taken, Taken),
    ("to a file of this machine", |a, c| moved(c, &format!("file://{}", a.canary)), Refused("redirects to an address of the scheme `file`"), Refused("of the scheme `file`")),
    ("to a file of this machine, as a host", |a, c| moved(c, &format!("file://localhost{}", a.canary)), Refused("of the scheme `file`"), Refused("of the scheme `file`")),
    ("to another protocol", |_, c| moved(c, "ftp://127.0.0.1/x"), Refused("of the scheme `ftp`"), Refused("of the scheme `ftp`")),
    ("to data", |_, c| moved(c, "data:text/plain,xxx"), Refused("of the scheme `data`"), Refused("of the scheme `data`")),
    ("to what is no address", |_, c| moved(c, "http://[::1"), Refused("what is not an address"), Refused("what is not an address")),
    ("to another server, with a text without end", |a, c| { head(c, &format!("HTTP/1.1 302 Found\nLocation: {}\nTransfer-Encoding: chunked\n\nffffffffff\n", a.elsewhere))?; c.repeat(&FILE) }, Taken, Taken),
    ("to another server, with trailers without end", |a, c| { head(c, &format!("HTTP/1.1 302 Found\nLocation: {}\nTransfer-Encoding: chunked\n\n0\n", a.elsewhere))?; c.repeat(b"a: b\r\n") }, Taken, Taken),
    ("to another server, with slow trailers", |a, c| { head(c, &format!("HTTP/1.1 302 Found\nLocation: {}\nTransfer-Encoding: chunked\n\n0\n", a.elsewhere))?; loop { c.drip(b"a: b\r\n")?; } }, Taken, Taken),
    ("to another server, with a slow text", |a, c| { head(c, &format!("HTTP/1.1 302 Found\nLocation: {}\nContent-Length: 1000\n\n", a.elsewhere))?; c.drip(&FILE) }, Taken, Taken),
    ("to bytes", |_, c| { c.send(b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n") }, Refused("what is not an address"), Refused("what is not an address")),
    ("to nowhere", |_, c| c.reply("302 Found", "", b""), Refused("redirects to nowhere"), Refused("redirects to nowhere")),
    ("to a port where nothing listens", |_, c| moved(c, "http://127.0.0.1:1/x"), NO_HTTP, NO_HTTP),
    // No HTTP.
    ("nothing at all", |_, _| Ok(()), NO_HTTP, NO_HTTP),
    ("another protocol", |_, c| c.send("SSH-2.0-OpenSSH_9.9\r\n"), NO_HTTP, NO_HTTP),
    ("zeros", |_, c| c.send([0; 1000]), NO_HTTP, NO_HTTP),
    ("a page instead of a response", |_, c| c.send("<!DOCTYPE html><html></html>"), NO_HTTP, NO_HTTP),
    ("half a header", |_, c| c.send("HTTP/1.1 200 OK\r\nContent-Le"), NO_HTTP, NO_HTTP),
    // Statuses.
    ("a hundred responses that are none, then the file", |_, c| { c.send(b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n".repeat(100))?; whole(c) }, Taken, Taken),
    ("busy once", |a, c| if a.request.earlier == 0 { c.reply("503 Busy", "Retry-After: 99999\r\n", b"") } else { whole(c) }, Taken, Taken),
    ("busy always", |_, c| c.reply("503 Busy", "", b""), Refused("the server answers with status 503"), Refused("status 503")),
    ("gone", |_, c| c.reply("404 Gone", "", &FILE), Refused("status 404"), Refused("status 404")),
    ("no contents", |_, c| c.send("HTTP/1.1 204 Empty\r\n\r\n"), Refused("status 204"), Refused("status 204")),
    ("not modified", |_, c| c.send("HTTP/1.1 304 Same\r\n\r\n"), Refused("status 304"), Refused("status 304")),
    ("several choices", |_, c| c.reply("300 Choices", "Location: /x\r\n", b""), Refused("status 300"), Refused("status 300")),
    ("credentials required", |_, c| c.reply("401 Who", "WWW-Authenticate: Basic realm=\"\u{1b}[2J\"\r\n", b""), NO_HTTP, NO_HTTP),
    ("credentials for a proxy required", |_, c| c.reply("407 Who", "Proxy-Authenticate: Basic\r\n", b""), Refused("status 407"), Refused("status 407")),
];

/// The project of one model whose weights the server has, with a canary beside it.
struct Project {
    sandbox: Sandbox,
    server: Scripted,
    elsewhere: Scripted,
    manifest: String,
    lock: String,
}

impl Project {
    fn new() -> Self {
        let sandbox = Sandbox::single();
        sandbox.write("canary", "sings");
        sandbox.write(
            "netrc",
            &format!("machine 127.0.0.1 login me password {SECRET}\nmachine localhost login me password {SECRET}\n"),
        );
        let elsewhere = elsewhere(&FILE);
        let there = format!("http://localhost:{}/there", elsewhere.port());
        let canary = sandbox.path("canary").display().to_string();
        let server = Scripted::start(move |request, connection| {
            let case = request.path.trim_start_matches('/');
            let case: usize = case.get(..3).and_then(|case| case.parse().ok()).unwrap();
            let ask = Ask {
                request,
                elsewhere: &there,
                canary: &canary,
            };
            CASES[case].1(&ask, connection)
        });
        let manifest = sandbox.read("rootstock.toml");
        let lock = sandbox.read("rootstock.lock");
        Self {
            sandbox,
            server,
            elsewhere,
            manifest,
            lock,
        }
    }

    /// Tries one case; `what` is known of the file beforehand.
    fn attempt(&self, case: usize, known: &str, then: Then) -> Vec<String> {
        let Self { sandbox, .. } = self;
        let url = format!("{}/{case:03}.bin", self.server.url());
        let model = format!(
            "{}\n[models.m]\nenvironment = \"one\"\nargument = \"x\"\n\
             weights = [{{ url = \"{url}\", path = \"p/w.bin\"{known} }}]\n",
            self.manifest
        );
        sandbox.write("rootstock.toml", &model);
        sandbox.write("rootstock.lock", &self.lock);
        let netrc = sandbox.path("netrc");
        let variables = [("NETRC", netrc.to_str().unwrap())];
        let is_sync = !known.is_empty();
        let outside = || {
            let mut files = files_below(&sandbox.path(""));
            files.retain(|path, _| {
                let kept = ["root", "uv-cache", "rootstock.lock", "rootstock.toml"];
                !kept.iter().any(|kept| path.starts_with(sandbox.path(kept)))
            });
            files
        };
        if is_sync {
            let locked = limited(sandbox, 4_000_000, "lock", &variables);
            assert!(self.server.requests().is_empty(), "its digest is known");
            locked.expect(0);
        }
        let (lock, before) = (sandbox.read("rootstock.lock"), outside());
        let arguments = if is_sync {
            "sync --only models"
        } else {
            "lock"
        };
        let memory = if is_sync { 400_000 } else { 4_000_000 };
        let output = limited(sandbox, memory, arguments, &variables);
        let mut faults: Vec<String> = wrong(&output, then).into_iter().collect();
        let mut note = |is_fault: bool, what: &str| {
            if is_fault {
                faults.push(what.to_owned());
            }
        };
        note(outside() != before, "something was written outside");
        note(
            !is_anonymous(&self.elsewhere),
            "credentials were sent to another server",
        );
        let has_changed = sandbox.read("rootstock.lock") != lock;
        note(matches!(then, Refused(_)) && has_changed, "it was locked");
        let right = sandbox
            .read("rootstock.lock")
            .contains(&Digest::of(FILE).to_string());
        note(!is_sync && right != (then == Taken), "the digest is wrong");
        let cache = sandbox.path("root/cache");
        let published = files_below(&cache);
        let whole = [(cache.join("p/w.bin"), SIZE as u64)].into();
        match then {
            Taken if is_sync => note(published != whole, "it is not there, or not alone"),
            // What broke off may be continued; what is wrong is removed.
            Refused(why) if is_sync && [SLOW, BROKEN, ENCODED].contains(&Refused(why)) => {
                let name = |path: &std::path::PathBuf| path.ends_with("w.bin.part");
                note(!published.keys().all(name), "it was published");
            }
            _ => note(!published.is_empty(), "something is left of it"),
        }
        let _ = std::fs::remove_dir_all(&cache);
        drop(self.server.requests());
        faults
    }
}

/// Tries every case, and says how many there were and which did not hold.
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
fn attempt_all(known: &str, then: impl Fn(&Case) -> Then) {
    let project = Project::new();
    let mut faults = Vec::new();
    for (at, case) in CASES.iter().enumerate() {
        let found = project.attempt(at, known, then(case));
        faults.extend(
            found
                .into_iter()
                .map(|fault| format!("{} ({at}): {fault}", case.0)),
        );
    }
    println!(
        "{} servers of weights tried, {} faults",
        CASES.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(project.sandbox.read("canary"), "sings");
}

#[test]
fn credentials_for_weights_come_from_netrc_and_go_to_their_server_alone() {
    let project = Project::new();
    let Project {
        sandbox, elsewhere, ..
    } = &project;
    let there = format!("http://localhost:{}/there", elsewhere.port());
    let server = Scripted::start(move |request, c| {
        let known = request.headers.get("authorization");
        if known.is_some_and(|known| known.starts_with("Basic ")) {
            moved(c, &there)
        } else {
            c.reply("401 Who", "WWW-Authenticate: Basic\r\n", b"")
        }
    });
    let url = server.url();
    sandbox.write(
        "rootstock.toml",
        &format!(
            "{}\n[models.m]\nenvironment = \"one\"\nargument = \"x\"\n\
             weights = [{{ url = \"{url}/w.bin\", path = \"p/w.bin\" }}]\n",
            project.manifest
        ),
    );
    let netrc = sandbox.path("netrc");
    let variables = [("NETRC", netrc.to_str().unwrap())];
    for arguments in ["lock", "sync --only models"] {
        assert_eq!(
            wrong(&limited(sandbox, 4_000_000, arguments, &variables), Taken),
            None
        );
        assert!(is_anonymous(elsewhere), "{arguments}");
    }
    assert!(!sandbox.read("rootstock.lock").contains(SECRET));
    let without = [("NETRC", "/nowhere")];
    std::fs::remove_dir_all(sandbox.path("root/cache")).unwrap();
    let output = limited(sandbox, 400_000, "sync --only models", &without);
    assert_eq!(wrong(&output, Refused("status 401")), None);
}

/// An address of the manifest, and what is wrong with it.
const ADDRESSES: &[(&str, &str)] = &[
    ("https://me:s3cr3t-w0rd@host/w", "may not hold credentials"),
    ("https://s3cr3t-w0rd@host/w", "may not hold credentials"),
    ("https://:s3cr3t-w0rd@host/w", "may not hold credentials"),
    ("http://me:s3cr3t-w0rd@host", "may not hold credentials"),
    ("https://me:s3cr3t-w0rd@[::1/w", "invalid IPv6 address"),
    (
        "ftp://me:s3cr3t-w0rd@host/w",
        "only http, https and file are supported",
    ),
    ("https://", "it names no server"),
    ("https:///host/w", "is not followed by `//` and a server"),
    ("https://[::1/w", "invalid IPv6 address"),
    ("https://host:99999/w", "invalid port number"),
    ("https://host\\\\w", "backslash"),
    (
        "file://host/w",
        "a file address cannot name another machine",
    ),
    ("ftp://host/w", "only http, https and file are supported"),
];

#[test]
fn addresses_of_the_manifest_are_whole_and_hold_no_credentials() {
    let sandbox = Sandbox::single();
    let manifest = sandbox.read("rootstock.toml");
    for (address, why) in ADDRESSES {
        let weights = format!(
            "{manifest}\n[models.m]\nenvironment = \"one\"\nargument = \"x\"\n\
             weights = [{{ url = \"{address}\", path = \"p/w\" }}]\n"
        );
        let index = format!("{manifest}\n[indexes.own]\nurl = \"{address}\"\n");
        let mirror = manifest.replacen(
            "root = ",
            &format!("python-mirror = \"{address}\"\nroot = "),
            1,
        );
        for text in [weights, index, mirror] {
            sandbox.write("rootstock.toml", &text);
            let output = sandbox.run(&["lock", "--check"]);
            output.expect(2);
            let message = output.message();
            assert!(message.contains(why), "{address}: {message}");
            assert!(!message.contains(SECRET), "{address}: {message}");
            assert!(message.contains("rootstock.toml:"), "{address}: {message}");
        }
    }
}

#[test]
fn a_digest_is_learnt_of_a_whole_file_only() {
    attempt_all("", |case| case.2);
}

#[test]
fn a_file_whose_digest_is_known_is_taken_whole_or_not_at_all() {
    let known = format!(", sha256 = \"{}\", size = {SIZE}", Digest::of(FILE));
    attempt_all(&known, |case| case.3);
}
