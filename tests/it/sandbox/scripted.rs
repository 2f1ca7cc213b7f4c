//! A server that answers byte for byte as a test says, also what no library for servers would send.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running server; stopped when dropped.
pub(crate) struct Scripted {
    port: u16,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// By their names in small letters.
    pub(crate) headers: HashMap<String, String>,
    /// How many requests for this path came before.
    pub(crate) earlier: usize,
}

/// What answers a request.
pub(crate) type Script = dyn Fn(&Request, &mut Connection) -> io::Result<()> + Send + Sync;

/// A connection on which a request came.
pub(crate) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Scripted {
    pub(crate) fn start(
        script: impl Fn(&Request, &mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let server = std::thread::spawn(move || {
            let script: &Script = &script;
            std::thread::scope(|scope| {
                for stream in listener.incoming() {
                    if *inner.stopped.lock().unwrap() {
                        break;
                    }
                    let shared = Arc::clone(&inner);
                    // A client that hangs up is no fault of the server.
                    scope.spawn(move || stream.is_ok_and(|s| serve(s, shared, script).is_ok()));
                }
            });
        });
        Self {
            port,
            shared,
            server: Some(server),
        }
    }

    /// Its address without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// All requests since the last time this was asked.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        *self.shared.stopped.lock().unwrap() = true;
        self.shared.stop.notify_all();
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn serve(stream: TcpStream, shared: Arc<Shared>, script: &Script) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut requests = shared.requests.lock().unwrap();
    let earlier = requests.iter().filter(|r| r.path == path).count();
    let request = Request {
        path,
        headers,
        earlier,
    };
    requests.push(request.clone());
    drop(requests);
    script(&request, &mut Connection { stream, shared })
}

impl Request {
    /// The first byte that is asked for, if not all are.
    pub(crate) fn from(&self) -> Option<usize> {
        let range = self.headers.get("range")?;
        range
            .strip_prefix("bytes=")?
            .trim_end_matches('-')
            .parse()
            .ok()
    }
}

impl Connection {
    /// Sends these bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        if *self.shared.stopped.lock().unwrap() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a response with these lines of headers.
    pub(crate) fn reply(&mut self, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        ))?;
        self.send(body)
    }

    /// Sends these bytes one after another, ten in a second.
    pub(crate) fn drip(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.iter().try_for_each(|byte| {
            self.send([*byte])?;
            self.wait(Duration::from_millis(100));
            Ok(())
        })
    }

    /// Sends this again and again, as fast as it is read.
    pub(crate) fn repeat(&mut self, bytes: &[u8]) -> io::Result<()> {
        let many = bytes.repeat((1 << 16) / bytes.len() + 1);
        loop {
            self.send(&many)?;
        }
    }

    /// Sends nothing more, but does not hang up.
    ///
    /// # Errors
    ///
    /// None: it returns what an answer of the tables returns.
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        self.wait(Duration::from_secs(3600));
        Ok(())
    }

    /// Waits so long, or until the test is over.
    fn wait(&self, time: Duration) {
        let stopped = self.shared.stopped.lock().unwrap();
        let waits = |stopped: &mut bool| !*stopped;
        drop(self.shared.stop.wait_timeout_while(stopped, time, waits));
    }
}
