//! The stored rows and chunks of keys, as they are now or as a snapshot has them. Must never change either.

use crate::engine::shared::Definitions;
use crate::engine::state::shard::ReadAt;
use crate::error::{Error, Result};
use crate::id::Seq;
use crate::online::ReadRows;
use crate::value::Value;
use crate::window::{ChunkId, Chunks, Decoded, KeyState, Known, Layout, read_empty};

/// Reads chunks of one key.
pub struct StoredChunks<'a, S> {
    pub store: &'a S,
    pub definitions: &'a Definitions,
    pub view: usize,
    pub key: &'a [u8],
}

impl<S: ReadRows> Chunks for StoredChunks<'_, S> {
    fn load(&self, id: ChunkId) -> Result<Vec<u8>> {
        let view = &self.definitions.plan.views[self.view];
        self.store.chunk(view.id, self.key, &id.to_be_bytes())?.ok_or_else(|| {
            Error::corrupt(format!("view {}: a chunk of a key's events is missing; restore the data folder from a copy", view.name))
        })
    }
}

/// The state of a key that is not in memory; `None` of one without a row.
pub fn stored_state<S: ReadRows>(definitions: &Definitions, store: &S, view: usize, key: &[u8]) -> Result<Option<KeyState>> {
    let (layout, declared) = (&definitions.layouts[view], &definitions.plan.views[view]);
    let row = store.state(declared.id, key)?;
    row.map(|row| Ok(decode_row(layout, &declared.name, &row)?.0)).transpose()
}

/// The features of a key that is not in memory, appended to `out`.
pub fn read_stored<S: ReadRows>(
    definitions: &Definitions,
    store: &S,
    at: &ReadAt<'_>,
    features: &[usize],
    out: &mut Vec<Value>,
) -> Result<Known> {
    let layout = &definitions.layouts[at.view];
    match stored_state(definitions, store, at.view, at.key)? {
        Some(state) => {
            let chunks = StoredChunks { store, definitions, view: at.view, key: at.key };
            state.read(layout, at.q, at.current, features, &chunks, out)
        }
        None => {
            read_empty(layout, at.q, features, out);
            Ok(Known::All)
        }
    }
}

/// A start rebuilds views whose rows lack something, so that an incomplete row here is a fault.
pub fn decode_row(layout: &Layout, view: &str, row: &[u8]) -> Result<(KeyState, Seq)> {
    match KeyState::decode(layout, row)? {
        Decoded::State(state, applied) => Ok((state, applied)),
        Decoded::Incomplete => Err(Error::internal(format!("view {view}: a state row lacks a fold that its view should have had rebuilt"))),
    }
}
