//! Python interpreters of this machine: what they say of themselves, and which one fits. Asked, never guessed.
//!
//! What an environment does with its interpreter is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::files;
use crate::files::trust::Trust;
use crate::process::{self, Command, find};

pub(crate) mod bytecode;

/// What an interpreter reports of itself; two machines with equal identities run the same bytecode and extensions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `cpython`, from `sys.implementation.name`.
    pub implementation: String,
    /// The exact version: `3.11.7`.
    pub version: String,
    /// The ABI of its extension modules: `cpython-311-x86_64-linux-gnu`.
    pub soabi: String,
    /// The machine it was built for: `linux-x86_64`.
    pub platform: String,
}

/// An interpreter of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// Its base executable, never one of a virtual environment.
    pub executable: PathBuf,
    /// What it reports of itself.
    pub identity: Identity,
    /// The C library it runs on, `2.36`; none where that is not glibc.
    pub glibc: Option<String>,
}

/// An interpreter could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// It answered something else.
    #[error("`{}` is not a Python interpreter: {reason}", executable.display())]
    NotPython {
        /// Path of the program.
        executable: PathBuf,
        /// What it did instead.
        reason: String,
    },
}

// `-B`: asking writes nothing. `-I -S`: neither the user's site-packages nor a `.pth` file may change the answer. A virtual environment's
// interpreter leads to its base, so that no environment depends on another one.
const QUESTION: &str = r#"
import json, os, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (AttributeError, ValueError, OSError):
    libc = ""
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    "executable": os.path.realpath(base),
    "identity": {
        "implementation": sys.implementation.name,
        "version": "%d.%d.%d" % sys.version_info[:3] + {"final": "", "candidate": "rc%d" % sys.version_info[4],
                   "beta": "b%d" % sys.version_info[4], "alpha": "a%d" % sys.version_info[4]}[sys.version_info[3]],
        "soabi": sysconfig.get_config_var("SOABI") or "",
        "platform": sysconfig.get_platform(),
    },
    "glibc": libc.split()[1] if libc.startswith("glibc ") else None,
}))
"#;

fn question(path: &Path, environment: &BTreeMap<OsString, OsString>) -> Command {
    Command::new(path)
        .arguments(["-I", "-S", "-B", "-c", QUESTION])
        .variables(environment)
}

impl Interpreter {
    /// Asks the program at `path` who it is, with only these variables set.
    pub(crate) fn ask(
        path: &Path,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<Self, Error> {
        let output = question(path, environment).run()?;
        let not_python = |reason: String| Error::NotPython {
            executable: path.to_owned(),
            reason,
        };
        if !output.exit.success() {
            let output_end = process::tail(&output.stderr, 3);
            return Err(not_python(format!("it {}: {output_end}", output.exit)));
        }
        strict_json::from_slice(&output.stdout).map_err(|error| not_python(error.to_string()))
    }

    /// As [`Interpreter::ask`], of a program that may be anything; `None` if it gives no answer in this time.
    pub(crate) fn ask_within(
        path: &Path,
        environment: &BTreeMap<OsString, OsString>,
        limit: Duration,
    ) -> Option<Self> {
        let answer = question(path, environment).answer_within(limit).ok()??;
        strict_json::from_slice(&answer).ok()
    }

    /// Major and minor version.
    pub(crate) fn series(&self) -> (u64, u64) {
        let mut parts = self
            .identity
            .version
            .split('.')
            .map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// The exact version as PEP 440 has it.
    pub(crate) fn version(&self) -> Option<pep440_rs::Version> {
        self.identity.version.parse().ok()
    }
}

impl Identity {
    /// The digest of all fields, one line each: part of a generation's id.
    pub(crate) fn digest(&self) -> Digest {
        let Self {
            implementation,
            version,
            soabi,
            platform,
        } = self;
        Digest::of(format!(
            "{implementation}\n{version}\n{soabi}\n{platform}\n"
        ))
    }
}

impl std::fmt::Display for Interpreter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Identity {
            implementation,
            version,
            platform,
            ..
        } = &self.identity;
        write!(
            out,
            "{implementation} {version} ({platform}) at {}",
            self.executable.display()
        )
    }
}

/// All distinct interpreters found on a search path (the value of PATH), in its order.
///
/// `python3.11`-like names come before `python3` and `python` of the same directory. Programs that do not answer are
/// passed over: a search path may hold wrappers for versions that are not installed. So are those that other users can
/// replace; [`refused`] names them.
pub(crate) fn on_path(
    path: &OsStr,
    environment: &BTreeMap<OsString, OsString>,
) -> Vec<Interpreter> {
    until(path, environment, &[], &|_| false)
}

/// The first of them until `enough` is true of those found so far; otherwise all. In each directory
/// programs of these names come first: where a wrapper stands for each version, starting all of them takes seconds.
pub(crate) fn until(
    path: &OsStr,
    environment: &BTreeMap<OsString, OsString>,
    first: &[String],
    enough: &dyn Fn(&[Interpreter]) -> bool,
) -> Vec<Interpreter> {
    let mut found: Vec<Interpreter> = Vec::new();
    let trust = Trust::of(environment);
    for directory in find::directories(path) {
        let Ok(names) = files::names(&directory) else {
            continue;
        };
        let mut candidates: Vec<&String> = names.iter().filter(|name| is_python(name)).collect();
        candidates.sort_by_key(|name| (!first.contains(name), std::cmp::Reverse(name.len())));
        for name in candidates {
            let program = directory.join(name);
            if !files::is_executable(&program) || trust.check(&program).is_err() {
                continue;
            }
            // Two names of one file are asked once.
            let known = files::real_path(&program)
                .is_ok_and(|real| found.iter().any(|i| i.executable == real));
            if known {
                continue;
            }
            if let Ok(interpreter) = Interpreter::ask(&program, environment)
                && !found.contains(&interpreter)
            {
                found.push(interpreter);
                if enough(&found) {
                    return found;
                }
            }
        }
    }
    found
}

/// The real paths of all programs on a search path that look like interpreters; none is started.
pub(crate) fn programs(path: &OsStr) -> BTreeSet<PathBuf> {
    let of = |directory: PathBuf| {
        let names = files::names(&directory).unwrap_or_default();
        let programs = names.into_iter().filter(|name| is_python(name));
        programs.map(move |name| directory.join(name))
    };
    let programs = find::directories(path).flat_map(of);
    programs
        .filter_map(|program| files::real_path(&program).ok())
        .collect()
}

/// The programs on a search path that look like interpreters and that other users can replace, so that they are not started.
pub(crate) fn refused(
    path: &OsStr,
    environment: &BTreeMap<OsString, OsString>,
) -> Vec<find::Refused> {
    let names = find::directories(path).flat_map(|directory| files::names(&directory));
    let mut names: Vec<String> = names.flatten().filter(|name| is_python(name)).collect();
    names.sort();
    names.dedup();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    find::refused(&names, path, environment)
}

/// `python`, `python3` or `python3.11`; not `python3-config`, `python3.11-gdb.py` or `python2.7`.
fn is_python(name: &str) -> bool {
    let Some(version) = name.strip_prefix("python") else {
        return false;
    };
    matches!(version, "" | "3")
        || version
            .strip_prefix("3.")
            .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interpreters_by_name_are_asked() {
        for yes in ["python", "python3", "python3.11", "python3.8"] {
            assert!(is_python(yes), "{yes}");
        }
        for no in [
            "python2.7",
            "python3-config",
            "python3.11-config",
            "pythonw",
            "python3.",
            "python2",
        ] {
            assert!(!is_python(no), "{no}");
        }
    }
}
