//! Files of records as payloads for a log: NDJSON as it is, CSV and Parquet rewritten as JSON objects that `Decoder`
//! reads to the same values. Streams in batches. Must never drop a row: what a field cannot hold is passed on as it
//! was written, for the decoder to reject with a reason.

mod csv;
mod guard;
mod lines;
mod parquet;
mod text;

use std::fs::File;
use std::io::{BufRead, Read};
use std::path::Path;

pub use self::guard::guarded;
pub use self::parquet::{LongTimes, ParquetFile};
use crate::error::{Error, Result};
use crate::json::{write_text, write_value};
use crate::plan::Source;
use crate::value::Value;

pub use csv::{Row as CsvRow, Table as CsvTable};
pub use lines::Lines;
pub use text::{Packing, text_of};

/// A batch is closed when it has so many payloads
const BATCH_RECORDS_MAX: usize = 4096;
/// or so many bytes.
const BATCH_BYTES_MAX: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// A JSON object per line, or one array of objects.
    Ndjson,
    /// With a header row.
    Csv,
    Parquet,
}

impl FileFormat {
    /// By the file's name. Input error for a name that says nothing.
    pub fn of(path: &Path) -> Result<Self> {
        let (packing, name) = Packing::of(path);
        let extension = name.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let shown = path.display();
        match extension.as_str() {
            "ndjson" | "jsonl" | "json" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            "parquet" if packing != Packing::Plain => {
                Err(Error::input(format!("{shown}: Parquet is not read from an archive: unpack it (its columns are compressed within it)")))
            }
            "parquet" => Ok(Self::Parquet),
            _ => Err(Error::input(format!(
                "{shown}: name the file .ndjson, .csv or .parquet, so that its format is known; text may be packed as .gz or .zst"
            ))),
        }
    }
}

/// A record of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The line at which it begins, of Parquet its row; from 1.
    pub place: u64,
    pub bytes: Vec<u8>,
}

/// Batches of payloads, in the order of the file. Ends after the first error, with all that comes before it given. A file
/// without any record is an error.
pub struct Payloads {
    name: String,
    payloads: Box<dyn Iterator<Item = Result<Payload>> + Send>,
    any: bool,
    /// What comes behind the last batch.
    error: Option<Error>,
    done: bool,
}

impl Payloads {
    fn new(name: String, payloads: impl Iterator<Item = Result<Payload>> + Send + 'static) -> Self {
        Self { name, payloads: Box::new(payloads), any: false, error: None, done: false }
    }
}

impl Iterator for Payloads {
    type Item = Result<Vec<Payload>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while !self.done && batch.len() < BATCH_RECORDS_MAX && bytes < BATCH_BYTES_MAX {
            match guarded(|| self.payloads.next().transpose()).transpose() {
                Some(Ok(payload)) => {
                    bytes += payload.bytes.len();
                    batch.push(payload);
                }
                Some(Err(error)) => {
                    self.done = true;
                    self.error = Some(error.context(&self.name));
                }
                None => self.done = true,
            }
        }
        if !batch.is_empty() {
            self.any = true;
            return Some(Ok(batch));
        }
        if let Some(error) = self.error.take() {
            self.any = true;
            return Some(Err(error));
        }
        let nothing = !std::mem::replace(&mut self.any, true);
        nothing.then(|| Err(Error::input(format!("{} holds no records: give a file with at least one", self.name))))
    }
}

/// The records of a file as payloads for a source's log.
pub fn file_to_records(source: &Source, path: &Path) -> Result<Payloads> {
    let name = path.display().to_string();
    match FileFormat::of(path)? {
        FileFormat::Parquet => {
            let file = open(path)?;
            let payloads = guarded(|| parquet::payloads(source, file, false)).map_err(|error| error.context(&name))?;
            Ok(Payloads::new(name, rows(payloads)))
        }
        format => {
            let text = text_of(open(path)?, path).map_err(|error| error.context(&name))?;
            text_to_records(source, format, name, text)
        }
    }
}

/// The rows of a table's Parquet file as payloads for its log. The file must have all columns of the table, and may have
/// no rows.
pub fn table_to_records(table: &Source, path: &Path) -> Result<Payloads> {
    let name = path.display().to_string();
    let file = open(path)?;
    let payloads = guarded(|| parquet::payloads(table, file, true)).map_err(|error| error.context(&name))?;
    Ok(Payloads { any: true, ..Payloads::new(name, rows(payloads)) })
}

/// The records of a stream of NDJSON, such as standard input. `name` is for messages.
pub fn stream_to_records(source: &Source, name: &str, stream: Box<dyn Read + Send>) -> Result<Payloads> {
    let text = text::text(stream, Packing::Plain).map_err(|error| error.context(name))?;
    text_to_records(source, FileFormat::Ndjson, name.to_owned(), text)
}

fn text_to_records(source: &Source, format: FileFormat, name: String, text: Box<dyn BufRead + Send>) -> Result<Payloads> {
    if format == FileFormat::Csv {
        let payloads = csv::payloads(source, text).map_err(|error| error.context(&name))?;
        return Ok(Payloads::new(name, payloads));
    }
    Ok(Payloads::new(name, Lines::new(text)))
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| text::not_opened(path, &error))
}

/// Rows of a file by their number.
fn rows(payloads: impl Iterator<Item = Result<Vec<u8>>> + Send + 'static) -> impl Iterator<Item = Result<Payload>> + Send + 'static {
    (1..).zip(payloads).map(|(place, payload)| payload.map(|bytes| Payload { place, bytes }))
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
