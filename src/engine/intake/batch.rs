//! A batch on its way to the state: first the decoded rows with everything evaluated that depends on the rows alone, then the
//! accepted events with their places in the order. Must never depend on state.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute;
use arrow::record_batch::RecordBatch;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::engine::intake::accept::IdColumns;
use crate::engine::intake::budget::Held;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventBatch, SYSTEM_COLUMNS};
use crate::id::{Offset, Partition, Position, Seq};
use crate::key::{append_key_int, append_key_text, append_key_value};
use crate::plan::{Derived, Field, Plan, Source, Step, View, rows_of};
use crate::time::{EventTime, IngestTime};
use crate::value::Value;
use crate::vector::value_at;
use crate::window::Inputs;

/// Entity keys of the rows of a batch, for one choice of key columns.
pub struct Keys {
    /// Of which rows.
    made: usize,
    columns: Vec<usize>,
    bytes: Vec<u8>,
    /// Where each row's key ends in `bytes`; it starts where the one before ends.
    ends: Vec<u32>,
    hashes: Vec<u64>,
    /// Whether no column of the row's key is null.
    valid: Vec<bool>,
    /// Which rows a stream does not leave out; `None`: all.
    kept: Option<BooleanArray>,
    missing: usize,
}

impl Keys {
    /// The keys of all rows, from these columns of the `made`th rows that were made of the batch.
    fn of(made: usize, derived: &Derived, columns: &[usize]) -> Self {
        let rows = derived.rows.num_rows();
        let arrays: Vec<KeyColumn<'_>> = columns.iter().map(|column| KeyColumn::of(derived.rows.column(*column))).collect();
        let mut keys = Self {
            made,
            columns: columns.to_vec(),
            bytes: Vec::with_capacity(rows * 9 * columns.len()),
            ends: Vec::with_capacity(rows),
            hashes: Vec::with_capacity(rows),
            valid: Vec::with_capacity(rows),
            kept: derived.kept.clone(),
            missing: 0,
        };
        for row in 0..rows {
            let start = keys.bytes.len();
            let valid = arrays.iter().all(|array| array.append(&mut keys.bytes, row));
            keys.missing += usize::from(derived.keeps(row) && !valid);
            if !valid {
                keys.bytes.truncate(start);
            }
            keys.valid.push(valid);
            keys.hashes.push(xxh3_64(&keys.bytes[start..]));
            keys.ends.push(keys.bytes.len() as u32);
        }
        keys
    }

    /// The key of a row and its hash (whose low byte is the slot); `None` when a column of it is null, or when a stream
    /// leaves the row out.
    pub fn get(&self, row: usize) -> Option<(&[u8], u64)> {
        self.of_event(row).filter(|_| self.kept.as_ref().is_none_or(|kept| kept.value(row)))
    }

    /// The same, whether or not a stream leaves the row out.
    pub fn of_event(&self, row: usize) -> Option<(&[u8], u64)> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        self.valid[row].then(|| (&self.bytes[start..self.ends[row] as usize], self.hashes[row]))
    }

    /// How many rows have no key although no stream leaves them out.
    pub fn missing(&self) -> usize {
        self.missing
    }
}

/// The common key types without a detour over `Value`.
enum KeyColumn<'a> {
    Int(&'a Int64Array),
    Text(&'a StringArray),
    Other(&'a ArrayRef),
}

impl<'a> KeyColumn<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        if let Some(ints) = array.as_any().downcast_ref() {
            Self::Int(ints)
        } else if let Some(texts) = array.as_any().downcast_ref() {
            Self::Text(texts)
        } else {
            Self::Other(array)
        }
    }

    fn append(&self, bytes: &mut Vec<u8>, row: usize) -> bool {
        match self {
            Self::Int(array) if array.is_valid(row) => append_key_int(bytes, array.value(row)),
            Self::Text(array) if array.is_valid(row) => append_key_text(bytes, array.value(row)),
            Self::Other(array) => return append_key_value(bytes, &value_at(array.as_ref(), row)),
            _ => return false,
        }
        true
    }
}

/// What one view folds of a batch by one of its branches.
pub struct ViewRows {
    pub view: usize,
    pub branch: u8,
    /// Where the rows of each event begin, of a branch that unnests; see `Derived`.
    starts: Option<Arc<[u32]>>,
    /// Whether the branch leaves events out.
    pub is_filtered: bool,
    pub inputs: Inputs,
    /// Into `EvaluatedBatch::keys`.
    pub keys: usize,
}

