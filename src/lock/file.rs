//! The text of `rootstock.lock`, both ways. A [`Lock`] that was read is whole: every digest in it holds.
//!
//! ```toml
//! version = 1
//!
//! [[environment]]
//! name = "emt"
//! source = "environments/emt.py"
//! source-sha256 = "…"                       # of the file's bytes
//! variables = { OMP_NUM_THREADS = "1" }     # if any
//! keep = ["SLURM_*"]                        # if any
//! resolver = "uv 0.13.9"
//! inputs = "…"                              # sha256 of the canonical text of question and resolver
//! question = { dependency = ["ase==3.29.0"], python = ["3.11"], … }
//!
//! [[environment.target]]                    # one for each target, by name
//! name = "linux-x86_64"
//! glibc = "2.28"                            # the oldest C library it runs on
//! implementation = "cpython"
//! python = "3.11"                           # as exact as the manifest asks
//! python-source = "system"                  # or "managed": then `python` is exact, and `archive` names it
//! soabi = "cpython-311-x86_64-linux-gnu"
//! digest = "…"                              # sha256 of the canonical text of the answer
//! archive = "cpython 3.11.18 0d8e2a6f3c1b"   # of a managed interpreter: a key of [pythons]
//! packages = ["ase 3.29.0 7b9dd103f007"]    # name, version, first 12 digits of the sha256: a key of [files]
//!
//! [environment.target.build]                # for each source distribution, what building it takes
//! b = ["setuptools 80.9.0 062d34222ad1"]
//!
//! [environment.target.trees]                # what `rootstock lock --record` has seen built, by the generation's id
//! 5dc9…70e2 = { python = "3.11.7", tree = "…", digest = "…" }   # digest: of id, Python, tree and the answer's digest
//!
//! [models]
//! emt = { environment = "emt", argument = "" }
//! m = { environment = "mace", argument = "m", setup = { … }, weights = [{ url = "…", path = "mace/m", size = 9, sha256 = "…" }], digest = "…" }
//!
//! # A file of the hub has its commit: weights = [{ url = "hf://org/name@main/file", commit = "…", path = … }]
//!
//! [pythons]                                 # each archive with a managed interpreter once
//! "cpython 3.11.18 0d8e2a6f3c1b" = { build = "20261110", url = "…", sha256 = "…" }
//!
//! [files]                                   # each file once, by name, version and digest
//! "ase 3.29.0 7b9dd103f007" = { file = "ase-3.29.0-py3-none-any.whl", size = 3014724, sha256 = "…" }
//! "a 1.0 0123456789ab" = { index = "torch", file = … }                   # from a declared index
//! "b 1.0 0123456789ab" = { url = "https://…/b-1.0.tar.gz", subdirectory = "…", file = … }
//! "c 1.0 0123456789ab" = { git = "https://…", commit = "…", subdirectory = "…", file = "c-1.0.tar", … }
//! "d 1.0 0123456789ab" = { path = "./libs/d", file = "d-1.0.tar", … }    # relative to the manifest
//! ```
//!
//! A repository or a directory is locked as the archive that rootstock makes of its files.
//!
//! One lock has one text: environments, models and files are sorted, keys stand in this order, `\n` ends lines. The
//! text holds no address of an index, no absolute path and no time. A text that is not the one its content would be written as was
//! edited by hand.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use miette::Diagnostic;

use super::{
    Lock, LockedArchive, LockedEnvironment, LockedModel, LockedPackage, LockedPython, LockedSource,
    LockedTarget, LockedWeight, Origin, PythonSource, Question, RecordedTree, SpelledPackage,
};
use crate::digest::Digest;
use crate::manifest::{Excerpt, excerpt};
use crate::name::{EnvironmentName, ModelId};
use crate::target::Target;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod line;
mod toml_text;
mod write;
mod written;

pub use write::text;
use written::{
    Format, Written, WrittenArchive, WrittenEnvironment, WrittenFile, WrittenModel, WrittenSource,
    WrittenTarget, WrittenTree, WrittenWeight,
};

