//! One partition of one source: decides for each row of a run whether it is an event, a retraction, or set aside. Must never depend
//! on another partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;

use crate::engine::PartitionStates;
use crate::engine::intake::accept::{AdmissionState, Retraction, Rules, Verdict};
use crate::engine::intake::batch::{EvaluatedBatch, Segment, key_columns};
use crate::engine::intake::key_columns;
use crate::engine::intake::reader::{Incoming, turned_away};
use crate::engine::intake::tombstones::{self, TombstoneRow};
use crate::engine::shared::Shared;
use crate::error::{Error, Result};
use crate::id::{Offset, Partition, Position, Seq};
use crate::online::{AcceptedIds, Ledger, Place, TOO_FAR_AHEAD, TOO_LATE};
use crate::plan::Source;
use crate::record::{LastRead, NewRecord};
use crate::time::{EventTime, IngestTime, Span};

/// What a partition remembers from run to run.
pub struct PartitionState {
    pub admission: AdmissionState,
    /// The next record to read.
    pub next: Offset,
    /// The last one that was read.
    pub last: Option<LastRead>,
    pub idle_since: Option<Seq>,
    pub last_event: Instant,
}

/// The lowest frontier of a source's partitions that are not set aside; `None` while one is `awaited` of which nothing was read
/// yet: it may bring events that are older than all others.
pub fn lowest_frontier(states: &PartitionStates, source: usize, awaited: &BTreeMap<Partition, Offset>) -> Option<EventTime> {
    let unread = |(partition, end): (&Partition, &Offset)| {
        let state = states.get(&(source, *partition));
        state.is_none_or(|state| state.admission.frontier.is_none() && state.idle_since.is_none() && state.next < *end)
    };
    if awaited.iter().any(unread) {
        return None;
    }
    let own = states.range((source, Partition(0))..=(source, Partition(u32::MAX)));
    own.filter(|(_, state)| state.idle_since.is_none()).filter_map(|(_, state)| state.admission.frontier).min()
}

/// A partition that gave no event for so long does not hold back trimming.
const IDLE_AFTER: Duration = Duration::from_mins(5);

/// Sets aside partitions that gave nothing for so long while others of their source went on, from that `seq` on.
pub fn set_idle(states: &mut PartitionStates, sources: &[Source], since: Seq) {
    for key in silent(states) {
        if let Some(state) = states.get_mut(&key) {
            state.idle_since = Some(since);
            let source = &sources[key.0].name;
            tracing::info!(source, partition = key.1.0, "the partition is silent: it does not hold back trimming");
        }
    }
}

fn silent(states: &PartitionStates) -> Vec<(usize, Partition)> {
    let newest = |source| {
        states.range((source, Partition(0))..=(source, Partition(u32::MAX))).map(|(_, state): (_, &PartitionState)| state.last_event).max()
    };
    let is_silent =
        |source, state: &PartitionState| newest(source).is_some_and(|newest| newest.duration_since(state.last_event) > IDLE_AFTER);
    let silent = states.iter().filter(|((source, _), state)| state.idle_since.is_none() && is_silent(*source, state));
    silent.map(|(key, _)| *key).collect()
}

/// What became of a run.
pub struct AdmittedRun {
    /// The rows that have a `seq`.
    pub segment: Segment,
    pub ids: AcceptedIds,
    /// Records that cannot be used.
    pub dead: Vec<NewRecord>,
    /// The run's part of the source's ledger.
    pub ledger: Ledger,
}

impl PartitionState {
    pub fn new() -> Self {
        Self { admission: AdmissionState::default(), next: Offset(0), last: None, idle_since: None, last_event: Instant::now() }
    }

