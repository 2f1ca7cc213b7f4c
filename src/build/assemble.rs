//! Linking an environment together from the wheel store, in a directory that is not visible yet. Publishes nothing.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::digest::Digest;
use crate::files::{self, REPRODUCIBLE_TIME, link};
use crate::python::Interpreter;
use crate::store::inside;
use crate::store::tree::{self, Item, Tree};

use crate::python::bytecode::{is_module, sources_of};
use crate::store::wheels::UnpackedWheel;

/// An unpacked wheel, or its bytecode, that belongs into an environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Whose it is, for people: `ase 3.26.0`.
    pub package: &'a str,
    /// What it installs.
    pub unpacked: &'a UnpackedWheel,
    /// Whether it is bytecode that we compiled.
    pub compiled: bool,
}

/// What goes into an environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe<'a> {
    /// The wheels and their bytecode.
    pub parts: &'a [Part<'a>],
    /// The bytes of its source file.
    pub source: &'a [u8],
    /// Its interpreter.
    pub interpreter: &'a Interpreter,
}

/// An environment as it was assembled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assembled {
    /// Every file.
    pub tree: Tree,
    /// How many bytes they have.
    pub bytes: u64,
}

/// An environment cannot be assembled.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// Two packages install different files at one place.
    #[error("`{first}` and `{second}` both install `{path}`, with different contents")]
    #[diagnostic(help(
        "they cannot be installed together: leave one of them out (`exclude`), or pin a version that does not have \
         the file"
    ))]
    Clash {
        /// The path of the file, as text.
        path: String,
        /// The package that installs it.
        first: String,
        /// The package that installs it too.
        second: String,
    },
    /// A package installs a file where another one has a directory.
    #[error("`{package}` installs the file `{path}` where other packages have a directory")]
    #[diagnostic(help("they cannot be installed together: leave one of them out (`exclude`)"))]
    FileIsDirectory {
        /// The path.
        path: String,
        /// The package that installs the file.
        package: String,
    },
    /// A package installs a file that is ours.
    #[error("`{package}` installs `{path}`, a name that rootstock needs for itself")]
    #[diagnostic(help("leave the package out (`exclude`)"))]
    Reserved {
        /// The path.
        path: String,
        /// The package that installs it.
        package: String,
    },
}

/// The package that put an entry into the tree, and where its bytes are.
struct Claim<'a> {
    package: &'a str,
    from: Option<PathBuf>,
    item: Item,
    size: u64,
}

type Claims<'a> = BTreeMap<String, Claim<'a>>;

/// Fills the empty directory `into`, by `method` where files come from the wheel store. Uses the rayon pool it is called in.
pub(crate) fn assemble(
    into: &Path,
    recipe: Recipe,
    method: link::Method,
) -> Result<Assembled, Error> {
    let mut claims = own(recipe);
    claim(recipe, &mut claims)?;
    create_directories(into, &claims)?;
    claims.par_iter().try_for_each(|(path, claim)| {
        let Some(from) = &claim.from else {
            return Ok(());
        };
        let mode = match claim.item {
            Item::File { executable, .. } => Item::mode(executable),
            Item::Link(_) => unreachable!("the wheel store has only files"),
        };
        link::place(method, from, &into.join(path), mode, REPRODUCIBLE_TIME)
    })?;
    write_own(into, recipe)?;
    let bytes = claims.values().map(|claim| claim.size).sum();
    let tree = Tree(claims.into_iter().map(|(path, c)| (path, c.item)).collect());
    write_read_only(&into.join(inside::TREE), tree.text().as_bytes())?;
    Ok(Assembled { tree, bytes })
}

/// The entries that no package brings.
fn own(recipe: Recipe) -> Claims<'static> {
    let version = &recipe.interpreter.identity.version;
    let file = |bytes: &[u8]| Item::File {
        sha256: Digest::of(bytes),
        executable: false,
    };
    let configuration = tree::normal_configuration(version);
    let source = recipe.source.len() as u64;
    let mut items = vec![
        (inside::SOURCE.to_owned(), file(recipe.source), source),
        (
            inside::CONFIGURATION.to_owned(),
            file(configuration.as_bytes()),
            0,
        ),
        (inside::PYTHON.to_owned(), tree::normal_interpreter(), 0),
    ];
    for name in other_names(recipe.interpreter) {
        items.push((name, Item::Link("python".to_owned()), 0));
    }
    let (name, target) = importable(recipe.interpreter.series());
    items.push((name, Item::Link(target), 0));
    let claim = |(path, item, size)| {
        let claim = Claim {
            package: "rootstock",
            from: None,
            item,
            size,
        };
        (path, claim)
    };
    items.into_iter().map(claim).collect()
}

