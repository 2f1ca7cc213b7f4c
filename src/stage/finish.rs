//! What makes a root of the files of an image: interpreters that were asked who they are, stamps, links, `models.json`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Error, look};
use crate::access::Access;
use crate::files;
use crate::image::contents::{Base, Environment};
use crate::image::{Contents, Image};
use crate::name::EnvironmentName;
use crate::python::Interpreter;
use crate::store::interpreter::{self, Part};
use crate::store::tree::Item;
use crate::store::{
    Policy, Root, Stamp, inside, layout, link_to, managed, prefetched, stamp, tree,
};

type Variables = BTreeMap<OsString, OsString>;

/// Completes the stage that is being made in `at` and will be renamed to `to`.
pub(super) fn finish(
    image: &Image,
    variables: &Variables,
    at: &Path,
    to: &Path,
    id: &str,
) -> Result<(), Error> {
    let policy = Policy::of(Access::Owner)?;
    let root = Root::at(at, None).under(Some(policy.clone()));
    let contents = &image.contents;
    layout::create(&root)?;
    write_interpreter_stamps(image, &root)?;
    for (name, environment) in &contents.environments {
        let interpreter = ask(name, environment, contents, (at, to), variables)?;
        let home = root.generation(name, &environment.id);
        write_place(&interpreter, &home)?;
        let stamp = stamp(name, environment, contents, interpreter, (at, to))?;
        write(&home.join(inside::STAMP), &stamp.text())?;
        files::symlink(&link_to(name, &environment.id), &root.current(name))?;
    }
    for (model, record) in &contents.prefetched {
        prefetched::write(&root, model, record)?;
    }
    files::write(&root.models(), contents.catalogue.text().as_bytes())?;
    make_read_only(&root, contents, &policy)?;
    Ok(look::write_mark(at, id)?)
}

/// Gives everything that was published in the root it comes from the modes it has there.
fn make_read_only(root: &Root, contents: &Contents, policy: &Policy) -> files::Result<()> {
    let pythons = contents.pythons.keys().map(|id| root.pythons().join(id));
    let environments = contents.environments.iter();
    let generations =
        environments.map(|(name, environment)| root.generation(name, &environment.id));
    let trees: Vec<PathBuf> = pythons.chain(generations).collect();
    trees
        .par_iter()
        .try_for_each(|tree| policy.make_tree_read_only(tree))?;
    files::set_mode(&root.path().join(crate::image::contents::FILE), 0o600)
}

fn write_interpreter_stamps(image: &Image, root: &Root) -> files::Result<()> {
    for (id, python) in &image.contents.pythons {
        let list = image.pythons[id];
        let stamp = managed::Stamp {
            schema: managed::SCHEMA,
            archive: python.archive,
            tree: list.tree,
            files: list.files,
            bytes: list.bytes,
        };
        let path = root.pythons().join(id).join(inside::STAMP);
        // That of a copied interpreter is there, and the same.
        files::remove_if_present(&path)?;
        write(&path, &stamp.text())?;
    }
    Ok(())
}

/// What to do where the machine has another Python.
const REQUIRED: &str = "it was taken without its Python: install the same one here, or take it along with `--with-python`";
/// What to do where a Python that was taken along is another one here.
const CARRIED: &str = "its program finds another library here than where it comes from: use a managed interpreter \
     (`python-source = \"managed\"`), which brings its own";

/// The interpreter of an environment, as it reports itself here; its path is the one it will have.
fn ask(
    name: &EnvironmentName,
    environment: &Environment,
    contents: &Contents,
    (at, to): (&Path, &Path),
    variables: &Variables,
) -> Result<Interpreter, Error> {
    let (executable, help) = match &environment.python {
        Base::System(executable) => (executable.clone(), REQUIRED),
        Base::Carried(id) => {
            let below = at.join(Contents::python(id));
            (below.join(&contents.pythons[id].executable), CARRIED)
        }
    };
    let other = |found: String| Error::OtherPython {
        environment: name.clone(),
        wanted: Box::new(environment.identity.clone()),
        executable: executable.clone(),
        found,
        help,
    };
    if !files::exists(&executable) {
        return Err(other("nothing".to_owned()));
    }
    let asked = Interpreter::ask(&executable, variables);
    let interpreter = asked.map_err(|source| Error::Python {
        environment: name.clone(),
        source,
    })?;
    if interpreter.identity != environment.identity {
        return Err(other(interpreter.to_string()));
    }
    Ok(Interpreter {
        executable: moved(&interpreter.executable, at, to),
        ..interpreter
    })
}

/// Where something will be once the stage has its name.
fn moved(path: &Path, at: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(at) {
        Ok(below) => to.join(below),
        Err(_) => path.to_owned(),
    }
}

/// Writes a file of what is published.
fn write(path: &Path, text: &str) -> files::Result<()> {
    files::write(path, text.as_bytes())?;
    files::set_mode(path, Item::mode(false))
}

/// Writes what leads an environment to its interpreter.
fn write_place(interpreter: &Interpreter, home: &Path) -> files::Result<()> {
    let executable = &interpreter.executable;
    let text = tree::configuration(executable, &interpreter.identity.version);
    write(&home.join(inside::CONFIGURATION), &text)?;
    let python = home.join(inside::PYTHON);
    files::create_directories(python.parent().unwrap_or(home))?;
    files::symlink(executable, &python)
}

fn stamp(
    name: &EnvironmentName,
    environment: &Environment,
    contents: &Contents,
    python: Interpreter,
    (at, to): (&Path, &Path),
) -> files::Result<Stamp> {
    // Its files still have their old names.
    let here = Interpreter {
        executable: moved(&python.executable, to, at),
        ..python.clone()
    };
    let parts = interpreter::parts(&here)?.into_iter();
    let parts = parts.map(|part| Part {
        path: moved(&part.path, at, to),
        ..part
    });
    Ok(Stamp {
        schema: stamp::SCHEMA,
        rootstock: stamp::this_version(),
        environment: name.clone(),
        digest: environment.digest,
        id: environment.id.clone(),
        target: contents.target.clone(),
        managed: match &environment.python {
            Base::Carried(id) => Some(id.clone()),
            Base::System(_) => None,
        },
        interpreter: parts.collect(),
        python,
        tree: environment.tree,
        packages: environment.packages,
        files: environment.files,
        bytes: environment.bytes,
    })
}
