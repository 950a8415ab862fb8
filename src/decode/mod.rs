//! From records to events: bytes to Arrow batches, or a reason why not. A record that cannot be used never spoils its
//! neighbours. Pure: must never touch a log, a clock or (but for `files`) the file system; and must never drop a
//! record without a reject that says why.

mod columns;
mod dead_letter;
mod expect;
mod files;
mod json;
mod malformed;
mod numbers;
mod odd_times;
#[cfg(test)]
mod tests;
mod time;
mod tombstone;
pub(crate) mod value;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::plan::{Expect, Expression, Source};
use crate::record::RecordRun;
use columns::Columns;
use json::{Fields, Row, Slot};

pub use dead_letter::{dead_letter, partitions};
pub use files::{
    CsvRow, CsvTable, FileFormat, Lines, LongTimes, Packing, ParquetFile, Payload, Payloads, file_to_records, guarded, stream_to_records,
    table_to_records, text_of,
};
pub(crate) use json::{Values, elements, members};
pub use odd_times::odd_times;
pub use tombstone::TombstoneKeys;

/// The largest payload that is read, unless `Decoder::with_payload_bytes_max` says otherwise.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// Why a record is rejected: labels of metrics, header values of dead letters. They never change meaning.
pub mod reason {
    /// No payload, or nothing in it.
    pub const EMPTY: &str = "empty";
    /// A payload over the limit.
    pub const TOO_LARGE: &str = "too_large";
    pub const INVALID_UTF8: &str = "invalid_utf8";
    /// No JSON object.
    pub const MALFORMED: &str = "malformed";
    /// A field's value is of another type, or a number does not fit.
    pub const WRONG_TYPE: &str = "wrong_type";
    /// A timestamp that is none, or lies outside the years -9999 to 9999.
    pub const BAD_TIME: &str = "bad_time";
    pub const NO_EVENT_TIME: &str = "no_event_time";
    /// An `expect` condition is false or null.
    pub const EXPECTATION: &str = "expectation";
    /// An `expect` or `deletes when` condition cannot be computed.
    pub const EXPRESSION: &str = "expression";
    /// A tombstone whose key names no event.
    pub const BAD_KEY: &str = "bad_key";
    /// All of them.
    pub const ALL: [&str; 10] =
        [EMPTY, TOO_LARGE, INVALID_UTF8, MALFORMED, WRONG_TYPE, BAD_TIME, NO_EVENT_TIME, EXPECTATION, EXPRESSION, BAD_KEY];
}

/// What became of a run of records. Every record is a row of `batch`, one of `tombstones` or one of `rejects`.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Of the source's schema.
    pub batch: RecordBatch,
    /// For each row of `batch` the index of its record in the run; rising.
    pub records: Vec<u32>,
    /// For each row whether it is no event but retracts one; empty where no row can.
    pub retracts: Vec<bool>,
    /// Of a source with `deletes on tombstone`.
    pub tombstones: Option<TombstoneKeys>,
    /// In the order of the run.
    pub rejects: Vec<Reject>,
}

/// A record that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Its index in the run.
    pub record: u32,
    /// One of `reason`.
    pub reason: &'static str,
    /// What is wrong, naming the field.
    pub message: String,
}

/// Why one record is rejected.
#[derive(Debug)]
struct Rejection {
    reason: &'static str,
    message: String,
}

impl Rejection {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Turns the records of one source into batches of its schema. Keeps buffers between calls.
#[derive(Debug)]
pub struct Decoder {
    source: String,
    fields: Fields,
    schema: SchemaRef,
    event_time: usize,
    expects: Vec<Expect>,
    deletes: Option<Expression>,
    keys: Option<tombstone::Keys>,
    payload_bytes_max: usize,
    row: Row,
}

impl Decoder {
    #[must_use]
    pub fn new(source: &Source) -> Self {
        Self {
            source: source.name.clone(),
            fields: Fields::of(source, 0..source.fields.len()),
            schema: source.schema.clone(),
            event_time: source.event_time,
            expects: source.expects.clone(),
            deletes: source.deletes.clone(),
            keys: tombstone::Keys::of(source),
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            row: Row::default(),
        }
    }

    /// The same with another limit for the bytes of one payload.
    #[must_use]
    pub fn with_payload_bytes_max(mut self, bytes: usize) -> Self {
        self.payload_bytes_max = bytes;
        self
    }

