//! Exact sums and ratios of doubles and integers, rounded once. Must never use floating point before that rounding.

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// Every finite double is a whole multiple of 2 to the power of minus this.
const SCALE: u32 = 1074;

/// A finite double times 2^1074.
///
/// # Panics
/// When `value` is not finite.
#[must_use]
pub fn scaled(value: f64) -> BigInt {
    assert!(value.is_finite(), "only finite doubles have an exact value");
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as u32;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
    let magnitude = BigInt::from(mantissa) << shift;
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

/// 2^1074: what `scaled` multiplies by.
#[must_use]
pub fn scale() -> BigInt {
    BigInt::one() << SCALE
}

/// The double nearest to `numerator / denominator`, ties to even; infinite when it is beyond the range; zero is 0.0.
///
/// # Panics
/// When `denominator` is not positive.
#[must_use]
pub fn round(numerator: &BigInt, denominator: &BigInt) -> f64 {
    assert!(denominator.is_positive(), "a denominator is positive");
    if numerator.is_zero() {
        return 0.0;
    }
    let negative = numerator.sign() == Sign::Minus;
    let (n, d) = (numerator.magnitude(), denominator.magnitude());
    // The quotient lies in [2^power, 2^(power + 1)).
    let mut power = n.bits() as i64 - d.bits() as i64;
    if at_power(n, d, power) {
        power -= 1;
    }
    // The unit in the last place of the answer is 2^unit.
    let unit = (power - 52).max(-1074);
    let (quotient, remainder, divisor) = if unit >= 0 {
        let divisor = d << unit as u64;
        let (q, r) = n.div_rem(&divisor);
        (q, r, divisor)
    } else {
        let (q, r) = (n << (-unit) as u64).div_rem(d);
        (q, r, d.clone())
    };
    let mut mantissa = quotient.to_u64().expect("at most 53 bits");
    match (remainder << 1u32).cmp(&divisor) {
        std::cmp::Ordering::Greater => mantissa += 1,
        std::cmp::Ordering::Equal => mantissa += mantissa & 1,
        std::cmp::Ordering::Less => {}
    }
    let magnitude = compose(mantissa, unit);
    if negative { -magnitude } else { magnitude }
}

/// Whether `n / d < 2^power`.
fn at_power(n: &BigUint, d: &BigUint, power: i64) -> bool {
    if power >= 0 { *n < (d << power as u64) } else { (n << (-power) as u64) < *d }
}

/// `mantissa * 2^unit`, where the mantissa is at most 2^53 and `unit` at least -1074.
fn compose(mantissa: u64, unit: i64) -> f64 {
    let (mantissa, unit) = if mantissa == 1 << 53 { (1 << 52, unit + 1) } else { (mantissa, unit) };
    if mantissa < 1 << 52 {
        return f64::from_bits(mantissa); // subnormal: its unit is -1074
    }
    let biased = unit + 1075;
    if biased > 2046 {
        return f64::INFINITY;
    }
    f64::from_bits((biased as u64) << 52 | (mantissa & ((1 << 52) - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard library's parser rounds decimals correctly: an answer that owes nothing to this module.
    #[test]
    fn rounding_agrees_with_the_parser_of_decimals() {
        let mut state = 1_u64;
        for _ in 0..5_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let digits = state >> (state & 31);
            let power = i32::try_from((state >> 40) % 660).expect("small") - 340;
            let expected: f64 = format!("{digits}e{power}").parse().expect("a number");
            let ten = BigInt::from(10).pow(power.unsigned_abs());
            let answer = if power >= 0 { round(&(BigInt::from(digits) * ten), &BigInt::one()) } else { round(&BigInt::from(digits), &ten) };
            assert_eq!(answer.to_bits(), expected.to_bits(), "{digits}e{power}");
        }
    }

    #[test]
    fn every_double_is_its_own_rounding() {
        for value in [0.0, 5e-324, 2.2e-308, f64::MIN_POSITIVE, 0.1, 1.0, -3.5, f64::MAX, -f64::MAX] {
            assert_eq!(round(&scaled(value), &scale()).to_bits(), value.to_bits(), "{value}");
        }
        assert_eq!(round(&(scaled(f64::MAX) * 2), &scale()), f64::INFINITY);
    }

    #[test]
    fn ties_go_to_even() {
        let one = BigInt::one();
        let tie = BigInt::from((1_i64 << 53) + 1);
        assert_eq!(round(&tie, &one), 9_007_199_254_740_992.0);
        assert_eq!(round(&(tie + 2), &one), 9_007_199_254_740_996.0);
    }
}
