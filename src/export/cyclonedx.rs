//! A bill of materials (`CycloneDX` 1.6, JSON): the packages of an environment, what builds its source distributions, its
//! interpreter and the weights of its models. One lock gives one text: no time, no random number.

use serde_json::{Value, json};

use super::Subject;
use crate::digest::Digest;
use crate::lock::{InternedPackage, LockedPackage, LockedPython, LockedWeight, Origin};
use crate::percent::encode_segment;

/// The bill of materials, by the version of this program.
pub fn cyclonedx(subject: &Subject, rootstock: &str) -> Value {
    let Subject {
        environment,
        target,
        models,
    } = subject;
    let installed = target.packages.iter().map(|p| package(p, "required"));
    let building = target.builds.iter().flat_map(|(sdist, packages)| {
        // Two source distributions may be built with the same file; each bill has it once, named by what it is for.
        packages.iter().map(move |p| {
            let mut component = package(p, "excluded");
            component["bom-ref"] = format!("build/{sdist}/{}", p.reference()).into();
            component["properties"] =
                json!([{ "name": "rootstock:builds", "value": sdist.to_string() }]);
            component
        })
    });
    let mut components: Vec<Value> = vec![interpreter(&target.python)];
    components.extend(installed.chain(building));
    let mut seen: Vec<&str> = Vec::new();
    for weight in models.iter().flat_map(|model| &model.weights) {
        if !seen.contains(&weight.path.as_str()) {
            seen.push(&weight.path);
            components.push(self::weight(weight));
        }
    }
    let references: Vec<&Value> = components
        .iter()
        .map(|component| &component["bom-ref"])
        .collect();
    let version = target.digest.short(32);
    let whole = json!({ "ref": "environment", "dependsOn": references });
    let digest = Digest::of(format!(
        "rootstock bill of materials 1\n{}\n{components:?}",
        target.digest
    ));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&digest)),
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": "rootstock", "version": rootstock }] },
            "component": {
                "type": "application",
                "bom-ref": "environment",
                "name": environment.name,
                "version": version,
                "properties": [{ "name": "rootstock:target", "value": target.target.to_string() }],
            },
        },
        "components": components,
        "dependencies": [whole],
    })
}

fn package(package: &InternedPackage, scope: &str) -> Value {
    let LockedPackage {
        name,
        version,
        origin,
        file,
        size: _,
        sha256,
    } = &**package;
    let version = version.to_string();
    let qualifier = match origin {
        Origin::Index(_) => format!("file_name={}", encode_segment(file)),
        Origin::Url { url, .. } => format!("download_url={}", encode_segment(url)),
        Origin::Git { url, commit, .. } => {
            format!("vcs_url={}", encode_segment(&format!("git+{url}@{commit}")))
        }
        Origin::Path { path, .. } => format!("file_name={}", encode_segment(path)),
    };
    json!({
        "type": "library",
        "bom-ref": package.reference(),
        "name": name.to_string(),
        "version": version,
        "scope": scope,
        "hashes": hashes(sha256),
        "purl": format!("pkg:pypi/{name}@{}?{qualifier}", encode_segment(&version)),
    })
}

fn interpreter(python: &LockedPython) -> Value {
    let (name, version) = (&python.implementation, python.label());
    let mut component = json!({
        "type": "platform",
        "bom-ref": "interpreter",
        "name": name,
        "version": version,
        "purl": format!("pkg:generic/{name}@{}", encode_segment(&version)),
        "properties": [{ "name": "rootstock:soabi", "value": python.soabi }],
    });
    if let Some(archive) = python.archive() {
        component["hashes"] = hashes(&archive.sha256);
        let distribution = json!({ "type": "distribution", "url": archive.url });
        component["externalReferences"] = json!([distribution]);
    }
    component
}

fn weight(weight: &LockedWeight) -> Value {
    let LockedWeight {
        url,
        commit,
        path,
        size: _,
        sha256,
    } = weight;
    let mut component = json!({
        "type": "machine-learning-model",
        "bom-ref": format!("weights/{path}"),
        "name": path,
        "hashes": hashes(sha256),
        "externalReferences": [{ "type": "distribution", "url": url, "hashes": hashes(sha256) }],
    });
    if let Some(commit) = commit {
        component["version"] = commit.as_str().into();
    }
    component
}

fn hashes(sha256: &Digest) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

/// A number that is the same for the same bill (RFC 9562, version 8).
fn uuid(digest: &Digest) -> String {
    let text = digest.to_string();
    // The digits of version and variant stand at the beginning of the third and the fourth group.
    let third = format!("8{}", &text[13..16]);
    let fourth = format!("8{}", &text[17..20]);
    [&text[..8], &text[8..12], &third, &fourth, &text[20..32]].join("-")
}