/// The format this version writes and reads.
pub const VERSION: u64 = 1;

/// The text is not a lock.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// It cannot be read at all.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unreadable(Box<Unreadable>),
    /// A later rootstock wrote it.
    #[error("`{name}` has format version {found}; this rootstock reads version {VERSION}")]
    #[diagnostic(help("a newer rootstock wrote it: use that one"))]
    Newer {
        /// The file.
        name: String,
        /// Its version.
        found: u64,
    },
    /// Its own digests do not hold, or its text is not what its content is written as.
    #[error("`{name}` was changed by hand")]
    #[diagnostic(help("restore it from version control, or write it anew with `rootstock lock`"))]
    Edited {
        /// The file.
        name: String,
        /// Everything that was found.
        edits: Vec<Edit>,
    },
}

/// A text of which nothing can be said but that it is no lock.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("`{name}` cannot be read: {reason}")]
#[diagnostic(help("restore it from version control, or write it anew with `rootstock lock`"))]
pub struct Unreadable {
    /// The file.
    pub name: String,
    /// What the parser says.
    pub reason: String,
    /// Its text.
    #[source_code]
    pub text: miette::NamedSource<String>,
    /// Where the parser stopped.
    #[label("here")]
    pub place: Option<miette::SourceSpan>,
}

/// A place where a lock contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The environment it is in, if it is in one.
    pub environment: Option<EnvironmentName>,
    /// What does not hold.
    pub what: String,
    /// The line, counted from 1, where it is a matter of one line.
    pub line: Option<usize>,
}

/// What targets refer to.
struct Sections {
    pythons: BTreeMap<String, WrittenArchive>,
    files: Files,
}

impl Sections {
    fn new(
        pythons: BTreeMap<String, WrittenArchive>,
        files: BTreeMap<String, WrittenFile>,
    ) -> Self {
        let files = files
            .into_iter()
            .map(|(reference, file)| {
                let package = package(&reference, file);
                (reference, package)
            })
            .collect();
        Self { pythons, files }
    }
}

/// Reads the text of a lock; `name` is what messages call it.
pub fn read(name: &str, text: &str) -> Result<Lock, Error> {
    // Some checkouts have Windows line ends.
    let text = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let unreadable = |error: &toml::de::Error| {
        let place = error.span();
        let cut = place.clone().and_then(|place| excerpt(&text, place));
        let (text, place) = match cut {
            Some(Excerpt { text, span, .. }) => (text, Some(span)),
            None => (text.clone().into_owned(), place),
        };
        Error::Unreadable(Box::new(Unreadable {
            name: name.to_owned(),
            reason: error.message().trim().to_owned(),
            place: place.map(Into::into),
            text: miette::NamedSource::new(name, text),
        }))
    };
    let newer = |found| {
        Err(Error::Newer {
            name: name.to_owned(),
            found,
        })
    };
    let written = match Written::parse(&text) {
        Ok(written) if written.version.is_some_and(|version| version <= VERSION) => written,
        // A later format may have keys of which this one knows nothing; its version is readable all the same.
        other => match toml::from_str::<Format>(&text) {
            Ok(Format { version }) if version > VERSION => return newer(version),
            Ok(_) => return Err(unreadable(&other.err().expect("its version is known"))),
            Err(error) => return Err(unreadable(&other.err().unwrap_or(error))),
        },
    };
    let mut edits = Vec::new();
    let lock = lock(written, &mut edits);
    if edits.is_empty() && !write::is_text(&text, &lock) {
        edits.extend(first_difference(&text, &write::text(&lock)));
    }
    if edits.is_empty() {
        Ok(lock)
    } else {
        Err(Error::Edited {
            name: name.to_owned(),
            edits,
        })
    }
}

fn lock(written: Written, edits: &mut Vec<Edit>) -> Lock {
    let Written {
        version: _,
        environment,
        models,
        pythons,
        files,
    } = written;
    let sections = Sections::new(pythons, files);
    let environments = environment
        .into_iter()
        .map(|environment| self::environment(environment, &sections, edits))
        .collect();
    let models = models
        .into_iter()
        .map(|(id, model)| self::model(id, model, edits))
        .collect();
    Lock {
        environments,
        models,
    }
}

