//! `cyclic_sin(x, period)`, `cyclic_cos(x, period)`, `cyclic(x, period)` (both, as a list of two doubles): x as a point
//! on a circle, so that the ends of a period lie side by side. `period` is a literal above zero. NaN and infinities
//! give NaN.

use std::f64::consts::TAU;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Float64Builder, ListBuilder};
use arrow::datatypes::{DataType as ArrowType, Field, Float64Type};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::ColumnarValue;

use super::{Argument, Function, column, literal_double};

const ARGUMENTS: &[Argument] = &[Argument::Number, Argument::Period];

pub(super) const CYCLIC: Function = Function {
    name: "cyclic",
    form: "cyclic(x, period)",
    arguments: ARGUMENTS,
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::List(item()),
    compute: both,
};

pub(super) const CYCLIC_COS: Function = Function {
    name: "cyclic_cos",
    form: "cyclic_cos(x, period)",
    arguments: ARGUMENTS,
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Float64,
    compute: |arguments, rows| Ok(Arc::new(angles(arguments, rows)?.unary::<_, Float64Type>(f64::cos))),
};

pub(super) const CYCLIC_SIN: Function = Function {
    name: "cyclic_sin",
    form: "cyclic_sin(x, period)",
    arguments: ARGUMENTS,
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Float64,
    compute: |arguments, rows| Ok(Arc::new(angles(arguments, rows)?.unary::<_, Float64Type>(f64::sin))),
};

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", ArrowType::Float64, true))
}

/// In radians, from 0 to a full circle: the remainder is exact, so that x may be many periods away.
fn angles(arguments: &[ColumnarValue], rows: usize) -> Result<Float64Array, DataFusionError> {
    let period = literal_double(&arguments[1])?;
    let column = column(&arguments[0], rows)?;
    Ok(column.as_primitive::<Float64Type>().unary(|x| TAU * (x.rem_euclid(period) / period)))
}

fn both(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef, DataFusionError> {
    let angles = angles(arguments, rows)?;
    let mut lists = ListBuilder::new(Float64Builder::with_capacity(2 * rows)).with_field(item());
    for row in 0..rows {
        let present = angles.is_valid(row);
        if present {
            let angle = angles.value(row);
            lists.values().append_slice(&[angle.sin(), angle.cos()]);
        }
        lists.append(present);
    }
    Ok(Arc::new(lists.finish()))
}
