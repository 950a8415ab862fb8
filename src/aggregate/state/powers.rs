//! Number and exact sums of the first four powers: what `skewness` and `kurtosis` read.
//!
//! Central moments are polynomials of these sums, computed exactly, so that nothing cancels. With n the number of
//! values and S1 to S4 the sums of their powers, n^k times the k-th central moment is
//! `A2 = n S2 - S1^2`, `A3 = n^2 S3 - 3 n S1 S2 + 2 S1^3`, `A4 = n^3 S4 - 4 n^2 S1 S3 + 6 n S1^2 S2 - 3 S1^4`,
//! each over n.

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::dyadic::Dyadic;
use super::super::exact::{ExactSum, scaled};
use super::super::fold::{Algorithm, CustomFold, Event, Fold, Kind, Tiled};
use crate::error::Result;

#[derive(Debug)]
struct PowersOfValues(Kind);

/// The fold of numbers of that kind that gives `Powers`.
pub(in crate::aggregate) fn fold(kind: Kind) -> Fold {
    Fold::Own(CustomFold::tiled(PowersOfValues(kind)))
}

#[derive(Clone, Debug, Default)]
pub(in crate::aggregate) struct Powers {
    pub(in crate::aggregate) count: u64,
    /// What is no finite number is counted in the first sum alone.
    sums: [ExactSum; 4],
}

/// Central moments, each times a power of n.
pub(in crate::aggregate) struct Central {
    pub(in crate::aggregate) second: Dyadic,
    pub(in crate::aggregate) third: Dyadic,
    pub(in crate::aggregate) fourth: Dyadic,
}

impl Powers {
    /// `None` where a value is no finite number.
    pub(in crate::aggregate) fn central(&self) -> Option<Central> {
        if self.sums[0].special().is_some() {
            return None;
        }
        let n = &Dyadic::from(self.count);
        let [s1, s2, s3, s4] = &[0, 1, 2, 3].map(|power: usize| self.sums[power].dyadic());
        let times = |factor: u64, number: Dyadic| &Dyadic::from(factor) * &number;
        let square = &s1.squared();
        let second = &(n * s2) - square;
        let third = &(&(&n.squared() * s3) - &times(3, n * &(s1 * s2))) + &times(2, s1 * square);
        let upper = &(&(&n.squared() * n) * s4) + &times(6, n * &(square * s2));
        let lower = &times(4, &n.squared() * &(s1 * s3)) + &times(3, square.squared());
        Some(Central { second, third, fourth: &upper - &lower })
    }
}

impl Algorithm for PowersOfValues {
    type State = Powers;

    fn text(&self) -> String {
        format!("powers {}", self.0.text())
    }

    fn empty(&self) -> Powers {
        Powers::default()
    }

    fn add(&self, state: &mut Powers, event: Event<'_>) {
        state.count += 1;
        let word = event.word(0);
        let [first, second, third, fourth] = &mut state.sums;
        let Some((mantissa, exponent)) = scaled(self.0, word) else {
            return first.add_double(f64::from_bits(word));
        };
        let mantissa = i128::from(mantissa);
        let square = mantissa * mantissa;
        first.add_scaled(mantissa, exponent);
        second.add_scaled(square, 2 * exponent);
        // Higher powers do not fit 128 bits: the square is `high * 2^63 + low`.
        let (high, low) = (square >> 63, square & i128::from(i64::MAX));
        third.add_scaled(high * mantissa, 3 * exponent + 63);
        third.add_scaled(low * mantissa, 3 * exponent);
        fourth.add_scaled(high * high, 4 * exponent + 126);
        fourth.add_scaled(high * low, 4 * exponent + 64);
        fourth.add_scaled(low * low, 4 * exponent);
    }

    fn encode(&self, state: &Powers, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.count);
        state.sums.iter().for_each(|sum| sum.encode(bytes));
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Powers> {
        let count = reader.counted()?;
        let mut sum = || ExactSum::decode(reader);
        Ok(Powers { count, sums: [sum()?, sum()?, sum()?, sum()?] })
    }

    fn heap(state: &Powers) -> usize {
        state.sums.iter().map(ExactSum::heap).sum()
    }
}

impl Tiled for PowersOfValues {
    fn merge(&self, state: &mut Powers, other: &Powers) {
        state.count += other.count;
        state.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| sum.merge(other));
    }
}
