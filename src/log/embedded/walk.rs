//! Every block of the log in order, for those who read all of it and go on behind what cannot be read. Must never change anything.

use super::topic::Topic;
use super::{Inner, block, keys};
use crate::error::{Error, Result};
use crate::id::Partition;
use crate::record::RecordRun;

/// What stands next in a partition.
pub(super) enum Found {
    /// A block that holds records from `base` on, up to `last`.
    Records { base: u64, last: u64 },
    /// Something that is no block, with a key of `from` or behind, and before `to`.
    Damage { from: u64, to: u64, error: Error },
}

impl Inner {
    /// Reads every record of a partition; `bytes` is told those of each block.
    pub(super) fn walk(
        &self,
        (topic, partition): (&Topic, Partition),
        bytes: &mut impl FnMut(u64),
        mut each: impl FnMut(Found) -> Result<()>,
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
                    Ok(head) if head.end() == last + 1 => Found::Records { base: head.base, last },
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
            // RocksDB gives no key with a value that it cannot read: the first that it gives again lies behind.
            let mut to = from + 1;
            while self.blocks_from(topic.id, partition, to)?.status().is_err() {
                to += 1;
            }
            each(Found::Damage { from, to, error: self.failed("reading the log", &error) })?;
            from = to;
        }
    }

    /// The blocks of a partition that end at an offset or behind.
    fn blocks_from(&self, topic: u32, partition: Partition, offset: u64) -> Result<rocksdb::DBRawIterator<'_>> {
        let mut options = Self::scan_options();
        options.set_iterate_upper_bound([keys::block(topic, partition, u64::MAX).as_slice(), &[0]].concat());
        let mut blocks = self.store.raw_iterator_cf_opt(self.blocks()?, options);
        blocks.seek(keys::block(topic, partition, offset));
        Ok(blocks)
    }

    /// Ranges of keys in which there is something that belongs to no topic.
    pub(super) fn strays(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let topics = self.topics.read();
        let mut known: Vec<(u32, u32)> = topics.values().map(|topic| (topic.id, topic.extents.lock().len() as u32)).collect();
        known.sort_unstable();
        let (mut strays, mut from) = (Vec::new(), Vec::new());
        let begins = known.iter().map(|(topic, _)| keys::block(*topic, Partition(0), 0).to_vec()).chain([vec![0xff; 17]]);
        let ends = known.iter().map(|(topic, partitions)| keys::block(*topic, Partition(*partitions), 0).to_vec());
        for (to, next) in begins.zip(ends.chain([Vec::new()])) {
            let mut options = Self::scan_options();
            options.set_iterate_upper_bound(to.clone());
            let mut blocks = self.store.raw_iterator_cf_opt(self.blocks()?, options);
            blocks.seek(&from);
            if blocks.valid() || blocks.status().is_err() {
                strays.push((from, to));
            }
            from = next;
        }
        Ok(strays)
    }
}
