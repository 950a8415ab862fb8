//! Exact sums of doubles, integers, their powers and products: `sum += m * 2^e` in integers, rounded once when it is read.
//!
//! A sum is a function of the set of its addends: neither their order nor how partial sums were merged changes it
//! (Neal, "Fast exact summation using small and large superaccumulators", 2015). Nearly all sums fit into 128 bits
//! over one exponent, held inline; one that does not moves into digits of 32 bits with room for carries.

use num_bigint::BigUint;
use num_integer::Integer;

use super::bytes::{ByteReader, put_signed, put_unsigned};
use super::dyadic::Dyadic;
use super::fold::Kind;
use super::round::round;
use crate::error::{Error, Result};

/// The largest magnitude of an exponent of two that fourth powers of doubles, or a sum of them, can have, generously.
const EXPONENT_MAX: i64 = 4_800;
/// Additions after which digits must be carried: each adds less than 2^32 to a digit of 64 bits.
const ADDITIONS_MAX: u32 = 1 << 29;

/// An exact sum. As long as `wide` is absent the sum is `(high * 2^64 + low) * 2^exponent`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExactSum {
    low: u64,
    high: i64,
    exponent: i32,
    wide: Option<Box<Wide>>,
}

/// The form without bounds, with what is no number counted beside it.
#[derive(Clone, Debug, Default)]
struct Wide {
    /// Digit i weighs `2^(32 * (first + i))`; each may be negative and may exceed 32 bits until carried.
    digits: Vec<i64>,
    first: i32,
    additions: u32,
    nans: u64,
    infinities: u64,
    negative_infinities: u64,
}

impl ExactSum {
    #[inline]
    pub(super) fn add_double(&mut self, number: f64) {
        let (mantissa, exponent) = match parts(number) {
            Some(parts) => parts,
            None => return self.add_special(number),
        };
        self.add_scaled(i128::from(mantissa), exponent);
    }

    /// Adds up to 8,192 doubles: those near the first in magnitude over one exponent, which is faster than one by one.
    pub(crate) fn add_doubles(&mut self, numbers: &[f64]) {
        let mut near = 0i128;
        let mut lowest = None;
        for number in numbers {
            match parts(*number) {
                Some((0, _)) => {}
                Some((mantissa, exponent)) => {
                    // Of 53 bits, shifted by less than 60, so many have room in 127.
                    let shift = exponent - *lowest.get_or_insert(exponent - 30);
                    if (0..60).contains(&shift) {
                        near += i128::from(mantissa) << shift;
                    } else {
                        self.add_scaled(i128::from(mantissa), exponent);
                    }
                }
                None => self.add_special(*number),
            }
        }
        self.add_scaled(near, lowest.unwrap_or_default());
    }

    /// Adds the square of a double, exactly.
    #[inline]
    pub(super) fn add_square(&mut self, number: f64) {
        match parts(number) {
            Some((mantissa, exponent)) => self.add_scaled(i128::from(mantissa) * i128::from(mantissa), 2 * exponent),
            None => self.add_special(number),
        }
    }

    #[inline]
    pub(super) fn add_int(&mut self, number: i64) {
        self.add_scaled(i128::from(number), 0);
    }

    #[inline]
    pub(super) fn add_int_square(&mut self, number: i64) {
        self.add_scaled(i128::from(number) * i128::from(number), 0);
    }

    #[inline]
    fn small(&self) -> i128 {
        i128::from(self.high) << 64 | i128::from(self.low)
    }

    #[inline]
    fn set_small(&mut self, small: i128, exponent: i32) {
        self.low = small as u64;
        self.high = (small >> 64) as i64;
        self.exponent = exponent;
    }

    /// Adds `mantissa * 2^exponent`.
    #[inline]
    pub(super) fn add_scaled(&mut self, mantissa: i128, exponent: i32) {
        if mantissa == 0 {
            return;
        }
        if self.wide.is_none() {
            let small = self.small();
            if small == 0 {
                return self.set_small(mantissa, exponent);
            }
            // Both over the lower exponent, where there is room.
            let (a, b, low) = if exponent >= self.exponent { (mantissa, small, self.exponent) } else { (small, mantissa, exponent) };
            let shift = exponent.abs_diff(self.exponent);
            if shift < room(a)
                && let Some(sum) = (a << shift).checked_add(b)
            {
                return self.set_small(sum, low);
            }
        }
        self.add_wide(mantissa, exponent);
    }

    #[cold]
    fn add_wide(&mut self, mantissa: i128, exponent: i32) {
        let (small, small_exponent) = (self.small(), self.exponent);
        self.set_small(0, 0);
        let wide = self.wide.get_or_insert_default();
        wide.add(small, small_exponent);
        wide.add(mantissa, exponent);
    }

    #[cold]
    fn add_special(&mut self, number: f64) {
        if self.wide.is_none() {
            self.add_wide(0, 0);
        }
        if let Some(wide) = &mut self.wide {
            let counter = if number.is_nan() {
                &mut wide.nans
            } else if number > 0.0 {
                &mut wide.infinities
            } else {
                &mut wide.negative_infinities
            };
            *counter += 1;
        }
    }

