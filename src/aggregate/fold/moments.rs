//! Number, sum and sum of squares, all exact.

use super::super::exact::{ExactSum, variance};

#[derive(Clone, Debug, Default)]
pub(crate) struct Moments {
    pub(super) count: u64,
    pub(super) sum: ExactSum,
    pub(super) squares: ExactSum,
}

impl Moments {
    #[inline]
    pub(super) fn add(&mut self, word: u64, double: bool) {
        self.count += 1;
        if double {
            self.sum.add_double(f64::from_bits(word));
            self.squares.add_square(f64::from_bits(word));
        } else {
            self.sum.add_int(word as i64);
            self.squares.add_int_square(word as i64);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    pub(super) fn variance(&self, freedom: u64) -> Option<f64> {
        let divisor = self.count.checked_sub(freedom).filter(|divisor| *divisor > 0)?;
        Some(variance(self.count, &self.sum, &self.squares, divisor))
    }

    pub(super) fn heap(&self) -> usize {
        self.sum.heap() + self.squares.heap()
    }
}
