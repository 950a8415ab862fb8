//! A commit as a value: everything that one atomic write makes durable. The committer decides it; the store appends it; a
//! restart reads it back as progress, blocks, ids, outputs and rows.

use std::collections::BTreeMap;

use super::{AcceptedIds, DriftRow, Output, Progress, Reading, Store};
use crate::error::Result;
use crate::event::EventBatch;
use crate::id::{Identity, Seq};
use crate::time::IngestTime;

/// A row of a key's state, with the chunks that changed with it.
pub struct StateRow {
    pub view: Identity,
    pub key: Box<[u8]>,
    /// `None` deletes the row.
    pub row: Option<Vec<u8>>,
    /// Names of chunks, with their bytes; `None` deletes the chunk.
    pub chunks: Vec<([u8; 11], Option<Vec<u8>>)>,
}

/// One commit.
pub struct CommitRecord {
    /// The `seq` of the first event.
    pub first: Seq,
    /// The accepted events: one batch for each run, in the order of their `seq`.
    pub events: Vec<EventBatch>,
    /// The ids of the accepted events, by partition.
    pub ids: Vec<AcceptedIds>,
    /// Ids of earlier commits that no window reaches: first `seq` and place of their commit.
    pub forgotten_ids: Vec<(Seq, u32)>,
    /// Rows of state, in the order of their keys, so that RocksDB finds each beside the one before.
    pub rows: Vec<StateRow>,
    /// Outputs of earlier events; the first has the number `first_output`.
    pub outputs: Vec<Output>,
    pub first_output: u64,
    /// Rows of drift that count the same events as `outputs` are of.
    pub drift: Vec<DriftRow>,
    /// For each source the partitions that open intervals of drift wait for; `None` if they did not change.
    pub awaited: Option<Vec<(String, Vec<u32>)>>,
    /// Blocks before this `seq` are not needed any more.
    pub keep_from: Option<Seq>,
    /// How far everything has come, with this commit.
    pub progress: Progress,
    pub readings: BTreeMap<String, Reading>,
    /// The clock's time.
    pub at: IngestTime,
}

impl Store {
    /// Appends a commit. When this returns, all of it survives a crash; after an error, none of it is there.
    pub fn append(&self, record: &CommitRecord) -> Result<()> {
        let mut commit = self.begin();
        if !record.events.is_empty() {
            self.put_block(&mut commit, record.first, &record.events)?;
        }
        for (place, ids) in (0..).zip(&record.ids) {
            self.put_ids(&mut commit, (record.first, place), ids)?;
        }
        for at in &record.forgotten_ids {
            self.delete_ids(&mut commit, *at)?;
        }
        for StateRow { view, key, row, chunks } in &record.rows {
            match row {
                Some(bytes) => self.put_state(&mut commit, *view, key, bytes)?,
                None => self.delete_state(&mut commit, *view, key)?,
            }
            for (chunk, bytes) in chunks {
                self.put_chunk(&mut commit, *view, key, chunk, bytes.as_deref())?;
            }
        }
        for (number, output) in (record.first_output..).zip(&record.outputs) {
            self.put_output(&mut commit, number, output)?;
        }
        for row in &record.drift {
            self.put_drift(&mut commit, row)?;
        }
        if let Some(awaited) = &record.awaited {
            self.put_awaited(&mut commit, awaited)?;
        }
        if let Some(keep_from) = record.keep_from {
            self.delete_blocks_before(&mut commit, keep_from)?;
        }
        self.put_progress(&mut commit, &record.progress)?;
        self.put_committed_at(&mut commit, record.at)?;
        self.put_readings(&mut commit, &record.readings)?;
        self.commit(commit)
    }
}
