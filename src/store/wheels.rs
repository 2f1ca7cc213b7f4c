//! The wheel store: wheels and their bytecode in installed form, so that building an environment is linking files.
//!
//! ```text
//! {root}/store/wheels-2/<sha256 of the wheel>/
//! ├── files.txt              one line per installed file
//! └── tree/{site-packages,bin,include,data}/…
//! {root}/store/bytecode-4/<sha256 of the wheel>-<16 digits of the interpreter's identity>/        without that of tests
//! ├── files.txt
//! ├── skipped.txt            sources that do not compile
//! └── tree/site-packages/…/__pycache__/….pyc
//! {root}/store/bytecode-4/<as above>-tests/                                            that of tests, where it is wanted
//! {root}/store/built-1/…     wheels built from source distributions, see `build::sdist`
//! ```
//!
//! The number is the version of the installed form: what another version of this program would install differently
//! lies elsewhere. `files.txt` begins with the line `rootstock shelf 1`; each further line is the sha256, the mode
//! (`0444` or `0555`), the size and the scheme with the path below it, separated by single spaces, sorted by path.
//!
//! A directory gets its name by rename when it is whole, so there are no half-made ones. What a killed run leaves has a
//! name that begins with `.making-` (see `unfinished`). What is in a wheel is not known here.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::files;
use crate::python;

use super::{Policy, Root};

mod contents;
mod verify;

pub(crate) use contents::{Content, contents};
pub(crate) use verify::{Damage, damaged, is_intact};

const HEADER: &str = "rootstock shelf 1";
const STAGING: &str = ".making-";
/// The end of the names of directories with the bytecode of tests.
pub(crate) const TESTS: &str = "-tests";

/// One file of an unpacked wheel, or of its bytecode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnpackedFile {
    /// Which part of an environment it goes to.
    pub scheme: Scheme,
    /// Its path there, with `/`.
    pub path: String,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// How many they are.
    pub size: u64,
    /// Whether it is a program: mode 0555 instead of 0444.
    pub executable: bool,
}

/// A part of an environment that files of wheels go to: a key of Python's installation scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    /// Modules, both pure and compiled ones.
    SitePackages,
    /// Programs.
    Scripts,
    /// C headers.
    Headers,
    /// Everything else: the path is below the environment itself.
    Data,
}

/// A wheel, or its bytecode, in installed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnpackedWheel {
    /// Its directory.
    pub directory: PathBuf,
    /// What it installs, sorted by scheme and path.
    pub files: Vec<UnpackedFile>,
}

/// The wheel store cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// What lies in the store was changed.
    #[error("`{}` is damaged in line {line}", path.display())]
    #[diagnostic(help(
        "remove the directory `{}`; the next `rootstock sync` makes it again",
        path.parent().unwrap_or(path).display()
    ))]
    Damaged {
        /// The list of files.
        path: PathBuf,
        /// Which line cannot be read.
        line: usize,
    },
}

impl Scheme {
    /// All schemes, in the order of `files.txt`.
    pub(crate) const ALL: [Scheme; 4] = [
        Scheme::SitePackages,
        Scheme::Scripts,
        Scheme::Headers,
        Scheme::Data,
    ];

    /// Its directory in the store.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Scheme::SitePackages => "site-packages",
            Scheme::Scripts => "bin",
            Scheme::Headers => "include",
            Scheme::Data => "data",
        }
    }

    /// The path that leads from `site-packages` to this scheme in an environment, as `RECORD` files have it.
    pub(crate) fn relative_to_site_packages(self) -> &'static str {
        match self {
            Scheme::SitePackages => "",
            Scheme::Scripts => "../../../bin/",
            Scheme::Headers => "../../../include/site/",
            Scheme::Data => "../../../",
        }
    }
}

impl UnpackedFile {
    /// Its path in an environment with a Python of this series.
    pub(crate) fn installed(&self, series: (u64, u64)) -> String {
        let (major, minor) = series;
        let path = &self.path;
        match self.scheme {
            Scheme::SitePackages => format!("lib/python{major}.{minor}/site-packages/{path}"),
            Scheme::Scripts => format!("bin/{path}"),
            // Not `include/site/python3.11/`: an unpacked wheel, with the paths in its RECORD, serves every Python.
            Scheme::Headers => format!("include/site/{path}"),
            Scheme::Data => path.clone(),
        }
    }

    /// Its permission bits.
    pub(crate) fn mode(&self) -> u32 {
        if self.executable { 0o555 } else { 0o444 }
    }

    fn line(&self) -> String {
        let Self {
            scheme,
            path,
            sha256,
            size,
            ..
        } = self;
        let (mode, scheme) = (self.mode(), scheme.directory());
        format!("{sha256} {mode:04o} {size} {scheme}/{path}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let sha256 = words.next()?.parse().ok()?;
        let executable = match words.next()? {
            "0555" => true,
            "0444" => false,
            _ => return None,
        };
        let size = words.next()?.parse().ok()?;
        let (scheme, path) = words.next()?.split_once('/')?;
        let scheme = Scheme::ALL.into_iter().find(|p| p.directory() == scheme)?;
        Some(Self {
            scheme,
            path: path.to_owned(),
            sha256,
            size,
            executable,
        })
    }
}

impl UnpackedWheel {
    /// Where its files of a scheme are.
    pub(crate) fn directory_of(&self, scheme: Scheme) -> PathBuf {
        tree(&self.directory).join(scheme.directory())
    }

