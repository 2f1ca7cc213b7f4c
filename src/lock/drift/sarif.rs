//! Findings as a log of SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), which platforms for code show
//! beside the lines it names. Rule ids are the codes of drift.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::places::{Place, places};
use super::{Code, Finding, Report};
use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::percent::encode_path;

/// Files are named from the top of the checkout; the viewer knows where that is.
const TOP: &str = "%SRCROOT%";

/// The log of one run that found this.
pub(crate) fn log(report: &Report, manifest: &Manifest) -> Value {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| {
            json!({
                "id": code,
                "shortDescription": { "text": code.meaning() },
                "help": { "text": "Run `rootstock lock`, look at the difference, and commit it." },
                "defaultConfiguration": { "level": "error" },
            })
        })
        .collect();
    let places = places(report, manifest);
    let results: Vec<Value> = places
        .iter()
        .map(|(finding, place)| result(finding, place))
        .collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "rootstock",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Finding, place: &Place) -> Value {
    let Finding {
        code,
        subject,
        message,
        was,
        now,
        line: _,
    } = finding;
    let mut region = json!({ "startLine": place.line });
    if let Some((start, end)) = place.columns {
        region["startColumn"] = start.into();
        region["endColumn"] = end.into();
    }
    let index = Code::ALL.iter().position(|known| known == code);
    json!({
        "ruleId": code,
        "ruleIndex": index,
        "level": "error",
        "message": { "text": format!("{subject}: {message}") },
        "locations": [{ "physicalLocation": {
            "artifactLocation": location(&place.file),
            "region": region,
        } }],
        // Identifies the same finding in a later run, wherever its line has moved to.
        "partialFingerprints": { "rootstock/v1": Digest::of(format!("{code}\n{subject}\n{message}")) },
        "properties": { "subject": subject.to_string(), "was": was, "now": now },
    })
}

/// Relative paths are relative to the checkout, if rootstock is run at its top.
fn location(file: &Path) -> Value {
    let uri = encode_path(file.as_os_str().as_bytes());
    if file.is_absolute() {
        json!({ "uri": format!("file://{uri}") })
    } else {
        let uri = uri.strip_prefix("./").unwrap_or(&uri);
        json!({ "uri": uri, "uriBaseId": TOP })
    }
}
