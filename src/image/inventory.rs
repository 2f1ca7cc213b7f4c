//! Every file of an image in its order, with where it is in the root it is taken from. Reads the lists of trees alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::contents::{self, Cached, Contents, Image, List, Totals};
use super::failed::Owner;
use super::{Error, contents::FILE};
use crate::archive;
use crate::digest::Digest;
use crate::files;
use crate::store::tree::{self, Item, Tree};
use crate::store::{Root, directory, inside, managed, weights};

/// An image as it would be made of a root.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Its beginning.
    pub(crate) image: Image,
    /// Its files and links.
    pub(crate) pieces: Vec<Piece>,
}

/// A file or a link of an image.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Its path in the image.
    pub(super) path: String,
    /// Where it is now.
    pub(super) from: PathBuf,
    /// What it is.
    pub(super) kind: Kind,
    /// What it belongs to.
    pub(super) owner: Owner,
}

/// What a piece is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file with these contents.
    File {
        sha256: Digest,
        executable: bool,
        /// In bytes; 0 where only the digest is known.
        size: u64,
    },
    /// A link that reads so.
    Link(String),
}

/// Lists what these contents are in a root; `copied` has the interpreters of the system that were copied. Uses the rayon pool it
/// is called in.
pub(crate) fn inventory(
    contents: Contents,
    root: &Root,
    copied: &Root,
) -> Result<Inventory, Error> {
    let mut pieces = Vec::new();
    let mut pythons = std::collections::BTreeMap::new();
    for (id, python) in &contents.pythons {
        let from = if python.system.is_some() {
            copied
        } else {
            root
        };
        let home = from.pythons().join(id);
        let stamp = managed::Stamp::read(&home)?;
        let stamp =
            stamp.ok_or_else(|| Error::damaged(home.clone(), "has no stamp", &Owner::Python))?;
        let list = List {
            tree: stamp.tree,
            files: stamp.files,
            bytes: stamp.bytes,
        };
        add_tree(
            &mut pieces,
            &Contents::python(id),
            &home,
            list.tree,
            &Owner::Python,
        )?;
        pythons.insert(id.clone(), list);
    }
    for (name, environment) in &contents.environments {
        let below = Contents::generation(name, environment);
        let home = root.generation(name, &environment.id);
        let owner = Owner::Environment(name.clone());
        add_tree(&mut pieces, &below, &home, environment.tree, &owner)?;
    }
    for (path, cached) in &contents.cache {
        pieces.push(Piece {
            from: weights::path(root, path),
            path: format!("{}/{path}", directory::CACHE),
            kind: of_cache(cached),
            owner: Owner::Cache,
        });
    }
    pieces.par_iter_mut().try_for_each(measure)?;
    let totals = totals(&pieces);
    let image = Image {
        schema: contents::SCHEMA,
        contents,
        pythons,
        totals,
    };
    Ok(Inventory { image, pieces })
}

/// What a file of the cache is in an image.
pub(super) fn of_cache(cached: &Cached) -> Kind {
    match cached {
        Cached::Link(target) => Kind::Link(target.clone()),
        Cached::File { sha256, size } => Kind::File {
            sha256: *sha256,
            executable: false,
            size: *size,
        },
    }
}

/// What a tree has in an image beside its list; what names a place is left out.
pub(super) fn of_tree(tree: Tree) -> Result<Vec<(String, Kind)>, Error> {
    let python = tree::normal_interpreter();
    let carried = |(path, item): &(String, Item)| {
        path != inside::CONFIGURATION && !(path == inside::PYTHON && *item == python)
    };
    let entries = tree.0.into_iter().filter(carried);
    let kind = |(path, item): (String, Item)| {
        let kind = match item {
            Item::Link(target) => Kind::Link(target),
            Item::File { sha256, executable } => Kind::File {
                sha256,
                executable,
                size: 0,
            },
        };
        check_name(&path, &kind)?;
        Ok((path, kind))
    };
    entries.map(kind).collect()
}

/// Makes sure that a path stays below its directory, and that it is not a name of ours.
fn check_name(path: &str, kind: &Kind) -> Result<(), Error> {
    let wrong = |why| Error::Name {
        path: path.to_owned(),
        why,
    };
    archive::check_path(path).map_err(wrong)?;
    if matches!(path, inside::TREE | inside::STAMP) {
        return Err(wrong("is that of a list or stamp"));
    }
    match kind {
        Kind::Link(target) => archive::check_link(path, target).map_err(wrong),
        Kind::File { .. } => Ok(()),
    }
}

fn add_tree(
    pieces: &mut Vec<Piece>,
    below: &str,
    home: &Path,
    digest: Digest,
    owner: &Owner,
) -> Result<(), Error> {
    let at = home.join(inside::TREE);
    let damaged = || Error::damaged(at.clone(), "is not as it was written", owner);
    let text = match files::read(&at) {
        Err(error) if error.is_missing() => return Err(damaged()),
        text => text?,
    };
    if Digest::of(&text) != digest {
        return Err(damaged());
    }
    let tree = std::str::from_utf8(&text).map_err(|_| damaged())?;
    let tree = Tree::parse(tree).map_err(|_| damaged())?;
    let list = Kind::File {
        sha256: digest,
        executable: false,
        size: 0,
    };
    let entries = [(inside::TREE.to_owned(), list)].into_iter();
    for (path, kind) in entries.chain(of_tree(tree)?) {
        pieces.push(Piece {
            path: format!("{below}/{path}"),
            from: home.join(path),
            kind,
            owner: owner.clone(),
        });
    }
    Ok(())
}

/// Looks how large a file is.
fn measure(piece: &mut Piece) -> Result<(), Error> {
    if let Kind::File { size, .. } = &mut piece.kind {
        *size = match files::size(&piece.from) {
            Err(error) if error.is_missing() => {
                return Err(Error::damaged(
                    piece.from.clone(),
                    "is missing",
                    &piece.owner,
                ));
            }
            size => size?,
        };
    }
    Ok(())
}

fn totals(pieces: &[Piece]) -> Totals {
    let mut totals = Totals::default();
    let mut directories = BTreeSet::new();
    for piece in pieces {
        match piece.kind {
            Kind::File { size, .. } => totals.add(size),
            Kind::Link(_) => totals.add(0),
        }
        let above = piece
            .path
            .match_indices('/')
            .map(|(at, _)| &piece.path[..at]);
        directories.extend(above);
    }
    for _ in &directories {
        totals.add_directory();
    }
    totals
}

impl Inventory {
    /// The first file of the image.
    pub(super) fn beginning(&self) -> (&'static str, String) {
        (FILE, self.image.text())
    }
}
