//! Visits every block of the log in order, and continues behind a block that cannot be read. Must never change anything.

use super::topic::Topic;
use super::{Inner, block, keys};
use crate::error::{Error, Result};
use crate::id::Partition;
use crate::record::RecordRun;

/// At most so many offsets lie in one block of a table, of 4 KiB: keys of 16 bytes, each with a reference, of blocks of 1,024
/// records.
const TABLE_BLOCK: u64 = 1 << 18;

/// What stands next in a partition.
pub(super) enum Found<'a> {
    /// A block that holds records from `base` on, up to `last`.
    Records { base: u64, last: u64, block: &'a [u8] },
    /// Something that is no block, with a key of `from` or behind, and before `to`.
    Damage { from: u64, to: u64, error: Error },
}

impl Inner {
    /// Reads every record of a partition; `bytes` is told those of each block. `end` is where the partition is known to end: what
    /// is behind something that cannot be read is looked for up to there.
    pub(super) fn walk(
        &self,
        (topic, partition, end): (&Topic, Partition, u64),
        bytes: &mut impl FnMut(u64),
        mut each: impl FnMut(Found<'_>) -> Result<()>,
    ) -> Result<()> {
        let (mut from, mut run) = (self.start(topic.id, partition)?.start, RecordRun::default());
        loop {
            let mut blocks = self.blocks_from(topic.id, partition, from)?;
            while let Some((key, value)) = blocks.item() {
                bytes((key.len() + value.len()) as u64);
                let Some((_, _, last)) = keys::parts(key) else { return Err(Error::corrupt("a block of the log has a key that is none")) };
                run.records.clear();
                run.bytes.clear();
                let read = block::Head::read(value).and_then(|head| block::decode(value, 0, usize::MAX, &mut run).map(|()| head));
                each(match read {
                    Ok(head) if head.end() == last + 1 => Found::Records { base: head.base, last, block: value },
                    Ok(head) => {
                        let error = Error::corrupt(format!("it holds offsets {} to {}", head.base, head.end() - 1));
                        Found::Damage { from: last, to: last + 1, error }
                    }
                    Err(error) => Found::Damage { from: last, to: last + 1, error },
                })?;
                from = last + 1;
                blocks.next();
            }
            let Err(error) = blocks.status() else { return Ok(()) };
            let to = self.readable_behind(topic.id, partition, from, end)?;
            each(Found::Damage { from, to: to.unwrap_or(end.max(from + TABLE_BLOCK)), error: self.failed("reading the log", &error) })?;
            let Some(to) = to else { return Ok(()) };
            from = to;
        }
    }

    /// The first offset behind what cannot be read at `from`, from which on something can be; `None` where nothing can.
    /// RocksDB gives no key with a value, or in a block of a table, that it cannot read, so it is tried.
    fn readable_behind(&self, topic: u32, partition: Partition, from: u64, end: u64) -> Result<Option<u64>> {
        let is_bad = |offset: u64| Ok::<_, Error>(self.blocks_from(topic, partition, offset)?.status().is_err());
        // Where the damage reaches past the end of the partition, nothing says where that is.
        let is_end_hidden = is_bad(u64::MAX)?;
        let (mut bad, mut step) = (from, 1);
        while is_bad(bad.saturating_add(step))? {
            bad = bad.saturating_add(step);
            if is_end_hidden && bad >= end.max(from + TABLE_BLOCK) {
                return Ok(None);
            }
            step = if bad < from + TABLE_BLOCK { 1 } else { step * 2 };
        }
        let mut good = bad.saturating_add(step);
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            *(if is_bad(middle)? { &mut bad } else { &mut good }) = middle;
        }
        Ok(Some(good))
    }

    /// The blocks of a partition that end at an offset or behind.
    fn blocks_from(&self, topic: u32, partition: Partition, offset: u64) -> Result<rocksdb::DBRawIterator<'_>> {
        let mut options = Self::scan_options();
        options.set_iterate_upper_bound([keys::block(topic, partition, u64::MAX).as_slice(), &[0]].concat());
        let mut blocks = self.store.raw_iterator_cf_opt(self.blocks()?, options);
        blocks.seek(keys::block(topic, partition, offset));
        Ok(blocks)
    }

    /// Whether there are blocks that belong to no topic.
    pub(super) fn has_strays(&self) -> Result<bool> {
        let topics = self.topics.read();
        let mut known: Vec<(u32, u32)> = topics.values().map(|topic| (topic.id, topic.extents.lock().len() as u32)).collect();
        known.sort_unstable();
        let mut from = Vec::new();
        let begins = known.iter().map(|(topic, _)| keys::block(*topic, Partition(0), 0).to_vec()).chain([vec![0xff; 17]]);
        let ends = known.iter().map(|(topic, partitions)| keys::block(*topic, Partition(*partitions), 0).to_vec());
        for (to, next) in begins.zip(ends.chain([Vec::new()])) {
            let mut options = Self::scan_options();
            options.set_iterate_upper_bound(to);
            let mut blocks = self.store.raw_iterator_cf_opt(self.blocks()?, options);
            blocks.seek(&from);
            // One that cannot be read may be of the topic before: its table's block reaches to here.
            if blocks.valid() {
                return Ok(true);
            }
            from = next;
        }
        Ok(false)
    }
}
