//! A package index on this machine (PEP 691), with the faults a test asks for.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use base64::Engine;
use rootstock::digest::Digest;
use serde_json::json;

use super::{Sdist, Wheel};

/// A running index; stopped when dropped.
pub(crate) struct Index {
    port: u16,
    shelves: Arc<Shelves>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shelves {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By package name, the files with their bytes and metadata.
    packages: BTreeMap<String, Vec<(String, Vec<u8>, String)>>,
    /// Other things to fetch, by path.
    others: BTreeMap<String, Vec<u8>>,
    /// The digests that are given of a file, where they are not its sha256.
    claims: HashMap<String, serde_json::Value>,
    /// What is sent instead of a file.
    replaced: HashMap<String, Vec<u8>>,
    /// Files that are asked for and not sent.
    held: Vec<String>,
    /// Files of which only the first half is sent.
    halved: Vec<String>,
    /// Files of which the first half is sent, and then no more.
    cut: Vec<String>,
    /// Those of them that were sent so far.
    half_sent: Vec<String>,
    /// Every wheel, and every other thing, that was asked for, in order.
    asked: Vec<String>,
    /// What a request must say in `Authorization`, and the answers that were refused for want of it.
    guard: Option<String>,
    /// Files that are yanked, each with the reason.
    yanked: BTreeMap<String, String>,
    /// Whether pages are HTML, which has neither sizes nor upload times.
    html: bool,
    stopped: bool,
}

impl Index {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelves = Arc::new(Shelves::default());
        let shared = Arc::clone(&shelves);
        let server = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for stream in listener.incoming() {
                    if shared.state.lock().unwrap().stopped {
                        break;
                    }
                    let shared = &shared;
                    // A client that was killed is no fault of the index.
                    scope.spawn(move || {
                        stream.is_ok_and(|stream| serve(stream, shared, port).is_ok())
                    });
                }
            });
        });
        Self {
            port,
            shelves,
            server: Some(server),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/simple/", self.port)
    }

    pub(crate) fn add(&self, wheel: &Wheel) {
        let mut state = self.shelves.state.lock().unwrap();
        let files = state
            .packages
            .entry(wheel.name.replace('_', "-"))
            .or_default();
        files.push((wheel.file_name(), wheel.bytes(), wheel.metadata()));
    }

    /// Adds a file of this package as it is. Its metadata are the name alone.
    pub(crate) fn add_raw(&self, package: &str, file: &str, bytes: Vec<u8>) {
        let metadata = format!("Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n");
        let mut state = self.shelves.state.lock().unwrap();
        let files = state.packages.entry(package.into()).or_default();
        files.push((file.into(), bytes, metadata));
    }

    /// Has these bytes at a path of its own, and returns the address.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> String {
        let mut state = self.shelves.state.lock().unwrap();
        state.others.insert(path.into(), bytes.into());
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Marks a file as yanked (PEP 592).
    pub(crate) fn yank(&self, file: &str, reason: &str) {
        let mut state = self.shelves.state.lock().unwrap();
        state.yanked.insert(file.into(), reason.into());
    }

    /// Speaks HTML (PEP 503) from now on: no sizes, no upload times.
    pub(crate) fn speak_html(&self) {
        self.shelves.state.lock().unwrap().html = true;
    }

    /// Gives nothing to who does not say this name and password.
    pub(crate) fn guard(&self, name: &str, password: &str) {
        let output = base64::prelude::BASE64_STANDARD.encode(format!("{name}:{password}"));
        self.shelves.state.lock().unwrap().guard = Some(format!("Basic {output}"));
    }

    /// Adds a source distribution.
    pub(crate) fn add_sdist(&self, sdist: &Sdist) {
        let mut state = self.shelves.state.lock().unwrap();
        let files = state
            .packages
            .entry(sdist.name.replace('_', "-"))
            .or_default();
        files.push((sdist.file_name(), sdist.bytes(), String::new()));
    }

    /// Has these bytes as a file that was added, with their own digest.
    pub(crate) fn exchange(&self, file: &str, bytes: Vec<u8>) {
        let mut state = self.shelves.state.lock().unwrap();
        let mut files = state.packages.values_mut().flatten();
        files.find(|(name, ..)| name == file).unwrap().1 = bytes;
    }

    /// The address of a file that was added.
    pub(crate) fn address(&self, file: &str) -> String {
        format!("http://127.0.0.1:{}/files/{file}", self.port)
    }

    /// Gives these digests of a file, by algorithm, instead of its sha256.
    pub(crate) fn claim(&self, file: &str, digests: serde_json::Value) {
        let mut state = self.shelves.state.lock().unwrap();
        state.claims.insert(file.into(), digests);
    }

    /// Forgets all files of a package.
    pub(crate) fn remove(&self, package: &str) {
        self.shelves.state.lock().unwrap().packages.remove(package);
    }

    /// Sends these bytes instead of a file from now on.
    pub(crate) fn replace(&self, file: &str, bytes: &[u8]) {
        let mut state = self.shelves.state.lock().unwrap();
        state.replaced.insert(file.into(), bytes.into());
    }

    /// Sends what belongs to the file again.
    pub(crate) fn restore(&self, file: &str) {
        self.shelves.state.lock().unwrap().replaced.remove(file);
    }

    /// Does not send this file until it is released.
    pub(crate) fn hold(&self, file: &str) {
        self.shelves.state.lock().unwrap().held.push(file.into());
    }

    /// Sends the first half of this file, and the second when it is released.
    pub(crate) fn stall(&self, file: &str) {
        self.shelves.state.lock().unwrap().halved.push(file.into());
    }

    /// Sends the first half of this file and hangs up, until it is released.
    pub(crate) fn cut(&self, file: &str) {
        self.shelves.state.lock().unwrap().cut.push(file.into());
    }

    /// Waits until the first half of a file was sent.
    pub(crate) fn wait_for_half(&self, file: &str) {
        let state = self.shelves.state.lock().unwrap();
        let missing = |state: &mut State| !state.half_sent.iter().any(|sent| sent == file);
        drop(self.shelves.changed.wait_while(state, missing).unwrap());
    }

    /// Sends all files from now on.
    pub(crate) fn release(&self) {
        let mut state = self.shelves.state.lock().unwrap();
        state.held.clear();
        state.halved.clear();
        state.cut.clear();
        drop(state);
        self.shelves.changed.notify_all();
    }

    /// Waits until a file has been asked for.
    pub(crate) fn wait_for(&self, file: &str) {
        let state = self.shelves.state.lock().unwrap();
        let asked = |state: &mut State| !state.asked.iter().any(|asked| asked == file);
        drop(self.shelves.changed.wait_while(state, asked).unwrap());
    }

    /// Every wheel, and every other thing, that was asked for so far, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.shelves.state.lock().unwrap().asked.clone();
        asked.sort();
        asked
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.shelves.state.lock().unwrap().stopped = true;
        self.release();
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn serve(mut stream: TcpStream, shelves: &Shelves, port: u16) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut output = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            output = Some(value.trim().to_owned());
        }
    }
    let guard = shelves.state.lock().unwrap().guard.clone();
    if guard.is_some() && guard != output {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(refusal.as_bytes())?;
        return stream.flush();
    }
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, kind, body) = answer(&path, shelves, port);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if request.starts_with("HEAD") {
        return stream.flush();
    }
    let file = path.strip_prefix("/files/").unwrap_or_default();
    let halved = |state: &mut State| state.halved.iter().any(|halved| halved == file);
    let mut rest = &body[..];
    if shelves
        .state
        .lock()
        .unwrap()
        .cut
        .iter()
        .any(|cut| cut == file)
    {
        stream.write_all(&body[..body.len() / 2])?;
        return stream.flush();
    }
    if halved(&mut shelves.state.lock().unwrap()) {
        let (half, other) = body.split_at(body.len() / 2);
        stream.write_all(half)?;
        stream.flush()?;
        rest = other;
        let mut state = shelves.state.lock().unwrap();
        state.half_sent.push(file.to_owned());
        shelves.changed.notify_all();
        drop(shelves.changed.wait_while(state, halved).unwrap());
    }
    stream.write_all(rest)?;
    stream.flush()
}

