//! A server of weight files on this machine, which can also answer as the Hugging Face Hub does; with the faults a test
//! asks for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rootstock::digest::Digest;
use serde_json::json;

/// A running server; stopped when dropped.
pub(crate) struct Remote {
    port: u16,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Plain files, by path.
    files: HashMap<String, Vec<u8>>,
    /// By repository and commit, its files.
    commits: BTreeMap<(String, String), BTreeMap<String, Vec<u8>>>,
    /// By repository and branch or tag, its commit.
    revisions: HashMap<(String, String), String>,
    /// By repository, the token it wants.
    gated: HashMap<String, String>,
    /// Files of which once only so many bytes are sent.
    cut: HashMap<String, usize>,
    /// Files that are asked for and not sent.
    held: HashSet<String>,
    /// Every request: path, then the headers that matter.
    asked: Vec<String>,
    stopped: bool,
}

/// What is answered.
struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    /// How much of the body is sent before the connection ends.
    sent: usize,
}

impl Remote {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let server = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for stream in listener.incoming() {
                    if inner.state.lock().unwrap().stopped {
                        break;
                    }
                    let inner = &inner;
                    // A client that was killed is no fault of the server.
                    scope.spawn(move || stream.is_ok_and(|stream| serve(stream, inner).is_ok()));
                }
            });
        });
        Self {
            port,
            shared,
            server: Some(server),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Serves a file at a path: `/a.bin`.
    pub(crate) fn add(&self, path: &str, bytes: &[u8]) {
        let mut state = self.shared.state.lock().unwrap();
        state.files.insert(path.into(), bytes.into());
    }

    /// Adds a commit with one more file to a repository of the hub, and lets branches or tags mean it.
    pub(crate) fn commit(
        &self,
        repository: &str,
        commit: &str,
        revisions: &[&str],
        file: (&str, &[u8]),
    ) {
        let mut state = self.shared.state.lock().unwrap();
        let key = (repository.to_owned(), commit.to_owned());
        let files = state.commits.entry(key).or_default();
        files.insert(file.0.into(), file.1.into());
        for revision in revisions {
            let key = (repository.to_owned(), (*revision).to_owned());
            state.revisions.insert(key, commit.into());
        }
    }

    /// Hides a repository from requests without this token.
    pub(crate) fn gate(&self, repository: &str, token: &str) {
        let mut state = self.shared.state.lock().unwrap();
        state.gated.insert(repository.into(), token.into());
    }

    /// Ends the next answer with this file after so many bytes.
    pub(crate) fn cut(&self, path: &str, after: usize) {
        self.shared
            .state
            .lock()
            .unwrap()
            .cut
            .insert(path.into(), after);
    }

    /// Does not send this file until it is released.
    pub(crate) fn hold(&self, path: &str) {
        self.shared.state.lock().unwrap().held.insert(path.into());
    }

    /// Sends all files from now on.
    pub(crate) fn release(&self) {
        self.shared.state.lock().unwrap().held.clear();
        self.shared.changed.notify_all();
    }

    /// Waits until a file has been asked for.
    pub(crate) fn wait_for(&self, path: &str) {
        let state = self.shared.state.lock().unwrap();
        let waits = |state: &mut State| !state.asked.iter().any(|asked| asked.starts_with(path));
        drop(self.shared.changed.wait_while(state, waits).unwrap());
    }

    /// Every request since the last time this was asked: `/a.bin`, `/a.bin range=bytes=3- authorization=Bearer x`.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state.lock().unwrap().asked)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().stopped = true;
        self.release();
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let Answer {
        status,
        headers,
        body,
        sent,
    } = answer(&path, &headers, shared);
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body[..sent.min(body.len())])?;
    stream.flush()
}

fn plain(status: &'static str, headers: &str, body: Vec<u8>) -> Answer {
    Answer {
        status,
        headers: headers.to_owned(),
        sent: body.len(),
        body,
    }
}

