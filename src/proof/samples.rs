//! The rows that a verification computes: keys and request columns of logged events, at times at and after them.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::key::append_key_value;
use crate::plan::{Plan, Vector};
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
    /// Chooses about `count` events evenly from those at or after `horizon`; every other row asks at its event's
    /// time, the others up to a day later, because windows empty by themselves.
    pub fn draw(
        plan: &Plan,
        vector: &Vector,
        events: &[EventBatch],
        source: usize,
        horizon: EventTime,
        count: usize,
        seed: u64,
    ) -> Result<Self> {
        let declared = &plan.sources[source];
        let nothing = || Error::not_found(format!("no logged event of {} is within the online history; push events first", declared.name));
        let schema = events.first().ok_or_else(nothing)?.rows.schema();
        let all = EventBatch { source: declared.name.clone(), rows: concat_batches(&schema, events.iter().map(|batch| &batch.rows))? };
        let times = all.times(declared.event_time)?;
        let eligible: Vec<u32> = (0..all.len() as u32).filter(|row| times.value(*row as usize) >= horizon.0).collect();
        if eligible.is_empty() {
            return Err(nothing());
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
        let keys = (0..vector.keys.len()).map(|key| key_column(plan, vector, source, key, &own)).collect::<Result<_>>()?;
        let request = vector
            .request
            .iter()
            .map(|column| match column.source_column {
                // The event time stands for the query time, as in a lookup.
                Some(_) if column.is_event_time => Ok(Arc::new(TimestampMicrosecondArray::from(query_times.clone())) as ArrayRef),
                Some(column) => Ok(Arc::clone(own.column(column))),
                None => vector::array_of(&column.field.data_type, std::iter::repeat_n(&Value::Null, own.num_rows())),
            })
            .collect::<Result<_>>()?;
        Ok(Self { keys, request, times: query_times })
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

/// The values of a key of the vector for events of a source: its own column of it, or the one that the view read under
/// that key takes; null where there is none.
fn key_column(plan: &Plan, vector: &Vector, source: usize, key: usize, own: &RecordBatch) -> Result<ArrayRef> {
    if let Some(column) = vector.key_columns.get(key) {
        return Ok(Arc::clone(own.column(*column)));
    }
    for read in &vector.reads {
        let view = &plan.views[read.view];
        if let Some(place) = read.keys.iter().position(|of| *of == key)
            && let Some((_, branch)) = view.rows.branches_of(source).next()
        {
            return Ok(Arc::clone(branch.derive(own)?.rows.column(view.key_columns[place])));
        }
    }
    vector::array_of(&vector.keys[key].data_type, std::iter::repeat_n(&Value::Null, own.num_rows()))
}