/// What a wheel's metadata says about Python.
fn requires_python(metadata: &str) -> Option<&str> {
    metadata
        .lines()
        .find_map(|line| line.strip_prefix("Requires-Python: "))
}

/// The page of a package as PEP 503 has it.
fn html(files: &[(String, Vec<u8>, String)], yanked: &BTreeMap<String, String>) -> String {
    let link = |(file, bytes, metadata): &(String, Vec<u8>, String)| {
        let digest = Digest::of(bytes);
        let escaped = |text: &str| text.replace('<', "&lt;").replace('>', "&gt;");
        let yanked = yanked.get(file);
        let yanked = yanked.map(|reason| format!(" data-yanked=\"{}\"", escaped(reason)));
        let requires = requires_python(metadata);
        let requires = requires.map(|text| format!(" data-requires-python=\"{}\"", escaped(text)));
        format!(
            "<a href=\"/files/{file}#sha256={digest}\"{}{}>{file}</a><br/>\n",
            yanked.unwrap_or_default(),
            requires.unwrap_or_default()
        )
    };
    let links: String = files.iter().map(link).collect();
    format!("<!DOCTYPE html>\n<html><body>\n{links}</body></html>\n")
}

fn answer(path: &str, shelves: &Shelves, port: u16) -> (&'static str, &'static str, Vec<u8>) {
    const JSON: &str = "application/vnd.pypi.simple.v1+json";
    const NOT_FOUND: (&str, &str, Vec<u8>) = ("404 Not Found", "text/plain", Vec::new());
    let mut state = shelves.state.lock().unwrap();
    if let Some(name) = path.strip_prefix("/simple/") {
        let Some(files) = state.packages.get(name.trim_end_matches('/')) else {
            return NOT_FOUND;
        };
        if state.html {
            return (
                "200 OK",
                "text/html",
                html(files, &state.yanked).into_bytes(),
            );
        }
        let files: Vec<_> = files
            .iter()
            .map(|(file, bytes, metadata)| {
                let mut entry = json!({
                    "filename": file,
                    "url": format!("http://127.0.0.1:{port}/files/{file}"),
                    "hashes": { "sha256": Digest::of(bytes) },
                    "size": bytes.len(),
                    "upload-time": "2026-01-01T00:00:00Z",
                });
                if let Some(reason) = state.yanked.get(file) {
                    entry["yanked"] = json!(reason);
                }
                if let Some(requires) = requires_python(metadata) {
                    entry["requires-python"] = json!(requires);
                }
                if let Some(digests) = state.claims.get(file) {
                    entry["hashes"] = digests.clone();
                }
                if !metadata.is_empty() {
                    entry["core-metadata"] = json!({ "sha256": Digest::of(metadata) });
                }
                entry
            })
            .collect();
        let page = json!({ "meta": { "api-version": "1.1" }, "name": name, "versions": [], "files": files });
        return ("200 OK", JSON, page.to_string().into_bytes());
    }
    let Some(file) = path.strip_prefix("/files/") else {
        let path = path.trim_start_matches('/');
        state.asked.push(path.to_owned());
        let found = state.others.get(path).cloned();
        return found.map_or(NOT_FOUND, |bytes| {
            ("200 OK", "application/octet-stream", bytes)
        });
    };
    let find = |state: &State, name: &str| {
        let files = state.packages.values().flatten();
        files.clone().find(|(file, ..)| file == name).cloned()
    };
    if let Some(wheel) = file.strip_suffix(".metadata") {
        return match find(&state, wheel) {
            Some((.., metadata)) => ("200 OK", "text/plain", metadata.into_bytes()),
            None => NOT_FOUND,
        };
    }
    state.asked.push(file.to_owned());
    shelves.changed.notify_all();
    let held = |state: &mut State| state.held.iter().any(|held| held == file);
    let state = shelves.changed.wait_while(state, held).unwrap();
    match (state.replaced.get(file), find(&state, file)) {
        (Some(bytes), _) => ("200 OK", "application/zip", bytes.clone()),
        (None, Some((_, bytes, _))) => ("200 OK", "application/zip", bytes),
        (None, None) => NOT_FOUND,
    }
}