fn model(id: ModelId, written: WrittenModel, edits: &mut Vec<Edit>) -> LockedModel {
    let WrittenModel {
        environment,
        argument,
        setup,
        weights,
        digest,
    } = written;
    let weight = |WrittenWeight {
                      url,
                      commit,
                      path,
                      size,
                      sha256,
                  }| LockedWeight {
        url,
        commit,
        path,
        size,
        sha256,
    };
    let weights: Vec<LockedWeight> = weights.into_iter().map(weight).collect();
    let model = LockedModel {
        id,
        environment,
        argument,
        setup,
        weights,
    };
    if digest != (!model.weights.is_empty()).then(|| model.digest()) {
        let what = format!(
            "the weights of model {} do not have the digest written beside them",
            model.id
        );
        edits.push(Edit {
            environment: Some(model.environment.clone()),
            what,
            line: None,
        });
    }
    model
}

fn environment(
    written: WrittenEnvironment,
    sections: &Sections,
    edits: &mut Vec<Edit>,
) -> LockedEnvironment {
    let WrittenEnvironment {
        name,
        source,
        source_sha256,
        variables,
        keep,
        resolver,
        inputs,
        question,
        target,
    } = written;
    let source = LockedSource {
        path: source,
        sha256: source_sha256,
    };
    let question = Question(question);
    let mut environment = LockedEnvironment {
        name: name.clone(),
        source,
        variables,
        keep,
        question,
        resolver,
        inputs,
        targets: Vec::new(),
    };
    let mut edited = |what: String| {
        edits.push(Edit {
            environment: Some(name.clone()),
            what,
            line: None,
        });
    };
    if Digest::of(environment.asked()) != inputs {
        edited("its question does not have the digest written beside it (`inputs`)".into());
    }
    for written in target {
        let target_name = written.name.clone();
        match self::target(written, sections, &mut edited) {
            Some(target) if Digest::of(environment.answer(&target)) == target.digest => {
                environment.targets.push(target);
            }
            Some(_) => edited(format!(
                "its answer for {target_name} does not have the digest written beside it (`digest`)"
            )),
            None => {}
        }
    }
    environment
}

fn target(
    written: WrittenTarget,
    sections: &Sections,
    edited: &mut impl FnMut(String),
) -> Option<LockedTarget> {
    let WrittenTarget {
        name,
        glibc,
        implementation,
        python,
        python_source,
        soabi,
        archive,
        digest,
        packages,
        build,
        trees,
    } = written;
    let mut whole = true;
    let mut wrong = |what: String| {
        whole = false;
        edited(what);
    };
    let target = Target::named(&name).and_then(|target| {
        Some(Target {
            glibc: glibc.parse().ok()?,
            ..target
        })
    });
    if target.is_none() {
        wrong(format!("`{name}` with glibc `{glibc}` is not a target"));
    }
    let mut named = |references: &[String]| -> Vec<SpelledPackage> {
        let package = |reference: &String| match sections.files.get(reference) {
            Some(Ok(package)) => Some(package.clone()),
            Some(Err(reason)) => {
                wrong(reason.clone());
                None
            }
            None => {
                wrong(format!("package `{reference}` has no entry in `[files]`"));
                None
            }
        };
        references.iter().filter_map(package).collect()
    };
    let packages = named(&packages);
    let builds = build
        .into_iter()
        .map(|(name, references)| (name, named(&references)))
        .collect();
    let mut python = LockedPython {
        implementation,
        version: python,
        source: PythonSource::System,
        soabi,
    };
    match (python_source, archive) {
        (WrittenSource::System, None) => {}
        (WrittenSource::System, Some(_)) => {
            wrong(format!("the system's interpreter of {name} has an archive"));
        }
        (WrittenSource::Managed, reference) => {
            let reference = reference.unwrap_or_default();
            match self::archive(&reference, &python, sections) {
                Ok(archive) => python.source = PythonSource::Managed(archive),
                Err(what) => wrong(what),
            }
        }
    }
    if python.version.release().len() < 2 {
        wrong(format!("`{}` is not a Python series", python.version));
    }
    let mut recorded = BTreeMap::new();
    for (
        id,
        WrittenTree {
            python,
            tree,
            digest: written,
        },
    ) in trees
    {
        let record = RecordedTree { python, tree };
        if record.digest(&id, &digest) != written {
            wrong(format!(
                "the tree recorded for {name} does not have the digest written beside it, or belongs to another answer"
            ));
        }
        recorded.insert(id, record);
    }
    if whole {
        Some(LockedTarget {
            target: target?,
            python,
            packages,
            builds,
            digest,
            trees: recorded,
        })
    } else {
        None
    }
}

