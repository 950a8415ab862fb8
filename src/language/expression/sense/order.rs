//! The order of values: of doubles, zero is one value whatever its sign, and NaN is one value, equal to itself and above all
//! others, as PostgreSQL has it. Arrow's kernels order by bits; they are given doubles of one form.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, make_comparator};
use arrow::compute::{SortOptions, interleave};
use arrow::datatypes::{DataType as ArrowType, DurationMicrosecondType, Float64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, exec_err};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;

use super::Takes::Any;
use super::{Sense, each, sense};
use crate::time::Span;

pub(super) static SENSES: &[Sense] = &[
    sense(ONE_FORM, &[Any], |given| Ok(given[0].clone()), |given| Ok(one_form(&given[0]))),
    sense(LENGTH, &[Any], |_| Ok(ArrowType::Int64), length),
    sense("greatest", &[Any], common, |given| extreme(given, Ordering::Greater)).repeating(),
    sense("least", &[Any], common, |given| extreme(given, Ordering::Less)).repeating(),
];

/// What doubles are given to before they are compared.
pub(in super::super) const ONE_FORM: &str = "one form";

/// What intervals are given to before they are compared: microseconds, of months with 30 days each of 24 hours.
pub(in super::super) const LENGTH: &str = "length of interval";

fn length(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let micros: Int64Array = match given[0].data_type() {
        ArrowType::Duration(TimeUnit::Microsecond) => given[0].as_primitive::<DurationMicrosecondType>().iter().collect(),
        ArrowType::Interval(IntervalUnit::MonthDayNano) => {
            let span = given[0].as_primitive::<IntervalMonthDayNanoType>();
            let micros = |row| {
                let span = span.value(row);
                let days = i64::from(span.months) * 30 + i64::from(span.days);
                days.checked_mul(Span::DAY.0)?.checked_add(span.nanoseconds.div_euclid(1_000))
            };
            each(given, micros).collect()
        }
        other => return exec_err!("a {other} is no interval"),
    };
    Ok(Arc::new(micros))
}

/// Whether a type has doubles in it.
pub(in super::super) fn has_doubles(data_type: &ArrowType) -> bool {
    match data_type {
        ArrowType::List(item) => has_doubles(item.data_type()),
        other => *other == ArrowType::Float64,
    }
}

/// Doubles with positive zeros and one NaN; anything else as it is.
pub(super) fn one_form(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        ArrowType::Float64 => {
            let x = values.as_primitive::<Float64Type>();
            Arc::new(x.unary::<_, Float64Type>(|x| if x.is_nan() { f64::NAN } else { x + 0.0 }))
        }
        ArrowType::List(item) if has_doubles(item.data_type()) => {
            let list = values.as_list::<i32>();
            Arc::new(ListArray::new(Arc::clone(item), list.offsets().clone(), one_form(list.values()), list.nulls().cloned()))
        }
        _ => Arc::clone(values),
    }
}

/// The type that all arguments are compared as.
pub(in super::super) fn common(given: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
    let common = given.iter().skip(1).try_fold(given[0].clone(), |common, other| comparison_coercion(&common, other));
    common.map_or_else(|| datafusion::common::plan_err!("values of different types have no order"), Ok)
}

/// Of each row the first value that no other surpasses; nulls count for nothing.
fn extreme(given: &[ArrayRef], wanted: Ordering) -> Result<ArrayRef, DataFusionError> {
    let types: Vec<_> = given.iter().map(|column| column.data_type().clone()).collect();
    let data_type = common(&types)?;
    let columns = given.iter().map(|column| arrow::compute::cast(column, &data_type)).collect::<Result<Vec<_>, _>>()?;
    let forms: Vec<_> = columns.iter().map(one_form).collect();
    let mut best: Vec<(usize, usize)> = (0..columns[0].len()).map(|row| (0, row)).collect();
    for (index, form) in forms.iter().enumerate().skip(1) {
        let orders = forms[..index].iter().map(|other| make_comparator(form, other, SortOptions::default()));
        let orders = orders.collect::<Result<Vec<_>, _>>()?;
        for (row, best) in best.iter_mut().enumerate().filter(|(row, _)| form.is_valid(*row)) {
            if forms[best.0].is_null(row) || orders[best.0](row, row) == wanted {
                best.0 = index;
            }
        }
    }
    let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&columns, &best)?)
}
