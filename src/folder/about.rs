//! `<data>/folder.json`: the version and the identity of a data folder, and the parts that were made in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Part;
use crate::error::{Error, Result};
use crate::id::Identity;

const FILE: &str = "folder.json";
/// The version of folders that this program writes, and the newest that it reads. It rises with every change of stored bytes
/// that a program of before would read wrongly.
const VERSION: u64 = 2;
/// The oldest that it reads: 1 had one queue for the outputs of all destinations, which a start moves to theirs.
const VERSION_FIRST: u64 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The same in every copy of the folder.
    pub identity: Identity,
    /// A part that is named here and not there was lost.
    pub parts: BTreeSet<Part>,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u64,
    /// The program that wrote it, for people.
    written_by: String,
    identity: String,
    parts: Vec<String>,
}

impl About {
    pub fn new(identity: Identity) -> Self {
        Self { identity, parts: BTreeSet::new() }
    }

    /// `None` where there is none: in an empty folder, or one of a version before.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), IoKind::NotFound | IoKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(io_error("read", &path, &error)),
        };
        let damaged = |what: &str| {
            let path = path.display();
            Error::corrupt(format!(
                "{path} is damaged ({what}): put it back from a copy, or delete it: the parts of the folder know theirs"
            ))
        };
        // The version first: all else may be otherwise in another one.
        let any: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        match any["version"].as_u64() {
            Some(VERSION_FIRST..=VERSION) => {}
            Some(version) if version > VERSION => {
                let (folder, own) = (folder.display(), env!("CARGO_PKG_VERSION"));
                let by = any["written_by"].as_str().unwrap_or("a newer one");
                return Err(Error::conflict(format!(
                    "the data folder {folder} has version {version}, written by forebay {by}, and this is forebay {own}, which knows versions \
                     up to {VERSION}: use forebay {by} or newer, or choose another folder with --data"
                )));
            }
            _ => return Err(damaged("it names no known version")),
        }
        let stored: Stored = serde_json::from_value(any).map_err(|error| damaged(&error.to_string()))?;
        let identity = Identity::parse(&stored.identity).ok_or_else(|| damaged("its identity is none"))?;
        let part = |name: &String| Part::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| damaged("it names no known part"));
        let parts = stored.parts.iter().map(part).collect::<Result<_>>()?;
        Ok(Some(Self { identity, parts }))
    }

    /// Durably and in one step.
    pub fn store(&self, folder: &Path) -> Result<()> {
        let stored = Stored {
            version: VERSION,
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
            identity: self.identity.to_string(),
            parts: self.parts.iter().map(|part| part.name().to_owned()).collect(),
        };
        let text = serde_json::to_string_pretty(&stored).map_err(|error| Error::internal(format!("{FILE}: {error}")))?;
        let (path, partial) = (folder.join(FILE), folder.join("folder.json.partial"));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| io_error("write", &path, &error))
    }
}

/// A random identity, for a folder that has none.
pub fn new_identity() -> Result<Identity> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::unavailable(format!("this machine gives no random numbers: {error}")))?;
    Ok(Identity(bytes))
}

/// A failed file operation, named, with what to do about it.
pub fn io_error(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    let what = format!("cannot {doing} {}", path.display());
    match error.kind() {
        IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => Error::input(format!(
            "{what}: this user may not ({error}); give the right to write there, or choose another folder with --data"
        )),
        IoKind::StorageFull | IoKind::QuotaExceeded => {
            Error::unavailable(format!("{what}: the disk is full; free some space and start again: nothing that was acknowledged is lost"))
        }
        IoKind::NotADirectory | IoKind::AlreadyExists => {
            Error::input(format!("{what}: a file is in the way; choose another folder with --data"))
        }
        _ => Error::unavailable(format!("{what}: {error}; see that the disk is in order and try again")),
    }
}
