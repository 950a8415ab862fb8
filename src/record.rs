//! Records as logs hold them, and the traits of logs, which `log` implements for each system.
//! Must never know what a payload means: that is `decode`'s.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::time::Span;

/// A header's name and value.
pub type Header = (String, Vec<u8>);

/// A run of records of one partition of one topic, in offset order, in one buffer.
#[derive(Clone, Debug, Default)]
pub struct RecordRun {
    pub topic: String,
    pub partition: Partition,
    /// Keys and payloads, one after another.
    pub bytes: Vec<u8>,
    pub records: Vec<RecordEntry>,
}

/// One record of a run. The ranges are of the run's `bytes`.
#[derive(Clone, Debug, Default)]
pub struct RecordEntry {
    pub offset: Offset,
    /// The log's own timestamp, microseconds since the epoch.
    pub timestamp: i64,
    pub key: Option<Range<u32>>,
    /// `None` is a tombstone.
    pub value: Option<Range<u32>>,
    /// Empty for nearly every record; boxed so that it costs nothing then.
    pub headers: Option<Box<Vec<Header>>>,
}

impl RecordRun {
    pub fn push(&mut self, offset: Offset, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: Vec<Header>) {
        let mut put = |part: &[u8]| {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(part);
            start..self.bytes.len() as u32
        };
        let key = key.map(&mut put);
        let value = value.map(&mut put);
        let headers = (!headers.is_empty()).then(|| Box::new(headers));
        self.records.push(RecordEntry { offset, timestamp, key, value, headers });
    }

    /// What tells a record from another at the same place of another topic: XXH3 (64 bits) of its timestamp (8 bytes, little
    /// endian), and of its key and value, each 0, or 1 and its length (8 bytes, little endian) and its bytes.
    #[must_use]
    pub fn fingerprint(&self, index: usize) -> u64 {
        let mut bytes = self.records[index].timestamp.to_le_bytes().to_vec();
        for part in [self.key(index), self.value(index)] {
            bytes.push(u8::from(part.is_some()));
            if let Some(part) = part {
                bytes.extend((part.len() as u64).to_le_bytes());
                bytes.extend(part);
            }
        }
        xxh3_64(&bytes)
    }

    /// The last record.
    #[must_use]
    pub fn last(&self) -> Option<LastRead> {
        let index = self.records.len().checked_sub(1)?;
        Some(LastRead { offset: self.records[index].offset, fingerprint: self.fingerprint(index) })
    }

    /// The run in two, of which the second begins at that record.
    #[must_use]
    pub fn split_at(mut self, index: usize) -> (Self, Self) {
        let records = self.records.split_off(index);
        let behind = Self { topic: self.topic.clone(), partition: self.partition, bytes: self.bytes.clone(), records };
        (self, behind)
    }

    #[must_use]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        let range = self.records[index].key.clone()?;
        Some(&self.bytes[range.start as usize..range.end as usize])
    }

    #[must_use]
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        let range = self.records[index].value.clone()?;
        Some(&self.bytes[range.start as usize..range.end as usize])
    }
}

/// The last record that was read of a partition. A topic that has another one at its place is another topic, whatever it is
/// called: its offsets mean other records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRead {
    pub offset: Offset,
    pub fingerprint: u64,
}

impl LastRead {
    /// The record at its offset is not the one that was read.
    #[must_use]
    pub fn replaced(&self, topic: &str, partition: Partition) -> Error {
        let (number, offset) = (partition.0, self.offset.0);
        Error::conflict(format!(
            "topic {topic} partition {number}: the record at offset {offset} is not the one that was read there: the topic was replaced by \
             another of that name, or its log was restored from an older copy; give the source a new name to read it from its start, bring \
             the old topic back, or choose another data folder"
        ))
    }
}

/// How long and how much of each partition of a topic is kept; `None` is without limit. Where both are given, a record goes
/// with the first that it exceeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    pub age: Option<Span>,
    /// Stored (compressed) bytes of one partition.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Everything, for ever.
    pub const FOREVER: Self = Self { age: None, bytes: None };

    /// What keeps all that either keeps.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { age: self.age.zip(other.age).map(|(a, b)| a.max(b)), bytes: self.bytes.zip(other.bytes).map(|(a, b)| a.max(b)) }
    }
}

