//! Outputs that are committed and wait for their topics, in the order of their numbers.

use rocksdb::{Direction, IteratorMode, WriteBatch};
use serde::{Deserialize, Serialize};

use super::{Commit, META, OUTBOX, PUBLISHED, Store, failure, number};
use crate::codec;
use crate::error::Result;
use crate::record::NewRecord;

pub(super) const OUTPUT_VERSION: u8 = 1;

/// A record on its way to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub destination: Destination,
    pub record: NewRecord,
}

impl Output {
    /// What it counts for among those that wait.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.record.topic.len() + self.record.bytes()) as u64
    }
}

/// Which log an output goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Destination {
    Embedded,
    Kafka,
}

/// The stored form of `Output`.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredOutput {
    destination: Destination,
    topic: String,
    partition: Option<u32>,
    timestamp: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Store {
    /// Puts an output; outputs leave in the order of their numbers, which rise by one.
    pub fn put_output(&self, commit: &mut Commit, number: u64, output: &Output) -> Result<()> {
        let record = &output.record;
        let stored = StoredOutput {
            destination: output.destination,
            topic: record.topic.clone(),
            partition: record.partition.map(|partition| partition.0),
            timestamp: record.timestamp,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        };
        commit.batch.put_cf(self.family(OUTBOX)?, number.to_be_bytes(), codec::encode(OUTPUT_VERSION, &stored)?);
        Ok(())
    }

    /// Up to `most` outputs with a number of at least `from`, in order, and none after `bytes_max` bytes of them.
    pub fn outputs(&self, from: u64, most: usize, bytes_max: u64) -> Result<Vec<(u64, Output)>> {
        let (mut outputs, mut bytes) = (Vec::new(), 0);
        self.each_output(from, |number, output| {
            bytes += output.bytes();
            outputs.push((number, output));
            outputs.len() < most && bytes < bytes_max
        })?;
        Ok(outputs)
    }

    /// The bytes of all outputs.
    pub fn outbox_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        self.each_output(0, |_, output| {
            bytes += output.bytes();
            true
        })?;
        Ok(bytes)
    }

    /// Hands out the outputs with a number of at least `from`, in order, until `each` returns false.
    fn each_output(&self, from: u64, mut each: impl FnMut(u64, Output) -> bool) -> Result<()> {
        let start = from.to_be_bytes();
        for entry in self.db.iterator_cf(self.family(OUTBOX)?, IteratorMode::From(&start, Direction::Forward)) {
            let (key, value) = entry.map_err(|error| failure(&self.folder, &error))?;
            let stored: StoredOutput = codec::decode(OUTPUT_VERSION, &value, "outbox")?;
            let record = NewRecord {
                topic: stored.topic,
                partition: stored.partition.map(crate::id::Partition),
                timestamp: stored.timestamp,
                key: stored.key,
                value: stored.value,
                headers: stored.headers,
            };
            if !each(number(&key), Output { destination: stored.destination, record }) {
                break;
            }
        }
        Ok(())
    }

    /// Forgets outputs that were published to that log, those before this number. Not synced: after a crash they may be
    /// published again, never lost.
    pub fn delete_outputs_before(&self, before: u64, published_to: Destination) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.family(OUTBOX)?, 0_u64.to_be_bytes(), before.to_be_bytes());
        if published_to == Destination::Embedded {
            batch.put_cf(self.family(META)?, PUBLISHED, before.to_be_bytes());
        }
        let _writing = self.writing.lock();
        self.db.write(batch).map_err(|error| failure(&self.folder, &error))
    }
}
