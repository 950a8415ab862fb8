//! The intervals of one watch: which are open, when one is reported, and when it is forgotten. A function of the events in
//! the order of their `seq`, and of which partitions are waited for; never of a clock or of how events came in batches.
//!
//! An interval ends when the least frontier of the partitions that are waited for, the *watermark*, passes its end. Each
//! time the watermark passes the end of an interval, that one is reported, and of the earlier ones those that rows came for
//! since their last report, with a higher revision. What is older than the watermark less the lateness is forgotten.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use super::Ended;
use super::observed::{Counts, Measure};
use crate::aggregate::{ByteReader, put_unsigned};
use crate::codec;
use crate::error::{Error, Result};
use crate::id::{Identity, Partition, Position, Seq};
use crate::time::{EventTime, Span};

/// So many intervals are open at most: of every five minutes, those of a week. One more, and the earliest is reported and
/// forgotten.
pub const OPEN_MAX: usize = 2_048;

const HEAD_VERSION: u8 = 1;
const INTERVAL_VERSION: u8 = 1;

/// A run of events in the order of their `seq`, with those of their rows that got a score.
pub struct Rows<'a> {
    pub positions: &'a [Position],
    pub seqs: &'a [u64],
    /// For each row of `columns` its place in the run, rising.
    pub places: &'a [usize],
    pub columns: &'a RecordBatch,
    pub scores: &'a [f64],
}

/// What holds for all of a watch's intervals, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    /// Of the profile and what is counted of it, and of the length of intervals.
    identity: Identity,
    /// Every row up to here is counted.
    seen: Seq,
    frontiers: BTreeMap<u32, EventTime>,
    /// Never goes back.
    watermark: Option<EventTime>,
    /// Intervals before this one are forgotten.
    kept_from: Option<i64>,
    /// Intervals up to this one may have had rows before counting began.
    begun_in: Option<i64>,
    /// Rows whose interval was forgotten, since the last report.
    too_late: u64,
}

/// The state of one watch.
pub struct Intervals {
    every: i64,
    lateness: Span,
    head: Head,
    open: BTreeMap<i64, Interval>,
    /// What is not stored as it is now: the head, and intervals that are gone.
    head_changed: bool,
    gone: Vec<i64>,
    /// As `too_late`, since the last call of `take_late`.
    late: u64,
}

struct Interval {
    /// As they are now; `None` where `stored` holds them.
    counts: Option<Counts>,
    stored: Vec<u8>,
    first: Seq,
    last: Seq,
    revision: u64,
    /// Whether rows came since the last report.
    is_new: bool,
    is_unsaved: bool,
    /// Of the models that scored its rows, the first first.
    versions: Vec<String>,
}

impl Intervals {
    /// Intervals of that length of a source with that lateness; `identity` tells what is counted. `frontiers` are those
    /// of events that are not counted because they came before.
    #[must_use]
    pub fn new(every: Span, lateness: Span, identity: Identity, frontiers: BTreeMap<u32, EventTime>) -> Self {
        let every = every.0.max(1);
        let begun_in = frontiers.values().max().map(|time| time.0.div_euclid(every));
        let head = Head { identity, seen: Seq(0), frontiers, watermark: None, kept_from: None, begun_in, too_late: 0 };
        Self { every, lateness, head, open: BTreeMap::new(), head_changed: true, gone: Vec::new(), late: 0 }
    }

    /// From what was stored; `None` when it was counted otherwise than `identity` says.
    pub fn restore(every: Span, lateness: Span, identity: Identity, head: &[u8], intervals: Vec<(i64, Vec<u8>)>) -> Result<Option<Self>> {
        let head: Head = codec::decode(HEAD_VERSION, head, "the state of drift")?;
        if head.identity != identity {
            return Ok(None);
        }
        let open = intervals.into_iter().map(|(number, row)| Ok((number, Interval::restore(&row)?))).collect::<Result<_>>()?;
        Ok(Some(Self { every: every.0.max(1), lateness, head, open, head_changed: false, gone: Vec::new(), late: 0 }))
    }

    /// Counts scored rows, and passes the events before them. Rows that are counted already are left out.
    pub fn count(
        &mut self,
        measure: &Measure,
        version: &str,
        rows: &Rows<'_>,
        awaited: &[Partition],
        ended: &mut Vec<Ended>,
    ) -> Result<()> {
        let mut at = rows.seqs.partition_point(|seq| *seq <= self.head.seen.0);
        let first = rows.places.partition_point(|place| *place < at);
        let mut from = first;
        for row in first..rows.places.len() {
            while at <= rows.places[row] {
                if self.moves(rows.positions[at]) {
                    self.add(measure, version, rows, from..row, ended)?;
                    from = row;
                    self.close(measure, awaited, ended)?;
                }
                at += 1;
            }
        }
        self.add(measure, version, rows, from..rows.places.len(), ended)?;
        if let Some(last) = rows.places.last() {
            self.see(rows.seqs[*last]);
        }
        Ok(())
    }

