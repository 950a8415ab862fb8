//! The way back: a checkpoint into an empty folder, which counts as a data folder only once every byte was compared. Must
//! never touch a folder that holds anything.

use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};

use super::files::{failed, remove, sync_folder};
use super::manifest::{Manifest, name_of};
use super::target::Target;
use crate::error::{Error, ErrorKind, Result};

/// Here while a folder is no data folder yet.
const MARK: &str = "restoring.json";

/// Which checkpoint is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// This one; the newest, where none is named.
    pub number: Option<u64>,
    /// No other in its place when it is damaged.
    pub exact: bool,
}

/// A data folder that is there again.
#[derive(Clone, Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Checkpoints that were damaged, each with what is wrong.
    pub damaged: Vec<(u64, String)>,
}

/// Restores into `to`, which is not there or empty. `finish` has the last word on what was restored.
///
/// # Errors
/// `Conflict` when the folder is not empty, or another restores into it; `NotFound` when there is no such checkpoint;
/// `Corrupt` when none can be restored, or not the one that was asked for exactly.
pub fn restore(target: &dyn Target, to: &Path, choice: Choice, finish: impl Fn(&Path, &Manifest) -> Result<()>) -> Result<Restored> {
    let mut numbers = target.numbers()?;
    if let Some(number) = choice.number {
        numbers.retain(|other| *other == number);
    }
    if numbers.is_empty() {
        let which = choice.number.map_or_else(|| "a checkpoint".to_owned(), |number| format!("the checkpoint {}", name_of(number)));
        return Err(Error::not_found(format!("{} does not hold {which}: `forebay checkpoints list` shows what it holds", target.name())));
    }
    let claim = Claim::take(to)?;
    let mut damaged: Vec<(u64, String)> = Vec::new();
    for number in numbers.into_iter().rev() {
        let restored = target.manifest(number).and_then(|manifest| {
            target.fetch(&manifest, to)?;
            finish(to, &manifest)?;
            Ok(manifest)
        });
        match restored {
            Ok(manifest) => {
                claim.release()?;
                return Ok(Restored { manifest, damaged });
            }
            Err(error) if error.kind() == ErrorKind::Corrupt && !choice.exact => {
                tracing::warn!("checkpoint {} cannot be restored, the one before it is tried: {error}", name_of(number));
                damaged.push((number, error.to_string()));
                claim.clear()?;
            }
            Err(error) => return Err(error.context(format!("checkpoint {}", name_of(number)))),
        }
    }
    let listed: Vec<String> = damaged.iter().map(|(number, what)| format!("{}: {what}", name_of(*number))).collect();
    Err(Error::corrupt(format!("no checkpoint of {} can be restored: {}", target.name(), listed.join("; "))))
}

/// Why a folder is no data folder, where a restore into it is under way or was interrupted.
pub fn unfinished(data: &Path) -> Result<()> {
    if data.join(MARK).exists() {
        let data = data.display();
        return Err(Error::conflict(format!(
            "{data} is not restored to its end: wait for `forebay restore`, or, where it was interrupted, remove the folder and restore again"
        )));
    }
    Ok(())
}

/// An empty folder that is this process' to fill; empty again when it is dropped.
struct Claim {
    folder: PathBuf,
    released: bool,
}

impl Claim {
    fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| failed("make", folder, &error))?;
        let mark = folder.join(MARK);
        match File::options().write(true).create_new(true).open(&mark) {
            Ok(mut file) => {
                let noted = write!(file, "{{\"pid\":{}}}", std::process::id()).and_then(|()| file.sync_all());
                noted.map_err(|error| failed("write", &mark, &error))?;
            }
            Err(error) if error.kind() == IoKind::AlreadyExists => {
                unfinished(folder)?;
                return Err(Error::conflict(format!("another restore into {} has just ended", folder.display())));
            }
            Err(error) => return Err(failed("write", &mark, &error)),
        }
        let entries = fs::read_dir(folder).map_err(|error| failed("read", folder, &error))?;
        if entries.count() > 1 {
            fs::remove_file(&mark).map_err(|error| failed("remove", &mark, &error))?;
            return Err(Error::conflict(format!("{} is not empty: a checkpoint is restored into a folder of its own", folder.display())));
        }
        Ok(Self { folder: folder.to_owned(), released: false })
    }

    /// Removes everything but the mark.
    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(|error| failed("read", &self.folder, &error))? {
            let path = entry.map_err(|error| failed("read", &self.folder, &error))?.path();
            if path.is_dir() {
                remove(&path)?;
            } else if path.file_name().is_some_and(|name| name != MARK) {
                fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
            }
        }
        Ok(())
    }

    /// The folder is whole.
    fn release(mut self) -> Result<()> {
        self.released = true;
        sync_folder(&self.folder)?;
        let mark = self.folder.join(MARK);
        fs::remove_file(&mark).map_err(|error| failed("remove", &mark, &error))?;
        sync_folder(&self.folder)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.released {
            let cleared = self.clear().and_then(|()| {
                let mark = self.folder.join(MARK);
                fs::remove_file(&mark).map_err(|error| failed("remove", &mark, &error))
            });
            if let Err(error) = cleared {
                tracing::warn!("remove {} before the next try: {error}", self.folder.display());
            }
        }
    }
}
