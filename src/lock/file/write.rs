//! The text of a lock: one lock has one text. What stands in it is specified in the parent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::spelling::Spelling;
use super::super::{
    Lock, LockedArchive, LockedEnvironment, LockedModel, LockedPackage, LockedPython, LockedTarget,
    LockedWeight, Origin, PythonSource, RecordedTree,
};

const HEADER: &str = "# Written by `rootstock lock`; what is changed by hand is found by `rootstock lock --check`.\nversion = 1\n";

/// The text of a lock.
pub fn text(lock: &Lock) -> String {
    spelled(lock, &mut Spelling::default())
}

/// The text of a lock whose packages may have been spelled already.
pub(super) fn spelled(lock: &Lock, spelling: &mut Spelling) -> String {
    // About what a lock of this many lines takes.
    let mut text = String::with_capacity(64 * 1024);
    text.push_str(HEADER);
    for environment in &lock.environments {
        write_environment(&mut text, environment, spelling);
    }
    if !lock.models.is_empty() {
        text.push_str("\n[models]\n");
    }
    for model in &lock.models {
        write_model(&mut text, model);
    }
    let targets = lock
        .environments
        .iter()
        .flat_map(|environment| &environment.targets);
    let archives: BTreeMap<String, &LockedArchive> = targets
        .clone()
        .filter_map(|LockedTarget { python, .. }| {
            let archive = python.archive()?;
            Some((python.reference(archive), archive))
        })
        .collect();
    if !archives.is_empty() {
        text.push_str("\n[pythons]\n");
    }
    for (reference, LockedArchive { build, url, sha256 }) in archives {
        let build = build
            .as_deref()
            .map_or_else(String::new, |build| format!("build = {}, ", quoted(build)));
        let _ = writeln!(
            text,
            "{} = {{ {build}url = {}, sha256 = \"{sha256}\" }}",
            quoted(&reference),
            quoted(url)
        );
    }
    let files: BTreeMap<String, &LockedPackage> = targets
        .flat_map(LockedTarget::files)
        .map(|package| (spelling.of(package).reference.clone(), package))
        .collect();
    if !files.is_empty() {
        text.push_str("\n[files]\n");
    }
    for (
        reference,
        LockedPackage {
            name: _,
            version: _,
            origin,
            file,
            size,
            sha256,
        },
    ) in files
    {
        let _ = write!(text, "{} = {{ ", quoted(&reference));
        write_origin(&mut text, origin);
        let _ = write!(text, "file = {}, ", quoted(file));
        if let Some(size) = size {
            let _ = write!(text, "size = {size}, ");
        }
        let _ = writeln!(text, "sha256 = \"{sha256}\" }}");
    }
    text
}

fn write_origin(text: &mut String, origin: &Origin) {
    let _ = match origin {
        Origin::Index(None) => Ok(()),
        Origin::Index(Some(index)) => write!(text, "index = {}, ", quoted(index.as_str())),
        Origin::Url(url) => write!(text, "url = {}, ", quoted(url)),
        Origin::Path(path) => write!(text, "path = {}, ", quoted(path)),
        Origin::Git {
            url,
            commit,
            subdirectory,
        } => {
            let within = subdirectory.as_ref().map_or_else(String::new, |directory| {
                format!("subdirectory = {}, ", quoted(directory))
            });
            write!(
                text,
                "git = {}, commit = {}, {within}",
                quoted(url),
                quoted(commit)
            )
        }
    };
}

fn write_model(text: &mut String, model: &LockedModel) {
    let LockedModel {
        id,
        environment,
        argument,
        setup,
        weights,
    } = model;
    let _ = write!(
        text,
        "{} = {{ environment = {}",
        key(id.as_str()),
        quoted(environment.as_str())
    );
    let _ = write!(text, ", argument = {}", quoted(argument));
    if !setup.is_empty() {
        let _ = write!(
            text,
            ", setup = {}",
            inline(&serde_json::Value::Object(setup.clone()))
        );
    }
    if !weights.is_empty() {
        let weights: Vec<String> = weights.iter().map(weight).collect();
        let _ = write!(
            text,
            ", weights = [{}], digest = \"{}\"",
            weights.join(", "),
            model.digest()
        );
    }
    text.push_str(" }\n");
}

