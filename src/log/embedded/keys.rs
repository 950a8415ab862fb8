//! The keys of the embedded log's rows, as bytes in RocksDB. They are stored: they must never change meaning.

use crate::id::Partition;

/// The column family of blocks; everything else lies in the default one.
pub(super) const BLOCKS: &str = "blocks";

/// The version of the whole layout, as 4 bytes, big endian.
pub(super) const FORMAT: &[u8] = b"v";

/// The data folder that the log is a part of, 16 bytes.
pub(super) const FOLDER: &[u8] = b"i";

/// How many writes the log was given, 8 bytes, big endian; each write says so itself.
pub(super) const WRITES: &[u8] = b"a";

/// A block: topic id, partition and the offset of its *last* record, big endian, so that a seek to an offset finds
/// the block that holds it.
pub(super) fn block(topic: u32, partition: Partition, last: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&topic.to_be_bytes());
    key[4..8].copy_from_slice(&partition.0.to_be_bytes());
    key[8..].copy_from_slice(&last.to_be_bytes());
    key
}

/// The topic id, partition and last offset of a block's key.
pub(super) fn parts(key: &[u8]) -> Option<(u32, Partition, u64)> {
    let (topic, rest) = key.split_first_chunk::<4>()?;
    let (partition, last) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*topic), Partition(u32::from_be_bytes(*partition)), u64::from_be_bytes(last.try_into().ok()?)))
}

/// Whether a block key is of that partition.
pub(super) fn is_of(key: &[u8], topic: u32, partition: Partition) -> bool {
    key.len() == 16 && key[..4] == topic.to_be_bytes() && key[4..8] == partition.0.to_be_bytes()
}

pub(super) const TOPIC_PREFIX: &[u8] = b"t";

/// A topic's description, by name.
pub(super) fn topic(name: &str) -> Vec<u8> {
    [TOPIC_PREFIX, name.as_bytes()].concat()
}

/// Where a partition starts: kept once something was trimmed.
pub(super) fn start(topic: u32, partition: Partition) -> Vec<u8> {
    [b"s".as_slice(), &topic.to_be_bytes(), &partition.0.to_be_bytes()].concat()
}

/// Offsets of a partition that nothing holds any more, from this one on: before which other, 8 bytes, big endian.
pub(super) fn lost(topic: u32, partition: Partition, from: u64) -> Vec<u8> {
    [b"l".as_slice(), &topic.to_be_bytes(), &partition.0.to_be_bytes(), &from.to_be_bytes()].concat()
}

/// What a writer remembers, by its name.
pub(super) fn writer(name: &str) -> Vec<u8> {
    [b"w".as_slice(), name.as_bytes()].concat()
}