    /// Judges a run's records in their order, and gives each that stays the next `seq`. State before `horizon` may be
    /// forgotten.
    pub fn take(
        &mut self,
        shared: &Shared,
        rules: &Rules,
        horizon: EventTime,
        mut incoming: Incoming,
        next_seq: &mut u64,
        now: IngestTime,
    ) -> Result<AdmittedRun> {
        // A reader that was opened anew may hand in again what is in already.
        let first = self.next;
        let repeated = |offset: u64| offset < first.0;
        let unread = std::mem::take(&mut incoming.dead);
        let declared = &shared.plan().sources[incoming.source];
        let keys = if declared.tombstones { key_columns(shared.plan(), incoming.source) } else { Vec::new() };
        let new = incoming.offsets.partition_point(|offset| repeated(*offset))..incoming.offsets.len();
        let mut judged = Judged::new(Judge { shared, rules, horizon, incoming: &incoming, keys: &keys });
        let mut tombstones = incoming.tombstones.iter().flat_map(|of| of.offsets.iter().copied().enumerate()).peekable();
        for row in new.start..=new.end {
            let is_before = |offset: u64| incoming.offsets.get(row).is_none_or(|own| offset < *own);
            while let Some((tombstone, offset)) = tombstones.next_if(|(_, offset)| is_before(*offset)) {
                if !repeated(offset) {
                    judged.tombstone(&mut self.admission, tombstone)?;
                }
            }
            if row < new.end {
                judged.row(&mut self.admission, row);
            }
        }
        let made = judged.with_tombstones()?;
        if declared.tombstones && !judged.with_ids.is_empty() {
            let columns = tombstones::kept_columns(declared, &keys, &incoming.prepared.own)?;
            let offsets: Vec<u64> = judged.with_ids.iter().map(|row| incoming.offsets[*row as usize]).collect();
            let columns = take_record_batch(&columns, &UInt32Array::from(judged.with_ids))?;
            judged.ids.kept = key_columns::to_bytes(&columns)?;
            self.admission.kept.push(&offsets, columns)?;
        }
        let Judged { rows, positions, mut retracts, mut ids, mut dead, mut ledger, .. } = judged;
        for (_, reason, record) in unread.into_iter().filter(|(offset, ..)| !repeated(*offset)) {
            ledger.reject(reason);
            dead.push(record);
        }
        self.next = self.next.max(incoming.next);
        self.last = incoming.run.last().filter(|last| !repeated(last.offset.0)).or(self.last);
        if retracts.iter().any(Option::is_none) {
            self.last_event = Instant::now();
            self.idle_since = None;
        }
        if retracts.iter().all(Option::is_none) {
            retracts.clear();
        }
        let columns = &shared.definitions.id_columns[incoming.source];
        if !ids.places.is_empty() {
            ids.key_columns.clone_from(&columns.keys);
        }
        if !ids.ids.is_empty() || !ids.retracted.is_empty() {
            ids.dedup.clone_from(&columns.dedup);
            ids.event_time.clone_from(&columns.event_time);
        }
        let seqs = (*next_seq..*next_seq + rows.len() as u64).collect();
        *next_seq += rows.len() as u64;
        let prepared = Arc::new(made.unwrap_or(incoming.prepared));
        let segment = Segment { source: incoming.source, prepared, rows, positions, seqs, retracts, ingest: now };
        Ok(AdmittedRun { segment, ids, dead, ledger })
    }
}

/// What records of a run are judged by.
#[derive(Clone, Copy)]
struct Judge<'a> {
    shared: &'a Shared,
    rules: &'a Rules,
    horizon: EventTime,
    incoming: &'a Incoming,
    /// Columns of the source that keys are made of, where tombstones need them.
    keys: &'a [usize],
}

/// A run as far as it is judged.
struct Judged<'a> {
    by: Judge<'a>,
    /// What stays: rows of the run, and counted on from these those that tombstones become.
    rows: Vec<u32>,
    positions: Vec<Position>,
    /// For each the event that it retracts.
    retracts: Vec<Option<Position>>,
    made: Vec<TombstoneRow>,
    ids: AcceptedIds,
    /// The rows of `ids`.
    with_ids: Vec<u32>,
    dead: Vec<NewRecord>,
    ledger: Ledger,
}

