//! Training sets in files, by the file's name: Parquet, CSV and NDJSON. Must never leave half a file under the name that was
//! asked for, and never write what was handed through otherwise than it came.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType as ArrowType, Field, Schema};

use super::files::{Kind, kind};
use super::handed;
use super::written::{self, Form};
use crate::error::{Error, ErrorKind, Result};
use crate::json::write_text;
use crate::value::DataType;

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
    let mut before = 0;
    for batch in batches {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| csv_column(field, column, before));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            writer.write_record(columns.iter().map(|column| if column.is_null(row) { "" } else { column.value(row) }))?;
        }
        before += batch.num_rows();
    }
    let mut out = writer.into_inner().map_err(|error| error.into_error())?;
    out.flush()?;
    Ok(out.into_inner().map_err(|error| error.into_error())?)
}

/// A line per row, every column in it. Values are spelled as everywhere (`crate::json`), which loses none.
fn write_ndjson(file: File, batches: &[RecordBatch]) -> Result<File, Box<dyn std::error::Error>> {
    let mut out = BufWriter::new(file);
    let (mut line, mut before) = (Vec::new(), 0);
    for batch in batches {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            for (index, (field, column)) in schema.fields().iter().zip(batch.columns()).enumerate() {
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
                    None => handed::write_json(&mut line, column.as_ref(), row).map_err(|error| textless(field, before + row, &error))?,
                }
            }
            line.extend(b"}\n");
            out.write_all(&line)?;
            line.clear();
        }
        before += batch.num_rows();
    }
    Ok(out.into_inner().map_err(|error| error.into_error())?)
}

/// A column as the text of its fields, which so many rows come before: times with a `Z`, doubles in the fewest digits that read
/// back the same, lists, maps and structs as JSON.
fn csv_column(field: &Field, array: &ArrayRef, before: usize) -> Result<StringArray> {
    match (written::form(field), array.data_type()) {
        (Some(Form::Json), _) => Ok(written::as_cells(array.as_string())),
        (_, ArrowType::Utf8) => Ok(array.as_string::<i32>().clone()),
        _ => {
            let cell = |row| handed::cell(array.as_ref(), row).map_err(|error| textless(field, before + row, &error));
            (0..array.len()).map(cell).collect()
        }
    }
}

/// A value that text cannot hold, such as a date of the year 5881580.
fn textless(field: &Field, row: usize, error: &Error) -> Error {
    let (name, row) = (field.name(), row + 1);
    Error::input(format!("column {name}, row {row}: {error}: leave it out of the spine, or write Parquet, which keeps it as it is"))
}
