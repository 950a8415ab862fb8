//! The online store as a part of its data folder: whose it is, and which outputs the log was given.

use super::opening::failure;
use super::{FOLDER, META, PUBLISHED, Progress, Store, number};
use crate::error::{Error, Result};
use crate::id::Identity;

impl Store {
    /// The data folder that the store is a part of; `None` for one of a version before.
    pub fn folder(&self) -> Result<Option<Identity>> {
        let row = self.db.get_cf(self.family(META)?, FOLDER).map_err(|error| failure(&self.folder, &error))?;
        let identity = |row: Vec<u8>| {
            let row =
                row.try_into().map_err(|_| Error::corrupt(format!("{}: its identity has the wrong length", self.folder.display())))?;
            Ok(Identity(row))
        };
        row.map(identity).transpose()
    }

    /// Makes the store a part of a data folder.
    pub fn belong_to(&self, folder: Identity) -> Result<()> {
        if self.folder()? == Some(folder) {
            return Ok(());
        }
        let mut commit = self.begin();
        commit.batch.put_cf(self.family(META)?, FOLDER, folder.0);
        self.commit(commit)
    }

    /// The number after the last output that the embedded log was given for sure; it may have been given more.
    pub fn published(&self) -> Result<u64> {
        let row = self.db.get_pinned_cf(self.family(META)?, PUBLISHED).map_err(|error| failure(&self.folder, &error))?;
        Ok(row.map_or(0, |row| number(&row)))
    }

    /// Gives the next output this number, where a log has seen those below.
    pub fn go_on_with_output(&self, number: u64) -> Result<()> {
        let mut commit = self.begin();
        self.put_progress(&mut commit, &Progress { outputs: number, ..self.progress()? })?;
        self.commit(commit)
    }
}
