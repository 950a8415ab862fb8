//! Physical expressions on Arrow batches. A row whose value cannot be computed has null, whatever batch it is in: a bad
//! cast, an overflow or a division by zero in one event must not touch another.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::DataType as ArrowType;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;

use crate::error::{Error, Result};
use crate::plan::Evaluate;

struct Physical {
    expr: Arc<dyn PhysicalExpr>,
    data_type: ArrowType,
}

pub(super) fn evaluator(expr: Arc<dyn PhysicalExpr>, data_type: ArrowType) -> Arc<dyn Evaluate> {
    Arc::new(Physical { expr, data_type })
}

/// The expression with arithmetic that reports an overflow where it would wrap around.
pub(super) fn exact(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let checked = expr.transform_up(|part| {
        let Some(binary) = part.downcast_ref::<BinaryExpr>() else { return Ok(Transformed::no(part)) };
        Ok(Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true)) as Arc<dyn PhysicalExpr>))
    })?;
    Ok(checked.data)
}

impl Physical {
    fn attempt(&self, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
        let array = self.expr.evaluate(batch)?.into_array(batch.num_rows())?;
        if *array.data_type() == self.data_type {
            return Ok(array);
        }
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        Ok(cast_with_options(&array, &self.data_type, &strict)?)
    }

    /// Splits a batch that cannot be evaluated until the rows that cannot stand alone.
    fn halves(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let rows = batch.num_rows();
        if rows <= 1 {
            return Ok(new_null_array(&self.data_type, rows));
        }
        let (left, right) = (batch.slice(0, rows / 2), batch.slice(rows / 2, rows - rows / 2));
        Ok(concat(&[&self.evaluate(&left)?, &self.evaluate(&right)?])?)
    }
}

impl Evaluate for Physical {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        match self.attempt(batch) {
            Ok(array) => Ok(array),
            Err(error) if of_a_value(&error) => self.halves(batch),
            Err(error) => Err(Error::internal(format!("cannot evaluate {}: {}", self.expr, error.strip_backtrace()))),
        }
    }
}

/// Whether an error is about a value, and not about the expression or the batch's schema.
fn of_a_value(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ArrowError(..) | DataFusionError::Execution(_))
}

#[cfg(test)]
mod tests;
