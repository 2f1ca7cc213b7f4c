//! `RECORD`: which files a wheel has, with digest and size (PyPA "recording installed projects"). CSV, read and written.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::digest::DynDigest;
use sha2::{Sha384, Sha512};

use crate::build::shelf::ShelvedFile;
use crate::digest::Digest;

use super::Defect;

/// The lines of a `RECORD`, by path.
#[derive(Debug)]
pub(super) struct Record(HashMap<String, Line>);

/// What a line says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its digest; none is allowed only for `RECORD` itself and its signatures.
    pub(super) checksum: Option<Checksum>,
    /// Its size, if given.
    pub(super) size: Option<u64>,
}

/// A digest as publishers write it: sha256 or one that is at least as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// By far the most common.
    Sha256(Digest),
    /// Another one, with its bytes.
    Other(Algorithm, Vec<u8>),
}

/// Digests of the same family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// A fresh computation.
    pub(super) fn hasher(self) -> Box<dyn DynDigest> {
        match self {
            Algorithm::Sha384 => Box::new(Sha384::default()),
            Algorithm::Sha512 => Box::new(Sha512::default()),
        }
    }
}

impl Record {
    /// Reads the text of a `RECORD`.
    pub(super) fn parse(text: &str) -> Result<Self, Defect> {
        let mut lines = HashMap::new();
        for fields in rows(text) {
            let [path, checksum, size] = fields.as_slice() else {
                let row = fields.join(",");
                return Err(Defect(format!("its RECORD has the line `{row}`")));
            };
            // Some tools list directories; there is nothing to verify about them.
            if path.ends_with('/') && checksum.is_empty() {
                continue;
            }
            let line = Line {
                checksum: parse_checksum(path, checksum)?,
                size: size.parse().ok(),
            };
            // The same line twice says nothing wrong.
            if lines
                .insert(path.clone(), line.clone())
                .is_some_and(|before| before != line)
            {
                return Err(Defect(format!("its RECORD has two lines for `{path}`")));
            }
        }
        Ok(Self(lines))
    }

    /// Takes the line of this file out.
    pub(super) fn take(&mut self, path: &str) -> Option<Line> {
        self.0.remove(path)
    }

    /// A path whose line nobody has taken; always the same one.
    pub(super) fn left(&self) -> Option<&str> {
        self.0.keys().map(String::as_str).min()
    }
}

fn parse_checksum(path: &str, text: &str) -> Result<Option<Checksum>, Defect> {
    if text.is_empty() {
        return Ok(None);
    }
    let broken = || Defect(format!("its RECORD has `{text}` as the digest of `{path}`"));
    let (algorithm, value) = text.split_once('=').ok_or_else(broken)?;
    // The specification leaves the padding out, and some tools put it in.
    let value = value.trim_end_matches('=');
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).map_err(|_| broken())?;
    match (algorithm, bytes.len()) {
        ("sha256", 32) => {
            let bytes = bytes.try_into().expect("the length is 32");
            Ok(Some(Checksum::Sha256(Digest::from_bytes(bytes))))
        }
        ("sha384", 48) => Ok(Some(Checksum::Other(Algorithm::Sha384, bytes))),
        ("sha512", 64) => Ok(Some(Checksum::Other(Algorithm::Sha512, bytes))),
        ("sha256" | "sha384" | "sha512", _) => Err(broken()),
        _ => Err(Defect(format!(
            "its RECORD has a digest of `{path}` by `{algorithm}`, and only sha256, sha384 and sha512 are accepted"
        ))),
    }
}

/// The text of the `RECORD` that stands at `path`, listing these files and itself, sorted.
pub(super) fn text(files: &[ShelvedFile], path: &str) -> String {
    let mut lines: Vec<String> = files
        .iter()
        .map(|file| {
            let path = format!("{}{}", file.place.from_site_packages(), file.path);
            let checksum = BASE64_URL_SAFE_NO_PAD.encode(file.sha256.as_bytes());
            format!("{},sha256={checksum},{}\n", quoted(&path), file.size)
        })
        .collect();
    lines.push(format!("{},,\n", quoted(path)));
    lines.sort_unstable();
    lines.concat()
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// The rows of a CSV text (RFC 4180), empty ones left out.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = vec![String::new()];
    let mut characters = text.chars().peekable();
    let mut within_quotes = false;
    while let Some(character) = characters.next() {
        let field = row.last_mut().expect("a row has at least one field");
        match character {
            '"' if within_quotes && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => within_quotes = !within_quotes,
            _ if within_quotes => field.push(character),
            ',' => row.push(String::new()),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => rows.push(std::mem::replace(&mut row, vec![String::new()])),
            _ => field.push(character),
        }
    }
    rows.push(row);
    rows.retain(|row| row.iter().any(|field| !field.is_empty()));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::shelf::Place;

    #[test]
    fn quoted_paths_and_both_line_ends_are_read() {
        assert_eq!(
            rows("a,b,c\r\n\"x, \"\"y\"\"\",,\n\nlast,,1"),
            [["a", "b", "c"], ["x, \"y\"", "", ""], ["last", "", "1"]]
        );
    }

    #[test]
    fn a_record_is_sorted_and_relative_to_site_packages() {
        let file = |place, path: &str| ShelvedFile {
            place,
            path: path.into(),
            sha256: Digest::of(""),
            size: 0,
            executable: false,
        };
        let files = [
            file(Place::SitePackages, "p/a,b.py"),
            file(Place::Scripts, "run"),
            file(Place::Headers, "p/p.h"),
            file(Place::Data, "share/x"),
        ];
        let empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0";
        assert_eq!(
            text(&files, "p-1.dist-info/RECORD"),
            format!(
                "\"p/a,b.py\",{empty}\n../../../bin/run,{empty}\n../../../include/site/p/p.h,{empty}\n\
                 ../../../share/x,{empty}\np-1.dist-info/RECORD,,\n"
            )
        );
    }

    #[test]
    fn digests_that_prove_nothing_are_refused() {
        for bad in [
            "md5=1B2M2Y8AsgTpgAmY7PhCfg",
            "sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk",
            "sha256=abc",
            "x",
        ] {
            assert!(parse_checksum("p", bad).is_err(), "{bad}");
        }
        assert_eq!(parse_checksum("p", "").unwrap(), None);
    }
}
