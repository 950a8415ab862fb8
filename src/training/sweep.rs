//! The merge at the heart of a training set: one pass over events and queries, both sorted by (key, place in the order),
//! through the same state that serves lookups. Pure: it is handed batches and says what it wants next. Must never keep
//! anything of a key once the next one begins.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{filter_record_batch, is_not_null};
use arrow::datatypes::{ArrowPrimitiveType, Int64Type, SchemaRef, TimestampMicrosecondType, UInt32Type, UInt64Type};
use arrow::row::{OwnedRow, Row, RowConverter, Rows, SortField};
use smallvec::SmallVec;

use super::retracted::{Retracted, Since};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition, Places, Position};
use crate::plan::View;
use crate::time::{EventTime, Span};
use crate::value::Value;
use crate::vector::array_of;
use crate::window::{ChunkId, Chunks, Inputs, KeyState, Known, Layout, read_empty};

/// Rows per batch of answers.
pub const ANSWERS: usize = 8192;
/// A key's state is trimmed each time it has taken in so many events: a key with a quarter of all events stays small.
const TRIM_EVENTS: usize = 64 * 1024;

/// Which order the events are applied in, and what a query's place in it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// By event time: a query sees the events up to its time, whenever they arrived.
    AsOf,
    /// By `seq`: a query sees the events up to its cut.
    AsKnown,
}

/// What one sweep computes, and where its columns are.
pub struct Work {
    pub view: View,
    pub layout: Layout,
    /// Into the view's features.
    pub features: Vec<usize>,
    pub reading: Reading,
    /// For each branch of the view, the rows of its source that are no events.
    pub retracted: Vec<Arc<Retracted>>,
    /// The branches of the view whose rows the event of a query is one of.
    pub current: Vec<u8>,
    /// For each field of the view's rows, the column of the event batches that holds it; a field that no input needs is
    /// null.
    pub own: Vec<Option<usize>>,
    pub event_keys: Vec<usize>,
    pub event_time: usize,
    pub partition: usize,
    pub offset: usize,
    pub seq: usize,
    /// The row number, then the features.
    pub schema: SchemaRef,
}

/// The columns of query batches: the keys, then these.
#[derive(Clone, Copy, Debug)]
pub enum QueryColumn {
    /// `Int64`: the query time or the cut.
    Order,
    /// `UInt64`: the row's number in the spine.
    Row,
    /// `Int64`: microseconds.
    Time,
    /// `Int64`, `UInt32`, `UInt64`: the position of the event that the row is, or null.
    CurrentTime,
    CurrentPartition,
    CurrentOffset,
}

/// What a sweep needs before it can go on.
#[derive(Debug)]
pub enum Wants {
    Events,
    Queries,
    /// Nothing: here are answers, in the order of the queries.
    Take(RecordBatch),
    Done,
}

pub struct Sweep {
    work: Arc<Work>,
    converter: RowConverter,
    events: Option<EventRows>,
    events_ended: bool,
    queries: Option<QueryRows>,
    queries_ended: bool,
    key: Option<OwnedRow>,
    state: Option<KeyState>,
    /// Retractions of events of the key that are in the state, the next one first.
    retractions: BinaryHeap<Reverse<(i64, Position)>>,
    /// Events inserted since the state was last trimmed; `None` when it must keep everything.
    untrimmed: Option<usize>,
    window_max: Span,
    rows: Vec<u64>,
    values: Vec<Value>,
}

struct EventRows {
    keys: Rows,
    order: ScalarBuffer<i64>,
    times: ScalarBuffer<i64>,
    partitions: ScalarBuffer<u32>,
    offsets: ScalarBuffer<u64>,
    inputs: Inputs,
    at: usize,
}

struct QueryRows {
    keys: Rows,
    order: ScalarBuffer<i64>,
    rows: ScalarBuffer<u64>,
    times: ScalarBuffer<i64>,
    current_times: PrimitiveArray<Int64Type>,
    current_partitions: ScalarBuffer<u32>,
    current_offsets: ScalarBuffer<u64>,
    at: usize,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.view.name, self.features, self.reading)
    }
}

