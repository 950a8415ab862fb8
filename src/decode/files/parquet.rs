//! Parquet, by column name. Columns of kindred types are taken as they are meant: whole numbers stored as doubles for
//! a bigint field, times of any unit, decimals for doubles.

use std::fs::File;
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType as ArrowType, Field as ArrowField, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType, UInt64Type,
};
use arrow::record_batch::RecordBatch;

use super::{BATCH_RECORDS_MAX, Object};
use crate::error::{Error, Result};
use crate::plan::{Field, Source};
use crate::value::{DataType, Value};

/// Each row as a JSON object of the columns that are fields. Input error when no column is a field, or, where all are
/// asked for, when one is not there or is of a type that does not become the field's.
pub(super) fn payloads(source: &Source, file: File, all: bool) -> Result<impl Iterator<Item = Result<Vec<u8>>> + Send + use<>> {
    let failed = |error: &dyn std::fmt::Display| Error::input(format!("is no readable Parquet file: {error}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(&error))?;
    let schema = builder.schema();
    if all {
        source.fields.iter().try_for_each(|field| check(field, schema))?;
    }
    let roots: Vec<usize> = (0..schema.fields().len()).filter(|index| field(source, schema.field(*index).name()).is_some()).collect();
    if roots.is_empty() {
        let names: Vec<_> = source.fields.iter().map(|field| field.name.as_str()).collect();
        return Err(Error::input(format!("no column is a field of {}: name columns among {}", source.name, names.join(", "))));
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_RECORDS_MAX).build().map_err(|error| failed(&error))?;
    let source = source.clone();
    Ok(reader.flat_map(move |batch| {
        let objects = batch.map_err(|error| failed(&error)).and_then(|batch| objects(&source, &batch));
        match objects {
            Ok(objects) => objects.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        }
    }))
}

fn check(field: &Field, schema: &Schema) -> Result<()> {
    let name = &field.name;
    let Ok(stored) = schema.field_with_name(name) else {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Error::input(format!(
            "there is no column {name}: write one, null where it is not known; there are {}",
            names.join(", ")
        )));
    };
    let stored = stored.data_type();
    if becomes(stored, &field.data_type) {
        return Ok(());
    }
    Err(Error::input(format!("column {name} is stored as {stored}, which does not become {}: write it as such", field.data_type)))
}

/// Whether values of a stored type can be ones of a field, each by itself.
fn becomes(stored: &ArrowType, wanted: &DataType) -> bool {
    let text = matches!(stored, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View);
    let number = stored.is_numeric();
    let time = matches!(stored, ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64);
    match (stored, wanted) {
        (ArrowType::Null, _) => true,
        (ArrowType::Dictionary(_, values), _) => becomes(values, wanted),
        (_, DataType::Bool) => *stored == ArrowType::Boolean,
        (_, DataType::Int | DataType::Float) => number,
        (_, DataType::Text) => text || time,
        (_, DataType::Timestamp) => time || text || stored.is_integer(),
        (_, DataType::List(_) | DataType::Struct(_) | DataType::Map(_)) => false,
    }
}

fn field<'a>(source: &'a Source, name: &str) -> Option<&'a Field> {
    source.fields.iter().find(|field| field.name == name)
}

fn objects(source: &Source, batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
    let mut objects: Vec<Object> = (0..batch.num_rows()).map(|_| Object::new()).collect();
    for (column, stored) in batch.columns().iter().zip(batch.schema().fields()) {
        let Some(field) = field(source, stored.name()) else { continue };
        let column = plain(column, field)?;
        for (row, object) in objects.iter_mut().enumerate() {
            object.put(&field.name, &value(column.as_ref(), row, &field.data_type));
        }
    }
    Ok(objects.into_iter().map(Object::finish).collect())
}

/// The column in one of the few types that `value` reads.
fn plain(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let target = target(column.data_type(), &field.data_type);
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, &target, &options).map_err(|error| {
        let (name, wanted, stored) = (&field.name, &field.data_type, column.data_type());
        Error::input(format!("column {name} is stored as {stored}, which does not become {wanted}: {error}"))
    })
}

fn target(stored: &ArrowType, wanted: &DataType) -> ArrowType {
    match stored {
        ArrowType::List(item) | ArrowType::LargeList(item) | ArrowType::FixedSizeList(item, _) if !wanted.is_single() => {
            let wanted = if let DataType::List(wanted) = wanted { wanted } else { wanted };
            ArrowType::List(Arc::new(ArrowField::new("item", target(item.data_type(), wanted), true)))
        }
        ArrowType::Boolean => ArrowType::Boolean,
        ArrowType::Int8
        | ArrowType::Int16
        | ArrowType::Int32
        | ArrowType::Int64
        | ArrowType::UInt8
        | ArrowType::UInt16
        | ArrowType::UInt32 => ArrowType::Int64,
        ArrowType::UInt64 => ArrowType::UInt64,
        ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64 => ArrowType::Float64,
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => ArrowType::Timestamp(TimeUnit::Nanosecond, None),
        ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64 => ArrowType::Timestamp(TimeUnit::Microsecond, None),
        ArrowType::Decimal128(_, scale) if *scale <= 0 && *wanted == DataType::Int => ArrowType::Int64,
        ArrowType::Decimal128(..) | ArrowType::Decimal256(..) if wanted.is_numeric() => ArrowType::Float64,
        _ => ArrowType::Utf8,
    }
}

fn value(column: &dyn Array, row: usize, wanted: &DataType) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        ArrowType::Boolean => Value::Bool(column.as_boolean().value(row)),
        ArrowType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(row)),
        ArrowType::UInt64 => {
            let number = column.as_primitive::<UInt64Type>().value(row);
            match i64::try_from(number) {
                Ok(number) => Value::Int(number),
                Err(_) if *wanted == DataType::Float => Value::Float(number as f64),
                Err(_) => Value::Text(number.to_string().into()),
            }
        }
        ArrowType::Float64 => {
            let number = column.as_primitive::<Float64Type>().value(row);
            let whole = *wanted == DataType::Int && number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
            if whole { Value::Int(number as i64) } else { Value::Float(number) }
        }
        ArrowType::Timestamp(unit, _) => {
            let micros = match unit {
                // Down, as times of text and of spines go, also before 1970.
                TimeUnit::Nanosecond => column.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000),
                _ => column.as_primitive::<TimestampMicrosecondType>().value(row),
            };
            if *wanted == DataType::Text { Value::Timestamp(micros) } else { Value::Int(micros) }
        }
        ArrowType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            let wanted = if let DataType::List(wanted) = wanted { wanted } else { wanted };
            Value::List((0..items.len()).map(|item| value(items.as_ref(), item, wanted)).collect())
        }
        _ => Value::Text(column.as_string::<i32>().value(row).into()),
    }
}
