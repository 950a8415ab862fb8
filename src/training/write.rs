//! Training sets in files, by the file's name: Parquet, CSV and NDJSON. Must never leave half a file under the name that was
//! asked for, and never write what was handed through otherwise than it came.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Float64Type, Schema, TimeUnit, TimestampNanosecondType};
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, SecondsFormat};

use super::files::{Kind, kind};
use super::written::{self, Form};
use crate::decode::value;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{write_text, write_value};
use crate::value::{DataType, Value};
use crate::vector::value_at;

/// Writes a table; the file appears under its name only when it is whole. All batches have the first one's schema.
pub fn write_table(path: &Path, batches: &[RecordBatch]) -> Result<()> {
    let kind = kind(path)?;
    if batches.is_empty() {
        return Err(Error::internal(format!("{}: a table without a schema", path.display())));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.part"));
    let attempt = || -> Result<(), Box<dyn std::error::Error>> {
        let file = File::create(&temporary)?;
        let file = match kind {
            Kind::Parquet => super::parquet::write(file, &batches.iter().map(typed).collect::<Result<Vec<_>>>()?)?,
            Kind::Csv => write_csv(file, batches)?,
            Kind::Ndjson => write_ndjson(file, batches)?,
        };
        file.sync_all()?;
        Ok(fs::rename(&temporary, path)?)
    };
    attempt().map_err(|error| {
        // What matters is why it failed; a leftover is hidden and overwritten by the next try.
        let _ = fs::remove_file(&temporary);
        let full = error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull);
        let remedy = if full { "the disk is full; free some space".to_owned() } else { error.to_string() };
        Error::new(if full { ErrorKind::Unavailable } else { ErrorKind::Input }, format!("cannot write {}: {remedy}", path.display()))
    })?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned);
    let synced = File::open(&parent).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::unavailable(format!("cannot sync {}: {error}", parent.display())))
}

/// The batch with values of their types for what was written as text.
pub(super) fn typed(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| written::typed(field, column));
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn write_csv(file: File, batches: &[RecordBatch]) -> Result<File, Box<dyn std::error::Error>> {
    let mut writer = csv::WriterBuilder::new().from_writer(BufWriter::new(file));
    writer.write_record(batches[0].schema().fields().iter().map(|field| field.name().as_str()))?;
    for batch in batches {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| csv_column(field, column));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            writer.write_record(columns.iter().map(|column| if column.is_null(row) { "" } else { column.value(row) }))?;
        }
    }
    let mut out = writer.into_inner().map_err(|error| error.into_error())?;
    out.flush()?;
    Ok(out.into_inner().map_err(|error| error.into_error())?)
}

/// A line per row, every column in it. Values are spelled as everywhere (`crate::json`), which loses none; those of
/// types that only a spine can have, as text or as Arrow writes them.
fn write_ndjson(file: File, batches: &[RecordBatch]) -> Result<File, Box<dyn std::error::Error>> {
    let mut out = BufWriter::new(file);
    let options = EncoderOptions::default();
    let mut line = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        let columns: Vec<ArrayRef> = batch.columns().iter().map(as_ndjson).collect::<Result<_>>()?;
        let shown = schema.fields().iter().zip(&columns);
        let shown: Vec<FieldRef> =
            shown.map(|(field, column)| Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone()))).collect();
        let encoders = shown.iter().zip(&columns).map(|(field, column)| make_encoder(field, column.as_ref(), &options));
        let mut encoders = encoders.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            for (index, (field, column)) in schema.fields().iter().zip(&columns).enumerate() {
                line.push(if index == 0 { b'{' } else { b',' });
                write_text(&mut line, field.name());
                line.push(b':');
                match written::form(field) {
                    _ if column.is_null(row) => line.extend(b"null"),
                    Some(Form::Json) => line.extend(column.as_string::<i32>().value(row).bytes()),
                    Some(Form::Cell) => {
                        let to = written::noted(field).map_or(DataType::Text, |(to, _)| to);
                        written::write_cell(&mut line, column.as_string::<i32>().value(row), &to);
                    }
                    None if is_ours(column.data_type()) => write_value(&mut line, &value_at(column.as_ref(), row)),
                    None => encoders[index].encode(row, &mut line),
                }
            }
            line.extend(b"}\n");
            out.write_all(&line)?;
            line.clear();
        }
    }
    Ok(out.into_inner().map_err(|error| error.into_error())?)
}

