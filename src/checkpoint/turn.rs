//! Whose turn it is: one checkpoint of a data folder at a time. Who has the lock names a staging folder beside the data; the
//! engine of that folder copies into that one and into no other. So nobody who cannot write to the data folder can ask for a
//! copy, and a turn ends with its process, however that ends.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::files::{failed, hexadecimal, remove};
use crate::error::{Error, ErrorKind, Result};

const LOCK: &str = "checkpoint.lock";
const STAGING: &str = "checkpoint";

/// The right to copy a data folder.
#[derive(Debug)]
pub struct Turn {
    staging: PathBuf,
    nonce: String,
    _lock: File,
}

impl Turn {
    /// Takes the turn, and removes what a checkpoint left behind that was interrupted.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder, `Conflict` when a checkpoint of it is under way.
    pub fn take(data: &Path) -> Result<Self> {
        if !data.is_dir() {
            return Err(Error::not_found(format!("there is no data folder {}: name another with --data", data.display())));
        }
        let path = data.join(LOCK);
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut lock = opened.map_err(|error| failed("write", &path, &error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Error::conflict(format!("a checkpoint of {} is under way: wait until it has ended, and ask again", data.display()))
        })?;
        remove(&data.join(STAGING))?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Error::internal(format!("no random number: {error}")))?;
        let nonce = hexadecimal(&random);
        let noted = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(nonce.as_bytes()));
        noted.map_err(|error| failed("write", &path, &error))?;
        let staging = data.join(STAGING).join(&nonce);
        Ok(Self { staging, nonce, _lock: lock })
    }

    /// Removes what an interrupted checkpoint left behind, unless one is under way.
    pub fn tidy(data: &Path) -> Result<()> {
        if !data.join(STAGING).is_dir() {
            return Ok(());
        }
        match Self::take(data) {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            taken => taken.map(drop),
        }
    }

    /// What the engine is asked with.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The folder that is copied into.
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    /// Makes the staging folder.
    pub fn begin(&self) -> Result<()> {
        fs::create_dir_all(&self.staging).map_err(|error| failed("make", &self.staging, &error))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.staging.parent().map(remove) {
            tracing::warn!("the next checkpoint removes it: {error}");
        }
    }
}

/// The staging folder, made, of the turn with this nonce.
///
/// # Errors
/// `Conflict` where it is nobody's turn, or another's, or the copy is there already.
pub fn asked(data: &Path, nonce: &str) -> Result<PathBuf> {
    let refused = || {
        let message = "it is not this caller's turn to copy the data folder: `forebay checkpoint` takes the turn, in the folder itself";
        Error::conflict(message)
    };
    let is_nonce = nonce.len() == 32 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = data.join(LOCK);
    let lock = File::open(&path).map_err(|_| refused())?;
    // A turn that is over left its nonce behind, and no lock.
    let is_over = flock(&lock, FlockOperation::NonBlockingLockShared).is_ok();
    if !is_nonce || is_over || fs::read_to_string(&path).map_err(|error| failed("read", &path, &error))? != nonce {
        return Err(refused());
    }
    let staging = data.join(STAGING);
    fs::create_dir_all(&staging).map_err(|error| failed("make", &staging, &error))?;
    let staging = staging.join(nonce);
    match fs::create_dir(&staging) {
        Ok(()) => Ok(staging),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::conflict("the data folder was copied in this turn already"))
        }
        Err(error) => Err(failed("make", &staging, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_not_tidied_and_what_was_left_is() {
        let data = tempfile::tempdir().unwrap();
        let turn = Turn::take(data.path()).unwrap();
        turn.begin().unwrap();
        let staging = turn.staging().to_owned();
        Turn::tidy(data.path()).unwrap();
        assert!(staging.is_dir());
        drop(turn);
        std::fs::create_dir_all(&staging).unwrap();
        Turn::tidy(data.path()).unwrap();
        assert!(!data.path().join(STAGING).exists());
    }
}
