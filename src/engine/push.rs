//! Appending records to a source's log, counting those that will not decode.

use arrow::record_batch::RecordBatch;
use xxhash_rust::xxh3::xxh3_64;

use super::api::PushReceipt;
use super::shared::Logs;
use crate::decode::Decoder;
use crate::error::Result;
use crate::id::{Offset, Partition};
use crate::key::append_key_value;
use crate::plan::{Origin, Source};
use crate::record::{NewRecord, RecordRun};
use crate::vector::value_at;

const REJECTS_SHOWN: usize = 10;

/// Appends payloads to the log of a source; durable when it returns. Records that will not decode are appended too:
/// the engine sends them to the dead-letter topic with the reason.
pub fn push(logs: &Logs, source: &Source, payloads: &[Vec<u8>]) -> Result<PushReceipt> {
    let mut run = RecordRun { topic: source.topic().to_owned(), ..RecordRun::default() };
    for (index, payload) in payloads.iter().enumerate() {
        run.push(Offset(index as u64), 0, None, Some(payload), Vec::new());
    }
    let decoded = Decoder::new(source).decode(&run)?;
    let (partitions, by) = match &source.origin {
        Origin::Log { partitions, by, .. } => (*partitions, by.as_slice()),
        Origin::Kafka { .. } => (1, &[][..]),
    };
    let mut records: Vec<NewRecord> = payloads
        .iter()
        .map(|payload| NewRecord { topic: source.topic().to_owned(), value: Some(payload.clone()), ..NewRecord::default() })
        .collect();
    if !by.is_empty() {
        for (row, record) in decoded.records.iter().enumerate() {
            records[*record as usize].partition = Some(partition_of(&decoded.batch, row, by, partitions));
        }
    }
    let places = match &source.origin {
        Origin::Log { topic, partitions, .. } => {
            logs.embedded.create_topic(topic, *partitions)?;
            logs.embedded.append(&records)?
        }
        Origin::Kafka { .. } => logs.writer(super::shared::destination_of(source), "forebay-push")?.append(&records, 0)?,
    };
    let mut positions: Vec<(Partition, Offset)> = Vec::new();
    for (partition, offset) in places {
        let next = Offset(offset.0 + 1);
        match positions.iter_mut().find(|(of, _)| *of == partition) {
            Some((_, end)) => *end = (*end).max(next),
            None => positions.push((partition, next)),
        }
    }
    positions.sort_unstable();
    Ok(PushReceipt {
        accepted: decoded.records.len() as u64,
        rejected: decoded.rejects.len() as u64,
        rejects: decoded.rejects.iter().take(REJECTS_SHOWN).map(|reject| (reject.record as usize, reject.message.clone())).collect(),
        positions,
    })
}

/// Rows with equal `by` columns go to the same partition.
fn partition_of(batch: &RecordBatch, row: usize, by: &[usize], partitions: u32) -> Partition {
    let mut bytes = Vec::new();
    for column in by {
        if !append_key_value(&mut bytes, &value_at(batch.column(*column).as_ref(), row)) {
            bytes.push(0);
        }
    }
    Partition((xxh3_64(&bytes) % u64::from(partitions.max(1))) as u32)
}
