//! Files of records as payloads for a log: NDJSON as it is, CSV and Parquet rewritten as JSON objects that `Decoder`
//! reads to the same values. Streams in batches. Must never drop a row: what a field cannot hold is passed on as it
//! was written, for the decoder to reject with a reason.

mod csv;
mod guard;
mod parquet;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

pub use self::guard::guarded;
pub use self::parquet::{LongTimes, ParquetFile};
use crate::error::{Error, Result};
use crate::json::{write_text, write_value};
use crate::plan::Source;
use crate::value::Value;

/// A batch is closed when it has so many payloads
const BATCH_RECORDS_MAX: usize = 4096;
/// or so many bytes.
const BATCH_BYTES_MAX: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// A JSON object per line.
    Ndjson,
    /// With a header row.
    Csv,
    Parquet,
}

impl FileFormat {
    /// By the file's name. Input error for a name that says nothing.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "ndjson" | "jsonl" | "json" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            "parquet" => Ok(Self::Parquet),
            _ => Err(Error::input(format!("{}: name the file .ndjson, .csv or .parquet, so that its format is known", path.display()))),
        }
    }
}

/// Batches of payloads, in the order of the file. Ends after the first error. A file without any record is an error.
pub struct Payloads {
    name: String,
    batches: Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>,
    any: bool,
    done: bool,
}

impl Payloads {
    fn new(name: String, payloads: impl Iterator<Item = Result<Vec<u8>>> + Send + 'static) -> Self {
        Self { name, batches: Box::new(payloads), any: false, done: false }
    }
}

impl Iterator for Payloads {
    type Item = Result<Vec<Vec<u8>>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_RECORDS_MAX && bytes < BATCH_BYTES_MAX {
            match guarded(|| self.batches.next().transpose()).transpose() {
                Some(Ok(payload)) => {
                    bytes += payload.len();
                    batch.push(payload);
                }
                Some(Err(error)) => {
                    self.done = true;
                    return Some(Err(error.context(&self.name)));
                }
                None => {
                    self.done = true;
                    break;
                }
            }
        }
        if batch.is_empty() {
            self.done = true;
            return (!self.any).then(|| Err(Error::input(format!("{} holds no records: give a file with at least one", self.name))));
        }
        self.any = true;
        Some(Ok(batch))
    }
}

/// The records of a file as payloads for a source's log.
pub fn file_to_records(source: &Source, path: &Path) -> Result<Payloads> {
    let name = path.display().to_string();
    let format = FileFormat::of(path)?;
    let open = File::open(path).map_err(|error| file_error(&name, &error))?;
    match format {
        FileFormat::Parquet => {
            let payloads = guarded(|| parquet::payloads(source, open, false)).map_err(|error| error.context(&name))?;
            Ok(Payloads::new(name, payloads))
        }
        FileFormat::Ndjson | FileFormat::Csv => reader_to_records(source, format, &name, Box::new(open)),
    }
}

/// The rows of a table's Parquet file as payloads for its log. The file must have all columns of the table, and may have
/// no rows.
pub fn table_to_records(table: &Source, path: &Path) -> Result<Payloads> {
    let name = path.display().to_string();
    let open = File::open(path).map_err(|error| file_error(&name, &error))?;
    let payloads = guarded(|| parquet::payloads(table, open, true)).map_err(|error| error.context(&name))?;
    Ok(Payloads { any: true, ..Payloads::new(name, payloads) })
}

/// The records of a stream, such as standard input. `name` is for messages. Parquet is read from files only.
pub fn reader_to_records(source: &Source, format: FileFormat, name: &str, reader: Box<dyn Read + Send>) -> Result<Payloads> {
    let name = name.to_owned();
    match format {
        FileFormat::Ndjson => Ok(Payloads::new(name, lines(reader))),
        FileFormat::Csv => {
            let payloads = csv::payloads(source, reader).map_err(|error| error.context(&name))?;
            Ok(Payloads::new(name, payloads))
        }
        FileFormat::Parquet => Err(Error::input(format!("{name}: Parquet cannot be read from a stream; give a file"))),
    }
}

fn file_error(name: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!("{name}: there is no such file")),
        _ => Error::input(format!("{name}: cannot be read: {error}")),
    }
}

/// The lines that are not blank, without their ends.
fn lines(reader: Box<dyn Read + Send>) -> impl Iterator<Item = Result<Vec<u8>>> + Send {
    let lines = BufReader::with_capacity(1 << 20, reader).split(b'\n');
    lines.filter_map(|line| match line {
        Ok(mut line) => {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            (!line.trim_ascii().is_empty()).then_some(Ok(line))
        }
        Err(error) => Some(Err(Error::input(format!("cannot be read: {error}")))),
    })
}

/// A JSON object that is written field by field.
struct Object(Vec<u8>);

impl Object {
    fn new() -> Self {
        Self(vec![b'{'])
    }

    /// Appends a field; a null one is left out.
    fn put(&mut self, name: &str, value: &Value) {
        if value.is_null() {
            return;
        }
        self.put_name(name);
        write_value(&mut self.0, value);
    }

    /// Appends a field whose value `write` appends.
    fn put_with(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.put_name(name);
        write(&mut self.0);
    }

    fn put_name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write_text(&mut self.0, name);
        self.0.push(b':');
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}