    /// Where the bytes of this file are.
    pub(crate) fn source(&self, file: &UnpackedFile) -> PathBuf {
        self.directory_of(file.scheme).join(&file.path)
    }
}

/// The unpacked form of this wheel, if it is there.
pub(crate) fn find(root: &Root, wheel: &Digest) -> Result<Option<UnpackedWheel>, Error> {
    read(&directory(root, wheel))
}

/// Where the wheel of this digest is unpacked.
pub(crate) fn directory(root: &Root, wheel: &Digest) -> PathBuf {
    root.wheels().join(wheel.to_string())
}

/// Where the bytecode of the wheel of this digest is: that of its tests, or that of its other modules.
pub(crate) fn bytecode_directory(
    root: &Root,
    wheel: &Digest,
    interpreter: &python::Identity,
    tests: bool,
) -> PathBuf {
    let end = if tests { TESTS } else { "" };
    let name = format!("{wheel}-{}{end}", interpreter.digest().short(16));
    root.bytecode().join(name)
}

/// What is unpacked in this directory; `None` if there is no such directory.
pub(crate) fn read(directory: &Path) -> Result<Option<UnpackedWheel>, Error> {
    let list = directory.join("files.txt");
    let Some(text) = files::read_text_if_present(&list)? else {
        return Ok(None);
    };
    let files = parse(&text).map_err(|line| Error::Damaged { path: list, line })?;
    Ok(Some(UnpackedWheel {
        directory: directory.to_owned(),
        files,
    }))
}

/// The files in a `files.txt`, or the number of the first line that is not one.
fn parse(text: &str) -> Result<Vec<UnpackedFile>, usize> {
    // A line that was cut short lacks its end.
    if !text.ends_with('\n') {
        return Err(text.lines().count());
    }
    let mut lines = text.lines().zip(1..);
    match lines.next() {
        Some((HEADER, _)) => {}
        _ => return Err(1),
    }
    lines
        .map(|(line, number)| UnpackedFile::parse(line).ok_or(number))
        .collect()
}

/// A directory of the store that is not visible yet; removed when dropped unless published.
#[derive(Debug)]
pub(crate) struct Staging {
    directory: tempfile::TempDir,
    to: PathBuf,
    policy: Option<Policy>,
}

impl Staging {
    /// An empty one that is to become the directory `to` of this root.
    pub(crate) fn beside(to: &Path, root: &Root) -> Result<Self, Error> {
        let parent = to.parent().expect("it lies in the store");
        files::create_directories(parent)?;
        let directory = files::temporary_directory(parent, STAGING)?;
        // Others of the group or the cluster read the store; what is in it is no secret.
        files::set_mode(directory.path(), 0o755)?;
        Ok(Self {
            directory,
            to: to.to_owned(),
            policy: root.policy().cloned(),
        })
    }

    /// The directory itself, for lists that lie beside the tree.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the files of a scheme go.
    pub(crate) fn directory_of(&self, scheme: Scheme) -> PathBuf {
        tree(self.directory.path()).join(scheme.directory())
    }

    /// Writes the list and publishes. Nothing is flushed: what a power cut leaves of it is found by its digests before it is
    /// linked, and a generation is flushed with everything that it is linked from.
    pub(crate) fn publish(self, mut files: Vec<UnpackedFile>) -> Result<UnpackedWheel, Error> {
        files.sort_by(|a, b| (a.scheme, &a.path).cmp(&(b.scheme, &b.path)));
        let mut text = format!("{HEADER}\n");
        text.extend(files.iter().map(UnpackedFile::line));
        files::write(&self.directory.path().join("files.txt"), text.as_bytes())?;
        let directory = self.to.clone();
        self.give_name()?;
        Ok(read(&directory)?.unwrap_or(UnpackedWheel { directory, files }))
    }

    /// Flushes all of it to disk and gives it its name: otherwise a power cut could leave the name without the bytes.
    pub(crate) fn rename(self) -> Result<(), Error> {
        files::flush_filesystem(self.directory.path())?;
        self.give_name()
    }

    /// If another process has published the same before, its directory stays and this one is dropped.
    fn give_name(self) -> Result<(), Error> {
        if let Some(policy) = &self.policy {
            policy.make_tree_readable(self.directory.path())?;
        }
        match files::rename(self.directory.path(), &self.to) {
            Ok(()) => {
                // The name is gone, so there is nothing left to clean up.
                let _ = self.directory.keep();
                Ok(())
            }
            Err(_) if files::is_directory(&self.to) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn tree(directory: &Path) -> PathBuf {
    directory.join("tree")
}

#[cfg(test)]
mod tests;
