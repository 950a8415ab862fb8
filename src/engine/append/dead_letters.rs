//! Reads dead letters, and replays them: appends them to the log of their source, each once. A topic of receipts stores which ones
//! were replayed. In the embedded log the write that replays also writes the receipt; in Kafka one receipt comes before and one
//! after. Must never replay a record that would be set aside again, as far as that can be known.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::decode::{self, Decoder};
use crate::engine::append::appender::stored_frontiers;
use crate::engine::append::push::Frontiers;
use crate::engine::handle::api::TooLate;
use crate::engine::intake::batch::times_of;
use crate::engine::logs::Logs;
use crate::error::{Error, ErrorKind, Result};
use crate::folder::{Folder, Stored, Written};
use crate::id::{Offset, Partition};
use crate::log::embedded::Mode;
use crate::online::{Progress, TOO_LATE};
use crate::plan::{Plan, Source};
use crate::record::{Header, LogReader, NewRecord, RecordRun};
use crate::time::{Clock, EventTime, Span};

/// The most that one call puts back: the earliest by event time.
const RECORDS_MAX: usize = 50_000;
const BYTES_MAX: usize = 64 << 20;
/// Records of one poll, how long one may wait, and how many may find nothing before a topic counts as read.
const POLL_RECORDS: usize = 4096;
const POLL_WAIT: Duration = Duration::from_millis(500);
const EMPTY_POLLS: usize = 10;

/// Headers that a dead letter has more than its record.
const OURS: [&str; 3] = ["__connect.errors.", "forebay.reason", REPLAYED];
/// The header of a record that was put back: which dead letter it was.
const REPLAYED: &str = "forebay.replayed";
const CUT: &str = "forebay.original_length";
/// Why a dead letter stays that was published without all of its bytes.
const CUT_SHORT: &str = "cut_short";

/// The offset after the last record of each partition.
pub type Ends = BTreeMap<Partition, Offset>;

/// A record of a dead-letter topic.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub partition: Partition,
    pub offset: Offset,
    /// The log's timestamp of the record, microseconds.
    pub timestamp: i64,
    pub reason: String,
    pub message: String,
    /// Where the record was read.
    pub from: Option<(Partition, Offset)>,
    /// Whether the record had been put back before.
    pub again: bool,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    headers: Vec<Header>,
}

impl DeadLetter {
    fn of(run: &RecordRun, index: usize) -> Self {
        let record = &run.records[index];
        let headers = record.headers.as_deref().cloned().unwrap_or_default();
        let said = |name: &str| {
            headers.iter().rev().find(|(header, _)| header == name).map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let number = |name: &str| said(name).and_then(|text| text.parse::<u64>().ok());
        let from = number("__connect.errors.partition").zip(number("__connect.errors.offset"));
        Self {
            partition: run.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            reason: said("forebay.reason").unwrap_or_else(|| "unknown".to_owned()),
            message: said("__connect.errors.exception.message").unwrap_or_default(),
            from: from.and_then(|(partition, offset)| Some((Partition(u32::try_from(partition).ok()?), Offset(offset)))),
            again: said(REPLAYED).is_some(),
            key: run.key(index).map(<[u8]>::to_vec),
            value: run.value(index).map(<[u8]>::to_vec),
            headers,
        }
    }

    fn is_cut(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == CUT)
    }
}

/// Which dead letters, of those that were not put back yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayRequest {
    pub reason: Option<String>,
    /// By the log's timestamps of the records.
    pub since: Option<EventTime>,
    pub until: Option<EventTime>,
    /// Only those before these ends: what a first call found, so that what falls again is not put back again and again.
    pub before: Option<Ends>,
    /// Only says what would be done.
    pub dry_run: bool,
}

impl ReplayRequest {
    /// Whether it is one of those.
    #[must_use]
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
            && self.since.is_none_or(|since| letter.timestamp >= since.0)
            && self.until.is_none_or(|until| letter.timestamp < until.0)
            && self.before.as_ref().is_none_or(|before| before.get(&letter.partition).is_some_and(|end| letter.offset < *end))
    }
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Put back, in the order of their event times.
    pub replayed: u64,
    /// Put back before.
    pub already: u64,
    /// Still no events, by reason, each with how many and what is said of the first.
    pub left: BTreeMap<String, (u64, String)>,
    /// Of these, those that are too late for the frontiers as they are.
    pub too_late: TooLate,
    /// Whether there are more to put back than one call takes.
    pub more: bool,
    /// How far the topic was looked at.
    pub before: Ends,
}

