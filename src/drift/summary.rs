//! What a window's numbers look like beside a profile's bins: mean, least, greatest, and how they lie beyond the reference's
//! outermost edges, where the bins say nothing. A function of the values alone, not of their order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::aggregate::{ByteReader, ExactSum, middle, put_unsigned};
use crate::error::{Error, Result};

/// Numbers that are taken in together: no more than a sum takes at once.
pub(super) const AT_ONCE: usize = 1024;

/// How numbers are distributed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// The exact sum, rounded, over the count.
    pub mean: f64,
    pub min: f64,
    pub max: f64,
    /// The values at ranks `ceil(n i / 10)`, i from 1 to 9.
    pub deciles: Vec<f64>,
}

impl Described {
    /// Of sorted numbers; `None` of none, and where some is not finite.
    pub(super) fn of_sorted(values: &[f64]) -> Option<Self> {
        let (min, max) = (*values.first()?, *values.last()?);
        let mut sum = ExactSum::default();
        values.chunks(AT_ONCE).for_each(|values| sum.add_doubles(values));
        let deciles = (1..10).map(|decile| values[(values.len() * decile).div_ceil(10) - 1]).collect();
        Some(Self { mean: sum.round() / values.len() as f64, min, max, deciles }).filter(|_| min.is_finite() && max.is_finite())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Summary {
    sum: ExactSum,
    least: f64,
    greatest: f64,
    /// Values of the first and of the last bin, by logarithmic buckets.
    below: BTreeMap<u32, u64>,
    above: BTreeMap<u32, u64>,
}

impl Default for Summary {
    fn default() -> Self {
        let (least, greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { sum: ExactSum::default(), least, greatest, below: BTreeMap::new(), above: BTreeMap::new() }
    }
}

impl Summary {
    /// Takes in up to `AT_ONCE` numbers, none of them NaN and none a negative zero, and of these the buckets of those that lie
    /// in the first and in the last bin.
    pub fn add(&mut self, values: &[f64], below: &mut [u32], above: &mut [u32]) {
        self.sum.add_doubles(values);
        self.least = values.iter().copied().fold(self.least, f64::min);
        self.greatest = values.iter().copied().fold(self.greatest, f64::max);
        for (tail, buckets) in [(&mut self.below, below), (&mut self.above, above)] {
            // Equal ones together: a bucket is looked for once.
            buckets.sort_unstable();
            for equal in buckets.chunk_by(|a, b| a == b) {
                *tail.entry(equal[0]).or_default() += equal.len() as u64;
            }
        }
    }

    /// `None` without a value. Deciles are upper ends of the bins between `edges`, beyond them middles of buckets, at most
    /// 0.8 % away; an infinite value leaves the mean infinite or NaN.
    pub fn described(&self, edges: &[f64], counts: &[u64]) -> Option<Described> {
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return None;
        }
        let of_tail = |tail: &BTreeMap<u32, u64>| tail.iter().map(|(bucket, count)| (middle(*bucket), *count)).collect::<Vec<_>>();
        let inner = edges.iter().zip(counts).skip(1).map(|(edge, count)| (*edge, *count));
        let cells: Vec<(f64, u64)> = of_tail(&self.below).into_iter().chain(inner).chain(of_tail(&self.above)).collect();
        let at_rank = |rank: u64| {
            let mut seen = 0;
            let cell = cells.iter().find(|(_, count)| {
                seen += count;
                seen >= rank
            });
            cell.map_or(self.greatest, |(value, _)| value.max(self.least).min(self.greatest))
        };
        let deciles = (1..10).map(|decile| at_rank((u128::from(total) * decile).div_ceil(10) as u64)).collect();
        Some(Described { mean: self.sum.round() / total as f64, min: self.least, max: self.greatest, deciles })
    }

    pub fn encode(&self, bytes: &mut Vec<u8>) {
        self.sum.encode(bytes);
        bytes.extend(self.least.to_bits().to_le_bytes());
        bytes.extend(self.greatest.to_bits().to_le_bytes());
        for tail in [&self.below, &self.above] {
            put_counts(bytes, tail.iter().map(|(bucket, count)| (*bucket, *count)));
        }
    }

    pub fn decode(reader: &mut ByteReader<'_>) -> Result<Self> {
        let sum = ExactSum::decode(reader)?;
        let (least, greatest) = (f64::from_bits(reader.word()?), f64::from_bits(reader.word()?));
        let (below, above) = (counts(reader)?.into_iter().collect(), counts(reader)?.into_iter().collect());
        Ok(Self { sum, least, greatest, below, above })
    }
}

/// Counts by rising numbers: how many, then for each its distance from the one before (from 0 for the first) and the count.
pub(super) fn put_counts(bytes: &mut Vec<u8>, counts: impl Iterator<Item = (u32, u64)> + Clone) {
    put_unsigned(bytes, counts.clone().count() as u64);
    let mut before = 0;
    for (number, count) in counts {
        put_unsigned(bytes, u64::from(number - before));
        put_unsigned(bytes, count);
        before = number;
    }
}

pub(super) fn counts(reader: &mut ByteReader<'_>) -> Result<Vec<(u32, u64)>> {
    let mut before = 0u32;
    let length = reader.length()?;
    let mut read = |_| {
        let step = u32::try_from(reader.unsigned()?).ok();
        before = step.and_then(|step| before.checked_add(step)).ok_or_else(|| Error::corrupt("counts of drift: a number out of range"))?;
        Ok((before, reader.counted()?))
    };
    (0..length).map(&mut read).collect()
}