impl Sweep {
    pub fn new(work: Arc<Work>) -> Result<Self> {
        let source = &work.view.rows.schema;
        let fields = work.view.key_columns.iter().map(|key| SortField::new(source.field(*key).data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        // A state that was trimmed cannot leave out an event that it no longer holds by itself.
        let trims =
            work.reading == Reading::AsOf && !work.features.iter().any(|feature| work.view.features[*feature].window.excluding_current);
        let window_max = work.view.window_max();
        Ok(Self {
            work,
            converter,
            events: None,
            events_ended: false,
            queries: None,
            queries_ended: false,
            key: None,
            state: None,
            retractions: BinaryHeap::new(),
            untrimmed: trims.then_some(0),
            window_max,
            rows: Vec::new(),
            values: Vec::new(),
        })
    }

    /// Hands in the next batch of events, `None` after the last.
    pub fn add_events(&mut self, batch: Option<&RecordBatch>) -> Result<()> {
        let Some(batch) = batch else {
            self.events_ended = true;
            return Ok(());
        };
        let work = &self.work;
        let times = batch.column(work.event_time);
        // What was accepted under another event time may have none, and is no event then.
        let timed = if times.null_count() > 0 { Some(filter_record_batch(batch, &is_not_null(times)?)?) } else { None };
        let batch = timed.as_ref().unwrap_or(batch);
        let own = work.view.rows.schema.fields().iter().zip(&work.own).map(|(field, column)| match column {
            Some(column) => batch.column(*column).clone(),
            None => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
        });
        let own = RecordBatch::try_new(work.view.rows.schema.clone(), own.collect())?;
        let keys: Vec<ArrayRef> = work.event_keys.iter().map(|key| batch.column(*key).clone()).collect();
        let times = values::<TimestampMicrosecondType>(batch, work.event_time)?;
        let order = match work.reading {
            Reading::AsOf => times.clone(),
            Reading::AsKnown => values::<UInt64Type>(batch, work.seq)?.iter().map(|seq| *seq as i64).collect(),
        };
        self.events = Some(EventRows {
            keys: self.converter.convert_columns(&keys)?,
            order,
            times,
            partitions: values::<UInt32Type>(batch, work.partition)?,
            offsets: values::<UInt64Type>(batch, work.offset)?,
            inputs: Inputs::evaluate(&work.view, &own)?,
            at: 0,
        });
        Ok(())
    }

    /// Hands in the next batch of queries, `None` after the last.
    pub fn add_queries(&mut self, batch: Option<&RecordBatch>) -> Result<()> {
        let Some(batch) = batch else {
            self.queries_ended = true;
            return Ok(());
        };
        let keys = self.work.event_keys.len();
        let column = |column: QueryColumn| keys + column as usize;
        let current = batch.column(column(QueryColumn::CurrentTime)).as_primitive_opt::<Int64Type>();
        self.queries = Some(QueryRows {
            keys: self.converter.convert_columns(&batch.columns()[..keys])?,
            order: values::<Int64Type>(batch, column(QueryColumn::Order))?,
            rows: values::<UInt64Type>(batch, column(QueryColumn::Row))?,
            times: values::<Int64Type>(batch, column(QueryColumn::Time))?,
            current_times: current.ok_or_else(|| Error::internal("queries without positions"))?.clone(),
            current_partitions: values::<UInt32Type>(batch, column(QueryColumn::CurrentPartition))?,
            current_offsets: values::<UInt64Type>(batch, column(QueryColumn::CurrentOffset))?,
            at: 0,
        });
        Ok(())
    }

    /// Goes on as far as the batches at hand allow.
    pub fn advance(&mut self) -> Result<Wants> {
        loop {
            if self.rows.len() >= ANSWERS {
                return Ok(Wants::Take(self.answers()?));
            }
            let Some(query) = self.queries.as_mut().filter(|queries| queries.at < queries.order.len()) else {
                self.queries = None;
                return match (self.queries_ended, self.rows.is_empty()) {
                    (false, _) => Ok(Wants::Queries),
                    (true, false) => Ok(Wants::Take(self.answers()?)),
                    (true, true) => Ok(Wants::Done),
                };
            };
            let key = query.keys.row(query.at);
            if self.key.as_ref().is_none_or(|current| current.row() != key) {
                self.key = Some(key.owned());
                self.state = None;
                self.retractions.clear();
                self.untrimmed = self.untrimmed.map(|_| 0);
            }
            let order = query.order[query.at];
            let applied = match self.events.as_mut() {
                Some(events) => {
                    let apply = Apply { work: &self.work, untrimmed: self.untrimmed.as_mut(), retractions: &mut self.retractions };
                    apply.up_to(events, key, order, &mut self.state)
                }
                None => self.events_ended,
            };
            if !applied {
                self.events = None;
                if !self.events_ended {
                    return Ok(Wants::Events);
                }
            }
            while let Some((state, Reverse((_, event)))) = self.state.as_mut().zip(self.retractions.peek().filter(|next| next.0.0 <= order))
            {
                state.remove(&self.work.layout, *event, &NoChunks)?;
                self.retractions.pop();
            }
            query.answer(&self.work, self.state.as_ref(), &mut self.values)?;
            self.rows.push(query.rows[query.at]);
            if let (Some(untrimmed), Some(state)) = (self.untrimmed.as_mut(), self.state.as_mut())
                && *untrimmed >= TRIM_EVENTS
            {
                // Queries of a key come in the order of their times: none will look further back.
                state.trim(&self.work.layout, EventTime(query.times[query.at]).minus(self.window_max), &NoChunks)?;
                *untrimmed = 0;
            }
            query.at += 1;
        }
    }

    fn answers(&mut self) -> Result<RecordBatch> {
        let width = self.work.features.len();
        let rows: PrimitiveArray<UInt64Type> = std::mem::take(&mut self.rows).into();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(rows)];
        for (at, feature) in self.work.features.iter().enumerate() {
            let data_type = &self.work.view.features[*feature].data_type;
            columns.push(array_of(data_type, self.values.iter().skip(at).step_by(width.max(1)))?);
        }
        self.values.clear();
        Ok(RecordBatch::try_new(self.work.schema.clone(), columns)?)
    }
}

impl QueryRows {
    fn answer(&self, work: &Work, state: Option<&KeyState>, values: &mut Vec<Value>) -> Result<()> {
        let at = self.at;
        let current = (!self.current_times.is_null(at)).then(|| Position {
            time: EventTime(self.current_times.value(at)),
            partition: Partition(self.current_partitions[at]),
            offset: Offset(self.current_offsets[at]),
        });
        let branches = &work.view.rows.branches;
        let places = current
            .iter()
            .flat_map(|event| work.current.iter().filter_map(|place| Some(branches.get(usize::from(*place))?.places(*place, *event))));
        let places: SmallVec<[Places; 1]> = places.collect();
        match state {
            Some(state) => match state.read(&work.layout, EventTime(self.times[at]), &places, &work.features, &NoChunks, values)? {
                Known::All => Ok(()),
                Known::NotInOrder => Err(Error::internal("a training set forgot events out of their order")),
            },
            None => {
                read_empty(&work.layout, EventTime(self.times[at]), &work.features, values);
                Ok(())
            }
        }
    }
}

struct Apply<'a> {
    work: &'a Work,
    untrimmed: Option<&'a mut usize>,
    retractions: &'a mut BinaryHeap<Reverse<(i64, Position)>>,
}

