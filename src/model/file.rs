//! A model's file and what it refers to, read once: what is hashed is what is loaded, whatever happens to the files. Must
//! never read outside of the model's folder.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::onnx::{Graph, Malformed, external, read};
use crate::error::{Error, Result};

/// What ONNX Runtime takes in one piece.
const BYTES_MAX: usize = i32::MAX as usize;

/// Models in ONNX Runtime's own format have these bytes after the first four, and all of their weights inside.
const RUNTIME_FORMAT: &[u8] = b"ORTM";

pub struct File {
    /// The model, with all of its weights inside.
    pub bytes: Vec<u8>,
    /// The SHA-256 of the file; of a model with external data that of the hashes of the file and of those beside it, in the
    /// order of their names, one a line.
    pub version: String,
    pub graph: Graph,
    /// The file, and those that hold its weights.
    pub files: Vec<PathBuf>,
}

/// `NotFound` when there is no such file, `Input` when it, or what it refers to, is none that can be used.
pub fn read_file(path: &Path) -> Result<File> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        IoKind::NotFound => {
            Error::not_found(format!("there is no model file {shown}; train it or correct the path in the model's declaration"))
        }
        _ => Error::unavailable(format!("cannot read model file {shown}: {error}")),
    })?;
    if bytes.is_empty() {
        return Err(Error::input(format!("model file {shown} is empty; export the model again")));
    }
    let version = hexadecimal(&Sha256::digest(&bytes));
    if bytes.get(4..8) == Some(RUNTIME_FORMAT) {
        return Ok(File { bytes, version, graph: Graph::default(), files: vec![path.to_owned()] });
    }
    let damaged = |_: Malformed| Error::input(format!("model file {shown} is damaged or no ONNX model; export it again"));
    let graph = read(&bytes).map_err(damaged)?;
    let places = external::places(&bytes).map_err(damaged)?;
    if places.is_empty() {
        return Ok(File { bytes, version, graph, files: vec![path.to_owned()] });
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut files = BTreeMap::new();
    for place in places {
        if let Entry::Vacant(entry) = files.entry(place.file) {
            let content = beside(folder, entry.key()).map_err(|error| error.context(format_args!("model file {shown}")))?;
            entry.insert(content);
        }
    }
    let mut hashes = format!("{version}\n");
    for content in files.values() {
        let _ = writeln!(hashes, "{}", hexadecimal(&Sha256::digest(content)));
    }
    let own = std::iter::once(path.to_owned()).chain(files.keys().map(|name| folder.join(name))).collect();
    let bytes = external::inlined(&bytes, &files).map_err(|error| error.context(format_args!("model file {shown}")))?;
    if bytes.len() > BYTES_MAX {
        let message =
            format!("model file {shown} has more than 2 GiB with its external data; export it smaller, such as with 16-bit floats");
        return Err(Error::input(message));
    }
    Ok(File { bytes, version: hexadecimal(&Sha256::digest(hashes)), graph, files: own })
}

/// A file of the model's folder.
fn beside(folder: &Path, written: &str) -> Result<Vec<u8>> {
    let outside = || {
        let message = format!(
            "its external data {written:?} lies outside of the model's folder; export it again with its data beside it, or copy both into one folder"
        );
        Error::input(message)
    };
    let relative = Path::new(written);
    let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if written.is_empty() || written.contains('\0') || !relative.components().all(is_plain) {
        return Err(outside());
    }
    let unreadable = |error: std::io::Error| match error.kind() {
        IoKind::NotFound => {
            Error::input(format!("its external data {written:?} is not there; copy the file that was exported with the model beside it"))
        }
        _ => Error::unavailable(format!("its external data {written:?} cannot be read: {error}")),
    };
    // Links are followed, and must stay in the folder too.
    let (home, place) = (folder.canonicalize().map_err(unreadable)?, folder.join(relative).canonicalize().map_err(unreadable)?);
    if !place.starts_with(&home) {
        return Err(outside());
    }
    if !place.is_file() {
        return Err(Error::input(format!("its external data {written:?} is no file")));
    }
    fs::read(&place).map_err(unreadable)
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
