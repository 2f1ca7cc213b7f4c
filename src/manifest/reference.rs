//! Direct references of requirements (`name @ …`): an address, a commit of a repository, a path. Checked, in normal form.
//!
//! | written | normal form |
//! |---|---|
//! | `https://host/a-1.0-py3-none-any.whl#sha256=…` | the address without its fragment |
//! | `git+https://host/repo@v1.2#subdirectory=python` | the same |
//! | `./libs/a`, `libs/a`, `file:libs/a` | `./libs/a`, relative to the manifest |
//!
//! What stands there is not looked at.

use std::fmt;
use std::path::Path;

use pep508_rs::Pep508Url;

/// Where a requirement says that its package is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A wheel or a source distribution at this address.
    Url(String),
    /// A repository.
    Git {
        /// Its address, without `git+`.
        url: String,
        /// A branch, a tag or a commit; the repository's own branch if not given.
        revision: Option<String>,
        /// Where in it the project is.
        subdirectory: Option<String>,
    },
    /// A wheel, a source distribution or a project's directory beside the manifest: `./libs/a`, `../a`.
    Path(String),
}

/// A requirement (PEP 508) of the manifest or a source file.
pub type Requirement = pep508_rs::Requirement<Reference>;

/// Why a text is not a reference, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Invalid {
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub help: &'static str,
}

const SCHEMES: &str = "write `https://…`, `git+https://…@REVISION` or a path relative to the manifest (`./libs/name`)";
const CREDENTIALS: &str = "remove them: credentials are read from netrc (`~/.netrc` or the file that NETRC names) and from the keyring, \
                           those of repositories by git itself";

/// What files of packages end in.
const ARCHIVES: [&str; 4] = [".whl", ".tar.gz", ".tgz", ".zip"];

/// Whether a file of this name is a wheel or a source distribution.
pub(crate) fn is_archive(name: &str) -> bool {
    ARCHIVES.iter().any(|ending| name.ends_with(ending))
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Url(url) => out.write_str(url),
            Reference::Path(path) => out.write_str(path),
            Reference::Git {
                url,
                revision,
                subdirectory,
            } => {
                write!(out, "git+{url}")?;
                if let Some(revision) = revision {
                    write!(out, "@{revision}")?;
                }
                if let Some(subdirectory) = subdirectory {
                    write!(out, "#subdirectory={subdirectory}")?;
                }
                Ok(())
            }
        }
    }
}

impl Pep508Url for Reference {
    type Err = Invalid;

    fn parse_url(text: &str, _: Option<&Path>) -> Result<Self, Invalid> {
        let invalid = |reason: &str, help| Invalid {
            reason: reason.to_owned(),
            help,
        };
        if text.contains("${") {
            return Err(invalid("variables are not put in here", CREDENTIALS));
        }
        if text.chars().any(char::is_control) {
            return Err(invalid("it has a control character", SCHEMES));
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme.map(str::to_ascii_lowercase).as_deref() {
            Some("https" | "http") => url(text),
            Some(scheme) if scheme.starts_with("git+") => git(&text["git+".len()..]),
            Some("file") | None => path(text.strip_prefix("file:").unwrap_or(text)),
            Some(other) => Err(Invalid {
                reason: format!("`{other}://` is not understood here"),
                help: SCHEMES,
            }),
        }
    }
}

/// Refuses a user with a password; over HTTP any user, who may be a token. `git@` of ssh is a name and no secret.
fn check_credentials(url: &str) -> Result<(), Invalid> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let secret = authority.rsplit_once('@').is_some_and(|(user, _)| {
        user.contains(':') || scheme.to_ascii_lowercase().starts_with("http")
    });
    if secret {
        return Err(Invalid {
            reason: "an address in the manifest may not hold credentials".to_owned(),
            help: CREDENTIALS,
        });
    }
    Ok(())
}

fn url(text: &str) -> Result<Reference, Invalid> {
    check_credentials(text)?;
    let address = text.split('#').next().unwrap_or(text);
    let file = address.split('?').next().unwrap_or(address);
    if text.contains("#subdirectory=") || text.contains("&subdirectory=") {
        return Err(Invalid {
            reason: "a subdirectory can be named in repositories only".to_owned(),
            help: "write `git+https://…@REVISION#subdirectory=DIR`",
        });
    }
    if !is_archive(file) {
        return Err(Invalid {
            reason: "it ends in none of .whl, .tar.gz, .tgz, .zip".to_owned(),
            help: "name a wheel or a source distribution; a repository is `git+https://…@REVISION`",
        });
    }
    Ok(Reference::Url(address.to_owned()))
}

