//! The text of a lock: one lock has one text. What stands in it is specified in the parent.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::super::{
    Bytecode, InternedPackage, Lock, LockedArchive, LockedEnvironment, LockedModel, LockedPackage,
    LockedPython, LockedTarget, LockedWeight, Origin, PythonSource, RecordedTree,
};
use super::toml_text::{Inline, Key, Quoted, Table, separated, write_list};
use crate::about::About;
use crate::name::IndexName;
use crate::numbers::Record;

const HEADER: &str = "# Written by `rootstock lock`; what is changed by hand is found by `rootstock lock --check`.\nversion = 1\n";

/// The text of a lock.
pub fn text(lock: &Lock) -> String {
    let mut text = String::new();
    write(&mut text, lock).expect("a string takes every text");
    text
}

/// Whether this is the text of a lock.
pub(super) fn is_text(found: &str, lock: &Lock) -> bool {
    let mut same = Same(found);
    write(&mut same, lock).is_ok() && same.0.is_empty()
}

/// Takes only what stands there already: a text is compared without being made.
struct Same<'a>(&'a str);

impl Write for Same<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

fn write(out: &mut impl Write, lock: &Lock) -> fmt::Result {
    out.write_str(HEADER)?;
    for environment in &lock.environments {
        write_environment(out, environment)?;
    }
    if !lock.models.is_empty() {
        out.write_str("\n[models]\n")?;
    }
    for model in &lock.models {
        write_model(out, model)?;
    }
    let targets = lock.environments.iter().flat_map(|e| &e.targets);
    write_pythons(out, targets.clone())?;
    write_files(out, targets)
}

fn write_pythons<'l>(
    out: &mut impl Write,
    targets: impl Iterator<Item = &'l LockedTarget>,
) -> fmt::Result {
    let archives: BTreeMap<String, &LockedArchive> = targets
        .filter_map(|LockedTarget { python, .. }| {
            let archive = python.archive()?;
            Some((python.reference(archive), archive))
        })
        .collect();
    if !archives.is_empty() {
        out.write_str("\n[pythons]\n")?;
    }
    for (reference, LockedArchive { build, url, sha256 }) in archives {
        write!(out, "{} = {{ ", Quoted(&reference))?;
        write_optional(out, "build", build.as_deref())?;
        writeln!(out, "url = {}, sha256 = \"{sha256}\" }}", Quoted(url))?;
    }
    Ok(())
}

fn write_files<'l>(
    out: &mut impl Write,
    targets: impl Iterator<Item = &'l LockedTarget>,
) -> fmt::Result {
    let mut files: Vec<&InternedPackage> = targets.flat_map(LockedTarget::files).collect();
    // Stable, because it makes use of the order that the packages of each environment are in.
    files.sort_by_key(|package| package.reference());
    files.dedup_by_key(|package| package.reference());
    if !files.is_empty() {
        out.write_str("\n[files]\n")?;
    }
    for package in files {
        let LockedPackage {
            name: _,
            version: _,
            origin,
            file,
            size,
            sha256,
        } = &**package;
        Quoted(package.reference()).write(out)?;
        out.write_str(" = { ")?;
        write_origin(out, origin)?;
        write_optional(out, "file", Some(file))?;
        if let Some(size) = size {
            write!(out, "size = {size}, ")?;
        }
        write_pair(out, "sha256", &sha256.digits())?;
        out.write_str(" }\n")?;
    }
    Ok(())
}

fn write_origin(out: &mut impl Write, origin: &Origin) -> fmt::Result {
    match origin {
        Origin::Index(index) => write_optional(out, "index", index.as_ref().map(IndexName::as_str)),
        Origin::Url { url, .. } => write_optional(out, "url", Some(url)),
        Origin::Path { path, .. } => write_optional(out, "path", Some(path)),
        Origin::Git { url, commit, .. } => {
            write_optional(out, "git", Some(url))?;
            write_optional(out, "commit", Some(commit))
        }
    }?;
    write_optional(out, "subdirectory", origin.subdirectory())
}

/// A pair of an inline table and what separates it from the next one, if there is a value.
fn write_optional(out: &mut impl Write, key: &str, value: Option<&str>) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    write_pair(out, key, value)?;
    out.write_str(", ")
}

fn write_pair(out: &mut impl Write, key: &str, value: &str) -> fmt::Result {
    out.write_str(key)?;
    out.write_str(" = ")?;
    Quoted(value).write(out)
}

fn write_model(out: &mut impl Write, model: &LockedModel) -> fmt::Result {
    let LockedModel {
        id,
        environment,
        argument,
        setup,
        weights,
        about,
        reference,
    } = model;
    write!(
        out,
        "{} = {{ environment = {}, argument = {}",
        Key(id.as_str()),
        Quoted(environment.as_str()),
        Quoted(argument)
    )?;
    if !setup.is_empty() {
        let setup = setup
            .iter()
            .map(|(key, value)| (key.as_str(), Inline(value)));
        write!(out, ", setup = {}", Table(setup))?;
    }
    if !weights.is_empty() {
        out.write_str(", weights = [")?;
        for (at, weight) in weights.iter().enumerate() {
            out.write_str(if at == 0 { "" } else { ", " })?;
            write_weight(out, weight)?;
        }
        write!(out, "], digest = \"{}\"", model.digest())?;
    }
    if !about.is_empty() {
        write!(out, ", about = {}", Inline(&about_table(about)))?;
    }
    if let Some(record) = reference {
        write_record(out, record)?;
    }
    out.write_str(" }\n")
}