/// The entries of `[files]` by reference, or what is wrong with them.
type Files = HashMap<String, Result<SpelledPackage, String>>;

fn archive(
    reference: &str,
    python: &LockedPython,
    sections: &Sections,
) -> Result<LockedArchive, String> {
    let Some(WrittenArchive { build, url, sha256 }) = sections.pythons.get(reference) else {
        return Err(format!(
            "interpreter `{reference}` has no entry in `[pythons]`"
        ));
    };
    let archive = LockedArchive {
        build: build.clone(),
        url: url.clone(),
        sha256: *sha256,
    };
    if python.reference(&archive) == reference {
        Ok(archive)
    } else {
        Err(format!(
            "the archive of interpreter `{reference}` has another version or digest"
        ))
    }
}

fn package(reference: &str, file: WrittenFile) -> Result<SpelledPackage, String> {
    let mut words = reference.split(' ');
    let name = words.next().and_then(|name| name.parse().ok());
    let version = words.next().and_then(|version| version.parse().ok());
    let (Some(name), Some(version)) = (name, version) else {
        return Err(format!(
            "`{reference}` does not name a package and a version"
        ));
    };
    let WrittenFile {
        index,
        url,
        git,
        commit,
        subdirectory,
        path,
        file,
        size,
        sha256,
    } = file;
    let origin = match (index, url, git, commit, path) {
        (index, None, None, None, None) => Origin::Index(index),
        (None, Some(url), None, None, None) => Origin::Url { url, subdirectory },
        (None, None, Some(url), Some(commit), None) => Origin::Git {
            url,
            commit,
            subdirectory,
        },
        (None, None, None, None, Some(path)) => Origin::Path { path, subdirectory },
        _ => {
            return Err(format!(
                "the file of package `{reference}` comes from several places"
            ));
        }
    };
    let package = SpelledPackage::from(LockedPackage {
        name,
        version,
        origin,
        file,
        size,
        sha256,
    });
    if package.reference() == reference {
        Ok(package)
    } else {
        Err(format!(
            "the file of package `{reference}` has another digest: {sha256}"
        ))
    }
}

/// The first line in which a text differs from the one that would be written.
fn first_difference(found: &str, expected: &str) -> Option<Edit> {
    if found == expected {
        return None;
    }
    let (mut environment, mut opened) = (None, false);
    let mut expected = expected.lines();
    for (number, line) in found.lines().enumerate() {
        let name = line
            .strip_prefix("name = \"")
            .and_then(|rest| rest.strip_suffix('"'));
        if let Some(name) = name.filter(|_| opened) {
            environment = name.parse().ok();
        } else if ["[models]", "[pythons]", "[files]"].contains(&line) {
            environment = None;
        }
        opened = line == "[[environment]]";
        if expected.next() != Some(line) {
            let what = format!(
                "line {} is not as rootstock writes it: `{}`",
                number + 1,
                line.trim()
            );
            return Some(Edit {
                environment,
                what,
                line: Some(number + 1),
            });
        }
    }
    Some(Edit {
        environment: None,
        what: "its end is not as rootstock writes it".into(),
        line: Some(found.lines().count().max(1)),
    })
}

#[cfg(test)]
pub(crate) mod tests;
