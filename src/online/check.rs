//! Reads the whole store: its checksums, and the meaning of its rows. Must never change anything, and never stop at the first
//! fault: it reads each family as far as possible.

use rocksdb::{IteratorMode, ReadOptions};

use super::outbox::{OUTPUT_VERSION, StoredOutput};
use super::{AcceptedIds, BLOCKS, CHUNKS, FAMILIES, IDS, META, OUTBOX, STATE, Store, block, failure};
use crate::codec;
use crate::error::{Error, Result};
use crate::id::Identity;

/// How many faults of a family are told one by one.
const TOLD_MAX: usize = 10;

impl Store {
    /// Reads every row. `each` is told the bytes of each, `row` is asked about each key's row: its view, its key and itself.
    pub fn faults(&self, mut each: impl FnMut(u64), row: impl Fn(Identity, &[u8], &[u8]) -> Result<()>) -> Vec<Error> {
        let mut faults = Vec::new();
        for name in FAMILIES {
            let mut found = 0_usize;
            let mut note = |error: Error| {
                found += 1;
                if found <= TOLD_MAX {
                    faults.push(error.context(format!("{}, {}", self.folder.display(), held_by(name))));
                }
            };
            if let Err(error) = self.read_family(name, &mut each, &row, &mut note) {
                note(error);
            }
            if found > TOLD_MAX {
                faults.push(Error::corrupt(format!("{}, {}: {} more", self.folder.display(), held_by(name), found - TOLD_MAX)));
            }
        }
        faults
    }

    /// Goes through a family up to what RocksDB cannot read; what a row means is noted where it is wrong.
    fn read_family(
        &self,
        name: &str,
        each: &mut impl FnMut(u64),
        row: &impl Fn(Identity, &[u8], &[u8]) -> Result<()>,
        note: &mut impl FnMut(Error),
    ) -> Result<()> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        for entry in self.db.iterator_cf_opt(self.family(name)?, options, IteratorMode::Start) {
            let (key, value) = entry.map_err(|error| failure(&self.folder, &error))?;
            each((key.len() + value.len()) as u64);
            let read = match name {
                BLOCKS => block::decode(&value).map(drop),
                IDS => AcceptedIds::from_bytes(&value).map(drop),
                OUTBOX => codec::decode::<StoredOutput>(OUTPUT_VERSION, &value, "outbox").map(drop),
                STATE => match (key.get(1..17).and_then(|view| view.try_into().ok()), key.get(17..)) {
                    (Some(view), Some(key)) => row(Identity(view), key, &value),
                    _ => Err(Error::corrupt("a state row has a key that is none")),
                },
                _ => Ok(()),
            };
            read.unwrap_or_else(&mut *note);
        }
        if name == META {
            self.progress().map(drop).unwrap_or_else(&mut *note);
            self.readings().map(drop).unwrap_or_else(&mut *note);
            self.drift().map(drop).unwrap_or_else(&mut *note);
            self.awaited().map(drop).unwrap_or_else(&mut *note);
        }
        Ok(())
    }
}

/// What the rows of a family are, for people.
fn held_by(family: &str) -> &'static str {
    match family {
        META => "progress",
        BLOCKS => "committed events",
        IDS => "ids of events",
        STATE => "state rows",
        CHUNKS => "chunks of state",
        _ => "outputs that wait for their topic",
    }
}
