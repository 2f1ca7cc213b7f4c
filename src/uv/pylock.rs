//! Reading uv's answer: a `pylock.toml` (PEP 751), reduced to what a lock needs. Writes none.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::{Algorithm, Checksum, Digest};
use crate::percent::decode;

/// A package of the answer with every file that uv found fit for the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name as written.
    pub name: String,
    /// Its version as written.
    pub version: String,
    /// Its marker, if it has one.
    pub marker: Option<String>,
    /// Its wheels.
    pub wheels: Vec<File>,
    /// Its source distribution.
    pub sdist: Option<File>,
    /// Where it is, if it is a direct reference; it has no other file then.
    pub direct: Option<Direct>,
    /// Whether the whole version is yanked (PEP 592), at least every file of it that uv would install.
    pub yanked: bool,
}

/// What a direct reference led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Direct {
    /// A wheel or a source distribution, at an address or a path.
    Archive {
        /// The file.
        file: File,
        /// Where in it the project is.
        subdirectory: Option<String>,
        /// The digests that other packages give of it, which uv's answer does not have; empty until they are asked for.
        given: Vec<Checksum>,
    },
    /// A commit of a repository.
    Git {
        /// The repository's address.
        url: String,
        /// The commit.
        commit: String,
        /// Where in it the project is.
        subdirectory: Option<String>,
    },
}

/// A file of a package and where it can be fetched just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// The file's name.
    pub name: String,
    /// Its address; it never enters a lock.
    pub url: String,
    /// Its size, where the index has it.
    pub size: Option<u64>,
    /// Its digest, if it is known. Of an address that names one it is that one, whatever the file's own is.
    pub sha256: Option<Digest>,
    /// All digests that are given of it.
    pub checksums: Vec<Checksum>,
}

impl File {
    /// Its address without query and fragment, for messages.
    pub(crate) fn address(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }
}

/// The answer is not what PEP 751 and uv's documentation say.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is not TOML, or a field is missing.
    #[error("uv's answer cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A package has no version: a directory that another package names.
    #[error("uv's answer has no version for `{0}`")]
    NoVersion(String),
    /// A file has no name.
    #[error("uv's answer has a file of `{0}` without a name")]
    NoName(String),
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    packages: Vec<WrittenPackage>,
}

#[derive(Deserialize)]
struct WrittenPackage {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    #[serde(default)]
    wheels: Vec<WrittenFile>,
    sdist: Option<WrittenFile>,
    archive: Option<WrittenFile>,
    vcs: Option<WrittenCommit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenCommit {
    url: Option<String>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct WrittenFile {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    subdirectory: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// The packages of an answer, in its order.
pub(super) fn packages(text: &str) -> Result<Vec<Package>, Error> {
    let written: Written = toml::from_str(text)?;
    written.packages.into_iter().map(package).collect()
}

fn package(written: WrittenPackage) -> Result<Package, Error> {
    let WrittenPackage {
        name,
        version,
        marker,
        wheels,
        sdist,
        archive: written_archive,
        vcs,
    } = written;
    let version = version.ok_or_else(|| Error::NoVersion(name.clone()))?;
    let wheels = wheels
        .into_iter()
        .map(|wheel| file(&name, wheel))
        .collect::<Result<_, _>>()?;
    let sdist = sdist.map(|sdist| file(&name, sdist)).transpose()?;
    let archive = |mut written: WrittenFile| {
        let subdirectory = written.subdirectory.take();
        let file = file(&name, written)?;
        Ok::<_, Error>(Direct::Archive {
            file,
            subdirectory,
            given: Vec::new(),
        })
    };
    let archive = written_archive.map(archive).transpose()?;
    let commit = |written: WrittenCommit| Direct::Git {
        url: written.url.unwrap_or_default(),
        commit: written.commit_id,
        subdirectory: written.subdirectory,
    };
    let direct = archive.or(vcs.map(commit));
    Ok(Package {
        name,
        version,
        marker,
        wheels,
        sdist,
        direct,
        yanked: false,
    })
}

fn file(package: &str, written: WrittenFile) -> Result<File, Error> {
    let WrittenFile {
        name,
        url,
        path,
        size,
        subdirectory: _,
        hashes,
    } = written;
    let checksum =
        |(name, digits): (&String, &String)| Checksum::new(Algorithm::named(name)?, digits).ok();
    let checksums: Vec<Checksum> = hashes.iter().filter_map(checksum).collect();
    let url = url.or(path).unwrap_or_default();
    let last = || {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/')
            .next()
            .filter(|name| !name.is_empty())
            .and_then(decode)
    };
    let name = name
        .or_else(last)
        .ok_or_else(|| Error::NoName(package.to_owned()))?;
    Ok(File {
        name,
        url,
        size,
        sha256: checksums.iter().find_map(Checksum::sha256),
        checksums,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_the_end_of_its_address() {
        let hash = "0".repeat(64);
        let text = format!(
            "lock-version = \"1.0\"\n[[packages]]\nname = \"torch\"\nversion = \"2.0+cu128\"\n\
             wheels = [{{ url = \"https://example.com/a/torch-2.0%2Bcu128-cp311-cp311-linux_x86_64.whl#x\", size = 3, \
             hashes = {{ sha256 = \"{hash}\" }} }}, {{ url = \"https://example.com/old.whl\", hashes = {{ md5 = \"{}\" }} }}]\n",
            "1".repeat(32)
        );
        let packages = packages(&text).unwrap();
        let old = &packages[0].wheels[1];
        assert_eq!((old.sha256, old.checksums.len()), (None, 1));
        assert_eq!(
            packages[0].wheels[0].name,
            "torch-2.0+cu128-cp311-cp311-linux_x86_64.whl"
        );
        assert_eq!(packages[0].wheels[0].size, Some(3));
    }

    #[test]
    fn a_directory_has_no_version_and_is_refused() {
        let text = "[[packages]]\nname = \"here\"\ndirectory = { path = \".\" }\n";
        assert!(matches!(packages(text), Err(Error::NoVersion(name)) if name == "here"));
    }
}