/// The logs of a data folder where no engine runs, to look at dead letters, or to put them back.
pub struct DeadLetters {
    logs: Logs,
    /// As of the last commit.
    progress: Progress,
    /// Open to write for as long as this is there.
    _folder: Option<Folder>,
}

impl DeadLetters {
    /// # Errors
    /// `Conflict` when it is to be written and another process has the folder open; `NotFound` where there is no log.
    pub fn open(config: &Config, plan: &Plan, mode: Mode, clock: Arc<dyn Clock>) -> Result<Self> {
        let (folder, log, progress) = match mode {
            Mode::ReadWrite => Written::log(&config.data, clock).map(|(folder, log, progress)| (Some(folder), log, progress))?,
            Mode::ReadOnly => {
                let Stored { log, online, .. } = Stored::open(&config.data, 8 << 20)?;
                let data = config.data.display();
                let log = log.ok_or_else(|| Error::not_found(format!("no log in {data}: name the right data folder with --data")))?;
                (None, log, online.map_or(Ok(Progress::default()), |online| online.progress())?)
            }
        };
        Ok(Self { logs: Logs::new(config, plan, log), progress, _folder: folder })
    }

    /// Every dead letter of a source, and whether it was put back.
    pub fn each(&self, source: &Source, mut visit: impl FnMut(DeadLetter, bool) -> Result<()>) -> Result<()> {
        let receipts = Receipts::read(&self.logs, source)?;
        scan(&self.logs, source, &source.dead_letter_topic(), &Ends::new(), |run| {
            (0..run.records.len()).try_for_each(|index| {
                let letter = DeadLetter::of(run, index);
                let is_done = receipts.done.contains(&(letter.partition, letter.offset));
                visit(letter, is_done)
            })
        })
        .map(|_| ())
    }

    /// Puts some back.
    pub fn replay(&self, source: &Source, asked: &ReplayRequest) -> Result<Replayed> {
        replay(&self.logs, source, &stored_frontiers(&self.progress, &source.name), asked)
    }
}

/// Reads a topic from these offsets, or its start, to its end as it is now; nothing where there is no such topic.
fn scan(logs: &Logs, source: &Source, topic: &str, from: &Ends, mut visit: impl FnMut(&RecordRun) -> Result<()>) -> Result<Ends> {
    let mut reader = match logs.of(source.origin.system)?.reader(topic) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ends::new()),
        opened => opened?,
    };
    let ends = match reader.record_ends() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ends::new()),
        ends => ends?.into_iter().collect::<Ends>(),
    };
    let mut open = ends.clone();
    open.retain(|partition, end| from.get(partition).is_none_or(|from| from < end));
    for partition in open.keys() {
        reader.seek(*partition, from.get(partition).copied().unwrap_or_default())?;
    }
    read_to(reader.as_mut(), open, &mut visit)?;
    Ok(ends)
}

fn read_to(reader: &mut dyn LogReader, mut open: Ends, visit: &mut dyn FnMut(&RecordRun) -> Result<()>) -> Result<()> {
    let mut empty = 0;
    while !open.is_empty() && empty < EMPTY_POLLS {
        let runs = reader.poll(POLL_RECORDS, POLL_WAIT)?;
        empty = if runs.is_empty() { empty + 1 } else { 0 };
        for mut run in runs {
            let Some(end) = open.get(&run.partition).copied() else { continue };
            let next = run.records.last().map_or(Offset(0), |last| Offset(last.offset.0 + 1));
            run.records.retain(|record| record.offset < end);
            visit(&run)?;
            if next >= end {
                open.remove(&run.partition);
            }
        }
    }
    Ok(())
}

