//! A write-ahead log of RocksDB without the records of it that cannot be read: RocksDB itself does not read past one that is damaged
//! in its middle. The form is that of RocksDB's wiki, "Write Ahead Log File Format": blocks of 32 KiB with fragments of records, each
//! behind its checksum (masked CRC-32C of type and data, 4 bytes), its length (2 bytes) and its type (1 byte).

use std::path::Path;

use crate::error::{Error, Result};

const BLOCK: usize = 32 << 10;
const HEAD: usize = 7;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Writes the logs of a store anew that hold something which cannot be read. Of one that is whole nothing is changed.
pub(super) fn keep_whole_records(folder: &Path) -> Result<()> {
    let failed = |path: &Path, error: std::io::Error| Error::unavailable(format!("cannot use {}: {error}", path.display()));
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        if path.extension().is_some_and(|kind| kind == "log") {
            let bytes = std::fs::read(&path).map_err(|error| failed(&path, error))?;
            let kept = written(&records(&bytes));
            if kept != bytes {
                std::fs::write(&path, kept).map_err(|error| failed(&path, error))?;
            }
        }
    }
    Ok(())
}

/// The records all of whose fragments are what was written.
fn records(log: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut begun: Option<Vec<u8>> = None;
    for block in log.chunks(BLOCK) {
        let mut rest = block;
        while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
            let [c0, c1, c2, c3, l0, l1, kind] = *head;
            let length = usize::from(u16::from_le_bytes([l0, l1]));
            // Behind a wrong length nothing says where the next one begins.
            let Some((data, next)) = behind.split_at_checked(length) else {
                begun = None;
                break;
            };
            rest = next;
            let is_whole = u32::from_le_bytes([c0, c1, c2, c3]) == checksum(kind, data);
            begun = match (kind, begun.take()) {
                (FULL, _) if is_whole => {
                    records.push(data.to_vec());
                    None
                }
                (FIRST, _) if is_whole => Some(data.to_vec()),
                (MIDDLE, Some(begun)) if is_whole => Some([&begun, data].concat()),
                (LAST, Some(begun)) if is_whole => {
                    records.push([&begun, data].concat());
                    None
                }
                _ => None,
            };
        }
    }
    records
}

/// A log of these records.
fn written(records: &[Vec<u8>]) -> Vec<u8> {
    let mut log = Vec::new();
    for record in records {
        let (mut left, mut is_first) = (record.as_slice(), true);
        loop {
            let mut room = BLOCK - log.len() % BLOCK;
            if room < HEAD {
                log.resize(log.len() + room, 0);
                room = BLOCK;
            }
            let (data, behind) = left.split_at(left.len().min(room - HEAD));
            let kind = match (is_first, behind.is_empty()) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            log.extend(checksum(kind, data).to_le_bytes());
            log.extend((data.len() as u16).to_le_bytes());
            log.push(kind);
            log.extend(data);
            (left, is_first) = (behind, false);
            if left.is_empty() {
                break;
            }
        }
    }
    log
}

/// CRC-32C of type and data, masked as LevelDB does it, so that a checksum of data that hold checksums is no easier to meet.
fn checksum(kind: u8, data: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Vec<u8>> {
        // Among them some that end at, and just before, the end of a block.
        let sizes = [10, 0, 32_700, BLOCK - HEAD, BLOCK, 3 * BLOCK, 32_751, 32_761, 1, 70_000, 5];
        (0..).zip(sizes).map(|(seed, size)| (0..size).map(|at| (at * 31 + seed) as u8).collect()).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(records(&written(&some())), some());
    }

    #[test]
    fn a_flipped_byte_costs_no_record_of_another_block() {
        let (all, log) = (some(), written(&some()));
        for at in (0..log.len()).step_by(1999) {
            let mut bad = log.clone();
            bad[at] ^= 0x10;
            let kept = records(&bad);
            assert!(kept.iter().all(|record| all.contains(record)), "{at}");
            assert!(kept.len() + 5 >= all.len(), "{at}: {} of {}", kept.len(), all.len());
        }
        for at in (0..log.len()).step_by(10_007) {
            assert!(all.starts_with(&records(&log[..at])), "cut at {at}");
        }
    }

    #[test]
    fn a_log_of_rocksdb_is_read_and_written_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        let store = rocksdb::DB::open(&options, folder.path()).unwrap();
        for (key, size) in (0_u32..).zip([10, 40_000, 100_000, 5]) {
            store.put(key.to_be_bytes(), vec![7; size]).unwrap();
        }
        let log = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let log = log.filter(|path| path.extension().is_some_and(|kind| kind == "log")).map(|path| std::fs::read(path).unwrap());
        let log = log.max_by_key(Vec::len).unwrap();
        assert_eq!(written(&records(&log)), log);
        assert_eq!(records(&log).len(), 4);
    }
}
