//! Appending records to a source's log, counting those that will not decode. Records stay where they lie: what is kept of
//! each while they are decoded, in runs of bounded size, and appended, is its place and its partition.

use super::api::PushReceipt;
use super::shared::{Logs, destination_of};
use crate::decode::{self, Decoder};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::plan::{Origin, Source};
use crate::record::{NewRecord, Pushed, RecordRun};

const REJECTS_SHOWN: usize = 10;
/// A run is decoded once it has so many records, or bytes.
const RUN_RECORDS: usize = 16_384;
const RUN_BYTES: usize = 8 << 20;

/// Appends payloads to the log of a source; durable when it returns. Records that will not decode are appended too:
/// the engine sends them to the dead-letter topic with the reason. The embedded log takes all of them or none.
pub fn push<P: AsRef<[u8]>>(logs: &Logs, source: &Source, payloads: &[P]) -> Result<PushReceipt> {
    if let Some(files) = &source.files {
        let message =
            format!("{} is a table, which takes its rows from {}: put a file with the new rows there", source.name, files.display());
        return Err(Error::input(message));
    }
    let mut receipt = PushReceipt::default();
    let chosen = decoded(source, payloads, &mut receipt)?;
    match &source.origin {
        Origin::Log { topic, partitions, .. } => {
            let places = payloads.iter().zip(&chosen);
            let records: Vec<_> =
                places.map(|(payload, partition)| Pushed { topic, partition: *partition, payload: payload.as_ref() }).collect();
            logs.embedded.create_topic(topic, *partitions)?;
            let places = logs.embedded.append(&records)?;
            ends(&mut receipt.positions, &places);
        }
        Origin::Kafka { topic } => {
            let mut writer = logs.writer(destination_of(source), "forebay-push")?;
            let record = |payload: &P| NewRecord { topic: topic.clone(), value: Some(payload.as_ref().to_vec()), ..NewRecord::default() };
            for payloads in payloads.chunks(RUN_RECORDS) {
                let places = writer.append(&payloads.iter().map(record).collect::<Vec<_>>(), 0)?;
                ends(&mut receipt.positions, &places);
            }
        }
    }
    receipt.positions.sort_unstable();
    Ok(receipt)
}

/// Notes what will decode and what will not; the partition that each record's fields choose.
fn decoded<P: AsRef<[u8]>>(source: &Source, payloads: &[P], receipt: &mut PushReceipt) -> Result<Vec<Option<Partition>>> {
    let mut decoder = Decoder::new(source);
    let mut chosen = Vec::with_capacity(payloads.len());
    let mut run = RecordRun { topic: source.topic().to_owned(), ..RecordRun::default() };
    for (index, payload) in payloads.iter().enumerate() {
        run.push(Offset(index as u64), 0, None, Some(payload.as_ref()), Vec::new());
        if run.records.len() < RUN_RECORDS && run.bytes.len() < RUN_BYTES && index + 1 < payloads.len() {
            continue;
        }
        let first = index + 1 - run.records.len();
        let decoded = decoder.decode(&run)?;
        chosen.extend(decode::partitions(source, &decoded, run.records.len()));
        receipt.accepted += decoded.records.len() as u64;
        receipt.rejected += decoded.rejects.len() as u64;
        let shown = REJECTS_SHOWN - receipt.rejects.len();
        receipt.rejects.extend(decoded.rejects.iter().take(shown).map(|reject| (first + reject.record as usize, reject.message.clone())));
        if receipt.warnings.is_empty() {
            receipt.warnings.extend(decode::odd_times(source, &run, &decoded).iter().map(ToString::to_string));
        }
        run.bytes.clear();
        run.records.clear();
    }
    Ok(chosen)
}

/// Moves the end of each partition behind the last of these places.
fn ends(positions: &mut Vec<(Partition, Offset)>, places: &[(Partition, Offset)]) {
    for (partition, offset) in places {
        let next = Offset(offset.0 + 1);
        match positions.iter_mut().find(|(of, _)| of == partition) {
            Some((_, end)) => *end = (*end).max(next),
            None => positions.push((*partition, next)),
        }
    }
}
