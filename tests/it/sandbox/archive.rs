//! Wheels whose archive is written byte by byte, so that each field of it may be wrong.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use rootstock::digest::Digest;

/// A member of a zip archive, as it is written.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    /// The name in the header before the contents, if it is another.
    pub(crate) local_name: Option<Vec<u8>>,
    /// What stands in the archive: deflated, or as it is.
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    /// The size, unpacked, that the archive's directory says.
    pub(crate) size: u32,
    /// The size that the header before the contents says, if it is another.
    pub(crate) local_size: Option<u32>,
    pub(crate) mode: u32,
    pub(crate) flags: u16,
    /// Where the directory says that it begins, if it is elsewhere.
    pub(crate) offset: Option<u32>,
}

impl Entry {
    pub(crate) fn new(name: &str, contents: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(contents);
        Self {
            name: name.into(),
            local_name: None,
            data: contents.into(),
            method: 0,
            crc: crc.sum(),
            size: u32::try_from(contents.len()).unwrap(),
            local_size: None,
            mode: 0o100_644,
            flags: 0x800,
            offset: None,
        }
    }

    /// A member of `mebibytes` of this byte, which takes little room and no time to make.
    pub(crate) fn large(name: &str, start: &[u8], byte: u8, mebibytes: usize) -> Self {
        let piece = vec![byte; 1 << 20];
        let mut crc = flate2::Crc::new();
        crc.update(start);
        let mut deflater = flate2::Compress::new(flate2::Compression::fast(), false);
        let mut data = Vec::with_capacity(1 << 20);
        let flush = flate2::FlushCompress::Full;
        deflater.compress_vec(start, &mut data, flush).unwrap();
        let (from, before) = (data.len(), deflater.total_in());
        deflater.compress_vec(&piece, &mut data, flush).unwrap();
        assert_eq!(deflater.total_in() - before, piece.len() as u64);
        // After a full flush each piece stands for itself.
        let packed = data[from..].to_vec();
        for _ in 1..mebibytes {
            data.extend(&packed);
        }
        data.extend([1, 0, 0, 0xff, 0xff]);
        for _ in 0..mebibytes {
            crc.update(&piece);
        }
        let size = start.len() + (mebibytes << 20);
        Self {
            data,
            method: 8,
            crc: crc.sum(),
            size: u32::try_from(size).unwrap(),
            ..Self::new(name, b"")
        }
    }

    fn local(&self) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let mut out = b"PK\x03\x04".to_vec();
        self.fields(&mut out, self.local_size.unwrap_or(self.size), name);
        out.extend([0, 0]);
        out.extend(name);
        out.extend(&self.data);
        out
    }

    fn central(&self, offset: u32) -> Vec<u8> {
        let mut out = b"PK\x01\x02\x14\x03".to_vec();
        self.fields(&mut out, self.size, &self.name);
        out.extend([0; 8]);
        out.extend((self.mode << 16).to_le_bytes());
        out.extend(self.offset.unwrap_or(offset).to_le_bytes());
        out.extend(&self.name);
        out
    }

    /// What both headers have.
    fn fields(&self, out: &mut Vec<u8>, size: u32, name: &[u8]) {
        for field in [20, self.flags, self.method, 0, 0x21] {
            out.extend(field.to_le_bytes());
        }
        let packed = u32::try_from(self.data.len()).unwrap();
        for field in [self.crc, packed, size] {
            out.extend(field.to_le_bytes());
        }
        out.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    }
}

