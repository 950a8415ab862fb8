//! The events of a source as a part of a query: the files of one manifest, and the committed events that are not in it
//! yet, without a gap or an overlap. Must never read a file that the manifest does not name.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;

use super::query_error;
use super::verified::VerifiedFiles;
use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::id::Seq;
use crate::offline::{FileEntry, Snapshot};
use crate::plan::Source;
use crate::time::EventTime;

/// The event times that a query can want. Rows outside may still come: they cost time, never an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub from: EventTime,
    pub to: EventTime,
}

impl Bounds {
    pub const ALL: Self = Self { from: EventTime::MIN, to: EventTime::MAX };
}

/// A source's events of one moment.
pub struct Events<'a> {
    pub source: &'a Source,
    snapshot: &'a Snapshot,
    recent: Vec<RecordBatch>,
}

/// A part of a query that yields events.
pub struct Scan {
    pub plan: Arc<dyn ExecutionPlan>,
    /// How many events it reads, at most.
    pub events: u64,
}

impl<'a> Events<'a> {
    /// `recent` may hold events of other sources and events that the files hold: both are left out.
    pub fn new(source: &'a Source, snapshot: &'a Snapshot, recent: &[EventBatch]) -> Result<Self> {
        let schema = EventBatch::schema(&source.schema);
        let mut kept = Vec::new();
        for batch in recent.iter().filter(|batch| batch.source == source.name) {
            let keep: BooleanArray = batch.seqs()?.values().iter().map(|seq| Some(Seq(*seq) > snapshot.upto())).collect();
            if keep.true_count() > 0 {
                let rows = filter_record_batch(&batch.rows, &keep)?;
                kept.push(fitted(&rows, &schema, &source.name)?);
            }
        }
        Ok(Self { source, snapshot, recent: kept })
    }

    /// Reads these columns (into `EventBatch::schema` of the source, rising) in up to `threads` partitions.
    pub fn scan(&self, columns: &[usize], bounds: Bounds, threads: usize) -> Result<Scan> {
        let schema = EventBatch::schema(&self.source.schema);
        let event_time = &self.source.fields[self.source.event_time].name;
        let mut events = 0;
        let mut files = Vec::new();
        for file in self.snapshot.files(self.source)? {
            let outside = file.event_time == *event_time && (file.time_min > bounds.to || file.time_max < bounds.from);
            if !outside {
                events += file.rows;
                files.push(file);
            }
        }
        events += self.recent.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
        let plan = self.plan(files, &self.recent, columns, self.pruning(&schema, bounds), threads)?;
        Ok(Scan { plan, events })
    }

    /// Reads these columns of all rows beside which there is a retraction; `None` where there is none at all.
    pub fn retractions(&self, columns: &[usize], threads: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let files = self.snapshot.files(self.source)?;
        let files: Vec<_> = files.into_iter().filter(|file| file.retractions > 0).collect();
        let retracts = |rows: &&RecordBatch| rows.columns().last().is_some_and(|column| column.null_count() < column.len());
        let recent: Vec<RecordBatch> = self.recent.iter().filter(retracts).cloned().collect();
        if files.is_empty() && recent.is_empty() {
            return Ok(None);
        }
        self.plan(files, &recent, columns, None, threads).map(Some)
    }

    fn plan(
        &self,
        files: Vec<&FileEntry>,
        recent: &[RecordBatch],
        columns: &[usize],
        pruning: Option<Arc<dyn PhysicalExpr>>,
        threads: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = EventBatch::schema(&self.source.schema);
        let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !files.is_empty() {
            parts.push(parquet_scan(self.snapshot, &files, &schema, columns, pruning, threads)?);
        }
        if parts.is_empty() || !recent.is_empty() {
            let exec = MemorySourceConfig::try_new_exec(&[recent.to_vec()], schema, Some(columns.to_vec()));
            parts.push(exec.map_err(query_error)?);
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => UnionExec::try_new(parts).map_err(query_error),
        }
    }

    /// What row groups must be able to meet to be read.
    fn pruning(&self, schema: &Schema, bounds: Bounds) -> Option<Arc<dyn PhysicalExpr>> {
        if bounds == Bounds::ALL {
            return None;
        }
        let field = &self.source.fields[self.source.event_time].name;
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(field, schema).ok()?);
        let compare = |operator: Operator, time: EventTime| -> Arc<dyn PhysicalExpr> {
            let time = Arc::new(Literal::new(ScalarValue::TimestampMicrosecond(Some(time.0), None)));
            Arc::new(BinaryExpr::new(column.clone(), operator, time))
        };
        Some(Arc::new(BinaryExpr::new(compare(Operator::GtEq, bounds.from), Operator::And, compare(Operator::LtEq, bounds.to))))
    }
}

fn parquet_scan(
    snapshot: &Snapshot,
    files: &[&FileEntry],
    schema: &SchemaRef,
    columns: &[usize],
    pruning: Option<Arc<dyn PhysicalExpr>>,
    threads: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let (files, reader) = VerifiedFiles::of(snapshot, files);
    let mut source = ParquetSource::new(schema.clone()).with_parquet_file_reader_factory(Arc::new(reader));
    if let Some(pruning) = pruning {
        source = source.with_predicate(pruning);
    }
    let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
        .with_file_group(FileGroup::new(files))
        .with_projection_indices(Some(columns.to_vec()))
        .map_err(query_error)?
        .build();
    let scan = DataSourceExec::from_data_source(config);
    // Large files are shared among the threads by their row groups.
    let mut options = ConfigOptions::new();
    options.optimizer.repartition_file_min_size = 256 * 1024;
    let shared = scan.repartitioned(threads, &options).map_err(query_error)?;
    Ok(shared.unwrap_or(scan))
}

/// The rows with the columns that the source has now; one that they lack is null.
fn fitted(rows: &RecordBatch, schema: &SchemaRef, source: &str) -> Result<RecordBatch> {
    if rows.schema_ref() == schema {
        return Ok(rows.clone());
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        match rows.column_by_name(field.name()) {
            Some(column) if column.data_type() != field.data_type() => {
                let message = format!(
                    "recent events hold {source}.{} as {}, but it is declared otherwise now: give the field a new name",
                    field.name(),
                    column.data_type()
                );
                return Err(Error::input(message));
            }
            Some(column) => columns.push(column.clone()),
            None => columns.push(new_null_array(field.data_type(), rows.num_rows())),
        }
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
