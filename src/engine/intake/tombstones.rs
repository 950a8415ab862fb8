//! Turns tombstones into ordinary retractions before admission sees them: rows with the id that the key names, and with the time
//! and key columns of the event that they retract. Pure.

use arrow::array::{ArrayRef, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, interleave_record_batch, take};
use arrow::record_batch::RecordBatch;

use crate::decode::TombstoneKeys;
use crate::engine::intake::batch::ids_of;
use crate::error::Result;
use crate::plan::Source;
use crate::record::RecordRun;

/// The tombstones of a run, in its order.
pub struct Tombstones {
    /// Hashes of the `dedup by` columns.
    pub ids: Vec<Option<u128>>,
    pub offsets: Vec<u64>,
    /// For each its record in the run.
    pub records: Vec<u32>,
    columns: RecordBatch,
}

/// A tombstone that retracts an event.
pub struct TombstoneRow {
    /// Its place among the run's.
    pub tombstone: usize,
    /// What `kept_columns` are of its event: one row.
    pub kept: RecordBatch,
}

impl Tombstones {
    pub fn new(keys: TombstoneKeys, run: &RecordRun) -> Self {
        let TombstoneKeys { records, ids } = keys;
        Self {
            ids: ids_of(ids.columns().iter(), ids.num_rows()),
            offsets: records.iter().map(|record| run.records[*record as usize].offset.0).collect(),
            records,
            columns: ids,
        }
    }

    /// The retractions that some of them are, as rows of the source: what is neither of the id nor kept is null.
    pub fn rows(&self, source: &Source, key_columns: &[usize], made: &[TombstoneRow]) -> Result<RecordBatch> {
        let kept = concat_batches(&made[0].kept.schema(), made.iter().map(|made| &made.kept))?;
        let tombstones: UInt32Array = made.iter().map(|made| Some(made.tombstone as u32)).collect();
        let dedup = source.dedup.iter().flat_map(|dedup| &dedup.columns);
        let column = |(index, field): (usize, &arrow::datatypes::FieldRef)| -> Result<ArrayRef> {
            if let Some(place) = kept_indices(source, key_columns).position(|kept| kept == index) {
                Ok(kept.column(place).clone())
            } else if let Some(place) = dedup.clone().position(|dedup| *dedup == index) {
                Ok(take(self.columns.column(place), &tombstones, None)?)
            } else {
                Ok(new_null_array(field.data_type(), made.len()))
            }
        };
        let columns = source.schema.fields().iter().enumerate().map(column).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(source.schema.clone(), columns)?)
    }
}

/// Rows of two batches in one: those of the second are counted on from those of the first.
pub fn merged(first: &RecordBatch, second: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    let place = |row: &u32| match (*row as usize).checked_sub(first.num_rows()) {
        None => (0, *row as usize),
        Some(row) => (1, row),
    };
    Ok(interleave_record_batch(&[first, second], &rows.iter().map(place).collect::<Vec<_>>())?)
}

/// What is kept of events for tombstones that retract them: the event time, then these columns.
pub fn kept_columns(source: &Source, key_columns: &[usize], own: &RecordBatch) -> Result<RecordBatch> {
    Ok(own.project(&kept_indices(source, key_columns).collect::<Vec<_>>())?)
}

fn kept_indices(source: &Source, key_columns: &[usize]) -> impl Iterator<Item = usize> {
    std::iter::once(source.event_time).chain(key_columns.iter().copied())
}
