//! `bucket(x, bound, ..)`: how many of the bounds are at most x, which is the index of x's bucket: 0 below the first
//! bound, their number at or above the last. Bounds are literals, each above the one before it. Type: bigint. Integers
//! are compared exactly where the bounds are integers too; NaN is above every bound, as in `max`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, ScalarValue, exec_err};
use datafusion::logical_expr::ColumnarValue;

use super::{Argument, Function, column, literal, literal_double};

pub(super) const BUCKET: Function = Function {
    name: "bucket",
    form: "bucket(x, bound, ..)",
    arguments: &[Argument::Number, Argument::Bound],
    repeats: true,
    keeps_integers: true,
    result: || ArrowType::Int64,
    compute,
};

fn compute(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef, DataFusionError> {
    let (x, bounds) = (column(&arguments[0], rows)?, &arguments[1..]);
    let indices: Int64Array = if *x.data_type() == ArrowType::Int64 {
        let bounds = bounds.iter().map(integer).collect::<Result<Vec<_>, _>>()?;
        x.as_primitive::<Int64Type>().unary(|x| bounds.partition_point(|bound| *bound <= x) as i64)
    } else {
        let bounds = bounds.iter().map(literal_double).collect::<Result<Vec<_>, _>>()?;
        x.as_primitive::<Float64Type>().unary(|x| bounds.partition_point(|bound| x.is_nan() || *bound <= x) as i64)
    };
    Ok(Arc::new(indices))
}

fn integer(bound: &ColumnarValue) -> Result<i64, DataFusionError> {
    match literal(bound)? {
        ScalarValue::Int64(Some(value)) => Ok(*value),
        other => exec_err!("{other} stands where a whole number belongs"),
    }
}
