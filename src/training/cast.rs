//! Columns of files in the types of the language, losing nothing on the way: what does not fit is an error that names the
//! column, the row and the value. Must never guess a unit or round.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Date64Type, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use crate::error::{Error, Result};
use crate::time::{EventTime, Span};
use crate::value::DataType;

const STRICT: CastOptions<'static> = CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// The column as that type of the language. `what` names it in errors: `column user_id of spine.csv`.
pub fn to_type(array: &ArrayRef, to: &DataType, what: &str) -> Result<ArrayRef> {
    let array = plain(array)?;
    if *array.data_type() == to.arrow() {
        return Ok(array);
    }
    if *array.data_type() == ArrowType::Null {
        return Ok(new_null_array(&to.arrow(), array.len()));
    }
    let from = array.data_type().clone();
    let text = from == ArrowType::Utf8;
    let mismatch = || Error::input(format!("{what} is {}, but {to} is needed: convert it", spelled(&from)));
    match to {
        DataType::Timestamp => times(&array, what),
        DataType::Int if text => parsed::<Int64Array, _>(&array, to, what, |text| text.parse::<i64>().ok()),
        DataType::Float if text => parsed::<Float64Array, _>(&array, to, what, |text| text.parse::<f64>().ok()),
        DataType::Bool if text => parsed::<BooleanArray, _>(&array, to, what, boolean),
        DataType::Int if from.is_floating() => whole(&array, what),
        DataType::Int | DataType::Text if from.is_integer() => strict(&array, to, what),
        DataType::Float if from.is_numeric() => strict(&array, to, what),
        DataType::List(_) | DataType::Map(_) | DataType::Struct(_) if from.is_nested() => strict(&array, to, what),
        DataType::List(_) if text => {
            Err(Error::input(format!("{what} is text, but {to} is needed: CSV has no form for lists, write the file as NDJSON or Parquet")))
        }
        _ => Err(mismatch()),
    }
}

/// The column as event times: timestamps of any unit and zone, dates, or RFC 3339 text.
pub fn times(array: &ArrayRef, what: &str) -> Result<ArrayRef> {
    let array = plain(array)?;
    let micros: TimestampMicrosecondArray = match array.data_type() {
        ArrowType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().try_unary(|v| scaled(v, 1_000_000, what))?
        }
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().try_unary(|v| scaled(v, 1_000, what))?
        }
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().unary(|v| v),
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => array.as_primitive::<TimestampNanosecondType>().unary(|v| v.div_euclid(1_000)),
        ArrowType::Date32 => array.as_primitive::<Date32Type>().unary(|v| i64::from(v) * Span::DAY.0),
        ArrowType::Date64 => array.as_primitive::<Date64Type>().try_unary(|v| scaled(v, 1_000, what))?,
        ArrowType::Utf8 => {
            return parsed::<TimestampMicrosecondArray, _>(&array, &DataType::Timestamp, what, |text| {
                EventTime::parse(text).map(|time| time.0)
            });
        }
        ArrowType::Null => return Ok(new_null_array(&DataType::Timestamp.arrow(), array.len())),
        other => {
            let message = format!("{what} is {}, which is no time: give timestamps, or text such as 2026-01-31T12:00:00Z", spelled(other));
            return Err(Error::input(message));
        }
    };
    Ok(Arc::new(micros))
}

/// A column of text as the narrowest type that holds every value as it is written: bigint, double, boolean, timestamp,
/// else text. A number with a leading zero is an identifier.
pub fn inferred(array: &StringArray) -> Result<ArrayRef> {
    let all = |fits: &dyn Fn(&str) -> bool| array.iter().flatten().all(fits) && array.null_count() < array.len();
    let identifier = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.")
    };
    let number = |text: &str| !identifier(text) && text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let types: [(DataType, &dyn Fn(&str) -> bool); 4] = [
        (DataType::Int, &|text| number(text) && text.parse::<i64>().is_ok()),
        (DataType::Float, &|text| number(text) && text.parse::<f64>().is_ok()),
        (DataType::Bool, &|text| boolean(text).is_some()),
        (DataType::Timestamp, &|text| EventTime::parse(text).is_some()),
    ];
    let text: ArrayRef = Arc::new(array.clone());
    match types.iter().find(|(_, fits)| all(fits)) {
        Some((to, _)) => to_type(&text, to, "a column"),
        None => Ok(text),
    }
}

/// Without dictionaries and views, as text of one kind.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let to = match array.data_type() {
        ArrowType::Dictionary(_, values) => values.as_ref().clone(),
        ArrowType::LargeUtf8 | ArrowType::Utf8View => ArrowType::Utf8,
        _ => return Ok(array.clone()),
    };
    plain(&cast_with_options(array, &to, &STRICT)?)
}

fn strict(array: &ArrayRef, to: &DataType, what: &str) -> Result<ArrayRef> {
    cast_with_options(array, &to.arrow(), &STRICT).map_err(|error| Error::input(format!("{what}: {error}")))
}

fn parsed<A, T>(array: &ArrayRef, to: &DataType, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<ArrayRef>
where
    A: Array + FromIterator<Option<T>> + 'static,
{
    let text = array.as_string::<i32>();
    let value = |(row, text): (usize, Option<&str>)| match text {
        None => Ok(None),
        Some(text) => parse(text.trim())
            .map(Some)
            .ok_or_else(|| Error::input(format!("{what}, row {}: '{}' is no {to}: mend it or leave it empty", row + 1, shortened(text)))),
    };
    Ok(Arc::new(text.iter().enumerate().map(value).collect::<Result<A>>()?))
}

/// Doubles that are whole numbers, as JSON writers make them of integers beside nulls.
fn whole(array: &ArrayRef, what: &str) -> Result<ArrayRef> {
    let floats = cast_with_options(array, &ArrowType::Float64, &STRICT)?;
    let value = |(row, value): (usize, Option<f64>)| match value {
        None => Ok(None),
        Some(value) if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => Ok(Some(value as i64)),
        Some(value) => Err(Error::input(format!("{what}, row {}: {value:?} is no bigint: mend it or leave it empty", row + 1))),
    };
    let floats = floats.as_primitive::<Float64Type>().iter();
    Ok(Arc::new(floats.enumerate().map(value).collect::<Result<Int64Array>>()?))
}

fn scaled(value: i64, by: i64, what: &str) -> Result<i64> {
    value.checked_mul(by).ok_or_else(|| Error::input(format!("{what}: the time {value} is out of range")))
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn spelled(arrow: &ArrowType) -> String {
    if let ArrowType::List(item) = arrow {
        return format!("{}[]", spelled(item.data_type()));
    }
    let known = [DataType::Bool, DataType::Int, DataType::Float, DataType::Text, DataType::Timestamp];
    known.iter().find(|known| known.arrow() == *arrow).map_or_else(|| arrow.to_string(), ToString::to_string)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(40).chain("..".chars()).collect() }
}