/// Times, dates and identifiers as text.
fn as_ndjson(column: &ArrayRef) -> Result<ArrayRef> {
    let micros = matches!(column.data_type(), ArrowType::Timestamp(TimeUnit::Microsecond, _));
    match column.data_type() {
        shown if shown.is_temporal() && !micros => Ok(Arc::new(shown_as_text(column)?)),
        ArrowType::FixedSizeBinary(16) => Ok(Arc::new(shown_as_text(column)?)),
        _ => Ok(column.clone()),
    }
}

/// Whether `value_at` reads it.
fn is_ours(data_type: &ArrowType) -> bool {
    match data_type {
        ArrowType::Boolean | ArrowType::Int64 | ArrowType::Float64 | ArrowType::Utf8 => true,
        ArrowType::Timestamp(unit, _) => *unit == TimeUnit::Microsecond,
        ArrowType::List(item) => is_ours(item.data_type()),
        ArrowType::Struct(fields) => fields.iter().all(|field| is_ours(field.data_type())),
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(entry) => *entry[0].data_type() == ArrowType::Utf8 && is_ours(entry[1].data_type()),
            _ => false,
        },
        _ => false,
    }
}

/// A column as the text of its fields: times with a `Z`, doubles in the fewest digits that read back the same, lists,
/// maps and structs as JSON.
fn csv_column(field: &Field, array: &ArrayRef) -> Result<StringArray> {
    match (written::form(field), array.data_type()) {
        (Some(Form::Json), _) => Ok(written::as_cells(array.as_string())),
        (_, ArrowType::Utf8) => Ok(array.as_string::<i32>().clone()),
        (_, ArrowType::Float64) => Ok(array.as_primitive::<Float64Type>().iter().map(|value| value.map(double)).collect()),
        (_, ArrowType::List(_) | ArrowType::Map(..) | ArrowType::Struct(_)) => {
            let text = |row: usize| (!array.is_null(row)).then(|| json(&value_at(array, row)));
            Ok((0..array.len()).map(text).collect())
        }
        _ => shown_as_text(array),
    }
}

/// A column whose values have a text: times as RFC 3339 with all their digits, identifiers of 16 bytes, and what Arrow shows.
fn shown_as_text(array: &ArrayRef) -> Result<StringArray> {
    let strict = FormatOptions::new().with_display_error(false);
    let formatter = ArrayFormatter::try_new(array, &strict)?;
    let nanos = array.as_primitive_opt::<TimestampNanosecondType>();
    let text = |row: usize| -> Result<Option<String>> {
        if array.is_null(row) {
            return Ok(None);
        }
        if let Some(nanos) = nanos {
            return Ok(Some(DateTime::from_timestamp_nanos(nanos.value(row)).to_rfc3339_opts(SecondsFormat::AutoSi, true)));
        }
        if matches!(array.data_type(), ArrowType::Timestamp(..) | ArrowType::FixedSizeBinary(16)) {
            let shown = value::stored(array, row, &DataType::Text);
            let shown = shown.map_err(|mismatch| Error::input(format!("row {}: {}", row + 1, mismatch.message)))?;
            return Ok(if let Value::Text(text) = shown { Some(text.to_string()) } else { None });
        }
        Ok(Some(formatter.value(row).try_to_string()?))
    };
    (0..array.len()).map(text).collect()
}

/// A double as in JSON, without the quotes of what JSON has no number for.
fn double(value: f64) -> String {
    json(&Value::Float(value)).trim_matches('"').to_owned()
}

fn json(value: &Value) -> String {
    let mut text = Vec::new();
    write_value(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}
