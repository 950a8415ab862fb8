//! The query of a training set: for each read of the vector, the events that matter and the rows that ask, both
//! partitioned by key and sorted, under the operator that answers. Must never execute: it only plans and measures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{JoinType, NullEquality};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::SessionConfig;
use hashbrown::HashSet;

use super::derive::{self, Derivation, DeriveExec};
use super::point_in_time::PointInTimeExec;
use super::retracted::Retracted;
use super::scan::{Bounds, Events};
use super::sweep::{ANSWERS, QueryColumn, Reading, Work, reach};
use super::{query_error, span_of};
use crate::error::{Error, Result};
use crate::id::Position;
use crate::plan::{Branch, Expression, Read, Source, View};
use crate::window::Layout;

/// What all sorts of one training set may hold in memory before they spill to the temporary folder.
const SORT_BYTES: usize = 2 << 30;
/// Partitions of keys for each thread: while one sweeps through a key with a quarter of all events, the other threads take
/// the rest.
const PARTITIONS: usize = 2;

/// What the parts of one training set share.
pub struct Resources {
    pub threads: usize,
    runtime: Arc<RuntimeEnv>,
}

impl Resources {
    pub fn new() -> Result<Self> {
        let pool = Arc::new(FairSpillPool::new(SORT_BYTES));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().map_err(query_error)?;
        Ok(Self { threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get), runtime })
    }

    pub fn context(&self) -> Arc<TaskContext> {
        let config = SessionConfig::new().with_batch_size(ANSWERS).with_target_partitions(self.threads);
        Arc::new(TaskContext::default().with_session_config(config).with_runtime(self.runtime.clone()))
    }
}

/// The rows that ask, column by column.
pub struct Queries<'a> {
    /// One per key of the vector.
    pub keys: &'a [ArrayRef],
    pub times: &'a [i64],
    pub cuts: Option<&'a [u64]>,
    /// The source whose events the rows are, and the event of each row.
    pub event: Option<usize>,
    pub positions: Option<&'a [Position]>,
    pub reading: Reading,
}

/// The plan of one read: one partition, answers in the order of the rows.
pub struct ReadPlan {
    pub plan: Arc<dyn ExecutionPlan>,
    /// For each branch of the view its source, and how many events it reads of that, at most.
    pub events: Vec<(usize, u64)>,
}

