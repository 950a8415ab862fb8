//! Three computations of the same sampled rows, and where their bits differ.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};

use super::events::{ViewEvents, load, load_view};
use super::samples::{Draw, Samples};
use crate::engine::{Handle, LookupRequest, LookupRow};
use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::id::{Position, Seq};
use crate::offline::{Snapshot, Store};
use crate::plan::{ColumnSource, Plan, Vector};
use crate::time::EventTime;
use crate::training::{self, Request, Spine};
use crate::value::Value;
use crate::vector::{self, value_at};
use crate::window::{Layout, read_empty};

/// The spine's column of query times.
const TIME: &str = "__query_time";

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verification {
    pub vector: String,
    pub rows: usize,
    /// Values compared, each in all three computations.
    pub values: usize,
    pub differences: Vec<Difference>,
}

/// One value that is not the same everywhere.
#[derive(Clone, Debug)]
pub struct Difference {
    pub column: String,
    /// Keys and query time of the row.
    pub row: String,
    pub online: Value,
    pub offline: Value,
    pub naive: Value,
    /// The events of the window behind a feature; empty for a derived column.
    pub events: Vec<Position>,
}

/// Verifies a vector on about `samples` rows, which the `seed` chooses. `handle` is of the state of the same data
/// folder; `recent` are committed events that Parquet may not hold.
///
/// # Errors
/// `NotFound` when no event is logged that a row could be made of; what the three computations report.
pub async fn verify(
    handle: &Handle,
    store: &Store,
    recent: Vec<EventBatch>,
    vector: &str,
    samples: usize,
    seed: u64,
) -> Result<Verification> {
    let plan = handle.plan();
    let vector = plan.vector(vector).ok_or_else(|| Error::not_found(format!("there is no vector {vector}")))?;
    // All three see the events up to the cut of the online state, also while a server goes on.
    let cut = handle.status().seq;
    store.reload()?;
    let snapshot = store.snapshot();
    let draws = Draw::all(plan, vector);
    if draws.is_empty() {
        return Err(Error::input(format!("vector {} reads no features: there is nothing to verify", vector.name)));
    }
    let (share, horizon) = (samples.div_ceil(draws.len()), handle.horizon(vector));
    let mut parts = Vec::new();
    for draw in draws {
        parts.extend(Samples::draw(plan, vector, &load(plan, draw.source, &snapshot, &recent, cut)?, draw, horizon, share, seed)?);
    }
    let drawn = Samples::join(&parts)?.ok_or_else(|| {
        let message = format!("no logged event that vector {} reads is within the online history; push events first", vector.name);
        Error::not_found(message)
    })?;
    let online = online(handle, vector, &drawn)?;
    let naive = Naive::of(plan, vector, &drawn, &snapshot, &recent, cut)?;
    let naive_columns = naive.columns(plan, vector, &drawn)?;
    let offline = offline(plan, store, recent, vector, &drawn, cut).await?;
    let mut differences = Vec::new();
    for (index, column) in vector.columns.iter().enumerate() {
        for row in 0..drawn.len() {
            let at = |batch: &RecordBatch| value_at(batch.column(index).as_ref(), row);
            let (online, offline, naive_value) = (at(&online), at(&offline), at(&naive_columns));
            if !(online.same_bits(&offline) && online.same_bits(&naive_value)) {
                let events = match column.from {
                    ColumnSource::Frame(frame) => naive.events_behind(vector, &drawn, row, frame),
                    ColumnSource::Derived(_) => Vec::new(),
                };
                let row = drawn.describe(vector, row);
                differences.push(Difference { column: column.name.clone(), row, online, offline, naive: naive_value, events });
            }
        }
    }
    Ok(Verification { vector: vector.name.clone(), rows: drawn.len(), values: drawn.len() * vector.columns.len(), differences })
}

/// By lookups of the online store, one for each row's time.
fn online(handle: &Handle, vector: &Vector, samples: &Samples) -> Result<RecordBatch> {
    let place = handle.plan().vectors.iter().position(|known| known.name == vector.name);
    let place = place.ok_or_else(|| Error::internal(format!("the engine has no vector {}", vector.name)))?;
    let mut answers = Vec::new();
    for row in 0..samples.len() {
        let keys = samples.keys.iter().map(|column| value_at(column.as_ref(), row)).collect();
        let request = samples.request.iter().map(|column| Some(value_at(column.as_ref(), row))).collect();
        let (rows, as_of) = (vec![LookupRow { keys, request }], Some(EventTime(samples.times[row])));
        answers.push(handle.lookup(&LookupRequest { vector: place, rows, as_of, ..LookupRequest::default() })?.rows.to_batch()?);
    }
    Ok(concat_batches(&vector::schema(vector), &answers)?)
}