impl Apply<'_> {
    /// Inserts the key's events up to that place; `false` when the batch ended before that was sure.
    fn up_to(self, events: &mut EventRows, key: Row<'_>, order: i64, state: &mut Option<KeyState>) -> bool {
        let mut inserted = 0;
        let count = events.order.len();
        while events.at < count {
            match events.keys.row(events.at).cmp(&key) {
                std::cmp::Ordering::Less => events.at += 1,
                std::cmp::Ordering::Equal if events.order[events.at] <= order => {
                    let at = events.at;
                    let position = Position {
                        time: EventTime(events.times[at]),
                        partition: Partition(events.partitions[at]),
                        offset: Offset(events.offsets[at]),
                    };
                    events.at += 1;
                    let retracted = &self.work.retracted[usize::from(position.branch())];
                    let logged = self.work.view.rows.in_log(position);
                    match (retracted.since(logged.partition.0, logged.offset.0), self.work.reading) {
                        (None, _) => {}
                        (Some(Since::Seq(seq)), Reading::AsKnown) => self.retractions.push(Reverse((seq as i64, position))),
                        (Some(Since::Ever), _) | (Some(_), Reading::AsOf) => continue,
                    }
                    let state = state.get_or_insert_with(|| KeyState::new(&self.work.layout));
                    state.insert(&self.work.layout, position, &events.inputs, at);
                    inserted += 1;
                }
                std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => break,
            }
        }
        if let Some(untrimmed) = self.untrimmed {
            *untrimmed += inserted;
        }
        events.at < count
    }
}

/// The event times that can matter to queries between these times.
pub fn reach(view: &View, features: &[usize], first: EventTime, last: EventTime) -> (EventTime, EventTime) {
    let from = features.iter().map(|feature| view.features[*feature].window.earliest(first));
    (from.min().unwrap_or(EventTime::MIN), last)
}

fn values<T: ArrowPrimitiveType>(batch: &RecordBatch, column: usize) -> Result<ScalarBuffer<T::Native>> {
    let array = batch.column(column).as_primitive_opt::<T>();
    array.map(|array| array.values().clone()).ok_or_else(|| {
        let name = batch.schema().field(column).name().clone();
        Error::internal(format!("column {name} is {}, not {}", batch.column(column).data_type(), T::DATA_TYPE))
    })
}

/// States that are built here hold all their events in memory.
struct NoChunks;

impl Chunks for NoChunks {
    fn load(&self, _id: ChunkId) -> Result<Vec<u8>> {
        Err(Error::internal("a state in memory asked for a stored chunk"))
    }
}
