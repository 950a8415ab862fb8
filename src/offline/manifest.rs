//! The list of files that make up the event log, and the one step that changes it: a new manifest takes the place of
//! the old one by a rename, so that a reader sees all of a write or none. Must never name a file that is not synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::io_error;
use crate::error::{Error, Result};
use crate::id::Seq;
use crate::time::{EventTime, IngestTime};

/// The format of manifests that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;
const NAME: &str = "manifest.json";
const TEMPORARY: &str = "manifest.json.new";

/// One state of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Counts the manifests of this folder, from 0 for the one that is not written yet.
    pub generation: u64,
    /// Every event with a `seq` up to this one is in `files`, once.
    pub upto: Seq,
    /// The number that the next file's name will carry.
    pub next_part: u64,
    /// The event time's column of every source that ever wrote here, declared today or not.
    #[serde(default)]
    pub event_times: BTreeMap<String, String>,
    /// The different column lists of the files.
    pub schemas: Vec<Vec<Column>>,
    pub files: Vec<FileEntry>,
    /// Files that left the log and stay for readers of an older manifest.
    pub retired: Vec<Retired>,
}

/// A column of a file, its type as the language spells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}

/// One Parquet file of one source and event date, or of a table and a year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Below the store's folder, parts separated by `/`.
    pub path: String,
    pub source: String,
    /// The column that the rows are sorted and dated by.
    pub event_time: String,
    /// The event date of all rows, UTC; of a table their year.
    pub date: String,
    pub rows: u64,
    pub bytes: u64,
    pub time_min: EventTime,
    pub time_max: EventTime,
    pub seq_min: Seq,
    pub seq_max: Seq,
    /// Into the manifest's `schemas`.
    pub schema: usize,
    /// How many of the rows retract an event.
    #[serde(default)]
    pub retractions: u64,
}

/// A file that is no longer part of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    pub path: String,
    /// The generation that no longer names it.
    pub generation: u64,
    pub at: IngestTime,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            format: FORMAT,
            generation: 0,
            upto: Seq(0),
            next_part: 1,
            event_times: BTreeMap::new(),
            schemas: Vec::new(),
            files: Vec::new(),
            retired: Vec::new(),
        }
    }
}

impl Manifest {
    /// The manifest of that folder; the empty one where there is none yet. `Corrupt` when it cannot be read as one,
    /// `Conflict` when a newer version wrote it.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == IoKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io_error("read", &path, &error)),
        };
        let damaged = |error: &dyn std::fmt::Display| {
            Error::corrupt(format!("{} is damaged ({error}): restore the folder from a copy", path.display()))
        };
        let any: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        match any.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) if format > u64::from(FORMAT) => {
                let message = format!(
                    "{} has format {format} and this version reads up to {FORMAT}: use the newer forebay that wrote it",
                    path.display()
                );
                return Err(Error::conflict(message));
            }
            _ => return Err(damaged(&"no known format")),
        }
        let manifest: Self = serde_json::from_value(any).map_err(|error| damaged(&error))?;
        if manifest.files.iter().any(|file| file.schema >= manifest.schemas.len()) {
            return Err(damaged(&"a file without its columns"));
        }
        Ok(manifest)
    }

    /// Makes this the manifest of the folder, durably and in one step.
    pub fn publish(&self, folder: &Path) -> Result<()> {
        let temporary = folder.join(TEMPORARY);
        let bytes = serde_json::to_vec(self).map_err(|error| Error::internal(format!("manifest: {error}")))?;
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, folder.join(NAME))
        };
        write().map_err(|error| io_error("write", &temporary, &error))?;
        sync_folder(folder)
    }

    /// The place of these columns in `schemas`, added where new.
    pub fn schema_index(&mut self, columns: Vec<Column>) -> usize {
        match self.schemas.iter().position(|known| *known == columns) {
            Some(index) => index,
            None => {
                self.schemas.push(columns);
                self.schemas.len() - 1
            }
        }
    }

    /// Whether a file of that path is part of the log or kept for older readers.
    pub fn names(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path) || self.retired.iter().any(|file| file.path == path)
    }
}

/// Makes the entries of a folder durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|error| io_error("sync", folder, &error))
}

/// Where that file of the manifest lies.
pub fn located(folder: &Path, path: &str) -> PathBuf {
    path.split('/').fold(folder.to_owned(), |folder, part| folder.join(part))
}