fn other_names(interpreter: &Interpreter) -> [String; 2] {
    let (major, minor) = interpreter.series();
    [
        format!("bin/python{major}"),
        format!("bin/python{major}.{minor}"),
    ]
}

/// A link to the source among the packages, and what it leads to: processes that a model starts import the source by its
/// name, as Python's own `multiprocessing` has it.
pub(super) fn importable((major, minor): (u64, u64)) -> (String, String) {
    let source = inside::SOURCE;
    (
        format!("lib/python{major}.{minor}/site-packages/{source}"),
        format!("../../../{source}"),
    )
}

fn claim<'a>(recipe: Recipe<'a>, claims: &mut Claims<'a>) -> Result<(), Error> {
    let series = recipe.interpreter.series();
    let sources = sources(recipe);
    for &Part {
        package,
        unpacked,
        compiled,
    } in recipe.parts
    {
        for file in &unpacked.files {
            let path = file.installed(series);
            // Python would run it in place of a source that another package, or we, have put there.
            if !compiled && sources_of(&path).any(|source| sources.contains(&source)) {
                continue;
            }
            let item = Item::File {
                sha256: file.sha256,
                executable: file.executable,
            };
            if matches!(path.as_str(), inside::TREE | inside::STAMP) {
                let package = package.to_owned();
                return Err(Error::Reserved { path, package });
            }
            match claims.entry(path) {
                Entry::Vacant(vacant) => {
                    vacant.insert(Claim {
                        package,
                        from: Some(unpacked.source(file)),
                        item,
                        size: file.size,
                    });
                }
                // Packages of one family ship the same `__init__.py`; where the contents are equal, order decides
                // nothing and nothing is lost.
                Entry::Occupied(there) if there.get().item == item => {}
                Entry::Occupied(there) => {
                    return Err(clash(there.key(), there.get().package, package));
                }
            }
        }
    }
    Ok(())
}

/// The paths of everything that is Python source.
fn sources(recipe: Recipe) -> HashSet<String> {
    let series = recipe.interpreter.series();
    let files = recipe.parts.iter().flat_map(|part| &part.unpacked.files);
    let sources = files.filter(|file| is_module(&file.path));
    sources
        .map(|file| file.installed(series))
        .chain([inside::SOURCE.to_owned()])
        .collect()
}

fn clash(path: &str, first: &str, second: &str) -> Error {
    let path = path.to_owned();
    if first == "rootstock" {
        let package = second.to_owned();
        return Error::Reserved { path, package };
    }
    Error::Clash {
        path,
        first: first.to_owned(),
        second: second.to_owned(),
    }
}

fn create_directories(into: &Path, claims: &Claims) -> Result<(), Error> {
    let mut directories = BTreeSet::new();
    for path in claims.keys() {
        let mut above = path.as_str();
        while let Some((parent, _)) = above.rsplit_once('/') {
            if !directories.insert(parent) {
                break;
            }
            above = parent;
        }
    }
    // Sorted: parents come before their children.
    for directory in directories {
        if let Some(claim) = claims.get(directory) {
            return Err(Error::FileIsDirectory {
                path: directory.to_owned(),
                package: claim.package.to_owned(),
            });
        }
        files::create_directory(&into.join(directory))?;
    }
    Ok(())
}

fn write_own(into: &Path, recipe: Recipe) -> Result<(), Error> {
    let executable = &recipe.interpreter.executable;
    let configuration = tree::configuration(executable, &recipe.interpreter.identity.version);
    write_read_only(&into.join(inside::CONFIGURATION), configuration.as_bytes())?;
    write_read_only(&into.join(inside::SOURCE), recipe.source)?;
    files::symlink(executable, &into.join(inside::PYTHON))?;
    for name in other_names(recipe.interpreter) {
        files::symlink(Path::new("python"), &into.join(name))?;
    }
    let (name, target) = importable(recipe.interpreter.series());
    files::symlink(Path::new(&target), &into.join(name))?;
    Ok(())
}

