//! The headers of a column's pages, read before the pages are: what they claim is what a reader allocates. Must never
//! allocate by what a file says.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use ::parquet::basic::Compression;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::ColumnChunkMetaData;

/// A page may become so large when it is decompressed.
const PAGE_BYTES_MAX: u64 = 256 << 20;
/// So much the blocks of a page could become at most, whatever its header says: most of them are not full.
const BLOCKS_BYTES_MAX: u64 = 1 << 30;
/// Of Zstandard.
const BLOCK_BYTES_MAX: u64 = 128 << 10;
/// What a frame of LZ4 begins with, whose length nothing bounds.
const LZ4_FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// A header, with its statistics.
const HEADER_BYTES_MAX: usize = 1 << 20;

/// Whether every page of a column's part is of a size that can be read.
pub(super) fn check(file: &File, column: &ColumnChunkMetaData) -> Result<()> {
    let wrong = |what: &str| ParquetError::General(format!("column {}: {what}", column.column_path()));
    let (mut at, length) = column.byte_range();
    let (end, mut left) = (at + length, column.num_values());
    while left > 0 && at < end {
        let (header, bytes) = header(file, at, end).ok_or_else(|| wrong("the header of a page is none"))?;
        at += bytes;
        let (Some(unpacked), Some(packed)) = (header.size(2), header.size(3)) else { return Err(wrong("a page is of no size")) };
        if unpacked > PAGE_BYTES_MAX || packed > end - at {
            return Err(wrong(&format!("a page of {unpacked} bytes: pages of up to {PAGE_BYTES_MAX} are read, write smaller ones")));
        }
        let (values, in_dictionary) = (header.get(5, 1).or(header.get(8, 1)).unwrap_or(0), header.get(7, 1).unwrap_or(0));
        if !(0..=left).contains(&values) || !(0..=unpacked as i64).contains(&in_dictionary) {
            return Err(wrong("a page has more values than its column, or than bytes"));
        }
        left -= values;
        // Levels stand before the values of a page of the second kind, as they are.
        let levels = header.size_of(8, 5) + header.size_of(8, 6);
        if header.get(8, 7) != Some(0) && levels <= packed {
            unpacks(file, column.compression(), (at + levels, at + packed), unpacked)
                .ok_or_else(|| wrong("a page may unpack to more than it says: write it with Zstandard, Snappy or gzip"))?;
        }
        at += packed;
    }
    Ok(())
}

/// `None` where what is packed there may become much more than is said.
fn unpacks(file: &File, compression: Compression, (mut at, end): (u64, u64), unpacked: u64) -> Option<()> {
    match compression {
        _ if at == end => Some(()),
        // Written to a buffer of the size that is said.
        Compression::UNCOMPRESSED | Compression::LZ4_RAW => Some(()),
        Compression::LZ4 => {
            let mut magic = [0; 4];
            let read = file.read_at(&mut magic[..(end - at).min(4) as usize], at).ok()?;
            (magic[..read] != LZ4_FRAME).then_some(())
        }
        Compression::GZIP(_) => {
            let mut packed = vec![0; usize::try_from(end - at).ok()?];
            file.read_exact_at(&mut packed, at).ok()?;
            let unpacking = flate2::read::MultiGzDecoder::new(packed.as_slice());
            (std::io::copy(&mut unpacking.take(unpacked + 1), &mut std::io::sink()).ok()? <= unpacked).then_some(())
        }
        Compression::SNAPPY => {
            let mut bytes = [0; 5];
            let read = file.read_at(&mut bytes[..(end - at).min(5) as usize], at).ok()?;
            (Bytes { bytes: &bytes[..read], at: 0 }.varint()? <= unpacked).then_some(())
        }
        Compression::ZSTD(_) => {
            let mut most = 0;
            while at < end {
                let mut start = [0; 14];
                let read = file.read_at(&mut start[..(end - at).min(14) as usize], at).ok()?;
                at += frame_header(&start[..read])?;
                loop {
                    let mut block = [0; 4];
                    file.read_exact_at(&mut block[..3], at).ok()?;
                    let block = u32::from_le_bytes(block);
                    let size = u64::from(block >> 3);
                    let (packed, becomes) = match block >> 1 & 3 {
                        0 => (size, size),
                        1 => (1, size),
                        _ => (size, BLOCK_BYTES_MAX),
                    };
                    at += 3 + packed;
                    most += becomes;
                    if most > BLOCKS_BYTES_MAX || at > end {
                        return None;
                    }
                    if block & 1 == 1 {
                        break;
                    }
                }
                // The checksum of a frame that has one.
                at += if start.get(4)? & 4 == 4 { 4 } else { 0 };
            }
            Some(())
        }
        // Nothing in them says how much they become.
        Compression::BROTLI(_) | Compression::LZO => None,
    }
}

