//! `rootstock-tree.txt`: every file of a generation with its digest, in a form that is the same on every machine.
//!
//! One line per file or link, sorted by path (by bytes):
//!
//! ```text
//! <sha256> 0444 lib/python3.11/site-packages/ase/__init__.py
//! <sha256> 0555 bin/ase
//! link python bin/python3
//! link {python} bin/python
//! ```
//!
//! The tree file itself and the stamp are not listed. Two entries name the machine and stand in normal form:
//! `bin/python`, whose target is the interpreter, is written as `{python}`, and the `home` line of `pyvenv.cfg` is
//! digested as `home = {python-home}`. In paths and targets `\`, line breaks and, in targets, spaces are written `\xx`
//! (two hexadecimal digits). Directories are not listed: they hold nothing of their own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use rayon::prelude::*;

use crate::access::{self, Access};
use crate::digest::Digest;
use crate::files::{self, Kind};

use super::{Verifier, inside};

/// Stands for the interpreter's executable.
const PYTHON: &str = "{python}";
/// No `pyvenv.cfg` of ours has so many bytes.
const LONGEST_CONFIGURATION: u64 = 1 << 16;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A file.
    File {
        /// Digest of its bytes, in normal form.
        sha256: Digest,
        /// Whether it may be executed: mode 0555 rather than 0444.
        executable: bool,
    },
    /// A symbolic link, with its target in normal form.
    Link(String),
}

impl Item {
    /// The permission bits of a file in normal form; those it has are the policy's.
    pub(crate) fn mode(executable: bool) -> u32 {
        if executable { 0o555 } else { 0o444 }
    }
}

/// All files of a generation by path, `/` between its parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(pub BTreeMap<String, Item>);

/// A text is not a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not an entry of a tree file: `{text}`")]
pub(crate) struct Invalid {
    /// Which line, from 1.
    pub line: usize,
    /// Its content.
    pub text: String,
}

impl Tree {
    /// The text of the tree file; its digest is the tree digest.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (path, item) in &self.0 {
            let path = escape(path, false);
            let _ = match item {
                Item::File { sha256, executable } => {
                    writeln!(text, "{sha256} {:04o} {path}", Item::mode(*executable))
                }
                Item::Link(target) => writeln!(text, "link {} {path}", escape(target, true)),
            };
        }
        text
    }

    /// Reads the text of a tree file.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let mut entries = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let (path, item) = entry(line).ok_or_else(|| Invalid {
                line: index + 1,
                text: line.to_owned(),
            })?;
            entries.insert(path, item);
        }
        Ok(Self(entries))
    }
}

fn entry(line: &str) -> Option<(String, Item)> {
    let mut words = line.splitn(3, ' ');
    let (first, second, path) = (words.next()?, words.next()?, words.next()?);
    let item = match (first, second) {
        ("link", target) => Item::Link(unescape(target)?),
        (sha256, "0444") => file(sha256, false)?,
        (sha256, "0555") => file(sha256, true)?,
        _ => return None,
    };
    Some((unescape(path)?, item))
}

fn file(sha256: &str, executable: bool) -> Option<Item> {
    let sha256 = sha256.parse().ok()?;
    Some(Item::File { sha256, executable })
}

fn escape(text: &str, spaces: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '\n' | '\r' => {
                let _ = write!(escaped, "\\{:02x}", character as u32);
            }
            ' ' if spaces => escaped.push_str("\\20"),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('\\');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        plain.push(u8::from_str_radix(part.get(..2)?, 16).ok()?.into());
        plain.push_str(&part[2..]);
    }
    Some(plain)
}

/// The text of `pyvenv.cfg` for this interpreter: what makes Python take the directory for an environment.
pub(crate) fn configuration(executable: &Path, version: &str) -> String {
    let home = executable.parent().unwrap_or(Path::new("/"));
    format!(
        "home = {}\ninclude-system-site-packages = false\nversion = {version}\n",
        home.display()
    )
}

/// The same text in normal form.
pub(crate) fn normal_configuration(version: &str) -> String {
    format!("home = {{python-home}}\ninclude-system-site-packages = false\nversion = {version}\n")
}

