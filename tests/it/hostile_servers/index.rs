//! Indexes of packages, while `lock` asks for one. uv reads the pages first and we read them afterwards; an index can
//! distinguish the two, so that some cases are good to uv and bad to us.

use std::io;
use std::path::Path;
use std::sync::LazyLock;

use rootstock::digest::Digest;
use serde_json::{Value, json};

use super::{Refused, SECRET, Taken, Then, is_anonymous, limited, wrong};
use crate::sandbox::scripted::{Connection, Scripted};
use crate::sandbox::{Sandbox, Wheel};

/// What the index is asked.
struct Ask<'a> {
    /// What comes after the case's own beginning of the path.
    path: &'a str,
    /// Whether it is us who ask, and not uv.
    ours: bool,
    /// The address of the case.
    base: &'a str,
    /// Another server, which has the same files.
    elsewhere: &'a str,
}

type Answer = fn(&Ask, &mut Connection) -> io::Result<()>;
type Case = (&'static str, Answer, Then);

const PAGE: &str = "/simple/evil/";
const PLAIN: &str = "evil-1.0-py3-none-any.whl";
const BETTER: &str = "evil-1.0-py311-none-any.whl";
const JSON: &str = "Content-Type: application/vnd.pypi.simple.v1+json\r\n";
const HTML: &str = "Content-Type: text/html\r\n";

static WHEEL: LazyLock<Vec<u8>> = LazyLock::new(|| Wheel::simple("evil", "1.0").bytes());
static METADATA: LazyLock<String> = LazyLock::new(|| Wheel::simple("evil", "1.0").metadata());

static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&[b' '; 1 << 20], 65));

fn file(base: &str, name: &str) -> Value {
    json!({
        "filename": name, "url": format!("{base}/files/{name}"), "size": WHEEL.len(),
        "hashes": { "sha256": Digest::of(&*WHEEL) }, "upload-time": "2026-01-01T00:00:00Z",
        "core-metadata": { "sha256": Digest::of(&*METADATA) },
    })
}

fn listing(base: &str) -> Value {
    json!({
        "meta": { "api-version": "1.1" }, "name": "evil", "versions": ["1.0"],
        "files": [file(base, PLAIN), file(base, BETTER)],
    })
}

/// What a good index has.
fn good(a: &Ask, c: &mut Connection) -> io::Result<()> {
    if a.path == PAGE {
        c.reply("200 OK", JSON, listing(a.base).to_string().as_bytes())
    } else if a.path.ends_with(".metadata") {
        c.reply("200 OK", "", METADATA.as_bytes())
    } else if a.path.starts_with("/files/") {
        c.reply("200 OK", "", &WHEEL)
    } else {
        c.reply("404 No", "", b"")
    }
}

/// A good index with something else on its page.
fn listed(a: &Ask, c: &mut Connection, change: impl FnOnce(&mut Value)) -> io::Result<()> {
    if a.path != PAGE {
        return good(a, c);
    }
    let mut page = listing(a.base);
    change(&mut page);
    c.reply("200 OK", JSON, page.to_string().as_bytes())
}

/// The same for each file on it.
fn each(a: &Ask, c: &mut Connection, change: impl Fn(&mut Value)) -> io::Result<()> {
    listed(a, c, |page| {
        page["files"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(change);
    })
}

/// A good index with another page.
fn page(a: &Ask, c: &mut Connection, kind: &str, text: &[u8]) -> io::Result<()> {
    if a.path == PAGE {
        c.reply("200 OK", kind, text)
    } else {
        good(a, c)
    }
}

/// A good index that answers this when we ask for the page.
fn to_us(
    a: &Ask,
    c: &mut Connection,
    answer: impl FnOnce(&mut Connection) -> io::Result<()>,
) -> io::Result<()> {
    if a.path == PAGE && a.ours {
        answer(c)
    } else {
        good(a, c)
    }
}

/// A good index that answers this when metadata are asked for.
fn metadata(a: &Ask, c: &mut Connection, text: &[u8]) -> io::Result<()> {
    if a.path.ends_with(".metadata") {
        c.reply("200 OK", "", text)
    } else {
        each(a, c, |file| {
            file["core-metadata"] = json!({ "sha256": Digest::of(text) });
        })
    }
}

fn html(a: &Ask, attributes: &str) -> String {
    let digest = Digest::of(&*WHEEL);
    let link = |name| {
        format!(
            "<a href=\"{}/files/{name}#sha256={digest}\" {attributes}>{name}</a>",
            a.base
        )
    };
    format!(
        "<!DOCTYPE html><html><body>{}{}</body></html>",
        link(PLAIN),
        link(BETTER)
    )
}

fn moved(c: &mut Connection, to: &str) -> io::Result<()> {
    c.reply("302 Found", &format!("Location: {to}\r\n"), b"")
}

fn gzip(bytes: &[u8], count: usize) -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..count).for_each(|_| gzip.write_all(bytes).unwrap());
    gzip.finish().unwrap()
}

