//! The stored form of a run of records: one block, checksummed and compressed. The bytes are stored: a change of
//! their meaning needs a new version (`docs/storage-format.md`, "Embedded log"). Must never touch the store.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::id::Offset;
use crate::record::{Header, Outgoing, RecordEntry, RecordRun};

/// A block holds at most so many records,
pub(super) const RECORDS_MAX: usize = 1024;
/// and is closed once its keys and payloads reach so many bytes. A record is never split.
pub(super) const BYTES_MAX: usize = 256 * 1024;

const VERSION: u8 = 1;
const HEAD: usize = 64;
const META_COMPRESSED: u8 = 1;
const DATA_COMPRESSED: u8 = 2;

/// What a block says of itself before it is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub base: u64,
    pub count: u32,
    /// Stored bytes of all blocks that were appended to the partition before this one.
    pub bytes_before: u64,
    pub timestamp_first: i64,
    pub timestamp_max: i64,
    flags: u8,
    meta_len: u32,
    meta_stored: u32,
    data_len: u32,
}

impl Head {
    /// The offset after the block's last record.
    pub fn end(&self) -> u64 {
        self.base + u64::from(self.count)
    }

    /// Reads a block's head and checks its checksum. Corrupt when the bytes are not what was written.
    pub fn read(block: &[u8]) -> Result<Self> {
        let head = block.get(..HEAD).ok_or_else(|| Error::corrupt("a block is shorter than its head"))?;
        if u64_at(head, 0) != xxh3_64(&block[8..]) {
            return Err(Error::corrupt("a block's checksum does not match"));
        }
        if head[8] != VERSION {
            return Err(Error::corrupt(format!("a block has version {}, this build reads {VERSION}", head[8])));
        }
        Ok(Self {
            flags: head[9],
            count: u32_at(head, 12),
            base: u64_at(head, 16),
            bytes_before: u64_at(head, 24),
            timestamp_first: u64_at(head, 32).cast_signed(),
            timestamp_max: u64_at(head, 40).cast_signed(),
            meta_len: u32_at(head, 48),
            meta_stored: u32_at(head, 52),
            data_len: u32_at(head, 56),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Packs records (at most `RECORDS_MAX`, none empty of meaning) that get the offsets from `base` on. `stamp` is the
/// timestamp, microseconds since the epoch, of records that bring none.
pub(super) fn encode<'a, R: Outgoing + 'a>(base: u64, bytes_before: u64, stamp: i64, records: impl Iterator<Item = &'a R>) -> Vec<u8> {
    let mut meta = Vec::new();
    let mut data = Vec::new();
    let mut count: u32 = 0;
    let (mut first, mut previous, mut max) = (stamp, stamp, i64::MIN);
    for record in records {
        let timestamp = record.timestamp().unwrap_or(stamp);
        if count == 0 {
            (first, previous) = (timestamp, timestamp);
        }
        put_number(&mut meta, zigzag(timestamp.wrapping_sub(previous)));
        previous = timestamp;
        max = max.max(timestamp);
        for part in [record.key(), record.value()] {
            put_number(&mut meta, part.map_or(0, |part| part.len() as u64 + 1));
            data.extend_from_slice(part.unwrap_or_default());
        }
        put_number(&mut meta, record.headers().len() as u64);
        for (name, value) in record.headers() {
            for part in [name.as_bytes(), value] {
                put_number(&mut meta, part.len() as u64);
                meta.extend_from_slice(part);
            }
        }
        count += 1;
    }
    let mut block = vec![0; HEAD];
    let mut flags = 0;
    let meta_stored = pack(&meta, &mut block, META_COMPRESSED, &mut flags);
    pack(&data, &mut block, DATA_COMPRESSED, &mut flags);
    block[8] = VERSION;
    block[9] = flags;
    block[12..16].copy_from_slice(&count.to_le_bytes());
    block[16..24].copy_from_slice(&base.to_le_bytes());
    block[24..32].copy_from_slice(&bytes_before.to_le_bytes());
    block[32..40].copy_from_slice(&first.to_le_bytes());
    block[40..48].copy_from_slice(&max.to_le_bytes());
    block[48..52].copy_from_slice(&(meta.len() as u32).to_le_bytes());
    block[52..56].copy_from_slice(&(meta_stored as u32).to_le_bytes());
    block[56..60].copy_from_slice(&(data.len() as u32).to_le_bytes());
    let checksum = xxh3_64(&block[8..]);
    block[..8].copy_from_slice(&checksum.to_le_bytes());
    block
}

/// Appends `bytes` to the block, compressed (and `flag` set) where that is shorter; returns the stored length.
fn pack(bytes: &[u8], block: &mut Vec<u8>, flag: u8, flags: &mut u8) -> usize {
    let start = block.len();
    block.resize(start + lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
    match lz4_flex::block::compress_into(bytes, &mut block[start..]) {
        Ok(stored) if stored < bytes.len() => {
            *flags |= flag;
            block.truncate(start + stored);
            stored
        }
        _ => {
            block.truncate(start);
            block.extend_from_slice(bytes);
            bytes.len()
        }
    }
}

/// Appends to `run` the block's records with offsets from `from` on, at most `max` of them.
pub(super) fn decode(block: &[u8], from: u64, max: usize, run: &mut RecordRun) -> Result<()> {
    let head = Head::read(block)?;
    let meta_end = HEAD + head.meta_stored as usize;
    let (Some(meta), Some(data)) = (block.get(HEAD..meta_end), block.get(meta_end..)) else {
        return Err(Error::corrupt("a block is shorter than its head says"));
    };
    let mut unpacked = Vec::new();
    let meta = if head.flags & META_COMPRESSED == 0 {
        meta
    } else {
        unpack(meta, head.meta_len, &mut unpacked)?;
        &unpacked
    };
    let start = run.bytes.len();
    if head.flags & DATA_COMPRESSED == 0 {
        run.bytes.extend_from_slice(data);
    } else {
        unpack(data, head.data_len, &mut run.bytes)?;
    }
    let entries = run.records.len();
    let result = read_entries(&head, meta, from, max, start as u32, run);
    if result.is_err() {
        run.records.truncate(entries);
        run.bytes.truncate(start);
    }
    result
}

fn unpack(stored: &[u8], len: u32, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.resize(start + len as usize, 0);
    match lz4_flex::block::decompress_into(stored, &mut out[start..]) {
        Ok(written) if written == len as usize => Ok(()),
        _ => {
            out.truncate(start);
            Err(Error::corrupt("a block does not unpack"))
        }
    }
}

fn read_entries(head: &Head, meta: &[u8], from: u64, max: usize, start: u32, run: &mut RecordRun) -> Result<()> {
    let mut meta = Meta(meta);
    let mut timestamp = head.timestamp_first;
    let mut at = start;
    let end = start + head.data_len;
    let mut taken = 0;
    for offset in head.base..head.end() {
        timestamp = timestamp.wrapping_add(unzigzag(meta.number()?));
        let mut part = || -> Result<Option<std::ops::Range<u32>>> {
            let Some(len) = meta.number()?.checked_sub(1) else { return Ok(None) };
            let after = u64::from(at) + len;
            if after > u64::from(end) {
                return Err(Error::corrupt("a block's records are longer than its data"));
            }
            let range = at..after as u32;
            at = after as u32;
            Ok(Some(range))
        };
        let (key, value) = (part()?, part()?);
        let headers = meta.headers()?;
        if offset >= from && taken < max {
            taken += 1;
            run.records.push(RecordEntry { offset: Offset(offset), timestamp, key, value, headers });
        }
        if taken == max {
            break;
        }
    }
    Ok(())
}

/// A cursor over the packed descriptions of records.
struct Meta<'a>(&'a [u8]);

impl<'a> Meta<'a> {
    fn number(&mut self) -> Result<u64> {
        let mut number = 0_u64;
        for (place, byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err(Error::corrupt("a block's description of a record ends early"))
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.number()?;
        if len > self.0.len() as u64 {
            return Err(Error::corrupt("a block's header is longer than the block"));
        }
        let (bytes, rest) = self.0.split_at(len as usize);
        self.0 = rest;
        Ok(bytes)
    }

    fn headers(&mut self) -> Result<Option<Box<Vec<Header>>>> {
        let count = self.number()?;
        if count == 0 {
            return Ok(None);
        }
        let mut headers = Vec::new();
        for _ in 0..count {
            let name = String::from_utf8_lossy(self.bytes()?).into_owned();
            headers.push((name, self.bytes()?.to_vec()));
        }
        Ok(Some(Box::new(headers)))
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}
