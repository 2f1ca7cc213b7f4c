//! Downloads from a server on this machine that misbehaves on request.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use super::*;

/// What the server does with one request.
enum Answer {
    /// The whole file, whatever range was asked for.
    Whole,
    /// What was asked for.
    Range,
    /// The announcement of the whole file, and this much of it.
    BreakOff(usize),
    /// The wrong range.
    WrongRange,
    /// Only a status.
    Status(u16),
    /// Another file of the same length.
    Other,
    /// That the file is at this host, which is this one by one of its names.
    Moved(&'static str),
}

use Answer::{BreakOff, Moved, Other, Range, Status, Whole, WrongRange};

/// How a download went: its result, and the range that each request asked for.
struct Outcome {
    result: Result<(), Error>,
    ranges: Vec<Option<u64>>,
    heads: Vec<String>,
}

const FILE: &[u8; 1000] = &[b'x'; 1000];

/// Downloads from a server that answers so, one request after the other, and then no more.
fn fetch(destination: &Path, answers: Vec<Answer>, sha256: Digest, size: Option<u64>) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    let port = server.port();
    let url = format!("http://me:secret@127.0.0.1:{port}/files/demo.whl?token=secret");
    let mut client = Client::new(&std::collections::BTreeMap::new()).unwrap();
    client.limits.pauses = vec![Duration::ZERO; 2];
    let heads = Mutex::new(Vec::new());
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                heads.lock().unwrap().push(serve(&stream, &answer));
            }
            drop(listener);
        });
        let result = download(&client, &url, destination, &sha256, size, &|_| {});
        // A server that still waits, because fewer requests came than it has answers for, fails instead.
        drop(TcpStream::connect(server));
        result
    });
    let heads = heads.into_inner().unwrap();
    Outcome {
        result,
        ranges: heads.iter().map(|head| range(head)).collect(),
        heads,
    }
}

/// Answers one request and returns its head.
fn serve(mut stream: &TcpStream, answer: &Answer) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let from = usize::try_from(range(&head).unwrap_or(0)).unwrap();
    let part = |from: usize| format!("206 Partial\r\ncontent-range: bytes {from}-999/1000");
    let (status, body, length) = match answer {
        Whole => ("200 OK".to_owned(), &FILE[..], 1000),
        Range if from == 0 => ("200 OK".to_owned(), &FILE[..], 1000),
        Range => (part(from), &FILE[from..], 1000 - from),
        BreakOff(n) => ("200 OK".to_owned(), &FILE[..*n], 1000),
        WrongRange => (part(from + 1), &FILE[from + 1..], 999 - from),
        Status(status) => (format!("{status} Nothing"), &[][..], 0),
        Moved(host) => {
            let here = stream.local_addr().unwrap().port();
            let there = format!("http://{host}:{here}/moved");
            (format!("302 Found\r\nlocation: {there}"), &[][..], 0)
        }
        Other => ("200 OK".to_owned(), &[b'y'; 1000][..], 1000),
    };
    let head_out =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // The client may hang up when it has enough.
    let _ = stream.write_all(head_out.as_bytes());
    let _ = stream.write_all(body);
    head
}

fn range(head: &str) -> Option<u64> {
    let line = head
        .lines()
        .find(|l| l.to_lowercase().starts_with("range:"))?;
    let (_, value) = line.split_once("bytes=").unwrap();
    value.trim_end_matches('-').parse().ok()
}

struct Place {
    _temporary: tempfile::TempDir,
    destination: std::path::PathBuf,
}

fn place() -> Place {
    let temporary = tempfile::tempdir().unwrap();
    let destination = temporary.path().join("archives/demo");
    Place {
        _temporary: temporary,
        destination,
    }
}

impl Place {
    fn names(&self) -> Vec<String> {
        files::names(self.destination.parent().unwrap()).unwrap()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        files::create_directories(self.destination.parent().unwrap()).unwrap();
        files::write(&self.destination.with_file_name(name), bytes).unwrap();
    }

    fn assert_whole(&self) {
        assert_eq!(files::read(&self.destination).unwrap(), FILE);
        assert_eq!(self.names(), ["demo"]);
    }
}

