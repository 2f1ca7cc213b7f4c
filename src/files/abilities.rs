//! What the filesystem of a directory can do, found by trying. Leaves nothing behind in the directory but what was there
//! before.

use std::fs::{self, File};
use std::path::Path;

use super::space::shortage;
use super::{Context, Result};

/// What works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is the answer to a question of its own"
)]
pub(crate) struct Abilities {
    /// A rename moves a directory to a free name, and never replaces one that has something in it.
    pub rename_refused_when_occupied: bool,
    /// A rename puts a symbolic link in the place of another one.
    pub link_replaced_by_rename: bool,
    /// A file can have a second name.
    pub hard_link: bool,
    /// Of two who lock a file exclusively, the second is refused.
    pub lock_excludes: bool,
}

/// Tries everything in an empty directory. A lack of room is an error: it does not show what works.
pub(crate) fn try_in(directory: &Path) -> Result<Abilities> {
    let answer = |tried: std::io::Result<bool>| match tried {
        Err(error) if shortage(&error).is_some() => Err(error).context("write in", directory),
        tried => Ok(tried.unwrap_or(false)),
    };
    Ok(Abilities {
        rename_refused_when_occupied: answer(rename(directory))?,
        link_replaced_by_rename: answer(flip(directory))?,
        hard_link: answer(hard_link(directory))?,
        lock_excludes: answer(lock(directory))?,
    })
}

fn rename(directory: &Path) -> std::io::Result<bool> {
    let [first, second, published] =
        ["first", "second", "published"].map(|name| directory.join(name));
    for made in [&first, &second] {
        fs::create_dir(made)?;
        fs::write(made.join("file"), made.display().to_string())?;
    }
    fs::rename(&first, &published)?;
    let refused = fs::rename(&second, &published).is_err();
    let kept = fs::read_to_string(published.join("file"))? == first.display().to_string();
    Ok(refused && kept && !first.exists())
}

fn flip(directory: &Path) -> std::io::Result<bool> {
    let (link, beside) = (directory.join("link"), directory.join("beside"));
    std::os::unix::fs::symlink("old", &link)?;
    std::os::unix::fs::symlink("new", &beside)?;
    fs::rename(&beside, &link)?;
    Ok(fs::read_link(&link)? == Path::new("new"))
}

fn hard_link(directory: &Path) -> std::io::Result<bool> {
    let (file, second) = (directory.join("file"), directory.join("second-name"));
    fs::write(&file, "text")?;
    fs::hard_link(&file, &second)?;
    Ok(fs::read(&second)? == b"text")
}

fn lock(directory: &Path) -> std::io::Result<bool> {
    let path = directory.join("lock");
    let (first, second) = (File::create(&path)?, File::open(&path)?);
    first.try_lock()?;
    Ok(matches!(
        second.try_lock(),
        Err(fs::TryLockError::WouldBlock)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_filesystem_can_do_what_a_root_needs() {
        let directory = tempfile::tempdir().unwrap();
        let abilities = try_in(directory.path()).unwrap();
        assert!(abilities.rename_refused_when_occupied && abilities.link_replaced_by_rename);
    }
}