/// The length of the header of a frame of Zstandard.
fn frame_header(start: &[u8]) -> Option<u64> {
    let descriptor = *start.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?.first()?;
    let single = descriptor >> 5 & 1;
    let content = match descriptor >> 6 {
        0 => u64::from(single),
        sizes => 1 << sizes,
    };
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    Some(5 + u64::from(1 - single) + dictionary + content)
}

/// Numbers of a header by the field that they stand in, and the field of that (0 for none).
struct Header(Vec<((i64, i64), i64)>);

impl Header {
    fn get(&self, outer: i64, inner: i64) -> Option<i64> {
        self.0.iter().find(|(field, _)| *field == (outer, inner)).map(|(_, value)| *value)
    }

    fn size(&self, field: i64) -> Option<u64> {
        self.get(0, field).and_then(|size| u64::try_from(size).ok())
    }

    fn size_of(&self, outer: i64, inner: i64) -> u64 {
        self.get(outer, inner).and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
    }
}

/// The header at a place, and its length.
fn header(file: &File, at: u64, end: u64) -> Option<(Header, u64)> {
    let mut length = 4 << 10;
    loop {
        let mut bytes = vec![0; length.min(usize::try_from(end - at).ok()?)];
        file.read_exact_at(&mut bytes, at).ok()?;
        let mut read = Bytes { bytes: &bytes, at: 0 };
        let mut found = Vec::new();
        if read.fields(0, 0, &mut found).is_some() {
            return Some((Header(found), read.at as u64));
        }
        if bytes.len() < length || length >= HEADER_BYTES_MAX {
            return None;
        }
        length *= 4;
    }
}

/// Thrift's compact protocol.
struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        self.varint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(bytes).ok()?)?;
        (end <= self.bytes.len()).then(|| self.at = end)
    }

    /// The fields of a struct, up to its end.
    fn fields(&mut self, depth: usize, outer: i64, found: &mut Vec<((i64, i64), i64)>) -> Option<()> {
        let mut field = 0;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Some(());
            }
            field = if byte >> 4 == 0 { self.zigzag()? } else { field + i64::from(byte >> 4) };
            self.value(byte & 15, depth, (outer, field), found)?;
        }
    }

    fn value(&mut self, kind: u8, depth: usize, field: (i64, i64), found: &mut Vec<((i64, i64), i64)>) -> Option<()> {
        match kind {
            1 | 2 => found.push((field, i64::from(kind == 1))),
            3 => self.pass(1)?,
            4..=6 => {
                let value = self.zigzag()?;
                found.push((field, value));
            }
            7 => self.pass(8)?,
            8 => {
                let length = self.varint()?;
                self.pass(length)?;
            }
            12 if depth == 0 => self.fields(1, field.1, found)?,
            // What is deeper says nothing of sizes.
            12 if depth < 8 => self.fields(depth + 1, field.1, &mut Vec::new())?,
            // A header has no lists.
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ::parquet::basic::ZstdLevel;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn headers_are_read_with_what_is_inside_of_them() {
        // A page of 300 bytes, packed into 20, of 7 values, with statistics; then the page.
        let header_of = [0x15, 0, 0x15, 0xd8, 0x04, 0x15, 0x28, 0x2c, 0x15, 0x0e, 0x15, 0, 0x1c, 0x18, 2, b'a', b'b', 0, 0, 0];
        let mut bytes = header_of.to_vec();
        bytes.extend([9; 20]);
        let (header, length) = header(&file(&bytes), 0, bytes.len() as u64).unwrap();
        assert_eq!((header.size(2), header.size(3), header.get(5, 1), header.get(8, 1)), (Some(300), Some(20), Some(7), None));
        assert_eq!(length, header_of.len() as u64);
        for torn in 0..header_of.len() - 1 {
            assert!(super::header(&file(&bytes[..torn]), 0, torn as u64).is_none());
        }
    }

    #[test]
    fn what_unpacks_to_more_than_it_says_is_not_unpacked() {
        let unpacks =
            |compression, bytes: &[u8], unpacked| super::unpacks(&file(bytes), compression, (0, bytes.len() as u64), unpacked).is_some();
        assert!(unpacks(Compression::SNAPPY, &[10, 0, 0], 10));
        assert!(!unpacks(Compression::SNAPPY, &[0xff, 0xff, 0xff, 0xff, 0x0f], 10), "four gigabytes");
        let zstd = Compression::ZSTD(ZstdLevel::default());
        // A frame of blocks that repeat a byte two million times, the last of them marked.
        let bomb = |blocks: usize| {
            let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
            let block = |last: u32| ((0x1f_ffff << 3) | 2 | last).to_le_bytes();
            (0..blocks).for_each(|at| {
                bytes.extend(&block(u32::from(at + 1 == blocks))[..3]);
                bytes.push(7);
            });
            bytes
        };
        assert!(unpacks(zstd, &bomb(2), 10));
        assert!(!unpacks(zstd, &bomb(600), 10));
        assert!(!unpacks(zstd, &bomb(2)[..8], 10), "a torn frame");
    }
}
