//! Outputs that are committed and wait for their destination. Each destination has a queue of its own, in the order of the
//! outputs' numbers, so that a destination that accepts nothing delays no other.

use std::collections::BTreeMap;

use rocksdb::{Direction, IteratorMode, WriteBatch};
use serde::{Deserialize, Serialize};

use super::{Commit, META, OUTBOX, PUBLISHED, Store, failure, number};
use crate::codec;
use crate::error::{Error, Result};
use crate::record::{NewRecord, System};

pub(super) const OUTPUT_VERSION: u8 = 1;

/// Bytes of a number at the end of a key. A key of only these is of a version that had one queue for all destinations.
const NUMBER_BYTES: usize = 8;
/// Outputs that are moved to their queues in one write.
const MOVED_AT_ONCE: usize = 10_000;

/// A record on its way to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub system: System,
    pub record: NewRecord,
}

/// Where outputs go, with a cursor of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// The log of the data folder with all its topics: it remembers one number for all of them.
    Embedded,
    /// A topic of Kafka.
    Kafka(String),
}

impl Destination {
    #[must_use]
    pub fn system(&self) -> System {
        match self {
            Self::Embedded => System::Embedded,
            Self::Kafka(_) => System::Kafka,
        }
    }

    /// Whether the output goes there.
    #[must_use]
    pub fn takes(&self, output: &Output) -> bool {
        match self {
            Self::Embedded => output.system == System::Embedded,
            Self::Kafka(topic) => output.system == System::Kafka && output.record.topic == *topic,
        }
    }

    /// What keys of this destination begin with: 0, or 1 and the length of the topic (2 bytes, big endian) and the topic.
    fn prefix(&self) -> Result<Vec<u8>> {
        let Self::Kafka(topic) = self else { return Ok(vec![0]) };
        let length = u16::try_from(topic.len()).map_err(|_| Error::input(format!("the name of topic {topic} is too long")))?;
        let mut prefix = vec![1];
        prefix.extend(length.to_be_bytes());
        prefix.extend(topic.as_bytes());
        Ok(prefix)
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded => f.write_str("the embedded log"),
            Self::Kafka(topic) => write!(f, "kafka topic {topic}"),
        }
    }
}

impl Output {
    /// The bytes that it adds to those that wait.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.record.topic.len() + self.record.bytes()) as u64
    }

    #[must_use]
    pub fn destination(&self) -> Destination {
        match self.system {
            System::Embedded => Destination::Embedded,
            System::Kafka => Destination::Kafka(self.record.topic.clone()),
        }
    }
}

/// Outputs of a destination that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub records: u64,
    pub bytes: u64,
}

/// The stored form of `Output`.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredOutput {
    system: System,
    topic: String,
    partition: Option<u32>,
    timestamp: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Store {
    /// Puts an output at the end of the queue of its destination. Numbers rise over all outputs.
    pub fn put_output(&self, commit: &mut Commit, number: u64, output: &Output) -> Result<()> {
        let record = &output.record;
        let stored = StoredOutput {
            system: output.system,
            topic: record.topic.clone(),
            partition: record.partition.map(|partition| partition.0),
            timestamp: record.timestamp,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        };
        let mut key = output.destination().prefix()?;
        key.extend(number.to_be_bytes());
        commit.batch.put_cf(self.family(OUTBOX)?, key, codec::encode(OUTPUT_VERSION, &stored)?);
        Ok(())
    }

    /// Up to `most` outputs of a destination with a number of at least `from`, in order, and none after `bytes_max` bytes of them.
    pub fn outputs(&self, destination: &Destination, from: u64, most: usize, bytes_max: u64) -> Result<Vec<(u64, Output)>> {
        let (mut outputs, mut bytes) = (Vec::new(), 0);
        let prefix = destination.prefix()?;
        let mut start = prefix.clone();
        start.extend(from.to_be_bytes());
        self.each_row(&start, |key, output| {
            if !key.starts_with(&prefix) || outputs.len() == most || bytes >= bytes_max {
                return Ok(false);
            }
            bytes += output.bytes();
            outputs.push((number_of(key)?, output));
            Ok(true)
        })?;
        Ok(outputs)
    }

    /// Hands out all outputs with their numbers, those of each destination in order.
    pub fn each_output(&self, mut each: impl FnMut(u64, Output) -> Result<()>) -> Result<()> {
        self.each_row(&[], |key, output| each(number_of(key)?, output).map(|()| true))
    }

    /// What waits for each destination. Outputs of a version that had one queue are moved to those of their destinations.
    pub fn open_outbox(&self) -> Result<BTreeMap<Destination, Backlog>> {
        let mut waiting: BTreeMap<Destination, Backlog> = BTreeMap::new();
        let mut moved = Vec::new();
        self.each_row(&[], |key, output| {
            let backlog = waiting.entry(output.destination()).or_default();
            backlog.records += 1;
            backlog.bytes += output.bytes();
            if key.len() == NUMBER_BYTES {
                moved.push(number_of(key)?);
            }
            Ok(true)
        })?;
        if self.committed.is_none() {
            // Open to read: the next start moves them.
            return Ok(waiting);
        }
        for numbers in moved.chunks(MOVED_AT_ONCE) {
            let mut commit = self.begin();
            for number in numbers {
                let key = number.to_be_bytes();
                let value = self.db.get_pinned_cf(self.family(OUTBOX)?, key).map_err(|error| failure(&self.folder, &error))?;
                let Some(value) = value else { continue };
                self.put_output(&mut commit, *number, &output_of(&value)?)?;
                commit.batch.delete_cf(self.family(OUTBOX)?, key);
            }
            self.commit(commit)?;
        }
        Ok(waiting)
    }

    fn each_row(&self, start: &[u8], mut each: impl FnMut(&[u8], Output) -> Result<bool>) -> Result<()> {
        for entry in self.db.iterator_cf(self.family(OUTBOX)?, IteratorMode::From(start, Direction::Forward)) {
            let (key, value) = entry.map_err(|error| failure(&self.folder, &error))?;
            if !each(&key, output_of(&value)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Deletes the outputs of a destination before this number, which were published. Not synced: after a crash they may be
    /// published again, never lost.
    pub fn delete_outputs_before(&self, destination: &Destination, before: u64) -> Result<()> {
        let mut batch = WriteBatch::default();
        let key = |number: u64| -> Result<Vec<u8>> {
            let mut key = destination.prefix()?;
            key.extend(number.to_be_bytes());
            Ok(key)
        };
        batch.delete_range_cf(self.family(OUTBOX)?, key(0)?, key(before)?);
        if *destination == Destination::Embedded {
            batch.put_cf(self.family(META)?, PUBLISHED, before.to_be_bytes());
        }
        let _writing = self.writing.lock();
        self.db.write(batch).map_err(|error| failure(&self.folder, &error))
    }
}

/// The number at the end of a key.
fn number_of(key: &[u8]) -> Result<u64> {
    let at = key.len().checked_sub(NUMBER_BYTES).ok_or_else(|| Error::corrupt("a key of the outbox has no number"))?;
    Ok(number(&key[at..]))
}

fn output_of(value: &[u8]) -> Result<Output> {
    let stored: StoredOutput = codec::decode(OUTPUT_VERSION, value, "outbox")?;
    let record = NewRecord {
        topic: stored.topic,
        partition: stored.partition.map(crate::id::Partition),
        timestamp: stored.timestamp,
        key: stored.key,
        value: stored.value,
        headers: stored.headers,
    };
    Ok(Output { system: stored.system, record })
}
