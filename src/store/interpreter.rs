//! The files an interpreter consists of, as they were when an environment was built on it: how a system update of
//! Python is noticed without starting Python. Which interpreter to use is not decided here.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::files::{self, Context};
use crate::python::Interpreter;

/// One file of an interpreter: its executable or its shared library.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Its real path.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Digest of its first and last [`END`] bytes.
    pub ends: Digest,
    /// Digest of the whole.
    pub sha256: Digest,
}

/// How an interpreter's files stand to what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// As they were.
    Same,
    /// This file is another one now.
    Changed(PathBuf),
    /// This file is gone.
    Missing(PathBuf),
    /// We may not read this file.
    Closed(PathBuf),
}

/// How many bytes of each end are compared.
///
/// The whole of a shared Python is 20 MB and more, and hashing it would be most of the time of a `sync` that has
/// nothing to do. The first bytes of an ELF file hold its segments' sizes and, in what compilers of distributions
/// make, its build id, which is a digest of the whole; the last bytes hold its sections' sizes.
const END: u64 = 64 * 1024;

/// The files of this interpreter as they are now.
pub(crate) fn parts(interpreter: &Interpreter) -> files::Result<Vec<Part>> {
    let executable = &interpreter.executable;
    let mut parts = vec![part(executable)?];
    let (major, minor) = interpreter.series();
    let library = format!("libpython{major}.{minor}.so.1.0");
    let prefix = executable.parent().and_then(Path::parent);
    let multiarch = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    for directory in ["lib", "lib64", &multiarch] {
        let path = prefix
            .unwrap_or(Path::new("/"))
            .join(directory)
            .join(&library);
        if files::exists(&path) {
            parts.push(part(&files::real_path(&path)?)?);
            break;
        }
    }
    Ok(parts)
}

/// Compares the files with what they were; reads only their ends.
pub(crate) fn base(parts: &[Part]) -> files::Result<Base> {
    for part in parts {
        let size = match files::size(&part.path) {
            Ok(size) => size,
            Err(error) if error.is_missing() => return Ok(Base::Missing(part.path.clone())),
            Err(error) if error.is_refused() => return Ok(Base::Closed(part.path.clone())),
            Err(error) => return Err(error),
        };
        let same = size == part.size
            && match ends(&part.path, size) {
                Ok(ends) => ends == part.ends,
                Err(error) if error.is_refused() => return Ok(Base::Closed(part.path.clone())),
                // A directory of its name and size.
                Err(error) if error.is_unfit() => false,
                Err(error) => return Err(error),
            };
        if !same {
            return Ok(Base::Changed(part.path.clone()));
        }
    }
    Ok(Base::Same)
}

fn part(path: &Path) -> files::Result<Part> {
    let (sha256, size) = Digest::of_reader(files::open(path)?).context("read", path)?;
    Ok(Part {
        path: path.to_owned(),
        size,
        ends: ends(path, size)?,
        sha256,
    })
}

fn ends(path: &Path, size: u64) -> files::Result<Digest> {
    let mut file = files::open(path)?;
    // Room for both ends, and for finding the end of each: few reads instead of many small ones.
    let mut bytes = Vec::with_capacity(usize::try_from(2 * END).unwrap_or_default() + 64);
    let mut read = |from: u64| -> std::io::Result<()> {
        file.seek(SeekFrom::Start(from))?;
        file.by_ref().take(END).read_to_end(&mut bytes)?;
        Ok(())
    };
    read(0).context("read", path)?;
    read(size.saturating_sub(END)).context("read", path)?;
    Ok(Digest::of(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::Identity;

    #[test]
    fn an_updated_or_removed_interpreter_is_noticed() {
        let prefix = tempfile::tempdir().unwrap();
        let path = |name: &str| prefix.path().join(name);
        files::create_directories(&path("bin")).unwrap();
        files::create_directories(&path("lib")).unwrap();
        let (python, library) = (path("bin/python3.11"), path("lib/libpython3.11.so.1.0"));
        files::write(&python, b"executable").unwrap();
        files::write(&library, &vec![7; 300_000]).unwrap();
        let interpreter = Interpreter {
            executable: python.clone(),
            identity: Identity {
                implementation: "cpython".into(),
                version: "3.11.7".into(),
                soabi: "cpython-311-x86_64-linux-gnu".into(),
                platform: "linux-x86_64".into(),
            },
            glibc: None,
        };
        let parts = parts(&interpreter).unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(base(&parts).unwrap(), Base::Same);

        let mut changed = vec![7; 300_000];
        changed[299_999] = 8;
        files::write(&library, &changed).unwrap();
        assert_eq!(base(&parts).unwrap(), Base::Changed(library.clone()));
        files::write(&library, &vec![7; 300_000]).unwrap();
        assert_eq!(base(&parts).unwrap(), Base::Same);

        files::write(&python, b"executable.").unwrap();
        assert_eq!(base(&parts).unwrap(), Base::Changed(python.clone()));
        files::remove_if_present(&python).unwrap();
        assert_eq!(base(&parts).unwrap(), Base::Missing(python));
    }
}
