//! All logged events of a view, and those of some keys in a window, by a plain scan.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::event::EventBatch;
use crate::id::{Offset, Partition, Position, Seq};
use crate::key::append_key_value;
use crate::offline::Snapshot;
use crate::plan::{Plan, View, WindowBounds};
use crate::time::{EventTime, Span};
use crate::value::Value;
use crate::vector::value_at;
use crate::window::{Inputs, Layout, fold_directly};

/// An event found: its place in the total order, its batch, its row there.
pub type Found = (Position, usize, usize);

/// The events of one view, evaluated for it.
pub struct ViewEvents<'a> {
    pub view: &'a View,
    layout: Layout,
    batches: Vec<(RecordBatch, Inputs)>,
    /// For each key that was asked for, its events in total order.
    by_key: HashMap<Vec<u8>, Vec<Found>>,
}

/// All events of a view up to a cut, by the branches of its rows.
pub fn load_view(plan: &Plan, view: &View, snapshot: &Snapshot, recent: &[EventBatch], cut: Seq) -> Result<Vec<Vec<EventBatch>>> {
    view.rows.branches.iter().map(|branch| load(plan, branch.source, snapshot, recent, cut)).collect()
}

/// All events of a source up to a cut, those apart that were retracted by then: those of the Parquet log, then the recent
/// ones behind it.
pub fn load(plan: &Plan, source: usize, snapshot: &Snapshot, recent: &[EventBatch], cut: Seq) -> Result<Vec<EventBatch>> {
    let source = &plan.sources[source];
    let mut events = Vec::new();
    for file in snapshot.files(source)? {
        events.push(EventBatch { source: source.name.clone(), rows: snapshot.read(file, source)? }.between(Seq(0), cut)?);
    }
    for batch in recent.iter().filter(|batch| batch.source == source.name) {
        events.push(batch.between(snapshot.upto(), cut)?);
    }
    // An event's time may be of another column than it was when the event was retracted.
    let place = |at: Position| (at.partition, at.offset);
    let retracted = |batch: &EventBatch| Ok(batch.retractions()?.flatten().map(place).collect::<Vec<_>>());
    let gone: HashSet<(Partition, Offset)> = events.iter().map(retracted).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let still = |batch: EventBatch| {
        // What was accepted under another event time may have none, and is no event then.
        let times = batch.times(source.event_time)?;
        if gone.is_empty() && times.null_count() == 0 {
            return Ok(batch);
        }
        let retractions: Vec<bool> = batch.retractions()?.map(|retracts| retracts.is_some()).collect();
        let is_event =
            |row: usize| Ok(!retractions[row] && times.is_valid(row) && !gone.contains(&place(batch.position(source.event_time, row)?)));
        let keep: BooleanArray = (0..batch.len()).map(|row| is_event(row).map(Some)).collect::<Result<_>>()?;
        Ok(EventBatch { rows: filter_record_batch(&batch.rows, &keep)?, source: batch.source })
    };
    events.into_iter().map(still).collect()
}

impl<'a> ViewEvents<'a> {
    /// Scans all events once for those of `keys`; `events` are those of each branch of the view.
    pub fn scan(view: &'a View, events: &[Vec<EventBatch>], keys: impl Iterator<Item = Vec<u8>>) -> Result<Self> {
        let mut by_key: HashMap<Vec<u8>, Vec<Found>> = keys.map(|key| (key, Vec::new())).collect();
        let mut batches = Vec::new();
        let mut key = Vec::new();
        for ((place, branch), events) in (0..=u8::MAX).zip(&view.rows.branches).zip(events) {
            for batch in events {
                let derived = branch.derive(&batch.own())?;
                let times = derived.rows.column(view.rows.event_time).as_primitive::<TimestampMicrosecondType>();
                let (partitions, offsets) = (batch.partitions()?, batch.offsets()?);
                let made =
                    (0..batch.len()).flat_map(|event| derived.rows_of(event).enumerate().map(move |(element, row)| (event, element, row)));
                for (event, element, row) in made.filter(|(.., row)| derived.keeps(*row)) {
                    key.clear();
                    let value = |column: &usize| value_at(derived.rows.column(*column).as_ref(), row);
                    let valid = view.key_columns.iter().all(|column| append_key_value(&mut key, &value(column)));
                    if valid && let Some(found) = by_key.get_mut(&key) {
                        let (time, partition, offset) = (times.value(row), partitions.value(event), offsets.value(event));
                        let at = Position { time: EventTime(time), partition: Partition(partition), offset: Offset(offset) };
                        found.push((branch.place(place, at, element), batches.len(), row));
                    }
                }
                let inputs = Inputs::evaluate(view, &derived.rows)?;
                batches.push((derived.rows, inputs));
            }
        }
        by_key.values_mut().for_each(|events| events.sort_unstable());
        Ok(Self { view, layout: Layout::new(view), batches, by_key })
    }

