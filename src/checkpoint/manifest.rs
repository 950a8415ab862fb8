//! What a checkpoint says of itself: its files with their sizes and hashes, and what they are a copy of. A checkpoint counts
//! once this is there. Stored as JSON; `docs/storage-format.md` has its fields.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::{Error, Result};

/// The format that this version writes and reads.
const FORMAT: u64 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of one target, from 1; a later checkpoint has a higher one.
    pub number: u64,
    /// RFC 3339.
    pub made_at: String,
    /// The version of Forebay that made it.
    pub forebay: String,
    /// What the data folder is known by: its log's identity; `None` of one without a log.
    pub folder: Option<String>,
    /// The last event that was committed; `None` where no event ever was.
    pub seq: Option<u64>,
    /// The folder of the definitions, below that of the checkpoint; `None` where there were none.
    pub features: Option<String>,
    /// Where what lies in `features/` was: absolute paths of it are of this folder.
    pub features_were: Option<String>,
    /// What could not be taken along.
    pub warnings: Vec<String>,
    /// By path.
    pub files: Vec<FileSum>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSum {
    /// Below the checkpoint's folder, parts separated by `/`.
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    /// What comes before anything is known of the copy.
    pub fn new(number: u64, made_at: String) -> Self {
        Self {
            number,
            made_at,
            forebay: env!("CARGO_PKG_VERSION").to_owned(),
            folder: None,
            seq: None,
            features: None,
            features_were: None,
            warnings: Vec::new(),
            files: Vec::new(),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The stored form, with its format and a checksum.
    pub fn encode(&self) -> Result<Vec<u8>> {
        codec::seal_json(FORMAT, self)
    }

    /// `name` is what it was read from.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not what was written, `Conflict` when a newer version wrote them.
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self> {
        let damaged = |what: &dyn std::fmt::Display| Error::corrupt(format!("{name} is damaged: {what}"));
        let opened = codec::open_json(bytes).map_err(|what| damaged(&what))?;
        match opened.sealed {
            Some(FORMAT) => {}
            Some(format) => {
                let message = format!("{name} has format {format}, and this version reads {FORMAT}: use the forebay that made it");
                return Err(Error::conflict(message));
            }
            None => return Err(damaged(&"it has no checksum")),
        }
        // Both are of no field of its own.
        let mut value = opened.value;
        if let Some(object) = value.as_object_mut() {
            object.retain(|name, _| name != "format" && name != "checksum");
        }
        let read: Self = serde_json::from_value(value).map_err(|error| damaged(&error))?;
        let is_below = |path: &str| !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        match read.files.iter().find(|file| !is_below(&file.path)) {
            Some(file) => Err(damaged(&format!("{:?} lies outside of a data folder", file.path))),
            None => Ok(read),
        }
    }
}

/// A checkpoint's number as a name that sorts.
pub fn name_of(number: u64) -> String {
    format!("{number:08}")
}

/// The number of a name.
pub fn number_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|number| *number > 0)
}
