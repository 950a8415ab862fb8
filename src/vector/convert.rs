//! Values to Arrow arrays and back.

use std::sync::Arc;

use arrow::array::ArrayBuilder;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Array, Float64Builder, Int64Array, Int64Builder, ListArray, ListBuilder, MapBuilder,
    MapFieldNames, StringBuilder, StructArray, TimestampMicrosecondArray, TimestampMicrosecondBuilder, make_builder,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Fields, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use crate::error::{Error, Result};
use crate::value::{DataType, Value};

/// An array of that type; a value of another type is an internal error, because types were checked before.
pub fn array_of<'a>(data_type: &DataType, values: impl Iterator<Item = &'a Value> + Clone) -> Result<ArrayRef> {
    array_of_arrow(&data_type.arrow(), values)
}

/// The same for the Arrow types that `DataType::arrow` gives.
pub fn array_of_arrow<'a>(data_type: &ArrowType, values: impl Iterator<Item = &'a Value> + Clone) -> Result<ArrayRef> {
    let mut builder = match data_type {
        ArrowType::Int64 | ArrowType::Float64 | ArrowType::Timestamp(..) => {
            let words: Vec<u64> = values.clone().map(word).collect();
            let length = words.len();
            return numbers(data_type, &words.into(), (0, length), values);
        }
        ArrowType::List(item) if item.data_type().is_nested() => return lists(item, values),
        ArrowType::Struct(fields) => return structs(fields, values),
        ArrowType::List(item) => Box::new(ListBuilder::new(make_builder(item.data_type(), 0)).with_field(Arc::clone(item))),
        ArrowType::Map(entries, _) => map_builder(entries)?,
        other => make_builder(other, values.size_hint().0),
    };
    for value in values {
        append(builder.as_mut(), data_type, value)?;
    }
    Ok(builder.finish())
}

/// An array for each of these types, of `rows` times as many values that lie row by row. The numbers of all arrays are one
/// allocation: a lookup makes many arrays of one value each.
pub fn arrays_of_rows<'a>(types: impl ExactSizeIterator<Item = &'a ArrowType>, values: &[Value], rows: usize) -> Result<Vec<ArrayRef>> {
    let width = types.len().max(1);
    let mut words = vec![0; values.len()];
    for (row, values) in values.chunks_exact(width).enumerate() {
        values.iter().enumerate().for_each(|(column, value)| words[column * rows + row] = word(value));
    }
    let words = words.into();
    let array = |(column, data_type): (usize, &ArrowType)| {
        let own = values.iter().skip(column).step_by(width);
        match data_type {
            ArrowType::Int64 | ArrowType::Float64 | ArrowType::Timestamp(..) => numbers(data_type, &words, (column * rows, rows), own),
            other => array_of_arrow(other, own),
        }
    };
    types.enumerate().map(array).collect()
}

/// The bits of a number; 0 for what is none.
fn word(value: &Value) -> u64 {
    match value {
        Value::Int(value) | Value::Timestamp(value) => value.cast_unsigned(),
        Value::Float(value) => value.to_bits(),
        _ => 0,
    }
}

/// The array of numbers whose bits are so many words from a place on.
fn numbers<'a>(
    data_type: &ArrowType,
    words: &Buffer,
    (from, length): (usize, usize),
    values: impl Iterator<Item = &'a Value> + Clone,
) -> Result<ArrayRef> {
    let mut nulls = false;
    for value in values.clone() {
        match (data_type, value) {
            (_, Value::Null) => nulls = true,
            (ArrowType::Int64, Value::Int(_)) | (ArrowType::Float64, Value::Float(_)) | (ArrowType::Timestamp(..), Value::Timestamp(_)) => {
            }
            _ => return Err(Error::internal(format!("a value {value:?} in a column of {data_type}"))),
        }
    }
    let nulls = nulls.then(|| values.map(|value| !value.is_null()).collect::<Vec<bool>>().into());
    Ok(match data_type {
        ArrowType::Int64 => Arc::new(Int64Array::new(ScalarBuffer::new(words.clone(), from, length), nulls)),
        ArrowType::Float64 => Arc::new(Float64Array::new(ScalarBuffer::new(words.clone(), from, length), nulls)),
        _ => Arc::new(TimestampMicrosecondArray::new(ScalarBuffer::new(words.clone(), from, length), nulls)),
    })
}

/// Lists whose items are no single values: builders of these do not keep the names of fields.
fn lists<'a>(item: &FieldRef, values: impl Iterator<Item = &'a Value>) -> Result<ArrayRef> {
    let (mut items, mut lengths, mut valid): (Vec<&Value>, Vec<usize>, Vec<bool>) = Default::default();
    for value in values {
        let own = match value {
            Value::List(own) => own.as_ref(),
            Value::Null => &[],
            other => return Err(Error::internal(format!("a value {other:?} in a column of lists"))),
        };
        items.extend(own);
        lengths.push(own.len());
        valid.push(!value.is_null());
    }
    let items = array_of_arrow(item.data_type(), items.into_iter())?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), items, Some(valid.into()))?))
}

