//! Appending records to a source's log, counting those that will not decode.

use super::api::PushReceipt;
use super::shared::Logs;
use crate::decode::{self, Decoder};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::plan::{Origin, Source};
use crate::record::{NewRecord, RecordRun};

const REJECTS_SHOWN: usize = 10;

/// Appends payloads to the log of a source; durable when it returns. Records that will not decode are appended too:
/// the engine sends them to the dead-letter topic with the reason.
pub fn push(logs: &Logs, source: &Source, payloads: &[Vec<u8>]) -> Result<PushReceipt> {
    if let Some(files) = &source.files {
        let message =
            format!("{} is a table, which takes its rows from {}: put a file with the new rows there", source.name, files.display());
        return Err(Error::input(message));
    }
    let mut run = RecordRun { topic: source.topic().to_owned(), ..RecordRun::default() };
    for (index, payload) in payloads.iter().enumerate() {
        run.push(Offset(index as u64), 0, None, Some(payload), Vec::new());
    }
    let decoded = Decoder::new(source).decode(&run)?;
    let chosen = match &source.origin {
        Origin::Log { .. } => decode::partitions(source, &decoded, payloads.len()),
        Origin::Kafka { .. } => vec![None; payloads.len()],
    };
    let record = |(payload, partition): (&Vec<u8>, Option<Partition>)| NewRecord {
        topic: source.topic().to_owned(),
        partition,
        value: Some(payload.clone()),
        ..NewRecord::default()
    };
    let records: Vec<NewRecord> = payloads.iter().zip(chosen).map(record).collect();
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
        warnings: decode::odd_times(source, &run, &decoded).iter().map(ToString::to_string).collect(),
    })
}
