//! Which interpreter of this machine an environment is built on. Looks at what interpreters reported of themselves;
//! starts none.

use std::str::FromStr;

use pep440_rs::VersionSpecifiers;

use crate::lock::LockedTarget;
use crate::python::Interpreter;
use crate::target::{Glibc, Target};

/// Nothing that the lock asks for runs on this machine.
#[derive(Debug, Clone, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// No interpreter of this machine is what the lock asks for.
    #[error("no {wanted} is on PATH; {found}")]
    #[diagnostic(help(
        "put its directory first on PATH (`module load …` on a cluster), then run the command again; or let rootstock \
         fetch one: write `python-source = \"managed\"` into the manifest and run `rootstock lock`"
    ))]
    NoInterpreter {
        /// What the lock asks for.
        wanted: String,
        /// What there is, and what is wrong with each.
        found: String,
    },
    /// The C library of this machine is older than the lock allows.
    #[error("the lock is for {target} or newer, and this machine {glibc}")]
    #[diagnostic(help(
        "run it on a newer machine, or lock for older ones too: write `glibc = \"2.17\"`, or whatever the oldest of \
         them has, under `[targets.{}]` and run `rootstock lock`", target.name()
    ))]
    OldGlibc {
        /// What the lock is for.
        target: Target,
        /// What this machine does: `runs on glibc 2.17`.
        glibc: String,
    },
}

/// The first interpreter that is what the lock asks for.
pub(crate) fn choose<'a>(
    target: &LockedTarget,
    requires: Option<&VersionSpecifiers>,
    found: &'a [Interpreter],
) -> Result<&'a Interpreter, Error> {
    if let Some(fitting) = found.iter().find(|i| misfit(target, requires, i).is_none()) {
        return Ok(fitting);
    }
    // Another interpreter would not help where the right one only finds the machine too old.
    if let Some(right) = found.iter().find(|i| other(target, requires, i).is_none()) {
        check_glibc(target, right)?;
    }
    Err(Error::NoInterpreter {
        wanted: format!(
            "{} {} for {}",
            target.python.implementation, target.python.version, target.target
        ),
        found: list(target, requires, found),
    })
}

/// Whether the C library that this interpreter runs on is as new as the lock asks for.
pub(crate) fn check_glibc(target: &LockedTarget, interpreter: &Interpreter) -> Result<(), Error> {
    match old_glibc(target, interpreter) {
        None => Ok(()),
        Some(glibc) => Err(Error::OldGlibc {
            target: target.target,
            glibc,
        }),
    }
}

fn list(
    target: &LockedTarget,
    requires: Option<&VersionSpecifiers>,
    found: &[Interpreter],
) -> String {
    if found.is_empty() {
        return "no Python at all was found".to_owned();
    }
    let lines = found.iter().map(|interpreter| {
        let misfit = misfit(target, requires, interpreter).unwrap_or_default();
        format!("\n  {interpreter}: {misfit}")
    });
    format!("found were{}", lines.collect::<String>())
}

/// What keeps an interpreter from being the one of the lock.
fn misfit(
    target: &LockedTarget,
    requires: Option<&VersionSpecifiers>,
    interpreter: &Interpreter,
) -> Option<String> {
    other(target, requires, interpreter).or_else(|| old_glibc(target, interpreter))
}

/// In what an interpreter is another one than that of the lock.
fn other(
    target: &LockedTarget,
    requires: Option<&VersionSpecifiers>,
    interpreter: &Interpreter,
) -> Option<String> {
    let python = &target.python;
    let identity = &interpreter.identity;
    if identity.implementation != python.implementation {
        return Some(format!("is {}", identity.implementation));
    }
    if !is_version(python.version.release(), &identity.version) {
        return Some(format!("is {}", identity.version));
    }
    if let (Some(requires), Some(version)) = (requires, interpreter.version())
        && !requires.contains(&version)
    {
        return Some(format!(
            "is not allowed by `requires-python = \"{requires}\"`"
        ));
    }
    if identity.platform != target.target.name() {
        return Some(format!("is for {}", identity.platform));
    }
    (identity.soabi != python.soabi).then(|| format!("has the ABI {}", identity.soabi))
}