    /// Passes what is left of a run of events.
    pub fn pass(
        &mut self,
        measure: &Measure,
        positions: &[Position],
        seqs: &[u64],
        awaited: &[Partition],
        ended: &mut Vec<Ended>,
    ) -> Result<()> {
        let from = seqs.partition_point(|seq| *seq <= self.head.seen.0);
        for position in &positions[from..] {
            if self.moves(*position) {
                self.close(measure, awaited, ended)?;
            }
        }
        seqs.last().into_iter().for_each(|last| self.see(*last));
        Ok(())
    }

    fn see(&mut self, seq: u64) {
        if seq > self.head.seen.0 {
            self.head.seen = Seq(seq);
            self.head_changed = true;
        }
    }

    fn interval(&self, time: EventTime) -> i64 {
        time.0.div_euclid(self.every)
    }

    /// Moves the frontier of an event's partition; whether it passes the end of an interval.
    fn moves(&mut self, position: Position) -> bool {
        let every = self.every;
        let mut passes = false;
        let frontier = self.head.frontiers.entry(position.partition.0).or_insert_with(|| {
            passes = true;
            position.time
        });
        if position.time > *frontier {
            passes |= frontier.0.div_euclid(every) != position.time.0.div_euclid(every);
            *frontier = position.time;
        }
        passes
    }

    /// Counts rows among which no interval ends.
    fn add(&mut self, measure: &Measure, version: &str, rows: &Rows<'_>, range: Range<usize>, ended: &mut Vec<Ended>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let number = |row: usize| self.interval(rows.positions[rows.places[row]].time);
        let first = number(range.start);
        if range.clone().all(|row| number(row) == first) {
            let columns = rows.columns.slice(range.start, range.len());
            let seqs = (rows.seqs[rows.places[range.start]], rows.seqs[rows.places[range.end - 1]]);
            return self.add_to(first, measure, version, &columns, &rows.scores[range], seqs, ended);
        }
        let mut parts: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        range.for_each(|row| parts.entry(number(row)).or_default().push(row as u32));
        for (interval, part) in parts {
            let scores: Vec<f64> = part.iter().map(|row| rows.scores[*row as usize]).collect();
            let seq = |row: Option<&u32>| row.map_or(0, |row| rows.seqs[rows.places[*row as usize]]);
            let seqs = (seq(part.first()), seq(part.last()));
            let columns = take_record_batch(rows.columns, &UInt32Array::from(part))?;
            self.add_to(interval, measure, version, &columns, &scores, seqs, ended)?;
        }
        Ok(())
    }

    fn add_to(
        &mut self,
        number: i64,
        measure: &Measure,
        version: &str,
        columns: &RecordBatch,
        scores: &[f64],
        (first, last): (u64, u64),
        ended: &mut Vec<Ended>,
    ) -> Result<()> {
        let is_open = self.open.contains_key(&number);
        let is_full = !is_open && self.open.len() >= OPEN_MAX;
        let is_earliest = self.open.first_key_value().is_some_and(|(earliest, _)| number < *earliest);
        if self.head.kept_from.is_some_and(|kept| number < kept) || (is_full && is_earliest) {
            self.head.too_late += scores.len() as u64;
            self.late += scores.len() as u64;
            self.head_changed = true;
            return Ok(());
        }
        if is_full && let Some((earliest, _)) = self.open.first_key_value() {
            let earliest = *earliest;
            self.report(earliest, measure, ended)?;
            self.forget(earliest + 1);
        }
        let interval = self.open.entry(number).or_insert_with(|| Interval::new(measure, first));
        let counts = match &mut interval.counts {
            Some(counts) => counts,
            None => interval.counts.insert(Counts::decode(measure, &mut ByteReader(&interval.stored))?),
        };
        measure.count(counts, columns, scores);
        interval.first = interval.first.min(Seq(first));
        interval.last = interval.last.max(Seq(last));
        (interval.is_new, interval.is_unsaved) = (true, true);
        if interval.versions.last().is_none_or(|newest| newest != version) {
            interval.versions.retain(|known| known != version);
            interval.versions.push(version.to_owned());
        }
        Ok(())
    }

