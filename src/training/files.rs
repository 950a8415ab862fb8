//! Spines in files, by the file's name: Parquet, CSV (RFC 4180) and NDJSON. Must never give the values of a text format a
//! type before it is known what they are used as.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{Field, Schema};

use super::spine::Spine;
use super::written::{self, Form};
use crate::decode::{self, CsvRow, CsvTable, Lines, LongTimes, PAYLOAD_BYTES_MAX, Packing, ParquetFile, guarded, text_of};
use crate::error::{Error, Result};

const BATCH_ROWS: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Parquet,
    Csv,
    Ndjson,
}

pub(super) fn kind(path: &Path) -> Result<Kind> {
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

/// Reads a spine; of text also one that is packed. The columns of text formats stay as they are written, until it is known
/// what they are used as.
pub fn read_spine(path: &Path) -> Result<Spine> {
    let (packing, name) = Packing::of(path);
    let kind = kind(if packing == Packing::Plain { path } else { name })?;
    let shown = path.display();
    if !path.exists() {
        return Err(Error::not_found(format!("{shown} does not exist: give the spine's file")));
    }
    let (schema, batches, left_out) = guarded(|| match kind {
        Kind::Parquet if packing != Packing::Plain => {
            Err(Error::input("Parquet is not read from an archive: unpack it (its columns are compressed within it)"))
        }
        Kind::Parquet => {
            let file = ParquetFile::open(open(path)?, &|name| !is_index(name))?;
            let (schema, left_out) = (file.schema().clone(), file.names().iter().filter(|name| is_index(name)).cloned().collect());
            Ok((schema, file.batches(BATCH_ROWS, LongTimes::Refused)?.collect::<Result<Vec<_>>>()?, left_out))
        }
        Kind::Csv => read_csv(text_of(open(path)?, path)?).map(|rows| (rows.schema(), vec![rows], Vec::new())),
        Kind::Ndjson => read_ndjson(text_of(open(path)?, path)?).map(|rows| (rows.schema(), vec![rows], Vec::new())),
    })
    .map_err(|error| error.context(format!("cannot read {shown}")))?;
    Ok(Spine { name: shown.to_string(), schema, batches, left_out })
}

/// As pandas calls a level of an index that has no name.
fn is_index(column: &str) -> bool {
    let level = column.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    level.is_some_and(|level| !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit()))
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::input(error.to_string()))
}

/// All columns as text; an empty field is null.
fn read_csv(text: Box<dyn BufRead + Send>) -> Result<RecordBatch> {
    let mut table = CsvTable::new(text)?;
    let names = table.names().to_vec();
    if names.is_empty() {
        return Err(Error::input("the file is empty: it needs a line of column names"));
    }
    let mut columns: Vec<StringBuilder> = names.iter().map(|_| StringBuilder::new()).collect();
    let (mut row, mut rows) = (CsvRow::default(), 0);
    while table.read(&mut row)? {
        let line = row.line;
        if row.too_large {
            return Err(too_large(line));
        }
        for ((column, cell), name) in columns.iter_mut().zip(row.cells()).zip(&names) {
            let text = utf8(cell).map_err(|error| error.context(format!("line {line}, column {name}")))?;
            column.append_option((!text.is_empty()).then_some(text));
        }
        rows += 1;
    }
    of_texts(names, columns, rows, Form::Cell)
}

/// A column for each name that some record has, of its values as they are written; null where a record has none.
fn read_ndjson(text: Box<dyn BufRead + Send>) -> Result<RecordBatch> {
    let (mut names, mut places) = (Vec::new(), HashMap::new());
    let mut columns: Vec<StringBuilder> = Vec::new();
    let mut rows = 0;
    for record in Lines::new(text) {
        let record = record?;
        let in_line = |error: Error| error.context(format!("line {}", record.place));
        if record.bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(too_large(record.place));
        }
        let members = decode::members(utf8(&record.bytes).map_err(in_line)?).map_err(|error| in_line(Error::input(error)))?;
        // Of equal names the last counts, as in payloads.
        let mut last: Vec<Option<String>> = vec![None; columns.len()];
        for (name, value) in members {
            let place = *places.entry(name.clone()).or_insert_with(|| {
                names.push(name);
                let mut column = StringBuilder::new();
                column.append_nulls(rows);
                columns.push(column);
                last.push(None);
                columns.len() - 1
            });
            last[place] = (value != "null").then_some(value);
        }
        columns.iter_mut().zip(last).for_each(|(column, value)| column.append_option(value));
        rows += 1;
    }
    of_texts(names, columns, rows, Form::Json)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| Error::input(format!("byte {} is not UTF-8: save the file as UTF-8", error.valid_up_to())))
}

fn too_large(line: u64) -> Error {
    Error::input(format!("line {line}: the row has more than {PAYLOAD_BYTES_MAX} bytes: is there a quote in it that is not closed?"))
}

fn of_texts(names: Vec<String>, mut columns: Vec<StringBuilder>, rows: usize, form: Form) -> Result<RecordBatch> {
    let fields: Vec<Field> = names.iter().map(|name| written::field(name, form)).collect();
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    // A file of empty objects has rows and no columns.
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}