/// By the offline engine: a training set, as known at the cut, whose spine has the rows' keys, request columns and times.
async fn offline(plan: &Plan, store: &Store, recent: Vec<EventBatch>, vector: &Vector, samples: &Samples, cut: Seq) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    let given = vector.keys.iter().zip(&samples.keys).chain(vector.request.iter().map(|request| &request.field).zip(&samples.request));
    for (field, column) in given {
        if !fields.iter().any(|known: &Field| known.name() == &field.name) {
            fields.push(Field::new(&field.name, field.data_type.arrow(), true));
            columns.push(Arc::clone(column));
        }
    }
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(samples.times.clone()));
    fields.push(Field::new(TIME, times.data_type().clone(), false));
    columns.push(times);
    fields.push(Field::new("seq", arrow::datatypes::DataType::UInt64, false));
    columns.push(Arc::new(UInt64Array::from(vec![cut.0; samples.len()])));
    let schema = Arc::new(Schema::new(fields));
    let spine = Spine::new(Arc::clone(&schema), vec![RecordBatch::try_new(schema, columns)?]);
    let request = Request { vector: vector.name.clone(), spine, time: Some(TIME.to_owned()), event: None, as_known: true };
    let made = training::training_set(plan, store, recent, request).await?;
    let all = concat_batches(&made.schema, &made.batches)?;
    let column = |column: &crate::plan::VectorColumn| {
        let found = all.column_by_name(&column.name).cloned();
        found.ok_or_else(|| Error::internal(format!("the training set lacks the column {}", column.name)))
    };
    Ok(RecordBatch::try_new(vector::schema(vector), vector.columns.iter().map(column).collect::<Result<_>>()?)?)
}

/// By a scan of all events: each read's own.
struct Naive<'a> {
    reads: Vec<ViewEvents<'a>>,
}

impl<'a> Naive<'a> {
    fn of(plan: &'a Plan, vector: &Vector, samples: &Samples, snapshot: &Snapshot, recent: &[EventBatch], cut: Seq) -> Result<Self> {
        let mut reads = Vec::new();
        for (index, read) in vector.reads.iter().enumerate() {
            let view = &plan.views[read.view];
            let events = load_view(plan, view, snapshot, recent, cut)?;
            let keys: BTreeSet<Vec<u8>> = (0..samples.len()).filter_map(|row| samples.key(vector, index, row)).collect();
            reads.push(ViewEvents::scan(view, &events, keys.into_iter())?);
        }
        Ok(Self { reads })
    }

    fn columns(&self, plan: &Plan, vector: &Vector, samples: &Samples) -> Result<RecordBatch> {
        let mut features = Vec::new();
        for row in 0..samples.len() {
            for (index, read) in vector.reads.iter().enumerate() {
                let q = EventTime(samples.times[row]);
                match samples.key(vector, index, row) {
                    Some(key) => {
                        features.extend(read.features.iter().map(|feature| self.reads[index].value(&key, *feature, q)));
                    }
                    None => read_empty(&Layout::new(&plan.views[read.view]), q, &read.features, &mut features),
                }
            }
        }
        vector::assemble(vector, &vector::feature_columns(vector, &features, samples.len())?, &samples.request, samples.len())
    }

    /// The events of the window behind a column of the frame.
    fn events_behind(&self, vector: &Vector, samples: &Samples, row: usize, frame: usize) -> Vec<Position> {
        let reads = vector.reads.iter().enumerate();
        let within = |(index, read): (usize, &crate::plan::Read)| {
            let place = frame.checked_sub(vector::read_offset(vector, index))?;
            Some((index, *read.features.get(place)?))
        };
        let Some((index, feature)) = reads.filter_map(within).next_back() else { return Vec::new() };
        let Some(key) = samples.key(vector, index, row) else { return Vec::new() };
        let events = &self.reads[index];
        let found = events.in_window(&key, feature, EventTime(samples.times[row]));
        found.into_iter().map(|(position, ..)| events.view.rows.in_log(position)).collect()
    }
}