pub(super) fn write_read_only(path: &Path, bytes: &[u8]) -> files::Result<()> {
    files::write(path, bytes)?;
    files::set_modified(&files::open(path)?, path, REPRODUCIBLE_TIME)?;
    files::set_mode(path, Item::mode(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::interpreter;
    use crate::store::wheels::{Scheme, UnpackedFile};

    fn unpacked(directory: &Path, files: &[(Scheme, &str, &str)]) -> UnpackedWheel {
        let mut unpacked = UnpackedWheel {
            directory: directory.to_owned(),
            files: Vec::new(),
        };
        for (scheme, path, text) in files {
            let file = UnpackedFile {
                scheme: *scheme,
                path: (*path).to_owned(),
                sha256: Digest::of(text),
                size: text.len() as u64,
                executable: *scheme == Scheme::Scripts,
            };
            let at = unpacked.source(&file);
            files::create_directories(at.parent().unwrap()).unwrap();
            files::write(&at, text.as_bytes()).unwrap();
            files::set_mode(&at, file.mode()).unwrap();
            unpacked.files.push(file);
        }
        unpacked
    }

    fn assemble_all(
        into: &Path,
        parts: &[(&str, &UnpackedWheel)],
        method: link::Method,
    ) -> Result<Assembled, Error> {
        files::create_directories(into).unwrap();
        let parts: Vec<Part> = parts
            .iter()
            .map(|&(package, unpacked)| Part {
                package,
                unpacked,
                compiled: false,
            })
            .collect();
        let interpreter = interpreter();
        let recipe = Recipe {
            parts: &parts,
            source: b"def setup(): ...",
            interpreter: &interpreter,
        };
        assemble(into, recipe, method)
    }

    #[test]
    fn every_method_assembles_what_the_tree_lists() {
        let temporary = tempfile::tempdir().unwrap();
        let one = unpacked(
            &temporary.path().join("one"),
            &[
                (Scheme::SitePackages, "ase/__init__.py", "1"),
                (Scheme::SitePackages, "family/__init__.py", ""),
                (Scheme::Scripts, "ase", "#!"),
            ],
        );
        let two = unpacked(
            &temporary.path().join("two"),
            &[
                (Scheme::SitePackages, "family/__init__.py", ""),
                (Scheme::Data, "share/a b.txt", "2"),
            ],
        );
        let mut trees = Vec::new();
        for (name, method) in [("a", link::Method::HardLink), ("b", link::Method::Copy)] {
            let into = temporary.path().join(name);
            let assembled = assemble_all(&into, &[("one", &one), ("two", &two)], method).unwrap();
            let text = files::read_text(&into.join(inside::TREE)).unwrap();
            assert_eq!(text, assembled.tree.text());
            let python = interpreter();
            let here = tree::Placeholders {
                executable: &python.executable,
                version: "3.11.7",
                access: None,
            };
            let verifier = crate::store::Verifier::default();
            let differences = tree::differences(&into, &assembled.tree, here, &verifier).unwrap();
            assert_eq!(differences, []);
            assert_eq!(assembled.bytes, 1 + 2 + 1 + 16);
            trees.push(assembled.tree);
        }
        assert_eq!(trees[0], trees[1]);
        let paths: Vec<&str> = trees[0].0.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "bin/ase",
                "bin/python",
                "bin/python3",
                "bin/python3.11",
                "env_source.py",
                "lib/python3.11/site-packages/ase/__init__.py",
                "lib/python3.11/site-packages/env_source.py",
                "lib/python3.11/site-packages/family/__init__.py",
                "pyvenv.cfg",
                "share/a b.txt"
            ]
        );
    }

    #[test]
    fn packages_that_do_not_go_together_are_named() {
        let temporary = tempfile::tempdir().unwrap();
        let one_file = |name: &str, scheme, path, text| {
            unpacked(&temporary.path().join(name), &[(scheme, path, text)])
        };
        let module = one_file("module", Scheme::SitePackages, "x.py", "1");
        let other = one_file("other", Scheme::SitePackages, "x.py", "2");
        let below = one_file("below", Scheme::SitePackages, "x.py/y", "");
        let python = one_file("python", Scheme::Scripts, "python3", "");
        let stamp = one_file("stamp", Scheme::Data, inside::STAMP, "");
        for (index, (part, message)) in [
            (
                &other,
                "`module` and `part` both install `lib/python3.11/site-packages/x.py`, with different contents",
            ),
            (
                &below,
                "`module` installs the file `lib/python3.11/site-packages/x.py` where other packages have a directory",
            ),
            (
                &python,
                "`part` installs `bin/python3`, a name that rootstock needs for itself",
            ),
            (
                &stamp,
                "`part` installs `rootstock-stamp.json`, a name that rootstock needs for itself",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let into = temporary.path().join(index.to_string());
            let parts = [("module", &module), ("part", part)];
            let error = assemble_all(&into, &parts, link::Method::Copy).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
