//! A copy of an open RocksDB as of one moment, in a folder of its own: hard links where the file system has them, copies
//! where not. What takes long is done before the moment (`prepare`) and after it (`finish`), so that whoever holds writers
//! back between the two holds them for milliseconds. Must never change the store that it copies.

use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use rocksdb::backup::{BackupEngine, BackupEngineOptions, RestoreOptions};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, Env, FlushOptions};

use crate::error::{Error, Result};

/// How files get from one folder to another of the same file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Links,
    Copies,
}

impl Way {
    /// Tries it with a file in `to`: file systems refuse links in many ways.
    ///
    /// # Errors
    /// `Unavailable` when nothing can be written there.
    pub fn between(from: &Path, to: &Path) -> Result<Self> {
        let (one, other) = (from.join(".linked"), to.join(".linked"));
        let failed = |error: std::io::Error| Error::unavailable(format!("cannot write to {}: {error}", from.display()));
        let forget = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != IoKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
        forget(&one)?;
        forget(&other)?;
        fs::write(&one, []).map_err(failed)?;
        let way = if fs::hard_link(&one, &other).is_ok() { Self::Links } else { Self::Copies };
        forget(&one)?;
        forget(&other)?;
        Ok(way)
    }
}

/// Puts a file that nobody changes any more at another place: by a link where that can be made, else by a copy that is durable.
pub fn link_or_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => fs::copy(from, to).and_then(|_| fs::File::open(to)?.sync_all()),
    }
}

/// A copy that is being made.
pub struct Copying<'db> {
    db: &'db DB,
    families: &'static [&'static str],
    into: PathBuf,
    /// Where links cannot be made: RocksDB's own form of a copy, of which the second step takes only what is new.
    backup: Option<(PathBuf, BackupEngine)>,
}

impl<'db> Copying<'db> {
    /// Brings the files of the store up to date, and copies them where they cannot be linked. `into` must not be there,
    /// its parent must.
    pub fn prepare(db: &'db DB, families: &'static [&'static str], into: &Path, way: Way) -> Result<Self> {
        let mut copying = Self { db, families, into: into.to_owned(), backup: None };
        copying.flush()?;
        if way == Way::Copies {
            let folder = into.with_extension("copied");
            let engine = BackupEngineOptions::new(&folder).and_then(|options| BackupEngine::open(&options, &Env::new()?));
            copying.backup = Some((folder, engine.map_err(|error| copying.failure(&error))?));
            copying.copy()?;
        }
        Ok(copying)
    }

    /// The moment: nothing may be written to the store from before this until it returns.
    pub fn take(&mut self) -> Result<()> {
        if self.backup.is_some() {
            return self.copy();
        }
        // What came since `prepare` is in the write-ahead log, which is copied: writing tables of it would take longer.
        let made = Checkpoint::new(self.db).and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(&self.into, u64::MAX));
        made.map_err(|error| self.failure(&error))
    }

    /// When this returns the copy is whole.
    pub fn finish(mut self) -> Result<()> {
        let Some((folder, mut engine)) = self.backup.take() else { return Ok(()) };
        let restored = engine.restore_from_latest_backup(&self.into, &self.into, &RestoreOptions::default());
        restored.map_err(|error| self.failure(&error))?;
        drop(engine);
        fs::remove_dir_all(&folder).map_err(|error| Error::unavailable(format!("cannot remove {}: {error}", folder.display())))
    }

    fn copy(&mut self) -> Result<()> {
        let made = match &mut self.backup {
            Some((_, engine)) => engine.create_new_backup_flush(self.db, false),
            None => Ok(()),
        };
        made.map_err(|error| self.failure(&error))
    }

    fn flush(&self) -> Result<()> {
        let families: Vec<_> = self.families.iter().filter_map(|name| self.db.cf_handle(name)).collect();
        self.db.flush_cfs_opt(&families, &FlushOptions::default()).map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &rocksdb::Error) -> Error {
        let text = error.to_string();
        let remedy = if text.contains("No space left") { "; free some space and ask again" } else { "" };
        Error::unavailable(format!("cannot copy {} to {}: {text}{remedy}", self.db.path().display(), self.into.display()))
    }
}

#[cfg(test)]
mod tests {
    use rocksdb::{IteratorMode, Options};

    use super::*;

    fn rows(folder: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
        let db = DB::open_for_read_only(&Options::default(), folder, false).unwrap();
        db.iterator(IteratorMode::Start).map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap()).collect()
    }

    #[test]
    fn a_copy_holds_what_was_written_before_its_moment_and_nothing_else_whichever_way() {
        for way in [Way::Links, Way::Copies] {
            let folder = tempfile::tempdir().unwrap();
            let mut options = Options::default();
            options.create_if_missing(true);
            let db = DB::open(&options, folder.path().join("one")).unwrap();
            db.put(b"a", b"1").unwrap();
            let mut copying = Copying::prepare(&db, &["default"], &folder.path().join("other"), way).unwrap();
            db.put(b"b", b"2").unwrap();
            copying.take().unwrap();
            db.put(b"c", b"3").unwrap();
            copying.finish().unwrap();
            let expected = [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())];
            assert_eq!(rows(&folder.path().join("other")), expected, "{way:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{way:?}: nothing is left behind");
        }
    }

    #[test]
    fn file_systems_of_their_own_have_no_links_between_them() {
        let (here, memory) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        assert_eq!(Way::between(here.path(), here.path()).unwrap(), Way::Copies, "a file is no link to itself");
        std::fs::create_dir(here.path().join("below")).unwrap();
        assert_eq!(Way::between(here.path(), &here.path().join("below")).unwrap(), Way::Links);
        assert_eq!(Way::between(here.path(), memory.path()).unwrap(), Way::Copies);
    }
}
