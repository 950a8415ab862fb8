//! One thread for each source. Polls the log, decodes, evaluates what depends on the rows alone, and hands batches to the committer
//! through a bounded channel. Must never buffer more than that channel: back-pressure reaches the log.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::array::UInt32Array;
use arrow::compute;
use crossbeam_channel::Sender;

use crate::decode::{Decoded, Decoder, Reject, dead_letter, odd_times, reason};
use crate::engine::append::tables;
use crate::engine::handle::problems::Kind;
use crate::engine::intake::batch::{EvaluatedBatch, dedup_ids, failing, key_columns, key_hashes, times_of};
use crate::engine::intake::budget::Held;
use crate::engine::intake::clock;
use crate::engine::intake::tombstones::Tombstones;
use crate::engine::shared::{Applied, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint::failpoint;
use crate::id::{Offset, Partition};
use crate::record::{LastRead, LogReader, NewRecord, RecordRun, System};

const POLL_WAIT: Duration = Duration::from_millis(100);
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// What each record takes beside its own bytes, roughly.
const RECORD_BYTES: usize = 128;
/// How often a source that never falls idle is asked where its partitions end, and which there are.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A decoded run of one partition.
pub struct Incoming {
    pub source: usize,
    pub partition: Partition,
    pub prepared: EvaluatedBatch,
    pub times: Vec<i64>,
    pub offsets: Vec<u64>,
    /// The log's own timestamps, microseconds.
    pub timestamps: Vec<i64>,
    /// Hashes of the `dedup by` columns, where the source has them.
    pub ids: Option<Vec<Option<u128>>>,
    /// For each row whether it retracts an event, and the hash of its keys; both empty where no row can.
    pub retracts: Vec<bool>,
    pub key_hashes: Vec<u64>,
    /// Of a source with `deletes on tombstone`.
    pub tombstones: Option<Tombstones>,
    /// Records that cannot be used, with the offset and reason of each.
    pub dead: Vec<(u64, &'static str, NewRecord)>,
    /// The run itself, for what acceptance rejects.
    pub run: RecordRun,
    /// For each row, its record in the run.
    pub records: Vec<u32>,
    /// The offset after the run.
    pub next: Offset,
    /// Its share of the intake, once it has one.
    pub held: Option<Held>,
}

impl Incoming {
    /// Bytes of memory, roughly: the records, what was decoded of them and is made of that, and what goes to the dead letters.
    fn bytes(&self) -> u64 {
        let dead: usize = self.dead.iter().map(|(.., record)| record.bytes()).sum();
        let decoded = self.prepared.own.get_array_memory_size();
        (self.run.bytes.len() + 2 * decoded + dead + RECORD_BYTES * self.run.records.len()) as u64
    }
}

/// How far the partitions of a source are read.
struct Reached {
    next: BTreeMap<Partition, Offset>,
    last: BTreeMap<Partition, LastRead>,
}

/// What reading a source needs from poll to poll.
struct SourceReader<'a> {
    shared: &'a Arc<Shared>,
    source: usize,
    /// `None` before the log is open.
    log: Option<Box<dyn LogReader>>,
    decoder: Decoder,
    reached: Reached,
    batch_max: usize,
    incoming: &'a Sender<Incoming>,
}

/// Reads until the engine stops; an unreachable log is a problem that the status shows, and is tried again. `last` are the
/// records that were read last.
pub fn read(
    shared: &Arc<Shared>,
    source: usize,
    from: &Applied,
    last: BTreeMap<Partition, LastRead>,
    batch_max: usize,
    incoming: &Sender<Incoming>,
) {
    let declared = &shared.plan().sources[source];
    let about = format!("source {}", declared.name);
    if declared.files.is_none()
        && let Err(error) = tables::wait_until_applied(shared)
    {
        return shared.fail(error.context(&about));
    }
    let began = Instant::now();
    let mut looked = Instant::now();
    let next: BTreeMap<Partition, Offset> =
        from.partitions.iter().filter(|((of, _), _)| *of == source).map(|((_, partition), (offset, _))| (*partition, *offset)).collect();
    let (decoder, reached) = (Decoder::new(declared), Reached { next, last });
    let mut reader = SourceReader { shared, source, log: None, decoder, reached, batch_max, incoming };
    while !shared.is_stopping() {
        let look = looked.elapsed() > LOOK_EVERY;
        if look {
            looked = Instant::now();
        }
        match reader.step(look) {
            Ok(true) => shared.set_problem(Kind::Source, &about, None),
            Ok(false) => return,
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::NotFound) => {
                shared.measures.sources[source].log_errors.inc();
                shared.set_problem(Kind::Source, &about, Some(error.to_string()));
                shared.pass_over(source, began);
                // A topic that is gone may come back as another one: what was read last tells.
                if error.kind() == ErrorKind::NotFound {
                    reader.log = None;
                }
                std::thread::sleep(RETRY_WAIT);
            }
            Err(error) => {
                shared.fail(error.context(&about));
                return;
            }
        }
    }
}

