//! The Hugging Face Hub: addresses of its files, what a revision means there, and where its own library looks for a file
//! in a cache. Downloads no file.
//!
//! A file is addressed as that library's own paths are, with the revision always written:
//! `hf://facebook/UMA@main/checkpoints/uma-s-1.pt`. A revision is a branch, a tag or a commit; what is built on is a
//! commit.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::digest::Digest;
use crate::fetch::{self, Client};
use crate::percent::{encode_path, encode_segment};

mod layout;

pub(crate) use layout::references_of;

/// How the addresses begin.
pub(crate) const SCHEME: &str = "hf://";

/// The hub itself; a mirror takes its place.
pub(crate) const ENDPOINT: &str = "https://huggingface.co";

/// No answer about a repository is longer: that of a hundred thousand files has half of it.
const LONGEST_ANSWER: u64 = 32 << 20;

/// A file of a repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    repository: String,
    revision: String,
    path: String,
}

/// A text is not the address of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAFile(String);

impl FromStr for File {
    type Err = NotAFile;

    fn from_str(text: &str) -> Result<Self, NotAFile> {
        let wrong = |what: &str| NotAFile(what.to_owned());
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| wrong("it does not begin with `hf://`"))?;
        let (repository, rest) = rest
            .split_once('@')
            .ok_or_else(|| wrong("it has no revision"))?;
        let (revision, path) = rest
            .split_once('/')
            .ok_or_else(|| wrong("it names no file of the repository"))?;
        // The library writes the slash of `refs/pr/1` like this, because a file follows.
        let revision = revision.replace("%2F", "/");
        let is_word = |word: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !word.is_empty()
                && !word.contains("..")
                && !word.contains("--")
                && word.chars().all(allowed)
        };
        let words: Vec<&str> = repository.split('/').collect();
        if words.len() > 2 || !words.into_iter().all(is_word) {
            return Err(wrong("its repository is not `organisation/name`"));
        }
        let is_plain = |path: &str| {
            let odd =
                |c: char| c.is_control() || c.is_whitespace() || "\\?#\";&|<>$`'*{}!".contains(c);
            let plain = |part: &str| !matches!(part, "" | "." | "..");
            !path.contains(odd) && path.split('/').all(plain)
        };
        if !is_plain(&revision) {
            return Err(wrong("its revision is not a branch, a tag or a commit"));
        }
        if !is_plain(path) {
            return Err(wrong("its file is not a path in the repository"));
        }
        Ok(Self {
            repository: repository.to_owned(),
            revision,
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for File {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = self.revision.replace('/', "%2F");
        write!(out, "{SCHEME}{}@{revision}/{}", self.repository, self.path)
    }
}

/// Whether a revision is a commit, which means the same for ever.
pub(crate) fn is_commit(revision: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    revision.len() == 40 && revision.bytes().all(digit)
}

impl File {
    /// Its repository: `organisation/name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Its revision, as it was written.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The commit, if its revision is one.
    pub fn commit(&self) -> Option<&str> {
        Some(self.revision.as_str()).filter(|revision| is_commit(revision))
    }

    /// The same file at a commit.
    #[must_use]
    pub fn at(&self, commit: &str) -> Self {
        Self {
            revision: commit.to_owned(),
            ..self.clone()
        }
    }
}

/// A file as the hub knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The commit that the revision means now.
    pub commit: String,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its digest, which the hub knows of large files (Git LFS).
    pub sha256: Option<Digest>,
}

/// A file could not be looked up on the hub.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It requires a token, or does not have the repository: its answers to both are the same.
    #[error("the hub does not show `{repository}` (status {status})")]
    #[diagnostic(help("{GATED}"))]
    Refused {
        /// The repository.
        repository: String,
        /// The HTTP status.
        status: u16,
    },
    /// It has no such revision.
    #[error("the hub has no revision `{revision}` of `{repository}`")]
    NoRevision {
        /// The repository.
        repository: String,
        /// The revision.
        revision: String,
    },
    /// It has no such file.
    #[error("`{repository}` has no file `{path}` at its revision `{revision}`")]
    NoFile {
        /// The repository.
        repository: String,
        /// The revision.
        revision: String,
        /// The path of the file, as text.
        path: String,
    },
    /// Its answer makes no sense.
    #[error("what `{0}` answers is not what the hub documents")]
    #[diagnostic(help("is HF_ENDPOINT the address of a hub?"))]
    Answer(String),
    /// It cannot be asked.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Fetch(#[from] fetch::Error),
}

/// What a person can do about a file that is kept from them.
pub(crate) const GATED: &str = "is the name right? A gated or private repository requires a token: accept its terms on its page, and set \
                         HF_TOKEN";

/// The hub's description of a repository.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    #[serde(alias = "oid")]
    sha256: Digest,
    size: Option<u64>,
}

/// A hub, with a token for it.
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    token: Option<String>,
}

