//! CSV with a header row, typed by the source's fields. An empty cell is null.

use std::io::Read;

use super::Object;
use crate::decode::value::{self, Single};
use crate::error::{Error, Result};
use crate::plan::{Field, Source};
use crate::value::{DataType, Value};

/// Each row as a JSON object of the columns that are fields. Input error when the header names no field.
pub(super) fn payloads(source: &Source, reader: Box<dyn Read + Send>) -> Result<impl Iterator<Item = Result<Vec<u8>>> + Send + use<>> {
    let mut rows = ::csv::ReaderBuilder::new().buffer_capacity(1 << 20).from_reader(reader);
    let header = rows.byte_headers().map_err(|error| csv_error(&error))?;
    let columns: Vec<Option<Field>> = header.iter().map(|name| field(source, name)).collect();
    if !header.is_empty() && columns.iter().all(Option::is_none) {
        let names: Vec<_> = source.fields.iter().map(|field| field.name.as_str()).collect();
        let header = String::from_utf8_lossy(header.as_slice()).into_owned();
        return Err(Error::input(format!(
            "no column of the header is a field of {}: the first line must name columns among {}, it is {header:?}",
            source.name,
            names.join(", ")
        )));
    }
    if let Some(list) = columns.iter().flatten().find(|field| !field.data_type.is_single()) {
        let (name, data_type) = (&list.name, &list.data_type);
        return Err(Error::input(format!("column {name} is {data_type}, which CSV has no form for: push NDJSON or Parquet")));
    }
    Ok(rows.into_byte_records().map(move |row| {
        let row = row.map_err(|error| csv_error(&error))?;
        let mut object = Object::new();
        for (cell, field) in row.iter().zip(&columns) {
            if let Some(field) = field {
                match std::str::from_utf8(cell) {
                    Ok(cell) => object.put(&field.name, &value(cell, &field.data_type)),
                    Err(_) => object.put_with(&field.name, |out| value::quoted(out, cell)),
                }
            }
        }
        Ok(object.finish())
    }))
}

fn field(source: &Source, name: &[u8]) -> Option<Field> {
    let name = name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name).trim_ascii();
    source.fields.iter().find(|field| field.name.as_bytes() == name).cloned()
}

fn csv_error(error: &::csv::Error) -> Error {
    Error::input(format!("is no well-formed CSV: {error}"))
}

/// A cell as a value of that type where it is one, and as text where it is not, which the decoder rejects.
fn value(text: &str, data_type: &DataType) -> Value {
    match value::cell(text, data_type) {
        // A number for a time means what the source says of its payloads.
        Ok(Some(Single::Timestamp(_))) => text.trim().parse().map_or_else(|_| Value::Text(text.trim().into()), Value::Int),
        Ok(typed) => typed.map_or(Value::Null, Value::from),
        Err(_) => Value::Text(text.into()),
    }
}