impl<'a> Judged<'a> {
    fn new(by: Judge<'a>) -> Self {
        let source = by.shared.plan().sources[by.incoming.source].name.clone();
        let ids = AcceptedIds { source, partition: by.incoming.partition.0, ..AcceptedIds::default() };
        let (rows, positions, retracts, made) = Default::default();
        Self { by, rows, positions, retracts, made, ids, with_ids: Vec::new(), dead: Vec::new(), ledger: Ledger::default() }
    }

    fn row(&mut self, admission: &mut AdmissionState, row: usize) {
        let Judge { shared, rules, horizon, incoming, .. } = self.by;
        let (time, offset) = (EventTime(incoming.times[row]), incoming.offsets[row]);
        let id = incoming.ids.as_ref().and_then(|ids| ids[row]);
        let behind = admission.frontier.map(|frontier| Span(frontier.0.saturating_sub(time.0))).filter(|behind| behind.0 > 0);
        let place = Place { offset, keys: incoming.key_hashes.get(row).copied().unwrap_or_default() };
        let judged = if incoming.retracts.get(row).is_some_and(|retracts| *retracts) {
            match admission.retract(rules, horizon, time, id, place.keys) {
                Retraction::Accept(time, place) => Ok(Some(self.retracted(id, time, place))),
                refused => Err(refusal(shared, incoming, refused, Some(time))),
            }
        } else {
            match admission.judge(rules, time, incoming.timestamps[row], id, place) {
                Verdict::Accept => {
                    self.ledger.accept(behind);
                    self.ids.ids.extend(id.map(|id| (id, time.0)));
                    if rules.history.is_some() {
                        self.ids.places.extend(id.map(|_| place));
                        self.with_ids.extend(id.map(|_| row as u32));
                    }
                    Ok(None)
                }
                Verdict::Duplicate => {
                    self.ledger.duplicates += 1;
                    return;
                }
                Verdict::TooLate { frontier } => {
                    behind.into_iter().for_each(|behind| self.ledger.too_late.record(behind));
                    let lateness = rules.lateness;
                    Err((
                        TOO_LATE,
                        format!("event time {time} is more than the lateness of {lateness} behind the partition's frontier {frontier}"),
                    ))
                }
                Verdict::TooFarAhead => {
                    Err((TOO_FAR_AHEAD, format!("event time {time} is more than {} ahead of the record's timestamp", rules.max_ahead)))
                }
            }
        };
        match judged {
            Ok(retracted) => self.stays(row as u32, time, offset, retracted),
            Err((reason, message)) => self.turn_away(incoming.records[row], reason, message),
        }
    }

    fn tombstone(&mut self, admission: &mut AdmissionState, tombstone: usize) -> Result<()> {
        let Judge { shared, rules, horizon, incoming, .. } = self.by;
        let Some(of) = &incoming.tombstones else { return Ok(()) };
        let id = of.ids[tombstone];
        match id.map_or(Retraction::Unknown, |id| admission.retract_latest(rules, horizon, id)) {
            Retraction::Accept(time, place) => {
                let kept = self.kept(admission, place.offset)?;
                let row = (incoming.times.len() + self.made.len()) as u32;
                self.made.push(TombstoneRow { tombstone, kept });
                let retracted = self.retracted(id, time, place);
                self.stays(row, time, of.offsets[tombstone], Some(retracted));
            }
            // Many change streams send a delete, and then a tombstone for the log's compaction.
            Retraction::Repeated => self.ledger.duplicates += 1,
            refused => {
                let (reason, message) = refusal(shared, incoming, refused, None);
                self.turn_away(of.records[tombstone], reason, message);
            }
        }
        Ok(())
    }