impl ViewRows {
    /// The rows of an event of the batch, those that the branch leaves out with them.
    #[inline]
    pub fn rows_of(&self, event: usize) -> Range<usize> {
        rows_of(self.starts.as_deref(), event)
    }

    /// The place of that one of an event's rows.
    #[inline]
    pub fn place(&self, event: Position, element: usize) -> Position {
        let own = event.in_branch(self.branch);
        // A branch makes no more rows of an event than places can tell apart.
        if self.starts.is_some() { own.of_element(element as u16) } else { own }
    }
}

/// One read of a scored vector: whose features to read for each row.
pub struct ScoreRead {
    pub view: usize,
    /// Into `EvaluatedBatch::keys`.
    pub keys: usize,
}

/// Decoded rows of one source, evaluated.
pub struct EvaluatedBatch {
    pub own: RecordBatch,
    pub views: Vec<ViewRows>,
    /// For each model that scores this source, its vector's reads.
    pub models: Vec<(usize, Vec<ScoreRead>)>,
    pub keys: Vec<Keys>,
}

impl EvaluatedBatch {
    /// Evaluates all that the plan computes from rows of this source. An error means that some row cannot be
    /// computed; `split_failing` says which.
    pub fn new(plan: &Plan, source: usize, own: RecordBatch) -> Result<Self> {
        // The source's own rows, then those of streams, each made once.
        let mut made = vec![Derived { rows: own.clone(), starts: None, kept: None }];
        let mut steps: Vec<&Arc<[Step]>> = Vec::new();
        let mut keys: Vec<Keys> = Vec::new();
        let mut key_index = |made: usize, derived: &Derived, columns: &[usize]| {
            keys.iter().position(|keys| keys.made == made && keys.columns == columns).unwrap_or_else(|| {
                keys.push(Keys::of(made, derived, columns));
                keys.len() - 1
            })
        };
        let mut views = Vec::new();
        for (index, view) in plan.views.iter().enumerate() {
            for (branch, of) in view.rows.branches_of(source) {
                let known = if of.steps.is_empty() {
                    Some(0)
                } else {
                    steps.iter().position(|steps| Arc::ptr_eq(steps, &of.steps)).map(|at| at + 1)
                };
                let place = match known {
                    Some(place) => place,
                    None => {
                        made.push(of.derive(&own)?);
                        steps.push(&of.steps);
                        steps.len()
                    }
                };
                let derived = &made[place];
                let (inputs, keys) = (Inputs::evaluate(view, &derived.rows)?, key_index(place, derived, &view.key_columns));
                let is_filtered = of.steps.iter().any(|step| step.filter.is_some());
                views.push(ViewRows { view: index, branch, starts: derived.starts.clone(), is_filtered, inputs, keys });
            }
        }
        let mut models = Vec::new();
        for (index, model) in plan.models.iter().enumerate() {
            if model.score.as_ref().is_some_and(|score| score.source == source) {
                let vector = &plan.vectors[model.vector];
                let mut reads = Vec::new();
                for read in &vector.reads {
                    let columns: Vec<usize> = read.keys.iter().map(|key| vector.key_columns[*key]).collect();
                    reads.push(ScoreRead { view: read.view, keys: key_index(0, &made[0], &columns) });
                }
                models.push((index, reads));
            }
        }
        Ok(Self { own, views, models, keys })
    }
}

/// Rows that the plan cannot be evaluated for by themselves, rising, and why; found by halving the batch.
pub fn failing(plan: &Plan, source: usize, own: &RecordBatch) -> Vec<(u32, Error)> {
    let rows = own.num_rows();
    match EvaluatedBatch::new(plan, source, own.clone()) {
        Ok(_) => Vec::new(),
        Err(error) if rows <= 1 => vec![(0, error)],
        Err(_) => {
            let half = rows / 2;
            let mut found = failing(plan, source, &own.slice(0, half));
            let behind = failing(plan, source, &own.slice(half, rows - half));
            found.extend(behind.into_iter().map(|(row, error)| (row + half as u32, error)));
            found
        }
    }
}

/// 128-bit hashes of the `dedup by` columns of each row; `None` where one is null, because a null equals nothing.
pub fn dedup_ids(source: &Source, own: &RecordBatch) -> Option<Vec<Option<u128>>> {
    let dedup = source.dedup.as_ref()?;
    Some(ids_of(dedup.columns.iter().map(|column| own.column(*column)), own.num_rows()))
}

