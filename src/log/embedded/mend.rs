//! Writes a log without the blocks that cannot be read: copies intact blocks into another log, and notes the lost offsets, so that
//! readers continue behind them. Must never use an offset for two records, and never run by itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rocksdb::WriteBatch;

use super::topic::{Extent, Topic};
use super::walk::Found;
use super::{Inner, Log, Mode, keys, open_rocks, retain, wal, writes};
use crate::background::Damage;
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::mark::{Recovery, acknowledged};
use crate::time::Clock;

/// Bytes that go with one write.
const COPIED_AT_ONCE: usize = 8 << 20;

/// Offsets that nothing holds: from `from` on, before `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub topic: String,
    pub partition: Partition,
    pub from: Offset,
    pub to: Offset,
}

/// What others know of a log.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Topics and partitions that were read, and where each is read next: the log does not end before that.
    pub next: BTreeMap<(String, Partition), Offset>,
    /// What a writer of that name was told to be written.
    pub written: Option<(String, u64)>,
}

/// A log that was mended.
pub struct Mended {
    pub log: Log,
    pub lost: Vec<Loss>,
    /// Whether there were records of a topic whose name is lost: none of them is kept.
    pub strays: bool,
    /// So many acknowledged writes are gone from its end: what they held cannot be known.
    pub writes: u64,
}

/// The stored ranges of one partition, from the first lost offset to the first behind them.
type Lost = BTreeMap<u64, u64>;

impl Log {
    /// Writes what can be read of a damaged log into an empty folder. The damaged one is a copy: it is changed.
    ///
    /// # Errors
    /// `Corrupt` where RocksDB does not open it, or what says which topics there are cannot be read: then nothing but a copy helps.
    pub fn mend(damaged: &Path, made: &Path, clock: Arc<dyn Clock>, known: &Known) -> Result<Mended> {
        let acknowledged = acknowledged(damaged)?.unwrap_or_default();
        wal::keep_whole_records(damaged)?;
        let store = open_rocks(damaged, Mode::ReadWrite, Recovery::PastTheDamage, &Damage::default())?;
        let held = writes(damaged, &store)?;
        let old = Inner::new(damaged, Mode::ReadOnly, store, Arc::clone(&clock), None, Damage::default());
        old.check_format()?;
        // Ends are not read yet: what they are read from may be damaged.
        old.load_topics(|_, _| Ok(Extent::default()))?;
        let log = Self::open(made, Mode::ReadWrite, clock)?;
        let new = &log.inner;
        if let Some(written) = &new.written {
            *written.writes.lock() = held.max(acknowledged);
        }
        old.copy_rows(new)?;
        let mut lost = Vec::new();
        let topics: Vec<Arc<Topic>> = old.topics.read().values().cloned().collect();
        for topic in &topics {
            let partitions = topic.extents.lock().len() as u32;
            for partition in (0..partitions).map(Partition) {
                let known = known.next.get(&(topic.name.clone(), partition)).map_or(0, |next| next.0);
                let end = old.extent(topic.id, partition).map_or(known, |extent| extent.end.max(known));
                old.copy_blocks(new, (topic, partition, end), &mut lost)?;
            }
        }
        new.load_topics(|topic, partition| new.extent(topic, partition))?;
        new.reach(known, &mut lost)?;
        Ok(Mended { strays: old.has_strays()?, writes: acknowledged.saturating_sub(held), lost, log })
    }
}

impl Inner {
    /// What is not blocks.
    fn copy_rows(&self, new: &Self) -> Result<()> {
        let (mut batch, mut rows) = (WriteBatch::default(), self.store.raw_iterator());
        rows.seek_to_first();
        while let Some((key, row)) = rows.item() {
            batch.put(key, row);
            rows.next();
        }
        rows.status().map_err(|error| self.failed("reading topics", &error))?;
        new.write("mending the log", batch)
    }

    /// The blocks that can be read; the offsets that are missing then are lost.
    fn copy_blocks(&self, new: &Self, (topic, partition, end): (&Topic, Partition, u64), lost: &mut Vec<Loss>) -> Result<()> {
        let blocks = new.blocks()?;
        let mut expected = self.start(topic.id, partition)?.start;
        let (mut behind, mut batch) = (expected, WriteBatch::default());
        self.walk((topic, partition, end), &mut |_| (), |found| {
            match found {
                Found::Records { base, last, block } => {
                    self.lose(&mut batch, lost, (topic, partition), expected, base)?;
                    (expected, behind) = (last + 1, last + 1);
                    batch.put_cf(blocks, keys::block(topic.id, partition, last), block);
                    if batch.size_in_bytes() > COPIED_AT_ONCE {
                        new.write("mending the log", std::mem::take(&mut batch))?;
                    }
                }
                // What it held shows as a gap before the next block, or before the end.
                Found::Damage { to, .. } => behind = to,
            }
            Ok(())
        })?;
        self.lose(&mut batch, lost, (topic, partition), expected, behind)?;
        if batch.is_empty() { Ok(()) } else { new.write("mending the log", batch) }
    }

    /// Notes that offsets are lost which were not before.
    fn lose(
        &self,
        batch: &mut WriteBatch,
        lost: &mut Vec<Loss>,
        (topic, partition): (&Topic, Partition),
        from: u64,
        to: u64,
    ) -> Result<()> {
        if from >= to || self.lost(topic.id, partition)?.get(&from).is_some_and(|known| *known >= to) {
            return Ok(());
        }
        batch.put(keys::lost(topic.id, partition, from), to.to_be_bytes());
        lost.push(Loss { topic: topic.name.clone(), partition, from: Offset(from), to: Offset(to) });
        Ok(())
    }

    /// What of a partition is known to be lost.
    pub(super) fn lost(&self, topic: u32, partition: Partition) -> Result<Lost> {
        let prefix = keys::lost(topic, partition, 0);
        let prefix = &prefix[..prefix.len() - 8];
        let (mut lost, mut rows) = (Lost::new(), self.store.raw_iterator());
        rows.seek(prefix);
        while let Some((from, to)) = rows.item().and_then(|(key, to)| Some((key.strip_prefix(prefix)?, to))) {
            let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
            let range = number(from).zip(number(to)).ok_or_else(|| Error::corrupt("a range of lost offsets has the wrong length"))?;
            lost.insert(range.0, range.1);
            rows.next();
        }
        rows.status().map_err(|error| self.failed("reading what is lost", &error))?;
        Ok(lost)
    }

    /// The stored start of a partition.
    pub(super) fn start(&self, topic: u32, partition: Partition) -> Result<Extent> {
        let row = self.get(&keys::start(topic, partition))?;
        row.map_or_else(|| Ok(Extent::default()), |row| retain::decode_start(&row))
    }

    /// Moves ends to where the log is known to have come.
    fn reach(&self, known: &Known, lost: &mut Vec<Loss>) -> Result<()> {
        for ((name, partition), next) in &known.next {
            let topic = self.create_topic(name, partition.0 + 1)?;
            let end = topic.extent(*partition)?.end;
            let mut batch = WriteBatch::default();
            self.lose(&mut batch, lost, (&topic, *partition), end, next.0)?;
            if !batch.is_empty() {
                self.write("mending the log", batch)?;
                topic.extents.lock()[partition.0 as usize].end = next.0;
            }
        }
        match &known.written {
            Some((writer, upto)) if self.remembered(writer)?.unwrap_or_default() < *upto => {
                let mut batch = WriteBatch::default();
                batch.put(keys::writer(writer), upto.to_be_bytes());
                self.write("mending the log", batch)
            }
            _ => Ok(()),
        }
    }
}
