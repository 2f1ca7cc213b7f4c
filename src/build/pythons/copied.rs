//! The machine's own interpreter, copied: in the shape of a managed one, so that an environment that was built on it runs where it is
//! not installed. What is installed beside it is left out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Error, compile, rpath, write_lists};
use crate::build::workers::Workers;
use crate::digest::Digest;
use crate::files::{self, Kind};
use crate::process::{self, Command};
use crate::python::{self, Interpreter};
use crate::store::{Root, managed};

type Variables = BTreeMap<OsString, OsString>;

/// What no environment imports of a standard library, and bytecode, which is made anew.
const LEFT_OUT: [&str; 7] = [
    "__pycache__",
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "turtledemo",
    "ensurepip",
];

/// Where the files of an interpreter are, and which library it has loaded.
const QUESTION: &str = r#"
import json, sys, sysconfig
base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
with open("/proc/self/maps") as maps:
    loaded = [line.split(maxsplit=5)[5].strip() for line in maps if "/libpython" in line]
print(json.dumps({
    "libraries": sorted({sysconfig.get_path(key, vars=base) for key in ("stdlib", "platstdlib")}),
    "name": getattr(sys, "platlibdir", "lib"),
    "shared": loaded[0] if loaded else None,
}))
"#;

#[derive(Deserialize)]
struct Parts {
    /// The directories of its standard library.
    libraries: Vec<PathBuf>,
    /// What the directory above them is called: `lib`, or `lib64`.
    name: String,
    /// Its shared library, if it has one.
    shared: Option<PathBuf>,
}

/// Copies these interpreters to a place with the shape of a root, each by the digest of what it is.
pub(crate) fn copy_all<'a>(
    interpreters: impl Iterator<Item = (&'a Interpreter, &'a Digest)>,
    place: &Root,
    variables: &Variables,
) -> Result<(), Error> {
    let mut workers = None;
    for (interpreter, archive) in interpreters {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match &workers {
            Some(workers) => workers,
            None => workers.insert(Workers::new(jobs)?),
        };
        let home = managed::directory(place, archive);
        copy(interpreter, &home, variables)?;
        compile(&home, interpreter, variables, workers)?;
        workers.install(|| write_lists(&home, archive))?;
    }
    Ok(())
}

fn copy(interpreter: &Interpreter, home: &Path, variables: &Variables) -> Result<(), Error> {
    let parts = ask(interpreter, &interpreter.executable, variables)?;
    let (major, minor) = interpreter.series();
    let series = format!("python{major}.{minor}");
    let library = home.join(&parts.name).join(&series);
    for from in &parts.libraries {
        copy_library(from, &library)?;
    }
    if parts.name != "lib" {
        files::create_directories(&home.join("lib"))?;
        let target = format!("../{}/{series}", parts.name);
        files::symlink(Path::new(&target), &home.join("lib").join(&series))?;
    }
    if let Some(shared) = &parts.shared {
        files::create_directories(&home.join("lib"))?;
        let name = shared.file_name().unwrap_or_default();
        put(shared, &home.join("lib").join(name))?;
    }
    files::create_directories(&home.join("bin"))?;
    let executable = managed::executable(home, interpreter.series());
    put(&interpreter.executable, &executable)?;
    if parts.shared.is_some() {
        let mut program = files::read(&executable)?;
        if rpath::point_to_own_libraries(&mut program) {
            files::write(&executable, &program)?;
        }
    }
    for name in ["python", "python3"] {
        files::symlink(Path::new(&series), &home.join("bin").join(name))?;
    }
    check(interpreter, home, &executable, variables)
}

/// Makes sure that the copy is the same interpreter, and that its files are the copied ones.
fn check(
    interpreter: &Interpreter,
    home: &Path,
    executable: &Path,
    variables: &Variables,
) -> Result<(), Error> {
    let name = interpreter.to_string();
    let other = |found: String| Error::NotCopied {
        name: name.clone(),
        found,
    };
    let asked = Interpreter::ask(executable, variables);
    let copy = asked.map_err(|error| other(error.to_string()))?;
    if copy.identity != interpreter.identity {
        return Err(other(format!("the copy is {copy}")));
    }
    let parts = ask(interpreter, executable, variables)?;
    let home = files::real_path(home)?;
    let mut all = parts.libraries.iter().chain(&parts.shared);
    let elsewhere =
        all.find(|path| !files::real_path(path).is_ok_and(|path| path.starts_with(&home)));
    match elsewhere {
        Some(path) => Err(other(format!("the copy still uses `{}`", path.display()))),
        None => Ok(()),
    }
}

fn ask(of: &Interpreter, executable: &Path, variables: &Variables) -> Result<Parts, Error> {
    let failed = |source: python::Error| Error::Python {
        name: of.to_string(),
        source,
    };
    let output = Command::new(executable)
        .arguments(["-I", "-S", "-B", "-c", QUESTION])
        .variables(variables)
        .run()
        .map_err(|error| failed(error.into()))?;
    strict_json::from_slice(&output.stdout).map_err(|_| {
        failed(python::Error::NotPython {
            executable: executable.to_owned(),
            reason: process::tail(&output.stderr, 3),
        })
    })
}

fn copy_library(from: &Path, to: &Path) -> files::Result<()> {
    let wanted = |below: &Path| {
        let name = below.file_name().unwrap_or_default().to_string_lossy();
        !LEFT_OUT.contains(&&*name) && !name.starts_with("config-")
    };
    files::create_directories(to)?;
    for entry in files::walk_some(from, &wanted)? {
        let (from, to) = (from.join(&entry.path), to.join(&entry.path));
        match entry.kind {
            Kind::Directory => files::create_directories(&to)?,
            // Distributions keep settings elsewhere, and lead there; a link that leads nowhere is nothing.
            Kind::File | Kind::Link
                if !files::exists(&to)
                    && files::size(&from).is_ok()
                    && !files::is_directory(&from) =>
            {
                put(&from, &to)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn put(from: &Path, to: &Path) -> files::Result<()> {
    files::copy(from, to)?;
    files::set_mode(
        to,
        if files::is_executable(from) {
            0o755
        } else {
            0o644
        },
    )
}