/// The same of these columns.
pub fn ids_of<'a>(columns: impl Iterator<Item = &'a ArrayRef>, rows: usize) -> Vec<Option<u128>> {
    let columns: Vec<KeyColumn<'_>> = columns.map(KeyColumn::of).collect();
    let mut bytes = Vec::new();
    let mut id_of = |row| {
        bytes.clear();
        columns.iter().all(|column| column.append(&mut bytes, row)).then(|| xxh3_128(&bytes))
    };
    (0..rows).map(&mut id_of).collect()
}

/// The columns that keys of a source's views are made of, each once, by name: what a retraction repeats of its event.
pub fn key_columns(plan: &Plan, source: usize) -> Vec<usize> {
    let of_view = |view: &View| view.rows.branches_of(source).flat_map(|(_, branch)| branch.origins(&view.key_columns)).collect::<Vec<_>>();
    let mut columns: Vec<usize> = plan.views.iter().flat_map(of_view).collect();
    columns.sort_by_key(|column| &plan.sources[source].fields[*column].name);
    columns.dedup();
    columns
}

/// For each source of the plan the columns that its admissions remember something of.
pub fn id_columns(plan: &Plan) -> Vec<IdColumns> {
    let of_source = |(index, source): (usize, &Source)| {
        let name = |column: &usize| source.fields[*column].name.clone();
        IdColumns {
            event_time: name(&source.event_time),
            dedup: source.dedup.iter().flat_map(|dedup| &dedup.columns).map(name).collect(),
            keys: key_columns(plan, index).iter().map(name).collect(),
            keeps_keys: source.tombstones,
        }
    };
    plan.sources.iter().enumerate().map(of_source).collect()
}

/// 64-bit hashes of these columns of each row, never all ones; a null is a value like any other.
pub fn key_hashes(columns: &[usize], own: &RecordBatch) -> Vec<u64> {
    let columns: Vec<(KeyColumn<'_>, &ArrayRef)> =
        columns.iter().map(|column| (KeyColumn::of(own.column(*column)), own.column(*column))).collect();
    let mut bytes = Vec::new();
    let mut hash_of = |row| {
        bytes.clear();
        for (column, array) in &columns {
            let start = bytes.len();
            bytes.push(1);
            if !column.append(&mut bytes, row) {
                bytes.truncate(start);
                append_list(&mut bytes, array, row);
            }
        }
        xxh3_64(&bytes).min(u64::MAX - 1)
    };
    (0..own.num_rows()).map(&mut hash_of).collect()
}

/// What a key can be made of and is none itself: a list with its length and its elements. Anything else here is null.
fn append_list(bytes: &mut Vec<u8>, array: &ArrayRef, row: usize) {
    let Value::List(items) = value_at(array.as_ref(), row) else { return bytes.push(0) };
    bytes.push(2);
    bytes.extend((items.len() as u64).to_be_bytes());
    for item in items.iter() {
        let start = bytes.len();
        bytes.push(1);
        if !append_key_value(bytes, item) {
            bytes.truncate(start);
            bytes.push(0);
        }
    }
}

/// Accepted rows of one source, in the order of their `seq`.
#[derive(Clone)]
pub struct Segment {
    pub source: usize,
    pub prepared: Arc<EvaluatedBatch>,
    /// Rows of `prepared` that were accepted.
    pub rows: Vec<u32>,
    /// One for each of `rows`.
    pub positions: Vec<Position>,
    /// The `seq` of each of `rows`, rising.
    pub seqs: Vec<u64>,
    /// For each of `rows` the event that it retracts; empty where all are events.
    pub retracts: Vec<Option<Position>>,
    pub ingest: IngestTime,
}

/// A row that a view folds, and into which key.
pub struct RowUpdate<'a> {
    pub rows: &'a ViewRows,
    pub row: usize,
    /// Which of the rows that its event made it is.
    pub element: usize,
    pub key: &'a [u8],
    pub hash: u64,
}

impl Segment {
    /// The accepted rows' values of a column of the source.
    pub fn column(&self, column: usize) -> Result<ArrayRef> {
        let array = self.prepared.own.column(column);
        if self.rows.len() == array.len() {
            return Ok(Arc::clone(array));
        }
        Ok(compute::take(array, &UInt32Array::from(self.rows.clone()), None)?)
    }

