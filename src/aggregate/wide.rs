//! Natural numbers of any size: what exact sums need beyond 128 bits, and no more. Digits are 32 bits, lowest first.

use std::cmp::Ordering;

/// A natural number. No leading zero digits, so that zero has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Natural {
    digits: Vec<u32>,
}

impl Natural {
    pub(super) fn from_digits(mut digits: Vec<u32>) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self { digits }
    }

    pub(super) fn from_u128(number: u128) -> Self {
        Self::from_digits((0..4).map(|index| (number >> (32 * index)) as u32).collect())
    }

    pub(super) fn digits(&self) -> &[u32] {
        &self.digits
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The number of bits without leading zeros.
    pub(super) fn bits(&self) -> usize {
        self.digits.last().map_or(0, |top| 32 * self.digits.len() - top.leading_zeros() as usize)
    }

    pub(super) fn trailing_zeros(&self) -> usize {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        32 * zeros + self.digits.get(zeros).map_or(0, |digit| digit.trailing_zeros() as usize)
    }

    fn bit(&self, index: usize) -> bool {
        self.digits.get(index / 32).is_some_and(|digit| digit >> (index % 32) & 1 == 1)
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = vec![0u32; self.digits.len() + other.digits.len()];
        for (place, a) in self.digits.iter().enumerate() {
            let mut carry = 0u64;
            for (index, b) in other.digits.iter().enumerate() {
                let sum = u64::from(*a) * u64::from(*b) + u64::from(product[place + index]) + carry;
                product[place + index] = sum as u32;
                carry = sum >> 32;
            }
            product[place + other.digits.len()] = carry as u32;
        }
        Self::from_digits(product)
    }

    pub(super) fn times_u64(&self, factor: u64) -> Self {
        self.times(&Self::from_u128(u128::from(factor)))
    }

    pub(super) fn shifted_left(&self, bits: usize) -> Self {
        let mut digits = vec![0u32; bits / 32];
        let mut carry = 0u64;
        for digit in &self.digits {
            let wide = u64::from(*digit) << (bits % 32) | carry;
            digits.push(wide as u32);
            carry = wide >> 32;
        }
        digits.push(carry as u32);
        Self::from_digits(digits)
    }

    pub(super) fn shifted_right(&self, bits: usize) -> Self {
        let kept = self.digits.get(bits / 32..).unwrap_or_default();
        let digits = kept.iter().enumerate().map(|(index, digit)| {
            let above = u64::from(kept.get(index + 1).copied().unwrap_or(0)) << 32;
            ((above | u64::from(*digit)) >> (bits % 32)) as u32
        });
        Self::from_digits(digits.collect())
    }

    /// `self - other`, or zero where `other` is greater.
    pub(super) fn minus(&self, other: &Self) -> Self {
        if self.compare(other) == Ordering::Less {
            return Self { digits: Vec::new() };
        }
        let mut borrow = 0i64;
        let digits = self.digits.iter().enumerate().map(|(index, digit)| {
            let difference = i64::from(*digit) - i64::from(other.digits.get(index).copied().unwrap_or(0)) + borrow;
            borrow = difference >> 32;
            difference as u32
        });
        Self::from_digits(digits.collect())
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.digits.len().cmp(&other.digits.len());
        by_length.then_with(|| self.digits.iter().rev().cmp(other.digits.iter().rev()))
    }

    /// The quotient, and whether there is a remainder. `divisor` is not zero.
    pub(super) fn divided_by(&self, divisor: u64) -> (Self, bool) {
        let mut digits = self.digits.clone();
        let mut rest = 0u128;
        for digit in digits.iter_mut().rev() {
            let wide = rest << 32 | u128::from(*digit);
            *digit = (wide / u128::from(divisor)) as u32;
            rest = wide % u128::from(divisor);
        }
        (Self::from_digits(digits), rest != 0)
    }

    /// `(-1)^negative * self * 2^exponent`, plus something smaller than `2^exponent` where `more`, to the nearest
    /// double, ties to even; infinite beyond the range. With `more`, the number must have more than 64 bits.
    pub(super) fn round(&self, negative: bool, exponent: i64, more: bool) -> f64 {
        let sign = u64::from(negative) << 63;
        if self.is_zero() {
            return 0.0;
        }
        let top = self.bits() as i64 - 1 + exponent;
        if top > 1023 {
            return f64::from_bits(sign | f64::INFINITY.to_bits());
        }
        // The exponent of the last bit that a double of this size has; no double has bits below 2^-1074.
        let unit = (top - 52).max(-1074);
        let dropped = unit - exponent;
        let kept = if dropped <= 0 {
            self.shifted_left((-dropped) as usize).low_u64()
        } else {
            let dropped = dropped as usize;
            let kept = self.shifted_right(dropped).low_u64();
            let half = self.bit(dropped - 1);
            let below = more || self.trailing_zeros() < dropped - 1;
            kept + u64::from(half && (below || kept & 1 == 1))
        };
        // A mantissa that rounded up to 2^53 carries into the exponent, and from the largest exponent to infinity.
        f64::from_bits(sign | ((((unit + 1074) as u64) << 52) + kept))
    }

    fn low_u64(&self) -> u64 {
        let digit = |index: usize| u64::from(self.digits.get(index).copied().unwrap_or(0));
        digit(1) << 32 | digit(0)
    }
}
