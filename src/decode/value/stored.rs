//! Columns of Arrow, value by value, in whatever of Arrow's types they came. Must never wrap or round: a time goes down to
//! its microsecond, a decimal becomes the nearest double, and anything else that does not fit is a mismatch.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType as ArrowType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{Mismatch, Single, boolean, bytes, float, micros, out_of_years, unsigned, whole, wrong};
use crate::error::Result;
use crate::json::{write_float, write_text};
use crate::time::Epoch;
use crate::value::{DataType, Value};

const DAY_MICROS: i128 = 86_400_000_000;

/// Whether values of a stored type can be ones of a declared type, each by itself.
pub(crate) fn becomes(stored: &ArrowType, wanted: &DataType) -> bool {
    use ArrowType as A;
    let string = matches!(stored, A::Utf8 | A::LargeUtf8 | A::Utf8View | A::Binary | A::LargeBinary | A::BinaryView);
    let time = matches!(stored, A::Timestamp(..) | A::Date32 | A::Date64);
    match (stored, wanted) {
        (A::Null, _) => true,
        (A::Dictionary(_, values), _) => becomes(values, wanted),
        (A::RunEndEncoded(_, values), _) => becomes(values.data_type(), wanted),
        (_, DataType::Bool) => *stored == A::Boolean,
        (_, DataType::Int | DataType::Float) => stored.is_numeric(),
        (_, DataType::Text) => string || time || matches!(stored, A::FixedSizeBinary(_) | A::Time32(_) | A::Time64(_)),
        (_, DataType::Timestamp) => string || time || stored.is_integer(),
        (_, DataType::List(wanted)) => item(stored).is_some_and(|stored| becomes(stored, wanted)),
        (_, DataType::Struct(_) | DataType::Map(_)) => false,
    }
}

/// The type of the elements of a list, of whatever kind.
pub(crate) fn item(stored: &ArrowType) -> Option<&ArrowType> {
    match stored {
        ArrowType::List(item)
        | ArrowType::LargeList(item)
        | ArrowType::ListView(item)
        | ArrowType::LargeListView(item)
        | ArrowType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

/// The column without dictionaries and runs, also within lists: what `stored` and `as_found` read.
pub(crate) fn unpacked(column: &ArrayRef) -> Result<ArrayRef> {
    let to = without_packing(column.data_type());
    if to == *column.data_type() {
        return Ok(Arc::clone(column));
    }
    Ok(cast_with_options(column, &to, &CastOptions { safe: false, ..CastOptions::default() })?)
}

fn without_packing(stored: &ArrowType) -> ArrowType {
    let field = |item: &arrow::datatypes::FieldRef| Arc::new(item.as_ref().clone().with_data_type(without_packing(item.data_type())));
    match stored {
        ArrowType::Dictionary(_, values) => without_packing(values),
        ArrowType::RunEndEncoded(_, values) => without_packing(values.data_type()),
        ArrowType::List(item) => ArrowType::List(field(item)),
        ArrowType::LargeList(item) => ArrowType::LargeList(field(item)),
        ArrowType::FixedSizeList(item, length) => ArrowType::FixedSizeList(field(item), *length),
        other => other.clone(),
    }
}

/// The elements of a list in a row; `None` for a column of other values.
fn elements(column: &dyn Array, row: usize) -> Option<ArrayRef> {
    Some(match column.data_type() {
        ArrowType::List(_) => column.as_list::<i32>().value(row),
        ArrowType::LargeList(_) => column.as_list::<i64>().value(row),
        ArrowType::ListView(_) => column.as_list_view::<i32>().value(row),
        ArrowType::LargeListView(_) => column.as_list_view::<i64>().value(row),
        ArrowType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
        _ => return None,
    })
}

/// A column of no type has no bits that say so.
fn is_null(column: &dyn Array, row: usize) -> bool {
    column.is_null(row) || *column.data_type() == ArrowType::Null
}

/// The value in a row of an unpacked column.
pub(crate) fn stored(column: &dyn Array, row: usize, to: &DataType) -> Result<Value, Mismatch> {
    if is_null(column, row) {
        return Ok(Value::Null);
    }
    let (Some(items), DataType::List(item)) = (elements(column, row), to) else {
        return single(column, row, to).map(Value::from);
    };
    let element = |at: usize| {
        stored(items.as_ref(), at, item)
            .map_err(|mismatch| Mismatch { message: format!("element {}: {}", at + 1, mismatch.message), ..mismatch })
    };
    (0..items.len()).map(element).collect::<Result<Vec<_>, _>>().map(|items| Value::List(items.into()))
}

fn single<'a>(column: &'a dyn Array, row: usize, to: &DataType) -> Result<Single<'a>, Mismatch> {
    use ArrowType as A;
    if let Some(bytes_of) = bytes_at(column, row) {
        return bytes(bytes_of, to);
    }
    if let Some(time) = micros_at(column, row) {
        return i64::try_from(time).map_or_else(|_| out_of_years(time, Epoch::default(), None), |time| micros(time, to));
    }
    if let Some((digits, scale)) = decimal_at(column, row) {
        return decimal(&digits, scale, to);
    }
    match column.data_type() {
        A::Boolean => boolean(column.as_boolean().value(row), to),
        A::Int8 => whole(at::<Int8Type>(column, row).into(), to),
        A::Int16 => whole(at::<Int16Type>(column, row).into(), to),
        A::Int32 => whole(at::<Int32Type>(column, row).into(), to),
        A::Int64 => whole(at::<Int64Type>(column, row), to),
        A::UInt8 => whole(at::<UInt8Type>(column, row).into(), to),
        A::UInt16 => whole(at::<UInt16Type>(column, row).into(), to),
        A::UInt32 => whole(at::<UInt32Type>(column, row).into(), to),
        A::UInt64 => unsigned(at::<UInt64Type>(column, row), to),
        A::Float16 | A::Float32 if *to == DataType::Int && !is_exact(column, row) => {
            wrong(format_args!("got the number {}, which {} do not hold exactly", shown(column, row), column.data_type()))
        }
        A::Float16 => float(at::<Float16Type>(column, row).into(), to),
        A::Float32 => float(at::<Float32Type>(column, row).into(), to),
        A::Float64 => float(at::<Float64Type>(column, row), to),
        A::FixedSizeBinary(16) => owned(&uuid(column.as_fixed_size_binary().value(row)), to),
        A::FixedSizeBinary(_) => bytes(column.as_fixed_size_binary().value(row), to),
        A::Time32(_) | A::Time64(_) => owned(&shown(column, row), to),
        other => wrong(format_args!("got {other}")),
    }
}

