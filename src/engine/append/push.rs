//! Appends records to the log of a source, and counts those that will not decode. Records are decoded in runs of bounded size. Must
//! never copy a payload that the embedded log takes: only its place and its partition are stored meanwhile.

use std::collections::BTreeMap;

use crate::decode::{self, Decoded, Decoder};
use crate::engine::handle::api::{PushReceipt, TooLate};
use crate::engine::intake::batch::times_of;
use crate::engine::logs::Logs;
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::plan::Source;
use crate::record::{NewRecord, Pushed, RecordRun, System};
use crate::time::{EventTime, IngestTime, Span};

const REJECTS_SHOWN: usize = 10;
/// A run is decoded once it has so many records, or bytes.
const RUN_RECORDS: usize = 16_384;
const RUN_BYTES: usize = 8 << 20;

/// The highest event time of each partition, as far as it is known.
pub type Frontiers = BTreeMap<Partition, EventTime>;

/// Appends payloads to the log of a source; durable when it returns. Records that will not decode are appended too:
/// the engine sends them to the dead-letter topic with the reason. The embedded log takes all of them or none. `frontiers` move
/// on with what is appended.
pub fn push<P: AsRef<[u8]>>(logs: &Logs, source: &Source, payloads: &[P], frontiers: &mut Frontiers) -> Result<PushReceipt> {
    if let Some(files) = &source.files {
        let message =
            format!("{} is a table, which takes its rows from {}: put a file with the new rows there", source.name, files.display());
        return Err(Error::input(message));
    }
    let mut receipt = PushReceipt::default();
    let (chosen, events) = decoded(source, payloads, &mut receipt)?;
    let mut places = Vec::with_capacity(payloads.len());
    let topic = source.topic();
    logs.make(&source.origin)?;
    if source.origin.system == System::Embedded {
        let chosen = payloads.iter().zip(&chosen);
        let records: Vec<_> =
            chosen.map(|(payload, partition)| Pushed { topic, partition: *partition, payload: payload.as_ref() }).collect();
        places = logs.embedded.append(&records)?;
    } else {
        let mut sink = logs.sink(source.origin.system, "forebay-push")?;
        let record = |payload: &P| NewRecord { topic: topic.to_owned(), value: Some(payload.as_ref().to_vec()), ..NewRecord::default() };
        for payloads in payloads.chunks(RUN_RECORDS) {
            places.extend(sink.append(&payloads.iter().map(record).collect::<Vec<_>>(), 0)?);
        }
    }
    ends(&mut receipt.positions, &places);
    receipt.positions.sort_unstable();
    let in_order = events.into_iter().filter_map(|(record, time)| Some((places.get(record as usize)?.0, time)));
    receipt.too_late = judged(source, in_order, logs.embedded.now(), frontiers);
    Ok(receipt)
}

/// An event of what is pushed: which record it is, and its time.
type Event = (u32, EventTime);

/// Notes what will decode and what will not; the partition that each record's fields choose, and those that are events.
fn decoded<P: AsRef<[u8]>>(source: &Source, payloads: &[P], receipt: &mut PushReceipt) -> Result<(Vec<Option<Partition>>, Vec<Event>)> {
    let mut decoder = Decoder::new(source);
    let (mut chosen, mut events) = (Vec::with_capacity(payloads.len()), Vec::with_capacity(payloads.len()));
    let mut run = RecordRun { topic: source.topic().to_owned(), ..RecordRun::default() };
    for (index, payload) in payloads.iter().enumerate() {
        run.push(Offset(index as u64), 0, None, Some(payload.as_ref()), Vec::new());
        if run.records.len() < RUN_RECORDS && run.bytes.len() < RUN_BYTES && index + 1 < payloads.len() {
            continue;
        }
        let first = index + 1 - run.records.len();
        let decoded = decoder.decode(&run)?;
        chosen.extend(decode::partitions(source, &decoded, run.records.len()));
        events.extend(events_of(source, &decoded)?.map(|(record, time)| (first as u32 + record, time)));
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
    Ok((chosen, events))
}

/// The events of a run, each with its record; retractions are judged otherwise.
fn events_of<'a>(source: &Source, decoded: &'a Decoded) -> Result<impl Iterator<Item = Event> + 'a> {
    let times = times_of(source, &decoded.batch)?;
    let retracts = |row: usize| decoded.retracts.get(row).is_some_and(|retracts| *retracts);
    let rows = decoded.records.iter().enumerate().filter(move |(row, _)| !retracts(*row));
    Ok(rows.map(|(row, record)| (*record, EventTime(times.value(row)))))
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

/// Which of these events, in their order, will be too late in their partition: what acceptance will make of them, but for
/// duplicates, which move nothing.
fn judged(source: &Source, events: impl Iterator<Item = (Partition, EventTime)>, now: IngestTime, frontiers: &mut Frontiers) -> TooLate {
    let mut found = TooLate::default();
    for (partition, time) in events.filter(|(_, time)| time.0 <= now.0.saturating_add(source.max_ahead.0)) {
        match frontiers.get(&partition) {
            Some(frontier) if time < frontier.minus(source.lateness) => found.record(Span(frontier.0.saturating_sub(time.0))),
            frontier => {
                let frontier = frontier.map_or(time, |frontier| time.max(*frontier));
                frontiers.insert(partition, frontier);
            }
        }
    }
    found
}

/// What the order of a file makes too late in itself, before anything of it is pushed.
pub struct Rehearsal<'a> {
    source: &'a Source,
    decoder: Decoder,
    now: IngestTime,
    frontiers: Frontiers,
    pub too_late: TooLate,
    pub records: u64,
}

impl<'a> Rehearsal<'a> {
    #[must_use]
    pub fn new(source: &'a Source, now: IngestTime) -> Self {
        Self { source, decoder: Decoder::new(source), now, frontiers: Frontiers::new(), too_late: TooLate::default(), records: 0 }
    }

    /// Takes the next payloads; the event time of each, where it is an event. A source whose log chooses partitions is taken to
    /// have one: what is not too late there is so nowhere.
    pub fn take<'p>(&mut self, payloads: impl Iterator<Item = &'p [u8]>) -> Result<Vec<Option<EventTime>>> {
        let run = run_of(self.source, payloads);
        let decoded = self.decoder.decode(&run)?;
        let chosen = decode::partitions(self.source, &decoded, run.records.len());
        let partition = |record: u32| chosen.get(record as usize).copied().flatten().unwrap_or_default();
        let in_order = events_of(self.source, &decoded)?.map(|(record, time)| (partition(record), time));
        self.too_late.add(&judged(self.source, in_order, self.now, &mut self.frontiers));
        self.records += run.records.len() as u64;
        let mut of_records = vec![None; run.records.len()];
        let times = times_of(self.source, &decoded.batch)?;
        for (row, record) in decoded.records.iter().enumerate() {
            of_records[*record as usize] = Some(EventTime(times.value(row)));
        }
        Ok(of_records)
    }
}

fn run_of<'p>(source: &Source, payloads: impl Iterator<Item = &'p [u8]>) -> RecordRun {
    let mut run = RecordRun { topic: source.topic().to_owned(), ..RecordRun::default() };
    for (index, payload) in payloads.enumerate() {
        run.push(Offset(index as u64), 0, None, Some(payload), Vec::new());
    }
    run
}
