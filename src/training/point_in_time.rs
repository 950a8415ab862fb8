//! The operator that computes the features of one view in one role: partitions of keys, each a sweep over sorted events
//! and sorted queries. Must never sort or scan itself: its inputs do, and spill where they must.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as QueryResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::StreamExt;

use super::sweep::{Sweep, Wants, Work};
use crate::error::Error;

/// Batches that wait between an operator and its reader.
pub(super) const BUFFERED: usize = 2;

/// Inputs: events and queries, both partitioned by the hash of the key and sorted by (key, place in the order).
/// Output: the row's number and the features, in the order of the queries.
#[derive(Debug)]
pub struct PointInTimeExec {
    work: Arc<Work>,
    events: Arc<dyn ExecutionPlan>,
    queries: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PointInTimeExec {
    /// Both inputs must have the same number of partitions.
    pub fn new(work: Arc<Work>, events: Arc<dyn ExecutionPlan>, queries: Arc<dyn ExecutionPlan>) -> Self {
        let partitions = queries.output_partitioning().partition_count();
        let properties = properties(work.schema.clone(), partitions);
        Self { work, events, queries, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for PointInTimeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = &self.work;
        write!(f, "PointInTimeExec: view={}, features={}, reading={:?}", work.view.name, work.features.len(), work.reading)
    }
}

impl ExecutionPlan for PointInTimeExec {
    fn name(&self) -> &'static str {
        "PointInTimeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.events, &self.queries]
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
        let [events, queries] = <[_; 2]>::try_from(children).map_err(|_| misuse(self.name()))?;
        Ok(Arc::new(Self::new(self.work.clone(), events, queries)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> QueryResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> QueryResult<SendableRecordBatchStream> {
        let mut events = self.events.execute(partition, context.clone())?;
        let mut queries = self.queries.execute(partition, context)?;
        let mut sweep = Sweep::new(self.work.clone()).map_err(external)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.work.schema.clone(), BUFFERED);
        let out = builder.tx();
        builder.spawn(async move {
            loop {
                let wants = {
                    let _timer = metrics.elapsed_compute().timer();
                    sweep.advance().map_err(external)?
                };
                match wants {
                    Wants::Events => {
                        let batch = events.next().await.transpose()?;
                        let _timer = metrics.elapsed_compute().timer();
                        sweep.add_events(batch.as_ref()).map_err(external)?;
                    }
                    Wants::Queries => {
                        let batch = queries.next().await.transpose()?;
                        sweep.add_queries(batch.as_ref()).map_err(external)?;
                    }
                    Wants::Take(answers) => {
                        metrics.record_output(answers.num_rows());
                        if out.send(Ok(answers)).await.is_err() {
                            return Ok(()); // nobody reads on
                        }
                    }
                    Wants::Done => return Ok(()),
                }
            }
        });
        Ok(builder.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// What operators of this room promise: nothing about order or keys.
pub(super) fn properties(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// An error of ours on its way through a query; `query_error` takes it out again.
pub(super) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

pub(super) fn misuse(operator: &str) -> DataFusionError {
    DataFusionError::Internal(format!("{operator} was given another number of inputs"))
}
