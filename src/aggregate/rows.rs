//! Events as rows of words, as the states of keys keep them and folds read them. Must never hold what no fold needs.
//!
//! | word | holds |
//! |---|---|
//! | 0 | event time, sign bit flipped, so that words compare as times do |
//! | 1 | offset |
//! | 2 | partition in the upper half; in the lower the first 32 flags |
//! | from 3 | 64 further flags each, where there are more |
//! | the last ones | one per input of the view: a double's bits, an integer, 0 or 1, or an index into the rows' texts |
//!
//! A flag says that an input is not null, or that a filter holds.

use std::sync::Arc;

use super::bytes::{ByteReader, put_unsigned};
use crate::error::{Error, Result};

pub(crate) const TIME: usize = 0;
pub(crate) const OFFSET: usize = 1;
pub(crate) const META: usize = 2;

/// Rows of `stride` words each, in total order.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) words: &'a [u64],
    pub(crate) stride: usize,
    pub(crate) texts: &'a [Arc<str>],
}

impl Rows<'_> {
    pub(crate) fn len(&self) -> usize {
        self.words.len() / self.stride
    }
}

/// A time as a word that compares as the time does.
pub(crate) const fn biased(time: i64) -> u64 {
    time as u64 ^ (1 << 63)
}

pub(crate) const fn unbiased(word: u64) -> i64 {
    (word ^ (1 << 63)) as i64
}

/// An event's place in the total order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortKey {
    pub(crate) time: u64,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
}

impl SortKey {
    pub(crate) fn of(row: &[u64]) -> Self {
        Self { time: row[TIME], partition: (row[META] >> 32) as u32, offset: row[OFFSET] }
    }

    pub(super) fn encode(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.time.to_le_bytes());
        put_unsigned(bytes, u64::from(self.partition));
        put_unsigned(bytes, self.offset);
    }

    pub(super) fn decode(reader: &mut ByteReader<'_>) -> Result<Self> {
        let time = reader.word()?;
        let partition = u32::try_from(reader.unsigned()?).map_err(|_| Error::corrupt("stored state: a partition out of range"))?;
        Ok(Self { time, partition, offset: reader.unsigned()? })
    }
}
