//! Requirements with hashes, as pip and uv read them: `pip install --no-deps --require-hashes -r FILE`.
//!
//! Which index a package comes from cannot be expressed for one package there; it stands in a comment. pip knows no digest of
//! a repository or a directory, and refuses them together with `--require-hashes`.

use std::fmt::Write as _;

use super::Subject;
use crate::lock::Origin;

/// The text of `requirements.txt`.
pub fn requirements(subject: &Subject) -> String {
    let Subject {
        environment,
        target,
        ..
    } = subject;
    let mut text = format!(
        "# Environment {} for {} with Python {}; install with `--no-deps --require-hashes`.\n",
        environment.name,
        target.target,
        target.python.label()
    );
    for package in &target.packages {
        let (name, version, sha256) = (&package.name, &package.version, &package.sha256);
        let hash = format!(" \\\n    --hash=sha256:{sha256}");
        let below = package.origin.subdirectory();
        let below = below.map_or_else(String::new, |below| format!("#subdirectory={below}"));
        let _ = match &package.origin {
            Origin::Index(None) => writeln!(text, "{name}=={version}{hash}"),
            Origin::Index(Some(index)) => {
                writeln!(text, "# from the index {index}:\n{name}=={version}{hash}")
            }
            Origin::Url { url, .. } => writeln!(text, "{name} @ {url}{below}{hash}"),
            Origin::Path { path, .. } => writeln!(text, "{path}{below}{hash}"),
            Origin::Git { url, commit, .. } => {
                writeln!(text, "{name} @ git+{url}@{commit}{below}")
            }
        };
    }
    text
}
