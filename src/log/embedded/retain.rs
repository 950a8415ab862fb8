//! Retention of the embedded log: whole blocks are dropped from the start of a partition, by age or by bytes, and only what
//! its readers have read. Must never change where a partition ends, and never hold appends up for longer than one write.

use rocksdb::{BottommostLevelCompaction, CompactOptions, WriteBatch};

use super::topic::{Extent, Topic};
use super::{Inner, Log, block, keys};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::record::Retention;
use crate::time::IngestTime;

/// Blob files with less garbage than that are not worth being written again.
const GARBAGE_MIN: u64 = 256 << 20;

/// What a trim dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    pub records: u64,
    /// Stored (compressed) bytes.
    pub bytes: u64,
    /// Records that stay only because they were not read yet.
    pub unread: u64,
}

/// The keys of blocks that were dropped.
pub(super) type Gone = ([u8; 16], [u8; 16]);

impl Log {
    /// Notes how long and how much of each partition of a topic is kept; `trim` puts it into effect.
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

    /// Drops what `keep` does not keep of a topic at `now`, as far as it lies before the last record that was read: `read` says
    /// where each partition is read next. A block
    /// goes when its newest record is too old, or when what follows it holds the bytes to keep. `reclaim` frees the space.
    ///
    /// # Errors
    /// `NotFound` where there is no such topic; `Corrupt` where a block cannot be read, which stays with all behind it in its partition; the
    /// other partitions are trimmed.
    pub fn trim(&self, topic: &str, keep: Retention, now: IngestTime, read: &dyn Fn(Partition) -> Offset) -> Result<Trimmed> {
        let topic = self.inner.topic(topic)?;
        let partitions = topic.extents.lock().len() as u32;
        let (mut trimmed, mut failed) = (Trimmed::default(), None);
        for partition in (0..partitions).map(Partition) {
            match self.inner.trim(&topic, partition, keep, now, read(partition).0) {
                Ok(own) => {
                    trimmed.records += own.records;
                    trimmed.bytes += own.bytes;
                    trimmed.unread += own.unread;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(trimmed), Err)
    }

    /// Frees the space of what was trimmed. Takes as long as it takes; appends and reads go on beside it.
    pub fn reclaim(&self) -> Result<()> {
        self.inner.writable()?;
        let inner = &self.inner;
        let trimmed = std::mem::take(&mut *inner.trimmed.lock());
        if trimmed.is_empty() {
            return Ok(());
        }
        // The rows of this family are small (the blocks lie in blob files).
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        for (from, to) in trimmed {
            inner.store.compact_range_cf_opt(inner.blocks()?, Some(from), Some(to), &options);
        }
        inner.collect_garbage()
    }

    /// Ends what is done in the background, a `reclaim` too. Nothing is to be written afterwards.
    pub fn end_background_work(&self) {
        self.inner.store.cancel_all_background_work(false);
    }

    /// The timestamp of the first record that a partition holds; `None` where it holds none.
    pub fn oldest(&self, topic: &str, partition: Partition) -> Result<Option<IngestTime>> {
        let topic = self.inner.topic(topic)?;
        let run = self.inner.read(&topic, partition, topic.extent(partition)?.start, 1)?;
        Ok(run.records.first().map(|record| IngestTime(record.timestamp)))
    }
}

impl Inner {
    fn trim(&self, topic: &Topic, partition: Partition, keep: Retention, now: IngestTime, read: u64) -> Result<Trimmed> {
        if keep == Retention::FOREVER {
            return Ok(Trimmed::default());
        }
        self.writable()?;
        // One trim at a time: nobody else moves a start. Appends move ends meanwhile.
        let mut trimmed = self.trimmed.lock();
        let extent = topic.extent(partition)?;
        let (start, unread) = self.start_after(topic, partition, &extent, keep, now, read)?;
        let own = Trimmed { records: start.start - extent.start, bytes: start.dropped - extent.dropped, unread };
        if own.records == 0 {
            return Ok(own);
        }
        let mut batch = WriteBatch::default();
        let (from, to) = (keys::block(topic.id, partition, 0), keys::block(topic.id, partition, start.start));
        batch.delete_range_cf(self.blocks()?, from, to);
        batch.put(keys::start(topic.id, partition), encode_start(&start));
        let _change = self.change_guard()?;
        self.write(&format!("trimming topic {}", topic.name), batch)?;
        if let Some(extent) = topic.extents.lock().get_mut(partition.0 as usize) {
            (extent.start, extent.dropped) = (start.start, start.dropped);
        }
        trimmed.push((from, to));
        Ok(own)
    }

    /// Where the first block begins that is kept, and how many records stay because they lie behind `read`.
    fn start_after(
        &self,
        topic: &Topic,
        partition: Partition,
        extent: &Extent,
        keep: Retention,
        now: IngestTime,
        read: u64,
    ) -> Result<(Extent, u64)> {
        let mut start = *extent;
        let mut unread = 0;
        let oldest = keep.age.map(|age| now.0.saturating_sub(age.0));
        let mut blocks = self.store.raw_iterator_cf_opt(self.blocks()?, Self::scan_options());
        blocks.seek(keys::block(topic.id, partition, extent.start));
        while let Some((key, value)) = blocks.item() {
            if !keys::is_of(key, topic.id, partition) {
                break;
            }
            let head = block::Head::read(value).map_err(|error| {
                let at = format!("topic {} partition {} in {}", topic.name, partition.0, self.folder.display());
                error.context(format!("{at}: a block cannot be read, it stays with all behind it; restore the folder from a copy"))
            })?;
            let bytes_through = head.bytes_before + value.len() as u64;
            let too_old = oldest.is_some_and(|oldest| head.timestamp_max < oldest);
            let too_many = keep.bytes.is_some_and(|keep| extent.bytes.saturating_sub(bytes_through) >= keep);
            // What was appended since is newer, and is looked at next time.
            if !(too_old || too_many) || head.end() > extent.end {
                break;
            }
            if head.end() >= read {
                unread += if head.end() > read { u64::from(head.count) } else { 0 };
            } else {
                (start.start, start.dropped) = (head.end(), bytes_through);
            }
            blocks.next();
        }
        blocks.status().map_err(|error| self.failed("reading what to trim", &error))?;
        Ok((start, unread))
    }

    /// Writes the blocks of all blob files anew where more than half of what these hold was trimmed: topics that are kept for
    /// different times lie in the same files. So a byte that is trimmed has another written once at most.
    fn collect_garbage(&self) -> Result<()> {
        let blocks = self.blocks()?;
        let property = |name: &str| {
            let found = self.store.property_int_value_cf(blocks, name).map_err(|error| self.failed("asking for sizes", &error))?;
            Ok::<u64, Error>(found.unwrap_or_default())
        };
        let (all, garbage) = (property("rocksdb.live-blob-file-size")?, property("rocksdb.live-blob-file-garbage-size")?);
        if garbage < GARBAGE_MIN || garbage * 2 < all {
            return Ok(());
        }
        let collect = |on: &str| {
            let options = [("enable_blob_garbage_collection", on), ("blob_garbage_collection_age_cutoff", "1.0")];
            self.store.set_options_cf(blocks, &options).map_err(|error| self.failed("reclaiming space", &error))
        };
        collect("true")?;
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.store.compact_range_cf_opt(blocks, None::<&[u8]>, None::<&[u8]>, &options);
        collect("false")
    }
}

/// The stored start of a partition: its first offset and the bytes ever appended before it, 8 bytes each, big endian.
fn encode_start(extent: &Extent) -> [u8; 16] {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&extent.start.to_be_bytes());
    row[8..].copy_from_slice(&extent.dropped.to_be_bytes());
    row
}

/// The extent of a partition that holds nothing after its stored start.
pub(super) fn decode_start(row: &[u8]) -> Result<Extent> {
    let row: &[u8; 16] = row.try_into().map_err(|_| Error::corrupt("the stored start of a partition has the wrong length"))?;
    let half = |half: &[u8]| half.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (start, bytes) = (half(&row[..8]), half(&row[8..]));
    Ok(Extent { start, end: start, held: start, bytes, dropped: bytes })
}