/// Plans one read of a vector; `events` are those of each branch of the view, and `retracted` what is none of them.
pub fn read_plan(
    view: &View,
    read: &Read,
    events: &[Events<'_>],
    retracted: Vec<Arc<Retracted>>,
    queries: &Queries<'_>,
    threads: usize,
) -> Result<ReadPlan> {
    let (from, to) = reach(view, &read.features, span_of(queries.times).0, span_of(queries.times).1);
    // Also at a cut, an event after its query's time does not count.
    let rows = rows(view, events, Bounds { from, to }, threads)?;
    let mut fields = vec![Field::new("row", ArrowType::UInt64, false)];
    for feature in &read.features {
        let feature = &view.features[*feature];
        fields.push(Field::new(&feature.name, feature.data_type.arrow(), true));
    }
    let work = Work {
        view: view.clone(),
        layout: Layout::new(view),
        features: read.features.clone(),
        retracted,
        reading: queries.reading,
        current: queries.event.map_or_else(Vec::new, |event| view.rows.branches_of(event).map(|(branch, _)| branch).collect()),
        event_keys: view.key_columns.iter().map(|key| place(rows.own[*key])).collect::<Result<_>>()?,
        event_time: place(rows.own[view.rows.event_time])?,
        own: rows.own,
        partition: rows.partition,
        offset: rows.offset,
        seq: rows.seq,
        schema: Arc::new(Schema::new(fields)),
    };
    let keys: Vec<ArrayRef> = read.keys.iter().map(|key| queries.keys[*key].clone()).collect();
    let batch = query_batch(&keys, queries)?;

    let asked = of_keys(rows.plan, &work.event_keys, &batch, keys.len())?;
    let order = if queries.reading == Reading::AsOf { work.event_time } else { work.seq };
    let events_sorted = by_key(asked, &work.event_keys, order, threads)?;

    let chunks: Vec<RecordBatch> =
        (0..batch.num_rows()).step_by(ANSWERS).map(|at| batch.slice(at, ANSWERS.min(batch.num_rows() - at))).collect();
    let asks = MemorySourceConfig::try_new_exec(&[chunks], batch.schema(), None).map_err(query_error)?;
    let key_places: Vec<usize> = (0..keys.len()).collect();
    let asks = by_key(asks, &key_places, keys.len() + QueryColumn::Order as usize, threads)?;

    let answers: Arc<dyn ExecutionPlan> = Arc::new(PointInTimeExec::new(Arc::new(work), events_sorted, asks));
    let order = ordering(&answers, &[0])?;
    let sorted = Arc::new(SortExec::new(order.clone(), answers).with_preserve_partitioning(true));
    Ok(ReadPlan { plan: Arc::new(SortPreservingMergeExec::new(order, sorted)), events: rows.events })
}

/// The rows of a view, and where their columns are.
struct ViewRows {
    plan: Arc<dyn ExecutionPlan>,
    events: Vec<(usize, u64)>,
    own: Vec<Option<usize>>,
    partition: usize,
    offset: usize,
    seq: usize,
}

fn place(column: Option<usize>) -> Result<usize> {
    column.ok_or_else(|| Error::internal("a column that is not scanned"))
}

fn rows(view: &View, events: &[Events<'_>], bounds: Bounds, threads: usize) -> Result<ViewRows> {
    let scanned = |branch: &Branch, events: &Events<'_>, expressions: &[&Expression], fields: &[usize]| -> Result<ViewRows> {
        let columns = needed(expressions, events.source, fields);
        let own = events.source.fields.len();
        let at = |column: usize| columns.binary_search(&column).ok();
        let scan = events.scan(&columns, bounds, threads)?;
        Ok(ViewRows {
            plan: scan.plan,
            events: vec![(branch.source, scan.events)],
            own: (0..own).map(at).collect(),
            partition: place(at(own))?,
            offset: place(at(own + 1))?,
            seq: place(at(own + 3))?,
        })
    };
    if view.rows.as_source().is_some() {
        let expressions: Vec<&Expression> = view.inputs.iter().chain(&view.filters).collect();
        return scanned(&view.rows.branches[0], &events[0], &expressions, &view.key_columns);
    }
    let schema = derive::schema(&view.rows.schema);
    let (mut parts, mut read): (Vec<Arc<dyn ExecutionPlan>>, Vec<(usize, u64)>) = (Vec::new(), Vec::new());
    for ((place, branch), events) in (0..=u8::MAX).zip(&view.rows.branches).zip(events) {
        let expressions: Vec<&Expression> = branch.steps.iter().take(1).flat_map(|step| step.columns.iter().chain(&step.filter)).collect();
        let ViewRows { plan, events: count, own, partition, offset, seq } = scanned(branch, events, &expressions, &[])?;
        let source_schema = events.source.schema.clone();
        let derivation = Derivation { branch: branch.clone(), place, source_schema, own, partition, offset, seq, schema: schema.clone() };
        parts.push(Arc::new(DeriveExec::new(Arc::new(derivation), plan)));
        read.extend(count);
    }
    let plan = if parts.len() == 1 { parts.remove(0) } else { UnionExec::try_new(parts).map_err(query_error)? };
    let own = view.rows.fields.len();
    Ok(ViewRows { plan, events: read, own: (0..own).map(Some).collect(), partition: own, offset: own + 1, seq: own + 2 })
}

/// The columns of event batches that expressions and these fields need, rising. A field that an expression may name is
/// one whose name occurs in its text.
fn needed(expressions: &[&Expression], source: &Source, fields: &[usize]) -> Vec<usize> {
    let texts: Vec<String> = expressions.iter().map(|expression| expression.text.to_lowercase()).collect();
    let named = |field: usize| {
        let name = source.fields[field].name.to_lowercase();
        texts.iter().any(|text| text.contains(&name))
    };
    let own = source.fields.len();
    let mut columns: Vec<usize> = (0..own).filter(|field| *field == source.event_time || fields.contains(field) || named(*field)).collect();
    columns.extend([own, own + 1, own + 3]);
    columns
}

/// Keys, then `QueryColumn`s.
fn query_batch(keys: &[ArrayRef], queries: &Queries<'_>) -> Result<RecordBatch> {
    let rows = queries.times.len();
    let order: Int64Array = match queries.cuts {
        Some(cuts) => cuts.iter().map(|cut| i64::try_from(*cut).unwrap_or(i64::MAX)).collect::<Vec<_>>().into(),
        None => queries.times.to_vec().into(),
    };
    let (times, partitions, offsets): (Int64Array, UInt32Array, UInt64Array) = match queries.positions {
        Some(positions) => (
            positions.iter().map(|position| position.time.0).collect::<Vec<_>>().into(),
            positions.iter().map(|position| position.partition.0).collect::<Vec<_>>().into(),
            positions.iter().map(|position| position.offset.0).collect::<Vec<_>>().into(),
        ),
        None => (Int64Array::new_null(rows), UInt32Array::new_null(rows), UInt64Array::new_null(rows)),
    };
    let numbers: UInt64Array = (0..rows as u64).collect::<Vec<_>>().into();
    let mut columns = keys.to_vec();
    let rest: [(&str, ArrayRef); 6] = [
        ("order", Arc::new(order)),
        ("row", Arc::new(numbers)),
        ("time", Arc::new(Int64Array::from(queries.times.to_vec()))),
        ("current_time", Arc::new(times)),
        ("current_partition", Arc::new(partitions)),
        ("current_offset", Arc::new(offsets)),
    ];
    let mut fields: Vec<Field> =
        keys.iter().enumerate().map(|(at, key)| Field::new(format!("key{at}"), key.data_type().clone(), true)).collect();
    for (name, column) in rest {
        fields.push(Field::new(name, column.data_type().clone(), true));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Only the events of keys that are asked for: the others need not be sorted.
fn of_keys(events: Arc<dyn ExecutionPlan>, event_keys: &[usize], queries: &RecordBatch, keys: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let distinct = distinct_keys(queries, keys)?;
    let asked = MemorySourceConfig::try_new_exec(&[vec![distinct.clone()]], distinct.schema(), None);
    let asked: Arc<dyn ExecutionPlan> = asked.map_err(query_error)?;
    let on = (0..keys).zip(event_keys).map(|(asked_key, event_key)| (column(&asked, asked_key), column(&events, *event_key)));
    let on = on.collect();
    let join = HashJoinExec::try_new(
        asked,
        events,
        on,
        None,
        &JoinType::RightSemi,
        None,
        PartitionMode::CollectLeft,
        NullEquality::NullEqualsNothing,
        false,
    );
    Ok(Arc::new(join.map_err(query_error)?))
}

/// Each key once: a join walks all rows of a key for each of its events, and a hot key has many of both.
fn distinct_keys(queries: &RecordBatch, keys: usize) -> Result<RecordBatch> {
    let columns = queries.project(&(0..keys).collect::<Vec<_>>())?;
    let fields = columns.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(columns.columns())?;
    let mut seen = HashSet::new();
    let first: UInt32Array = (0..columns.num_rows() as u32).filter(|row| seen.insert(rows.row(*row as usize))).collect::<Vec<_>>().into();
    Ok(take_record_batch(&columns, &first)?)
}

/// Partitioned by the hash of the keys, each partition sorted by keys and order.
fn by_key(input: Arc<dyn ExecutionPlan>, keys: &[usize], order: usize, threads: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let hash = keys.iter().map(|key| column(&input, *key)).collect();
    let hashed = Partitioning::Hash(hash, threads * PARTITIONS);
    let parted: Arc<dyn ExecutionPlan> = Arc::new(RepartitionExec::try_new(input, hashed).map_err(query_error)?);
    let by: Vec<usize> = keys.iter().copied().chain([order]).collect();
    let ordering = ordering(&parted, &by)?;
    Ok(Arc::new(SortExec::new(ordering, parted).with_preserve_partitioning(true)))
}

fn ordering(input: &Arc<dyn ExecutionPlan>, columns: &[usize]) -> Result<LexOrdering> {
    let exprs = columns.iter().map(|at| PhysicalSortExpr::new_default(column(input, *at)));
    LexOrdering::new(exprs).ok_or_else(|| Error::internal("an order by nothing"))
}

fn column(input: &Arc<dyn ExecutionPlan>, at: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(input.schema().field(at).name(), at))
}

/// How many events the reads took from their sources; a source that several reads scan counts once.
pub fn events_read(reads: &[ReadPlan]) -> u64 {
    let mut by_source: BTreeMap<usize, u64> = BTreeMap::new();
    for (source, events) in reads.iter().flat_map(|read| &read.events) {
        let most = by_source.entry(*source).or_default();
        *most = (*events).max(*most);
    }
    by_source.values().sum()
}

/// The computing time of one kind of operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub name: &'static str,
    /// Summed over threads.
    pub time: Duration,
}

/// What each kind of operator took, in the order of the work.
pub fn stages(root: &Arc<dyn ExecutionPlan>) -> Vec<Stage> {
    const NAMES: [(&str, &str); 7] = [
        ("DataSourceExec", "scan"),
        ("DeriveExec", "derive"),
        ("HashJoinExec", "keys"),
        ("RepartitionExec", "partition"),
        ("SortExec", "sort"),
        ("PointInTimeExec", "point in time"),
        ("AssembleExec", "assemble"),
    ];
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waiting = vec![root.clone()];
    while let Some(plan) = waiting.pop() {
        let nanos = plan.metrics().and_then(|metrics| metrics.elapsed_compute()).unwrap_or_default();
        if let Some((_, name)) = NAMES.iter().find(|(operator, _)| *operator == plan.name()) {
            *times.entry(name).or_default() += nanos;
        }
        waiting.extend(plan.children().into_iter().cloned());
    }
    let stage = |(_, name): &(&str, &'static str)| {
        let time = times.get(name).map(|nanos| Duration::from_nanos(*nanos as u64))?;
        Some(Stage { name, time })
    };
    NAMES.iter().filter_map(stage).collect()
}