/// The archive of these members.
pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        directory.extend(entry.central(u32::try_from(out.len()).unwrap()));
        out.extend(entry.local());
    }
    let at = u32::try_from(out.len()).unwrap();
    out.extend(&directory);
    out.write_all(b"PK\x05\x06\0\0\0\0").unwrap();
    let count = u16::try_from(entries.len()).unwrap();
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    let length = u32::try_from(directory.len()).unwrap();
    out.extend([length.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

/// What the only module of such a wheel is.
pub(crate) const MODULE: &str = "def main():\n    print(\"ran\")\n";

/// A wheel of version 1.0, whole until a test changes something. Its module `NAME` has a function `main` that prints
/// `ran`.
#[derive(Clone)]
pub(crate) struct RawWheel {
    pub(crate) name: String,
    pub(crate) entries: Vec<Entry>,
    /// Its `RECORD`, but for the line of that itself.
    pub(crate) record: String,
    /// How `RECORD` is written in the end.
    pub(crate) written: fn(&str) -> Vec<u8>,
    /// Whether it has one.
    pub(crate) recorded: bool,
    /// What is done to the bytes in the end.
    pub(crate) bent: fn(Vec<u8>) -> Vec<u8>,
}

impl RawWheel {
    pub(crate) fn new(name: &str) -> Self {
        let wheel = Self {
            name: name.into(),
            entries: Vec::new(),
            record: String::new(),
            written: |record| record.into(),
            recorded: true,
            bent: |bytes| bytes,
        };
        wheel
            .file("@/__init__.py", MODULE)
            .info("METADATA", "Metadata-Version: 2.1\nName: @\nVersion: 1.0\n")
            .info(
                "WHEEL",
                "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
    }

    /// The path of a file of its metadata.
    pub(crate) fn inside(&self, file: &str) -> String {
        format!("{}-1.0.dist-info/{file}", self.name)
    }

    /// A file below its `.data` directory. In paths `@` stands for the package's name.
    pub(crate) fn data(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.file(&format!("@-1.0.data/{path}"), contents)
    }

    /// A file of the metadata, instead of the one that is there; `@` stands for the package's name in it too.
    pub(crate) fn info(self, file: &str, contents: impl AsRef<[u8]>) -> Self {
        let path = self.inside(file);
        let mut named = Vec::new();
        for byte in contents.as_ref() {
            match byte {
                b'@' => named.extend(self.name.as_bytes()),
                byte => named.push(*byte),
            }
        }
        self.without(&path).file(&path, named)
    }

    pub(crate) fn entry_points(self, text: &str) -> Self {
        self.info("entry_points.txt", text)
    }

    /// A file, with its line in `RECORD`.
    pub(crate) fn file(mut self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        let (path, contents) = (path.replace('@', &self.name), contents.as_ref());
        self.record += &line(&path, contents);
        self.entries.push(Entry::new(&path, contents));
        self
    }

    /// A member as it is, without a line in `RECORD`.
    pub(crate) fn entry(mut self, mut entry: Entry) -> Self {
        let name = String::from_utf8(entry.name).unwrap();
        entry.name = name.replace('@', &self.name).into();
        self.entries.push(entry);
        self
    }

    /// Without this file and its lines.
    pub(crate) fn without(mut self, path: &str) -> Self {
        let path = path.replace('@', &self.name);
        self.entries.retain(|entry| entry.name != path.as_bytes());
        let kept = self.record.lines();
        self.record = kept
            .filter(|line| !line.starts_with(&format!("{path},")))
            .fold(String::new(), |text, line| text + line + "\n");
        self
    }

    /// One more line in `RECORD`.
    pub(crate) fn line(mut self, line: &str) -> Self {
        writeln!(self.record, "{}", line.replace('@', &self.name)).unwrap();
        self
    }

    /// `RECORD` with something in it replaced.
    pub(crate) fn replaced(mut self, what: &str, by: &str) -> Self {
        assert!(self.record.contains(what), "{what}");
        self.record = self.record.replacen(what, by, 1);
        self
    }

    /// Does something to the bytes of the archive.
    pub(crate) fn bent(mut self, bent: fn(Vec<u8>) -> Vec<u8>) -> Self {
        self.bent = bent;
        self
    }

    pub(crate) fn written(mut self, written: fn(&str) -> Vec<u8>) -> Self {
        self.written = written;
        self
    }

    /// Changes the member that was added last.
    pub(crate) fn last(mut self, change: impl FnOnce(&mut Entry)) -> Self {
        change(self.entries.last_mut().unwrap());
        self
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}-1.0-py3-none-any.whl", self.name)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        if self.recorded {
            let path = self.inside("RECORD");
            let text = format!("{}{path},,\n", self.record);
            entries.push(Entry::new(&path, &(self.written)(&text)));
        }
        (self.bent)(zip(&entries))
    }
}

/// The line of `RECORD` for a file.
pub(crate) fn line(path: &str, contents: &[u8]) -> String {
    let digest = Digest::of(contents);
    let digest = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes());
    format!("{path},sha256={digest},{}\n", contents.len())
}