    /// What is kept of an accepted event: of this run, or of an earlier one.
    fn kept(&self, admission: &AdmissionState, offset: u64) -> Result<RecordBatch> {
        let Judge { shared, incoming, keys, .. } = self.by;
        if let Ok(row) = incoming.offsets.binary_search(&offset) {
            let declared = &shared.plan().sources[incoming.source];
            return tombstones::kept_columns(declared, keys, &incoming.prepared.own.slice(row, 1));
        }
        admission.kept.get(Offset(offset)).ok_or_else(|| Error::internal(format!("the keys of the event at offset {offset} are not kept")))
    }

    /// The rows that stay, evaluated once more where tombstones became some of them. These have nulls where their events had
    /// other values; a value that cannot be computed is null, so that no expression fails.
    fn with_tombstones(&mut self) -> Result<Option<EvaluatedBatch>> {
        let Judge { shared, incoming, keys, .. } = self.by;
        let Some(tombstones) = incoming.tombstones.as_ref().filter(|_| !self.made.is_empty()) else { return Ok(None) };
        let plan = shared.plan();
        let rows = tombstones.rows(&plan.sources[incoming.source], keys, &self.made)?;
        let own = tombstones::merged(&incoming.prepared.own, &rows, &self.rows)?;
        self.rows = (0..self.rows.len() as u32).collect();
        EvaluatedBatch::new(plan, incoming.source, own).map(Some)
    }

    /// Notes that an event is none any more.
    fn retracted(&mut self, id: Option<u128>, time: EventTime, place: Place) -> Position {
        self.ledger.retracted += 1;
        self.ids.retracted.extend(id.map(|id| (id, time.0, place.offset)));
        Position { time, partition: self.by.incoming.partition, offset: Offset(place.offset) }
    }

    fn stays(&mut self, row: u32, time: EventTime, offset: u64, retracts: Option<Position>) {
        self.rows.push(row);
        self.positions.push(Position { time, partition: self.by.incoming.partition, offset: Offset(offset) });
        self.retracts.push(retracts);
    }

    fn turn_away(&mut self, record: u32, reason: &'static str, message: String) {
        self.ledger.reject(reason);
        self.dead.push(turned_away(self.by.shared, self.by.incoming, record, reason, message));
    }
}

/// The words for why retractions are turned away.
pub const REFUSED_RETRACTIONS: [&str; 4] = ["retracts_again", "retracts_forgotten", "retracts_other_key", "retracts_unknown"];

/// Why a retraction is turned away, in a word and in a sentence. A tombstone has no time.
fn refusal(shared: &Shared, incoming: &Incoming, refused: Retraction, time: Option<EventTime>) -> (&'static str, String) {
    let source = incoming.source;
    let declared = &shared.plan().sources[source];
    let (names, within) = declared.dedup.as_ref().map_or_else(Default::default, |dedup| {
        let names: Vec<&str> = dedup.columns.iter().map(|column| declared.fields[*column].name.as_str()).collect();
        (names.join(", "), dedup.within)
    });
    match refused {
        Retraction::Repeated => ("retracts_again", format!("the event that it retracts, by {names}, was retracted already")),
        Retraction::Forgotten(kept) => {
            ("retracts_forgotten", format!("it retracts an event before {kept}: such events need not be known any more; see history"))
        }
        Retraction::OtherKeys => {
            let keys = shared.definitions.id_columns[source].keys.join(", ");
            ("retracts_other_key", format!("{keys}: not the values of the event that it retracts, whose keys a retraction repeats"))
        }
        Retraction::Unknown | Retraction::Accept(..) => {
            let near = time.map(|time| format!(" at most {within} away from {time}")).unwrap_or_default();
            let others = shared.applied().partitions.keys().any(|(of, partition)| *of == source && *partition != incoming.partition);
            let of_others = if others || incoming.partition > Partition(0) {
                "; ids are known in their own partition, also where the partitions were changed since"
            } else {
                ""
            };
            ("retracts_unknown", format!("no event that was accepted from its partition has its {names}{near}{of_others}"))
        }
    }
}
