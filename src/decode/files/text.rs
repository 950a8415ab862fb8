//! Files of text before anyone looks for records in them: unpacked (`.gz`, `.zst`), without a byte order mark. Streams:
//! must never hold a file as a whole, and never take a part of one for the whole.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Error as IoError, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;
/// The bytes that such files begin with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// The packing that a file's name says, and the name without that.
    pub fn of(path: &Path) -> (Self, &Path) {
        let packing = match path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase().as_str() {
            "gz" => Self::Gzip,
            "zst" => Self::Zstd,
            _ => return (Self::Plain, path),
        };
        (packing, Path::new(path.file_stem().unwrap_or_default()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain text",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// The text of an open file, packed as its name says.
pub fn text_of(file: File, path: &Path) -> Result<Box<dyn BufRead + Send>> {
    text(Box::new(file), Packing::of(path).0)
}

pub(super) fn not_opened(path: &Path, error: &IoError) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::not_found(format!("{}: there is no such file", path.display())),
        _ => unreadable(error).context(path.display()),
    }
}

/// The text in a stream of bytes. Input error where they are not packed as it is said, or are no UTF-8 by their first bytes.
pub fn text(mut bytes: Box<dyn Read + Send>, packing: Packing) -> Result<Box<dyn BufRead + Send>> {
    let start = beginning(&mut bytes, ZSTD.len())?;
    let found = match start.as_slice() {
        start if start.starts_with(&GZIP) => Packing::Gzip,
        start if start.starts_with(&ZSTD) => Packing::Zstd,
        _ => Packing::Plain,
    };
    if found != packing {
        let remedy = match (packing, found) {
            (Packing::Plain, found) => format!("let its name end in {}, or unpack it", found.suffix()),
            (said, found) => format!("let its name end in {} where it is that, not in {}", name_end(found), said.suffix()),
        };
        return Err(Error::input(format!("is {}, which its name does not say: {remedy}", found.name())));
    }
    let bytes = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(start).chain(bytes));
    let mut text: Box<dyn Read + Send> = match packing {
        Packing::Plain => Box::new(bytes),
        Packing::Gzip => Box::new(Unpacked { inner: MultiGzDecoder::new(bytes), packing }),
        Packing::Zstd => {
            let inner = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|error| unreadable(&error))?;
            Box::new(Unpacked { inner, packing })
        }
    };
    let mut start = beginning(&mut text, 3)?;
    match start.as_slice() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(Error::input("is UTF-16: save it as UTF-8")),
        [0xef, 0xbb, 0xbf] => start.clear(),
        _ => {}
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, Cursor::new(start).chain(text))))
}

fn name_end(found: Packing) -> &'static str {
    if found == Packing::Plain { ".ndjson, .jsonl, .json or .csv" } else { found.suffix() }
}

/// The first bytes, as many of them as there are.
fn beginning(bytes: &mut impl Read, count: usize) -> Result<Vec<u8>> {
    let mut start = Vec::with_capacity(count);
    bytes.take(count as u64).read_to_end(&mut start).map_err(|error| unreadable(&error))?;
    Ok(start)
}

pub(super) fn unreadable(error: &IoError) -> Error {
    Error::input(format!("cannot be read: {error}"))
}

/// Says of an archive that it is cut off or damaged.
struct Unpacked<R> {
    inner: R,
    packing: Packing,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(into).map_err(|error| {
            let name = self.packing.name();
            let message = match error.kind() {
                ErrorKind::Interrupted => return error,
                ErrorKind::UnexpectedEof => format!("the {name} archive is cut off: get the whole of it"),
                _ => format!("the {name} archive is damaged: get it again ({error})"),
            };
            IoError::new(ErrorKind::InvalidData, message)
        })
    }
}
