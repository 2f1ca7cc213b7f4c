//! When something was changed, and what time it is, both by the clock of the filesystem that holds it: two hosts whose
//! clocks differ see the same ages. Nothing that must be right depends on it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Context, Result};

/// What the filesystem takes for the present: the time it gives a new file, which has no name and goes at once.
pub fn now(directory: &Path) -> Result<SystemTime> {
    let file = tempfile::tempfile_in(directory).context("create a file in", directory)?;
    let metadata = file.metadata().context("examine a file in", directory)?;
    metadata.modified().context("examine a file in", directory)
}

/// When the contents of a file were last changed; nobody is asked but the file itself, links not followed.
pub fn modified(path: &Path) -> Result<SystemTime> {
    std::fs::symlink_metadata(path)
        .and_then(|metadata| metadata.modified())
        .context("examine", path)
}

/// When a file or directory, its name or its mode was last changed. Unlike the time of its contents nobody can set it.
pub fn changed(path: &Path) -> Result<SystemTime> {
    let metadata = std::fs::symlink_metadata(path).context("examine", path)?;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_made_is_not_older_than_now_and_nothing_is_left() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("file");
        super::super::write(&file, b"x").unwrap();
        super::super::set_modified(&super::super::open(&file).unwrap(), &file, 1_000).unwrap();
        let now = now(temporary.path()).unwrap();
        assert!(changed(&file).unwrap() <= now);
        let since = modified(&file)
            .unwrap()
            .duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.unwrap().as_secs(), 1_000);
        assert_eq!(super::super::names(temporary.path()).unwrap(), ["file"]);
    }
}
