//! Spines in files, by the file's name: Parquet, CSV (RFC 4180) and NDJSON. Must never give the values of a text format a
//! type before it is known what they are used as.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{Field, Schema};

use super::spine::Spine;
use super::written::{self, Form};
use crate::decode::{self, LongTimes, ParquetFile, guarded};
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

/// Reads a spine. The columns of text formats stay as they are written, until it is known what they are used as.
pub fn read_spine(path: &Path) -> Result<Spine> {
    let kind = kind(path)?;
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!("{} does not exist: give the spine's file", path.display())),
        _ => Error::input(format!("cannot read {}: {error}", path.display())),
    })?;
    let (schema, batches) = guarded(|| match kind {
        Kind::Parquet => {
            let file = ParquetFile::open(file, &|_| true)?;
            let schema = file.schema().clone();
            Ok((schema, file.batches(BATCH_ROWS, LongTimes::Refused)?.collect::<Result<Vec<_>>>()?))
        }
        Kind::Csv => read_csv(file).map(|rows| (rows.schema(), vec![rows])),
        Kind::Ndjson => read_ndjson(file).map(|rows| (rows.schema(), vec![rows])),
    })
    .map_err(|error| error.context(format!("cannot read {}", path.display())))?;
    Ok(Spine { name: path.display().to_string(), schema, batches })
}

fn skip_byte_order_mark(reader: &mut impl BufRead) -> Result<()> {
    if reader.fill_buf().map_err(|error| wrong(&error))?.starts_with(&[0xef, 0xbb, 0xbf]) {
        reader.consume(3);
    }
    Ok(())
}

fn wrong(error: &dyn std::fmt::Display) -> Error {
    Error::input(error.to_string())
}

/// All columns as text; an empty field is null.
fn read_csv(file: File) -> Result<RecordBatch> {
    let mut reader = BufReader::new(file);
    skip_byte_order_mark(&mut reader)?;
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
    let rows = columns[0].len();
    of_texts(names, columns, rows, Form::Cell)
}

/// A column for each name that some line has, of its values as they are written; null where a line has none.
fn read_ndjson(file: File) -> Result<RecordBatch> {
    let mut reader = BufReader::new(file);
    skip_byte_order_mark(&mut reader)?;
    let (mut names, mut places) = (Vec::new(), HashMap::new());
    let mut columns: Vec<StringBuilder> = Vec::new();
    let mut rows = 0;
    for (number, line) in reader.lines().enumerate() {
        let line = line.map_err(|error| wrong(&format!("line {}: {error}", number + 1)))?;
        if line.trim().is_empty() {
            continue;
        }
        let members = decode::members(&line).map_err(|error| wrong(&format!("line {}: {error}", number + 1)))?;
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

fn of_texts(names: Vec<String>, mut columns: Vec<StringBuilder>, rows: usize, form: Form) -> Result<RecordBatch> {
    let fields: Vec<Field> = names.iter().map(|name| written::field(name, form)).collect();
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    // A file of empty objects has rows and no columns.
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}