/// The target of `bin/python` in normal form.
pub(crate) fn normal_interpreter() -> Item {
    Item::Link(PYTHON.to_owned())
}

/// A difference from the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The path below the generation.
    pub path: String,
    /// What is wrong with it.
    pub what: DifferenceKind,
}

/// What can be wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DifferenceKind {
    /// Listed, and not there.
    Missing,
    /// There, and not listed.
    Extra,
    /// Its content, target or kind is another.
    Content,
    /// Its permission bits are others.
    Mode,
    /// It cannot be read.
    Unreadable,
}

impl std::fmt::Display for DifferenceKind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            DifferenceKind::Missing => "is missing",
            DifferenceKind::Extra => "does not belong there",
            DifferenceKind::Content => "has changed",
            DifferenceKind::Mode => "has another mode",
            DifferenceKind::Unreadable => "cannot be read",
        })
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "`{}` {}", self.path, self.what)
    }
}

/// Everything in a generation that differs from its tree, sorted by path: every file is read. Uses the rayon pool
/// it is called in.
pub(crate) fn differences(
    generation: &Path,
    tree: &Tree,
    here: Placeholders,
    verifier: &Verifier,
) -> files::Result<Vec<Difference>> {
    let found: BTreeMap<String, files::Entry> = files::walk(generation)?
        .into_iter()
        .filter(|entry| entry.kind != Kind::Directory)
        .map(|entry| (entry.path.to_string_lossy().into_owned(), entry))
        .filter(|(path, _)| path != inside::TREE && path != inside::STAMP)
        .collect();
    let extra = found
        .keys()
        .filter(|path| !tree.0.contains_key(*path))
        .map(|path| (path, DifferenceKind::Extra));
    let machine = Machine { here, verifier };
    let mut differences: Vec<Difference> = tree
        .0
        .par_iter()
        .map(|(path, item)| {
            let what = machine.wrong(generation, path, item, found.get(path))?;
            Ok(what.map(|what| (path, what)))
        })
        .collect::<files::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .chain(extra)
        .map(|(path, what)| Difference {
            path: path.clone(),
            what,
        })
        .collect();
    differences.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(differences)
}

/// What the normal form stands for in this root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placeholders<'a> {
    /// The interpreter that a stamp names.
    pub executable: &'a Path,
    /// Its version.
    pub version: &'a str,
    /// The policy that the modes follow.
    pub access: Option<&'a Access>,
}

struct Machine<'a> {
    here: Placeholders<'a>,
    verifier: &'a Verifier<'a>,
}