    /// What views fold of the row at that place.
    pub fn folds<'a>(&'a self, place: usize) -> impl Iterator<Item = RowUpdate<'a>> {
        let (event, retracts) = (self.rows[place] as usize, self.retracts(place).is_some());
        let of_view = move |rows: &'a ViewRows| {
            let keys = &self.prepared.keys[rows.keys];
            let of_row = move |(element, row)| {
                // What retracts an event names its key, and need not pass the filters that the event has passed.
                let (key, hash) = if retracts { keys.of_event(row) } else { keys.get(row) }?;
                Some(RowUpdate { rows, row, element, key, hash })
            };
            rows.rows_of(event).enumerate().filter_map(of_row)
        };
        self.prepared.views.iter().flat_map(of_view)
    }

    /// The event that the row at that place retracts; `None` for an event.
    pub fn retracts(&self, place: usize) -> Option<Position> {
        self.retracts.get(place).copied().flatten()
    }

    /// The rows that are events.
    pub fn events(&self) -> Cow<'_, Self> {
        if self.retracts.is_empty() {
            return Cow::Borrowed(self);
        }
        let events: Vec<usize> = (0..self.rows.len()).filter(|place| self.retracts(*place).is_none()).collect();
        Cow::Owned(Self {
            source: self.source,
            prepared: Arc::clone(&self.prepared),
            rows: events.iter().map(|place| self.rows[*place]).collect(),
            positions: events.iter().map(|place| self.positions[*place]).collect(),
            seqs: events.iter().map(|place| self.seqs[*place]).collect(),
            retracts: Vec::new(),
            ingest: self.ingest,
        })
    }

    /// The segment as a block stores it.
    fn stored(&self, source: &str) -> Result<EventBatch> {
        let own = if self.rows.len() == self.prepared.own.num_rows() {
            self.prepared.own.clone()
        } else {
            compute::take_record_batch(&self.prepared.own, &UInt32Array::from(self.rows.clone()))?
        };
        let partitions = self.positions.iter().map(|position| position.partition.0).collect();
        let offsets = self.positions.iter().map(|position| position.offset.0).collect();
        let batch = EventBatch::new(source, &own, partitions, offsets, vec![self.ingest.0; self.rows.len()], self.seqs.clone())?;
        if self.retracts.is_empty() { Ok(batch) } else { batch.retracting(&self.retracts) }
    }

    /// The segments that a stored batch was: what a replay applies. Rows up to `after` are left out.
    pub fn from_events(plan: &Plan, batch: &EventBatch, after: Seq) -> Result<Vec<Self>> {
        let Some((source, declared)) = plan.source(&batch.source) else { return Ok(Vec::new()) };
        let batch = batch.between(after, Seq::MAX)?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let Some(batch) = timed(fit_events(&batch, declared)?, declared)? else { return Ok(Vec::new()) };
        let own = batch.own();
        let prepared = match EvaluatedBatch::new(plan, source, own.clone()) {
            // Events that were accepted can be evaluated; together they may be too much for one batch.
            Err(error) if error.kind() == ErrorKind::Input && batch.len() > 1 => {
                let half = batch.len() / 2;
                let mut segments = Self::from_events(plan, &batch.slice(0, half), after)?;
                segments.extend(Self::from_events(plan, &batch.slice(half, batch.len() - half), after)?);
                return Ok(segments);
            }
            prepared => Arc::new(prepared?),
        };
        let times = times_of(declared, &own)?;
        let (partitions, offsets) = (batch.partitions()?, batch.offsets()?);
        let position = |row: usize| Position {
            time: EventTime(times.value(row)),
            partition: Partition(partitions.value(row)),
            offset: Offset(offsets.value(row)),
        };
        let positions = (0..own.num_rows()).map(position).collect();
        let retracts = if batch.retracts()? { batch.retractions()?.collect() } else { Vec::new() };
        Ok(vec![Self {
            source,
            prepared,
            rows: (0..own.num_rows() as u32).collect(),
            positions,
            seqs: batch.seqs()?.values().to_vec(),
            retracts,
            ingest: batch.ingest_time(0)?,
        }])
    }
}

/// Segments as a block stores them.
pub fn events_of(plan: &Plan, segments: &[Segment]) -> Result<Vec<EventBatch>> {
    segments.iter().map(|segment| segment.stored(&plan.sources[segment.source].name)).collect()
}

/// Event times of rows of a source.
pub fn times_of<'a>(source: &Source, own: &'a RecordBatch) -> Result<&'a TimestampMicrosecondArray> {
    own.column(source.event_time)
        .as_any()
        .downcast_ref()
        .ok_or_else(|| Error::internal(format!("source {}: the event time is no timestamp column", source.name)))
}

