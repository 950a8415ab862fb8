//! The rows that a branch of a stream makes of its source's events, by the expressions that make them online.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, UInt32Type, UInt64Type};
use datafusion::common::Result as QueryResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::StreamExt;

use super::point_in_time::{external, misuse, properties};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition, Position};
use crate::plan::Branch;
use crate::time::EventTime;

/// What is made of batches of a source's events.
#[derive(Debug)]
pub struct Derivation {
    pub branch: Branch,
    /// The branch's place among those of its stream.
    pub place: u8,
    pub source_schema: SchemaRef,
    /// For each field of the source, the column of its batches that holds it; a field that no expression needs is null.
    pub own: Vec<Option<usize>>,
    /// The columns of its batches.
    pub partition: usize,
    pub offset: usize,
    pub seq: usize,
    pub schema: SchemaRef,
}

/// The columns of a stream's rows, then `partition` (with the branch), `offset` and `seq`.
#[must_use]
pub fn schema(rows: &Schema) -> SchemaRef {
    let mut fields: Vec<_> = rows.fields().iter().cloned().collect();
    for (name, data_type) in [("partition", ArrowType::UInt32), ("offset", ArrowType::UInt64), ("seq", ArrowType::UInt64)] {
        fields.push(Arc::new(Field::new(name, data_type, false)));
    }
    Arc::new(Schema::new(fields))
}

impl Derivation {
    fn derive(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let own = self.source_schema.fields().iter().zip(&self.own).map(|(field, column)| match column {
            Some(column) => batch.column(*column).clone(),
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
        let derived = self.branch.derive(&RecordBatch::try_new(self.source_schema.clone(), own.collect())?)?;
        let wrong = |column: usize| Error::internal(format!("column {} is no place", batch.schema_ref().field(column).name()));
        let partitions = batch.column(self.partition).as_primitive_opt::<UInt32Type>().ok_or_else(|| wrong(self.partition))?;
        let offsets = batch.column(self.offset).as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong(self.offset))?;
        let seqs = batch.column(self.seq).as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong(self.seq))?;
        let (mut placed, mut repeated) = (Vec::with_capacity(derived.rows.num_rows()), Vec::with_capacity(derived.rows.num_rows()));
        for event in 0..batch.num_rows() {
            let (partition, offset) = (Partition(partitions.value(event)), Offset(offsets.value(event)));
            let own = Position { time: EventTime(0), partition, offset };
            for element in 0..derived.rows_of(event).len() {
                placed.push(self.branch.place(self.place, own, element));
                repeated.push(seqs.value(event));
            }
        }
        let (partitions, offsets): (Vec<u32>, Vec<u64>) = placed.into_iter().map(|at| (at.partition.0, at.offset.0)).unzip();
        let mut columns: Vec<ArrayRef> = derived.rows.columns().to_vec();
        columns.push(Arc::new(UInt32Array::from(partitions)));
        columns.push(Arc::new(UInt64Array::from(offsets)));
        columns.push(Arc::new(UInt64Array::from(repeated)));
        let rows = RecordBatch::try_new(self.schema.clone(), columns)?;
        Ok(match &derived.kept {
            Some(kept) => filter_record_batch(&rows, kept)?,
            None => rows,
        })
    }
}

/// Input: events of a source, in any partitions and order. Output: the rows of the branch, in the same.
#[derive(Debug)]
pub struct DeriveExec {
    derivation: Arc<Derivation>,
    events: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DeriveExec {
    pub fn new(derivation: Arc<Derivation>, events: Arc<dyn ExecutionPlan>) -> Self {
        let properties = properties(derivation.schema.clone(), events.output_partitioning().partition_count());
        Self { derivation, events, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for DeriveExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeriveExec: branch={}, steps={:?}", self.derivation.place, self.derivation.branch.steps)
    }
}

impl ExecutionPlan for DeriveExec {
    fn name(&self) -> &'static str {
        "DeriveExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.events]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> QueryResult<TreeNodeRecursion>,
    ) -> QueryResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        let [events] = <[_; 1]>::try_from(children).map_err(|_| misuse(self.name()))?;
        Ok(Arc::new(Self::new(self.derivation.clone(), events)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> QueryResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> QueryResult<SendableRecordBatchStream> {
        let events = self.events.execute(partition, context)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let derivation = self.derivation.clone();
        let rows = events.map(move |batch| {
            let batch = batch?;
            let _timer = metrics.elapsed_compute().timer();
            let rows = derivation.derive(&batch).map_err(external)?;
            metrics.record_output(rows.num_rows());
            Ok(rows)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.derivation.schema.clone(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