/// As settings have it: `forever`, `30d`, `1GiB`, `30d 1GiB`.
impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.age, self.bytes) {
            (None, None) => f.write_str("forever"),
            (Some(age), None) => write!(f, "{age}"),
            (None, Some(bytes)) => f.write_str(&size(bytes)),
            (Some(age), Some(bytes)) => write!(f, "{age} {}", size(bytes)),
        }
    }
}

/// Bytes in the largest unit that holds them exactly.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let exact = units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    exact.map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

/// A record to be written. `partition: None` lets the log choose: by the key's hash where there is a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    pub topic: String,
    pub partition: Option<Partition>,
    /// Microseconds since the epoch; `None` lets the log stamp it.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

/// A record as a log takes it, whoever owns its bytes.
pub trait Outgoing {
    fn topic(&self) -> &str;
    fn partition(&self) -> Option<Partition>;
    fn timestamp(&self) -> Option<i64>;
    fn key(&self) -> Option<&[u8]>;
    fn value(&self) -> Option<&[u8]>;
    fn headers(&self) -> &[Header];
}

impl Outgoing for NewRecord {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partition(&self) -> Option<Partition> {
        self.partition
    }

    fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn headers(&self) -> &[Header] {
        &self.headers
    }
}

/// A payload to be written, where it lies: of a million tiny ones each costs little more than its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Pushed<'a> {
    pub topic: &'a str,
    pub partition: Option<Partition>,
    pub payload: &'a [u8],
}

impl Outgoing for Pushed<'_> {
    fn topic(&self) -> &str {
        self.topic
    }

    fn partition(&self) -> Option<Partition> {
        self.partition
    }

    fn timestamp(&self) -> Option<i64> {
        None
    }

    fn key(&self) -> Option<&[u8]> {
        None
    }

    fn value(&self) -> Option<&[u8]> {
        Some(self.payload)
    }

    fn headers(&self) -> &[Header] {
        &[]
    }
}

impl NewRecord {
    /// Bytes of its key, value and headers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

/// Reads the partitions of one topic from given offsets on.
pub trait LogReader: Send {
    /// The partitions there are. Unavailable when the log cannot be reached.
    fn partitions(&mut self) -> Result<Vec<Partition>>;
    /// Reads on from `next` in that partition; called once per partition before the first poll.
    fn seek(&mut self, partition: Partition, next: Offset) -> Result<()>;
    /// What was read of a partition before `next`; called after `seek` and before the first poll. Where another record stands
    /// in its place, this or a later poll is a `Conflict`, and nothing of the partition is handed out.
    fn resume(&mut self, partition: Partition, last: LastRead) -> Result<()>;
    /// Up to about `max_records` records, waiting at most `max_wait` for the first. An unreachable log is an
    /// `Unavailable` error; the reader keeps trying and a later poll may succeed.
    fn poll(&mut self, max_records: usize, max_wait: Duration) -> Result<Vec<RecordRun>>;
    /// For each partition the offset after its last, as now known.
    fn ends(&mut self) -> Result<Vec<(Partition, Offset)>>;
    /// The same of those partitions that hold records, told by the records themselves: an end may be followed by what
    /// no reader is handed (a transaction's marker), and a partition may hold nothing any more.
    fn record_ends(&mut self) -> Result<Vec<(Partition, Offset)>>;
    /// What went wrong since the last call without stopping the reader, each worth a log line: records that the log
    /// dropped before they were read, for one.
    fn take_problems(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Writes records; when `append` returns, they are durable.
pub trait LogWriter: Send {
    /// Appends the records in order, and remembers `upto` for this writer where the log can do so in the same
    /// step (the embedded log can, Kafka without transactions cannot). Returns the place of each record.
    fn append(&mut self, records: &[NewRecord], upto: u64) -> Result<Vec<(Partition, Offset)>>;
    /// The largest `upto` that this log is known to hold; `None` when the log does not keep it.
    fn appended_upto(&mut self) -> Result<Option<u64>>;
}