fn at<T: ArrowPrimitiveType>(column: &dyn Array, row: usize) -> T::Native {
    column.as_primitive::<T>().value(row)
}

/// Whether a float of fewer bits than a double holds every whole number up to its own.
fn is_exact(column: &dyn Array, row: usize) -> bool {
    match column.data_type() {
        ArrowType::Float16 => f64::from(at::<Float16Type>(column, row)).abs() < 2_048.0,
        ArrowType::Float32 => f64::from(at::<Float32Type>(column, row)).abs() < 16_777_216.0,
        _ => true,
    }
}

fn owned<'a>(value: &str, to: &DataType) -> Result<Single<'a>, Mismatch> {
    match to {
        DataType::Text => Ok(Single::Text(value.to_owned().into())),
        _ => wrong(format_args!("got the text {value:?}")),
    }
}

/// A number whose digits have their point so many places before the end.
fn decimal<'a>(digits: &str, scale: i8, to: &DataType) -> Result<Single<'a>, Mismatch> {
    match to {
        // One rounding, and a correct one, whatever the digits are.
        DataType::Float => match format!("{digits}e{}", -i32::from(scale)).parse() {
            Ok(value) => Ok(Single::Float(value)),
            Err(_) => wrong(format_args!("got the number {}", pointed(digits, scale))),
        },
        DataType::Int => {
            let text = pointed(digits, scale);
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            match whole.parse() {
                Ok(number) if fraction.bytes().all(|digit| digit == b'0') => Ok(Single::Int(number)),
                _ => wrong(format_args!("got the number {text}, which is no whole number of 64 bits with a sign")),
            }
        }
        _ => wrong(format_args!("got the number {}", pointed(digits, scale))),
    }
}

/// The digits with their point, or with zeros behind them.
fn pointed(digits: &str, scale: i8) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let Ok(places) = usize::try_from(scale) else {
        return format!("{sign}{digits}{}", "0".repeat(scale.unsigned_abs().into()));
    };
    if places == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{sign}{whole}.{fraction}")
}

fn bytes_at(column: &dyn Array, row: usize) -> Option<&[u8]> {
    Some(match column.data_type() {
        ArrowType::Utf8 => column.as_string::<i32>().value(row).as_bytes(),
        ArrowType::LargeUtf8 => column.as_string::<i64>().value(row).as_bytes(),
        ArrowType::Utf8View => column.as_string_view().value(row).as_bytes(),
        ArrowType::Binary => column.as_binary::<i32>().value(row),
        ArrowType::LargeBinary => column.as_binary::<i64>().value(row),
        ArrowType::BinaryView => column.as_binary_view().value(row),
        _ => return None,
    })
}

