//! Columns of spines in the types of the language, by the one conversion for every way in. What does not fit is an error
//! that names the column, the row and the value. Must never have a rule of its own.

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::datatypes::{DataType as ArrowType, Field, TimestampMicrosecondType};

use super::written::{self, Form};
use crate::decode::Values;
use crate::decode::value::{Mismatch, becomes, cell, counted, item, stored, unpacked};
use crate::error::{Error, Result};
use crate::time::{Epoch, Span};
use crate::value::{DataType, Value};
use crate::vector::array_of;

/// The column as that type of the language; `epoch` is what its integers count that stand for times. `what` names it in
/// errors: `column user_id of spine.csv`.
pub fn to_type(array: &ArrayRef, field: &Field, to: &DataType, epoch: Epoch, what: &str) -> Result<ArrayRef> {
    if let Some(form) = written::form(field) {
        return of_texts(array, form, to, epoch, what);
    }
    if *array.data_type() == to.arrow() && !matches!(single(to), DataType::Timestamp) {
        return Ok(array.clone());
    }
    if *array.data_type() == ArrowType::Null {
        return Ok(new_null_array(&to.arrow(), array.len()));
    }
    if !becomes(array.data_type(), to) {
        return Err(Error::input(format!("{what} is {}, but {to} is needed: convert it", spelled(array.data_type()))));
    }
    let array = unpacked(array)?;
    let is_count = item(array.data_type()).unwrap_or(array.data_type()).is_integer() && *single(to) == DataType::Timestamp;
    let number = if to.is_single() { DataType::Int } else { DataType::List(Box::new(DataType::Int)) };
    of_rows(array.len(), to, what, |row| match is_count {
        true => stored(array.as_ref(), row, &number).and_then(|numbers| times_of(numbers, epoch)),
        false => stored(array.as_ref(), row, to),
    })
}

/// What numbers count, alone or in lists.
fn times_of(numbers: Value, epoch: Epoch) -> Result<Value, Mismatch> {
    match numbers {
        Value::Int(number) => counted(number, epoch, &DataType::Timestamp).map(Value::from),
        Value::List(numbers) => numbers
            .iter()
            .map(|number| times_of(number.clone(), epoch))
            .collect::<Result<Vec<_>, _>>()
            .map(|times| Value::List(times.into())),
        none => Ok(none),
    }
}

/// The column as event times.
pub fn times(array: &ArrayRef, field: &Field, epoch: Epoch, what: &str) -> Result<ArrayRef> {
    if written::form(field).is_none() && !becomes(array.data_type(), &DataType::Timestamp) {
        let shown = spelled(array.data_type());
        return Err(Error::input(format!("{what} is {shown}, which is no time: give timestamps, or text such as 2026-01-31T12:00:00Z")));
    }
    let times = to_type(array, field, &DataType::Timestamp, epoch, what)?;
    let as_numbers = match written::form(field) {
        Some(_) => array.as_string::<i32>().iter().flatten().all(|text| text.trim().parse::<i64>().is_ok()),
        None => unpacked(array)?.data_type().is_integer(),
    };
    let mut micros = times.as_primitive::<TimestampMicrosecondType>().iter().flatten().peekable();
    // Numbers of seconds or milliseconds, taken for microseconds, would ask at a time before anything happened.
    if as_numbers && micros.peek().is_some() && micros.all(|micros| (0..31 * Span::DAY.0).contains(&micros)) {
        return Err(Error::input(format!(
            "{what} holds numbers that are times of January 1970 in {epoch}: give {epoch}, timestamps, or text such as 2026-01-31T12:00:00Z"
        )));
    }
    Ok(times)
}

fn of_texts(array: &ArrayRef, form: Form, to: &DataType, epoch: Epoch, what: &str) -> Result<ArrayRef> {
    let texts = array.as_string::<i32>();
    let mut values = Values::of(to, epoch);
    of_rows(texts.len(), to, what, |row| match form {
        _ if texts.is_null(row) => Ok(Value::Null),
        Form::Cell => match texts.value(row).trim().parse() {
            Ok(number) if *to == DataType::Timestamp => counted(number, epoch, to).map(Value::from),
            _ => Ok(cell(texts.value(row), to)?.map_or(Value::Null, Value::from)),
        },
        Form::Json => values.read(texts.value(row)),
    })
}

fn of_rows(rows: usize, to: &DataType, what: &str, mut value: impl FnMut(usize) -> Result<Value, Mismatch>) -> Result<ArrayRef> {
    let value = |row| {
        value(row)
            .map_err(|mismatch| Error::input(format!("{what}, row {}: no {to}, mend it or leave it empty: {}", row + 1, mismatch.message)))
    };
    let values = (0..rows).map(value).collect::<Result<Vec<_>>>()?;
    array_of(to, values.iter())
}

fn single(data_type: &DataType) -> &DataType {
    if let DataType::List(item) = data_type { item } else { data_type }
}

fn spelled(arrow: &ArrowType) -> String {
    if let ArrowType::List(item) = arrow {
        return format!("{}[]", spelled(item.data_type()));
    }
    let known = [DataType::Bool, DataType::Int, DataType::Float, DataType::Text, DataType::Timestamp];
    known.iter().find(|known| known.arrow() == *arrow).map_or_else(|| arrow.to_string(), ToString::to_string)
}
