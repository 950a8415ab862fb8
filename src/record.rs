//! Records as logs hold them, and the traits of logs, which `log` implements for each system.
//! Must never know what a payload means: that is `decode`'s.

use std::ops::Range;
use std::time::Duration;

use crate::error::Result;
use crate::id::{Offset, Partition};

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

/// Reads the partitions of one topic from given offsets on.
pub trait LogReader: Send {
    /// The partitions there are. Unavailable when the log cannot be reached.
    fn partitions(&mut self) -> Result<Vec<Partition>>;
    /// Reads on from `next` in that partition; called once per partition before the first poll.
    fn seek(&mut self, partition: Partition, next: Offset) -> Result<()>;
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
