//! Hubs of models: what they list when `lock` asks for a commit and a digest, and where they send who wants the file.

use std::io;

use rootstock::digest::Digest;
use serde_json::{Value, json};

use super::{Refused, SECRET, Taken, Then, elsewhere, files_below, is_anonymous, limited, wrong};
use crate::sandbox::Sandbox;
use crate::sandbox::scripted::{Connection, Request, Scripted};

static FILE: [u8; 1000] = [b'x'; 1000];
const COMMIT: &str = "1111111111111111111111111111111111111111";

/// What the hub is asked, and another server.
struct Ask<'a> {
    request: &'a Request,
    elsewhere: &'a str,
}

type Case = (
    &'static str,
    fn(&Ask, &mut Connection) -> io::Result<()>,
    Then,
);

const NONSENSE: Then = Refused("is not what the hub documents");
const NO_FILE: Then = Refused("has no file `a.bin` at its revision `main`");

/// A file as the hub lists it.
fn entry(name: &str) -> Value {
    json!({
        "rfilename": name, "size": 1000, "blobId": "0".repeat(40),
        "lfs": { "sha256": Digest::of(FILE), "size": 1000, "pointerSize": 134 },
    })
}

/// The good answer with something else in it.
fn answer(c: &mut Connection, change: impl FnOnce(&mut Value)) -> io::Result<()> {
    let mut answer = json!({ "id": "org/name", "sha": COMMIT, "siblings": [entry("a.bin")] });
    change(&mut answer);
    text(c, &answer.to_string())
}

/// The good answer with another entry of the file.
fn listed(c: &mut Connection, change: impl FnOnce(&mut Value)) -> io::Result<()> {
    answer(c, |answer| change(&mut answer["siblings"][0]))
}

fn text(c: &mut Connection, text: &str) -> io::Result<()> {
    c.reply(
        "200 OK",
        "Content-Type: application/json\r\n",
        text.as_bytes(),
    )
}

fn moved(c: &mut Connection, to: &str) -> io::Result<()> {
    c.reply("302 Found", &format!("Location: {to}\r\n"), b"")
}

fn chunked(c: &mut Connection) -> io::Result<()> {
    c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n")
}

