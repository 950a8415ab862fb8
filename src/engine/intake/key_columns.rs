//! The columns of accepted events that the retraction of a tombstone repeats, since a tombstone has no columns: event times, and
//! the columns of keys. Of one partition, by offset, for as long as its ids are stored. Pure.

use std::collections::VecDeque;

use arrow::array::{RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, max, take_record_batch};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::error::{Error, Result};
use crate::id::Offset;

/// Events of a run, which take in more as long as they are fewer.
const RUN_EVENTS: usize = 1024;

/// Events in the order of their offsets.
#[derive(Debug, Default)]
pub struct KeyColumns(VecDeque<Run>);

#[derive(Debug)]
struct Run {
    /// Rising.
    offsets: Vec<u64>,
    /// The first is the event time.
    columns: RecordBatch,
    /// The latest event time, microseconds.
    latest: i64,
}

impl Run {
    fn new(offsets: Vec<u64>, columns: RecordBatch) -> Result<Self> {
        let times = columns.columns().first().and_then(|times| times.as_any().downcast_ref::<TimestampMicrosecondArray>());
        let times = times.ok_or_else(|| Error::internal("kept events do not begin with their times"))?;
        Ok(Self { latest: max(times).unwrap_or(i64::MIN), offsets, columns })
    }
}

impl KeyColumns {
    /// Adds events that come after all that are kept. The first column is the event time.
    pub fn push(&mut self, offsets: &[u64], columns: RecordBatch) -> Result<()> {
        match self.0.back_mut() {
            Some(run) if run.offsets.len() < RUN_EVENTS => {
                let columns = concat_batches(columns.schema_ref(), [&run.columns, &columns])?;
                let offsets = run.offsets.iter().chain(offsets).copied().collect();
                *run = Run::new(offsets, columns)?;
            }
            _ => self.0.push_back(Run::new(offsets.to_vec(), columns)?),
        }
        Ok(())
    }

    /// Keeps these instead, in any order.
    pub fn replace(&mut self, batches: &[(Vec<u64>, RecordBatch)]) -> Result<()> {
        self.0.clear();
        let Some((_, first)) = batches.first() else { return Ok(()) };
        let offsets: Vec<u64> = batches.iter().flat_map(|(offsets, _)| offsets.iter().copied()).collect();
        let columns = concat_batches(first.schema_ref(), batches.iter().map(|(_, columns)| columns))?;
        let mut order: Vec<u32> = (0..offsets.len() as u32).collect();
        order.sort_by_key(|row| offsets[*row as usize]);
        for order in order.chunks(RUN_EVENTS) {
            let offsets = order.iter().map(|row| offsets[*row as usize]).collect();
            self.0.push_back(Run::new(offsets, take_record_batch(&columns, &UInt32Array::from(order.to_vec()))?)?);
        }
        Ok(())
    }

    /// The columns of the event at that offset: one row.
    pub fn get(&self, offset: Offset) -> Option<RecordBatch> {
        let after = self.0.partition_point(|run| run.offsets.first().is_some_and(|first| *first <= offset.0));
        let run = self.0.get(after.checked_sub(1)?)?;
        run.offsets.binary_search(&offset.0).ok().map(|row| run.columns.slice(row, 1))
    }

    /// Forgets runs of which all events are before that time, from the first on.
    pub fn forget(&mut self, before: i64) {
        while self.0.pop_front_if(|run| run.latest < before).is_some() {}
    }
}

/// Columns of events as they are stored: an Arrow IPC stream of one batch, LZ4 with its size before it.
pub fn to_bytes(columns: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, columns.schema_ref())?;
    writer.write(columns)?;
    writer.finish()?;
    drop(writer);
    Ok(lz4_flex::compress_prepend_size(&bytes))
}

/// What `to_bytes` wrote.
pub fn from_bytes(bytes: &[u8]) -> Result<RecordBatch> {
    let broken = |error: &dyn std::fmt::Display| Error::corrupt(format!("kept columns of events: {error}"));
    let bytes = lz4_flex::decompress_size_prepended(bytes).map_err(|error| broken(&error))?;
    let mut batches = StreamReader::try_new(bytes.as_slice(), None).map_err(|error| broken(&error))?;
    batches.next().ok_or_else(|| broken(&"no batch"))?.map_err(|error| broken(&error))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn columns(events: &[(i64, i64)]) -> RecordBatch {
        let times: TimestampMicrosecondArray = events.iter().map(|(time, _)| Some(*time)).collect();
        let keys: Int64Array = events.iter().map(|(_, key)| Some(*key)).collect();
        RecordBatch::try_from_iter([("t", Arc::new(times) as ArrayRef), ("k", Arc::new(keys))]).unwrap()
    }

    fn key(kept: &KeyColumns, offset: u64) -> Option<i64> {
        kept.get(Offset(offset)).map(|row| row.column(1).as_primitive::<Int64Type>().value(0))
    }

    #[test]
    fn events_are_found_by_offset_until_they_are_forgotten() {
        let mut kept = KeyColumns::default();
        for first in (0..5_000).step_by(100) {
            let events: Vec<(i64, i64)> = (first..first + 100).map(|event| (event * 10, -event)).collect();
            let offsets: Vec<u64> = (first as u64..first as u64 + 100).map(|offset| offset * 2).collect();
            let stored = from_bytes(&to_bytes(&columns(&events)).unwrap()).unwrap();
            kept.push(&offsets, stored).unwrap();
        }
        assert!(kept.0.len() < 8, "{} runs", kept.0.len());
        assert_eq!(
            [0, 2, 3, 4_998, 9_998, 10_000].map(|offset| key(&kept, offset)),
            [Some(0), Some(-1), None, Some(-2_499), Some(-4_999), None]
        );
        kept.forget(25_000);
        assert_eq!([0, 2_000, 5_000].map(|offset| key(&kept, offset)), [None, None, Some(-2_500)]);
        assert!(from_bytes(b"x").is_err());
        let (one, thousand) = (to_bytes(&columns(&[(1, 1)])).unwrap().len(), to_bytes(&columns(&vec![(1, 1); 1_000])).unwrap().len());
        assert!(one < 400 && thousand < 20_000, "{one} bytes of one event, {thousand} of a thousand");
    }

    #[test]
    fn events_that_come_in_any_order_are_found() {
        let mut kept = KeyColumns::default();
        kept.push(&[1], columns(&[(1, 1)])).unwrap();
        kept.replace(&[(vec![9, 3], columns(&[(90, 9), (30, 3)])), (vec![5, 3], columns(&[(50, 5), (30, 3)]))]).unwrap();
        assert_eq!([1, 3, 5, 9].map(|offset| key(&kept, offset)), [None, Some(3), Some(5), Some(9)]);
        kept.push(&[12], columns(&[(1, 12)])).unwrap();
        kept.forget(90);
        assert_eq!([3, 12].map(|offset| key(&kept, offset)), [Some(3), Some(12)]);
        kept.forget(91);
        assert_eq!([3, 12].map(|offset| key(&kept, offset)), [None, None]);
    }
}
