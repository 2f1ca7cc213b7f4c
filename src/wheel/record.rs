//! `RECORD`: which files a wheel has, with digest and size (PyPA "recording installed projects"). CSV, read and written.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::digest::DynDigest;
use sha2::{Sha384, Sha512};

use crate::digest::Digest;
use crate::store::wheels::UnpackedFile;

use super::Defect;

/// The lines of a `RECORD`, by path. A path may have more than one: tools that repack wheels add lines.
#[derive(Debug)]
pub(super) struct Record(HashMap<String, Vec<Line>>);

/// A line as it is written.
#[derive(Debug)]
struct Line {
    checksum: String,
    size: Option<u64>,
}

/// A `RECORD`'s entry for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Its digests, at least one.
    pub(super) checksums: Vec<Checksum>,
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

impl Checksum {
    /// Whether no file has both.
    fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sha256(one), Self::Sha256(two)) => one != two,
            (Self::Other(of, one), Self::Other(of_two, two)) => of == of_two && one != two,
            _ => false,
        }
    }
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
        let mut lines: HashMap<String, Vec<Line>> = HashMap::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // As Python reads it: any line ends, empty lines, more fields than there should be.
        let mut rows = csv::ReaderBuilder::new();
        let rows = rows.has_headers(false).flexible(true);
        for row in rows.from_reader(text.as_bytes()).records() {
            let row = row.map_err(|error| Defect(format!("its RECORD cannot be read: {error}")))?;
            let fields: Vec<&str> = row.iter().collect();
            if fields.iter().all(|field| field.is_empty()) {
                continue;
            }
            let [path, checksum, size, ..] = fields[..] else {
                let row = fields.join(",");
                return Err(Defect(format!("its RECORD has the line {row:?}")));
            };
            // Some tools list directories; there is nothing to verify about them.
            if path.ends_with(['/', '\\']) {
                continue;
            }
            lines.entry(normal(path)).or_default().push(Line {
                checksum: checksum.to_owned(),
                size: size.parse().ok(),
            });
        }
        Ok(Self(lines))
    }

    /// The entry for this path. Lines about files that a wheel does not hold are never asked for.
    pub(super) fn claim(&self, path: &str) -> Result<Claim, Defect> {
        let lines = self
            .0
            .get(path)
            .ok_or_else(|| Defect(format!("its RECORD does not list `{path}`")))?;
        let mut checksums: Vec<Checksum> = Vec::new();
        let mut size = None;
        for line in lines {
            let found = parse_checksum(path, &line.checksum)?;
            let other =
                |known: &Checksum| found.as_ref().is_some_and(|found| found.contradicts(known));
            let longer = size.is_some() && line.size.is_some() && size != line.size;
            if longer || checksums.iter().any(other) {
                return Err(Defect(format!(
                    "its RECORD has two lines for `{path}` that contradict each other"
                )));
            }
            size = size.or(line.size);
            checksums.extend(found.filter(|found| !checksums.contains(found)));
        }
        if checksums.is_empty() {
            return Err(Defect(format!("its RECORD has no digest of `{path}`")));
        }
        Ok(Claim { checksums, size })
    }
}

/// A path as archives write it: some tools write `.\foo`, `./foo` or `a//b`. Nothing else about it is guessed.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for (number, part) in path.split(['/', '\\']).enumerate() {
        match part {
            "" if number > 0 => {}
            "." => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, "" | "..")) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn parse_checksum(path: &str, text: &str) -> Result<Option<Checksum>, Defect> {
    if text.is_empty() {
        return Ok(None);
    }
    let broken = || Defect(format!("its RECORD has {text:?} as the digest of `{path}`"));
    let (algorithm, value) = text.split_once('=').ok_or_else(broken)?;
    let algorithm = algorithm.to_ascii_lowercase();
    let length = match algorithm.as_str() {
        "sha256" => 32,
        "sha384" => 48,
        _ => 64,
    };
    let bytes = decoded(value, length).unwrap_or_default();
    match (algorithm.as_str(), bytes.len()) {
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

/// The bytes of a digest. The specification wants the alphabet for URLs without padding; some tools write the other
/// alphabet, padding, or hexadecimal digits.
fn decoded(value: &str, length: usize) -> Option<Vec<u8>> {
    if value.len() == 2 * length {
        return (0..length)
            .map(|at| u8::from_str_radix(value.get(2 * at..2 * at + 2)?, 16).ok())
            .collect();
    }
    let value = value
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    BASE64_URL_SAFE_NO_PAD.decode(value).ok()
}

/// The text of the `RECORD` that stands at `path`, listing these files and itself, sorted.
pub(super) fn text(files: &[UnpackedFile], path: &str) -> String {
    let mut lines: Vec<String> = files
        .iter()
        .map(|file| {
            let path = format!("{}{}", file.scheme.relative_to_site_packages(), file.path);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::wheels::Scheme;

    /// As `csv.reader` of Python reads them: a quote within a field that does not begin with one is a character.
    #[test]
    fn quoted_paths_and_all_line_ends_are_read() {
        let digest = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        let text = format!(
            "a,{digest},0\r\n\"x, \"\"y\"\"\",{digest},\n,,\n\rold,{digest},1\rz\"1,{digest},2,more\nlast,{digest},3"
        );
        let record = Record::parse(&text).unwrap();
        let size = |path: &str| record.claim(path).unwrap().size;
        assert_eq!(size("x, \"y\""), None);
        let sizes = ["a", "old", "z\"1", "last"].map(size);
        assert_eq!(sizes, [0, 1, 2, 3].map(Some));
        assert!(Record::parse("a,b\n").is_err());
    }

    #[test]
    fn a_record_is_sorted_and_relative_to_site_packages() {
        let file = |scheme, path: &str| UnpackedFile {
            scheme,
            path: path.into(),
            sha256: Digest::of(""),
            size: 0,
            executable: false,
        };
        let files = [
            file(Scheme::SitePackages, "p/a,b.py"),
            file(Scheme::Scripts, "run"),
            file(Scheme::Headers, "p/p.h"),
            file(Scheme::Data, "share/x"),
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

    proptest::proptest! {
        #[test]
        fn whatever_is_read_is_a_record_or_refused(text in "[a,\"/\\\\.=\r\n\u{feff}]{0,40}", any in ".{0,40}") {
            for text in [text, any] {
                if let Ok(record) = Record::parse(&text) {
                    let _ = record.claim("a");
                }
            }
        }

        #[test]
        fn what_is_written_is_read(names in proptest::collection::btree_set("[a,\" é]{1,6}(/[a,\" é]{1,6})?", 0..6)) {
            let files: Vec<UnpackedFile> = names
                .iter()
                .map(|name| UnpackedFile {
                    scheme: Scheme::SitePackages,
                    path: name.clone(),
                    sha256: Digest::of(name),
                    size: name.len() as u64,
                    executable: false,
                })
                .collect();
            let record = Record::parse(&text(&files, "x-1.dist-info/RECORD")).unwrap();
            for file in &files {
                let claim = record.claim(&file.path).unwrap();
                assert_eq!(claim.checksums, [Checksum::Sha256(file.sha256)]);
                assert_eq!(claim.size, Some(file.size));
            }
        }

        #[test]
        fn a_path_read_twice_is_the_same(path in "[a./\\\\]{0,12}") {
            let once = normal(&path);
            assert_eq!(normal(&once), once);
        }
    }
}
