//! Differences as annotations of GitHub Actions: each beside its line.

use super::places::{Place, places};
use super::{Finding, Report};
use crate::manifest::Manifest;

/// The properties and the message of an `error` command for each finding.
pub(crate) fn annotations(report: &Report, manifest: &Manifest) -> Vec<String> {
    let places = places(report, manifest);
    places
        .iter()
        .map(|(finding, place)| annotation(finding, place))
        .collect()
}

fn annotation(finding: &Finding, place: &Place) -> String {
    let Finding {
        code,
        subject,
        message,
        ..
    } = finding;
    // Percent, carriage return and line feed would end or change the command.
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    format!(
        "file={},line={},title=rootstock {code}::{}",
        property(&place.file.display().to_string()),
        place.line,
        data(&format!("{subject}: {message}"))
    )
}
