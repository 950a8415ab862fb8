//! The checksums of a file, one for each range of it, so that whoever reads some of its columns knows that these are the bytes
//! that were written. Pure but for the writer that it counts along with.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// How many bytes one checksum is of; the last range of a file may be shorter.
pub const RANGE: u64 = 256 * 1024;

/// XXH3 (64 bits) of each range of a file, as text 16 hexadecimal digits each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksums(Vec<u64>);

impl Checksums {
    /// Whether there is one for each range of so many bytes.
    pub fn cover(&self, bytes: u64) -> bool {
        self.0.len() as u64 == bytes.div_ceil(RANGE)
    }

    /// The first byte of the first range that is not what was written. `bytes` are those of whole ranges, from the range that
    /// begins at `from` on.
    pub fn mismatch(&self, from: u64, bytes: &[u8]) -> Option<u64> {
        let first = from / RANGE;
        let ranges = (first..).zip(bytes.chunks(RANGE as usize));
        ranges.filter(|(range, bytes)| self.0.get(*range as usize) != Some(&xxh3_64(bytes))).map(|(range, _)| range * RANGE).next()
    }
}

impl From<Checksums> for String {
    fn from(sums: Checksums) -> Self {
        sums.0.iter().map(|sum| format!("{sum:016x}")).collect()
    }
}

impl TryFrom<String> for Checksums {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let sum = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 16)?;
            u64::from_str_radix(digits, 16).ok()
        };
        let sums = text.as_bytes().chunks(16).map(sum).collect::<Option<_>>();
        sums.map(Self).ok_or_else(|| "checksums that are no numbers of 16 hexadecimal digits".to_owned())
    }
}

/// Writes through, and sums up what went through.
pub struct Summing<W> {
    inner: W,
    sums: Vec<u64>,
    range: Xxh3,
    in_range: u64,
}

impl<W: Write> Summing<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, sums: Vec::new(), range: Xxh3::new(), in_range: 0 }
    }

    /// What was written to, and the checksums of all of it.
    pub fn finish(mut self) -> (W, Checksums) {
        if self.in_range > 0 {
            self.sums.push(self.range.digest());
        }
        (self.inner, Checksums(self.sums))
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (RANGE - self.in_range) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.range.update(now);
            self.in_range += now.len() as u64;
            if self.in_range == RANGE {
                self.sums.push(self.range.digest());
                self.range.reset();
                self.in_range = 0;
            }
            bytes = later;
        }
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_in_any_pieces_is_known_range_by_range() {
        for length in [0, 1, RANGE - 1, RANGE, RANGE + 1, 3 * RANGE + 17] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            let mut summing = Summing::new(Vec::new());
            bytes.chunks(100_003).for_each(|piece| summing.write_all(piece).unwrap());
            let (written, sums) = summing.finish();
            assert_eq!(written, bytes);
            assert!(sums.cover(length) && (length == 0 || !sums.cover(length + RANGE)));
            assert_eq!(sums.mismatch(0, &bytes), None);
            assert_eq!(Checksums::try_from(String::from(sums.clone())), Ok(sums.clone()));
            for at in (0..length).step_by(50_021) {
                let mut bad = bytes.clone();
                bad[at as usize] ^= 0x40;
                let from = at / RANGE * RANGE;
                assert_eq!(sums.mismatch(0, &bad), Some(from));
                assert_eq!(sums.mismatch(from, &bad[from as usize..]), Some(from));
            }
        }
        assert!(Checksums::try_from("0123".to_owned()).is_err() && Checksums::try_from("0123456789abcdeg".to_owned()).is_err());
    }
}
