//! Records as logs hold them, and the traits of logs, which `log` implements for each system.
//! Must never know what a payload means: that is `decode`'s.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind, Result};
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

/// The place of each record of an append, in the order of the records.
pub type Places = Vec<(Partition, Offset)>;

/// Writes records in numbered steps. The numbers of one sink rise; a step contains every record below its number that no
/// earlier step contains.
pub trait Sink: Send {
    /// The number of the last step that the system holds for certain. `None` if the system does not remember numbers, or holds
    /// no step of this sink.
    fn committed(&mut self) -> Result<Option<u64>>;

    /// Hands over the records of a step, in order. Readers may see them from now on (Kafka without transactions) or from
    /// `commit` on (the embedded log). After an error the step is given up, and `prepare` may be called again.
    fn prepare(&mut self, records: Vec<NewRecord>, number: u64) -> Result<()>;

    /// Makes the prepared step durable and remembers its number, in one atomic operation if the system can. After an error the
    /// step is given up; some of its records may be there if the system is not atomic.
    fn commit(&mut self) -> Result<Places>;

    /// Gives up the prepared step.
    fn abort(&mut self);

    /// `prepare` and `commit` of one step.
    fn append(&mut self, records: &[NewRecord], number: u64) -> Result<Places> {
        self.prepare(records.to_vec(), number)?;
        self.commit()
    }
}

/// What the owner of a sink does after a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try the same step again later.
    Retry,
    /// One of the records is not accepted: find it by steps of one record, and send it in a form that is.
    SetAside,
    /// Another process writes under the same name: stop writing.
    Fenced,
    /// Trying again cannot help: stop writing, and report the error.
    Stop,
}

impl Next {
    /// The decision for a failed step.
    #[must_use]
    pub fn after(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Input => Self::SetAside,
            ErrorKind::NotFound | ErrorKind::Unavailable => Self::Retry,
            ErrorKind::Conflict => Self::Fenced,
            ErrorKind::Corrupt | ErrorKind::Internal => Self::Stop,
        }
    }
}

/// A system of logs, each with its topics. The variants are stored by their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum System {
    /// The log of the data folder.
    Embedded,
    Kafka,
}

impl System {
    /// The name in answers and identities.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "log",
            Self::Kafka => "kafka",
        }
    }

    /// A topic as a declaration writes it after `from`.
    #[must_use]
    pub fn declared(self, topic: &str) -> String {
        match self {
            Self::Embedded => format!("log '{topic}'"),
            Self::Kafka => format!("kafka topic '{topic}'"),
        }
    }
}

/// Where a partition of a topic begins and ends: its first offset, and the offset after its last.
pub type PartitionEnds = (Offset, Offset);

/// What every system of logs can be asked.
pub trait Topics: Send + Sync {
    /// A reader of a topic's partitions.
    fn reader(&self, topic: &str) -> Result<Box<dyn LogReader>>;
    /// A sink under a name, which tools of the system show.
    fn sink(&self, name: &str) -> Result<Box<dyn Sink>>;
    /// Makes a topic, or gives it more partitions. Does nothing if the topic has as many or more.
    fn create_topic(&self, topic: &str, partitions: u32) -> Result<()>;
    /// The partitions of a topic, from 0, if this process knows them without asking anybody. `Some` of nothing if there is no
    /// such topic.
    fn known_partitions(&self, topic: &str) -> Option<Vec<PartitionEnds>>;
    /// Whether a step of a sink is there as a whole or not at all, with its number.
    fn is_atomic(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_says_what_comes_next() {
        let next = |kind| Next::after(&Error::new(kind, "why"));
        for (kind, expected) in [
            (ErrorKind::Input, Next::SetAside),
            (ErrorKind::NotFound, Next::Retry),
            (ErrorKind::Unavailable, Next::Retry),
            (ErrorKind::Conflict, Next::Fenced),
            (ErrorKind::Corrupt, Next::Stop),
            (ErrorKind::Internal, Next::Stop),
        ] {
            assert_eq!(next(kind), expected, "{kind:?}");
        }
    }
}
