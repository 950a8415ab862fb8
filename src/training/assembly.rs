//! The last operator of a training set: the features of all reads, row by row in the spine's order, become the columns
//! of the vector, by the code that serves lookups. Must never reorder rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{SchemaRef, UInt64Type};
use datafusion::common::Result as QueryResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use super::point_in_time::{BUFFERED, external, properties};
use super::query_error;
use super::sweep::ANSWERS;
use crate::error::{Error, Result};
use crate::plan::Vector;
use crate::vector::assemble;

/// Where a column of the output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Spine(usize),
    Vector(usize),
}

/// What is put together.
#[derive(Debug)]
pub struct Assembly {
    pub vector: Vector,
    pub spine: RecordBatch,
    /// One per request column of the vector.
    pub request: Vec<ArrayRef>,
    pub places: Vec<Place>,
    pub schema: SchemaRef,
}

/// Inputs: for each read of the vector its answers (row number, features) in the order of the rows, every row once.
/// Output: one partition, in the order of the spine.
#[derive(Debug)]
pub struct AssembleExec {
    assembly: Arc<Assembly>,
    reads: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl AssembleExec {
    pub fn new(assembly: Arc<Assembly>, reads: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        let properties = properties(assembly.schema.clone(), 1);
        Self { assembly, reads, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for AssembleExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssembleExec: vector={}, rows={}", self.assembly.vector.name, self.assembly.spine.num_rows())
    }
}

impl ExecutionPlan for AssembleExec {
    fn name(&self) -> &'static str {
        "AssembleExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.reads.iter().collect()
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
        Ok(Arc::new(Self::new(self.assembly.clone(), children)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> QueryResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> QueryResult<SendableRecordBatchStream> {
        let mut reads = Vec::with_capacity(self.reads.len());
        for (read, plan) in self.assembly.vector.reads.iter().zip(&self.reads) {
            let stream = plan.execute(0, context.clone())?;
            reads.push(Answers { stream, width: read.features.len(), batch: None, at: 0 });
        }
        let metrics = BaselineMetrics::new(&self.metrics, 0);
        let assembly = self.assembly.clone();
        let mut builder = RecordBatchReceiverStreamBuilder::new(assembly.schema.clone(), BUFFERED);
        let out = builder.tx();
        builder.spawn(async move {
            let width: usize = reads.iter().map(|read| read.width).sum();
            let rows = assembly.spine.num_rows();
            for start in (0..rows).step_by(ANSWERS) {
                let count = ANSWERS.min(rows - start);
                let mut features = Vec::with_capacity(width);
                for read in &mut reads {
                    features.extend(read.take(start, count).await.map_err(external)?);
                }
                let batch = {
                    let _timer = metrics.elapsed_compute().timer();
                    assembly.output(start, count, &features).map_err(external)?
                };
                metrics.record_output(count);
                if out.send(Ok(batch)).await.is_err() {
                    return Ok(()); // nobody reads on
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl Assembly {
    fn output(&self, start: usize, count: usize, features: &[ArrayRef]) -> Result<RecordBatch> {
        let request: Vec<ArrayRef> = self.request.iter().map(|column| column.slice(start, count)).collect();
        let vector = assemble(&self.vector, features, &request, count)?;
        let columns = self.places.iter().map(|place| match place {
            Place::Spine(column) => self.spine.column(*column).slice(start, count),
            Place::Vector(column) => vector.column(*column).clone(),
        });
        Ok(RecordBatch::try_new(self.schema.clone(), columns.collect())?)
    }
}

/// The answers of one read, as they come in.
struct Answers {
    stream: SendableRecordBatchStream,
    width: usize,
    batch: Option<RecordBatch>,
    at: usize,
}

impl Answers {
    /// The features of so many rows from `start` on, column by column.
    async fn take(&mut self, start: usize, count: usize) -> Result<Vec<ArrayRef>> {
        let (mut pieces, mut done) = (Vec::new(), 0);
        while done < count {
            let Some(batch) = self.batch.as_ref().filter(|batch| self.at < batch.num_rows()) else {
                self.at = 0;
                let next = self.stream.next().await.transpose().map_err(query_error)?;
                self.batch = Some(next.ok_or_else(|| Error::internal("fewer answers than rows"))?);
                continue;
            };
            let piece = batch.slice(self.at, (batch.num_rows() - self.at).min(count - done));
            let first = (start + done) as u64;
            done += piece.num_rows();
            self.at += piece.num_rows();
            let numbers = piece.column(0).as_primitive::<UInt64Type>().values();
            if !numbers.iter().copied().eq(first..(start + done) as u64) {
                return Err(Error::internal("answers out of the order of their rows"));
            }
            pieces.push(piece);
        }
        let column = |feature: usize| match pieces.as_slice() {
            [whole] => Ok(Arc::clone(whole.column(1 + feature))),
            pieces => concat(&pieces.iter().map(|piece| piece.column(1 + feature).as_ref()).collect::<Vec<_>>()).map_err(Error::from),
        };
        (0..self.width).map(column).collect()
    }
}
