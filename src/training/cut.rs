//! What was known at a time: the largest `seq` among the events that had been taken in by then. Close to what a reader
//! saw then, not exact, because events count as known from the moment they were taken in, a little before their commit.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;

use super::query_error;
use super::scan::{Bounds, Events};
use crate::error::Result;

/// Points are thinned out each time there are so many more of them.
const THIN: usize = 1024 * 1024;

/// Ingest times and the largest `seq` up to each, both rising.
#[derive(Debug, Default)]
pub struct Cuts {
    points: Vec<(i64, u64)>,
}

impl Cuts {
    /// Reads the ingest times of all events of these sources.
    pub async fn of(sources: &[Events<'_>], threads: usize, context: &Arc<TaskContext>) -> Result<Self> {
        let mut cuts = Self::default();
        let mut thin_at = THIN;
        for events in sources {
            let own = events.source.fields.len();
            let scan = events.scan(&[own + 2, own + 3], Bounds::ALL, threads)?;
            let mut stream = execute_stream(scan.plan, context.clone()).map_err(query_error)?;
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(query_error)?;
                let ingest = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
                let seqs = batch.column(1).as_primitive::<UInt64Type>().values();
                cuts.points.extend(ingest.iter().copied().zip(seqs.iter().copied()));
                if cuts.points.len() > thin_at {
                    cuts.thin();
                    thin_at = cuts.points.len() + THIN;
                }
            }
        }
        cuts.thin();
        Ok(cuts)
    }

    /// The cut at that time; 0, before every event, when nothing had been taken in.
    pub fn at(&self, time: i64) -> u64 {
        let after = self.points.partition_point(|(ingest, _)| *ingest <= time);
        after.checked_sub(1).map_or(0, |at| self.points[at].1)
    }

    /// Keeps only the points at which the largest `seq` so far rises, one per time.
    fn thin(&mut self) {
        self.points.sort_unstable_by_key(|(ingest, seq)| (*ingest, std::cmp::Reverse(*seq)));
        let mut largest = 0;
        self.points.retain(|(_, seq)| {
            let rises = *seq > largest;
            largest = largest.max(*seq);
            rises
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Cuts;

    #[test]
    fn a_cut_is_the_largest_seq_taken_in_by_then() {
        let mut cuts = Cuts { points: vec![(30, 7), (10, 2), (10, 3), (20, 5), (25, 4), (10, 1)] };
        cuts.thin();
        assert_eq!(cuts.points, [(10, 3), (20, 5), (30, 7)]);
        let at: Vec<u64> = [9, 10, 24, 25, 29, 30, 99].iter().map(|time| cuts.at(*time)).collect();
        assert_eq!(at, [0, 3, 5, 5, 5, 7, 7]);
    }
}
