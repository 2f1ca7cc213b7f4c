//! When something was changed, and what time it is, both by the clock of the filesystem that holds it: two hosts whose
//! clocks differ see the same ages. Nothing that must be right depends on it.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, MemfdFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::{Context, Result};

/// What the filesystem takes for the present: the time it gives a new file, which has no name and goes at once. Where no
/// file can be made, it is the time that the filesystem gives the directory, which takes no room; where that cannot be
/// changed either, the time of this host.
pub(crate) fn now(directory: &Path) -> Result<SystemTime> {
    let file = match tempfile::tempfile_in(directory) {
        Ok(file) => file,
        Err(error) if is_refusal(&error) => {
            return touch(directory)
                .or_else(|_| of_memory())
                .context("examine", directory);
        }
        Err(error) => return Err(error).context("create a file in", directory),
    };
    let metadata = file.metadata().context("examine a file in", directory)?;
    metadata.modified().context("examine a file in", directory)
}

/// Whether nothing can be made here: it is read-only, not ours, or full.
fn is_refusal(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(
        kind,
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
    ) || super::space::shortage(error).is_some()
}

/// Has the filesystem give a directory its present time.
fn touch(directory: &Path) -> io::Result<SystemTime> {
    let as_now = |nanoseconds| Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: as_now(UTIME_OMIT),
        last_modification: as_now(UTIME_NOW),
    };
    rustix::fs::utimensat(CWD, directory, &times, AtFlags::empty())?;
    std::fs::metadata(directory)?.modified()
}

/// The time that this host gives a new file in memory.
fn of_memory() -> io::Result<SystemTime> {
    let file = rustix::fs::memfd_create(c"now", MemfdFlags::CLOEXEC)?;
    std::fs::File::from(file).metadata()?.modified()
}

/// When the contents of a file were last changed; of the file itself, links not followed.
pub(crate) fn modified(path: &Path) -> Result<SystemTime> {
    std::fs::symlink_metadata(path)
        .and_then(|metadata| metadata.modified())
        .context("examine", path)
}

/// When a file or directory, its name or its mode was last changed. Unlike the time of its contents no program can set it.
pub(crate) fn changed(path: &Path) -> Result<SystemTime> {
    let metadata = std::fs::symlink_metadata(path).context("examine", path)?;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}

/// A time for people: `2026-11-22T12:00:00Z`. What lies outside of the years 1970 to 9999 is no time of a file.
pub(crate) fn text(time: SystemTime) -> String {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let time = time.clamp(SystemTime::UNIX_EPOCH, last);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_763_812_800, "2025-11-22T12:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(text(time), expected);
        }
        let hour = Duration::from_secs(3_600);
        assert_eq!(text(SystemTime::UNIX_EPOCH - hour), "1970-01-01T00:00:00Z");
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(text(late), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn what_was_just_made_is_not_older_than_now_and_nothing_is_left() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("file");
        super::super::write(&file, b"x").unwrap();
        super::super::set_modified(&super::super::open(&file).unwrap(), &file, 1_000).unwrap();
        let hour = Duration::from_secs(3_600);
        assert!(changed(&file).unwrap() <= of_memory().unwrap() + hour);
        assert!(changed(&file).unwrap() <= touch(temporary.path()).unwrap());
        let now = now(temporary.path()).unwrap();
        assert!(changed(&file).unwrap() <= now);
        let since = modified(&file)
            .unwrap()
            .duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.unwrap().as_secs(), 1_000);
        assert_eq!(super::super::names(temporary.path()).unwrap(), ["file"]);
    }
}
