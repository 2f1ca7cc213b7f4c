//! A mirror of archives: another prefix for their addresses, so that one lock serves every site.
//!
//! An archive `https://…/20261110/cpython-….tar.gz` lies at `<mirror>/20261110/cpython-….tar.gz`, as uv's mirrors have
//! it; in a directory, the part `20261110` may be left out. Nothing is verified here; downloads are.

use std::path::PathBuf;

use super::address::file_address;
use crate::files;
use crate::percent::decode;

/// Where archives are mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// Below this address.
    Address(String),
    /// In this directory.
    Directory(PathBuf),
}

impl Mirror {
    /// An address with `http://`, `https://` or `file://`, or a directory.
    pub(crate) fn new(text: &str) -> Self {
        let text = text.trim_end_matches('/');
        let file = text.strip_prefix("file://");
        match file.and_then(decode) {
            Some(path) => Self::Directory(path.into()),
            None if text.contains("://") => Self::Address(text.to_owned()),
            None => Self::Directory(text.into()),
        }
    }

    /// The mirror's address of the file at `url`.
    pub(crate) fn address(&self, url: &str) -> String {
        let mut parts = url.rsplit('/');
        let file = parts.next().unwrap_or_default();
        let release = parts.next().unwrap_or_default();
        match self {
            Self::Address(prefix) => format!("{prefix}/{release}/{file}"),
            Self::Directory(directory) => {
                let name = decode(file).unwrap_or_else(|| file.to_owned());
                let flat = directory.join(&name);
                let path = if files::exists(&flat) {
                    flat
                } else {
                    directory.join(release).join(name)
                };
                file_address(&path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://host/download/20261110/cpython-3.11.18%2B20261110-x.tar.gz";

    #[test]
    fn an_address_gets_another_prefix() {
        let mirror = Mirror::new("https://mirror.example/pythons/");
        assert_eq!(
            mirror.address(URL),
            "https://mirror.example/pythons/20261110/cpython-3.11.18%2B20261110-x.tar.gz"
        );
    }

    #[test]
    fn a_directory_may_have_all_files_in_one_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b");
        files::create_directories(&path).unwrap();
        let text = path.to_str().unwrap();
        let shown = file_address(directory.path());
        for mirror in [Mirror::new(text), Mirror::new(&file_address(&path))] {
            assert_eq!(mirror, Mirror::Directory(path.clone()));
            assert_eq!(
                mirror.address(URL),
                format!("{shown}/a%20b/20261110/cpython-3.11.18%2B20261110-x.tar.gz")
            );
        }
        files::write(&path.join("cpython-3.11.18+20261110-x.tar.gz"), b"").unwrap();
        assert_eq!(
            Mirror::new(text).address(URL),
            format!("{shown}/a%20b/cpython-3.11.18%2B20261110-x.tar.gz")
        );
    }
}
