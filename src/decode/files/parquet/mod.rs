//! Rows of Parquet files as payloads, by column name. What the reader of payloads would take for something else is passed
//! on as it was found, so that a row that does not fit is set aside like any other.

mod footer;
mod open;
mod pages;

use std::fs::File;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;

use super::{BATCH_RECORDS_MAX, Object};
use crate::decode::value::{as_found, becomes, stored, unpacked};
use crate::error::{Error, Result};
use crate::plan::{Field, Source};
use crate::value::DataType;

pub use open::{LongTimes, ParquetFile};

/// Each row as a JSON object of the columns that are fields. Input error when no column is a field, when one is of a type
/// that does not become its field's, or, where all are asked for, when one is not there.
pub(super) fn payloads(source: &Source, file: File, all: bool) -> Result<impl Iterator<Item = Result<Vec<u8>>> + Send + use<>> {
    let file = ParquetFile::open(file, &|name| field(source, name).is_some())?;
    if let Some(missing) = source.fields.iter().find(|field| all && !file.names().contains(&field.name)) {
        let message =
            format!("there is no column {}: write one, null where it is not known; there are {}", missing.name, file.names().join(", "));
        return Err(Error::input(message));
    }
    check(source, file.schema())?;
    let source = source.clone();
    let batches = file.batches(BATCH_RECORDS_MAX, LongTimes::OutOfRange)?;
    Ok(batches.flat_map(move |batch| match batch.and_then(|batch| objects(&source, &batch)) {
        Ok(objects) => objects.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    }))
}

fn check(source: &Source, schema: &Schema) -> Result<()> {
    if schema.fields().is_empty() {
        let names: Vec<_> = source.fields.iter().map(|field| field.name.as_str()).collect();
        return Err(Error::input(format!("no column is a field of {}: name columns among {}", source.name, names.join(", "))));
    }
    for column in schema.fields() {
        let (name, stored) = (column.name(), column.data_type());
        let Some(field) = field(source, name).filter(|field| !becomes(stored, &field.data_type)) else { continue };
        let message = format!("column {name} is stored as {stored}, which does not become {}: write it as such", field.data_type);
        return Err(Error::input(message));
    }
    Ok(())
}

fn field<'a>(source: &'a Source, name: &str) -> Option<&'a Field> {
    source.fields.iter().find(|field| field.name == name)
}

fn objects(source: &Source, batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
    let mut objects: Vec<Object> = (0..batch.num_rows()).map(|_| Object::new()).collect();
    for (column, stored_as) in batch.columns().iter().zip(batch.schema().fields()) {
        let Some(field) = field(source, stored_as.name()) else { continue };
        let column = unpacked(column)?;
        // A number for a time means what the source says of its payloads.
        let as_number = single(&field.data_type) == &DataType::Timestamp && single_stored(column.data_type()).is_integer();
        for (row, object) in objects.iter_mut().enumerate() {
            match stored(column.as_ref(), row, &field.data_type) {
                Ok(value) if value.is_null() => {}
                Ok(value) if !as_number => object.put(&field.name, &value),
                _ => object.put_with(&field.name, |out| as_found(out, column.as_ref(), row)),
            }
        }
    }
    Ok(objects.into_iter().map(Object::finish).collect())
}

/// A type, or that of its elements.
fn single(data_type: &DataType) -> &DataType {
    if let DataType::List(item) = data_type { item } else { data_type }
}

fn single_stored(stored: &arrow::datatypes::DataType) -> &arrow::datatypes::DataType {
    crate::decode::value::item(stored).unwrap_or(stored)
}
