//! The rows that a verification computes: keys and request columns of logged events, at times at and after them.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat, concat_batches, take, take_record_batch};
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::event::EventBatch;
use crate::key::append_key_value;
use crate::plan::{Derived, Plan, Vector};
use crate::time::{EventTime, Span};
use crate::value::Value;
use crate::vector::{self, value_at};

/// Rows of a vector's keys and request columns, with a query time each.
pub struct Samples {
    /// One array per key of the vector.
    pub keys: Vec<ArrayRef>,
    /// One array per request column.
    pub request: Vec<ArrayRef>,
    /// Microseconds.
    pub times: Vec<i64>,
}

impl Samples {
    /// Chooses about `count` of the events of a draw's source, evenly from those at or after `horizon`; every other row
    /// asks at its event's time, the others up to a day later, because windows empty by themselves. `None` where no
    /// event is.
    pub fn draw(
        plan: &Plan,
        vector: &Vector,
        events: &[EventBatch],
        draw: Draw,
        horizon: EventTime,
        count: usize,
        seed: u64,
    ) -> Result<Option<Self>> {
        let declared = &plan.sources[draw.source];
        let Some(first) = events.first() else { return Ok(None) };
        let schema = first.rows.schema();
        let all = EventBatch { source: declared.name.clone(), rows: concat_batches(&schema, events.iter().map(|batch| &batch.rows))? };
        let times = all.times(declared.event_time)?;
        let eligible: Vec<u32> = (0..all.len() as u32).filter(|row| times.value(*row as usize) >= horizon.0).collect();
        if eligible.is_empty() {
            return Ok(None);
        }
        let step = (eligible.len() / count.max(1)).max(1);
        let chosen: Vec<u32> = eligible.into_iter().skip(seed as usize % step).step_by(step).take(count).collect();
        let later = |(index, row): (usize, &u32)| {
            let mixed = (u64::from(*row) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
            let ahead = if index % 2 == 0 { 0 } else { (mixed % Span::DAY.0.unsigned_abs()) as i64 };
            times.value(*row as usize).saturating_add(ahead)
        };
        let query_times: Vec<i64> = chosen.iter().enumerate().map(later).collect();
        let own = take_record_batch(&all.own(), &UInt32Array::from(chosen))?;
        let keys: Vec<ArrayRef> = (0..vector.keys.len()).map(|key| key_column(plan, vector, draw, key, &own)).collect::<Result<_>>()?;
        let request = vector
            .request
            .iter()
            .map(|column| match (vector.keys.iter().position(|key| *key == column.field), column.source_column) {
                // What is a key and a request column has one value.
                (Some(key), _) => Ok(Arc::clone(&keys[key])),
                // The event time stands for the query time, as in a lookup.
                (None, Some(_)) if column.is_event_time => Ok(Arc::new(TimestampMicrosecondArray::from(query_times.clone())) as ArrayRef),
                (None, Some(column)) if vector.on == Some(draw.source) => Ok(Arc::clone(own.column(column))),
                (None, _) => vector::array_of(&column.field.data_type, std::iter::repeat_n(&Value::Null, own.num_rows())),
            })
            .collect::<Result<_>>()?;
        Ok(Some(Self { keys, request, times: query_times }))
    }

    /// The rows of several draws for the same vector; none of no draws.
    pub fn join(parts: &[Self]) -> Result<Option<Self>> {
        let Some(first) = parts.first() else { return Ok(None) };
        let joined = |column: &dyn Fn(&Self) -> &ArrayRef| -> Result<ArrayRef> {
            Ok(concat(&parts.iter().map(|part| column(part).as_ref()).collect::<Vec<_>>())?)
        };
        Ok(Some(Self {
            keys: (0..first.keys.len()).map(|key| joined(&|part| &part.keys[key])).collect::<Result<_>>()?,
            request: (0..first.request.len()).map(|column| joined(&|part| &part.request[column])).collect::<Result<_>>()?,
            times: parts.iter().flat_map(|part| part.times.iter().copied()).collect(),
        }))
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// The bytes of the key that a read of the vector has in that row; `None` when it is null.
    pub fn key(&self, vector: &Vector, read: usize, row: usize) -> Option<Vec<u8>> {
        let mut key = Vec::new();
        let columns = &vector.reads[read].keys;
        columns.iter().all(|column| append_key_value(&mut key, &value_at(self.keys[*column].as_ref(), row))).then_some(key)
    }

    /// The row in words: its keys and its query time.
    pub fn describe(&self, vector: &Vector, row: usize) -> String {
        let mut text = String::new();
        for (field, column) in vector.keys.iter().zip(&self.keys) {
            let mut value = Vec::new();
            crate::json::write_value(&mut value, &value_at(column.as_ref(), row));
            text += &format!("{}={} ", field.name, String::from_utf8_lossy(&value));
        }
        text + &format!("at {}", EventTime(self.times[row]))
    }
}

/// Of which events keys are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    pub source: usize,
    /// A read of the vector and a branch of its view, whose keys are those of its rows. `None`: the events are those that
    /// the vector is `on`.
    pub of: Option<(usize, usize)>,
}

impl Draw {
    /// One for the source that a vector is `on`, and one for each source and part of a stream that a view of its reads,
    /// so that each view is asked for keys that it has.
    pub fn all(plan: &Plan, vector: &Vector) -> Vec<Self> {
        let mut draws: Vec<Self> = vector.on.map(|source| Self { source, of: None }).into_iter().collect();
        let mut known = Vec::new();
        for (read, of) in vector.reads.iter().enumerate() {
            let view = &plan.views[of.view];
            for (place, branch) in view.rows.branches.iter().enumerate() {
                let columns: Vec<usize> = of.keys.iter().filter_map(|key| vector.key_columns.get(*key)).copied().collect();
                let is_that_of_on = vector.on == Some(branch.source) && branch.steps.is_empty() && columns == view.key_columns;
                let keys = (branch.source, branch.steps.as_ptr(), &view.key_columns, &of.keys);
                if !is_that_of_on && !known.contains(&keys) {
                    known.push(keys);
                    draws.push(Self { source: branch.source, of: Some((read, place)) });
                }
            }
        }
        draws
    }
}

/// A column's value in one row of each event, not always in the first; null where it has none.
fn one_of_each(derived: &Derived, column: usize, events: usize) -> Result<ArrayRef> {
    let column = derived.rows.column(column);
    if derived.starts.is_none() {
        return Ok(Arc::clone(column));
    }
    let one = |event: usize| {
        let rows = derived.rows_of(event);
        (!rows.is_empty()).then(|| (rows.start + event % rows.len()) as u32)
    };
    Ok(take(column, &(0..events).map(one).collect::<UInt32Array>(), None)?)
}

/// The values of a key of the vector for events of a draw: those of its read, else the vector's own column of them, or the
/// one that a view read under that key takes; null where there is none.
fn key_column(plan: &Plan, vector: &Vector, draw: Draw, key: usize, own: &RecordBatch) -> Result<ArrayRef> {
    let of_branch = |read: usize, branch: usize| {
        let view = &plan.views[vector.reads[read].view];
        let place = vector.reads[read].keys.iter().position(|of| *of == key)?;
        let branch = view.rows.branches.get(branch).filter(|branch| branch.source == draw.source)?;
        Some(branch.derive(own).and_then(|derived| one_of_each(&derived, view.key_columns[place], own.num_rows())))
    };
    if let Some(column) = draw.of.and_then(|(read, branch)| of_branch(read, branch)) {
        return column;
    }
    if let Some(column) = vector.key_columns.get(key).filter(|_| vector.on == Some(draw.source)) {
        return Ok(Arc::clone(own.column(*column)));
    }
    for read in 0..vector.reads.len() {
        let branches = plan.views[vector.reads[read].view].rows.branches.len();
        if let Some(column) = (0..branches).find_map(|branch| of_branch(read, branch)) {
            return column;
        }
    }
    vector::array_of(&vector.keys[key].data_type, std::iter::repeat_n(&Value::Null, own.num_rows()))
}
