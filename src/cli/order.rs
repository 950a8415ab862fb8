//! In which order the records of a file are pushed. Acceptance depends on the order of the log alone, so that a file of history in
//! another order than that of time would lose most of it to `lateness`. Must give the same order each time: a push that ended
//! early goes on by the number of a record.

use std::path::Path;

use clap::ValueEnum;

use crate::decode::{self, Payload};
use crate::engine::Rehearsal;
use crate::error::{Error, Result};
use crate::plan::Source;

use super::context::Context;
use super::output::complain;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Order {
    /// Order of the file
    File,
    /// Order of event times; records of equal event times keep the order of the file
    Time,
}

/// Payloads of one step of a sorted file.
const BATCH_RECORDS: usize = 4096;
/// What a payload takes beside its bytes.
const OVERHEAD_BYTES: usize = 64;

/// The order that was asked for; else that of the file, where it makes nothing too late, or by event time, where that is safe.
///
/// # Errors
/// `Input` where the file's order loses records and another one may mean something else: nothing is pushed before a person has
/// chosen.
pub(super) fn chosen(context: &Context, source: &Source, path: &Path, asked: Option<Order>, from: u64) -> Result<Order> {
    if let Some(order) = asked {
        return Ok(order);
    }
    // One that goes on is in the order in which it began, which the message that told `--from` names where it is not the file's.
    if from > 1 {
        return Ok(Order::File);
    }
    let mut rehearsal = Rehearsal::new(source, context.clock.now());
    let (mut bytes, mut fault) = (0, None);
    for batch in decode::file_to_records(source, path)? {
        match batch {
            Ok(batch) => {
                bytes += batch.iter().map(size).sum::<usize>();
                rehearsal.take(batch.iter().map(|payload| payload.bytes.as_slice()))?;
            }
            Err(error) => fault = Some(error),
        }
    }
    let (late, records) = (rehearsal.too_late, rehearsal.records);
    if late.events == 0 {
        return Ok(Order::File);
    }
    let (file, time) = (path.display(), &source.fields[source.event_time].name);
    let (behind, lateness, wanted) = (late.behind.roughly(), source.lateness, late.behind.covering());
    let found = format!(
        "{file}: {} of {records} records would come too late in its own order, up to {behind} behind earlier ones (lateness {lateness})",
        late.events
    );
    let refused = |why: String| Err(Error::input(format!("{found}; nothing was pushed: {why}")));
    if let Some(fault) = fault {
        return refused(format!("the file cannot be sorted before it is mended ({fault}); --order file pushes it as it is"));
    }
    if source.retracts() {
        return refused(format!(
            "source {} has deletes, for which the order counts: declare lateness '{wanted}', or choose --order time or --order file",
            source.name
        ));
    }
    if bytes > limit(context) {
        return refused(format!(
            "it is larger than sort_memory to be sorted here: raise that setting, sort the file by {time}, declare lateness '{wanted}', or \
             push it as it is with --order file"
        ));
    }
    complain(&format!("{found}: pushed by {time} instead; --order file keeps the file's order\n"));
    Ok(Order::Time)
}

/// The records of a file by event time; one that is no event stands behind the one before it.
pub(super) fn by_time(context: &Context, source: &Source, path: &Path) -> Result<impl Iterator<Item = Result<Vec<Payload>>> + use<>> {
    let mut rehearsal = Rehearsal::new(source, context.clock.now());
    let (mut records, mut bytes, mut last) = (Vec::new(), 0, i64::MIN);
    for batch in decode::file_to_records(source, path)? {
        let batch = batch?;
        bytes += batch.iter().map(size).sum::<usize>();
        if bytes > limit(context) {
            return Err(Error::input(format!(
                "{}: larger than sort_memory to be sorted here: raise that setting, or sort the file; nothing was pushed",
                path.display()
            )));
        }
        let times = rehearsal.take(batch.iter().map(|payload| payload.bytes.as_slice()))?;
        for (payload, time) in batch.into_iter().zip(times) {
            last = time.map_or(last, |time| time.0);
            records.push((last, payload));
        }
    }
    records.sort_by_key(|(time, _)| *time);
    let mut left = records.into_iter().map(|(_, payload)| payload);
    Ok(std::iter::from_fn(move || {
        let batch: Vec<Payload> = left.by_ref().take(BATCH_RECORDS).collect();
        (!batch.is_empty()).then_some(Ok(batch))
    }))
}

fn size(payload: &Payload) -> usize {
    payload.bytes.len() + OVERHEAD_BYTES
}

fn limit(context: &Context) -> usize {
    usize::try_from(context.config.sort_memory_bytes).unwrap_or(usize::MAX)
}
