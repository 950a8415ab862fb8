//! The publisher: empties the outbox into topics, in order. At least once; the embedded log remembers how far it got,
//! so that there it is exactly once.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use hashbrown::HashMap;

use super::problems::Kind;
use super::shared::Shared;
use crate::error::{ErrorKind, Result};
use crate::folder::OUTBOX_WRITER;
use crate::online::Destination;
use crate::record::{LogWriter, NewRecord};
use crate::telemetry::{Counter, names};

const BATCH: usize = 4096;
/// Fewer where they are large.
const BATCH_BYTES: u64 = 8 << 20;
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// Bytes of its value that an output keeps when its topic does not take it whole.
const CUT_SHORT: usize = 64 << 10;

/// What the publisher keeps.
#[derive(Default)]
struct Publisher {
    writers: HashMap<Destination, Box<dyn LogWriter>>,
    /// For each topic how many outputs went there.
    published: HashMap<String, Counter>,
}

/// Publishes until `wake` is closed and the outbox is empty, or until it is closed and a log does not take records, or not all
/// of them in time: those stay for the next start.
pub fn publish(shared: &Arc<Shared>, wake: &Receiver<()>) {
    let mut publisher = Publisher::default();
    let mut from = 0;
    loop {
        if shared.is_out_of_time() {
            return tracing::info!("{} outputs stay in the outbox until the next start", shared.outbox.waiting());
        }
        match publish_some(shared, &mut publisher, &mut from) {
            Ok(0) => match wake.recv_timeout(RETRY_WAIT) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => match publish_some(shared, &mut publisher, &mut from) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) => return tracing::warn!("outputs stay in the outbox until the next start: {error}"),
                },
            },
            Ok(_) => shared.set_problem(Kind::Publishing, "publishing", None),
            Err(error) => {
                shared.set_problem(Kind::Publishing, "publishing", Some(error.to_string()));
                if matches!(wake.recv_timeout(RETRY_WAIT), Err(RecvTimeoutError::Disconnected)) {
                    return tracing::warn!("outputs stay in the outbox until the next start: {error}");
                }
            }
        }
    }
}

/// Publishes the front of the outbox, up to a change of destination; returns how many.
fn publish_some(shared: &Shared, publisher: &mut Publisher, from: &mut u64) -> Result<usize> {
    let Publisher { writers, published } = publisher;
    let mut outputs = shared.store.outputs(*from, BATCH, BATCH_BYTES)?;
    let Some(destination) = outputs.first().map(|(_, output)| output.destination) else { return Ok(0) };
    let same = outputs.iter().take_while(|(_, output)| output.destination == destination).count();
    outputs.truncate(same);
    let Some(last) = outputs.last().map(|(number, _)| *number) else { return Ok(0) };
    let bytes = outputs.iter().map(|(_, output)| output.bytes()).sum();
    if !writers.contains_key(&destination) {
        writers.insert(destination, shared.logs.writer(destination, OUTBOX_WRITER)?);
    }
    let Some(writer) = writers.get_mut(&destination) else { return Ok(0) };
    // Numbers start at 0; what a log remembers is the number after the last one it holds.
    let held = writer.appended_upto()?.unwrap_or(0);
    let (numbers, records): (Vec<u64>, Vec<NewRecord>) =
        outputs.into_iter().filter(|(number, _)| *number >= held).map(|(number, output)| (number, output.record)).unzip();
    for record in &records {
        shared.logs.ensure_topic(destination, &record.topic)?;
    }
    if !records.is_empty() {
        match writer.append(&records, last + 1) {
            Err(error) if error.kind() == ErrorKind::Input => append_one_by_one(writer.as_mut(), &numbers, &records)?,
            appended => drop(appended?),
        }
        for record in &records {
            let topic = record.topic.as_str();
            let counter = || shared.metrics.counter(names::OUTPUTS_PUBLISHED, &[("topic", topic)]);
            published.entry_ref(topic).or_insert_with(counter).inc();
        }
    }
    shared.store.delete_outputs_before(last + 1, destination)?;
    *from = last + 1;
    shared.outbox.published(*from, bytes);
    Ok(same)
}

/// Appends records of which one is not taken, most likely because it is larger than its topic allows (the dead letter
/// of a large record): that one goes with the fronts of its value, key and headers, and says so in a header.
fn append_one_by_one(writer: &mut dyn LogWriter, numbers: &[u64], records: &[NewRecord]) -> Result<()> {
    for (number, record) in numbers.iter().zip(records) {
        let upto = number + 1;
        match writer.append(std::slice::from_ref(record), upto) {
            Err(error) if error.kind() == ErrorKind::Input => {
                tracing::warn!(topic = record.topic, "an output is published cut short: {error}");
                let mut short = record.clone();
                let length = short.value.as_ref().map_or(0, Vec::len);
                let headers = short.headers.iter_mut().map(|(_, value)| value);
                short.value.iter_mut().chain(&mut short.key).chain(headers).for_each(|part| part.truncate(CUT_SHORT));
                short.headers.push(("forebay.original_length".to_owned(), length.to_string().into_bytes()));
                writer.append(&[short], upto)?;
            }
            appended => drop(appended?),
        }
    }
    Ok(())
}
