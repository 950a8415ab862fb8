//! Values of every type that a training set can have as JSON and as text, also of types that only a spine has. Must never
//! leave a value out or lose a digit: what has no text is an error.

use std::io::Write;

use arrow::array::{Array, AsArray, downcast_dictionary_array};
use arrow::datatypes::{DataType as ArrowType, Float16Type, Float32Type, TimeUnit, TimestampNanosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, SecondsFormat};

use crate::decode::value;
use crate::error::{Error, Result};
use crate::json::{write_float, write_text, write_value};
use crate::value::{DataType, Value};
use crate::vector::value_at;

/// Appends a value as JSON, spelled as everywhere (`crate::json`): lists as arrays, maps and structs as objects, numbers with
/// all their digits, and anything else as its text.
pub fn write_json(out: &mut Vec<u8>, array: &dyn Array, row: usize) -> Result<()> {
    use ArrowType as A;
    if array.is_null(row) || *array.data_type() == A::Null {
        out.extend(b"null");
        return Ok(());
    }
    match array.data_type() {
        A::Boolean | A::Int64 | A::Float64 | A::Utf8 | A::Timestamp(TimeUnit::Microsecond, _) => write_value(out, &value_at(array, row)),
        A::Float16 => write_single(out, array.as_primitive::<Float16Type>().value(row).to_f32()),
        A::Float32 => write_single(out, array.as_primitive::<Float32Type>().value(row)),
        number if number.is_numeric() => out.extend(text(array, row)?.bytes()),
        A::List(_) => write_items(out, array.as_list::<i32>().value(row).as_ref())?,
        A::LargeList(_) => write_items(out, array.as_list::<i64>().value(row).as_ref())?,
        A::ListView(_) => write_items(out, array.as_list_view::<i32>().value(row).as_ref())?,
        A::LargeListView(_) => write_items(out, array.as_list_view::<i64>().value(row).as_ref())?,
        A::FixedSizeList(..) => write_items(out, array.as_fixed_size_list().value(row).as_ref())?,
        A::Struct(fields) => {
            out.push(b'{');
            for (at, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                write_name(out, at, field.name());
                write_json(out, column.as_ref(), row)?;
            }
            out.push(b'}');
        }
        A::Map(..) => {
            let entries = array.as_map().value(row);
            out.push(b'{');
            for entry in 0..entries.len() {
                write_name(out, entry, &cell(entries.column(0).as_ref(), entry)?.unwrap_or_default());
                write_json(out, entries.column(1).as_ref(), entry)?;
            }
            out.push(b'}');
        }
        A::Dictionary(..) => downcast_dictionary_array!(
            array => match array.key(row) {
                Some(key) => write_json(out, array.values().as_ref(), key)?,
                None => out.extend(b"null"),
            },
            other => return Err(Error::internal(format!("a dictionary of {other}")))
        ),
        _ => write_text(out, &text(array, row)?),
    }
    Ok(())
}

fn write_items(out: &mut Vec<u8>, items: &dyn Array) -> Result<()> {
    out.push(b'[');
    for item in 0..items.len() {
        if item > 0 {
            out.push(b',');
        }
        write_json(out, items, item)?;
    }
    out.push(b']');
    Ok(())
}

/// The name of a field of an object.
fn write_name(out: &mut Vec<u8>, at: usize, name: &str) {
    if at > 0 {
        out.push(b',');
    }
    write_text(out, name);
    out.push(b':');
}

/// In the fewest digits that read back as the same 32 bits.
fn write_single(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{value:?}");
    } else {
        write_float(out, value.into());
    }
}

/// A value as a cell of CSV: lists, maps and structs as JSON, others without quotes. `None` for null.
pub fn cell(array: &dyn Array, row: usize) -> Result<Option<String>> {
    use ArrowType as A;
    if array.is_null(row) {
        return Ok(None);
    }
    let data_type = array.data_type();
    let is_float = matches!(data_type, A::Float16 | A::Float32 | A::Float64);
    if !(is_float || data_type.is_nested() || matches!(data_type, A::Boolean | A::Int64)) {
        return text(array, row).map(Some);
    }
    let mut json = Vec::new();
    write_json(&mut json, array, row)?;
    let json = String::from_utf8_lossy(&json).into_owned();
    // NaN and the infinities.
    Ok(Some(if is_float { json.trim_matches('"').to_owned() } else { json }))
}

/// The text of a single value: times as RFC 3339 with all their digits, identifiers of 16 bytes, and what Arrow shows.
fn text(array: &dyn Array, row: usize) -> Result<String> {
    if let Some(nanos) = array.as_primitive_opt::<TimestampNanosecondType>() {
        return Ok(DateTime::from_timestamp_nanos(nanos.value(row)).to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }
    if matches!(array.data_type(), ArrowType::Timestamp(..) | ArrowType::FixedSizeBinary(16)) {
        return match value::stored(array, row, &DataType::Text).map_err(|mismatch| Error::input(mismatch.message))? {
            Value::Text(text) => Ok(text.to_string()),
            other => Err(Error::internal(format!("the text of {} is {other:?}", array.data_type()))),
        };
    }
    let strict = FormatOptions::new().with_display_error(false);
    Ok(ArrayFormatter::try_new(array, &strict)?.value(row).try_to_string()?)
}
