//! Events that a test waits for: a program of its own has started, all who hold a pipe have ended, a directory has changed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::inotify;

/// A named pipe. A program of the test writes a line to it when it has started, and keeps it open as long as it runs,
/// as do the processes that inherit it.
pub(crate) struct Lifeline(PathBuf);

impl Lifeline {
    pub(crate) fn at(path: PathBuf) -> Self {
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        Self(path)
    }

    /// Waits until a program has written its line.
    pub(crate) fn wait_for_start(&self) -> Started {
        let mut pipe = BufReader::new(File::open(&self.0).unwrap());
        pipe.read_line(&mut String::new()).unwrap();
        Started(pipe)
    }
}

/// The reading end of a `Lifeline` whose program has started.
pub(crate) struct Started(BufReader<File>);

impl Started {
    /// Waits until no process has the pipe open any more.
    pub(crate) fn wait_for_end(mut self) {
        self.0.read_to_end(&mut Vec::new()).unwrap();
    }
}

/// A directory whose changes are reported by the system.
pub(crate) struct Watched(OwnedFd);

impl Watched {
    /// Watches a directory, which must exist.
    pub(crate) fn new(directory: &Path) -> Self {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        let changes = inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, directory, changes).unwrap();
        Self(watch)
    }

    /// Waits until this holds; it is looked at again after each change.
    pub(crate) fn wait_until(&self, holds: impl Fn() -> bool) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        while !holds() {
            events.next().unwrap();
        }
    }
}
