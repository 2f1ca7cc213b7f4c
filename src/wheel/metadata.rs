//! What a wheel's metadata declare: its name and version against the lock's, the version of its format, its launchers.

use std::str::FromStr;

use pep440_rs::Version;
use pep508_rs::PackageName;

use crate::lock::LockedPackage;

use super::Defect;
use super::archive::Archive;
use super::entry_points::{self, Launcher};

/// What is known of a wheel before it is unpacked.
#[derive(Debug)]
pub(super) struct Description {
    /// The name of its `.dist-info` directory.
    pub(super) directory: String,
    /// The programs to make.
    pub(super) launchers: Vec<Launcher>,
}

impl Description {
    /// The path of a file in the `.dist-info` directory.
    pub(super) fn inside(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }
}

/// Reads a wheel's metadata; it must be this package, in a format of major version 1.
pub(super) fn describe(archive: &Archive, package: &LockedPackage) -> Result<Description, Defect> {
    let directory = directory(archive)?.to_owned();
    check_identity(&directory, package)?;
    check_format(&archive.text(&format!("{directory}/WHEEL"))?)?;
    check_metadata(
        &archive.text_or_lossy(&format!("{directory}/METADATA"))?,
        package,
    )?;
    let entry_points = format!("{directory}/entry_points.txt");
    let launchers = match archive.member(&entry_points) {
        Some(_) => entry_points::launchers(&archive.text(&entry_points)?)?,
        None => Vec::new(),
    };
    Ok(Description {
        directory,
        launchers,
    })
}

/// The one `.dist-info` directory.
fn directory(archive: &Archive) -> Result<&str, Defect> {
    let mut found = None;
    for member in archive.members() {
        let Some((top, _)) = member.path.split_once('/') else {
            continue;
        };
        if !top.ends_with(".dist-info") || found == Some(top) {
            continue;
        }
        if let Some(other) = found.replace(top) {
            return Err(Defect(format!("it holds both `{other}` and `{top}`")));
        }
    }
    found.ok_or_else(|| Defect("it has no .dist-info directory".to_owned()))
}

/// Whether the directory `name-version.dist-info` is that of the package.
fn check_identity(directory: &str, package: &LockedPackage) -> Result<(), Defect> {
    let LockedPackage { name, version, .. } = package;
    let stem = directory.trim_end_matches(".dist-info");
    let same = stem.split_once('-').is_some_and(|(n, v)| {
        PackageName::from_str(n).is_ok_and(|n| n == *name)
            && Version::from_str(v).is_ok_and(|v| v == *version)
    });
    if same {
        Ok(())
    } else {
        Err(Defect(format!(
            "it holds `{directory}` instead of {name} {version}"
        )))
    }
}

/// Whether `WHEEL` declares a format we know. The specification lets minor versions pass.
fn check_format(text: &str) -> Result<(), Defect> {
    let version = header(text, "Wheel-Version")
        .ok_or_else(|| Defect("its WHEEL file has no Wheel-Version".to_owned()))?;
    match version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err(Defect(format!(
            "it is of version {version} of the wheel format, and this rootstock knows version 1"
        ))),
    }
}

/// Whether `METADATA` is that of the package, as programs that ask for its version will read it.
fn check_metadata(text: &str, package: &LockedPackage) -> Result<(), Defect> {
    let LockedPackage { name, version, .. } = package;
    let missing = |field| Defect(format!("its METADATA file has no {field}"));
    let n = header(text, "Name").ok_or_else(|| missing("Name"))?;
    let v = header(text, "Version").ok_or_else(|| missing("Version"))?;
    let same = PackageName::from_str(&n).is_ok_and(|n| n == *name)
        && Version::from_str(&v).is_ok_and(|v| v == *version);
    if same {
        Ok(())
    } else {
        Err(Defect(format!(
            "its METADATA file is that of {n:?} {v:?} instead of {name} {version}"
        )))
    }
}

/// The value of a field in the header of a file that is written like an e-mail. As Python reads it, the header ends
/// with the first line that is none of it: an empty one, or one that begins with a byte order mark.
fn header(text: &str, field: &str) -> Option<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut rest = text.split('\n');
    let found = rest.find_map(|line| {
        if line.starts_with([' ', '\t']) {
            return None;
        }
        match line.split_once(':') {
            Some((key, value)) if key.bytes().all(|byte| byte.is_ascii_graphic()) => key
                .eq_ignore_ascii_case(field)
                .then(|| Some(value.trim().to_owned())),
            _ => Some(None),
        }
    });
    found.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::lock::Origin;

    #[test]
    fn names_are_compared_in_normal_form() {
        for (directory, name, version, same) in [
            ("Demo_Pack.X-1.0.dist-info", "demo-pack-x", "1.0.0", true),
            ("torch-2.5.1+cu121.dist-info", "torch", "2.5.1+cu121", true),
            ("torch-2.5.1.dist-info", "torch", "2.5.1+cu121", false),
            ("torch.dist-info", "torch", "2.5.1", false),
        ] {
            let package = LockedPackage {
                name: name.parse().unwrap(),
                version: version.parse().unwrap(),
                origin: Origin::Index(None),
                file: String::new(),
                size: None,
                sha256: Digest::of(""),
            };
            let result = check_identity(directory, &package);
            assert_eq!(result.is_ok(), same, "{directory}");
        }
    }
}
