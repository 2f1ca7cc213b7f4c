//! The same file at two places: by reflink, hard link or copy, whichever the filesystem allows. It is tried, never
//! guessed from the filesystem's name. Which files belong together is not known here.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Context, Result};

/// How a file is put at a second place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Shares its blocks until one of the two is written (btrfs, XFS, ZFS and some others).
    Reflink,
    /// Is the same file under a second name.
    HardLink,
    /// Shares nothing.
    Copy,
}

impl std::fmt::Display for Method {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Method::Reflink => "reflinks",
            Method::HardLink => "hard links",
            Method::Copy => "copies",
        })
    }
}

/// Which method is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The best that works.
    #[default]
    Auto,
    /// This one, or none.
    Forced(Method),
}

/// The names of the modes, as people write them.
pub const MODES: [&str; 4] = ["auto", "reflink", "hardlink", "copy"];

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Ok(match text {
            "auto" => Mode::Auto,
            "reflink" => Mode::Forced(Method::Reflink),
            "hardlink" => Mode::Forced(Method::HardLink),
            "copy" => Mode::Forced(Method::Copy),
            _ => return Err(format!("one of {}", MODES.join(", "))),
        })
    }
}

/// Tries this method from files in the directory `from` to files in the directory `to`; why it does not work, if not.
pub fn check(method: Method, from: &Path, to: &Path) -> Result<()> {
    trying(from, to, |source, beside| {
        try_method(method, source, &beside.join("a")).context(verb(method), to)
    })?
}

/// The best method that works from files in the directory `from` to files in the directory `to`, found by trying.
pub fn probe(from: &Path, to: &Path) -> Result<Method> {
    trying(from, to, |source, beside| {
        for (name, method) in [("a", Method::Reflink), ("b", Method::HardLink)] {
            let second = beside.join(name);
            // A method that fails here for any reason is not used; copying remains and has its own errors.
            if try_method(method, source, &second).is_ok()
                && fs::read(&second).is_ok_and(|bytes| bytes == b"rootstock")
            {
                return method;
            }
        }
        Method::Copy
    })
}

/// Makes a file in the directory `from` and a directory in `to`, for trying something with them.
fn trying<T>(from: &Path, to: &Path, what: impl FnOnce(&Path, &Path) -> T) -> Result<T> {
    let source = super::new_file(from, ".probe-")?;
    let source = tempfile::TempPath::try_from_path(source).context("create a file in", from)?;
    fs::write(&source, b"rootstock").context("write", &source)?;
    let directory = super::temporary_directory(to, ".probe-")?;
    Ok(what(&source, directory.path()))
}

/// Puts the file `from` at `to`, which must not exist, with this mode and this time of last change.
///
/// A hard link that is refused for this one file (too many names already, another device) is replaced by a copy: a
/// copy is never wrong, only larger. A hard link keeps mode and time of the file it names.
pub fn place(method: Method, from: &Path, to: &Path, mode: u32, seconds: u64) -> Result<()> {
    match try_method(method, from, to) {
        Ok(()) if method == Method::HardLink => return Ok(()),
        Ok(()) => {}
        Err(error) if method != Method::Copy && is_refusal(&error) => {
            super::remove_if_present(to)?;
            try_method(Method::Copy, from, to).context("copy to", to)?;
        }
        Err(error) => return Err(error).context(verb(method), to),
    }
    finish(to, mode, seconds).context("set mode and time of", to)
}

fn verb(method: Method) -> &'static str {
    match method {
        Method::Reflink => "clone to",
        Method::HardLink => "link to",
        Method::Copy => "copy to",
    }
}

/// The method, not the disk, is what failed.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TooManyLinks
            | io::ErrorKind::CrossesDevices
            | io::ErrorKind::Unsupported
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
    )
}

fn try_method(method: Method, from: &Path, to: &Path) -> io::Result<()> {
    match method {
        Method::HardLink => fs::hard_link(from, to),
        Method::Reflink => {
            let source = super::reading::try_open(from)?;
            let clone = File::create_new(to)?;
            rustix::fs::ioctl_ficlone(&clone, &source).map_err(io::Error::from)
        }
        Method::Copy => {
            let mut source = super::reading::try_open(from)?;
            let mut copy = File::create_new(to)?;
            // `io::copy` lets the kernel copy (copy_file_range) where it can.
            io::copy(&mut source, &mut copy).map(|_| ())
        }
    }
}

fn finish(path: &Path, mode: u32, seconds: u64) -> io::Result<()> {
    let file = File::open(path)?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time))?;
    file.set_permissions(Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_probe_finds_works() {
        let temporary = tempfile::tempdir().unwrap();
        let (from, to) = (temporary.path().join("from"), temporary.path().join("to"));
        for directory in [&from, &to] {
            fs::create_dir(directory).unwrap();
        }
        let method = probe(&from, &to).unwrap();
        assert_eq!(
            super::super::names(&to).unwrap(),
            [""; 0],
            "nothing is left"
        );
        assert_eq!(super::super::names(&from).unwrap(), [""; 0]);
        fs::write(from.join("x"), "text").unwrap();
        place(method, &from.join("x"), &to.join("x"), 0o444, 1).unwrap();
        assert_eq!(fs::read(to.join("x")).unwrap(), b"text");
    }

    #[test]
    fn a_copy_has_the_mode_and_time_it_was_given_and_a_life_of_its_own() {
        let temporary = tempfile::tempdir().unwrap();
        let (from, to) = (temporary.path().join("from"), temporary.path().join("to"));
        fs::write(&from, "text").unwrap();
        place(Method::Copy, &from, &to, 0o555, 315_532_800).unwrap();
        fs::write(&from, "else").unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"text");
        let metadata = fs::metadata(&to).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o555);
        let since = metadata
            .modified()
            .unwrap()
            .duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.unwrap().as_secs(), 315_532_800);
    }

    #[test]
    fn a_file_that_is_there_is_never_overwritten() {
        let temporary = tempfile::tempdir().unwrap();
        let (from, to) = (temporary.path().join("from"), temporary.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        for method in [Method::HardLink, Method::Copy] {
            place(method, &from, &to, 0o444, 1).unwrap_err();
            assert_eq!(fs::read(&to).unwrap(), b"old");
        }
    }
}
