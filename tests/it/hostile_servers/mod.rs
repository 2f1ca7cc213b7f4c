//! Servers that must not be believed: of weights, of the Hugging Face Hub, of packages. A table each, one line a case,
//! through the real program and with little memory. Whatever they send, the program ends in a stated time with the right
//! exit code, publishes no wrong file, writes nothing outside, and sends no credentials to another server.

mod hub;
mod index;
mod interpreters;
mod weights;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::scripted::Scripted;
use crate::sandbox::{Output, Sandbox};

/// What becomes of a case.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The file is taken.
    Taken,
    /// Another file is taken for it: nothing could detect that.
    Believed,
    /// The program ends with exit code 1 and this message.
    Refused(&'static str),
}
use Then::{Believed, Refused, Taken};

/// A password for one server.
const SECRET: &str = "s3cr3t-w0rd";

/// Limits that end within seconds; a fast server stays within them on a busy machine too, because only bytes that it does not
/// send for a whole second count against it.
const IMPATIENT: [(&str, &str); 3] = [
    ("ROOTSTOCK_HTTP_TIMEOUT", "1"),
    ("ROOTSTOCK_HTTP_MIN_RATE", "1024"),
    ("ROOTSTOCK_HTTP_MAX_SIZE", "1000000"),
];

/// Runs the program with so many KiB of address space.
fn limited(sandbox: &Sandbox, memory: u32, arguments: &str, more: &[(&str, &str)]) -> Output {
    let mut command = Command::new("/bin/sh");
    let line = format!("ulimit -v {memory}; exec \"$0\" {arguments}");
    command.args(["-c", &line, env!("CARGO_BIN_EXE_rootstock")]);
    sandbox.set_up(&mut command);
    command.envs(IMPATIENT).envs(more.iter().copied());
    command.env("NO_PROXY", "127.0.0.1,localhost");
    Output::from(command.stdin(Stdio::null()).output().unwrap())
}

/// A server to which others redirect: it has every file of the table.
fn elsewhere(file: &'static [u8]) -> Scripted {
    Scripted::start(move |_, connection| connection.reply("200 OK", "", file))
}

/// What is wrong with how the program ended, if anything.
fn wrong(output: &Output, then: Then) -> Option<String> {
    let (code, message) = match then {
        Taken | Believed => (0, ""),
        Refused(message) => (1, message),
    };
    let text = output.message();
    let right = output.code == Some(code) && text.contains(message) && !text.contains(SECRET);
    (!right).then(|| {
        format!(
            "should be {code} with {message:?}: {:?}, {text}",
            output.code
        )
    })
}

/// Whether no request to this server had credentials.
fn is_anonymous(server: &Scripted) -> bool {
    let requests = server.requests();
    !requests.iter().any(|request| {
        request.headers.contains_key("authorization") || format!("{request:?}").contains(SECRET)
    })
}

/// Every file below a directory, with its size.
fn files_below(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(entries) = fs::read_dir(&path) else {
            continue;
        };
        for entry in entries.map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                found.insert(entry.path(), metadata.len());
            }
        }
    }
    found
}