fn structs<'a>(fields: &Fields, values: impl Iterator<Item = &'a Value>) -> Result<ArrayRef> {
    let values: Vec<&Value> = values.collect();
    let null = Value::Null;
    let of_field = |index: usize, value: &&'a Value| match value {
        Value::Struct(own) if own.len() == fields.len() => Ok(&own[index].1),
        Value::Null => Ok(&null),
        other => Err(Error::internal(format!("a value {other:?} in a column of structs"))),
    };
    let columns = fields.iter().enumerate().map(|(index, field)| {
        let own = values.iter().map(|value| of_field(index, value)).collect::<Result<Vec<_>>>()?;
        array_of_arrow(field.data_type(), own.into_iter())
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let valid: Vec<bool> = values.iter().map(|value| !value.is_null()).collect();
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, Some(valid.into()), values.len())?))
}

/// Of the Arrow type that `DataType::arrow` gives for maps.
fn map_builder(entries: &Field) -> Result<Box<dyn ArrayBuilder>> {
    let ArrowType::Struct(entry) = entries.data_type() else { return Err(Error::internal("a map's entries are no struct")) };
    let [key, value] = entry.as_ref() else { return Err(Error::internal("a map's entries are no pairs")) };
    let names = MapFieldNames { entry: entries.name().clone(), key: key.name().clone(), value: value.name().clone() };
    let builder = MapBuilder::new(Some(names), StringBuilder::new(), make_builder(value.data_type(), 0));
    Ok(Box::new(builder.with_keys_field(Arc::clone(key)).with_values_field(Arc::clone(value))))
}

fn append(builder: &mut dyn ArrayBuilder, data_type: &ArrowType, value: &Value) -> Result<()> {
    fn typed<B: ArrayBuilder>(builder: &mut dyn ArrayBuilder) -> Result<&mut B> {
        builder.as_any_mut().downcast_mut().ok_or_else(|| Error::internal("a column's builder is of another type"))
    }
    match (data_type, value) {
        (ArrowType::Boolean, Value::Bool(v)) => typed::<BooleanBuilder>(builder)?.append_value(*v),
        (ArrowType::Boolean, Value::Null) => typed::<BooleanBuilder>(builder)?.append_null(),
        (ArrowType::Int64, Value::Int(v)) => typed::<Int64Builder>(builder)?.append_value(*v),
        (ArrowType::Int64, Value::Null) => typed::<Int64Builder>(builder)?.append_null(),
        (ArrowType::Float64, Value::Float(v)) => typed::<Float64Builder>(builder)?.append_value(*v),
        (ArrowType::Float64, Value::Null) => typed::<Float64Builder>(builder)?.append_null(),
        (ArrowType::Utf8, Value::Text(v)) => typed::<StringBuilder>(builder)?.append_value(v),
        (ArrowType::Utf8, Value::Null) => typed::<StringBuilder>(builder)?.append_null(),
        (ArrowType::Timestamp(TimeUnit::Microsecond, _), Value::Timestamp(v)) => {
            typed::<TimestampMicrosecondBuilder>(builder)?.append_value(*v)
        }
        (ArrowType::Timestamp(TimeUnit::Microsecond, _), Value::Null) => typed::<TimestampMicrosecondBuilder>(builder)?.append_null(),
        (ArrowType::List(_), Value::Null) => typed::<ListBuilder<Box<dyn ArrayBuilder>>>(builder)?.append_null(),
        (ArrowType::List(item), Value::List(items)) => {
            let list = typed::<ListBuilder<Box<dyn ArrayBuilder>>>(builder)?;
            for value in items.iter() {
                append(list.values().as_mut(), item.data_type(), value)?;
            }
            list.append(true);
        }
        (ArrowType::Map(..), Value::Null) => typed::<MapBuilder<StringBuilder, Box<dyn ArrayBuilder>>>(builder)?.append(false)?,
        (ArrowType::Map(entries, _), Value::Map(pairs)) => {
            let map = typed::<MapBuilder<StringBuilder, Box<dyn ArrayBuilder>>>(builder)?;
            let ArrowType::Struct(entry) = entries.data_type() else { return Err(Error::internal("a map's entries are no struct")) };
            for (key, value) in pairs.iter() {
                map.keys().append_value(key);
                append(map.values().as_mut(), entry[1].data_type(), value)?;
            }
            map.append(true)?;
        }
        _ => return Err(Error::internal(format!("a value {value:?} in a column of {data_type}"))),
    }
    Ok(())
}

/// The value of a row; null for a type that the language does not have.
#[must_use]
pub fn value_at(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        ArrowType::Boolean => Value::Bool(array.as_boolean().value(row)),
        ArrowType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        ArrowType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        ArrowType::Utf8 => Value::Text(array.as_string::<i32>().value(row).into()),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        ArrowType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            Value::List((0..items.len()).map(|index| value_at(items.as_ref(), index)).collect())
        }
        ArrowType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            Value::Struct(columns.map(|(field, column)| (field.name().as_str().into(), value_at(column, row))).collect())
        }
        ArrowType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let Some(keys) = keys.as_string_opt::<i32>() else { return Value::Null };
            Value::Map((0..entries.len()).map(|index| (keys.value(index).into(), value_at(values.as_ref(), index))).collect())
        }
        _ => Value::Null,
    }
}