impl Machine<'_> {
    fn wrong(
        &self,
        generation: &Path,
        path: &str,
        item: &Item,
        found: Option<&files::Entry>,
    ) -> files::Result<Option<DifferenceKind>> {
        let Some(found) = found else {
            return Ok(Some(DifferenceKind::Missing));
        };
        let here = generation.join(path);
        match item {
            Item::Link(target) => {
                let target = if target == PYTHON {
                    self.here.executable
                } else {
                    Path::new(target)
                };
                let same = found.kind == Kind::Link
                    && files::link_target(&here)?.as_deref() == Some(target);
                Ok((!same).then_some(DifferenceKind::Content))
            }
            Item::File { sha256, executable } => {
                if found.kind != Kind::File {
                    return Ok(Some(DifferenceKind::Content));
                }
                match self.digest(&here, path) {
                    Ok(digest) if digest == *sha256 => {}
                    Ok(_) => return Ok(Some(DifferenceKind::Content)),
                    Err(error) if error.is_missing() => return Ok(Some(DifferenceKind::Missing)),
                    Err(error) if error.is_refused() => {
                        return Ok(Some(DifferenceKind::Unreadable));
                    }
                    Err(error) => return Err(error),
                }
                let mode = access::published(self.here.access, *executable);
                Ok((found.mode != mode).then_some(DifferenceKind::Mode))
            }
        }
    }

    fn digest(&self, path: &Path, below: &str) -> files::Result<Digest> {
        if below != inside::CONFIGURATION || files::size(path)? > LONGEST_CONFIGURATION {
            return self.verifier.digest(path);
        }
        let Placeholders {
            executable,
            version,
            access: _,
        } = self.here;
        let bytes = files::read(path)?;
        self.verifier.count(bytes.len() as u64);
        // Anything but what we wrote for this interpreter is digested as it stands, and differs.
        Ok(if bytes == configuration(executable, version).as_bytes() {
            Digest::of(normal_configuration(version))
        } else {
            Digest::of(bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tree {
        let file = |text: &str, executable| Item::File {
            sha256: Digest::of(text),
            executable,
        };
        Tree(BTreeMap::from([
            ("bin/python".into(), normal_interpreter()),
            ("bin/tool".into(), file("tool", true)),
            ("lib/with space\n\\.py".into(), file("odd", false)),
            ("link".into(), Item::Link("a b\\c".into())),
            (
                inside::CONFIGURATION.into(),
                file(&normal_configuration("3.11.7"), false),
            ),
        ]))
    }

    fn write_sample(generation: &Path) {
        for (path, text, mode) in [
            ("bin/tool", "tool", 0o555),
            ("lib/with space\n\\.py", "odd", 0o444),
            (
                inside::CONFIGURATION,
                &configuration(Path::new("/usr/bin/python3.11"), "3.11.7"),
                0o444,
            ),
            (inside::TREE, "", 0o444),
            (inside::STAMP, "", 0o444),
        ] {
            let path = generation.join(path);
            files::create_directories(path.parent().unwrap()).unwrap();
            files::write(&path, text.as_bytes()).unwrap();
            files::set_mode(&path, mode).unwrap();
        }
        for (link, target) in [("bin/python", "/usr/bin/python3.11"), ("link", "a b\\c")] {
            files::symlink(Path::new(target), &generation.join(link)).unwrap();
        }
    }

    fn check(generation: &Path) -> Vec<String> {
        let python = Path::new("/usr/bin/python3.11");
        let here = Placeholders {
            executable: python,
            version: "3.11.7",
            access: None,
        };
        differences(generation, &sample(), here, &Verifier::default())
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_tree_reads_back_as_itself() {
        let text = sample().text();
        assert_eq!(Tree::parse(&text).unwrap(), sample());
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.starts_with("link {python} bin/python\n"), "{text}");
    }

    #[test]
    fn what_is_not_a_tree_is_refused_with_its_line() {
        let digest = Digest::of("");
        for bad in [
            "x",
            "link a",
            &format!("{digest} 0777 x"),
            "00 0444 x",
            "link \\zz x",
        ] {
            let error = Tree::parse(&format!("link a b\n{bad}\n")).unwrap_err();
            assert_eq!((error.line, error.text.as_str()), (2, bad));
        }
    }

    #[test]
    fn an_untouched_generation_has_no_differences() {
        let temporary = tempfile::tempdir().unwrap();
        write_sample(temporary.path());
        assert_eq!(check(temporary.path()), [""; 0]);
    }

    #[test]
    fn every_kind_of_damage_is_named() {
        let temporary = tempfile::tempdir().unwrap();
        let generation = temporary.path();
        write_sample(generation);
        files::set_mode(&generation.join("bin/tool"), 0o755).unwrap();
        files::write(&generation.join("extra"), b"").unwrap();
        files::remove_if_present(&generation.join("lib/with space\n\\.py")).unwrap();
        let configuration = generation.join(inside::CONFIGURATION);
        files::set_mode(&configuration, 0o644).unwrap();
        files::write(&configuration, b"home = /elsewhere\n").unwrap();
        files::remove_if_present(&generation.join("bin/python")).unwrap();
        files::symlink(Path::new("/tmp/python"), &generation.join("bin/python")).unwrap();
        assert_eq!(
            check(generation),
            [
                "`bin/python` has changed",
                "`bin/tool` has another mode",
                "`extra` does not belong there",
                "`lib/with space\n\\.py` is missing",
                "`pyvenv.cfg` has changed",
            ]
        );
    }
}
