//! Retention of the embedded log: whole blocks are dropped from the start of a partition, by age or by bytes.
//! Must never change where a partition ends.

use rocksdb::WriteBatch;

use super::topic::{Extent, Retention, Topic};
use super::{Inner, Log, block, keys};
use crate::error::{Error, Result};
use crate::id::Partition;
use crate::time::IngestTime;

impl Log {
    /// Sets how long and how much of each partition of a topic is kept; `trim` puts it into effect.
    pub fn set_retention(&self, topic: &str, retention: Retention) -> Result<()> {
        let _change = self.inner.change_guard()?;
        let topic = self.inner.topic(topic)?;
        let partitions = topic.extents.lock().len() as u32;
        let mut batch = WriteBatch::default();
        batch.put(keys::topic(&topic.name), Topic::encode(topic.id, partitions, retention));
        self.inner.write(&format!("setting the retention of topic {}", topic.name), batch)?;
        *topic.retention.lock() = retention;
        Ok(())
    }

    /// Drops what the topics' retention no longer keeps at `now`; returns how many records were dropped. A block goes
    /// when its newest record is too old, or when what follows it holds the bytes to keep.
    pub fn trim(&self, now: IngestTime) -> Result<u64> {
        let topics: Vec<_> = self.inner.topics.read().values().cloned().collect();
        let mut dropped = 0;
        for topic in topics {
            let partitions = topic.extents.lock().len() as u32;
            for partition in (0..partitions).map(Partition) {
                dropped += self.inner.trim(&topic, partition, now)?;
            }
        }
        Ok(dropped)
    }
}

impl Inner {
    fn trim(&self, topic: &Topic, partition: Partition, now: IngestTime) -> Result<u64> {
        let retention = *topic.retention.lock();
        if retention == Retention::default() {
            return Ok(0);
        }
        let _change = self.change_guard()?;
        let extent = topic.extent(partition)?;
        let start = self.start_after(topic, partition, &extent, retention, now)?;
        let dropped = start.start.saturating_sub(extent.start);
        if dropped == 0 {
            return Ok(0);
        }
        let mut batch = WriteBatch::default();
        let (from, to) = (keys::block(topic.id, partition, 0), keys::block(topic.id, partition, start.start));
        batch.delete_range_cf(self.blocks()?, from, to);
        batch.put(keys::start(topic.id, partition), encode_start(&start));
        self.write(&format!("trimming topic {}", topic.name), batch)?;
        if let Some(extent) = topic.extents.lock().get_mut(partition.0 as usize) {
            extent.start = start.start;
        }
        // The rows of this family are small (the blocks lie in blob files), so that this is cheap and frees the files.
        self.store.compact_range_cf(self.blocks()?, Some(from), Some(to));
        Ok(dropped)
    }

    /// The first block that is kept, as an extent: its base offset and the bytes before it.
    fn start_after(&self, topic: &Topic, partition: Partition, extent: &Extent, keep: Retention, now: IngestTime) -> Result<Extent> {
        let mut start = *extent;
        let oldest = keep.age.map(|age| now.0.saturating_sub(age.0));
        let mut blocks = self.store.raw_iterator_cf_opt(self.blocks()?, Self::scan_options());
        blocks.seek(keys::block(topic.id, partition, extent.start));
        while let Some((key, value)) = blocks.item() {
            if !keys::is_of(key, topic.id, partition) {
                break;
            }
            let head = block::Head::read(value)?;
            let bytes_through = head.bytes_before + value.len() as u64;
            let too_old = oldest.is_some_and(|oldest| head.timestamp_max < oldest);
            let too_many = keep.bytes.is_some_and(|keep| extent.bytes - bytes_through >= keep);
            if !too_old && !too_many {
                break;
            }
            (start.start, start.bytes) = (head.end(), bytes_through);
            blocks.next();
        }
        blocks.status().map_err(|error| self.failed("reading what to trim", &error))?;
        Ok(start)
    }
}

/// The stored start of a partition: its first offset and the bytes ever appended before it, 8 bytes each, big endian.
fn encode_start(extent: &Extent) -> [u8; 16] {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&extent.start.to_be_bytes());
    row[8..].copy_from_slice(&extent.bytes.to_be_bytes());
    row
}

/// The extent of a partition that holds nothing after its stored start.
pub(super) fn decode_start(row: &[u8]) -> Result<Extent> {
    let row: &[u8; 16] = row.try_into().map_err(|_| Error::corrupt("the stored start of a partition has the wrong length"))?;
    let half = |half: &[u8]| half.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (start, bytes) = (half(&row[..8]), half(&row[8..]));
    Ok(Extent { start, end: start, bytes })
}
