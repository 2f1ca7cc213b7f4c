//! Whether an environment has what its packages need on this very machine. A lock is made for a series of Python and for no
//! kernel; where the metadata of a wheel depend on the patch version or on the kernel, they are evaluated again here, for the
//! interpreter itself. Everything else was the resolver's business.

use std::collections::BTreeSet;

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, PackageName, VerbatimUrl};

use super::assemble::Part;
use super::environment::Job;
use crate::files;
use crate::name;
use crate::store::wheels::Scheme;

/// What depends on more than a lock knows, as it is written in markers.
const UNKNOWN_TO_LOCKS: [&str; 4] = [
    "python_full_version",
    "implementation_version",
    "platform_release",
    "platform_version",
];

/// An environment lacks what one of its packages needs here.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A package does not run on this interpreter.
    #[error("`{package}` requires Python {requires}, and this is Python {version}")]
    #[diagnostic(help(
        "put a Python on PATH that it runs on, or lock for this one: `python = \"{version}\"` in the environment's table, \
         then `rootstock lock`"
    ))]
    Python {
        /// The package with its version.
        package: String,
        /// Its `Requires-Python`.
        requires: String,
        /// The interpreter's version.
        version: String,
    },
    /// A package needs another one here.
    #[error(
        "`{package}` requires `{requirement}` on this machine (Python {version}), and it is not locked"
    )]
    #[diagnostic(help(
        "lock for this Python, `python = \"{version}\"` in the environment's table, or add `{missing}` to its \
         `dependencies`; then run `rootstock lock`"
    ))]
    Package {
        /// The package with its version.
        package: String,
        /// What it needs.
        requirement: String,
        /// The name of that.
        missing: PackageName,
        /// The interpreter's version.
        version: String,
    },
    /// The metadata cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Checks the metadata of all wheels of an environment.
pub(super) fn check(job: &Job, parts: &[Part]) -> Result<(), Error> {
    let Some(version) = job.interpreter.version() else {
        return Ok(());
    };
    let kernel = rustix::system::uname();
    let [release, build] = [kernel.release(), kernel.version()].map(|text| text.to_string_lossy());
    let here = Interpreter {
        markers: job
            .target
            .target
            .markers(&version)
            .with_platform_release(release)
            .with_platform_version(build),
        version,
        given: given(job),
    };
    for part in parts {
        let of_wheel = |path: &str| {
            let name = path.strip_suffix(".dist-info/METADATA");
            name.is_some_and(|name| !name.contains('/'))
        };
        let mut files = part.unpacked.files.iter();
        let metadata = files.find(|f| f.scheme == Scheme::SitePackages && of_wheel(&f.path));
        if let Some(file) = metadata {
            // Old wheels have names of authors in other encodings there.
            let bytes = files::read(&part.unpacked.source(file))?;
            here.check(part.package, &String::from_utf8_lossy(&bytes))?;
        }
    }
    Ok(())
}

/// The packages that are there, or that the manifest decides about itself.
fn given(job: &Job) -> BTreeSet<PackageName> {
    let question = &job.environment.question;
    let named = |text: &String| name::requirement::<VerbatimUrl>(text).ok();
    let decided = ["exclude", "override"].map(|key| question.values(key));
    let decided = decided.into_iter().flatten().filter_map(named);
    let there = job.target.packages.iter().map(|package| &package.name);
    there.cloned().chain(decided.map(|one| one.name)).collect()
}

/// The interpreter, and what is given on it.
struct Interpreter {
    version: Version,
    markers: MarkerEnvironment,
    given: BTreeSet<PackageName>,
}

impl Interpreter {
    /// The headers of a wheel's metadata (core metadata, PEP 566). What cannot be parsed, the resolver has not heeded either.
    fn check(&self, package: &str, metadata: &str) -> Result<(), Error> {
        let headers = metadata.lines().take_while(|line| !line.trim().is_empty());
        for (key, value) in headers.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if key.eq_ignore_ascii_case("requires-python") {
                self.check_python(package, value)?;
            }
            let depends = UNKNOWN_TO_LOCKS.iter().any(|name| value.contains(name));
            if depends && key.eq_ignore_ascii_case("requires-dist") {
                self.check_requirement(package, value)?;
            }
        }
        Ok(())
    }

    fn check_python(&self, package: &str, requires: &str) -> Result<(), Error> {
        let specifiers = requires.parse::<VersionSpecifiers>();
        // A pre-release of a series counts as that.
        let version = self.version.only_release();
        if specifiers.is_ok_and(|specifiers| !specifiers.contains(&version)) {
            return Err(Error::Python {
                package: package.to_owned(),
                requires: requires.to_owned(),
                version: self.version.to_string(),
            });
        }
        Ok(())
    }

    fn check_requirement(&self, package: &str, text: &str) -> Result<(), Error> {
        let Ok(requirement) = name::requirement::<VerbatimUrl>(text) else {
            return Ok(());
        };
        if !requirement.evaluate_markers(&self.markers, &[])
            || self.given.contains(&requirement.name)
        {
            return Ok(());
        }
        Err(Error::Package {
            package: package.to_owned(),
            requirement: text.to_owned(),
            missing: requirement.name,
            version: self.version.to_string(),
        })
    }
}
