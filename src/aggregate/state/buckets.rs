//! How many values lie in each of a fixed set of logarithmic buckets: what approximate percentiles read.
//!
//! Buckets as in DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
//! guarantees", 2019) that never collapse, with its mapping by the bits of a double: 64 buckets of equal width for each
//! power of two. A bucket stands for its middle, which differs from each of its values by at most 1/128 of the value
//! (0.8 %). Doubles below 2^-1022 in magnitude are zero; infinities have buckets of their own, and so has NaN, above
//! all others. The buckets are a function of the set of values, and no logarithm of the machine takes part.

use std::collections::BTreeMap;

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::fold::{Algorithm, CustomFold, Event, Fold, Kind, Tiled, ordered_word, unordered_word};
use crate::error::{Error, Result};

/// Bits of a double that tell no buckets apart.
const DROPPED: u32 = 46;
/// Buckets in one tile; with more it keeps none, and raw events tell.
const TILE_MAX: usize = 1024;

#[derive(Debug)]
struct BucketsOfValues(Kind);

/// The fold of numbers of that kind that gives `Buckets`.
pub(in crate::aggregate) fn fold(kind: Kind) -> Fold {
    Fold::Own(CustomFold::tiled(BucketsOfValues(kind)))
}

/// Numbers of values by bucket; buckets ascend as their values do.
#[derive(Clone, Debug, Default)]
pub(in crate::aggregate) struct Buckets(BTreeMap<u32, u64>);

impl Buckets {
    /// About the value at rank `floor(p * (n - 1))`, counted from 0 in ascending order.
    pub(in crate::aggregate) fn percentile(&self, p: f64) -> Option<f64> {
        at_rank(self.0.iter().map(|(bucket, count)| (middle(*bucket), *count)), p)
    }

    /// The median of the distances between the buckets' middles and that of the median's bucket.
    pub(in crate::aggregate) fn median_deviation(&self) -> Option<f64> {
        let median = self.percentile(0.5)?;
        let mut distances: Vec<(u64, u64)> =
            self.0.iter().map(|(bucket, count)| (ordered_word(Kind::Float, (middle(*bucket) - median).abs().to_bits()), *count)).collect();
        distances.sort_unstable();
        at_rank(distances.into_iter().map(|(word, count)| (f64::from_bits(unordered_word(Kind::Float, word)), count)), 0.5)
    }
}

/// The number at rank `floor(p * (n - 1))` of ascending numbers, each there that many times.
fn at_rank(numbers: impl Iterator<Item = (f64, u64)> + Clone, p: f64) -> Option<f64> {
    let total: u64 = numbers.clone().map(|(_, count)| count).sum();
    let rank = ((p * total.checked_sub(1)? as f64) as u64).min(total - 1);
    let mut seen = 0;
    numbers.into_iter().find_map(|(number, count)| {
        seen += count;
        (seen > rank).then_some(number)
    })
}

/// The bucket of a number; buckets ascend as numbers do.
pub(crate) fn bucket(number: f64) -> u32 {
    let number = if number.is_subnormal() { 0.0 } else { number };
    (ordered_word(Kind::Float, number.to_bits()) >> DROPPED) as u32
}

/// The number that stands for a bucket's.
pub(crate) fn middle(bucket: u32) -> f64 {
    let edge = f64::from_bits(unordered_word(Kind::Float, u64::from(bucket) << DROPPED));
    // The other bits of a negative number's edge are ones, of a positive one's zeros.
    let low = f64::from_bits(edge.to_bits() >> DROPPED << DROPPED);
    if low.is_infinite() || low.is_nan() || low == 0.0 { low + 0.0 } else { f64::from_bits(low.to_bits() | 1 << (DROPPED - 1)) }
}

impl Algorithm for BucketsOfValues {
    type State = Buckets;

    fn text(&self) -> String {
        format!("buckets 64 {}", self.0.text())
    }

    fn empty(&self) -> Buckets {
        Buckets::default()
    }

    fn add(&self, state: &mut Buckets, event: Event<'_>) {
        *state.0.entry(bucket(event.number(self.0, 0))).or_default() += 1;
    }

    fn encode(&self, state: &Buckets, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.0.len() as u64);
        let mut before = 0;
        for (bucket, count) in &state.0 {
            put_unsigned(bytes, u64::from(bucket - before));
            put_unsigned(bytes, *count);
            before = *bucket;
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Buckets> {
        let (mut state, mut bucket, mut total) = (Buckets::default(), 0u64, 0u64);
        for _ in 0..reader.length()? {
            bucket = bucket.saturating_add(reader.unsigned()?);
            let within = u32::try_from(bucket).ok().filter(|bucket| *bucket < 1 << (64 - DROPPED));
            let within = within.ok_or_else(|| Error::corrupt("stored state: a bucket out of range"))?;
            let count = reader.counted_with(&mut total)?;
            *state.0.entry(within).or_default() += count;
        }
        Ok(state)
    }

    fn heap(state: &Buckets) -> usize {
        24 * state.0.len()
    }
}

impl Tiled for BucketsOfValues {
    fn merge(&self, state: &mut Buckets, other: &Buckets) {
        other.0.iter().for_each(|(bucket, count)| *state.0.entry(*bucket).or_default() += count);
    }

    fn outgrows_tile(&self, state: &Buckets) -> bool {
        state.0.len() > TILE_MAX
    }
}