impl SourceReader<'_> {
    /// One poll. `false` when the committer is gone.
    fn step(&mut self, look: bool) -> Result<bool> {
        let (shared, source, batch_max, incoming) = (self.shared, self.source, self.batch_max, self.incoming);
        let (reader, decoder, Reached { next, last }) = (&mut self.log, &mut self.decoder, &mut self.reached);
        let declared = &shared.plan().sources[source];
        let reader = match reader {
            Some(reader) => reader,
            None => {
                let mut opened = shared.logs.reader(&declared.origin)?;
                for partition in opened.partitions()? {
                    check_partition(partition)?;
                    opened.seek(partition, *next.entry(partition).or_default())?;
                    if let Some(last) = last.get(&partition) {
                        opened.resume(partition, *last)?;
                    }
                }
                shared.note_start(source, opened.record_ends()?);
                let ends = opened.ends()?;
                await_unread(shared, source, next, &ends);
                shared.ends[source].lock().extend(ends);
                know_ends(shared, source, next);
                reader.insert(opened)
            }
        };
        failpoint!("read::poll");
        let runs = reader.poll(batch_max, POLL_WAIT)?;
        if let Some((run, last)) = runs.last().and_then(|run| Some((run, run.records.last()?)))
        && declared.origin.system == System::Kafka
        // One without a stamp has 0; one beyond the end as last known came since that was asked.
        && last.timestamp > 0
        && shared.ends[source].lock().get(&run.partition).is_some_and(|end| last.offset >= *end)
        {
            clock::watch_stamp(shared, declared, last.timestamp);
        }
        for problem in reader.take_problems() {
            shared.measures.sources[source].log_errors.inc();
            tracing::warn!(source = declared.name, "{problem}");
        }
        // Asking our own log costs nothing.
        let asks = look || runs.is_empty() || declared.origin.system == System::Embedded;
        let ends = if asks { reader.ends()? } else { Vec::new() };
        for (partition, end) in &ends {
            if let Entry::Vacant(new) = next.entry(*partition) {
                check_partition(*partition)?;
                tracing::info!(source = declared.name, "reading the new partition {}", partition.0);
                if declared.dedup.is_some() {
                    tracing::warn!(source = declared.name, "ids of events of other partitions are not known in partition {}", partition.0);
                }
                reader.seek(*partition, *new.insert(Offset(0)))?;
                await_unread(shared, source, next, &[(*partition, *end)]);
            }
        }
        shared.ends[source].lock().extend(ends.iter().copied());
        for run in runs {
            shared.measures.sources[source].records.inc_by(run.records.len() as u64);
            shared.measures.sources[source].bytes.inc_by(run.bytes.len() as u64);
            let Some(read) = run.last() else { continue };
            let after = Offset(read.offset.0 + 1);
            next.insert(run.partition, after);
            last.insert(run.partition, read);
            know_ends(shared, source, next);
            for mut batch in decode(shared, source, decoder, run, after)? {
                batch.held = shared.bounds.intake.take(batch.bytes(), || shared.is_stopping());
                if batch.held.is_none() {
                    return Ok(false);
                }
                loop {
                    match incoming.send_timeout(batch, POLL_WAIT) {
                        Ok(()) => break,
                        Err(crossbeam_channel::SendTimeoutError::Timeout(_)) if shared.is_stopping() => return Ok(false),
                        Err(crossbeam_channel::SendTimeoutError::Timeout(back)) => batch = back,
                        Err(crossbeam_channel::SendTimeoutError::Disconnected(_)) => return Ok(false),
                    }
                }
            }
        }
        if !ends.is_empty() {
            know_ends(shared, source, next);
        }
        Ok(true)
    }
}

/// Notes how far the source's partitions are known to go, for those who ask how far behind an answer is. Of a partition of
/// which nothing was read and that held no record at the start, nothing is known: its records may be trimmed.
fn know_ends(shared: &Shared, source: usize, next: &BTreeMap<Partition, Offset>) {
    let (ends, started) = (shared.ends[source].lock(), shared.starts[source].get());
    let counts =
        |partition: &Partition, next: &Offset| next.0 > 0 || started.is_some_and(|held| held.iter().any(|(of, _)| of == partition));
    let known = next
        .iter()
        .filter(|(partition, next)| counts(partition, next))
        .map(|(partition, next)| next.0.max(ends.get(partition).map_or(0, |end| end.0)))
        .sum();
    shared.known_ends[source].store(known, Ordering::Relaxed);
}

