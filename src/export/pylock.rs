//! `pylock.toml` (PEP 751), for `uv pip sync` and pip: every file with address, size and sha256.
//!
//! The lock knows no address of an index's files, the format wants one of each: they are asked for and passed in.

use std::fmt::Write as _;
use std::path::Path;

use url::Url;

use super::{Addresses, Subject};
use crate::lock::{Distribution, LockedPackage, Origin};

/// The address of a file is unknown.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the package index has no file `{file}` with the locked sha256")]
#[diagnostic(help(
    "it was withdrawn, or your index is another one than that of the lock: `rootstock lock --upgrade` chooses files that are there"
))]
pub struct NoAddress {
    /// The file's name.
    pub file: String,
}

/// The text of `pylock.toml`.
pub fn pylock(subject: &Subject, addresses: &Addresses) -> Result<String, NoAddress> {
    let target = subject.target;
    let (major, minor) = target.python.series();
    let machine = target.target.architecture.as_str();
    let mut text = format!(
        "# Environment {} of a lock of rootstock.\n\
         lock-version = \"1.0\"\n\
         environments = [\"sys_platform == 'linux' and platform_machine == '{machine}' and python_version == '{major}.{minor}'\"]\n\
         requires-python = \"=={major}.{minor}.*\"\n\
         created-by = \"rootstock\"\n",
        subject.environment.name
    );
    for package in &target.packages {
        let (name, version) = (&package.name, &package.version);
        let _ = write!(
            text,
            "\n[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n"
        );
        text.push_str(&source(package, addresses)?);
    }
    Ok(text)
}

/// The line with the origin of a package's file.
fn source(package: &LockedPackage, addresses: &Addresses) -> Result<String, NoAddress> {
    let sha256 = package.sha256;
    let size = package
        .size
        .map_or_else(String::new, |size| format!(", size = {size}"));
    let hashes = format!("{size}, hashes = {{ sha256 = \"{sha256}\" }}");
    let below = package.origin.subdirectory();
    let below = below.map_or_else(String::new, |below| {
        format!(", subdirectory = {}", quoted(below))
    });
    Ok(match &package.origin {
        Origin::Index(_) => {
            let address = addresses.get(&sha256).ok_or_else(|| NoAddress {
                file: package.file.clone(),
            })?;
            let (name, url) = (quoted(&package.file), quoted(&without_credentials(address)));
            let file = format!("{{ name = {name}, url = {url}{hashes} }}");
            match package.distribution() {
                Distribution::Wheel => format!("wheels = [{file}]\n"),
                Distribution::Source => format!("sdist = {file}\n"),
            }
        }
        Origin::Url { url, .. } => {
            format!("archive = {{ url = {}{below}{hashes} }}\n", quoted(url))
        }
        // What is locked as an archive of its files is a directory.
        Origin::Path { path, .. } if is_directory(package) => {
            format!("directory = {{ path = {}{below} }}\n", quoted(path))
        }
        Origin::Path { path, .. } => {
            format!("archive = {{ path = {}{below}{hashes} }}\n", quoted(path))
        }
        Origin::Git { url, commit, .. } => {
            let url = quoted(url);
            format!("vcs = {{ type = \"git\", url = {url}, commit-id = \"{commit}\"{below} }}\n")
        }
    })
}

fn is_directory(package: &LockedPackage) -> bool {
    Path::new(&package.file)
        .extension()
        .is_some_and(|extension| extension == "tar")
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The address as it is, but for the credentials of an index.
fn without_credentials(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            // They fail only for addresses without a server.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.into()
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_an_index_are_left_out() {
        for (url, shown) in [
            ("https://me:secret@host/a/b.whl", "https://host/a/b.whl"),
            ("https://host/a@b.whl", "https://host/a@b.whl"),
            ("file:///a/b.whl", "file:///a/b.whl"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
