//! The list of files that make up the event log, and the one step that changes it: a new manifest takes the place of
//! the old one by a rename, so that a reader sees all of a write or none. It is stored twice, under a checksum each, so that
//! one that is damaged or gone changes nothing. Must never name a file that is not synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checksum::Checksums;
use super::reading::damaged;
use super::{DAMAGED_REMEDY, io_error};
use crate::codec;
use crate::error::{Error, Result};
use crate::id::Seq;
use crate::time::{EventTime, IngestTime};

/// The format of manifests that this version writes, and the newest that it reads.
const FORMAT: u64 = 2;
/// That of a version without checksums, which is still read.
const FORMAT_FIRST: u64 = 1;
pub const NAME: &str = "manifest.json";
/// Written before the manifest itself, so that it is never older.
pub const COPY: &str = "manifest.copy.json";

/// One state of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The data folder that the log is a part of; none of a version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
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
    /// Events that were given up when the log was built again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
    /// The first and the last `seq` of each range of events that were given up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<(u64, u64)>,
}

/// Events of a source that no part of the data folder had any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub source: String,
    pub events: u64,
}

/// A column of a file, its type as the language spells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}

/// One Parquet file of one source and event date, or of a table and a year.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Of the file's bytes; `None` where it was written before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
    /// Bytes of memory that the rows take, roughly; 0 where a version wrote it that did not say.
    #[serde(default)]
    pub memory: u64,
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
            folder: None,
            given_up: Vec::new(),
            generation: 0,
            upto: Seq(0),
            next_part: 1,
            event_times: BTreeMap::new(),
            schemas: Vec::new(),
            files: Vec::new(),
            retired: Vec::new(),
            lost: Vec::new(),
        }
    }
}

impl Manifest {
    /// The manifest of that folder; the empty one where there is none yet. `Corrupt` when neither it nor its copy can be read
    /// as one, `Conflict` when a newer version wrote it.
    pub fn load(folder: &Path) -> Result<Self> {
        // In this order beside a writer, which writes the copy first: what is read last is newer or the same.
        let (own, copy) = (Stored::read(&folder.join(NAME))?, Stored::read(&folder.join(COPY))?);
        if let (Stored::Bytes(own), Stored::Bytes(copy)) = (&own, &copy)
            && own == copy
        {
            return Self::parse(own).map_err(|wrong| wrong.error(&folder.join(NAME)));
        }
        match (own.parse(), copy.parse()) {
            (None, None) => Ok(Self::default()),
            (Some(Ok(own)), Some(Ok(copy))) => Ok(if copy.generation > own.generation { copy } else { own }),
            // Before there were copies.
            (Some(Ok(own)), None) => Ok(own),
            (Some(Ok(own)), Some(Err(wrong))) => {
                tracing::warn!(
                    "{}; the manifest itself is whole, and is written again with the next write",
                    wrong.error(&folder.join(COPY))
                );
                Ok(own)
            }
            (Some(Err(wrong)), Some(Ok(copy))) => match wrong {
                Wrong::Newer(_) => Err(wrong.error(&folder.join(NAME))),
                Wrong::Damaged(_) => {
                    tracing::warn!("{}; its copy is whole, and used instead", wrong.error(&folder.join(NAME)));
                    Ok(copy)
                }
            },
            (None, Some(Ok(copy))) => {
                tracing::warn!("{} is gone; its copy is whole, and used instead", folder.join(NAME).display());
                Ok(copy)
            }
            (Some(Err(wrong)), _) => Err(wrong.error(&folder.join(NAME))),
            (None, Some(Err(wrong))) => Err(wrong.error(&folder.join(COPY))),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        let damaged = |why: String| Wrong::Damaged(why);
        let read = codec::open_json(bytes).map_err(damaged)?;
        let unsealed = read.value.get("format").and_then(serde_json::Value::as_u64);
        match (read.sealed, unsealed) {
            (Some(format), _) if format == FORMAT => {}
            (None, Some(FORMAT_FIRST)) => {}
            // Newer ones may be sealed in another way.
            (Some(format), _) | (None, Some(format)) if format > FORMAT => return Err(Wrong::Newer(format)),
            _ => return Err(damaged("no known format".to_owned())),
        }
        let manifest: Self = serde_json::from_value(read.value).map_err(|error| damaged(error.to_string()))?;
        if manifest.files.iter().any(|file| file.schema >= manifest.schemas.len()) {
            return Err(damaged("a file without its columns".to_owned()));
        }
        if manifest.files.iter().any(|file| file.checksums.as_ref().is_some_and(|sums| !sums.cover(file.bytes))) {
            return Err(damaged("a file with too few or too many checksums".to_owned()));
        }
        Ok(manifest)
    }

    /// What is wrong with the manifest's two files: each that is damaged or gone.
    pub fn faults(folder: &Path) -> Result<Vec<Error>> {
        let stored = [NAME, COPY].map(|name| folder.join(name));
        let parsed: Vec<_> = stored.iter().map(|path| Ok((path, Stored::read(path)?.parse()))).collect::<Result<_>>()?;
        let is_sealed = |manifest: &Self| manifest.files.iter().all(|file| file.checksums.is_some());
        let whole = parsed.iter().find_map(|(_, parsed)| parsed.as_ref()?.as_ref().ok());
        let fault = |(path, parsed): &(&PathBuf, Option<Result<Self, Wrong>>)| match parsed {
            Some(Ok(_)) => None,
            Some(Err(wrong)) => Some(wrong.error(path)),
            // A folder of before, or one that is new.
            None if path.ends_with(COPY) && whole.is_none_or(|manifest| !is_sealed(manifest) || manifest.files.is_empty()) => None,
            None if whole.is_none() => None,
            None => Some(Error::corrupt(format!("{} is gone: {DAMAGED_REMEDY}", path.display()))),
        };
        Ok(parsed.iter().filter_map(fault).collect())
    }

    /// Makes this the manifest of the folder, durably and in one step: that of the copy, which is read where it is newer.
    pub fn publish(&self, folder: &Path) -> Result<()> {
        let bytes = codec::seal_json(FORMAT, self).map_err(|error| error.context("manifest"))?;
        let write = |name: &str| -> Result<()> {
            let temporary = folder.join(format!("{name}.new"));
            let write = || -> std::io::Result<()> {
                let mut file = File::create(&temporary)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                fs::rename(&temporary, folder.join(name))
            };
            write().map_err(|error| io_error("write", &temporary, &error))?;
            sync_folder(folder)
        };
        write(COPY)?;
        if let Err(error) = write(NAME) {
            tracing::warn!("{error}; its copy says the same, and the next write makes both again");
        }
        Ok(())
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

/// What lies under a manifest's name.
enum Stored {
    Nothing,
    Bytes(Vec<u8>),
}

impl Stored {
    fn read(path: &Path) -> Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(error) if error.kind() == IoKind::NotFound => Ok(Self::Nothing),
            Err(error) => Err(io_error("read", path, &error)),
        }
    }

    fn parse(&self) -> Option<Result<Manifest, Wrong>> {
        match self {
            Self::Nothing => None,
            Self::Bytes(bytes) => Some(Manifest::parse(bytes)),
        }
    }
}

/// Why bytes are no manifest for this version.
enum Wrong {
    Damaged(String),
    Newer(u64),
}

impl Wrong {
    fn error(&self, path: &Path) -> Error {
        match self {
            Self::Damaged(why) => damaged(path, why),
            Self::Newer(format) => Error::conflict(format!(
                "{} has format {format} and this version reads up to {FORMAT}: use the newer forebay that wrote it",
                path.display()
            )),
        }
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
