//! One partition of one source: which rows of a run are events, which retract one, and what becomes of the others.

use std::sync::Arc;
use std::time::Instant;

use super::accept::{Gate, Retraction, Rules, Verdict};
use super::reader::{Incoming, turned_away};
use super::shared::Shared;
use super::work::Segment;
use crate::error::Result;
use crate::id::{Offset, Position, Seq};
use crate::online::{AcceptedIds, Ledger, Place, TOO_FAR_AHEAD, TOO_LATE};
use crate::record::NewRecord;
use crate::time::{EventTime, IngestTime, Span};

/// What a partition remembers from run to run.
pub struct Lane {
    pub gate: Gate,
    /// The next record to read.
    pub next: Offset,
    pub idle_since: Option<Seq>,
    pub last_event: Instant,
}

/// What became of a run.
pub struct Taken {
    /// The rows that have a `seq`.
    pub segment: Segment,
    pub ids: AcceptedIds,
    /// Records that cannot be used.
    pub dead: Vec<NewRecord>,
    /// The run's part of the source's ledger.
    pub ledger: Ledger,
}

impl Lane {
    pub fn new() -> Self {
        Self::restored(Gate::default(), Offset(0), None)
    }

    pub fn restored(gate: Gate, next: Offset, idle_since: Option<Seq>) -> Self {
        Self { gate, next, idle_since, last_event: Instant::now() }
    }

    /// Judges a run's rows in their order, and gives each that stays the next `seq`. State before `horizon` may be
    /// forgotten.
    pub fn take(
        &mut self,
        shared: &Shared,
        rules: &Rules,
        horizon: EventTime,
        mut incoming: Incoming,
        next_seq: &mut u64,
        now: IngestTime,
    ) -> Result<Taken> {
        // A reader that was opened anew may hand in again what is in already.
        let first = self.next;
        let repeated = |offset: u64| offset < first.0;
        let mut dead = Vec::new();
        let (mut rows, mut positions, mut seqs, mut retracts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let declared = &shared.plan().sources[incoming.source];
        let mut ids = AcceptedIds { source: declared.name.clone(), partition: incoming.partition.0, ..AcceptedIds::default() };
        let mut ledger = Ledger::default();
        for row in 0..incoming.times.len() {
            let (time, offset) = (EventTime(incoming.times[row]), incoming.offsets[row]);
            if repeated(offset) {
                continue;
            }
            let id = incoming.ids.as_ref().and_then(|ids| ids[row]);
            let behind = self.gate.frontier.map(|frontier| Span(frontier.0.saturating_sub(time.0))).filter(|behind| behind.0 > 0);
            let place = Place { offset, keys: incoming.key_hashes.get(row).copied().unwrap_or_default() };
            let judged = if incoming.retracts.get(row).is_some_and(|retracts| *retracts) {
                match self.gate.retract(rules, horizon, time, id, place.keys) {
                    Retraction::Accept(time, offset) => {
                        ledger.retracted += 1;
                        ids.retracted.extend(id.map(|id| (id, time.0, offset.0)));
                        Ok(Some(Position { time, partition: incoming.partition, offset }))
                    }
                    refused => Err(refusal(shared, incoming.source, refused, time)),
                }
            } else {
                match self.gate.judge(rules, time, incoming.timestamps[row], id, place) {
                    Verdict::Accept => {
                        ledger.accept(behind);
                        ids.ids.extend(id.map(|id| (id, time.0)));
                        if rules.history.is_some() {
                            ids.places.extend(id.map(|_| place));
                        }
                        Ok(None)
                    }
                    Verdict::Duplicate => {
                        ledger.duplicates += 1;
                        continue;
                    }
                    Verdict::TooLate { frontier } => {
                        behind.into_iter().for_each(|behind| ledger.too_late.record(behind));
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
                Ok(retracted) => {
                    rows.push(row as u32);
                    positions.push(Position { time, partition: incoming.partition, offset: Offset(offset) });
                    seqs.push(*next_seq);
                    retracts.push(retracted);
                    *next_seq += 1;
                }
                Err((reason, message)) => {
                    ledger.reject(reason);
                    dead.push(turned_away(shared, &incoming, row, reason, message)?);
                }
            }
        }
        let unread = std::mem::take(&mut incoming.dead);
        for (_, reason, record) in unread.into_iter().filter(|(offset, ..)| !repeated(*offset)) {
            ledger.reject(reason);
            dead.push(record);
        }
        self.next = self.next.max(incoming.next);
        if retracts.iter().any(Option::is_none) {
            self.last_event = Instant::now();
            self.idle_since = None;
        }
        if retracts.iter().all(Option::is_none) {
            retracts.clear();
        }
        if !ids.places.is_empty() {
            ids.key_columns.clone_from(&shared.definitions.key_columns[incoming.source]);
        }
        let segment =
            Segment { source: incoming.source, prepared: Arc::new(incoming.prepared), rows, positions, seqs, retracts, ingest: now };
        Ok(Taken { segment, ids, dead, ledger })
    }
}

/// Why a retraction is turned away, in a word and in a sentence.
fn refusal(shared: &Shared, source: usize, refused: Retraction, time: EventTime) -> (&'static str, String) {
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
            let keys = shared.definitions.key_columns[source].join(", ");
            ("retracts_other_key", format!("{keys}: not the values of the event that it retracts, whose keys a retraction repeats"))
        }
        Retraction::Unknown | Retraction::Accept(..) => {
            ("retracts_unknown", format!("no event that was accepted from its partition has its {names} at most {within} away from {time}"))
        }
    }
}
