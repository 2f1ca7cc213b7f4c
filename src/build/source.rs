//! Whether the source of an environment compiles with its Python, which knows its own grammar. Runs none of it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::process::{self, Command, Exit};
use crate::python::Interpreter;

const PROGRAM: &str = include_str!("source.py");

/// The source of an environment cannot be compiled.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// Python could not be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// Python ended before it had an answer.
    #[error("`{path}` cannot be compiled: Python {exit}\n{output}")]
    Python {
        /// The file, relative to the manifest.
        path: String,
        /// How it ended.
        exit: Exit,
        /// What it printed last.
        output: String,
    },
    /// It is not valid in this version of Python.
    #[error("`{path}` does not compile with Python {version}:\n{message}")]
    #[diagnostic(help(
        "correct the file, then run `rootstock lock && rootstock sync`; if it needs a newer Python, set `python` in the \
         environment"
    ))]
    Invalid {
        /// The file, relative to the manifest.
        path: String,
        /// The exact version of the interpreter.
        version: String,
        /// Python's own message, with the line and a caret.
        message: String,
    },
}

/// Compiles a source with an interpreter. `path` is what messages call the file.
pub(super) fn check(
    path: &str,
    source: &[u8],
    interpreter: &Interpreter,
    variables: &BTreeMap<OsString, OsString>,
) -> Result<(), Error> {
    let output = Command::new(&interpreter.executable)
        .arguments(["-I", "-S", "-B", "-c", PROGRAM, path])
        .variables(variables)
        .input(source)
        .run()?;
    if output.exit != Exit::Code(0) {
        return Err(Error::Python {
            path: path.to_owned(),
            exit: output.exit,
            output: process::tail(&output.stderr, 5),
        });
    }
    if output.stdout.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid {
        path: path.to_owned(),
        version: interpreter.identity.version.clone(),
        message: String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned(),
    })
}