/// A record of the topic of receipts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Receipt {
    /// What follows in the source's topic, from these offsets on, is put back: partition and offset. Kafka only.
    Begun(Vec<(u32, u64)>),
    /// These dead letters were: partition, first and last offset.
    Replayed(Vec<(u32, u64, u64)>),
}

/// Which dead letters were put back.
#[derive(Default)]
struct Receipts {
    done: BTreeSet<(Partition, Offset)>,
    /// Where the source's topic ended before what may be cut off in the middle.
    begun: Option<Ends>,
}

/// Dead letters as runs of offsets.
fn runs_of(letters: &BTreeSet<(Partition, Offset)>) -> Vec<(u32, u64, u64)> {
    let mut runs: Vec<(u32, u64, u64)> = Vec::new();
    for (partition, offset) in letters {
        match runs.last_mut() {
            Some((of, _, last)) if *of == partition.0 && *last + 1 == offset.0 => *last = offset.0,
            _ => runs.push((partition.0, offset.0, offset.0)),
        }
    }
    runs
}

fn topic_of_receipts(source: &Source) -> String {
    format!("{}.replayed", source.dead_letter_topic())
}

impl Receipts {
    fn read(logs: &Logs, source: &Source) -> Result<Self> {
        let topic = topic_of_receipts(source);
        let mut receipts = Self::default();
        scan(logs, source, &topic, &Ends::new(), |run| {
            for index in 0..run.records.len() {
                let place = format!("topic {topic} partition {} offset {}", run.partition.0, run.records[index].offset.0);
                let receipt = serde_json::from_slice(run.value(index).unwrap_or_default())
                    .map_err(|error| Error::corrupt(format!("{place} is no receipt of dead letters that were put back: {error}")))?;
                match receipt {
                    Receipt::Begun(ends) => {
                        receipts.begun = Some(ends.into_iter().map(|(partition, offset)| (Partition(partition), Offset(offset))).collect());
                    }
                    Receipt::Replayed(runs) => {
                        receipts.begun = None;
                        for (partition, first, last) in runs {
                            receipts.done.extend((first..=last).map(|offset| (Partition(partition), Offset(offset))));
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(receipts)
    }

    /// Learns from the source's topic what an append that was cut off has put back, and notes it where that may be written.
    fn settle(&mut self, logs: &Logs, source: &Source, writes: bool) -> Result<()> {
        let Some(from) = self.begun.take() else { return Ok(()) };
        let mut found = BTreeSet::new();
        scan(logs, source, source.topic(), &from, |run| {
            for record in &run.records {
                let headers = record.headers.iter().flat_map(|headers| headers.iter());
                found.extend(headers.filter(|(name, _)| name == REPLAYED).filter_map(|(_, value)| letter_of(source, value)));
            }
            Ok(())
        })?;
        found.retain(|letter| !self.done.contains(letter));
        if writes {
            self.append(logs, source, &Receipt::Replayed(runs_of(&found)))?;
        }
        self.done.extend(found);
        Ok(())
    }

    fn append(&self, logs: &Logs, source: &Source, receipt: &Receipt) -> Result<()> {
        let record = receipt_record(source, receipt)?;
        logs.ensure_topic(source.origin.system, &record.topic)?;
        logs.sink(source.origin.system, WRITER)?.append(&[record], 0).map(|_| ())
    }
}

const WRITER: &str = "forebay-replay";

fn receipt_record(source: &Source, receipt: &Receipt) -> Result<NewRecord> {
    let value = serde_json::to_vec(receipt).map_err(|error| Error::internal(format!("a receipt: {error}")))?;
    Ok(NewRecord { topic: topic_of_receipts(source), partition: Some(Partition(0)), value: Some(value), ..NewRecord::default() })
}

/// `payments.dead/0/12`, as the header has it.
fn letter_of(source: &Source, header: &[u8]) -> Option<(Partition, Offset)> {
    let text = std::str::from_utf8(header).ok()?.strip_prefix(&source.dead_letter_topic())?.strip_prefix('/')?;
    let (partition, offset) = text.split_once('/')?;
    Some((Partition(partition.parse().ok()?), Offset(offset.parse().ok()?)))
}

/// A dead letter that is an event by now, in the order in which they are put back.
struct Candidate {
    at: (i64, Option<(Partition, Offset)>, (Partition, Offset)),
    record: NewRecord,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// The earliest of the candidates, as many as one call takes.
#[derive(Default)]
struct Earliest {
    heap: BinaryHeap<Candidate>,
    bytes: usize,
    more: bool,
}

impl Earliest {
    fn push(&mut self, candidate: Candidate) {
        let size = |candidate: &Candidate| candidate.record.value.as_ref().map_or(0, Vec::len) + 256;
        self.bytes += size(&candidate);
        self.heap.push(candidate);
        while self.heap.len() > RECORDS_MAX || (self.bytes > BYTES_MAX && self.heap.len() > 1) {
            let Some(latest) = self.heap.pop() else { break };
            self.bytes -= size(&latest);
            self.more = true;
        }
    }
}

/// Puts dead letters of a source back into its log, the earliest by event time first, so that none makes another one late.
pub(in crate::engine) fn replay(logs: &Logs, source: &Source, frontiers: &Frontiers, asked: &ReplayRequest) -> Result<Replayed> {
    if source.files.is_some() {
        return Err(Error::input(format!("{} is a table, whose rows come from its files: mend them there", source.name)));
    }
    let mut receipts = Receipts::read(logs, source)?;
    receipts.settle(logs, source, !asked.dry_run)?;
    let mut done = Replayed::default();
    let mut earliest = Earliest::default();
    let mut decoder = Decoder::new(source);
    let topic = source.dead_letter_topic();
    let ends = scan(logs, source, &topic, &Ends::new(), |run| {
        let letters = (0..run.records.len()).map(|index| DeadLetter::of(run, index)).filter(|letter| asked.takes(letter));
        let mut fresh = Vec::new();
        for letter in letters {
            if receipts.done.contains(&(letter.partition, letter.offset)) {
                done.already += 1;
            } else if letter.is_cut() {
                leave(&mut done.left, CUT_SHORT, "it was too large for its topic, which has only its beginning");
            } else {
                fresh.push(letter);
            }
        }
        sort_out(source, frontiers, &mut decoder, fresh, &mut done, &mut earliest)
    })?;
    done.before = asked.before.clone().unwrap_or(ends);
    done.more = earliest.more;
    let candidates = earliest.heap.into_sorted_vec();
    done.replayed = candidates.len() as u64;
    if !asked.dry_run && !candidates.is_empty() {
        put_back(logs, source, &receipts, candidates)?;
    }
    Ok(done)
}

fn leave(left: &mut BTreeMap<String, (u64, String)>, reason: &str, message: &str) {
    left.entry(reason.to_owned()).or_insert_with(|| (0, message.to_owned())).0 += 1;
}

/// Tells those that are events by now from those that are not.
fn sort_out(
    source: &Source,
    frontiers: &Frontiers,
    decoder: &mut Decoder,
    letters: Vec<DeadLetter>,
    done: &mut Replayed,
    earliest: &mut Earliest,
) -> Result<()> {
    let mut run = RecordRun { topic: source.topic().to_owned(), ..RecordRun::default() };
    for (index, letter) in letters.iter().enumerate() {
        run.push(Offset(index as u64), letter.timestamp, letter.key.as_deref(), letter.value.as_deref(), Vec::new());
    }
    let decoded = decoder.decode(&run)?;
    let chosen = decode::partitions(source, &decoded, letters.len());
    // What retracts by its key alone has no time, and comes behind the events.
    let mut times = vec![Some(i64::MAX); letters.len()];
    let of_rows = times_of(source, &decoded.batch)?;
    for (row, record) in decoded.records.iter().enumerate() {
        times[*record as usize] = Some(of_rows.value(row));
    }
    let retracts: BTreeSet<u32> =
        decoded.records.iter().zip(&decoded.retracts).filter(|(_, retracts)| **retracts).map(|(record, _)| *record).collect();
    for reject in &decoded.rejects {
        leave(&mut done.left, reject.reason, &reject.message);
        times[reject.record as usize] = None;
    }
    for (index, letter) in letters.into_iter().enumerate() {
        let Some(time) = times[index] else { continue };
        let partition = chosen[index].or(letter.from.map(|(partition, _)| partition));
        let frontier = partition.and_then(|partition| frontiers.get(&partition)).filter(|_| !retracts.contains(&(index as u32)));
        if let Some(frontier) = frontier.filter(|frontier| EventTime(time) < frontier.minus(source.lateness)) {
            let behind = Span(frontier.0.saturating_sub(time));
            done.too_late.record(behind);
            let lateness = source.lateness;
            leave(
                &mut done.left,
                TOO_LATE,
                &format!("event time {} is more than the lateness of {lateness} behind the frontier {frontier}", EventTime(time)),
            );
            continue;
        }
        earliest.push(candidate(source, time, partition, letter));
    }
    Ok(())
}

fn candidate(source: &Source, time: i64, partition: Option<Partition>, letter: DeadLetter) -> Candidate {
    let place = (letter.partition, letter.offset);
    let mut headers = letter.headers;
    headers.retain(|(name, _)| !OURS.iter().any(|ours| name.starts_with(ours)));
    headers.push((REPLAYED.to_owned(), format!("{}/{}/{}", source.dead_letter_topic(), place.0.0, place.1.0).into_bytes()));
    let most = source.origin.partitions.as_ref().map_or(u32::MAX, |partitions| partitions.count);
    let record = NewRecord {
        topic: source.topic().to_owned(),
        partition: partition.filter(|partition| partition.0 < most),
        // The log stamps it: that of then may be beyond what the log keeps, or before what `max ahead` allows.
        timestamp: None,
        key: letter.key,
        value: letter.value,
        headers,
    };
    Candidate { at: (time, letter.from, place), record }
}

fn put_back(logs: &Logs, source: &Source, receipts: &Receipts, candidates: Vec<Candidate>) -> Result<()> {
    let letters: BTreeSet<(Partition, Offset)> = candidates.iter().map(|candidate| candidate.at.2).collect();
    let receipt = Receipt::Replayed(runs_of(&letters));
    let mut records: Vec<NewRecord> = candidates.into_iter().map(|candidate| candidate.record).collect();
    let system = logs.of(source.origin.system)?;
    logs.make(&source.origin)?;
    if system.is_atomic() {
        records.push(receipt_record(source, &receipt)?);
        return system.sink(WRITER)?.append(&records, 0).map(|_| ());
    }
    let ends = system.reader(source.topic())?.ends()?;
    receipts.append(logs, source, &Receipt::Begun(ends.iter().map(|(partition, end)| (partition.0, end.0)).collect()))?;
    system.sink(WRITER)?.append(&records, 0)?;
    receipts.append(logs, source, &receipt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_as_runs() {
        let letters = [(0, 1), (0, 2), (0, 4), (1, 5), (1, 6)].map(|(partition, offset)| (Partition(partition), Offset(offset)));
        assert_eq!(runs_of(&letters.into()), [(0, 1, 2), (0, 4, 4), (1, 5, 6)]);
    }

    #[test]
    fn the_earliest_stay_whatever_comes_first() {
        let candidate = |time: i64| Candidate {
            at: (time, None, (Partition(0), Offset(time as u64))),
            record: NewRecord { value: Some(vec![0; BYTES_MAX / 3]), ..NewRecord::default() },
        };
        let mut earliest = Earliest::default();
        [5, 1, 4, 2, 3].into_iter().for_each(|time| earliest.push(candidate(time)));
        assert!(earliest.more);
        let times: Vec<i64> = earliest.heap.into_sorted_vec().iter().map(|candidate| candidate.at.0).collect();
        assert_eq!(times, [1, 2]);
    }

    #[test]
    fn receipts_are_read_as_they_were_written() {
        for (receipt, text) in
            [(Receipt::Begun(vec![(0, 7)]), r#"{"begun":[[0,7]]}"#), (Receipt::Replayed(vec![(0, 1, 2)]), r#"{"replayed":[[0,1,2]]}"#)]
        {
            assert_eq!(serde_json::to_string(&receipt).unwrap(), text);
            let _: Receipt = serde_json::from_str(text).unwrap();
        }
    }
}
