//! Reading a file of the log: what is read is what was written, or an error that names the file, the place and the way out.

use std::fs::File;
use std::io::ErrorKind as IoKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::checksum::RANGE;
use super::manifest::FileEntry;
use super::{DAMAGED_REMEDY, io_error};
use crate::error::{Error, Result};

/// A file of the log, open. Of files that were written before there were checksums only the length is known.
#[derive(Debug)]
pub struct PartFile {
    file: File,
    path: PathBuf,
    entry: FileEntry,
}

impl PartFile {
    /// `NotFound` where it is not there, `Corrupt` where it has another length than it was written with.
    pub fn open(path: &Path, entry: &FileEntry) -> Result<Self> {
        let file = File::open(path).map_err(|error| match error.kind() {
            IoKind::NotFound => Error::not_found(format!("{} is not there", path.display())),
            _ => io_error("read", path, &error),
        })?;
        let bytes = file.metadata().map_err(|error| io_error("read", path, &error))?.len();
        if bytes != entry.bytes {
            return Err(damaged(path, &format!("it has {bytes} bytes and was written with {}", entry.bytes)));
        }
        Ok(Self { file, path: path.to_owned(), entry: entry.clone() })
    }

    pub fn bytes(&self) -> u64 {
        self.entry.bytes
    }

    /// These bytes of it.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.bytes() {
            return Err(damaged(&self.path, &format!("it names its bytes {range:?}, and has {}", self.bytes())));
        }
        let whole = match self.entry.checksums {
            Some(_) => range.start / RANGE * RANGE..range.end.next_multiple_of(RANGE).min(self.bytes()),
            None => range.clone(),
        };
        let mut bytes = vec![0; (whole.end - whole.start) as usize];
        self.file.read_exact_at(&mut bytes, whole.start).map_err(|error| io_error("read", &self.path, &error))?;
        if let Some(at) = self.entry.checksums.as_ref().and_then(|sums| sums.mismatch(whole.start, &bytes)) {
            let end = (at + RANGE).min(self.bytes());
            return Err(damaged(&self.path, &format!("a checksum does not match in its bytes {at} to {end}")));
        }
        let from = (range.start - whole.start) as usize;
        Ok(Bytes::from(bytes).slice(from..from + (range.end - range.start) as usize))
    }

    /// These ranges of it, in their order; such as lie near one another are read at once.
    pub fn read_all(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut sorted: Vec<&Range<u64>> = ranges.iter().collect();
        sorted.sort_by_key(|range| range.start);
        let mut spans: Vec<Range<u64>> = Vec::new();
        for range in sorted {
            match spans.last_mut() {
                // In a range of checksums that is read anyway.
                Some(span) if range.start <= span.end.next_multiple_of(RANGE) => span.end = span.end.max(range.end),
                _ => spans.push(range.clone()),
            }
        }
        let read = spans.iter().map(|span| self.read(span.clone())).collect::<Result<Vec<_>>>()?;
        let of = |range: &Range<u64>| {
            let at = spans.partition_point(|span| span.start <= range.start) - 1;
            let from = (range.start - spans[at].start) as usize;
            read[at].slice(from..from + (range.end - range.start) as usize)
        };
        Ok(ranges.iter().map(of).collect())
    }

    /// Reads all of it against its checksums, calling `each` with the bytes of each step; whether it has any.
    pub fn verify(&self, mut each: impl FnMut(u64)) -> Result<bool> {
        const STEP: u64 = 16 * RANGE;
        let mut at = 0;
        while at < self.bytes() {
            let end = (at + STEP).min(self.bytes());
            self.read(at..end)?;
            each(end - at);
            at = end;
        }
        Ok(self.entry.checksums.is_some())
    }
}

/// What is said of a file that is not what was written.
pub(super) fn damaged(path: &Path, why: &str) -> Error {
    Error::corrupt(format!("{} is damaged ({why}): {DAMAGED_REMEDY}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::error::ErrorKind;
    use crate::offline::checksum::Summing;

    #[test]
    fn any_ranges_are_read_as_they_were_written_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let bytes: Vec<u8> = (0..2 * RANGE + 5000).map(|at| (at * 7 % 253) as u8).collect();
        let mut summing = Summing::new(File::create(&path).unwrap());
        summing.write_all(&bytes).unwrap();
        let entry = FileEntry { bytes: bytes.len() as u64, checksums: Some(summing.finish().1), ..FileEntry::default() };
        let ranges = [5..9, 3..RANGE + 1, 2 * RANGE + 1..2 * RANGE + 5000, 0..0, RANGE - 1..RANGE, 2 * RANGE..2 * RANGE + 1];
        let read = PartFile::open(&path, &entry).unwrap().read_all(&ranges).unwrap();
        for (range, read) in ranges.iter().zip(read) {
            assert_eq!(read, bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        let mut bad = bytes.clone();
        bad[RANGE as usize + 3] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let file = PartFile::open(&path, &entry).unwrap();
        assert!(file.read(0..RANGE).is_ok() && file.read(2 * RANGE..2 * RANGE + 9).is_ok());
        let said = file.read(RANGE..RANGE + 1).unwrap_err().to_string();
        assert!(said.contains("a checksum does not match in its bytes 262144 to 524288"), "{said}");
        assert!(file.verify(|_| {}).is_err());
        std::fs::write(&path, &bytes[1..]).unwrap();
        assert_eq!(PartFile::open(&path, &entry).unwrap_err().kind(), ErrorKind::Corrupt);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(PartFile::open(&path, &entry).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
