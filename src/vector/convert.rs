//! Values to Arrow arrays and back.

use std::sync::Arc;

use arrow::array::ArrayBuilder;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBuilder, Float64Builder, Int64Builder, ListArray, ListBuilder, MapBuilder,
    MapFieldNames, PrimitiveArray, StringBuilder, StructArray, TimestampMicrosecondBuilder, make_builder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Fields, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use crate::error::{Error, Result};
use crate::value::{DataType, Value};

/// An array of that type; a value of another type is an internal error, because types were checked before.
pub fn array_of<'a>(data_type: &DataType, values: impl Iterator<Item = &'a Value>) -> Result<ArrayRef> {
    array_of_arrow(&data_type.arrow(), values)
}

/// The same for the Arrow types that `DataType::arrow` gives.
pub fn array_of_arrow<'a>(data_type: &ArrowType, values: impl Iterator<Item = &'a Value>) -> Result<ArrayRef> {
    match data_type {
        ArrowType::Int64 => {
            return primitive::<Int64Type>(data_type, values, |value| match value {
                Value::Int(value) => Some(*value),
                _ => None,
            });
        }
        ArrowType::Float64 => {
            return primitive::<Float64Type>(data_type, values, |value| match value {
                Value::Float(value) => Some(*value),
                _ => None,
            });
        }
        ArrowType::Timestamp(TimeUnit::Microsecond, None) => {
            return primitive::<TimestampMicrosecondType>(data_type, values, |value| match value {
                Value::Timestamp(value) => Some(*value),
                _ => None,
            });
        }
        _ => {}
    }
    let mut builder = match data_type {
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

/// An array of numbers, made without a builder: a lookup makes one for each of its columns.
fn primitive<'a, T: ArrowPrimitiveType>(
    data_type: &ArrowType,
    values: impl Iterator<Item = &'a Value>,
    native: impl Fn(&Value) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let mut numbers = Vec::with_capacity(values.size_hint().0);
    let mut nulls: Vec<usize> = Vec::new();
    for value in values {
        match (native(value), value) {
            (Some(number), _) => numbers.push(number),
            (None, Value::Null) => {
                nulls.push(numbers.len());
                numbers.push(T::Native::default());
            }
            (None, value) => return Err(Error::internal(format!("a value {value:?} in a column of {data_type}"))),
        }
    }
    let nulls = (!nulls.is_empty()).then(|| {
        let mut valid = vec![true; numbers.len()];
        nulls.into_iter().for_each(|row| valid[row] = false);
        NullBuffer::from(valid)
    });
    Ok(Arc::new(PrimitiveArray::<T>::new(numbers.into(), nulls)))
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
