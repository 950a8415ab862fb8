//! Appends to the embedded log: chooses partitions, packs blocks, writes them in one synced batch, wakes readers.

use std::ops::Range;
use std::sync::Arc;

use rocksdb::WriteBatch;
use xxhash_rust::xxh3::xxh3_64;

use super::topic::{Extent, Topic};
use super::{Inner, block, keys};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::record::{NewRecord, Outgoing, Places, Sink};

/// The most bytes that one record's key, value and headers may have together.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// Writes the records of a step together with its number: both are there after a crash, or neither.
pub(super) struct Writer {
    log: Arc<Inner>,
    name: String,
    prepared: Option<(Vec<NewRecord>, u64)>,
}

impl Writer {
    pub fn new(log: Arc<Inner>, name: &str) -> Self {
        Self { log, name: name.to_owned(), prepared: None }
    }
}

impl Sink for Writer {
    fn committed(&mut self) -> Result<Option<u64>> {
        self.log.remembered(&self.name)
    }

    fn prepare(&mut self, records: Vec<NewRecord>, number: u64) -> Result<()> {
        self.prepared = Some((records, number));
        Ok(())
    }

    fn commit(&mut self) -> Result<Places> {
        let (records, number) = self.prepared.take().ok_or_else(|| Error::internal("no step is prepared"))?;
        self.append(&records, number)
    }

    fn abort(&mut self) {
        self.prepared = None;
    }

    fn append(&mut self, records: &[NewRecord], number: u64) -> Result<Places> {
        self.log.append(records, Some((&self.name, number)))
    }
}

/// The records of one append that go to one topic.
struct Share {
    topic: Arc<Topic>,
    /// For each partition the records, as indices into the append.
    partitions: Vec<Vec<u32>>,
    /// Where records go that name no partition and have no key: all of one append to the same.
    unkeyed: u32,
}

/// A partition as an append leaves it.
struct Change {
    topic: Arc<Topic>,
    partition: u32,
    extent: Extent,
}

impl Inner {
    pub(super) fn remembered(&self, writer: &str) -> Result<Option<u64>> {
        let Some(row) = self.get(&keys::writer(writer))? else { return Ok(None) };
        let row: [u8; 8] = row.try_into().map_err(|_| Error::corrupt(format!("what writer {writer} remembers has the wrong length")))?;
        Ok(Some(u64::from_be_bytes(row)))
    }

    pub(super) fn append<R: Outgoing>(&self, records: &[R], writer: Option<(&str, u64)>) -> Result<Vec<(Partition, Offset)>> {
        let _change = self.change_guard()?;
        let writer = writer.filter(|(_, upto)| *upto > 0);
        if let Some((name, upto)) = writer
            && self.remembered(name)?.is_some_and(|remembered| upto <= remembered)
        {
            return Ok(Vec::new());
        }
        let stamp = self.clock.now().0;
        let shares = self.shares(records)?;
        let mut places = vec![(Partition(0), Offset(0)); records.len()];
        let mut batch = WriteBatch::default();
        let mut changes = Vec::new();
        for share in &shares {
            for (partition, indices) in (0..).zip(&share.partitions).filter(|(_, indices)| !indices.is_empty()) {
                let mut extent = share.topic.extent(Partition(partition))?;
                for range in blocks_of(records, indices) {
                    let base = extent.end;
                    for (offset, index) in (base..).zip(&indices[range.clone()]) {
                        places[*index as usize] = (Partition(partition), Offset(offset));
                    }
                    extent.end += range.len() as u64;
                    let packed = block::encode(base, extent.bytes, stamp, indices[range].iter().map(|index| &records[*index as usize]));
                    extent.bytes += packed.len() as u64;
                    batch.put_cf(self.blocks()?, keys::block(share.topic.id, Partition(partition), extent.end - 1), packed);
                }
                extent.held = extent.end;
                changes.push(Change { topic: Arc::clone(&share.topic), partition, extent });
            }
        }
        if let Some((name, upto)) = writer {
            batch.put(keys::writer(name), upto.to_be_bytes());
        }
        if !batch.is_empty() {
            self.write("appending to the log", batch)?;
        }
        for Change { topic, partition, extent } in changes {
            topic.extents.lock()[partition as usize] = extent;
            topic.appended.notify_all();
        }
        Ok(places)
    }

    fn shares<R: Outgoing>(&self, records: &[R]) -> Result<Vec<Share>> {
        let mut shares: Vec<Share> = Vec::new();
        let mut last = 0;
        for (index, record) in (0..).zip(records) {
            check_size(record)?;
            if shares.get(last).is_none_or(|share| share.topic.name != record.topic()) {
                last = match shares.iter().position(|share| share.topic.name == record.topic()) {
                    Some(found) => found,
                    None => {
                        shares.push(self.share(record.topic())?);
                        shares.len() - 1
                    }
                };
            }
            let share = &mut shares[last];
            let count = share.partitions.len();
            let partition = match (record.partition(), record.key()) {
                (Some(partition), _) => partition.0 as usize,
                (None, Some(key)) => (xxh3_64(key) % count as u64) as usize,
                (None, None) => share.unkeyed as usize,
            };
            let Some(indices) = share.partitions.get_mut(partition) else {
                return Err(Error::input(format!("topic {} has no partition {partition}: it has {count}", record.topic())));
            };
            indices.push(index);
        }
        Ok(shares)
    }

    fn share(&self, name: &str) -> Result<Share> {
        let topic = self.create_topic(name, 1)?;
        let extents = topic.extents.lock();
        let (count, total) = (extents.len(), extents.iter().map(|extent| extent.end).sum::<u64>());
        drop(extents);
        Ok(Share { topic, partitions: vec![Vec::new(); count], unkeyed: (total % count as u64) as u32 })
    }
}

fn size_of(record: &impl Outgoing) -> usize {
    let headers: usize = record.headers().iter().map(|(name, value)| name.len() + value.len()).sum();
    record.key().map_or(0, <[u8]>::len) + record.value().map_or(0, <[u8]>::len) + headers
}

fn check_size(record: &impl Outgoing) -> Result<()> {
    let bytes = size_of(record);
    if bytes > RECORD_BYTES_MAX {
        let topic = record.topic();
        return Err(Error::input(format!(
            "a record for topic {topic} has {bytes} bytes: the log takes at most {RECORD_BYTES_MAX}; split it"
        )));
    }
    Ok(())
}

/// Cuts a partition's records into blocks.
fn blocks_of(records: &[impl Outgoing], indices: &[u32]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (place, index) in indices.iter().enumerate() {
        bytes += size_of(&records[*index as usize]);
        let end = place + 1;
        if end - start == block::RECORDS_MAX || bytes >= block::BYTES_MAX || end == indices.len() {
            blocks.push(start..end);
            (start, bytes) = (end, 0);
        }
    }
    blocks
}
