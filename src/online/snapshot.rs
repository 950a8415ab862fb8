//! Reads rows and chunks of keys, as they are or as of a snapshot. A snapshot prevents RocksDB from dropping what it shows. Must
//! never be held for long.

use super::{CHUNKS, STATE, Store, chunk_key, failure, state_key};
use crate::error::Result;
use crate::id::Identity;

/// Where a key's row and its chunks are read.
pub trait ReadRows {
    fn state(&self, view: Identity, key: &[u8]) -> Result<Option<Vec<u8>>>;
    fn chunk(&self, view: Identity, key: &[u8], chunk: &[u8]) -> Result<Option<Vec<u8>>>;
}

impl ReadRows for Store {
    fn state(&self, view: Identity, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Self::state(self, view, key)
    }

    fn chunk(&self, view: Identity, key: &[u8], chunk: &[u8]) -> Result<Option<Vec<u8>>> {
        Self::chunk(self, view, key, chunk)
    }
}

/// The store as it was when this was taken.
pub struct Snapshot<'a> {
    store: &'a Store,
    rows: rocksdb::Snapshot<'a>,
}

impl Store {
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { store: self, rows: self.db.snapshot() }
    }
}

impl ReadRows for Snapshot<'_> {
    fn state(&self, view: Identity, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.rows.get_cf(self.store.family(STATE)?, state_key(view, key)).map_err(|error| failure(&self.store.folder, &error))
    }

    fn chunk(&self, view: Identity, key: &[u8], chunk: &[u8]) -> Result<Option<Vec<u8>>> {
        self.rows.get_cf(self.store.family(CHUNKS)?, chunk_key(view, key, chunk)).map_err(|error| failure(&self.store.folder, &error))
    }
}