#[test]
fn a_file_comes_with_credentials_and_unencoded() {
    let place = place();
    let outcome = fetch(
        &place.destination,
        vec![Whole],
        Digest::of(FILE),
        Some(1000),
    );
    outcome.result.unwrap();
    place.assert_whole();
    let head = outcome.heads[0].to_lowercase();
    assert!(
        head.starts_with("get /files/demo.whl?token=secret http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("authorization: basic bwu6c2vjcmv0\r\n"),
        "{head}"
    );
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
}

#[test]
fn credentials_are_not_sent_to_another_host() {
    for (host, sent) in [("127.0.0.1", true), ("localhost", false)] {
        let place = place();
        let answers = vec![Moved(host), Whole];
        let outcome = fetch(&place.destination, answers, Digest::of(FILE), None);
        outcome.result.unwrap();
        place.assert_whole();
        let head = outcome.heads[1].to_lowercase();
        assert!(head.starts_with("get /moved http/1.1\r\n"), "{head}");
        assert_eq!(head.contains("authorization:"), sent, "{head}");
    }
}

#[test]
fn an_interrupted_download_continues() {
    let place = place();
    let answers = vec![BreakOff(300), Status(503), Range];
    let outcome = fetch(&place.destination, answers, Digest::of(FILE), Some(1000));
    outcome.result.unwrap();
    assert_eq!(outcome.ranges, [None, Some(300), Some(300)]);
    place.assert_whole();
}

#[test]
fn the_next_run_continues_too() {
    let place = place();
    let answers = vec![BreakOff(300), Status(500), Status(500)];
    let outcome = fetch(&place.destination, answers, Digest::of(FILE), Some(1000));
    assert!(matches!(
        outcome.result,
        Err(Error::Status { status: 500, .. })
    ));
    assert_eq!(place.names(), ["demo.part"]);
    let outcome = fetch(&place.destination, vec![Range], Digest::of(FILE), None);
    outcome.result.unwrap();
    assert_eq!(outcome.ranges, [Some(300)]);
    place.assert_whole();
}

#[test]
fn the_part_of_a_process_that_is_gone_is_taken_over_and_no_other() {
    let place = place();
    let us = maker();
    place.put(&format!("demo.part-{us}-abc"), &FILE[..400]);
    let mut parts: Vec<&str> = us.split('-').collect();
    parts[3] = "1";
    let gone = parts.join("-");
    place.put(&format!("demo.part-{gone}-abc"), &FILE[..500]);
    place.put("demolition.part", &FILE[..600]);
    let outcome = fetch(
        &place.destination,
        vec![Range],
        Digest::of(FILE),
        Some(1000),
    );
    outcome.result.unwrap();
    assert_eq!(outcome.ranges, [Some(500)]);
    let left = ["demo", &format!("demo.part-{us}-abc"), "demolition.part"];
    assert_eq!(place.names(), left);
}

fn maker() -> String {
    crate::files::maker::this_process()
}

#[test]
fn without_ranges_a_download_begins_again() {
    for answers in [
        vec![Whole],
        vec![Status(416), Whole],
        vec![WrongRange, Whole],
    ] {
        let place = place();
        place.put("demo.part", &FILE[..300]);
        let outcome = fetch(&place.destination, answers, Digest::of(FILE), Some(1000));
        outcome.result.unwrap();
        place.assert_whole();
    }
}

#[test]
fn a_damaged_part_is_removed_and_downloaded_again() {
    let place = place();
    place.put("demo.part", &[b'z'; 300]);
    let outcome = fetch(
        &place.destination,
        vec![Range, Range],
        Digest::of(FILE),
        Some(1000),
    );
    outcome.result.unwrap();
    assert_eq!(outcome.ranges, [Some(300), None]);
    place.assert_whole();
}

#[test]
fn a_part_that_is_whole_needs_no_request() {
    let place = place();
    place.put("demo.part", FILE);
    let outcome = fetch(&place.destination, vec![], Digest::of(FILE), Some(1000));
    outcome.result.unwrap();
    place.assert_whole();
}

#[test]
fn the_wrong_file_is_removed_and_named() {
    let place = place();
    let outcome = fetch(
        &place.destination,
        vec![Other],
        Digest::of(FILE),
        Some(1000),
    );
    let error = outcome.result.unwrap_err();
    let (got, expected) = (Digest::of([b'y'; 1000]), Digest::of(FILE));
    let message = error.to_string();
    assert!(message.starts_with("`http://127.0.0.1:"), "{message}");
    assert!(
        message.ends_with(&format!(
            "/files/demo.whl` has the sha256 {got}, but {expected} is expected"
        )),
        "{message}"
    );
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_too_long_is_removed() {
    let place = place();
    let outcome = fetch(&place.destination, vec![Whole], Digest::of(FILE), Some(900));
    let error = outcome.result.unwrap_err();
    assert!(
        matches!(error, Error::Size { expected: 900, .. }),
        "{error}"
    );
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn a_missing_file_is_requested_once() {
    let place = place();
    let outcome = fetch(
        &place.destination,
        vec![Status(404)],
        Digest::of(FILE),
        None,
    );
    let message = outcome.result.unwrap_err().to_string();
    assert!(
        message.starts_with("the server answers with status 404 for `http://127.0.0.1:"),
        "{message}"
    );
    assert!(!message.contains("secret"), "{message}");
    assert_eq!(outcome.ranges, [None]);
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn a_server_that_is_gone_is_named() {
    let place = place();
    let outcome = fetch(
        &place.destination,
        vec![BreakOff(10)],
        Digest::of(FILE),
        Some(1000),
    );
    let message = outcome.result.unwrap_err().to_string();
    assert!(message.starts_with("cannot reach `127.0.0.1:"), "{message}");
    assert!(message.ends_with("` to download `demo.whl`"), "{message}");
    assert_eq!(place.names(), ["demo.part"]);
}

#[test]
fn a_file_of_this_machine_is_copied_and_verified() {
    let place = place();
    place.put("original file", FILE);
    let original = place.destination.with_file_name("original%20file");
    let url = format!("file://{}", original.display());
    let client = Client::new(&std::collections::BTreeMap::new()).unwrap();
    let reported = Mutex::new(Vec::new());
    let on_progress = |bytes| reported.lock().unwrap().push(bytes);
    let get = |sha256: Digest, size| {
        download(
            &client,
            &url,
            &place.destination,
            &sha256,
            size,
            &on_progress,
        )
    };
    get(Digest::of(FILE), Some(1000)).unwrap();
    assert_eq!(files::read(&place.destination).unwrap(), FILE);
    assert_eq!(reported.lock().unwrap().last(), Some(&1000));
    assert!(matches!(
        get(Digest::of(""), None),
        Err(Error::Digest { .. })
    ));
    let short = get(Digest::of(FILE), Some(1001));
    assert!(
        matches!(short, Err(Error::Size { got: 1000, .. })),
        "{short:?}"
    );
    assert_eq!(place.names(), ["demo", "original file"]);
}
