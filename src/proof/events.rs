//! All logged events of a view, and those of some keys in a window, by a plain scan.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::event::EventBatch;
use crate::id::{Offset, Partition, Position, Seq};
use crate::key::append_key_value;
use crate::offline::Snapshot;
use crate::plan::{Frame, Plan, View, Window};
use crate::time::EventTime;
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

/// All events of a source up to a cut: those of the Parquet log, then the recent ones behind it.
pub fn load(plan: &Plan, source: usize, snapshot: &Snapshot, recent: &[EventBatch], cut: Seq) -> Result<Vec<EventBatch>> {
    let source = &plan.sources[source];
    let mut events = Vec::new();
    for file in snapshot.files(source)? {
        events.push(EventBatch { source: source.name.clone(), rows: snapshot.read(file, source)? }.between(Seq(0), cut)?);
    }
    for batch in recent.iter().filter(|batch| batch.source == source.name) {
        events.push(batch.between(snapshot.upto(), cut)?);
    }
    Ok(events)
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
                for row in (0..batch.len()).filter(|row| derived.keeps(*row)) {
                    key.clear();
                    let value = |column: &usize| value_at(derived.rows.column(*column).as_ref(), row);
                    let valid = view.key_columns.iter().all(|column| append_key_value(&mut key, &value(column)));
                    if valid && let Some(found) = by_key.get_mut(&key) {
                        let (time, partition, offset) = (times.value(row), partitions.value(row), offsets.value(row));
                        let at = Position { time: EventTime(time), partition: Partition(partition), offset: Offset(offset) };
                        found.push((at.in_branch(place), batches.len(), row));
                    }
                }
                let inputs = Inputs::evaluate(view, &derived.rows)?;
                batches.push((derived.rows, inputs));
            }
        }
        by_key.values_mut().for_each(|events| events.sort_unstable());
        Ok(Self { view, layout: Layout::new(view), batches, by_key })
    }

    /// The events of a key in a window at `q`, in total order. A lookup is no event: none is left out as current.
    pub fn in_window(&self, key: &[u8], window: &Window, q: EventTime) -> Vec<Found> {
        let upper = q.minus(window.offset);
        let counts = |at: &Position| {
            let after_start = match window.frame {
                Frame::Range { length, open: false } => at.time >= upper.minus(length),
                Frame::Range { length, open: true } => at.time > upper.minus(length),
                Frame::All => true,
            };
            after_start && at.time <= upper && !(window.before && at.time == upper)
        };
        self.by_key.get(key).into_iter().flatten().filter(|(at, ..)| counts(at)).copied().collect()
    }

    /// A feature's value for a lookup at `q`.
    pub fn value(&self, key: &[u8], feature: usize, q: EventTime) -> Value {
        let events = self.in_window(key, &self.view.features[feature].window, q);
        fold_directly(&self.layout, feature, q, events.iter().map(|(at, batch, row)| (*at, &self.batches[*batch].1, *row)))
    }

    /// The columns of the view's rows, of a batch.
    pub fn own(&self, batch: usize) -> &RecordBatch {
        &self.batches[batch].0
    }
}