fn write_record(out: &mut impl Write, record: &Record) -> fmt::Result {
    let Record {
        path,
        sha256,
        target,
        answer,
        generation,
        model,
        weights,
        dtype,
        conditions,
    } = record;
    let conditions = conditions.iter();
    let conditions = conditions.map(|(name, value)| (name.as_str(), Quoted(value)));
    write!(
        out,
        ", reference = {{ path = {}, sha256 = \"{sha256}\", target = {}, answer = \"{answer}\", generation = {}, \
         model = \"{model}\", weights = \"{weights}\", dtype = \"{}\", conditions = {}, digest = \"{}\" }}",
        Quoted(path),
        Quoted(target),
        Quoted(generation),
        dtype.as_str(),
        Table(conditions),
        record.digest()
    )
}

/// Keys with `-`, as the manifest has them.
fn about_table(about: &About) -> serde_json::Value {
    let value = serde_json::to_value(about).expect("it has only plain fields");
    let serde_json::Value::Object(map) = value else {
        return value;
    };
    let pairs = map.into_iter();
    pairs
        .map(|(key, value)| (key.replace('_', "-"), value))
        .collect()
}

fn write_weight(out: &mut impl Write, weight: &LockedWeight) -> fmt::Result {
    let LockedWeight {
        url,
        commit,
        path,
        size,
        sha256,
    } = weight;
    write!(out, "{{ url = {}, ", Quoted(url))?;
    write_optional(out, "commit", commit.as_deref())?;
    write!(out, "path = {}, ", Quoted(path))?;
    if let Some(size) = size {
        write!(out, "size = {size}, ")?;
    }
    write!(out, "sha256 = \"{sha256}\" }}")
}

fn write_environment(out: &mut impl Write, environment: &LockedEnvironment) -> fmt::Result {
    let LockedEnvironment {
        name,
        source,
        variables,
        keep,
        functions,
        bytecode,
        question,
        resolver,
        inputs,
        targets,
    } = environment;
    write!(
        out,
        "\n[[environment]]\nname = {}\nsource = {}\nsource-sha256 = \"{}\"\n",
        Quoted(name.as_str()),
        Quoted(&source.path),
        source.sha256
    )?;
    if !variables.is_empty() {
        let pairs = variables.iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), Quoted(value)));
        writeln!(out, "variables = {}", Table(pairs))?;
    }
    for (key, values) in [("keep", keep), ("functions", functions)] {
        if !values.is_empty() {
            write!(out, "{key} = [")?;
            separated(out, values.iter().map(|value| Quoted(value)))?;
            out.write_str("]\n")?;
        }
    }
    if *bytecode != Bytecode::default() {
        writeln!(out, "bytecode = \"{}\"", bytecode.as_str())?;
    }
    write!(
        out,
        "resolver = {}\ninputs = \"{inputs}\"\n\n[environment.question]\n",
        Quoted(resolver)
    )?;
    for (name, values) in &question.0 {
        write!(out, "{} = ", Key(name))?;
        write_list(out, values.iter().map(String::as_str))?;
        out.write_char('\n')?;
    }
    for target in targets {
        write_target(out, target)?;
    }
    Ok(())
}

fn write_target(out: &mut impl Write, target: &LockedTarget) -> fmt::Result {
    let LockedTarget {
        target,
        python,
        packages,
        builds,
        digest,
        trees,
    } = target;
    let LockedPython {
        implementation,
        version,
        source,
        soabi,
    } = python;
    write!(
        out,
        "\n[[environment.target]]\nname = \"{}\"\nglibc = \"{}\"\n",
        target.name(),
        target.glibc
    )?;
    write!(
        out,
        "implementation = {}\npython = \"{version}\"\n",
        Quoted(implementation)
    )?;
    let source = match source {
        PythonSource::System => "system",
        PythonSource::Managed(_) => "managed",
    };
    write!(
        out,
        "python-source = \"{source}\"\nsoabi = {}\n",
        Quoted(soabi)
    )?;
    if let Some(archive) = python.archive() {
        writeln!(out, "archive = {}", Quoted(&python.reference(archive)))?;
    }
    write!(out, "digest = \"{digest}\"\npackages = ")?;
    write_references(out, packages)?;
    if !builds.is_empty() {
        out.write_str("\n[environment.target.build]\n")?;
    }
    for (name, requirements) in builds {
        write!(out, "{} = ", Key(name.as_ref()))?;
        write_references(out, requirements)?;
    }
    if !trees.is_empty() {
        out.write_str("\n[environment.target.trees]\n")?;
    }
    for (id, record) in trees {
        let RecordedTree { python, tree } = record;
        writeln!(
            out,
            "{} = {{ python = {}, tree = \"{tree}\", digest = \"{}\" }}",
            Key(id),
            Quoted(python),
            record.digest(id, digest)
        )?;
    }
    Ok(())
}

/// A list of packages, and the end of its line.
fn write_references(out: &mut impl Write, packages: &[InternedPackage]) -> fmt::Result {
    write_list(out, packages.iter().map(InternedPackage::reference))?;
    out.write_char('\n')
}
