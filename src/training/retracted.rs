//! Which rows of a source's log are no events (any more): retractions, and what they retract.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{UInt32Type, UInt64Type};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;

use super::query_error;
use super::scan::Events;
use crate::error::Result;

/// For each such place of the log since when it is none.
#[derive(Debug, Default)]
pub struct Retracted(HashMap<(u32, u64), Since>);

/// Since when the row at a place is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It is a retraction.
    Ever,
    /// The retraction of it has this `seq`.
    Seq(u64),
}

impl Retracted {
    /// Reads all retractions of a source; of files only those that hold some.
    pub async fn of(events: &Events<'_>, threads: usize, context: &Arc<TaskContext>) -> Result<Self> {
        let mut places = HashMap::new();
        let own = events.source.fields.len();
        let Some(scan) = events.retractions(&[own, own + 1, own + 3, own + 5], threads)? else { return Ok(Self::default()) };
        let mut stream = execute_stream(scan, context.clone()).map_err(query_error)?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(query_error)?;
            let partitions = batch.column(0).as_primitive::<UInt32Type>().values();
            let [offsets, seqs, retracts] = [1, 2, 3].map(|column| batch.column(column).as_primitive::<UInt64Type>());
            for row in (0..batch.num_rows()).filter(|row| retracts.is_valid(*row)) {
                places.insert((partitions[row], offsets.value(row)), Since::Ever);
                places.insert((partitions[row], retracts.value(row)), Since::Seq(seqs.value(row)));
            }
        }
        Ok(Self(places))
    }

    /// Whether nothing was ever retracted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `None` for an event that is one still.
    #[inline]
    pub fn since(&self, partition: u32, offset: u64) -> Option<Since> {
        if self.is_empty() {
            return None;
        }
        self.0.get(&(partition, offset)).copied()
    }
}
