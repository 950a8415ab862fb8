//! Physical expressions on Arrow batches. A row whose value cannot be computed has null, whatever batch it is in and however
//! the function fails: a bad cast, an overflow or a division by zero in one event must not touch another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{CastOptions, cast_with_options, concat, concat_batches, take};
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::array_value_to_string;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, ScalarValue, exec_err, plan_err};
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

/// # Errors
/// Arrow's lists of one size in an expression: elements are taken from other rows where these have more or fewer.
pub(super) fn without_sizes(expr: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<(), DataFusionError> {
    match expr.exists(|part| Ok(matches!(part.data_type(schema)?, ArrowType::FixedSizeList(..))))? {
        true => plan_err!("lists of one size have no place in an expression"),
        false => Ok(()),
    }
}

/// Tries an expression on a row of ordinary values and on a row of nulls, alone and together.
///
/// # Errors
/// What makes it fail on both, where that is about the expression and not about a value; a value that depends on the other
/// row.
pub(super) fn tried(expr: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<(), DataFusionError> {
    let row = |value: &dyn Fn(&ArrowType) -> Result<ArrayRef, ArrowError>| {
        let columns = schema.fields().iter().map(|field| value(field.data_type())).collect::<Result<_, _>>()?;
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &RecordBatchOptions::new().with_row_count(Some(1)))
    };
    let rows = [row(&one)?, row(&|data_type| Ok(new_null_array(data_type, 1)))?];
    let alone = rows.each_ref().map(|row| evaluated(expr, row));
    let of_a_value = |error: &DataFusionError| matches!(error.find_root(), DataFusionError::ArrowError(..) | DataFusionError::Execution(_));
    match alone {
        [Err(error), Err(other)] if !of_a_value(&error) && !of_a_value(&other) => Err(error),
        alone => {
            let Ok(together) = evaluated(expr, &concat_batches(schema, &rows)?) else { return Ok(()) };
            let shown = |array: &ArrayRef, row: usize| {
                let text = || array_value_to_string(array, row).unwrap_or_default();
                array.is_valid(row).then(text)
            };
            let same =
                |(row, alone): (usize, &Result<ArrayRef, _>)| alone.as_ref().is_ok_and(|alone| shown(alone, 0) == shown(&together, row));
            if alone.iter().enumerate().all(same) { Ok(()) } else { plan_err!("its value for a row depends on other rows") }
        }
    }
}

/// A row of an ordinary value; of null where there is none that is.
fn one(data_type: &ArrowType) -> Result<ArrayRef, ArrowError> {
    Ok(match data_type {
        ArrowType::Boolean => Arc::new(BooleanArray::from(vec![true])),
        ArrowType::Int64 => Arc::new(Int64Array::from(vec![1])),
        ArrowType::Float64 => Arc::new(Float64Array::from(vec![1.0])),
        ArrowType::Utf8 => Arc::new(StringArray::from(vec!["a"])),
        ArrowType::Timestamp(..) => Arc::new(TimestampMicrosecondArray::from(vec![1])),
        ArrowType::List(item) if !item.data_type().is_nested() => {
            Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths([1]), one(item.data_type())?, None)?)
        }
        other => new_null_array(other, 1),
    })
}

/// The batch with lists, maps and structs that hold their own elements alone: a slice keeps those of all rows, and some
/// functions look at them.
fn compact(batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    if !batch.columns().iter().any(|column| column.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let all = UInt32Array::from_iter_values(0..batch.num_rows() as u32);
    let own = |column: &ArrayRef| if column.data_type().is_nested() { take(column, &all, None) } else { Ok(Arc::clone(column)) };
    let columns = batch.columns().iter().map(own).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

/// As many values as rows; a function that panics fails.
pub(super) fn evaluated(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
    let batch = compact(batch)?;
    match catch_unwind(AssertUnwindSafe(|| expr.evaluate(&batch)?.into_array(batch.num_rows()))) {
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
