//! What is unfinished in a root, and where it lies: the one list that `sync`, `gc` and `doctor` use.
//!
//! Whatever is made in a root is made under a name that begins with a dot and names its maker (see [`maker`]), beside
//! its final place, and renamed when it is whole. So what a killed process leaves is found by its name alone. Claims and
//! downloads of weights are not in this list: they have readers of their own (see `claims` and `gc`).

use std::path::{Path, PathBuf};

use crate::files::{self, maker};

use super::{Root, retired_id, trash};

/// Something unfinished, or put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name there.
    pub(crate) name: String,
    /// Who made it, from its name; empty where the name has none.
    pub(crate) maker: String,
    /// In which state it is.
    pub(crate) state: State,
}

/// In which state something unfinished is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being made, or its maker was killed.
    Staging,
    /// A download that broke off: the next one continues it.
    Part,
    /// It was put aside beside its place, because it could not be moved to the trash.
    Aside,
}

impl Unfinished {
    /// Whether the process of this name made it.
    pub(crate) fn is_of(&self, maker: &str) -> bool {
        let rest = self.maker.strip_prefix(maker);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// Everything unfinished in a root.
pub(crate) fn unfinished(root: &Root) -> files::Result<Vec<Unfinished>> {
    let mut found = Vec::new();
    for directory in directories(root) {
        found.extend(in_directory(root, &directory)?);
    }
    Ok(found)
}

/// What processes that are certainly gone have left and no process continues. Directories that cannot be listed are left
/// out.
pub(crate) fn abandoned(root: &Root) -> Vec<Unfinished> {
    let all = directories(root).into_iter();
    let all = all.flat_map(|directory| in_directory(root, &directory).unwrap_or_default());
    all.filter(|found| found.state == State::Staging && maker::is_gone(&found.maker))
        .collect()
}

/// Removes what is [`abandoned`]. What cannot be removed, or is removed by another process at the same time, only takes
/// space.
pub(crate) fn sweep(root: &Root) {
    for found in abandoned(root) {
        let _ = if files::is_really_directory(&found.path) {
            files::remove_tree(&found.path)
        } else {
            files::remove_if_present(&found.path)
        };
    }
}

/// Every directory in which something unfinished may lie.
fn directories(root: &Root) -> Vec<PathBuf> {
    let mut directories = vec![
        root.path().to_owned(),
        root.claims(),
        root.environments(),
        root.pins(),
        root.prefetched(),
        root.pythons(),
    ];
    for parent in [root.all_generations(), root.store()] {
        // A directory that cannot be listed is reported when it is read itself.
        let names = files::names(&parent).unwrap_or_default().into_iter();
        let children = names.filter(|name| !name.starts_with('.'));
        let children = children.map(|name| parent.join(name));
        directories.extend(children.filter(|path| files::is_really_directory(path)));
        directories.push(parent);
    }
    directories
}

fn in_directory(root: &Root, directory: &Path) -> files::Result<Vec<Unfinished>> {
    let mut found = Vec::new();
    for name in files::names(directory)? {
        let Some((state, maker)) = state(root, directory, &name) else {
            continue;
        };
        found.push(Unfinished {
            path: directory.join(&name),
            maker: maker.to_owned(),
            name,
            state,
        });
    }
    Ok(found)
}

/// The state of what has this name, and its maker; `None` if it is finished, or not ours.
fn state<'n>(root: &Root, directory: &Path, name: &'n str) -> Option<(State, &'n str)> {
    if let Some((_, maker)) = name.split_once(".part")
        && directory == root.archives()
    {
        return Some((State::Part, maker.trim_start_matches('-')));
    }
    if !name.starts_with('.') {
        return None;
    }
    let maker = maker::in_name(name);
    if name.starts_with(trash::ASIDE) {
        return Some((State::Aside, maker.unwrap_or_default()));
    }
    // The note about a generation that is there.
    if retired_id(name).is_some_and(|id| files::exists(&directory.join(id))) {
        return None;
    }
    // People keep files of their own beside ours: `.git`, `.snapshot`.
    if directory == root.path() && maker.is_none() {
        return None;
    }
    Some((State::Staging, maker.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::wheels::Staging;

    #[test]
    fn what_is_unfinished_is_found_wherever_it_lies() {
        let temporary = tempfile::tempdir().unwrap();
        let root = Root::at(temporary.path(), None);
        let us = maker::this_process();
        let expected = [
            format!(".rootstock-{us}-x"),
            format!("claims/.rootstock-{us}-x"),
            format!("envs/.one-{us}-x"),
            format!("generations/.rootstock-{us}-x"),
            format!("generations/one/.staging-{us}-x"),
            "generations/one/.retired-gone".to_owned(),
            format!("generations/one/.trash-one-{us}-x"),
            format!("pins/.rootstock-{us}-x"),
            format!("prefetched/.rootstock-{us}-x"),
            format!("pythons/.staging-{us}-x"),
            format!("store/.rootstock-{us}-x"),
            format!("store/archives/.packing-{us}-x"),
            format!("store/archives/0123.part-{us}"),
            format!("store/built-1/.making-{us}-x"),
            format!("store/bytecode-4/.making-{us}-x"),
            format!("store/wheels-1/.making-{us}-x"),
            format!("store/wheels-2/.making-{us}-x"),
        ];
        let finished = [
            ".git",
            "envs/one",
            "generations/one/0123",
            "generations/one/.retired-0123",
            "pythons/0123",
            "store/archives/0123",
            "store/wheels-2/0123",
            "cache/.hidden",
        ];
        let paths = expected.iter().map(String::as_str).chain(finished);
        for path in paths {
            files::create_directories(&temporary.path().join(path)).unwrap();
        }
        let mut found: Vec<String> = unfinished(&root)
            .unwrap()
            .iter()
            .map(|found| found.path.strip_prefix(root.path()).unwrap())
            .map(|path| path.display().to_string())
            .collect();
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(abandoned(&root), []);
    }

    #[test]
    fn only_the_staging_of_processes_that_are_gone_is_swept() {
        let temporary = tempfile::tempdir().unwrap();
        let root = Root::at(temporary.path(), None);
        let wheels = root.wheels();
        let us = maker::this_process();
        let mut parts: Vec<&str> = us.split('-').collect();
        // Our own number, given to a process that started at another time.
        parts[3] = "1";
        let dead = format!(".making-{}-abc", parts.join("-"));
        let elsewhere = ".making-other-1-1-1-abc".to_owned();
        for name in [&dead, &elsewhere, "0123"] {
            files::create_directories(&wheels.join(name).join("tree")).unwrap();
        }
        let file = temporary.path().join(dead.replace("making", "rootstock"));
        files::write(&file, b"half").unwrap();
        let ours = Staging::beside(&wheels.join("4567"), &root).unwrap();
        sweep(&root);
        assert!(!files::exists(&file));
        let mut left = vec![elsewhere, "0123".to_owned()];
        left.push(ours.path().file_name().unwrap().to_string_lossy().into());
        left.sort();
        assert_eq!(files::names(&wheels).unwrap(), left);
    }
}