    /// Ends what the watermark passed, where it did so since the last time.
    pub fn close(&mut self, measure: &Measure, awaited: &[Partition], ended: &mut Vec<Ended>) -> Result<()> {
        let frontier = |partition: &Partition| self.head.frontiers.get(&partition.0).copied();
        // None is the least: a partition of which nothing was seen yet.
        let Some(least) = awaited.iter().map(frontier).min().flatten() else { return Ok(()) };
        let before = self.head.watermark.map(|time| self.interval(time));
        if self.head.watermark.is_none_or(|watermark| least > watermark) {
            self.head.watermark = Some(least);
            self.head_changed = true;
        }
        let now = self.interval(least);
        if before.is_some_and(|before| now <= before) {
            return Ok(());
        }
        let due: Vec<i64> = self.open.range(..now).filter(|(_, interval)| interval.is_new).map(|(number, _)| *number).collect();
        for number in due {
            self.report(number, measure, ended)?;
        }
        self.forget(self.interval(least.minus(self.lateness)));
        Ok(())
    }

    fn report(&mut self, number: i64, measure: &Measure, ended: &mut Vec<Ended>) -> Result<()> {
        let end = EventTime(number.saturating_add(1).saturating_mul(self.every));
        let is_passed = self.head.watermark.is_some_and(|watermark| watermark >= end);
        let Some(interval) = self.open.get_mut(&number).filter(|interval| interval.is_new) else { return Ok(()) };
        let read;
        let counts = match &interval.counts {
            Some(counts) => counts,
            None => {
                read = Counts::decode(measure, &mut ByteReader(&interval.stored))?;
                &read
            }
        };
        interval.revision += 1;
        (interval.is_new, interval.is_unsaved) = (false, true);
        ended.push(Ended {
            from: EventTime(number.saturating_mul(self.every)),
            to: end,
            revision: interval.revision,
            is_complete: is_passed && self.head.begun_in.is_none_or(|begun| number > begun),
            first: interval.first,
            last: interval.last,
            rows: counts.rows,
            rows_too_late: std::mem::take(&mut self.head.too_late),
            versions: interval.versions.clone(),
            columns: measure.report(counts),
        });
        self.head_changed = true;
        Ok(())
    }

    /// Forgets what lies before that interval.
    fn forget(&mut self, kept_from: i64) {
        if self.head.kept_from.is_none_or(|before| before < kept_from) {
            self.head.kept_from = Some(kept_from);
            self.head_changed = true;
            let kept = self.open.split_off(&kept_from);
            self.gone.extend(std::mem::replace(&mut self.open, kept).into_keys());
        }
    }

    /// What changed since the last call, as it is to be stored: the head (`None`) and intervals; no bytes where one is gone.
    pub fn changes(&mut self) -> Result<Vec<(Option<i64>, Option<Vec<u8>>)>> {
        let mut rows: Vec<_> = self.gone.drain(..).map(|number| (Some(number), None)).collect();
        for (number, interval) in &mut self.open {
            if interval.is_unsaved {
                if let Some(counts) = &interval.counts {
                    interval.stored.clear();
                    counts.encode(&mut interval.stored);
                }
                interval.is_unsaved = false;
                rows.push((Some(*number), Some(interval.row())));
            } else {
                // It may rest: its counts take a tenth of the memory as they are stored.
                interval.counts = None;
            }
        }
        if std::mem::take(&mut self.head_changed) {
            rows.push((None, Some(codec::encode(HEAD_VERSION, &self.head)?)));
        }
        Ok(rows)
    }

    /// Rows that came after their interval was forgotten, since the last call.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }
}

impl Interval {
    fn new(measure: &Measure, first: u64) -> Self {
        Self {
            counts: Some(measure.empty()),
            stored: Vec::new(),
            first: Seq(first),
            last: Seq(first),
            revision: 0,
            is_new: false,
            is_unsaved: true,
            versions: Vec::new(),
        }
    }

    fn row(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.stored.len() + 128);
        put_unsigned(&mut bytes, self.first.0);
        put_unsigned(&mut bytes, self.last.0);
        put_unsigned(&mut bytes, self.revision);
        bytes.push(u8::from(self.is_new));
        put_unsigned(&mut bytes, self.versions.len() as u64);
        for version in &self.versions {
            put_unsigned(&mut bytes, version.len() as u64);
            bytes.extend(version.as_bytes());
        }
        bytes.extend(&self.stored);
        codec::seal(INTERVAL_VERSION, &bytes)
    }

    fn restore(row: &[u8]) -> Result<Self> {
        let mut reader = ByteReader(codec::open(INTERVAL_VERSION, row, "an interval of drift")?);
        let (first, last, revision) = (Seq(reader.unsigned()?), Seq(reader.unsigned()?), reader.unsigned()?);
        let is_new = match reader.byte()? {
            flag @ (0 | 1) => flag == 1,
            _ => return Err(Error::corrupt("an interval of drift: neither reported nor not")),
        };
        let versions = (0..reader.length()?).map(|_| reader.text().map(str::to_owned)).collect::<Result<_>>()?;
        Ok(Self { counts: None, stored: reader.0.to_vec(), first, last, revision, is_new, is_unsaved: false, versions })
    }
}
