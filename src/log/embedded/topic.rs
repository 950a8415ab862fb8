//! What is known of a topic while the log is open: where its partitions begin and end, and who waits for more records.

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::record::Retention;
use crate::time::Span;

/// A topic as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub name: String,
    pub partitions: Vec<PartitionInfo>,
    pub retention: Retention,
}

/// The offsets that a partition holds: from `start` on, before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    pub start: Offset,
    pub end: Offset,
    /// Stored (compressed) bytes of these.
    pub bytes: u64,
}

/// Where a partition starts and ends, the offset behind its last record (what follows up to the end is lost), the stored bytes
/// ever appended to it, and those of them before its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub start: u64,
    pub end: u64,
    pub held: u64,
    pub bytes: u64,
    pub dropped: u64,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub id: u32,
    pub name: String,
    pub retention: Mutex<Retention>,
    pub extents: Mutex<Vec<Extent>>,
    /// Woken, with `extents`, after every append to the topic.
    pub appended: Condvar,
}

impl Topic {
    pub fn new(id: u32, name: &str, retention: Retention, extents: Vec<Extent>) -> Self {
        let (retention, extents) = (Mutex::new(retention), Mutex::new(extents));
        Self { id, name: name.to_owned(), retention, extents, appended: Condvar::new() }
    }

    pub fn info(&self) -> TopicInfo {
        let info = |extent: &Extent| PartitionInfo {
            start: Offset(extent.start),
            end: Offset(extent.end),
            bytes: extent.bytes.saturating_sub(extent.dropped),
        };
        let partitions = self.extents.lock().iter().map(info).collect();
        TopicInfo { name: self.name.clone(), partitions, retention: *self.retention.lock() }
    }

    pub fn extent(&self, partition: Partition) -> Result<Extent> {
        let extents = self.extents.lock();
        extents
            .get(partition.0 as usize)
            .copied()
            .ok_or_else(|| Error::not_found(format!("topic {} has no partition {}: it has {}", self.name, partition.0, extents.len())))
    }

    /// The stored description: id and partitions as 4 bytes, age in microseconds and bytes as 8, big endian; all ones
    /// where there is no limit.
    pub fn encode(id: u32, partitions: u32, retention: Retention) -> Vec<u8> {
        let mut row = Vec::with_capacity(24);
        row.extend(id.to_be_bytes());
        row.extend(partitions.to_be_bytes());
        row.extend(retention.age.map_or(u64::MAX, |age| age.0.max(0).cast_unsigned()).to_be_bytes());
        row.extend(retention.bytes.unwrap_or(u64::MAX).to_be_bytes());
        row
    }

    /// Id, number of partitions and retention.
    pub fn decode(row: &[u8]) -> Result<(u32, u32, Retention)> {
        let row: &[u8; 24] = row.try_into().map_err(|_| Error::corrupt("a topic's description has the wrong length"))?;
        let word = |at: usize| u32::from_be_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let limit = |number: u64| (number != u64::MAX).then_some(number);
        let age = limit(long(8)).map(|age| Span(age.cast_signed()));
        Ok((word(0), word(4), Retention { age, bytes: limit(long(16)) }))
    }
}

/// Names as Kafka allows them, so that a topic can move there: letters, digits, `.`, `_` and `-`, at most 249.
pub(super) fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.bytes().all(allowed) {
        return Err(Error::input(format!("topic name {name:?}: use 1 to 249 letters, digits, '.', '_' or '-'")));
    }
    Ok(())
}