fn weight(
    LockedWeight {
        url,
        commit,
        path,
        size,
        sha256,
    }: &LockedWeight,
) -> String {
    let commit = commit.as_ref().map_or_else(String::new, |commit| {
        format!("commit = {}, ", quoted(commit))
    });
    let size = size.map_or_else(String::new, |size| format!("size = {size}, "));
    format!(
        "{{ url = {}, {commit}path = {}, {size}sha256 = \"{sha256}\" }}",
        quoted(url),
        quoted(path)
    )
}

fn write_environment(text: &mut String, environment: &LockedEnvironment, spelling: &mut Spelling) {
    let LockedEnvironment {
        name,
        source,
        variables,
        keep,
        question,
        resolver,
        inputs,
        targets,
    } = environment;
    let _ = write!(
        text,
        "\n[[environment]]\nname = {}\n",
        quoted(name.as_str())
    );
    let _ = write!(
        text,
        "source = {}\nsource-sha256 = \"{}\"\n",
        quoted(&source.path),
        source.sha256
    );
    if !variables.is_empty() {
        let pairs: Vec<_> = variables
            .iter()
            .map(|(name, value)| format!("{} = {}", key(name), quoted(value)))
            .collect();
        let _ = writeln!(text, "variables = {{ {} }}", pairs.join(", "));
    }
    if !keep.is_empty() {
        let names: Vec<_> = keep.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(text, "keep = [{}]", names.join(", "));
    }
    let _ = write!(
        text,
        "resolver = {}\ninputs = \"{inputs}\"\n",
        quoted(resolver)
    );
    text.push_str("\n[environment.question]\n");
    for (name, values) in &question.0 {
        let _ = writeln!(text, "{} = {}", key(name), list(values));
    }
    for target in targets {
        write_target(text, target, spelling);
    }
}

fn write_target(text: &mut String, target: &LockedTarget, spelling: &mut Spelling) {
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
    let _ = write!(
        text,
        "\n[[environment.target]]\nname = \"{}\"\nglibc = \"{}\"\n",
        target.name(),
        target.glibc
    );
    let _ = write!(
        text,
        "implementation = {}\npython = \"{version}\"\n",
        quoted(implementation)
    );
    let (source, archive) = match source {
        PythonSource::System => ("system", String::new()),
        PythonSource::Managed(archive) => (
            "managed",
            format!("archive = {}\n", quoted(&python.reference(archive))),
        ),
    };
    let _ = write!(
        text,
        "python-source = \"{source}\"\nsoabi = {}\n{archive}digest = \"{digest}\"\n",
        quoted(soabi)
    );
    let mut references = |packages: &[LockedPackage]| {
        let reference = |package| spelling.of(package).reference.clone();
        let each: Vec<String> = packages.iter().map(reference).collect();
        list(&each)
    };
    let _ = writeln!(text, "packages = {}", references(packages));
    if !builds.is_empty() {
        text.push_str("\n[environment.target.build]\n");
    }
    for (name, requirements) in builds {
        let _ = writeln!(
            text,
            "{} = {}",
            key(name.as_ref()),
            references(requirements)
        );
    }
    if !trees.is_empty() {
        text.push_str("\n[environment.target.trees]\n");
    }
    for (id, record) in trees {
        let RecordedTree { python, tree } = record;
        let _ = writeln!(
            text,
            "{} = {{ python = {}, tree = \"{tree}\", digest = \"{}\" }}",
            key(id),
            quoted(python),
            record.digest(id, digest)
        );
    }
}

/// One item a line, so that a diff shows the item.
fn list(items: &[String]) -> String {
    match items {
        [] => "[]".into(),
        [one] => format!("[{}]", quoted(one)),
        many => {
            let mut text = String::from("[\n");
            for item in many {
                text.push_str("    ");
                text.push_str(&quoted(item));
                text.push_str(",\n");
            }
            text.push(']');
            text
        }
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A JSON value as an inline TOML value. JSON's null cannot come from TOML, so it has no text here.
fn inline(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => quoted(""),
        Value::Bool(boolean) => boolean.to_string(),
        // Rust prints a float that is whole as `1.0`, in both formats.
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(inline).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(map) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(name, value)| format!("{} = {}", key(name), inline(value)))
                .collect();
            if pairs.is_empty() {
                "{}".into()
            } else {
                format!("{{ {} }}", pairs.join(", "))
            }
        }
    }
}