fn answer(path: &str, headers: &HashMap<String, String>, shared: &Shared) -> Answer {
    let mut state = shared.state.lock().unwrap();
    let mut asked = path.to_owned();
    for name in ["range", "authorization"] {
        if let Some(value) = headers.get(name) {
            write!(asked, " {name}={value}").unwrap();
        }
    }
    state.asked.push(asked);
    shared.changed.notify_all();
    let mut state = shared
        .changed
        .wait_while(state, |state| state.held.contains(path))
        .unwrap();
    let bytes = match state.files.get(path) {
        Some(bytes) => bytes.clone(),
        None => match as_hub(path, headers, &mut state) {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        },
    };
    let from = headers.get("range").and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    let sent = state.cut.remove(path).unwrap_or(bytes.len());
    match from {
        Some(from) if from >= bytes.len() => plain("416 Range Not Satisfiable", "", Vec::new()),
        Some(from) => Answer {
            status: "206 Partial Content",
            headers: format!(
                "Content-Range: bytes {from}-{}/{}\r\n",
                bytes.len() - 1,
                bytes.len()
            ),
            body: bytes[from..].to_vec(),
            sent,
        },
        None => Answer {
            status: "200 OK",
            headers: String::new(),
            body: bytes,
            sent,
        },
    }
}

/// A file of a repository; or, as the hub does, what it is, where it is, or why it is not shown.
fn as_hub(
    path: &str,
    headers: &HashMap<String, String>,
    state: &mut State,
) -> Result<Vec<u8>, Answer> {
    let not_found = || plain("404 Not Found", "", Vec::new());
    let (repository, rest) = match path.strip_prefix("/api/models/") {
        Some(rest) => rest.split_once("/revision/"),
        None => path[1..].split_once("/resolve/"),
    }
    .ok_or_else(not_found)?;
    let token = state.gated.get(repository);
    let wanted = token.map(|token| format!("Bearer {token}"));
    if wanted.is_some() && headers.get("authorization") != wanted.as_ref() {
        return Err(plain(
            "401 Unauthorized",
            "X-Error-Code: GatedRepo\r\n",
            Vec::new(),
        ));
    }
    let (revision, name) = rest.split_once(['/', '?']).ok_or_else(not_found)?;
    let key = (repository.to_owned(), revision.replace("%2F", "/"));
    let commit = state.revisions.get(&key).unwrap_or(&key.1).clone();
    let files = state.commits.get(&(key.0, commit.clone()));
    let files = files.ok_or_else(not_found)?;
    if path.starts_with("/api/") {
        let siblings: Vec<_> = files
            .iter()
            .map(|(name, bytes)| sibling(name, bytes))
            .collect();
        let gated = wanted.is_some();
        let text = json!({ "id": repository, "sha": commit, "gated": gated, "siblings": siblings });
        let kind = "Content-Type: application/json\r\n";
        return Err(plain("200 OK", kind, text.to_string().into_bytes()));
    }
    let bytes = files.get(name).ok_or_else(not_found)?.clone();
    if !is_large(name) {
        return Ok(bytes);
    }
    // Large files lie elsewhere, at an address that needs no token.
    let elsewhere = format!("/cdn/{}", Digest::of(&bytes));
    state.files.insert(elsewhere.clone(), bytes);
    let host = headers["host"].replace("127.0.0.1", "localhost");
    let location = format!("Location: http://{host}{elsewhere}\r\n");
    Err(plain("302 Found", &location, Vec::new()))
}

/// As the hub decides: by the kind of file.
fn is_large(name: &str) -> bool {
    name != "config.json"
}

/// A file as the hub's API describes it.
fn sibling(name: &str, bytes: &[u8]) -> serde_json::Value {
    let mut sibling = json!({ "rfilename": name, "size": bytes.len(), "blobId": "0".repeat(40) });
    if is_large(name) {
        sibling["lfs"] =
            json!({ "sha256": Digest::of(bytes), "size": bytes.len(), "pointerSize": 134 });
    }
    sibling
}
