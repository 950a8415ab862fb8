//! Variable-length numbers in stored bytes, and a reader that answers wrong bytes with an error, never with a panic.

use crate::error::{Error, Result};

/// Appends seven bits per byte, lowest first; the high bit says that more follow.
pub(crate) fn put_unsigned(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends a signed number so that small magnitudes are short: 0, -1, 1, -2 become 0, 1, 2, 3.
pub(crate) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put_unsigned(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

/// Reads stored bytes from the front. Every error is `Corrupt`.
#[derive(Clone, Copy)]
pub(crate) struct ByteReader<'a>(pub(crate) &'a [u8]);

impl<'a> ByteReader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        if length > self.0.len() {
            return Err(short());
        }
        let (front, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(front)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or_else(short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::corrupt("stored state: a number is longer than 64 bits"))
    }

    /// A number of events: far from where adding to it could overflow.
    pub(crate) fn counted(&mut self) -> Result<u64> {
        let count = self.unsigned()?;
        if count >> 56 == 0 { Ok(count) } else { Err(Error::corrupt("stored state: a count out of range")) }
    }

    /// One of several numbers of events, which add up to `total` so far and are together as far from overflowing.
    pub(crate) fn counted_with(&mut self, total: &mut u64) -> Result<u64> {
        let count = self.counted()?;
        *total += count;
        if *total >> 56 == 0 { Ok(count) } else { Err(Error::corrupt("stored state: a count out of range")) }
    }

    pub(crate) fn signed(&mut self) -> Result<i64> {
        let number = self.unsigned()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A number of things of which each takes at least one of the bytes that follow.
    pub(crate) fn length(&mut self) -> Result<usize> {
        let number = self.unsigned()?;
        usize::try_from(number).ok().filter(|length| *length <= self.0.len()).ok_or_else(short)
    }

    pub(crate) fn word(&mut self) -> Result<u64> {
        let mut word = [0; 8];
        word.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(word))
    }

    /// What a byte says is absent (0) or present (1).
    pub(crate) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Error::corrupt("stored state: neither absent nor present")),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::corrupt("stored state: text that is no UTF-8"))
    }
}

fn short() -> Error {
    Error::corrupt("stored state: it ends before its last value")
}