const ANY: Then = Refused("");
const LISTING: Then = Refused("its list of files cannot be read");
const NO_SOLUTION: Then = Refused("no solution");
const LARGE: Then = Refused("is larger than 67108864 bytes");

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("a good one beside all these", good, Taken),
    ("a good one in HTML", |a, c| page(a, c, HTML, html(a, "").as_bytes()), Taken),
    // Bad to all.
    ("no such package", |_, c| c.reply("404 No", "", b""), NO_SOLUTION),
    ("a page of another kind", |a, c| page(a, c, "Content-Type: text/plain\r\n", listing(a.base).to_string().as_bytes()), ANY),
    ("JSON that calls itself HTML", |a, c| page(a, c, HTML, listing(a.base).to_string().as_bytes()), NO_SOLUTION),
    ("HTML that calls itself JSON", |a, c| page(a, c, JSON, html(a, "").as_bytes()), ANY),
    ("JSON cut short", |a, c| { let text = listing(a.base).to_string(); page(a, c, JSON, &text.as_bytes()[..text.len() / 2]) }, ANY),
    ("JSON that is not UTF-8", |a, c| page(a, c, JSON, &[listing(a.base).to_string().as_bytes(), b"\xff"].concat()), ANY),
    ("a million brackets", |a, c| page(a, c, JSON, &b"[".repeat(1_000_000)), ANY),
    ("no files", |a, c| listed(a, c, |page| page["files"] = json!([])), NO_SOLUTION),
    ("files that are no list", |a, c| listed(a, c, |page| page["files"] = json!(1)), ANY),
    ("a file that leads out", |a, c| each(a, c, |file| file["filename"] = json!(format!("../{}", file["filename"].as_str().unwrap()))), ANY),
    ("a file with an absolute path", |a, c| each(a, c, |file| file["filename"] = json!("/tmp/evil-1.0-py3-none-any.whl")), ANY),
    ("a file with ESC", |a, c| each(a, c, |file| file["filename"] = json!("evil-1.0\u{1b}[2J-py3-none-any.whl")), ANY),
    ("a file with a line end", |a, c| each(a, c, |file| file["filename"] = json!("evil-1.0-py3-none-any\n.whl")), ANY),
    ("a file with U+202E", |a, c| each(a, c, |file| file["filename"] = json!("evil-1.0-py3-none-\u{202e}any.whl")), ANY),
    ("a file with NUL", |a, c| each(a, c, |file| file["filename"] = json!("evil-1.0-py3-none-any.whl\0")), ANY),
    ("a file of another package", |a, c| each(a, c, |file| file["filename"] = json!("good-1.0-py3-none-any.whl")), NO_SOLUTION),
    ("files at a file address", |a, c| each(a, c, |file| { file["url"] = json!("file:///etc/passwd"); file.as_object_mut().unwrap().remove("core-metadata"); }), ANY),
    ("files without an address", |a, c| each(a, c, |file| { file.as_object_mut().unwrap().remove("url"); }), ANY),
    ("a negative size", |a, c| each(a, c, |file| file["size"] = json!(-1)), ANY),
    ("a size that is a text", |a, c| each(a, c, |file| file["size"] = json!("1")), ANY),
    ("a size beyond 64 bits", |a, c| each(a, c, |file| file["size"] = json!(1e30)), ANY),
    ("a digest that is none", |a, c| each(a, c, |file| file["hashes"]["sha256"] = json!("../../x")), ANY),
    ("a short digest", |a, c| each(a, c, |file| file["hashes"]["sha256"] = json!("00")), ANY),
    ("digests that are a list", |a, c| each(a, c, |file| file["hashes"] = json!([1])), ANY),
    ("a wrong md5 and nothing else", |a, c| each(a, c, |file| file["hashes"] = json!({ "md5": "0".repeat(32) })), Refused("md5")),
    ("no digest", |a, c| each(a, c, |file| file["hashes"] = json!({})), Taken),
    ("yanked as a number", |a, c| each(a, c, |file| file["yanked"] = json!(1)), ANY),
    ("yanked as a list", |a, c| each(a, c, |file| file["yanked"] = json!([])), ANY),
    ("yanked with a reason with ESC", |a, c| each(a, c, |file| file["yanked"] = json!("\u{1b}[2J")), ANY),
    ("a page of 100 MB of air", |a, c| listed(a, c, |page| page["x"] = json!("x".repeat(100_000_000))), LARGE),
    // Redirections.
    ("a page elsewhere", |a, c| if a.path == PAGE { moved(c, &format!("{}{PAGE}", a.elsewhere)) } else { good(a, c) }, Taken),
    ("files elsewhere", |a, c| each(a, c, |file| file["url"] = json!(format!("{}/files/{}", a.elsewhere, file["filename"].as_str().unwrap()))), Taken),
    ("metadata elsewhere", |a, c| if a.path.starts_with("/files/") { moved(c, &format!("{}{}", a.elsewhere, a.path)) } else { good(a, c) }, Taken),
    ("links to elsewhere in HTML", |a, c| page(a, c, HTML, html(a, "").replace(a.base, a.elsewhere).as_bytes()), Taken),
    ("a base elsewhere in HTML", |a, c| page(a, c, HTML, html(a, "").replace(a.base, "..").replace("<body>", &format!("<head><base href=\"{}/x/\"></head><body>", a.elsewhere)).as_bytes()), Taken),
    ("a page that is a file", |a, c| if a.path == PAGE { moved(c, "file:///etc/passwd") } else { good(a, c) }, ANY),
    ("a page that is itself", |a, c| if a.path == PAGE { moved(c, "") } else { good(a, c) }, ANY),
    ("a page that is nowhere", |a, c| if a.path == PAGE { c.reply("302 Found", "", b"") } else { good(a, c) }, ANY),
    ("credentials required", |_, c| c.reply("403 No", "", b"<\x1b[2J>"), ANY),
    // Metadata.
    ("metadata of another package", |a, c| metadata(a, c, b"Metadata-Version: 2.1\nName: good\nVersion: 1.0\n"), ANY),
    // uv takes them; `sync` compares those in the wheel.
    ("metadata of another version", |a, c| metadata(a, c, b"Metadata-Version: 2.1\nName: evil\nVersion: 2.0\n"), Taken),
    ("no metadata", |a, c| metadata(a, c, b""), ANY),
    ("metadata that are bytes", |a, c| metadata(a, c, &[0xff; 1000]), ANY),
    ("metadata that need a file", |a, c| metadata(a, c, b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\nRequires-Dist: other @ file:///etc/passwd\n"), ANY),
    ("metadata that need ESC", |a, c| metadata(a, c, b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\nRequires-Dist: \x1b[2J\n"), ANY),
    // Bad to us alone.
    ("another kind to us", |a, c| to_us(a, c, |c| c.reply("200 OK", "Content-Type: application/json\r\n", b"[]")), LISTING),
    ("nothing to us", |a, c| to_us(a, c, |c| c.reply("200 OK", JSON, b"")), LISTING),
    ("yanked as a number to us", |a, c| if a.ours { each(a, c, |file| file["yanked"] = json!(1)) } else { good(a, c) }, LISTING),
    ("a key twice to us", |a, c| { let text = listing(a.base).to_string().replacen("\"filename\"", "\"yanked\":true,\"yanked\":false,\"filename\"", 1); to_us(a, c, |c| c.reply("200 OK", JSON, text.as_bytes())) }, LISTING),
    ("trailers without end to us", |a, c| { let text = listing(a.base).to_string(); to_us(a, c, |c| { c.send(format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n", text.len()))?; c.repeat(b"a: b\r\n") }) }, Refused("that are no part of")),
    ("an endless page to us", |a, c| to_us(a, c, |c| { c.send(format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n"))?; c.repeat(b" ") }), LARGE),
    ("an endless list to us", |a, c| to_us(a, c, |c| { c.send(format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n{{\"files\": ["))?; c.repeat(b"{\"filename\":\"\"},") }), LARGE),
    ("a bomb to us", |a, c| to_us(a, c, |c| c.reply("200 OK", &format!("{JSON}Content-Encoding: gzip\r\n"), &BOMB)), LARGE),
    ("gzip cut short to us", |a, c| { let bytes = gzip(listing(a.base).to_string().as_bytes(), 1); to_us(a, c, |c| c.reply("200 OK", &format!("{JSON}Content-Encoding: gzip\r\n"), &bytes[..bytes.len() - 10])) }, Refused("broke off after")),
    ("no gzip to us", |a, c| to_us(a, c, |c| c.reply("200 OK", &format!("{JSON}Content-Encoding: gzip\r\n"), b"{}")), Refused("broke off after")),
    ("an encoding that was not asked for to us", |a, c| to_us(a, c, |c| c.reply("200 OK", &format!("{JSON}Content-Encoding: br\r\n"), b"{}")), Refused("encoded as \"br\"")),
    ("HTML of unknown length to us", |a, c| { let text = html(a, "data-yanked"); to_us(a, c, |c| c.send(format!("HTTP/1.1 200 OK\r\n{HTML}\r\n{}", &text[..text.len() / 2]))) }, Refused("does not say how long")),
    ("HTML cut short to us", |a, c| { let text = html(a, "data-yanked"); to_us(a, c, |c| c.send(format!("HTTP/1.1 200 OK\r\n{HTML}Content-Length: {}\r\n\r\n{}", text.len(), &text[..text.len() / 2]))) }, Refused("broke off after")),
    ("ten bytes a second to us", |a, c| to_us(a, c, |c| { c.send(format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 10000\r\n\r\n"))?; c.drip(&[b' '; 10_000]) }), Refused("comes too slowly: ")),
    ("ten bytes a second to us, packed", |a, c| { let bytes = gzip(listing(a.base).to_string().as_bytes(), 1); to_us(a, c, |c| { c.send(format!("HTTP/1.1 200 OK\r\n{JSON}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bytes.len()))?; c.drip(&bytes) }) }, Refused("comes too slowly: ")),
    ("no response to us", |a, c| to_us(a, c, Connection::hold), Refused("sent no complete response for")),
    ("ten bytes of headers a second to us", |a, c| to_us(a, c, |c| c.drip(&b"HTTP/1.1 200 OK\r\nx: ".repeat(1000))), Refused("sent no complete response for")),
    ("a file to us", |a, c| to_us(a, c, |c| moved(c, "file:///etc/passwd")), Refused("of the scheme `file`")),
    ("elsewhere to us", |a, c| { let there = format!("{}{PAGE}", a.elsewhere); to_us(a, c, |c| moved(c, &there)) }, Taken),
    ("busy to us", |a, c| to_us(a, c, |c| c.reply("500 Busy", "", b"")), Refused("status 500")),
    ("yanked in HTML to us, all of it", |a, c| { let text = html(a, "data-yanked"); to_us(a, c, |c| c.reply("200 OK", HTML, text.as_bytes())) }, Taken),
];

/// uv's reads have a limit each, but not what they add up to: it is ended as a whole.
const SLOW: &[Case] = &[
    // uv reads a page into memory: here it may have little.
    (
        "a page without end",
        |_, c| {
            c.send(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n"
            ))?;
            c.repeat(b" ")
        },
        // Whichever limit is reached first: of memory or of time.
        Refused("environment `one` could not be resolved: cannot run"),
    ),
    (
        "ten bytes a second",
        |_, c| {
            c.send(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 10000\r\n\r\n"
            ))?;
            c.drip(&[b' '; 10_000])
        },
        Refused("it had not ended after 3 s and was killed"),
    ),
    (
        "ten bytes of headers a second",
        |_, c| c.drip(&b"HTTP/1.1 200 OK\r\nx: ".repeat(1000)),
        Refused("it had not ended after 3 s and was killed"),
    ),
    (
        "metadata at ten bytes a second",
        |a, c| {
            if a.path.ends_with(".metadata") {
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")?;
                c.drip(&[b' '; 10_000])
            } else {
                good(a, c)
            }
        },
        Refused("it had not ended after 3 s and was killed"),
    ),
];

/// The servers of a table: an index for each case, and the one that they lead to.
fn servers(cases: &'static [Case]) -> (Scripted, Scripted) {
    let other = Scripted::start(|request, connection| {
        let base = format!("http://{}", request.headers["host"]);
        let ask = Ask {
            path: &request.path,
            ours: false,
            base: &base,
            elsewhere: &base,
        };
        good(&ask, connection)
    });
    let there = format!("http://localhost:{}", other.port());
    let server = Scripted::start(move |request, connection| {
        let (case, path) = request.path[1..].split_once('/').unwrap();
        let ours = request.headers.get("user-agent");
        let base = format!("http://{}/{case}", request.headers["host"]);
        let ask = Ask {
            path: &format!("/{path}"),
            ours: ours.is_some_and(|agent| agent.starts_with("rootstock/")),
            base: &base,
            elsewhere: &there,
        };
        cases[case.parse::<usize>().unwrap()].1(&ask, connection)
    });
    (server, other)
}

/// Has every case tried; says how many there were and which did not hold.
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
fn attempt_all(cases: &'static [Case], more: &[(&str, &str)]) {
    let sandbox = Sandbox::new(&[("one", &["evil"])]);
    let (server, other) = servers(cases);
    LazyLock::force(&BOMB);
    let mut faults = Vec::new();
    for (at, (what, _, then)) in cases.iter().enumerate() {
        let _ = std::fs::remove_file(sandbox.path("rootstock.lock"));
        let index = format!("http://me:{SECRET}@127.0.0.1:{}/{at}/simple", server.port());
        let variables = [&[("UV_DEFAULT_INDEX", index.as_str())], more].concat();
        let output = limited(&sandbox, 2_000_000, "lock", &variables);
        let mut fault = |what_else: String| faults.push(format!("{what} ({at}): {what_else}"));
        if let Some(wrong) = wrong(&output, *then) {
            fault(wrong);
        }
        if output.stderr.contains(['\u{1b}', '\u{202e}', '\u{7}']) {
            fault(format!(
                "something raw reached the terminal: {:?}",
                output.stderr
            ));
        }
        if !is_anonymous(&other) {
            fault("credentials were sent to another server".to_owned());
        }
        let lock = std::fs::read_to_string(sandbox.path("rootstock.lock")).unwrap_or_default();
        let locked = lock.contains(&format!("file = \"{BETTER}\""))
            && lock.contains(&Digest::of(&*WHEEL).to_string());
        if locked != (*then == Taken) || lock.contains(SECRET) {
            fault(format!("it is locked: {locked}"));
        }
        drop(server.requests());
    }
    println!("{} indexes tried, {} faults", cases.len(), faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_index_is_believed_as_far_as_the_standards_go() {
    attempt_all(CASES, &[]);
}

#[test]
fn an_index_that_keeps_uv_waiting_is_given_up() {
    attempt_all(SLOW, &[("ROOTSTOCK_NETWORK_TIMEOUT", "3")]);
}

/// pip fetches uv, git what a package is taken from.
#[test]
fn a_server_that_keeps_pip_or_git_waiting_is_given_up() {
    let sandbox = Sandbox::new(&[("one", &[])]);
    let server = Scripted::start(|_, c| {
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        c.drip(&vec![b' '; 100_000])
    });
    let (url, cache) = (server.url(), sandbox.path("cache"));
    let variables = [
        ("ROOTSTOCK_NETWORK_TIMEOUT", "3"),
        ("PIP_INDEX_URL", url.as_str()),
        ("XDG_CACHE_HOME", cache.to_str().unwrap()),
    ];
    let output = limited(&sandbox, 4_000_000, "lock", &variables);
    let killed = "it had not ended after 3 s and was killed";
    assert_eq!(wrong(&output, Refused(killed)), None);
    assert!(
        output.message().contains("it could not be fetched"),
        "{}",
        output.stderr
    );
    let git = format!("demo @ git+{url}/demo@{}", "1".repeat(40));
    sandbox.write_source("one", &[&git], "");
    let path = std::env::join_paths([sandbox.path("bin"), "/usr/bin".into()]).unwrap();
    let variables = [
        ("ROOTSTOCK_NETWORK_TIMEOUT", "3"),
        ("PATH", path.to_str().unwrap()),
    ];
    let output = limited(&sandbox, 4_000_000, "lock", &variables);
    assert_eq!(wrong(&output, Refused(killed)), None);
}

/// When `sync` asks where the locked file is, and fetches it.
#[rustfmt::skip]
const LOCKED: &[Case] = &[
    ("a good one beside all these", good, Taken),
    ("a good one in HTML", |a, c| page(a, c, HTML, html(a, "").as_bytes()), Taken),
    ("yanked since", |a, c| each(a, c, |file| file["yanked"] = json!(true)), Taken),
    ("no such package", |_, c| c.reply("404 No", "", b""), ANY),
    ("no files", |a, c| listed(a, c, |page| page["files"] = json!([])), ANY),
    ("other digests", |a, c| each(a, c, |file| file["hashes"]["sha256"] = json!(Digest::of("x"))), ANY),
    ("another file of this size", |a, c| if a.path.starts_with("/files/") && a.ours { let mut other = WHEEL.clone(); *other.last_mut().unwrap() ^= 1; c.reply("200 OK", "", &other) } else { good(a, c) }, Refused("has the sha256 ")),
    ("another file", |a, c| if a.path.starts_with("/files/") && a.ours { c.reply("200 OK", "", b"x") } else { good(a, c) }, Refused("bytes, but ")),
    ("a file without end", |a, c| if a.path.starts_with("/files/") && a.ours { c.send("HTTP/1.1 200 OK\r\n\r\n")?; c.repeat(b"x") } else { good(a, c) }, Refused("has the sha256 ")),
    ("a slow file", |a, c| if a.path.starts_with("/files/") && a.ours { c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", WHEEL.len()))?; c.drip(&WHEEL) } else { good(a, c) }, Refused("comes too slowly: ")),
    ("half a file", |a, c| if a.path.starts_with("/files/") && a.ours { c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", WHEEL.len()))?; c.send(&WHEEL[..100]) } else { good(a, c) }, Refused("broke off after ")),
    ("a file elsewhere", |a, c| each(a, c, |file| file["url"] = json!(format!("{}/files/{}", a.elsewhere, file["filename"].as_str().unwrap()))), Taken),
    ("a file that moved elsewhere", |a, c| if a.path.starts_with("/files/") && a.ours { moved(c, &format!("{}{}", a.elsewhere, a.path)) } else { good(a, c) }, Taken),
    ("a file that moved to this machine", |a, c| if a.path.starts_with("/files/") && a.ours { moved(c, "file:///etc/passwd") } else { good(a, c) }, Refused("of the scheme `file`")),
    ("a file of this machine", |a, c| each(a, c, |file| file["url"] = json!("file:///etc/passwd")), ANY),
    ("a file that is gone", |a, c| if a.path.starts_with("/files/") && a.ours { c.reply("410 Gone", "", b"") } else { good(a, c) }, Refused("status 410")),
    ("a file for others", |a, c| if a.path.starts_with("/files/") && a.ours { c.reply("403 No", "", b"<\x1b[2J>") } else { good(a, c) }, Refused("status 403")),
];

#[test]
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
fn a_locked_file_comes_whole_from_an_index_or_not_at_all() {
    let sandbox = Sandbox::new(&[("one", &["evil"])]);
    let (server, other) = servers(LOCKED);
    let index = |at: usize| format!("http://me:{SECRET}@127.0.0.1:{}/{at}/simple", server.port());
    let first = index(0);
    let locked = limited(&sandbox, 2_000_000, "lock", &[("UV_DEFAULT_INDEX", &first)]);
    assert_eq!(wrong(&locked, Taken), None);
    let mut faults = Vec::new();
    for (at, (what, _, then)) in LOCKED.iter().enumerate() {
        let output = limited(
            &sandbox,
            2_000_000,
            "sync",
            &[("UV_DEFAULT_INDEX", &index(at))],
        );
        let mut fault = |what_else: String| faults.push(format!("{what} ({at}): {what_else}"));
        if let Some(wrong) = wrong(&output, *then) {
            fault(wrong);
        }
        if !is_anonymous(&other) {
            fault("credentials were sent to another server".to_owned());
        }
        let archives = sandbox.names("root/store/archives");
        let built = sandbox.names("root/envs");
        if archives.iter().any(|name| {
            Path::new(name)
                .extension()
                .is_none_or(|kind| kind != "part")
        }) || built.is_empty() == (*then == Taken)
        {
            fault(format!("{archives:?} {built:?}"));
        }
        drop(server.requests());
        make_writable(&sandbox.path("root"));
        std::fs::remove_dir_all(sandbox.path("root")).unwrap();
    }
    println!(
        "{} indexes of locked files tried, {} faults",
        LOCKED.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Lets a root be removed.
fn make_writable(directory: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            make_writable(&entry.path());
        }
    }
}