#[rustfmt::skip]
const LISTINGS: &[Case] = &[
    ("a good one beside all these", |_, c| answer(c, |_| ()), Taken),
    // Paths.
    ("a file outside", |_, c| listed(c, |e| e["rfilename"] = json!("../a.bin")), NO_FILE),
    ("an absolute file", |_, c| listed(c, |e| e["rfilename"] = json!("/a.bin")), NO_FILE),
    ("a name in capitals", |_, c| listed(c, |e| e["rfilename"] = json!("A.BIN")), NO_FILE),
    ("a name with a dot before it", |_, c| listed(c, |e| e["rfilename"] = json!("./a.bin")), NO_FILE),
    ("a name with NUL", |_, c| listed(c, |e| e["rfilename"] = json!("a.bin\0")), NO_FILE),
    ("names that lead out beside it", |_, c| answer(c, |a| a["siblings"] = json!([entry("../../x"), entry("/etc/passwd"), entry("a.bin"), entry("a\u{1b}[2J"), entry("")])), Taken),
    ("names that differ in case beside it", |_, c| answer(c, |a| a["siblings"] = json!([entry("A.bin"), entry("a.bin"), entry("a.BIN")])), Taken),
    ("the file twice", |_, c| answer(c, |a| { let mut other = entry("a.bin"); other["lfs"]["sha256"] = json!(Digest::of("other")); a["siblings"] = json!([entry("a.bin"), other]); }), NONSENSE),
    ("no file", |_, c| answer(c, |a| a["siblings"] = json!([])), NO_FILE),
    ("a name that is a number", |_, c| listed(c, |e| e["rfilename"] = json!(1)), NONSENSE),
    // Commits.
    ("no commit", |_, c| answer(c, |a| { a.as_object_mut().unwrap().remove("sha"); }), NONSENSE),
    ("a branch as the commit", |_, c| answer(c, |a| a["sha"] = json!("main")), NONSENSE),
    ("a short commit", |_, c| answer(c, |a| a["sha"] = json!(COMMIT[..39])), NONSENSE),
    ("a long commit", |_, c| answer(c, |a| a["sha"] = json!(format!("{COMMIT}1"))), NONSENSE),
    ("a commit in capitals", |_, c| answer(c, |a| a["sha"] = json!("A".repeat(40))), NONSENSE),
    ("a commit that leads out", |_, c| answer(c, |a| a["sha"] = json!("../".repeat(13) + "x")), NONSENSE),
    ("a commit with a line end", |_, c| answer(c, |a| a["sha"] = json!(format!("{}\n", &COMMIT[..39]))), NONSENSE),
    ("a commit that is null", |_, c| answer(c, |a| a["sha"] = Value::Null), NONSENSE),
    // Sizes and digests.
    ("a negative size", |_, c| listed(c, |e| e["lfs"]["size"] = json!(-1)), NONSENSE),
    ("a size with a point", |_, c| listed(c, |e| e["lfs"]["size"] = json!(1.5)), NONSENSE),
    ("a size beyond 64 bits", |_, c| text(c, &format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{{\"rfilename\": \"a.bin\", \"size\": 99999999999999999999}}]}}")), NONSENSE),
    ("two sizes", |_, c| listed(c, |e| e["size"] = json!(134)), Taken),
    ("a short digest", |_, c| listed(c, |e| e["lfs"]["sha256"] = json!("0".repeat(63))), NONSENSE),
    ("a digest that leads out", |_, c| listed(c, |e| e["lfs"]["sha256"] = json!("../".repeat(21) + "x")), NONSENSE),
    ("an empty digest", |_, c| listed(c, |e| e["lfs"]["sha256"] = json!("")), NONSENSE),
    ("no digest", |_, c| listed(c, |e| e["lfs"] = json!({})), NONSENSE),
    // Texts.
    ("no JSON", |_, c| text(c, "<!DOCTYPE html>"), NONSENSE),
    ("nothing", |_, c| text(c, ""), NONSENSE),
    ("a list", |_, c| text(c, "[]"), NONSENSE),
    ("not UTF-8", |_, c| c.reply("200 OK", "", b"{\"sha\": \"\xff\"}"), NONSENSE),
    ("a million brackets", |_, c| text(c, &"[".repeat(1_000_000)), NONSENSE),
    ("a million brackets beside it", |_, c| text(c, &format!("{{\"x\": {}", "[".repeat(1_000_000))), NONSENSE),
    ("cut short", |_, c| { c.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"sha\": \"")?; Ok(()) }, Refused("broke off after ")),
    ("of unknown length", |_, c| { c.send(format!("HTTP/1.1 200 OK\r\n\r\n{{\"sha\": \"{COMMIT}\", \"siblings\": []}}"))?; Ok(()) }, Refused("does not say how long")),
    ("gzip that was not asked for", |_, c| c.reply("200 OK", "Content-Encoding: gzip\r\n", b"\x1f\x8b"), Refused("encoded as \"gzip\"")),
    ("a key twice", |_, c| text(c, &format!("{{\"sha\": \"{COMMIT}\", \"x\": 1, \"x\": 2, \"siblings\": [{}]}}", entry("a.bin"))), NONSENSE),
    ("a key twice in what is not read", |_, c| text(c, &format!("{{\"sha\": \"{COMMIT}\", \"x\": [{{\"y\": 1, \"y\": 1}}], \"siblings\": [{}]}}", entry("a.bin"))), NONSENSE),
    // Without end.
    ("an endless text", |_, c| { chunked(c)?; c.repeat(b"{") }, Refused("is larger than 33554432 bytes")),
    ("an endless list", |_, c| { chunked(c)?; c.send(format!("{{\"sha\": \"{COMMIT}\", \"siblings\": ["))?; c.repeat(b"{\"rfilename\":\"\"},") }, Refused("is larger than 33554432 bytes")),
    ("a list of all that fits", |_, c| { let many = b"{\"rfilename\":\"\"},".repeat(1_900_000); let end = format!("{}], \"sha\": \"{COMMIT}\"}}", entry("a.bin")); c.reply("200 OK", "", &[b"{\"siblings\": [".to_vec(), many, end.into_bytes()].concat()) }, Taken),
    ("ten bytes a second", |_, c| { c.send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")?; c.drip(&[b' '; 10_000]) }, Refused("comes too slowly: ")),
    ("a thousand bytes a second, for ever", |_, c| { chunked(c)?; loop { c.drip(&[b' '; 1])?; c.send([b' '; 400])?; } }, Refused("was not complete after 10 s")),
    ("no response", |_, c| c.hold(), Refused("sent no complete response for")),
    ("pages without end", |a, c| { let next = format!("Link: <{}&page={}>; rel=\"next\"\r\n", a.request.path, a.request.earlier + 1); let body = json!({ "sha": COMMIT, "siblings": [] }); c.reply("200 OK", &next, body.to_string().as_bytes()) }, NO_FILE),
    ("redirections to itself", |_, c| moved(c, ""), Refused("more than 10 times")),
    // Elsewhere.
    ("another server", |a, c| moved(c, a.elsewhere), NONSENSE),
    ("another server, encrypted", |a, c| moved(c, &a.elsewhere.replace("http:", "https:")), Refused("cannot reach `localhost:")),
    ("a file of this machine", |_, c| moved(c, "file:///etc/passwd"), Refused("of the scheme `file`")),
    ("another address of its own", |a, c| if a.request.path.contains("renamed") { answer(c, |_| ()) } else { moved(c, "/renamed") }, Taken),
    // Statuses.
    ("gated", |_, c| c.reply("403 No", "", b"<\x1b[2J>"), Refused("the hub does not show `org/n")),
    ("unknown", |_, c| c.reply("404 No", "", b""), Refused("the hub has no revision `main`")),
    ("busy", |_, c| c.reply("500 Busy", "", b""), Refused("status 500")),
    ("created", |_, c| c.reply("201 Created", "", b"{}"), Refused("status 201")),
];

#[rustfmt::skip]
const FILES: &[Case] = &[
    ("a good one beside all these", |_, c| c.reply("200 OK", "", &FILE), Taken),
    ("from another server", |a, c| moved(c, a.elsewhere), Taken),
    ("from this server's other port", |a, c| moved(c, &a.elsewhere.replace("localhost", "127.0.0.1")), Taken),
    ("from another server by way of its own", |a, c| if a.request.path.contains("hop") { moved(c, a.elsewhere) } else { moved(c, "/hop") }, Taken),
    ("with an ETag that lies", |_, c| c.reply("200 OK", "ETag: \"0\"\r\nX-Linked-Etag: \"../../x\"\r\nX-Linked-Size: -1\r\nX-Repo-Commit: main\r\n", &FILE), Taken),
    ("another file with the right ETag", |_, c| c.reply("200 OK", &format!("X-Linked-Etag: \"{}\"\r\n", Digest::of(FILE)), &[b'y'; 1000]), Refused("has the sha256 ")),
    ("a pointer", |_, c| c.reply("200 OK", "", format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1000\n", Digest::of(FILE)).as_bytes()), Refused("but 1000 are expected")),
    ("a longer file", |_, c| c.reply("200 OK", "", &[b'x'; 1001]), Refused("but 1000 are expected")),
    ("gated", |_, c| c.reply("401 No", "", b""), Refused("status 401")),
    ("a file of this machine", |_, c| moved(c, "file:///etc/passwd"), Refused("of the scheme `file`")),
];

/// Has every case tried with a file at a revision; says how many there were and which did not hold.
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
fn attempt_all(cases: &'static [Case], revision: &str, known: &str) {
    let is_sync = !known.is_empty();
    let sandbox = Sandbox::single();
    let other = elsewhere(&FILE);
    let there = format!("http://localhost:{}/there", other.port());
    let server = Scripted::start(move |request, connection| {
        // A redirection within the hub says where it comes from.
        let digits = request.path.split("org/n").nth(1).unwrap_or_default();
        let case = digits
            .get(..3)
            .and_then(|digits| digits.parse::<usize>().ok());
        let named = |word: &str| cases.iter().position(|(what, ..)| what.contains(word));
        let case = case.or_else(|| {
            named(if request.path == "/hop" {
                "by way of its own"
            } else {
                "address of its own"
            })
        });
        let ask = Ask {
            request,
            elsewhere: &there,
        };
        cases[case.unwrap()].1(&ask, connection)
    });
    let manifest = sandbox.read("rootstock.toml");
    let before = sandbox.read("rootstock.lock");
    let url = server.url();
    let variables = [("HF_ENDPOINT", url.as_str()), ("HF_TOKEN", SECRET)];
    let mut faults = Vec::new();
    for (at, (what, _, then)) in cases.iter().enumerate() {
        sandbox.write(
            "rootstock.toml",
            &format!(
                "{manifest}\n[models.m]\nenvironment = \"one\"\nargument = \"x\"\n\
                 weights = [{{ url = \"hf://org/n{at:03}@{revision}/a.bin\"{known} }}]\n"
            ),
        );
        sandbox.write("rootstock.lock", &before);
        let arguments = if is_sync {
            limited(&sandbox, 4_000_000, "lock", &variables).expect(0);
            assert!(server.requests().is_empty(), "its digest is known");
            "sync --only models"
        } else {
            "lock"
        };
        // uv is asked nothing, but started: it reserves more than it uses.
        let memory = if is_sync { 400_000 } else { 4_000_000 };
        let output = limited(&sandbox, memory, arguments, &variables);
        let mut fault = |what_else: String| faults.push(format!("{what} ({at}): {what_else}"));
        if let Some(wrong) = wrong(&output, *then) {
            fault(wrong);
        }
        if !is_anonymous(&other) {
            fault("credentials were sent to another server".to_owned());
        }
        let has_token = |request: &Request| request.headers.contains_key("authorization");
        let requests = server.requests();
        if requests.is_empty() || !requests.iter().all(has_token) {
            fault("no token was sent to the hub".to_owned());
        }
        let lock = sandbox.read("rootstock.lock");
        let locked = lock.contains(&format!("commit = \"{COMMIT}\""));
        if !is_sync && (locked != (*then == Taken) || lock.contains("..")) {
            fault(format!("it is locked: {locked}"));
        }
        let cache = files_below(&sandbox.path("root/cache"));
        // What a revision means is known before the file is.
        let published = cache.keys().filter(|path| {
            let path = path.to_string_lossy();
            !path.ends_with(".part") && !path.contains("/refs/")
        });
        let published = published.count();
        if (published > 0) != (is_sync && *then == Taken) {
            fault(format!("{published} files are in the cache: {cache:?}"));
        }
        let _ = std::fs::remove_dir_all(sandbox.path("root/cache"));
    }
    println!(
        "{} answers of hubs tried, {} faults",
        cases.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_listing_is_believed_only_as_the_hub_documents_it() {
    attempt_all(LISTINGS, "main", "");
}

#[test]
fn a_file_comes_from_where_the_hub_redirects_and_the_token_goes_to_the_hub_alone() {
    let known = format!(", sha256 = \"{}\", size = 1000", Digest::of(FILE));
    attempt_all(FILES, COMMIT, &known);
}
