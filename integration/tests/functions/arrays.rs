//! Values as JSON, and the Arrow columns of them. Doubles are texts, because JSON's numbers lose digits, signs and what is no
//! number; times are ISO 8601 as they are put in and microseconds since 1970 as they come out.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, MapArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type, TimestampMicrosecondType};
use forebay::DataType;
use serde_json::{Value as Json, json};

pub fn array(data_type: &DataType, cells: &[&Json]) -> ArrayRef {
    let lists = |item: &DataType| {
        let items: Vec<&Json> = cells.iter().flat_map(|cell| cell.as_array().into_iter().flatten()).collect();
        (array(item, &items), OffsetBuffer::from_lengths(cells.iter().map(|cell| cell.as_array().map_or(0, Vec::len))))
    };
    let valid: NullBuffer = cells.iter().map(|cell| !cell.is_null()).collect();
    match (data_type, data_type.arrow()) {
        (DataType::Int, _) => Arc::new(cells.iter().map(|cell| cell.as_i64()).collect::<Int64Array>()),
        (DataType::Float, _) => Arc::new(cells.iter().map(|cell| double(cell)).collect::<Float64Array>()),
        (DataType::Text, _) => Arc::new(cells.iter().map(|cell| cell.as_str()).collect::<StringArray>()),
        (DataType::Bool, _) => Arc::new(cells.iter().map(|cell| cell.as_bool()).collect::<BooleanArray>()),
        (DataType::Timestamp, _) => Arc::new(cells.iter().map(|cell| micros(cell)).collect::<TimestampMicrosecondArray>()),
        (DataType::List(item), ArrowType::List(field)) => {
            let (items, offsets) = lists(item);
            Arc::new(ListArray::try_new(field, offsets, items, Some(valid)).unwrap())
        }
        (DataType::Struct(fields), ArrowType::Struct(named)) => {
            let column = |(name, field): &(String, DataType)| array(field, &cells.iter().map(|cell| &cell[name]).collect::<Vec<_>>());
            Arc::new(StructArray::try_new(named, fields.iter().map(column).collect(), Some(valid)).unwrap())
        }
        (DataType::Map(value), ArrowType::Map(entries, sorted)) => {
            let all = || cells.iter().flat_map(|cell| cell.as_object().into_iter().flatten());
            let keys: StringArray = all().map(|(key, _)| Some(key)).collect();
            let values = array(value, &all().map(|(_, value)| value).collect::<Vec<_>>());
            let ArrowType::Struct(named) = entries.data_type() else { panic!("entries are structs") };
            let pairs = StructArray::try_new(named.clone(), vec![Arc::new(keys), values], None).unwrap();
            let offsets = OffsetBuffer::from_lengths(cells.iter().map(|cell| cell.as_object().map_or(0, serde_json::Map::len)));
            Arc::new(MapArray::try_new(entries, offsets, pairs, Some(valid), sorted).unwrap())
        }
        (other, _) => panic!("there are no columns of {other}"),
    }
}

fn double(cell: &Json) -> Option<f64> {
    match cell {
        Json::String(text) => text.parse().ok(),
        other => other.as_f64(),
    }
}

/// Microseconds since 1970 of a time in ISO 8601.
fn micros(cell: &Json) -> Option<i64> {
    let text = cell.as_str()?;
    let number = |part: &str| part.parse::<i64>().unwrap();
    let (day, clock) = text.trim_end_matches('Z').split_once('T')?;
    let parts: Vec<i64> = day.split('-').map(number).collect();
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let clocks: Vec<i64> = seconds.split(':').map(number).collect();
    let (year, month) = if parts[1] > 2 { (parts[0], parts[1] - 3) } else { (parts[0] - 1, parts[1] + 9) };
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + parts[2] - 1 - 719_468;
    let second = days * 86_400 + clocks[0] * 3_600 + clocks[1] * 60 + clocks.get(2).copied().unwrap_or(0);
    Some(second * 1_000_000 + number(&format!("{fraction:0<6}")))
}

pub fn of_double(value: f64) -> Json {
    json!(if value.is_nan() { "NaN".to_owned() } else { format!("{value:?}") })
}

/// A value of a column.
pub fn shown(array: &ArrayRef, row: usize) -> Json {
    if array.is_null(row) {
        return Json::Null;
    }
    match array.data_type() {
        ArrowType::Boolean => json!(array.as_boolean().value(row)),
        ArrowType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        ArrowType::Float64 => of_double(array.as_primitive::<Float64Type>().value(row)),
        ArrowType::Utf8 => json!(array.as_string::<i32>().value(row)),
        ArrowType::Timestamp(..) => json!(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        ArrowType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|item| shown(&items, item)).collect()
        }
        ArrowType::Struct(fields) => {
            let columns = array.as_struct().columns();
            fields.iter().zip(columns).map(|(field, column)| (field.name().clone(), shown(column, row))).collect()
        }
        other => panic!("what is {other}?"),
    }
}