    #[inline]
    pub(super) fn merge(&mut self, other: &Self) {
        match &other.wide {
            None => self.add_scaled(other.small(), other.exponent),
            Some(wide) => self.merge_wide(wide),
        }
    }

    #[cold]
    fn merge_wide(&mut self, other: &Wide) {
        if self.wide.is_none() {
            self.add_wide(0, 0);
        }
        if let Some(wide) = &mut self.wide {
            wide.merge(other);
        }
    }

    /// What the sum is when not all addends were numbers.
    pub(super) fn special(&self) -> Option<f64> {
        let wide = self.wide.as_ref()?;
        match (wide.nans, wide.infinities, wide.negative_infinities) {
            (0, 0, 0) => None,
            (0, _, 0) => Some(f64::INFINITY),
            (0, 0, _) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// The double nearest to the sum, ties to even; NaN and infinities as IEEE 754 adds them.
    pub(crate) fn round(&self) -> f64 {
        if self.wide.is_none() && (-1022..=896).contains(&self.exponent) {
            // The conversion rounds once, and the scale is a power of two that keeps the result normal.
            let scale = f64::from_bits(((self.exponent + 1023) as u64) << 52);
            return self.small() as f64 * scale;
        }
        self.special().unwrap_or_else(|| {
            let (negative, magnitude, exponent) = self.canonical();
            round(&magnitude, negative, exponent, false)
        })
    }

    /// The sum of integers as one; `None` when it does not fit.
    pub(super) fn to_i64(&self) -> Option<i64> {
        let (sum, shift) = (self.small(), u32::try_from(self.exponent).ok()?);
        if self.wide.is_some() {
            return None;
        }
        if sum == 0 {
            return Some(0);
        }
        (shift < room(sum)).then(|| i64::try_from(sum << shift).ok()).flatten()
    }

    /// Sign, odd magnitude (or zero) and exponent: equal for equal sums. What is no number is left out.
    fn canonical(&self) -> (bool, BigUint, i64) {
        let (negative, magnitude, exponent) = match &self.wide {
            None => (self.high < 0, BigUint::from(self.small().unsigned_abs()), i64::from(self.exponent)),
            Some(wide) => wide.magnitude(),
        };
        match magnitude.trailing_zeros() {
            None => (false, magnitude, 0),
            Some(zeros) => (negative, magnitude >> zeros, exponent + zeros as i64),
        }
    }

    /// The sum of what is finite, for formulas.
    pub(super) fn dyadic(&self) -> Dyadic {
        let (negative, magnitude, exponent) = self.canonical();
        Dyadic::new(negative, magnitude, exponent)
    }

    /// Bytes held outside of the sum itself.
    pub(super) fn heap(&self) -> usize {
        self.wide.as_ref().map_or(0, |wide| size_of::<Wide>() + 8 * wide.digits.capacity())
    }

    /// Appends the sum; equal sums give equal bytes. Layout: `docs/storage-format.md`.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let (negative, magnitude, exponent) = self.canonical();
        let special = self.special().is_some();
        bytes.push(u8::from(negative) | u8::from(special) << 1);
        if special && let Some(wide) = &self.wide {
            for count in [wide.nans, wide.infinities, wide.negative_infinities] {
                put_unsigned(bytes, count);
            }
        }
        put_signed(bytes, exponent);
        let body = if magnitude.bits() == 0 { Vec::new() } else { magnitude.to_bytes_le() };
        put_unsigned(bytes, body.len() as u64);
        bytes.extend(body);
    }

    pub(crate) fn decode(reader: &mut ByteReader<'_>) -> Result<Self> {
        let flags = reader.byte()?;
        let mut sum = Self::default();
        if flags & 2 != 0 {
            let [nans, infinities, negative_infinities] = [reader.unsigned()?, reader.unsigned()?, reader.unsigned()?];
            sum.wide = Some(Box::new(Wide { nans, infinities, negative_infinities, ..Wide::default() }));
        }
        let exponent = reader.signed()?;
        let length = reader.length()?;
        let body = reader.take(length)?;
        if flags > 3 || exponent.abs() > EXPONENT_MAX || length as i64 * 8 + exponent > EXPONENT_MAX {
            return Err(Error::corrupt("stored state: a sum out of range"));
        }
        for (index, piece) in body.chunks(15).enumerate() {
            let mut digits = [0; 16];
            digits[..piece.len()].copy_from_slice(piece);
            let magnitude = i128::from_le_bytes(digits);
            let signed = if flags & 1 == 0 { magnitude } else { -magnitude };
            sum.add_scaled(signed, exponent as i32 + 120 * index as i32);
        }
        Ok(sum)
    }
}

/// `(n * S2 - S1^2) / (n * divisor)` to the nearest double: exact until it is rounded, once. NaN where an addend was
/// no finite number. Neither `n` nor `divisor` is zero.
pub(super) fn variance(n: u64, sum: &ExactSum, squares: &ExactSum, divisor: u64) -> f64 {
    if sum.special().is_some() {
        return f64::NAN;
    }
    let (_, sum, sum_exponent) = sum.canonical();
    let (_, squares, squares_exponent) = squares.canonical();
    let (left, left_exponent) = (squares * n, squares_exponent);
    let (right, right_exponent) = (&sum * &sum, 2 * sum_exponent);
    let exponent = left_exponent.min(right_exponent);
    let left = left << (left_exponent - exponent).unsigned_abs();
    let right = right << (right_exponent - exponent).unsigned_abs();
    // Never below zero: that is the inequality of Cauchy and Schwarz.
    let difference = if left > right { left - right } else { BigUint::ZERO };
    over(&difference, &(BigUint::from(n) * divisor), false, exponent)
}

/// `numerator / denominator` to the nearest double. The denominator is not zero.
pub(super) fn quotient(numerator: i128, denominator: u64) -> f64 {
    over(&BigUint::from(numerator.unsigned_abs()), &BigUint::from(denominator), numerator < 0, 0)
}

/// `(-1)^negative * numerator / denominator * 2^exponent` to the nearest double. The denominator is not zero.
pub(super) fn over(numerator: &BigUint, denominator: &BigUint, negative: bool, exponent: i64) -> f64 {
    // More than the 64 bits that rounding needs beside what it drops.
    let shift = (80 + denominator.bits()).saturating_sub(numerator.bits());
    let (quotient, rest) = (numerator << shift).div_rem(denominator);
    round(&quotient, negative, exponent - shift as i64, rest != BigUint::ZERO)
}

/// Mantissa and exponent of a number of that kind, as rows hold it; `None` for a double that is not finite.
#[inline]
pub(super) fn scaled(kind: Kind, word: u64) -> Option<(i64, i32)> {
    match kind {
        Kind::Float => parts(f64::from_bits(word)),
        _ => Some((word as i64, 0)),
    }
}

/// Mantissa and exponent of a finite double; `None` for any other.
#[inline]
fn parts(number: f64) -> Option<(i64, i32)> {
    let bits = number.to_bits();
    let biased = (bits >> 52 & 0x7ff) as i32;
    let fraction = (bits & ((1 << 52) - 1)) as i64;
    let (mantissa, exponent) = match biased {
        0x7ff => return None,
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, biased - 1075),
    };
    Some((if bits >> 63 == 0 { mantissa } else { -mantissa }, exponent))
}

