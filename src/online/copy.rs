//! A copy of the store as of one moment, while it is written.

use std::path::Path;

use parking_lot::MutexGuard;

use super::{FAMILIES, Store};
use crate::copying::{Copying, Way};
use crate::error::Result;

impl Store {
    /// Nothing is written while this is held.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.writing.lock()
    }

    /// Begins a copy of the store.
    pub fn copying(&self, into: &Path, way: Way) -> Result<Copying<'_>> {
        Copying::prepare(&self.db, &FAMILIES, into, way)
    }
}
