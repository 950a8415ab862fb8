//! Casts: a double becomes the nearest bigint, the even one of two; texts are numbers, booleans and times as a whole or not
//! at all; doubles and times are written as PostgreSQL writes them. Lists are cast element by element.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType as ArrowType, Field, Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, exec_err};

use super::Takes::{Any, Double, Integer, Text, Time};
use super::{Sense, each, sense, text_forms, time, times};

pub(super) static SENSES: &[Sense] = &[
    sense(
        "double to bigint",
        &[Double],
        |_| Ok(ArrowType::Int64),
        |given| {
            let x = given[0].as_primitive::<Float64Type>();
            Ok(Arc::new(each(given, |row| nearest(x.value(row))).collect::<Int64Array>()))
        },
    ),
    sense(
        "text to bigint",
        &[Text],
        |_| Ok(ArrowType::Int64),
        |given| {
            let text = given[0].as_string::<i32>();
            Ok(Arc::new(each(given, |row| text_forms::integer(text.value(row))).collect::<Int64Array>()))
        },
    ),
    sense(
        "text to double",
        &[Text],
        |_| Ok(ArrowType::Float64),
        |given| {
            let text = given[0].as_string::<i32>();
            Ok(Arc::new(each(given, |row| text_forms::double(text.value(row))).collect::<Float64Array>()))
        },
    ),
    sense(
        "text to boolean",
        &[Text],
        |_| Ok(ArrowType::Boolean),
        |given| {
            let text = given[0].as_string::<i32>();
            Ok(Arc::new(each(given, |row| text_forms::boolean(text.value(row))).collect::<BooleanArray>()))
        },
    ),
    sense(
        "text to timestamp",
        &[Text],
        |_| Ok(time()),
        |given| {
            let text = given[0].as_string::<i32>();
            Ok(Arc::new(each(given, |row| text_forms::moment(text.value(row))).collect::<TimestampMicrosecondArray>()))
        },
    ),
    sense(
        "bigint to boolean",
        &[Integer],
        |_| Ok(ArrowType::Boolean),
        |given| {
            let n = given[0].as_primitive::<Int64Type>();
            Ok(Arc::new(each(given, |row| Some(n.value(row) != 0)).collect::<BooleanArray>()))
        },
    ),
    sense("to text", &[Any], |_| Ok(ArrowType::Utf8), |given| to_text(&given[0])),
    sense("timestamp to text", &[Time], |_| Ok(ArrowType::Utf8), |given| to_text(&given[0])),
    sense(
        "texts of list",
        &[Any],
        |_| Ok(ArrowType::List(texts())),
        |given| {
            let list = given[0].as_list::<i32>();
            let items = to_text(list.values())?;
            Ok(Arc::new(ListArray::try_new(texts(), list.offsets().clone(), items, list.nulls().cloned())?))
        },
    ),
    // As PostgreSQL joins them: booleans by one letter.
    sense(
        "words of list",
        &[Any],
        |_| Ok(ArrowType::List(texts())),
        |given| {
            let list = given[0].as_list::<i32>();
            let items: ArrayRef = match list.values().as_boolean_opt() {
                Some(items) => Arc::new(items.iter().map(|item| item.map(|item| if item { "t" } else { "f" })).collect::<StringArray>()),
                None => to_text(list.values())?,
            };
            Ok(Arc::new(ListArray::try_new(texts(), list.offsets().clone(), items, list.nulls().cloned())?))
        },
    ),
];

fn texts() -> Arc<Field> {
    Arc::new(Field::new_list_field(ArrowType::Utf8, true))
}

/// Half to even; none where no bigint is near.
fn nearest(x: f64) -> Option<i64> {
    let x = x.round_ties_even();
    // The bounds are the doubles next to those of a bigint.
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&x).then_some(x as i64)
}

fn to_text(values: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
    let given = std::slice::from_ref(values);
    let texts: StringArray = match values.data_type() {
        ArrowType::Float64 => {
            let x = values.as_primitive::<Float64Type>();
            each(given, |row| Some(text_forms::of_double(x.value(row)))).collect()
        }
        ArrowType::Int64 => {
            let n = values.as_primitive::<Int64Type>();
            each(given, |row| Some(n.value(row).to_string())).collect()
        }
        ArrowType::Boolean => {
            let b = values.as_boolean();
            each(given, |row| Some(if b.value(row) { "true" } else { "false" })).collect()
        }
        ArrowType::Timestamp(..) => {
            let t = values.as_primitive::<TimestampMicrosecondType>();
            each(given, |row| times::written(t.value(row))).collect()
        }
        ArrowType::Utf8 => return Ok(Arc::clone(values)),
        other => return exec_err!("a {other} is not written as text"),
    };
    Ok(Arc::new(texts))
}
