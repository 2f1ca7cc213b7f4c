//! Directories that must lie below another one, whatever links are on the way: what others may write in is no place to
//! write through. What the directories are for is not known here.

use std::io;
use std::path::{Path, PathBuf};

use super::failed::LeadsOut;
use super::{Error, Result, create_directories, exists, real_path};

/// Where the file at this path below `top` lies; its directory, and `top`, are made. It is an error, before anything is
/// made, that a link on the way leads out of `top`.
pub(crate) fn room_below(top: &Path, below: &str) -> Result<PathBuf> {
    create_directories(top)?;
    check_below(top, below)?;
    let path = top.join(below);
    create_directories(path.parent().unwrap_or(top))?;
    Ok(path)
}

/// Makes sure that no link on the way to the file at this path below `top` leads out of `top`, which is there. The file
/// may be a link.
pub(crate) fn check_below(top: &Path, below: &str) -> Result<()> {
    let path = top.join(below);
    let mut above = path.ancestors().skip(1);
    let there = above.find(|directory| exists(directory)).unwrap_or(top);
    let top = real_path(top)?;
    match real_path(there) {
        Ok(real) if real.starts_with(&top) => Ok(()),
        // A link to something that could be made.
        Err(error) if !error.is_missing() => Err(error),
        _ => Err(Error {
            action: "use",
            path: there.to_owned(),
            source: io::Error::other(LeadsOut(top)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::symlink;
    use super::*;

    #[test]
    fn a_link_may_lead_anywhere_below_and_nowhere_else() {
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name);
        let top = path("top");
        assert_eq!(room_below(&top, "a/b/file").unwrap(), path("top/a/b/file"));
        create_directories(&path("topmost")).unwrap();
        for (link, target) in [
            ("inside", path("top/a")),
            ("outside", path("")),
            ("beside", path("topmost")),
            ("nowhere", path("missing")),
        ] {
            symlink(&target, &top.join(link)).unwrap();
            let below = format!("{link}/c/file");
            assert_eq!(room_below(&top, &below).is_ok(), link == "inside", "{link}");
        }
        assert!(exists(&path("top/a/c")) && !exists(&path("c")) && !exists(&path("missing")));
        // The place of the cache itself is its user's decision.
        symlink(&top, &path("elsewhere")).unwrap();
        assert!(room_below(&path("elsewhere"), "a/d/file").is_ok());
        let error = room_below(&top, "outside/file").unwrap_err();
        assert!(
            crate::report::help(&error)
                .unwrap()
                .starts_with("remove the link")
        );
    }
}
