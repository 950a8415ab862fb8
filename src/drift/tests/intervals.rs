use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::record_batch::RecordBatch;

use super::{batch, profile_of, spread, vector};
use crate::drift::{Ended, Intervals, Measure, OPEN_MAX, Rows};
use crate::id::{Identity, Offset, Partition, Position};
use crate::time::{EventTime, Span};

const EVERY: Span = Span(100);
const IDENTITY: Identity = Identity([7; 16]);

/// An event: partition and time. Its value is its time's share of an interval.
type Event = (u32, i64);

struct Watch {
    measure: Measure,
    intervals: Intervals,
    lateness: Span,
    seq: u64,
    ended: Vec<Ended>,
    /// As a store would hold it.
    rows: BTreeMap<Option<i64>, Vec<u8>>,
}

fn values(events: &[Event]) -> RecordBatch {
    batch(vec![("x", Arc::new(events.iter().map(|(_, time)| Some(time.rem_euclid(100) as f64 / 100.0)).collect::<Float64Array>()))])
}

impl Watch {
    fn new(lateness: i64) -> Self {
        let profile = profile_of(&[batch(vec![("x", spread(1_000, 0.0, 1.0))])], &[0.5; 1_000]).unwrap();
        let measure = Measure::new(&profile, &vector(&values(&[(0, 0)])));
        let intervals = Intervals::new(EVERY, Span(lateness), IDENTITY, BTreeMap::new());
        Self { measure, intervals, lateness: Span(lateness), seq: 0, ended: Vec::new(), rows: BTreeMap::new() }
    }

    /// One work; events with an odd time divisible by 7 get no score.
    fn take(&mut self, events: &[Event], awaited: &[u32]) {
        let from = self.seq;
        self.seq += events.len() as u64;
        self.take_at(from, events, awaited);
    }

    fn take_at(&mut self, from: u64, events: &[Event], awaited: &[u32]) {
        let position = |(partition, time): &Event| Position { time: EventTime(*time), partition: Partition(*partition), offset: Offset(0) };
        let positions: Vec<Position> = events.iter().map(position).collect();
        let seqs: Vec<u64> = (from + 1..).take(events.len()).collect();
        let places: Vec<usize> = (0..events.len()).filter(|place| events[*place].1.rem_euclid(14) != 7).collect();
        let scored: Vec<Event> = places.iter().map(|place| events[*place]).collect();
        let columns = values(&scored);
        let scores = vec![0.5; scored.len()];
        let awaited: Vec<Partition> = awaited.iter().map(|partition| Partition(*partition)).collect();
        let rows = Rows { positions: &positions, seqs: &seqs, places: &places, columns: &columns, scores: &scores };
        self.intervals.count(&self.measure, "a", &rows, &awaited, &mut self.ended).unwrap();
        self.intervals.pass(&self.measure, &positions, &seqs, &awaited, &mut self.ended).unwrap();
        self.intervals.close(&self.measure, &awaited, &mut self.ended).unwrap();
    }

    fn store(&mut self) {
        for (interval, bytes) in self.intervals.changes().unwrap() {
            match bytes {
                Some(bytes) => self.rows.insert(interval, bytes),
                None => self.rows.remove(&interval),
            };
        }
    }

    /// As after a crash: what is not stored is gone.
    fn restart(&mut self) {
        let head = self.rows[&None].clone();
        let intervals = self.rows.iter().filter_map(|(interval, row)| Some(((*interval)?, row.clone()))).collect();
        self.intervals = Intervals::restore(EVERY, self.lateness, IDENTITY, &head, intervals).unwrap().unwrap();
    }

    fn told(&self) -> Vec<(i64, u64, u64)> {
        self.ended.iter().map(|ended| (ended.from.0 / 100, ended.revision, ended.rows)).collect()
    }
}

/// Scored rows of each interval.
fn totals(events: &[Event]) -> BTreeMap<i64, u64> {
    let mut totals = BTreeMap::new();
    for (_, time) in events.iter().filter(|(_, time)| time.rem_euclid(14) != 7) {
        *totals.entry(time.div_euclid(100)).or_default() += 1;
    }
    totals
}

/// Numbers from a seed, without chance.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Four partitions that are each in order, read in runs of any length, one far ahead of the others.
#[test]
fn an_interval_ends_when_every_partition_has_passed_it() {
    let of_partition = |partition: u32| (0..1_000).map(move |row| (partition, row)).collect::<Vec<Event>>();
    let mut numbers = Numbers(3);
    for _ in 0..20 {
        let mut left: Vec<Vec<Event>> = (0..4).map(of_partition).collect();
        let all: Vec<Event> = left.concat();
        let mut watch = Watch::new(1_000_000);
        while left.iter().any(|part| !part.is_empty()) {
            let part = &mut left[numbers.below(4) as usize];
            let run: Vec<Event> = part.drain(..part.len().min(numbers.below(400) as usize)).collect();
            watch.take(&run, &[0, 1, 2, 3]);
        }
        let expected: Vec<(i64, u64, u64)> = totals(&all).into_iter().map(|(interval, rows)| (interval, 1, rows)).take(9).collect();
        assert_eq!(watch.told(), expected);
        assert!(watch.ended.iter().all(|ended| ended.is_complete && ended.columns[0].count == ended.rows));
    }
}

