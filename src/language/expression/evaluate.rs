//! Physical expressions on Arrow batches. A row whose value cannot be computed has null, whatever batch it is in and however
//! the function fails: a bad cast, an overflow or a division by zero in one event must not touch another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, ScalarValue, exec_err};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal, NegativeExpr};

use crate::error::Result;
use crate::plan::Evaluate;

struct Physical {
    expr: Arc<dyn PhysicalExpr>,
    data_type: ArrowType,
}

pub(super) fn evaluator(expr: Arc<dyn PhysicalExpr>, data_type: ArrowType) -> Arc<dyn Evaluate> {
    Arc::new(Physical { expr, data_type })
}

/// The expression with arithmetic that reports an overflow where it would wrap around.
pub(super) fn exact(expr: Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let checked = expr.transform_up(|part| {
        let checked = if let Some(binary) = part.downcast_ref::<BinaryExpr>() {
            binary.clone()
        } else if let Some(negative) = part.downcast_ref::<NegativeExpr>()
            && negative.arg().data_type(schema)?.is_integer()
        {
            let zero = Arc::new(Literal::new(ScalarValue::new_zero(&negative.arg().data_type(schema)?)?));
            BinaryExpr::new(zero, Operator::Minus, Arc::clone(negative.arg()))
        } else {
            return Ok(Transformed::no(part));
        };
        Ok(Transformed::yes(Arc::new(checked.with_fail_on_overflow(true)) as Arc<dyn PhysicalExpr>))
    })?;
    Ok(checked.data)
}

/// Tries an expression on a row of ordinary values and on a row of nulls.
///
/// # Errors
/// What makes it fail on both, where that is about the expression and not about a value.
pub(super) fn tried(expr: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<(), DataFusionError> {
    let ordinary = |data_type: &ArrowType| -> ArrayRef {
        match data_type {
            ArrowType::Boolean => Arc::new(BooleanArray::from(vec![true])),
            ArrowType::Int64 => Arc::new(Int64Array::from(vec![1])),
            ArrowType::Float64 => Arc::new(Float64Array::from(vec![1.0])),
            ArrowType::Utf8 => Arc::new(StringArray::from(vec!["a"])),
            ArrowType::Timestamp(..) => Arc::new(TimestampMicrosecondArray::from(vec![1])),
            other => new_null_array(other, 1),
        }
    };
    let fails = |value: &dyn Fn(&ArrowType) -> ArrayRef| {
        let columns = schema.fields().iter().map(|field| value(field.data_type())).collect();
        let batch = RecordBatch::try_new(Arc::clone(schema), columns).ok()?;
        let of_a_value =
            |error: &DataFusionError| matches!(error.find_root(), DataFusionError::ArrowError(..) | DataFusionError::Execution(_));
        evaluated(expr, &batch).err().filter(|error| !of_a_value(error))
    };
    match (fails(&ordinary), fails(&|data_type| new_null_array(data_type, 1))) {
        (Some(error), Some(_)) => Err(error),
        _ => Ok(()),
    }
}

/// As many values as rows; a function that panics fails.
fn evaluated(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
    match catch_unwind(AssertUnwindSafe(|| expr.evaluate(batch)?.into_array(batch.num_rows()))) {
        Ok(values) => values,
        Err(_) => exec_err!("{expr} panicked"),
    }
}

impl Physical {
    fn attempt(&self, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
        let array = evaluated(&self.expr, batch)?;
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
        self.attempt(batch).or_else(|_| self.halves(batch))
    }
}

#[cfg(test)]
mod tests;
