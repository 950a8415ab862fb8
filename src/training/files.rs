//! Tables in files, by the file's name: Parquet, CSV (RFC 4180) and NDJSON, for spines that come in and training sets
//! that go out. Must never leave half a file under the name that was asked for.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType as ArrowType, Field, Float64Type, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::json::reader::{ReaderBuilder, infer_json_schema};
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::cast;
use super::spine::Spine;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{write_text, write_value};
use crate::time::EventTime;
use crate::value::Value;
use crate::vector::value_at;

const BATCH_ROWS: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parquet,
    Csv,
    Ndjson,
}

fn kind(path: &Path) -> Result<Kind> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "parquet" | "pq" => Ok(Kind::Parquet),
        "csv" => Ok(Kind::Csv),
        "ndjson" | "jsonl" | "json" => Ok(Kind::Ndjson),
        _ => Err(Error::input(format!(
            "{}: the name must end in .parquet, .csv or .ndjson, which says how to read and write it",
            path.display()
        ))),
    }
}

/// Reads a spine. The columns of CSV stay text until it is known which of them are keys.
pub fn read_spine(path: &Path) -> Result<Spine> {
    let kind = kind(path)?;
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!("{} does not exist: give the spine's file", path.display())),
        _ => Error::input(format!("cannot read {}: {error}", path.display())),
    })?;
    let wrong = |error: &dyn std::fmt::Display| Error::input(format!("cannot read {}: {error}", path.display()));
    let (schema, batches) = match kind {
        Kind::Parquet => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| wrong(&error))?;
            let schema = builder.schema().clone();
            let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|error| wrong(&error))?;
            (schema, reader.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error))?)
        }
        Kind::Csv => {
            let rows = read_csv(file).map_err(|error| error.context(format!("cannot read {}", path.display())))?;
            (rows.schema(), vec![rows])
        }
        Kind::Ndjson => {
            let mut reader = BufReader::new(file);
            skip_byte_order_mark(&mut reader).map_err(|error| wrong(&error))?;
            let (schema, _) = infer_json_schema(reader, None).map_err(|error| wrong(&error))?;
            let schema = Arc::new(schema);
            let mut reader = BufReader::new(File::open(path).map_err(|error| wrong(&error))?);
            skip_byte_order_mark(&mut reader).map_err(|error| wrong(&error))?;
            let reader = ReaderBuilder::new(schema.clone()).with_coerce_primitive(true).with_batch_size(BATCH_ROWS).build(reader);
            let batches = reader.and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| wrong(&error))?;
            (schema, batches)
        }
    };
    Ok(Spine { name: path.display().to_string(), schema, batches, untyped: kind == Kind::Csv })
}

fn skip_byte_order_mark(reader: &mut impl BufRead) -> std::io::Result<()> {
    if reader.fill_buf()?.starts_with(&[0xef, 0xbb, 0xbf]) {
        reader.consume(3);
    }
    Ok(())
}

/// All columns as text; an empty field is null.
fn read_csv(file: File) -> Result<RecordBatch> {
    let wrong = |error: &dyn std::fmt::Display| Error::input(error.to_string());
    let mut reader = BufReader::new(file);
    skip_byte_order_mark(&mut reader).map_err(|error| wrong(&error))?;
    let mut reader = csv::Reader::from_reader(reader);
    let names: Vec<String> = reader.headers().map_err(|error| wrong(&error))?.iter().map(|name| name.trim().to_owned()).collect();
    if names.is_empty() {
        return Err(Error::input("the file is empty: it needs a line of column names"));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(Error::input(format!("two columns are called '{twice}': rename one")));
    }
    let mut columns: Vec<StringBuilder> = names.iter().map(|_| StringBuilder::new()).collect();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| wrong(&error))? {
        for (column, field) in columns.iter_mut().zip(&record) {
            column.append_option((!field.is_empty()).then_some(field));
        }
    }
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, ArrowType::Utf8, true)).collect();
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

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
            Kind::Parquet => super::parquet::write(file, batches)?,
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

fn write_csv(file: File, batches: &[RecordBatch]) -> Result<File, Box<dyn std::error::Error>> {
    let mut writer = csv::WriterBuilder::new().from_writer(BufWriter::new(file));
    writer.write_record(batches[0].schema().fields().iter().map(|field| field.name().as_str()))?;
    for batch in batches {
        let columns = batch.columns().iter().map(csv_column).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            writer.write_record(columns.iter().map(|column| if column.is_null(row) { "" } else { column.value(row) }))?;
        }
    }
    let mut out = writer.into_inner().map_err(|error| error.into_error())?;
    out.flush()?;
    Ok(out.into_inner().map_err(|error| error.into_error())?)
}

/// A line per row, every column in it. Values are spelled as everywhere (`crate::json`), which loses none; those of
/// types that only a spine can have, as Arrow writes them.
fn write_ndjson(file: File, batches: &[RecordBatch]) -> Result<File, Box<dyn std::error::Error>> {
    let mut out = BufWriter::new(file);
    let options = EncoderOptions::default();
    let mut line = Vec::new();
    for batch in batches {
        let batch = timestamps_as_text(batch)?;
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let encoders = columns.map(|(field, column)| make_encoder(field, column.as_ref(), &options));
        let mut encoders = encoders.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            for (index, (field, column)) in schema.fields().iter().zip(batch.columns()).enumerate() {
                line.push(if index == 0 { b'{' } else { b',' });
                write_text(&mut line, field.name());
                line.push(b':');
                if column.is_null(row) {
                    line.extend(b"null");
                } else if is_ours(column.data_type()) {
                    write_value(&mut line, &value_at(column.as_ref(), row));
                } else {
                    encoders[index].encode(row, &mut line);
                }
            }
            line.extend(b"}\n");
            out.write_all(&line)?;
            line.clear();
        }
    }
    Ok(out.into_inner().map_err(|error| error.into_error())?)
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
fn csv_column(array: &ArrayRef) -> Result<StringArray> {
    match array.data_type() {
        ArrowType::Utf8 => Ok(array.as_string::<i32>().clone()),
        ArrowType::Float64 => Ok(array.as_primitive::<Float64Type>().iter().map(|value| value.map(double)).collect()),
        ArrowType::Timestamp(_, _) => timestamp_text(array),
        ArrowType::List(_) | ArrowType::Map(..) | ArrowType::Struct(_) => {
            let text = |row: usize| (!array.is_null(row)).then(|| json(&value_at(array, row)));
            Ok((0..array.len()).map(text).collect())
        }
        _ => {
            let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
            Ok((0..array.len()).map(|row| (!array.is_null(row)).then(|| formatter.value(row).to_string())).collect())
        }
    }
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

fn timestamp_text(array: &ArrayRef) -> Result<StringArray> {
    let times = cast::times(array, "a column")?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    Ok(times.iter().map(|time| time.map(|time| EventTime(time).to_string())).collect())
}

fn timestamps_as_text(batch: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let is_time = matches!(field.data_type(), ArrowType::Timestamp(_, _));
        let column = if is_time { Arc::new(timestamp_text(column)?) as ArrayRef } else { column.clone() };
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
