//! Numbers of any size to the nearest double, rounded once.

use num_bigint::BigUint;

/// `(-1)^negative * magnitude * 2^exponent`, plus something smaller than `2^exponent` if `more`, to the nearest double, ties to
/// even; infinite beyond the range. With `more`, the magnitude must have more than 64 bits.
pub(super) fn round(magnitude: &BigUint, negative: bool, exponent: i64, more: bool) -> f64 {
    let sign = u64::from(negative) << 63;
    let bits = magnitude.bits();
    if bits == 0 {
        return 0.0;
    }
    let top = bits as i64 - 1 + exponent;
    if top > 1023 {
        return f64::from_bits(sign | f64::INFINITY.to_bits());
    }
    // The exponent of the last bit that a double of this size has; no double has bits below 2^-1074.
    let unit = (top - 52).max(-1074);
    let dropped = unit - exponent;
    let kept = if dropped <= 0 {
        low(&(magnitude << dropped.unsigned_abs()))
    } else {
        let dropped = dropped.unsigned_abs();
        let kept = low(&(magnitude >> dropped));
        let half = magnitude.bit(dropped - 1);
        let below = more || magnitude.trailing_zeros().is_some_and(|zeros| zeros < dropped - 1);
        kept + u64::from(half && (below || kept & 1 == 1))
    };
    // A mantissa that rounded up to 2^53 carries into the exponent, and from the largest exponent to infinity.
    f64::from_bits(sign | ((((unit + 1074) as u64) << 52) + kept))
}

fn low(number: &BigUint) -> u64 {
    number.iter_u64_digits().next().unwrap_or(0)
}
