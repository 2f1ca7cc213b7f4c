//! `claims/<env>@<id>.json`: who is building a generation at this moment, for people to read and for others not to do the same
//! work. Nothing depends on it: a claim that cannot be read, written or removed is none.
//!
//! ```json
//! {"schema": 1, "environment": "mace", "id": "…", "user": "alice", "host": "login03", "process": 4711,
//!  "maker": "…", "since": "2026-11-22T12:00:00Z", "beat": 17}
//! ```
//!
//! `beat` counts up while the builder lives. A process that waits watches whether it changes, by its own clock: the clocks of two
//! hosts are never compared. `since` is the filesystem's time, for people only.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Root;
use crate::files::{self, maker, ownership, times};
use crate::name::EnvironmentName;

/// The schema this version writes and reads.
pub(crate) const SCHEMA: u32 = 1;

/// A builder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Version of this format.
    pub schema: u32,
    /// What is built.
    pub environment: EnvironmentName,
    /// Which generation of it.
    pub id: String,
    /// The user that builds.
    pub user: String,
    /// The host's name.
    pub host: String,
    /// The number of the process there.
    pub process: u32,
    /// The name of the process, see [`maker`].
    pub maker: String,
    /// Since when.
    pub since: String,
    /// Counts up while the builder lives.
    pub beat: u64,
}

/// How a builder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Builder {
    /// It lives on this host.
    Lives,
    /// It is certainly gone.
    Gone,
    /// It cannot be seen from here.
    Unseen,
}

impl Claim {
    /// A claim of this process.
    pub(crate) fn ours(root: &Root, environment: &EnvironmentName, id: &str) -> Self {
        let since = times::now(root.path()).map(times::text);
        Self {
            schema: SCHEMA,
            environment: environment.clone(),
            id: id.to_owned(),
            user: ownership::user_name(ownership::effective_uid()),
            host: maker::host(),
            process: std::process::id(),
            maker: maker::this_process(),
            since: since.unwrap_or_default(),
            beat: 0,
        }
    }

    fn path(&self, root: &Root) -> PathBuf {
        path(root, &self.environment, &self.id)
    }

    fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a claim has only plain fields");
        text.push('\n');
        text
    }

    /// Creates the claim; returns the existing one if another process was first. One that cannot be read is replaced.
    pub(crate) fn take(&self, root: &Root) -> Option<Claim> {
        let path = self.path(root);
        let taken = files::create_directories(&root.claims())
            .and_then(|()| files::write_new(&path, self.text().as_bytes()));
        // Where it cannot be written no process waits for this one, and that is all.
        if taken.unwrap_or(true) {
            return None;
        }
        let there = read(root, &self.environment, &self.id);
        if there.is_none() {
            self.put(root);
        }
        there
    }

    /// Replaces what is there: the claim of a process that is gone, or an earlier beat.
    pub(crate) fn put(&self, root: &Root) {
        let _ = files::write_atomically(&self.path(root), self.text().as_bytes());
    }

    /// Takes it away, if it is still ours.
    pub(crate) fn give_up(&self, root: &Root) {
        let there = read(root, &self.environment, &self.id);
        if there.is_some_and(|there| there.maker == self.maker) {
            let _ = files::remove_if_present(&self.path(root));
        }
    }

    /// How its builder is, as far as that can be seen from here.
    pub(crate) fn builder(&self) -> Builder {
        if maker::is_gone(&self.maker) {
            Builder::Gone
        } else if maker::is_here(&self.maker) {
            Builder::Lives
        } else {
            Builder::Unseen
        }
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            user,
            host,
            process,
            since,
            ..
        } = self;
        write!(out, "{user} on {host} (process {process}) since {since}")
    }
}

fn path(root: &Root, environment: &EnvironmentName, id: &str) -> PathBuf {
    root.claims().join(format!("{environment}@{id}.json"))
}

/// The claim on a generation.
pub(crate) fn read(root: &Root, environment: &EnvironmentName, id: &str) -> Option<Claim> {
    parse(&path(root, environment, id))
}

/// All claims of a root.
pub(crate) fn all(root: &Root) -> Vec<Claim> {
    let directory = root.claims();
    let names = files::names(&directory).unwrap_or_default().into_iter();
    names
        .filter_map(|name| parse(&directory.join(name)))
        .collect()
}

/// The claim in this file; `None` if it cannot be read.
pub(crate) fn parse(path: &std::path::Path) -> Option<Claim> {
    let text = files::read_text(path).ok()?;
    let claim: Claim = strict_json::from_str(&text).ok()?;
    (claim.schema == SCHEMA).then_some(claim)
}