/// Among the rows of a stream, the bits above a partition's are its branch's.
fn check_partition(partition: Partition) -> Result<()> {
    if partition <= Partition::MAX {
        return Ok(());
    }
    let (found, most) = (partition.0, Partition::MAX.0);
    Err(Error::input(format!("partition {found} is beyond {most}, the highest that is read; use a topic with fewer partitions")))
}

/// Notes partitions that hold records from before anything was read of them.
fn await_unread(shared: &Shared, source: usize, next: &BTreeMap<Partition, Offset>, ends: &[(Partition, Offset)]) {
    let unread = |(partition, end): &&(Partition, Offset)| next.get(partition).is_none_or(|next| next < end);
    shared.awaited[source].lock().extend(ends.iter().filter(unread).copied());
}

/// Decodes a run, in parts where what comes of it is too much for one batch.
pub fn decode(shared: &Shared, source: usize, decoder: &mut Decoder, run: RecordRun, next: Offset) -> Result<Vec<Incoming>> {
    let plan = shared.plan();
    let declared = &plan.sources[source];
    let decoded = decoder.decode(&run)?;
    if decoded.batch.num_rows() > 0 {
        let about = format!("times of source {}, partition {}", declared.name, run.partition.0);
        shared.set_problem(Kind::Times, &about, odd_times(declared, &run, &decoded).map(|odd| odd.summary()));
    }
    let Decoded { mut batch, mut records, mut retracts, tombstones, mut rejects } = decoded;
    let mut prepared = EvaluatedBatch::new(plan, source, batch.clone());
    if is_input(&prepared) {
        let failing = failing(plan, source, &batch);
        let fails = |row: u32| failing.binary_search_by_key(&row, |(row, _)| *row).is_ok();
        let kept: Vec<u32> = (0..records.len() as u32).filter(|row| !fails(*row)).collect();
        for (row, error) in &failing {
            rejects.push(Reject { record: records[*row as usize], reason: reason::EXPRESSION, message: error.to_string() });
        }
        if !failing.is_empty() {
            records = kept.iter().map(|row| records[*row as usize]).collect();
            retracts = kept.iter().filter_map(|row| retracts.get(*row as usize).copied()).collect();
            batch = compute::take_record_batch(&batch, &UInt32Array::from(kept))?;
            prepared = EvaluatedBatch::new(plan, source, batch);
        }
    }
    if is_input(&prepared) && run.records.len() > 1 {
        let half = run.records.len() / 2;
        let (front, behind) = run.split_at(half);
        let middle = behind.records.first().map_or(next, |record| record.offset);
        let mut parts = decode(shared, source, decoder, front, middle)?;
        parts.extend(decode(shared, source, decoder, behind, next)?);
        return Ok(parts);
    }
    let prepared = prepared?;
    let entry = |record: &u32| &run.records[*record as usize];
    let times = times_of(declared, &prepared.own)?.values().to_vec();
    let dead = rejects.iter().map(|reject| (entry(&reject.record).offset.0, reject.reason, dead_letter(declared, &run, reject))).collect();
    Ok(vec![Incoming {
        source,
        partition: run.partition,
        times,
        offsets: records.iter().map(|record| entry(record).offset.0).collect(),
        timestamps: records.iter().map(|record| entry(record).timestamp).collect(),
        ids: dedup_ids(declared, &prepared.own),
        key_hashes: if declared.retracts() { key_hashes(&key_columns(plan, source), &prepared.own) } else { Vec::new() },
        retracts,
        tombstones: tombstones.map(|tombstones| Tombstones::new(tombstones, &run)),
        prepared,
        dead,
        records,
        run,
        next,
        held: None,
    }])
}

/// Whether the rows, and not Forebay, are at fault.
fn is_input(prepared: &Result<EvaluatedBatch>) -> bool {
    prepared.as_ref().is_err_and(|error| error.kind() == ErrorKind::Input)
}

/// The dead letter of a record that acceptance turned away.
pub fn turned_away(shared: &Shared, incoming: &Incoming, record: u32, reason: &'static str, message: String) -> NewRecord {
    dead_letter(&shared.plan().sources[incoming.source], &incoming.run, &Reject { record, reason, message })
}