#[test]
fn a_partition_without_an_event_yet_is_waited_for() {
    let mut watch = Watch::new(0);
    watch.take(&[(0, 10), (0, 250)], &[0, 1]);
    assert!(watch.ended.is_empty());
    watch.take(&[(1, 20), (1, 120)], &[0, 1]);
    assert_eq!(watch.told(), [(0, 1, 2)]);
    watch.take(&[], &[0]);
    assert_eq!(watch.told(), [(0, 1, 2), (1, 1, 1)], "1 is not waited for any more");
}

#[test]
fn late_rows_go_to_their_own_interval_and_raise_its_revision() {
    let mut watch = Watch::new(300);
    watch.take(&[(0, 10), (0, 110), (0, 20), (0, 30), (0, 130)], &[0]);
    assert_eq!(watch.told(), [(0, 1, 1)]);
    watch.take(&[(0, 210)], &[0]);
    assert_eq!(watch.told(), [(0, 1, 1), (0, 2, 3), (1, 1, 2)]);
    watch.take(&[(0, 40), (0, 50), (0, 450), (0, 60)], &[0]);
    assert_eq!(watch.told()[3..], [(0, 3, 5), (2, 1, 1)], "450 forgets what lies before 150");
    assert_eq!(watch.intervals.take_late(), 1);
    watch.take(&[(0, 510)], &[0]);
    assert_eq!(watch.told()[5..], [(4, 1, 1)]);
    assert_eq!(watch.ended.iter().map(|ended| ended.rows_too_late).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1]);
}

/// One partition far out of order: the reports are the same to the bit however its events come in works, and however often
/// the process ends in between, also before what it did was stored.
#[test]
fn works_and_restarts_change_nothing() {
    let mut numbers = Numbers(5);
    let events: Vec<Event> = (0..2_000).map(|row| (0, row * 3 - numbers.below(250) as i64)).collect();
    let mut whole = Watch::new(200);
    whole.take(&events, &[0]);
    assert!(whole.ended.len() > 60 && whole.ended.iter().any(|ended| ended.revision == 3), "{:?}", whole.told());
    for round in 0..30 {
        let mut watch = Watch::new(200);
        let mut at = 0;
        watch.store();
        while at < events.len() {
            let to = events.len().min(at + 1 + numbers.below(if round % 2 == 0 { 40 } else { 500 }) as usize);
            let told = watch.ended.len();
            watch.take_at(at as u64, &events[at..to], &[0]);
            if numbers.below(4) == 0 {
                // Reports that were not stored with the counts were never told.
                watch.ended.truncate(told);
                watch.restart();
                continue;
            }
            watch.store();
            at = to;
        }
        assert_eq!(watch.ended, whole.ended, "round {round}");
        // What is counted is not counted again.
        watch.take_at(events.len() as u64 - 100, &events[events.len() - 100..], &[0]);
        assert!(watch.intervals.changes().unwrap().is_empty());
    }
}

#[test]
fn what_is_open_is_bounded() {
    let mut watch = Watch::new(i64::MAX);
    let count = OPEN_MAX as i64 + 5;
    let ahead: Vec<Event> = (0..count).map(|row| (0, row * 100)).collect();
    watch.take(&[(1, 50)], &[0, 1]);
    watch.take(&ahead, &[0, 1]);
    let expected: Vec<(i64, u64, u64)> = [(0, 1, 2), (1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1)].to_vec();
    assert_eq!(watch.told(), expected);
    assert!(watch.ended.iter().all(|ended| !ended.is_complete), "1 has not passed them");
    watch.take(&[(1, 410), (1, 510)], &[0, 1]);
    assert_eq!(watch.intervals.take_late(), 1);
    watch.store();
    assert_eq!(watch.rows.len(), OPEN_MAX + 1);
}

#[test]
fn an_interval_in_which_counting_began_is_not_complete() {
    let mut watch = Watch::new(0);
    watch.intervals = Intervals::new(EVERY, Span(0), IDENTITY, BTreeMap::from([(0, EventTime(150))]));
    watch.take(&[(0, 160), (0, 210), (0, 310)], &[0]);
    assert_eq!(watch.ended.iter().map(|ended| (ended.from.0, ended.is_complete)).collect::<Vec<_>>(), [(100, false), (200, true)]);
}

#[test]
fn counts_of_something_else_are_not_counted_on_from() {
    let mut watch = Watch::new(0);
    watch.take(&[(0, 10)], &[0]);
    watch.store();
    let head = watch.rows[&None].clone();
    assert!(Intervals::restore(EVERY, Span(0), Identity([8; 16]), &head, Vec::new()).unwrap().is_none());
    let mut flipped = head.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(Intervals::restore(EVERY, Span(0), IDENTITY, &flipped, Vec::new()).is_err());
}