/// Rows stored under an earlier declaration of a source, with today's columns: new ones are null, gone ones left out.
pub fn fit(own: &RecordBatch, source: &Source) -> Result<RecordBatch> {
    if own.schema() == source.schema {
        return Ok(own.clone());
    }
    let mut columns = Vec::with_capacity(source.fields.len());
    for field in &source.fields {
        let wanted = field.data_type.arrow();
        match own.column_by_name(&field.name) {
            Some(column) if *column.data_type() == wanted => columns.push(Arc::clone(column)),
            Some(column) => {
                return Err(other_type(source, field, column.data_type()));
            }
            None => columns.push(arrow::array::new_null_array(&wanted, own.num_rows())),
        }
    }
    Ok(RecordBatch::try_new(Arc::clone(&source.schema), columns)?)
}

/// The same of whole batches.
pub fn fit_events(batch: &EventBatch, source: &Source) -> Result<EventBatch> {
    let own = fit(&batch.own(), source)?;
    let schema = EventBatch::schema(&source.schema);
    if batch.rows.schema() == schema {
        return Ok(batch.clone());
    }
    let system = &batch.rows.columns()[batch.rows.num_columns() - SYSTEM_COLUMNS.len()..];
    let columns = own.columns().iter().chain(system).cloned().collect();
    Ok(EventBatch { source: batch.source.clone(), rows: RecordBatch::try_new(schema, columns)? })
}

/// The rows that have an event time: those that were accepted under another column may have none by today's, and are no
/// events then. `None` where nothing is left.
fn timed(batch: EventBatch, source: &Source) -> Result<Option<EventBatch>> {
    let times = batch.times(source.event_time)?;
    if times.null_count() == 0 {
        return Ok(Some(batch));
    }
    let rows = compute::filter_record_batch(&batch.rows, &compute::is_not_null(times)?)?;
    Ok((rows.num_rows() > 0).then_some(EventBatch { source: batch.source, rows }))
}

/// Stored events have a field with another type than it is declared with.
pub fn other_type(source: &Source, field: &Field, stored: impl std::fmt::Display) -> Error {
    Error::input(format!(
        "source {}: field {} is {} now but stored events have it as {stored}; give the changed field a new name, or declare {stored} \
         again",
        source.name, field.name, field.data_type
    ))
}

/// Events that some views do not take because they are retracted later.
#[derive(Default)]
pub struct ExcludedEvents {
    /// Indices of the views.
    pub views: Vec<usize>,
    /// Sources and places: an event's time may be of another column by now.
    pub events: HashSet<(usize, Partition, Offset)>,
}

impl ExcludedEvents {
    fn holds(&self, source: usize, at: Position) -> bool {
        self.events.contains(&(source, at.partition, at.offset))
    }
}

/// Why events are applied.
pub enum ApplyMode {
    /// They are new.
    New,
    /// They were committed, and rows may lack them. What is left out never was in a row.
    Replay(Arc<ExcludedEvents>),
    /// Only the views that something is left out of take them, in any order and whatever they hold already. Retractions
    /// are in what is left out.
    Rebuild(Arc<ExcludedEvents>),
}

impl ApplyMode {
    /// Whether a view takes the event of a source at that place, or what retracts it.
    pub fn takes(&self, view: usize, source: usize, at: Position, retracts: bool) -> bool {
        match self {
            Self::New => true,
            Self::Replay(left_out) => !(left_out.views.contains(&view) && left_out.holds(source, at)),
            Self::Rebuild(left_out) => left_out.views.contains(&view) && !retracts && !left_out.holds(source, at),
        }
    }
}

/// One commit's events, on their way to the shards.
pub struct ApplyBatch {
    /// Counts up from 1 with every work of this process.
    pub number: u64,
    /// The last event of this work; of the one before where it has none.
    pub last: Seq,
    pub segments: Vec<Segment>,
    pub pass: ApplyMode,
    /// Whether predictions are wanted: not when a replay finds them in the outbox already.
    pub score: bool,
    /// Keys that changed at or before this cut are written behind.
    pub flush_before: Seq,
    /// The rows of every work up to this number are durable.
    pub durable: u64,
    /// For each source, the partitions that open intervals of drift wait for.
    pub awaited: Arc<Vec<Vec<Partition>>>,
    /// For each source, no event before this time is needed by any lookup; windows reach further back.
    pub horizons: Vec<EventTime>,
    /// What its events take of the intake, until the last who has the work lets it go.
    #[expect(dead_code, reason = "given back when it goes")]
    pub held: Vec<Held>,
}