    /// Decodes a run, tells retractions from events, and checks the `expect` conditions of events. An error is a fault of the call or of Forebay, never of one
    /// record.
    pub fn decode(&mut self, run: &RecordRun) -> Result<Decoded> {
        if run.bytes.len() > i32::MAX as usize {
            let bytes = run.bytes.len();
            return Err(Error::input(format!("a run of {} has {bytes} bytes: poll at most {} at once", self.source, i32::MAX)));
        }
        let mut columns = Columns::new(&self.fields, run.records.len()).map_err(|error| error.context(&self.source))?;
        let mut records = Vec::with_capacity(run.records.len());
        let mut rejects = Vec::new();
        let mut tombstones = self.keys.as_ref().map(|keys| keys.reading().map(|reading| (keys, reading))).transpose()?;
        for index in 0..run.records.len() {
            let (record, value) = (index as u32, run.value(index));
            let read = match (&mut tombstones, value) {
                (Some((keys, reading)), None) => keys.read(record, run.key(index), reading),
                _ => read(&self.fields, self.event_time, self.payload_bytes_max, value, &mut self.row).map(|()| {
                    columns.push(&self.row);
                    records.push(record);
                }),
            };
            rejects.extend(read.err().map(|Rejection { reason, message }| Reject { record, reason, message }));
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns.finish())?;
        let tombstones = tombstones.map(|(keys, reading)| keys.finish(reading)).transpose()?;
        self.check(Decoded { batch, records, retracts: Vec::new(), tombstones, rejects })
    }

    /// Moves the events that miss an expectation to the rejects.
    fn check(&self, decoded: Decoded) -> Result<Decoded> {
        let Decoded { batch, records, tombstones, mut rejects, .. } = decoded;
        let (retracts, undecided) = match &self.deletes {
            Some(condition) => expect::retractions(condition, &batch),
            None => Default::default(),
        };
        let mut failures = expect::failures(&self.expects, &batch);
        failures.retain(|row, _| !retracts.get(*row).is_some_and(|retracts| *retracts));
        failures.extend(undecided);
        if failures.is_empty() {
            return Ok(Decoded { batch, records, retracts, tombstones, rejects });
        }
        let kept: Vec<bool> = (0..records.len()).map(|row| !failures.contains_key(&row)).collect();
        let retracts = retracts.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(retracts, _)| *retracts).collect();
        for (row, Rejection { reason, message }) in failures {
            rejects.push(Reject { record: records[row], reason, message });
        }
        rejects.sort_by_key(|reject| reject.record);
        let records = records.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(record, _)| *record).collect();
        let batch = filter_record_batch(&batch, &BooleanArray::from(kept))?;
        Ok(Decoded { batch, records, retracts, tombstones, rejects })
    }
}

/// Reads one payload into the row.
fn read(fields: &Fields, event_time: usize, bytes_max: usize, payload: Option<&[u8]>, row: &mut Row) -> Result<(), Rejection> {
    let payload = payload.unwrap_or_default();
    if payload.is_empty() {
        return Err(Rejection::new(reason::EMPTY, "the record has no payload"));
    }
    if payload.len() > bytes_max {
        // Of what a file had it is a part.
        return Err(Rejection::new(reason::TOO_LARGE, format!("the payload is larger than the limit of {bytes_max} bytes")));
    }
    let text = std::str::from_utf8(payload).map_err(|error| {
        Rejection::new(reason::INVALID_UTF8, format!("byte {} is not UTF-8{}", error.valid_up_to(), whose(fields, payload)))
    })?;
    json::read(fields, text, row)?;
    if matches!(row.slots.get(event_time), None | Some(Slot::Null)) {
        let name = fields.name(event_time);
        return Err(Rejection::new(reason::NO_EVENT_TIME, format!("field {name} is the event time and is missing or null")));
    }
    Ok(())
}

/// The field whose text is not UTF-8, for the message of a payload that would be JSON otherwise.
fn whose(fields: &Fields, payload: &[u8]) -> String {
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&String::from_utf8_lossy(payload)).unwrap_or_default();
    let broken = |name: &str| object.get(name).is_some_and(|value| value.to_string().contains(char::REPLACEMENT_CHARACTER));
    fields.iter().find(|(name, _)| broken(name)).map_or_else(String::new, |(name, _)| format!(", in field {name}"))
}
