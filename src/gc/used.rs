//! What processes of this host use of a root, as the system shows them. Processes of other hosts, and what other users'
//! processes have mapped, cannot be seen: this makes `gc` careful, not right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::proc;
use crate::store::directory;

/// Directories of a root that may be in use, two names deep for generations and one for the others, with processes.
#[derive(Debug, Default)]
pub(super) struct Used(BTreeMap<PathBuf, Vec<u32>>);

/// Parts of a root that programs run from, with how many names below them identify one thing.
const PARTS: [(&str, usize); 3] = [
    (directory::GENERATIONS, 2),
    (directory::PYTHONS, 1),
    (directory::TRASH, 1),
];

impl Used {
    /// Looks at all processes.
    pub(super) fn read() -> Self {
        let mut used = Self::default();
        let itself = std::process::id();
        for process in proc::processes().into_iter().filter(|one| *one != itself) {
            // A program may have come by any way to a root, so that a path is known by its end. What a process keeps to
            // itself says nothing.
            for text in proc::texts(process) {
                used.note(&text, process);
            }
        }
        used
    }

    /// The processes that use this, by its path below the root.
    pub(super) fn by(&self, below: &Path) -> Option<Vec<u32>> {
        self.0.get(below).cloned()
    }

    fn note(&mut self, text: &str, process: u32) {
        for (part, depth) in PARTS {
            for (at, _) in text.match_indices(&format!("/{part}/")) {
                let names = text[at + part.len() + 2..].split('/').take(depth);
                let below: PathBuf = [part].into_iter().chain(names.map(plain)).collect();
                let processes = self.0.entry(below).or_default();
                if !processes.contains(&process) {
                    processes.push(process);
                }
            }
        }
    }
}

/// The beginning that can be the name of something of ours.
fn plain(name: &str) -> &str {
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.@".contains(c));
    &name[..end.unwrap_or(name.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn paths_are_found_in_arguments_variables_and_maps() {
        let mut used = Used::default();
        used.note(
            "/r/generations/mace/0a/bin/python\0-I\0PATH=/x/generations/emt/1b/bin:/usr/bin\n",
            7,
        );
        used.note(
            "7f-80 r-xp 08:01 1  /r/trash/gc-1-x/lib/a.so (deleted)\n",
            8,
        );
        used.note("/r/pythons/9c/bin/python3.11\0", 8);
        for (below, process) in [
            ("generations/mace/0a", 7),
            ("generations/emt/1b", 7),
            ("trash/gc-1-x", 8),
            ("pythons/9c", 8),
        ] {
            assert_eq!(used.by(Path::new(below)), Some(vec![process]), "{below}");
        }
        assert_eq!(used.by(Path::new("generations/mace/0b")), None);
    }

    #[test]
    fn a_process_of_this_host_is_seen() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("generations/mace/0a");
        files::create_directories(&directory).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .current_dir(&directory)
            .spawn()
            .unwrap();
        let seen = Used::read().by(Path::new("generations/mace/0a"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen.is_some_and(|processes| processes.contains(&child.id())));
    }
}
