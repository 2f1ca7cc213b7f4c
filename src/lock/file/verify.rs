//! From the text of a lock to its values: every reference is resolved and every digest verified.

use std::collections::{BTreeMap, HashMap};

use super::super::{
    Bytecode, InternedPackage, Lock, LockedArchive, LockedEnvironment, LockedModel, LockedPackage,
    LockedPython, LockedSource, LockedTarget, LockedWeight, Origin, PythonSource, Question,
    RecordedTree,
};
use super::Edit;
use super::written::{
    Written, WrittenArchive, WrittenBytecode, WrittenEnvironment, WrittenFile, WrittenModel,
    WrittenRecord, WrittenSource, WrittenTarget, WrittenTree, WrittenWeight,
};
use crate::digest::Digest;
use crate::name::ModelId;
use crate::numbers::Record;
use crate::target::Target;

/// What targets refer to.
pub(super) struct Sections {
    pythons: BTreeMap<String, WrittenArchive>,
    files: Files,
}

impl Sections {
    pub(super) fn new(
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

/// The lock that is written, with everything in it that does not hold.
pub(super) fn lock(written: Written, edits: &mut Vec<Edit>) -> Lock {
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

pub(super) fn model(id: ModelId, written: WrittenModel, edits: &mut Vec<Edit>) -> LockedModel {
    let WrittenModel {
        environment,
        argument,
        setup,
        weights,
        digest,
        about,
        reference,
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
        about,
        reference: None,
    };
    let reference = reference.map(|written| record(&model, written, edits));
    let model = LockedModel { reference, ..model };
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

fn record(model: &LockedModel, written: WrittenRecord, edits: &mut Vec<Edit>) -> Record {
    let WrittenRecord {
        path,
        sha256,
        target,
        answer,
        generation,
        model: identity,
        weights,
        dtype,
        conditions,
        digest,
    } = written;
    let record = Record {
        path,
        sha256,
        target,
        answer,
        generation,
        model: identity,
        weights,
        dtype,
        conditions,
    };
    if record.digest() != digest {
        let what = format!(
            "the recording of the numbers of model {} does not have the digest written beside it",
            model.id
        );
        edits.push(Edit {
            environment: Some(model.environment.clone()),
            what,
            line: None,
        });
    }
    record
}

pub(super) fn environment(
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
        functions,
        bytecode,
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
        functions,
        bytecode: bytecode.map_or_else(Bytecode::default, |WrittenBytecode::All| Bytecode::All),
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

/// A target on its way into a lock, and whether something is wrong with it.
struct Reader<'a, F: FnMut(String)> {
    sections: &'a Sections,
    is_whole: bool,
    edited: F,
}

impl<F: FnMut(String)> Reader<'_, F> {
    fn wrong(&mut self, what: String) {
        self.is_whole = false;
        (self.edited)(what);
    }

    fn machine(&mut self, name: &str, glibc: &str) -> Option<Target> {
        let target = Target::named(name).and_then(|target| {
            Some(Target {
                glibc: glibc.parse().ok()?,
                ..target
            })
        });
        if target.is_none() {
            self.wrong(format!("`{name}` with glibc `{glibc}` is not a target"));
        }
        target
    }

    /// The packages that are referred to.
    fn packages(&mut self, references: &[String]) -> Vec<InternedPackage> {
        let mut packages = Vec::with_capacity(references.len());
        for reference in references {
            match self.sections.files.get(reference) {
                Some(Ok(package)) => packages.push(package.clone()),
                Some(Err(reason)) => self.wrong(reason.clone()),
                None => self.wrong(format!("package `{reference}` has no entry in `[files]`")),
            }
        }
        packages
    }

    /// The interpreter, with its archive if it is a managed one.
    fn python(
        &mut self,
        target: &str,
        mut python: LockedPython,
        source: &WrittenSource,
        reference: Option<String>,
    ) -> LockedPython {
        match (source, reference) {
            (WrittenSource::System, None) => {}
            (WrittenSource::System, Some(_)) => {
                self.wrong(format!(
                    "the system's interpreter of {target} has an archive"
                ));
            }
            (WrittenSource::Managed, reference) => {
                match archive(&reference.unwrap_or_default(), &python, self.sections) {
                    Ok(archive) => python.source = PythonSource::Managed(archive),
                    Err(what) => self.wrong(what),
                }
            }
        }
        if python.version.release().len() < 2 {
            self.wrong(format!("`{}` is not a Python series", python.version));
        }
        python
    }

    /// The recorded trees, each of which belongs to this answer.
    fn trees(
        &mut self,
        target: &str,
        answer: &Digest,
        trees: BTreeMap<String, WrittenTree>,
    ) -> BTreeMap<String, RecordedTree> {
        let mut recorded = BTreeMap::new();
        for (id, written) in trees {
            let WrittenTree {
                python,
                tree,
                digest,
            } = written;
            let record = RecordedTree { python, tree };
            if record.digest(&id, answer) != digest {
                self.wrong(format!(
                    "the tree recorded for {target} does not have the digest written beside it, or belongs to another answer"
                ));
            }
            recorded.insert(id, record);
        }
        recorded
    }
}

pub(super) fn target(
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
    let mut reader = Reader {
        sections,
        is_whole: true,
        edited,
    };
    let target = reader.machine(&name, &glibc);
    let packages = reader.packages(&packages);
    let builds = build.into_iter();
    let builds = builds
        .map(|(name, references)| (name, reader.packages(&references)))
        .collect();
    let python = LockedPython {
        implementation,
        version: python,
        source: PythonSource::System,
        soabi,
    };
    let python = reader.python(&name, python, &python_source, archive);
    let trees = reader.trees(&name, &digest, trees);
    let is_whole = reader.is_whole;
    target.filter(|_| is_whole).map(|target| LockedTarget {
        target,
        python,
        packages,
        builds,
        digest,
        trees,
    })
}

/// The entries of `[files]` by reference, or what is wrong with them.
type Files = HashMap<String, Result<InternedPackage, String>>;

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

fn package(reference: &str, file: WrittenFile) -> Result<InternedPackage, String> {
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
    let package = InternedPackage::from(LockedPackage {
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