    /// The events of a key in a feature's window at `q`, in total order; where the window is a session or counts rows,
    /// only those that pass the feature's filter. A lookup is no event: none is left out as current.
    pub fn in_window(&self, key: &[u8], feature: usize, q: EventTime) -> Vec<Found> {
        let feature = &self.view.features[feature];
        let window = &feature.window;
        let upper = i128::from(q.0) - i128::from(window.offset.0);
        // A whole unit ends before the moment at which the next one begins.
        let end = window.frame.end(upper);
        let until = |at: i128| end.is_some_and(|end| if window.before || window.frame.ends_before() { at < end } else { at <= end });
        let time = |found: &Found| i128::from(found.0.time.0);
        let start = match &window.frame {
            WindowBounds::Range { length, open } => upper - i128::from(length.0) + i128::from(*open),
            WindowBounds::Hop { length, hop } => (upper - i128::from(length.0)).div_euclid(i128::from(hop.0)) * i128::from(hop.0),
            calendar @ WindowBounds::Calendar { .. } => calendar.start(upper).unwrap_or(i128::MIN),
            last @ WindowBounds::Last { .. } => end.and_then(|end| last.start(end)).unwrap_or(i128::MIN),
            WindowBounds::Session { .. } | WindowBounds::All => i128::MIN,
        };
        let events = self.by_key.get(key).into_iter().flatten();
        let mut held: Vec<Found> = events.filter(|found| time(found) <= i128::from(q.0)).copied().collect();
        if let Some(ttl) = self.view.ttl {
            held.drain(..silent_until(&held, q, ttl));
        }
        held.retain(|found| time(found) >= start && until(time(found)));
        if window.limit.is_some() || matches!(window.frame, WindowBounds::Session { .. }) {
            held.retain(|(_, batch, row)| {
                self.view.folds[feature.fold].filter.is_none_or(|filter| self.batches[*batch].1.passes(filter, *row))
            });
        }
        let mut first = 0;
        if let WindowBounds::Session { gap } = window.frame {
            let mut next = upper;
            first = held.len();
            while first > 0 && next - time(&held[first - 1]) <= i128::from(gap.0) {
                first -= 1;
                next = time(&held[first]);
            }
        }
        let limit = window.limit.map_or(usize::MAX, |rows| rows as usize);
        held.split_off(first.max(held.len().saturating_sub(limit)))
    }

    /// A feature's value for a lookup at `q`.
    pub fn value(&self, key: &[u8], feature: usize, q: EventTime) -> Value {
        let events = self.in_window(key, feature, q);
        fold_directly(&self.layout, feature, q, events.iter().map(|(at, batch, row)| (*at, &self.batches[*batch].1, *row)))
    }

    /// The columns of the view's rows, of a batch.
    pub fn own(&self, batch: usize) -> &RecordBatch {
        &self.batches[batch].0
    }
}

/// How many of these events, in total order, lie before the last silence of more than `ttl` up to `q`.
fn silent_until(events: &[Found], q: EventTime, ttl: Span) -> usize {
    let times = |at: usize| events.get(at).map_or(i128::from(q.0), |found| i128::from(found.0.time.0));
    (0..events.len()).rev().find(|at| times(at + 1) - times(*at) > i128::from(ttl.0)).map_or(0, |last| last + 1)
}