/// A time in microseconds since the epoch, down to one that it holds.
fn micros_at(column: &dyn Array, row: usize) -> Option<i128> {
    Some(match column.data_type() {
        ArrowType::Timestamp(TimeUnit::Second, _) => i128::from(at::<TimestampSecondType>(column, row)) * 1_000_000,
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => i128::from(at::<TimestampMillisecondType>(column, row)) * 1_000,
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => at::<TimestampMicrosecondType>(column, row).into(),
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => at::<TimestampNanosecondType>(column, row).div_euclid(1_000).into(),
        ArrowType::Date32 => i128::from(at::<Date32Type>(column, row)) * DAY_MICROS,
        ArrowType::Date64 => i128::from(at::<Date64Type>(column, row)) * 1_000,
        _ => return None,
    })
}

/// The digits of a decimal, and how many of them stand behind its point.
fn decimal_at(column: &dyn Array, row: usize) -> Option<(String, i8)> {
    Some(match *column.data_type() {
        ArrowType::Decimal32(_, scale) => (at::<Decimal32Type>(column, row).to_string(), scale),
        ArrowType::Decimal64(_, scale) => (at::<Decimal64Type>(column, row).to_string(), scale),
        ArrowType::Decimal128(_, scale) => (at::<Decimal128Type>(column, row).to_string(), scale),
        ArrowType::Decimal256(_, scale) => (at::<Decimal256Type>(column, row).to_string(), scale),
        _ => return None,
    })
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// As Arrow shows it: times of the day.
fn shown(column: &dyn Array, row: usize) -> String {
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default());
    formatter.map_or_else(|_| String::new(), |formatter| formatter.value(row).to_string())
}

/// Appends the value in a row of an unpacked column to a payload as it was found, so that the decoder of payloads, which
/// finds what `stored` found, rejects it with its bytes and its field.
pub(crate) fn as_found(out: &mut Vec<u8>, column: &dyn Array, row: usize) {
    if is_null(column, row) {
        out.extend(b"null");
    } else if let Some(items) = elements(column, row) {
        out.push(b'[');
        crate::json::write_each(out, 0..items.len(), |out, at| as_found(out, items.as_ref(), at));
        out.push(b']');
    } else if let Some(bytes) = bytes_at(column, row) {
        quoted(out, bytes);
    } else if let Some(time) = micros_at(column, row) {
        out.extend(time.to_string().bytes());
    } else if let Some((digits, scale)) = decimal_at(column, row) {
        out.extend(pointed(&digits, scale).bytes());
    } else {
        match column.data_type() {
            // As a double it would be one of the whole numbers that a double holds.
            ArrowType::Float16 | ArrowType::Float32 if !is_exact(column, row) => write_text(out, &shown(column, row)),
            ArrowType::Boolean => out.extend(column.as_boolean().value(row).to_string().bytes()),
            ArrowType::Float16 => write_float(out, at::<Float16Type>(column, row).into()),
            ArrowType::Float32 => write_float(out, at::<Float32Type>(column, row).into()),
            ArrowType::Float64 => write_float(out, at::<Float64Type>(column, row)),
            ArrowType::FixedSizeBinary(_) => quoted(out, column.as_fixed_size_binary().value(row)),
            stored if stored.is_integer() => out.extend(shown(column, row).bytes()),
            _ => write_text(out, &shown(column, row)),
        }
    }
}

/// A JSON string of bytes that may not be UTF-8: these stay, and nothing in them ends the string or the record.
pub(crate) fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use arrow::array::Decimal128Array;

    use super::*;

    #[test]
    fn decimals_are_rounded_once() {
        for (text, scale) in [("-604178790000000000000000", 18), ("604178790000000000000000", 18), ("12345678998765433", 8), ("1", 37)] {
            let expected: f64 = format!("{text}e-{scale}").parse().unwrap();
            let column = Decimal128Array::from(vec![text.parse::<i128>().unwrap()]).with_precision_and_scale(38, scale).unwrap();
            assert_eq!(stored(&column, 0, &DataType::Float), Ok(Value::Float(expected)));
        }
        assert_eq!(decimal("300", 2, &DataType::Int), Ok(Single::Int(3)));
        assert_eq!(decimal("3", -2, &DataType::Int), Ok(Single::Int(300)));
        assert_eq!(decimal("9223372036854775807", 0, &DataType::Int), Ok(Single::Int(i64::MAX)));
        for (digits, scale, shown) in [("301", 2, "3.01"), ("-1", 3, "-0.001"), ("9223372036854775808", 0, "9223372036854775808")] {
            let mismatch = decimal(digits, scale, &DataType::Int).unwrap_err();
            assert_eq!(mismatch.message, format!("got the number {shown}, which is no whole number of 64 bits with a sign"));
        }
    }
}
