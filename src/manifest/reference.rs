//! Direct references of requirements (`name @ …`): an address, a commit of a repository, a path. Checked, in normal form.
//!
//! | written | normal form |
//! |---|---|
//! | `https://host/a-1.0.tar.gz#egg=a&sha256=…` | `https://host/a-1.0.tar.gz#sha256=…` |
//! | `git+https://host/repo@v1.2#subdirectory=python` | the same |
//! | `./libs/a`, `libs/a`, `file:libs/a` | `./libs/a`, relative to the manifest |
//!
//! What stands there is not looked at.

use std::fmt;
use std::path::Path;

use pep508_rs::Pep508Url;
use url::Url;

use super::fragment::{Fragment, Invalid};

/// Where a requirement locates its package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A wheel or a source distribution at an address.
    Url {
        /// The address, without its fragment.
        url: String,
        /// Its fragment.
        fragment: Fragment,
    },
    /// A repository.
    Git {
        /// Its address, without `git+`.
        url: String,
        /// A branch, a tag or a commit; the repository's own branch if not given.
        revision: Option<String>,
        /// Where in it the project is.
        subdirectory: Option<String>,
    },
    /// A wheel, a source distribution or a project's directory beside the manifest.
    Path {
        /// The path: `./libs/a`, `../a`.
        path: String,
        /// What is written behind `#`.
        fragment: Fragment,
    },
}

/// A requirement (PEP 508) of the manifest or a source file.
pub type Requirement = pep508_rs::Requirement<Reference>;

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
            Reference::Url { url, fragment } => write!(out, "{url}{fragment}"),
            Reference::Path { path, fragment } => write!(out, "{path}{fragment}"),
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
fn check_credentials(address: &str) -> Result<(), Invalid> {
    let url = Url::parse(address).map_err(|error| Invalid {
        reason: format!("it is not an address: {error}"),
        help: SCHEMES,
    })?;
    let is_token = url.scheme().starts_with("http") && !url.username().is_empty();
    if is_token || url.password().is_some() {
        return Err(Invalid {
            reason: "an address in the manifest may not hold credentials".to_owned(),
            help: CREDENTIALS,
        });
    }
    Ok(())
}

fn url(text: &str) -> Result<Reference, Invalid> {
    check_credentials(text)?;
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let fragment = Fragment::parse(fragment)?;
    let file = address.split('?').next().unwrap_or(address);
    check_subdirectory(file, &fragment)?;
    if !is_archive(file) {
        return Err(Invalid {
            reason: "it ends in none of .whl, .tar.gz, .tgz, .zip".to_owned(),
            help: "name a wheel or a source distribution; a repository is `git+https://…@REVISION`",
        });
    }
    Ok(Reference::Url {
        url: address.to_owned(),
        fragment,
    })
}

/// Only projects have subdirectories.
fn check_subdirectory(file: &str, fragment: &Fragment) -> Result<(), Invalid> {
    if fragment.subdirectory.is_some() && file.rsplit('.').next() == Some("whl") {
        return Err(Invalid {
            reason: "a wheel has no subdirectory with a project".to_owned(),
            help: "remove `subdirectory=…`, or name a source distribution",
        });
    }
    Ok(())
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
    let Fragment {
        subdirectory,
        checksums,
    } = Fragment::parse(fragment)?;
    if let Some(checksum) = checksums.first() {
        return Err(Invalid {
            reason: format!("a repository has no {}", checksum.algorithm().name()),
            help: "name the commit: `git+https://…@COMMIT` is always the same files",
        });
    }
    Ok(Reference::Git {
        url: format!("{scheme}://{authority}{path}"),
        revision: revision.map(str::to_owned),
        subdirectory,
    })
}

fn path(text: &str) -> Result<Reference, Invalid> {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let fragment = Fragment::parse(fragment)?;
    check_subdirectory(text, &fragment)?;
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
    let path = match (above, joined.is_empty()) {
        (_, true) => ".".to_owned(),
        (true, false) => joined,
        (false, false) => format!("./{joined}"),
    };
    Ok(Reference::Path { path, fragment })
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
                "https://h/a-1-py3-none-any.whl#egg=a&MD5=900150983CD24FB0D6963F7D28E17F72",
                "https://h/a-1-py3-none-any.whl#md5=900150983cd24fb0d6963f7d28e17f72",
            ),
            (
                "https://h/a.zip#subdirectory=b/c/#md5=900150983cd24fb0d6963f7d28e17f72",
                "https://h/a.zip#md5=900150983cd24fb0d6963f7d28e17f72&subdirectory=b/c",
            ),
            ("./a.zip#subdirectory=b", "./a.zip#subdirectory=b"),
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
                "https://h/a.whl#subdirectory=b",
                "a wheel has no subdirectory with a project",
            ),
            (
                "https://h/a.whl#sha256=12",
                "its sha256 is not one: a sha256 has 64 hexadecimal digits",
            ),
            (
                "https://h/a.whl#shake_128=12",
                "`shake_128` is not understood behind `#`",
            ),
            (
                "https://h/a.whl#md5=900150983cd24fb0d6963f7d28e17f72&md5=00000000000000000000000000000000",
                "it has two values of md5",
            ),
            (
                "git+https://h/r#md5=900150983cd24fb0d6963f7d28e17f72",
                "a repository has no md5",
            ),
            (
                "git+https://h/r@--upload-pack=x",
                "it names no repository or no revision",
            ),
            (
                "git+https://h/r@v1#subdirectory=../x",
                "its subdirectory leads out of the project",
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
