//! The log without what of it cannot be read any more: blocks that are damaged go, and offsets that nothing holds are noted as
//! lost, so that readers go on behind them and no offset stands for two records. Must never be done by itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rocksdb::WriteBatch;

use super::topic::{Extent, Topic};
use super::walk::Found;
use super::{Inner, Log, Mode, Written, keys, open_rocks, retain, wal, writes};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::mark::{Mark, Recovery, acknowledged};
use crate::time::Clock;

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
    /// Mends the log in a folder.
    ///
    /// # Errors
    /// `Corrupt` where RocksDB itself cannot read on: then nothing but a copy helps.
    pub fn mend(folder: &Path, clock: Arc<dyn Clock>, known: &Known) -> Result<Mended> {
        let acknowledged = acknowledged(folder)?.unwrap_or_default();
        wal::keep_whole_records(folder)?;
        let store = open_rocks(folder, Mode::ReadWrite, Recovery::PastTheDamage)?;
        let held = writes(folder, &store)?;
        let written = Some(Written { writes: parking_lot::Mutex::new(held.max(acknowledged)), mark: Mark::open(folder)? });
        let inner = Inner::new(folder, Mode::ReadWrite, store, clock, written);
        inner.check_format()?;
        // Ends are not read yet: what they are read from may be damaged.
        inner.load_topics(|_, _| Ok(Extent::default()))?;
        let (mut lost, mut batch) = (Vec::new(), WriteBatch::default());
        let topics: Vec<Arc<Topic>> = inner.topics.read().values().cloned().collect();
        for topic in &topics {
            let partitions = topic.extents.lock().len() as u32;
            for partition in (0..partitions).map(Partition) {
                inner.drop_unreadable(topic, partition, &mut batch, &mut lost)?;
            }
        }
        let strays = inner.strays()?;
        for (from, to) in &strays {
            batch.delete_range_cf(inner.blocks()?, from, to);
        }
        if !batch.is_empty() {
            inner.write("mending the log", batch)?;
        }
        inner.load_topics(|topic, partition| inner.extent(topic, partition))?;
        inner.reach(known, &mut lost)?;
        let (strays, writes) = (!strays.is_empty(), acknowledged.saturating_sub(held));
        Ok(Mended { log: Self { inner: Arc::new(inner) }, lost, strays, writes })
    }
}

impl Inner {
    /// Walks over every block; what cannot be read goes, and the offsets that are missing then are lost.
    fn drop_unreadable(&self, topic: &Topic, partition: Partition, batch: &mut WriteBatch, lost: &mut Vec<Loss>) -> Result<()> {
        let blocks = self.blocks()?;
        let mut expected = self.start(topic.id, partition)?.start;
        let mut behind = expected;
        self.walk((topic, partition), &mut |_| (), |found| {
            match found {
                Found::Records { base, last } => {
                    self.lose(batch, lost, (topic, partition), expected, base)?;
                    expected = last + 1;
                    behind = expected;
                }
                // What it held shows as a gap before the next block, or before the end.
                Found::Damage { from, to, .. } => {
                    batch.delete_range_cf(blocks, keys::block(topic.id, partition, from), keys::block(topic.id, partition, to));
                    behind = to;
                }
            }
            Ok(())
        })?;
        self.lose(batch, lost, (topic, partition), expected, behind)
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