fn git(text: &str) -> Result<Reference, Invalid> {
    check_credentials(text)?;
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    if !["https", "http", "ssh", "file"].contains(&scheme) {
        return Err(Invalid {
            reason: format!("`git+{scheme}` is not understood here"),
            help: "write `git+https://…`, `git+ssh://git@…` or `git+file:///…`",
        });
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (path, revision) = match path.rsplit_once('@') {
        Some((path, revision)) => (path, Some(revision)),
        None => (path, None),
    };
    // Git takes what begins with `-` for an option.
    if revision.is_some_and(|r| r.is_empty() || r.starts_with('-')) || path.len() < 2 {
        return Err(Invalid {
            reason: "it names no repository or no revision".to_owned(),
            help: "write `git+https://host/repository@REVISION`",
        });
    }
    let subdirectory = fragment
        .split('&')
        .find_map(|part| part.strip_prefix("subdirectory="))
        .map(|directory| directory.trim_matches('/'))
        .filter(|directory| !directory.is_empty() && *directory != ".");
    if subdirectory.is_some_and(|d| d.split('/').any(|part| matches!(part, "" | "." | ".."))) {
        return Err(Invalid {
            reason: "its subdirectory leads out of the repository".to_owned(),
            help: "write it without `..`",
        });
    }
    Ok(Reference::Git {
        url: format!("{scheme}://{authority}{path}"),
        revision: revision.map(str::to_owned),
        subdirectory: subdirectory.map(str::to_owned),
    })
}

fn path(text: &str) -> Result<Reference, Invalid> {
    let text = text.split('#').next().unwrap_or(text);
    if text.starts_with(['/', '~']) {
        return Err(Invalid {
            reason: "an absolute path is another one on every machine".to_owned(),
            help: "write it relative to the manifest: `./libs/name`",
        });
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let above = parts.first().is_some_and(|first| *first == "..");
    let joined = parts.join("/");
    Ok(Reference::Path(match (above, joined.is_empty()) {
        (_, true) => ".".to_owned(),
        (true, false) => joined,
        (false, false) => format!("./{joined}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Result<String, String> {
        Reference::parse_url(text, None)
            .map(|reference| reference.to_string())
            .map_err(|invalid| invalid.reason)
    }

    #[test]
    fn two_spellings_have_one_normal_form() {
        for (text, expected) in [
            (
                "https://h/a-1-py3-none-any.whl#sha256=12",
                "https://h/a-1-py3-none-any.whl",
            ),
            ("https://h/a.tar.gz?x=1", "https://h/a.tar.gz?x=1"),
            ("git+https://h/r.git", "git+https://h/r.git"),
            (
                "git+ssh://git@h/r@v1#egg=x&subdirectory=a/b/",
                "git+ssh://git@h/r@v1#subdirectory=a/b",
            ),
            ("git+file:///r@main#subdirectory=.", "git+file:///r@main"),
            ("libs/a", "./libs/a"),
            ("./libs/../libs//a/", "./libs/a"),
            ("file:libs/a.whl", "./libs/a.whl"),
            ("file:./a", "./a"),
            ("../a/b", "../a/b"),
            ("./", "."),
        ] {
            assert_eq!(normal(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(normal(expected).as_deref(), Ok(expected), "{expected}");
        }
    }

    #[test]
    fn what_cannot_be_locked_is_refused() {
        for (text, reason) in [
            (
                "https://me:word@h/a.whl",
                "an address in the manifest may not hold credentials",
            ),
            (
                "https://token@h/a.whl",
                "an address in the manifest may not hold credentials",
            ),
            (
                "git+https://token@h/r@v1",
                "an address in the manifest may not hold credentials",
            ),
            (
                "git+ssh://git:word@h/r",
                "an address in the manifest may not hold credentials",
            ),
            ("https://${TOKEN}@h/a.whl", "variables are not put in here"),
            (
                "https://h/page",
                "it ends in none of .whl, .tar.gz, .tgz, .zip",
            ),
            (
                "https://h/a.zip#subdirectory=b",
                "a subdirectory can be named in repositories only",
            ),
            (
                "git+https://h/r@--upload-pack=x",
                "it names no repository or no revision",
            ),
            (
                "git+https://h/r@v1#subdirectory=../x",
                "its subdirectory leads out of the repository",
            ),
            ("git+ext://h/r", "`git+ext` is not understood here"),
            ("hg+https://h/r", "`hg+https://` is not understood here"),
            (
                "/abs/a.whl",
                "an absolute path is another one on every machine",
            ),
            (
                "file:///abs/a.whl",
                "an absolute path is another one on every machine",
            ),
        ] {
            assert_eq!(normal(text), Err(reason.to_owned()), "{text}");
        }
    }
}
