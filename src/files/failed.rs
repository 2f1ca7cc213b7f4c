//! An error of the filesystem, with what was being done and where.

use crate::report::chain;

use std::io;

use std::path::{Path, PathBuf};

/// Something could not be done with a file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct Error {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

/// What is tried by who only reads.
pub(super) const READS: [&str; 6] = ["read", "open", "list", "examine", "find", "read the link"];

impl Error {
    /// Whether the file was not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    }

    /// Whether permission was denied.
    pub(crate) fn is_refused(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }

    /// Whether a directory is no place for private files, because other users can replace it.
    pub(crate) fn is_not_private(&self) -> bool {
        let cause = self.source.get_ref();
        cause.is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotPrivate>)
    }

    /// Whether something with content is there already.
    pub(crate) fn is_occupied(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
        )
    }

    /// Whether what is there is no file that could hold a text: a directory, bytes that are none, links that go round.
    pub(crate) fn is_unfit(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::IsADirectory | io::ErrorKind::InvalidData
        ) || self.source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
    }

    /// What was tried, on what, and the system's error.
    pub(crate) fn text(&self) -> String {
        chain(self)
    }
}

impl miette::Diagnostic for Error {
    /// Where the system's error says enough to know what to do.
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let help: Option<&str> = match self.source.kind() {
            io::ErrorKind::StorageFull => {
                Some("the filesystem is full: free some space and run the command again")
            }
            io::ErrorKind::QuotaExceeded => {
                Some("your quota of bytes or files is used up: free some and run the command again")
            }
            io::ErrorKind::PermissionDenied if self.action == GIVE => Some(
                "only members of a group give files to it: `id` prints your groups; ask to become a member of this one, or write \
                 another `access` into the manifest",
            ),
            io::ErrorKind::PermissionDenied if READS.contains(&self.action) => {
                Some("you may not read it: check owner and mode, of the directories above it too")
            }
            io::ErrorKind::PermissionDenied => {
                Some("you may not write there: check owner and mode of the directory")
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                Some("it is mounted read-only here: run the command where it can be written")
            }
            io::ErrorKind::Other
                if self
                    .source
                    .get_ref()
                    .is_some_and(<dyn std::error::Error + Send + Sync>::is::<LeadsOut>) =>
            {
                Some(
                    "remove the link, which another user may have planted. To keep a cache elsewhere, place all of it: \
                     `cache = \"DIR\"` in a `[clusters.NAME]` of the manifest",
                )
            }
            io::ErrorKind::Other if self.is_not_private() => {
                Some("or name another directory in XDG_CACHE_HOME, one that belongs to you")
            }
            io::ErrorKind::CrossesDevices => Some(
                "the two places are on different filesystems or projects: keep the root on one of them",
            ),
            _ => None,
        };
        Some(Box::new(help?))
    }
}

/// Result of a file operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Names the action and the path of a failed operation.
pub(crate) trait Context<T> {
    /// On failure, an error with `action` and `path`.
    fn context(self, action: &'static str, path: &Path) -> Result<T>;
}

/// What a chown is called in errors, which need another advice than others.
pub(super) const GIVE: &str = "give to its group";

/// Why a directory is no place for private files.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotPrivate(pub(super) String);

/// What is wrong with a directory that is reached through a link.
#[derive(Debug, thiserror::Error)]
#[error("a link on the way leads out of `{}`", .0.display())]
pub(super) struct LeadsOut(pub(super) PathBuf);