impl Hub {
    /// The hub at this address, or the public one; the token is sent to it alone.
    pub fn new(endpoint: Option<String>, token: Option<String>) -> Self {
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
        }
    }

    /// A client for downloads from the hub and from elsewhere; these variables name proxies.
    pub fn client(&self, variables: &BTreeMap<OsString, OsString>) -> Result<Client, fetch::Error> {
        let client = Client::new(variables)?;
        Ok(match &self.token {
            Some(token) => client.with_token(&self.endpoint, token),
            None => client,
        })
    }

    /// Where a file can be downloaded.
    pub fn address(&self, file: &File) -> String {
        let File {
            repository,
            revision,
            path,
        } = file;
        let (revision, path) = (encode_segment(revision), encode_path(path));
        format!("{}/{repository}/resolve/{revision}/{path}", self.endpoint)
    }

    /// Looks a file up: its commit, size and digest.
    pub fn look_up(&self, client: &Client, file: &File) -> Result<Known, Error> {
        let File {
            repository,
            revision,
            path,
        } = file;
        let address = format!(
            "{}/api/models/{repository}/revision/{}?blobs=true",
            self.endpoint,
            encode_segment(revision)
        );
        let text = fetch::read(client, &address, LONGEST_ANSWER).map_err(|error| match error {
            fetch::Error::Status {
                status: status @ (401 | 403),
                ..
            } => Error::Refused {
                repository: repository.clone(),
                status,
            },
            fetch::Error::Status { status: 404, .. } => Error::NoRevision {
                repository: repository.clone(),
                revision: revision.clone(),
            },
            error => error.into(),
        })?;
        let nonsense = || Error::Answer(self.endpoint.clone());
        let Answer { sha, siblings } = strict_json::from_slice(&text).map_err(|_| nonsense())?;
        let same = file.commit().is_none_or(|commit| commit == sha);
        if !is_commit(&sha) || !same {
            return Err(nonsense());
        }
        let mut found = siblings
            .into_iter()
            .filter(|there| there.rfilename == *path);
        let (found, second) = (found.next(), found.next());
        if second.is_some() {
            return Err(nonsense());
        }
        let found = found.ok_or_else(|| Error::NoFile {
            repository: repository.clone(),
            revision: revision.clone(),
            path: path.clone(),
        })?;
        let large = found.lfs.as_ref();
        Ok(Known {
            commit: sha,
            size: large.and_then(|lfs| lfs.size).or(found.size),
            sha256: large.map(|lfs| lfs.sha256),
        })
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token is a secret.
        out.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn an_address_is_repository_revision_and_file() {
        for text in [
            "hf://facebook/UMA@main/checkpoints/uma-s-1.pt",
            "hf://gpt2@v1.0/model.bin",
            "hf://org/name@refs%2Fpr%2F1/a+b.ckpt",
        ] {
            assert_eq!(text.parse::<File>().unwrap().to_string(), text);
        }
        let file: File = "hf://org/name@refs%2Fpr%2F1/a+b.ckpt".parse().unwrap();
        assert_eq!(
            (file.repository(), file.revision()),
            ("org/name", "refs/pr/1")
        );
        let hub = Hub::new(Some("https://mirror.example.com/".into()), None);
        assert_eq!(
            hub.address(&file),
            "https://mirror.example.com/org/name/resolve/refs%2Fpr%2F1/a%2Bb.ckpt"
        );
        assert_eq!(file.commit(), None);
        assert_eq!(file.at(COMMIT).commit(), Some(COMMIT));
    }

    #[test]
    fn what_is_no_file_is_refused_with_the_reason() {
        for (text, reason) in [
            ("https://x/y", "it does not begin with `hf://`"),
            ("hf://org/name/file", "it has no revision"),
            ("hf://org/name@main", "it names no file of the repository"),
            (
                "hf://org/name@main/",
                "its file is not a path in the repository",
            ),
            (
                "hf://org/name@main/../../x",
                "its file is not a path in the repository",
            ),
            (
                "hf://org/name@main/a//b",
                "its file is not a path in the repository",
            ),
            (
                "hf://datasets/org/name@main/a",
                "its repository is not `organisation/name`",
            ),
            (
                "hf://../name@main/a",
                "its repository is not `organisation/name`",
            ),
            (
                "hf://org/name@/a",
                "its revision is not a branch, a tag or a commit",
            ),
            (
                "hf://org/name@..%2F..%2Fx/a",
                "its revision is not a branch, a tag or a commit",
            ),
        ] {
            assert_eq!(
                text.parse::<File>().unwrap_err().to_string(),
                reason,
                "{text}"
            );
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let hub = Hub::new(None, Some("hf_secret".into()));
        assert_eq!(
            format!("{hub:?}"),
            "Hub { endpoint: \"https://huggingface.co\", .. }"
        );
    }
}