/// What glibc an interpreter runs on, if that is too old for the target.
fn old_glibc(target: &LockedTarget, interpreter: &Interpreter) -> Option<String> {
    let glibc = interpreter.glibc.as_deref().unwrap_or_default();
    let new_enough = Glibc::from_str(glibc).is_ok_and(|glibc| glibc >= target.target.glibc);
    (!new_enough).then(|| match glibc {
        "" => "does not run on glibc".to_owned(),
        _ => format!("runs on glibc {glibc}"),
    })
}

/// Whether a version is the locked one to the granularity of the lock: every 3.11.x is 3.11. A release under test
/// (`3.11.0rc1`) is none: its bytecode may still change.
fn is_version(locked: &[u64], version: &str) -> bool {
    let parts: Option<Vec<u64>> = version.split('.').map(|part| part.parse().ok()).collect();
    parts.is_some_and(|parts| parts.starts_with(locked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::lock::{LockedPython, PythonSource};
    use crate::python::Identity;
    use crate::target::Target;

    fn target(version: &str) -> LockedTarget {
        LockedTarget {
            target: Target::named("linux-x86_64").unwrap(),
            python: LockedPython {
                implementation: "cpython".into(),
                version: version.parse().unwrap(),
                source: PythonSource::System,
                soabi: "cpython-311-x86_64-linux-gnu".into(),
            },
            packages: Vec::new(),
            builds: std::collections::BTreeMap::default(),
            digest: Digest::of(""),
            trees: std::collections::BTreeMap::default(),
        }
    }

    fn interpreter(version: &str, change: impl FnOnce(&mut Interpreter)) -> Interpreter {
        let mut interpreter = Interpreter {
            executable: format!("/usr/bin/python{version}").into(),
            identity: Identity {
                implementation: "cpython".into(),
                version: version.into(),
                soabi: "cpython-311-x86_64-linux-gnu".into(),
                platform: "linux-x86_64".into(),
            },
            glibc: Some("2.36".into()),
        };
        change(&mut interpreter);
        interpreter
    }

    #[test]
    fn the_first_that_fits_is_taken() {
        let found = [
            interpreter("3.11.0rc2", |_| {}),
            interpreter("3.12.1", |_| {}),
            interpreter("3.11.7", |_| {}),
            interpreter("3.11.9", |_| {}),
        ];
        let version = |locked: &str| {
            &choose(&target(locked), None, &found)
                .unwrap()
                .identity
                .version
        };
        assert_eq!(version("3.11"), "3.11.7");
        assert_eq!(version("3.11.9"), "3.11.9");
    }

    #[test]
    fn interpreters_that_do_not_fit_are_listed_with_the_reason() {
        let found = [
            interpreter("3.1.1", |_| {}),
            interpreter("3.11.1", |i| i.identity.implementation = "pypy".into()),
            interpreter("3.11.2", |i| i.identity.platform = "linux-aarch64".into()),
            interpreter("3.11.3", |i| {
                i.identity.soabi = "cpython-311d-x86_64-linux-gnu".into();
            }),
        ];
        let error = choose(&target("3.11"), None, &found).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no cpython 3.11 for linux-x86_64 (glibc 2.28) is on PATH; found were\n  \
             cpython 3.1.1 (linux-x86_64) at /usr/bin/python3.1.1: is 3.1.1\n  \
             pypy 3.11.1 (linux-x86_64) at /usr/bin/python3.11.1: is pypy\n  \
             cpython 3.11.2 (linux-aarch64) at /usr/bin/python3.11.2: is for linux-aarch64\n  \
             cpython 3.11.3 (linux-x86_64) at /usr/bin/python3.11.3: has the ABI cpython-311d-x86_64-linux-gnu"
        );
        let nothing = choose(&target("3.11"), None, &[]).unwrap_err().to_string();
        assert!(
            nothing.ends_with("; no Python at all was found"),
            "{nothing}"
        );
    }

    #[test]
    fn a_machine_that_is_too_old_is_reported() {
        let reason = |glibc: Option<&str>| {
            let found = [interpreter("3.11.4", |i| {
                i.glibc = glibc.map(str::to_owned);
            })];
            choose(&target("3.11"), None, &found)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            reason(Some("2.17")),
            "the lock is for linux-x86_64 (glibc 2.28) or newer, and this machine runs on glibc 2.17"
        );
        assert_eq!(
            reason(None),
            "the lock is for linux-x86_64 (glibc 2.28) or newer, and this machine does not run on glibc"
        );
    }
}
