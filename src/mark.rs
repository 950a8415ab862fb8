//! How many writes of a store are acknowledged for sure, kept in a file beside it. It is written behind the synced write
//! that it counts and not synced itself: after a kill it is exact, after a power cut it may lag, and it never runs ahead. A
//! store that holds less than its mark says has lost what was acknowledged. Must never hold up a write.

use std::fs::File;
use std::io::ErrorKind as IoKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind, Result};

/// The mark's file, in the folder of its store.
const FILE: &str = "acknowledged";

/// The mark of a store that is open to write.
#[derive(Debug)]
pub struct Mark {
    file: File,
}

impl Mark {
    /// Opens the mark of the store in a folder, made where it is missing.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|error| failed(&path, &error))?;
        Ok(Self { file })
    }

    /// So many writes are acknowledged. One that cannot be noted is not: the mark then lags, as after a power cut.
    pub fn set(&self, writes: u64) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&writes.to_le_bytes());
        bytes[8..].copy_from_slice(&xxh3_64(&writes.to_le_bytes()).to_le_bytes());
        if let Err(error) = self.file.write_all_at(&bytes, 0) {
            tracing::debug!("the mark of acknowledged writes lags: {error}");
        }
    }

    /// Makes the mark survive a power cut; for the end of a run, which makes it exact.
    pub fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::debug!("the mark of acknowledged writes lags: {error}");
        }
    }
}

/// What is acknowledged of the store in a folder; `None` where it is not known, because the store is of a version before or
/// a copy that its store made of itself. A mark that is torn says nothing either.
pub fn acknowledged(folder: &Path) -> Result<Option<u64>> {
    let path = folder.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, &error)),
    };
    let Some((number, sum)) = bytes.split_at_checked(8) else { return Ok(None) };
    let is_whole = sum == xxh3_64(number).to_le_bytes();
    Ok(number.try_into().ok().map(u64::from_le_bytes).filter(|_| is_whole))
}

/// How a store reads a write-ahead log of which something cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It refuses.
    Strict,
    /// It takes what comes before.
    UpToTheDamage,
    /// It takes what can be read, before it and behind it.
    PastTheDamage,
}

/// Opens a store of which everything that was acknowledged is there. `open` opens it, `probe` without changing anything;
/// `held` says how many writes it holds.
///
/// # Errors
/// Those of `open`; what `lost` makes of the number of acknowledged writes that are not there.
pub fn open_whole<D>(
    folder: &Path,
    open: impl Fn(Recovery) -> Result<D>,
    probe: impl Fn(Recovery) -> Result<D>,
    held: impl Fn(&D) -> Result<u64>,
    lost: impl Fn(u64) -> Error,
) -> Result<D> {
    // Before the store: a process that writes beside moves the mark on.
    let acknowledged = acknowledged(folder)?;
    let opened = open(Recovery::Strict);
    let damaged = opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt);
    let store = match (opened, acknowledged) {
        // What was written and not acknowledged may be torn in any way by a power cut: what counts is what comes before.
        (Err(error), Some(acknowledged)) if damaged => {
            let whole = held(&probe(Recovery::UpToTheDamage)?)?;
            if whole < acknowledged {
                return Err(error);
            }
            tracing::warn!("the end of the write-ahead log in {} is torn: nothing acknowledged is in it", folder.display());
            open(Recovery::UpToTheDamage)?
        }
        (opened, _) => opened?,
    };
    let held = held(&store)?;
    match acknowledged {
        Some(acknowledged) if held < acknowledged => Err(lost(acknowledged - held)),
        _ => Ok(store),
    }
}

/// Opens a store to read beside a process that may write: that one may drop a file between the reading of what files there are
/// and a file's opening, so that it is looked again.
pub fn look_again<D>(open: impl Fn() -> Result<D>) -> Result<D> {
    let mut opened = open();
    for _ in 0..3 {
        if opened.is_err() {
            opened = open();
        }
    }
    opened
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    let what = format!("cannot use {}: {error}", path.display());
    match error.kind() {
        IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => {
            Error::input(format!("{what}; give this user the right to write there, or choose another folder with --data"))
        }
        _ => Error::unavailable(format!("{what}; see that the disk is in order and has space")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store of so many writes, of which the log is damaged behind another number.
    fn opened(marked: Option<u64>, whole: u64, damage: bool) -> Result<u64> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(marked) = marked {
            Mark::open(folder.path()).unwrap().set(marked);
        }
        let open = |recovery| match recovery {
            Recovery::Strict if damage => Err(Error::corrupt("checksum")),
            _ => Ok(whole),
        };
        open_whole(folder.path(), open, open, |held| Ok(*held), |lost| Error::corrupt(format!("{lost} are lost")))
    }

    #[test]
    fn a_store_is_opened_where_everything_acknowledged_is_there_and_nowhere_else() {
        let text = |opened: Result<u64>| opened.map_or_else(|error| error.to_string(), |held| held.to_string());
        for (marked, whole, damage, expected) in [
            (None, 7, false, "7"),
            (Some(7), 7, false, "7"),
            (Some(5), 7, false, "7"),
            (Some(9), 7, false, "2 are lost"),
            (None, 7, true, "checksum"),
            (Some(9), 7, true, "checksum"),
            (Some(7), 7, true, "7"),
        ] {
            assert_eq!(text(opened(marked, whole, damage)), expected, "{marked:?} {whole} {damage}");
        }
    }

    #[test]
    fn a_torn_mark_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(acknowledged(folder.path()).unwrap(), None);
        Mark::open(folder.path()).unwrap().set(5);
        assert_eq!(acknowledged(folder.path()).unwrap(), Some(5));
        let path = folder.path().join(FILE);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert_eq!(acknowledged(folder.path()).unwrap(), None, "{at}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert_eq!(acknowledged(folder.path()).unwrap(), None, "{at}");
        }
    }
}
