//! Reads of the embedded log. A reader waits on its topic and is woken by the append itself: it never polls busily.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::topic::{Extent, Topic};
use super::{Inner, Mode, REMEDY, block, keys};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::record::{LastRead, LogReader, RecordRun};

/// A poll ends once the keys and payloads of its runs together reach so many bytes.
const POLL_BYTES_MAX: usize = 8 << 20;
/// And one read of a partition.
const READ_BYTES_MAX: usize = 32 << 20;

impl Inner {
    /// At most `max` records of a partition from `from` on.
    pub(super) fn read(&self, topic: &Topic, partition: Partition, from: u64, max: usize) -> Result<RecordRun> {
        self.read_some(topic, partition, from, max, READ_BYTES_MAX)
    }

    fn read_some(&self, topic: &Topic, partition: Partition, from: u64, max: usize, bytes_max: usize) -> Result<RecordRun> {
        let mut run = RecordRun { topic: topic.name.clone(), partition, ..RecordRun::default() };
        let mut blocks = self.store.raw_iterator_cf_opt(self.blocks()?, Self::scan_options());
        blocks.seek(keys::block(topic.id, partition, from));
        while run.records.len() < max && run.bytes.len() < bytes_max {
            let Some((key, value)) = blocks.item() else { break };
            if !keys::is_of(key, topic.id, partition) {
                break;
            }
            block::decode(value, from, max - run.records.len(), &mut run).map_err(|error| {
                let at = format!("topic {} partition {} in {}", topic.name, partition.0, self.folder.display());
                error.context(format!("{at}: {REMEDY}"))
            })?;
            blocks.next();
        }
        blocks.status().map_err(|error| self.failed("reading the log", &error))?;
        Ok(run)
    }
}

pub(super) struct Reader {
    log: Arc<Inner>,
    topic: Arc<Topic>,
    /// The partitions that are read, and the next offset of each.
    next: BTreeMap<Partition, u64>,
    /// The partition that was read last: the next poll starts behind it.
    last: Option<Partition>,
    problems: Vec<String>,
}

impl Reader {
    pub fn new(log: Arc<Inner>, topic: Arc<Topic>) -> Self {
        Self { log, topic, next: BTreeMap::new(), last: None, problems: Vec::new() }
    }

    /// The partitions that hold something new, those behind the last one read first.
    fn ready(&self, extents: &[Extent]) -> Vec<Partition> {
        let ahead = |(partition, next): (&Partition, &u64)| {
            let extent = extents.get(partition.0 as usize)?;
            (extent.end > *next).then_some(*partition)
        };
        let mut ready: Vec<_> = self.next.iter().filter_map(ahead).collect();
        let behind = ready.iter().position(|partition| self.last.is_none_or(|last| *partition > last)).unwrap_or_default();
        ready.rotate_left(behind);
        ready
    }

    /// Waits until there is something to read, at most `max_wait`.
    fn wait(&self, max_wait: Duration) -> Vec<Partition> {
        let mut extents = self.topic.extents.lock();
        let ready = self.ready(&extents);
        if !ready.is_empty() || max_wait.is_zero() {
            return ready;
        }
        self.topic.appended.wait_for(&mut extents, max_wait);
        self.ready(&extents)
    }
}

impl LogReader for Reader {
    fn partitions(&mut self) -> Result<Vec<Partition>> {
        let count = self.topic.extents.lock().len() as u32;
        Ok((0..count).map(Partition).collect())
    }

    fn seek(&mut self, partition: Partition, next: Offset) -> Result<()> {
        let extent = self.topic.extent(partition)?;
        if next.0 > extent.end && self.log.mode == Mode::ReadWrite {
            return Err(Error::conflict(format!(
                "topic {} partition {} in {} ends at offset {}, but was already read up to {}: \
                 the log was replaced or restored from an older copy; restore the whole data folder from one copy",
                self.topic.name,
                partition.0,
                self.log.folder.display(),
                extent.end,
                next.0
            )));
        }
        self.next.insert(partition, next.0);
        Ok(())
    }

    fn resume(&mut self, partition: Partition, last: LastRead) -> Result<()> {
        let extent = self.topic.extent(partition)?;
        if !(extent.start..extent.end).contains(&last.offset.0) {
            return Ok(());
        }
        match self.log.read(&self.topic, partition, last.offset.0, 1)?.last() {
            Some(found) if found.offset == last.offset && found != last => Err(last.replaced(&self.topic.name, partition)),
            _ => Ok(()),
        }
    }

    fn poll(&mut self, max_records: usize, max_wait: Duration) -> Result<Vec<RecordRun>> {
        let mut runs = Vec::new();
        let (mut left, mut bytes_left) = (max_records.max(1), POLL_BYTES_MAX);
        for partition in self.wait(max_wait) {
            let Some(next) = self.next.get(&partition).copied() else { continue };
            let Extent { start, end, .. } = self.topic.extent(partition)?;
            if next < start {
                self.problems.push(format!(
                    "topic {} partition {}: offsets {next} to {} were trimmed by retention before they were read; \
                     reading goes on at {start}; keep records longer",
                    self.topic.name,
                    partition.0,
                    start - 1
                ));
            }
            let run = self.log.read_some(&self.topic, partition, next.max(start), left, bytes_left)?;
            if let Some(first) = run.records.first().map(|record| record.offset.0).filter(|first| *first > next.max(start)) {
                let (topic, partition, from, upto) = (&self.topic.name, partition.0, next.max(start), first - 1);
                self.problems
                    .push(format!("topic {topic} partition {partition}: offsets {from} to {upto} are lost; reading goes on at {first}"));
            }
            // Where there is none, what is left up to the end is lost.
            self.next.insert(partition, run.records.last().map_or(end, |record| record.offset.0 + 1));
            self.last = Some(partition);
            left -= run.records.len();
            bytes_left = bytes_left.saturating_sub(run.bytes.len());
            if !run.records.is_empty() {
                runs.push(run);
            }
            if left == 0 || bytes_left == 0 {
                break;
            }
        }
        Ok(runs)
    }

    fn ends(&mut self) -> Result<Vec<(Partition, Offset)>> {
        let extents = self.topic.extents.lock();
        Ok((0..).zip(extents.iter()).map(|(partition, extent)| (Partition(partition), Offset(extent.held))).collect())
    }

    fn record_ends(&mut self) -> Result<Vec<(Partition, Offset)>> {
        let extents = self.topic.extents.lock();
        let held = (0..).zip(extents.iter()).filter(|(_, extent)| extent.start < extent.held);
        Ok(held.map(|(partition, extent)| (Partition(partition), Offset(extent.held))).collect())
    }

    fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}