/// How far a number can be shifted left with two bits to spare.
#[inline]
fn room(number: i128) -> u32 {
    (number ^ number >> 127).leading_zeros().saturating_sub(2)
}

impl Wide {
    fn add(&mut self, mantissa: i128, exponent: i32) {
        if mantissa == 0 {
            return;
        }
        self.count_additions(1);
        let (place, shift) = (exponent.div_euclid(32), exponent.rem_euclid(32));
        let mut magnitude = mantissa.unsigned_abs();
        let length = (shift as u32 + 128 - magnitude.leading_zeros()).div_ceil(32);
        let start = self.cover(place, length as i32);
        let sign = if mantissa < 0 { -1 } else { 1 };
        let mut digit = ((magnitude as u64) << shift) & 0xffff_ffff;
        magnitude >>= 32 - shift;
        for slot in &mut self.digits[start..start + length as usize] {
            *slot += sign * digit as i64;
            digit = magnitude as u64 & 0xffff_ffff;
            magnitude >>= 32;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.nans += other.nans;
        self.infinities += other.infinities;
        self.negative_infinities += other.negative_infinities;
        if other.digits.is_empty() {
            return;
        }
        self.count_additions(other.additions);
        let start = self.cover(other.first, other.digits.len() as i32);
        for (slot, digit) in self.digits[start..].iter_mut().zip(&other.digits) {
            *slot += digit;
        }
    }

    fn count_additions(&mut self, more: u32) {
        if self.additions.saturating_add(more) >= ADDITIONS_MAX {
            self.carry();
        }
        self.additions += more;
    }

    /// Makes sure that there are digits for `[place, place + length)`; the index of the first of them.
    fn cover(&mut self, place: i32, length: i32) -> usize {
        if self.digits.is_empty() {
            self.first = place;
        }
        if place < self.first {
            let missing = (self.first - place) as usize;
            self.digits.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = place;
        }
        let end = (place + length - self.first) as usize;
        if end > self.digits.len() {
            self.digits.resize(end, 0);
        }
        (place - self.first) as usize
    }

    /// Brings all digits but the last into 0..2^32; the last one carries the sign.
    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits {
            let sum = *digit + carry;
            carry = sum >> 32;
            *digit = sum & 0xffff_ffff;
        }
        if carry != 0 {
            self.digits.push(carry);
        }
        self.additions = 1;
    }

    fn magnitude(&self) -> (bool, BigUint, i64) {
        let mut wide = self.clone();
        wide.carry();
        let negative = wide.digits.last().is_some_and(|top| *top < 0);
        if negative {
            wide.digits.iter_mut().for_each(|digit| *digit = -*digit);
            wide.carry();
        }
        let digits = wide.digits.iter().map(|digit| *digit as u32).collect();
        (negative, BigUint::new(digits), 32 * i64::from(self.first))
    }
}
