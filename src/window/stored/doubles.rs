//! The doubles of a run as bytes. Most that people count are decimals of few digits: they take the bytes of these, where
//! every one of the run comes back with the same bits.

use super::rows::corrupt;
use crate::aggregate::{ByteReader, put_signed};
use crate::error::Result;

/// Powers of ten by which digits are divided; all exact, and so is a quotient rounded once.
const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// In the place of a power: each double as its eight bytes.
const PLAIN: u8 = 255;
/// Whole numbers below are doubles.
const WHOLE: f64 = (1_u64 << 53) as f64;

/// The whole number that this power divides to exactly these bits.
fn digits(word: u64, power: f64) -> Option<i64> {
    let scaled = (f64::from_bits(word) * power).round();
    let digits = scaled as i64;
    (scaled.abs() < WHOLE && quotient(digits, power) == word).then_some(digits)
}

fn quotient(digits: i64, power: f64) -> u64 {
    (digits as f64 / power).to_bits()
}

/// The least power that does for all of them, if any does.
fn power_of(mut words: impl Iterator<Item = u64>) -> Option<usize> {
    words.try_fold(0, |least, word| (least..POWERS.len()).find(|power| digits(word, POWERS[*power]).is_some()))
}

pub(super) fn put(bytes: &mut Vec<u8>, words: impl Iterator<Item = u64> + Clone) {
    let start = bytes.len();
    if let Some(power) = power_of(words.clone()) {
        bytes.push(power as u8);
        let mut all = words.clone().map(|word| digits(word, POWERS[power]));
        if all.all(|digits| digits.map(|digits| put_signed(bytes, digits)).is_some()) {
            return;
        }
        bytes.truncate(start);
    }
    bytes.push(PLAIN);
    words.for_each(|word| bytes.extend(word.to_le_bytes()));
}

/// Gives each of so many doubles with its place to `put`. Of formats without powers they are plain.
pub(super) fn read(reader: &mut ByteReader<'_>, count: usize, has_powers: bool, mut put: impl FnMut(usize, u64)) -> Result<()> {
    let power = if has_powers { reader.byte()? } else { PLAIN };
    if power == PLAIN {
        return (0..count).try_for_each(|at| reader.word().map(|word| put(at, word)));
    }
    let power = POWERS.get(usize::from(power)).ok_or_else(|| corrupt("an unknown power of ten"))?;
    (0..count).try_for_each(|at| reader.signed().map(|digits| put(at, quotient(digits, *power))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(values: &[f64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, values.iter().map(|value| value.to_bits()));
        let (mut reader, mut back) = (ByteReader(&bytes), Vec::new());
        read(&mut reader, values.len(), true, |at, word| back.push((at, word))).unwrap();
        assert!(reader.is_empty());
        let wanted: Vec<(usize, u64)> = values.iter().map(|value| value.to_bits()).enumerate().collect();
        assert_eq!(back, wanted, "{values:?}");
        bytes
    }

    #[test]
    fn decimals_take_the_bytes_of_their_digits() {
        assert_eq!(stored(&[0.0, 12.0, -63.0]), [0, 0, 24, 125]);
        assert_eq!(stored(&[12.5, 0.25, 3.0]).len(), 1 + 2 + 1 + 2);
        assert_eq!(stored(&[]), [0]);
        let cents: Vec<f64> = (0..10_000).map(|cents| f64::from(cents) / 100.0).collect();
        assert!(stored(&cents).len() < 3 * cents.len());
    }

    #[test]
    fn any_double_comes_back_with_its_bits() {
        let hard = [-0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.1 + 0.2, 1e300, 1.0 / 3.0];
        for value in hard {
            assert_eq!(stored(&[1.5, value])[0], PLAIN, "{value}");
        }
        assert_eq!(stored(&[f64::from_bits(0x7ff8_dead_beef_0001)])[0], PLAIN);
        for value in [WHOLE, -WHOLE, WHOLE - 1.0, 9_007_199_254_740_991.0, 4_503_599_627_370_497.5, 1e-9, 123_456.789_012_345, 1e15, 1e22] {
            for other in [0.0, 0.1, 1e-9, 7.0] {
                let _ = stored(&[value, other]);
                let _ = stored(&[other, value]);
            }
        }
        let mut word = 1_u64;
        for _ in 0..20_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let near = (word >> 20) as f64 / POWERS[(word % 10) as usize];
            let _ = stored(&[f64::from_bits(word), near]);
            let _ = stored(&[near, f64::from_bits(near.to_bits() + 1)]);
        }
    }

    #[test]
    fn powers_that_are_none_are_corrupt() {
        assert!(read(&mut ByteReader(&[10, 0]), 1, true, |_, _| ()).is_err());
        assert!(read(&mut ByteReader(&[PLAIN, 0]), 1, true, |_, _| ()).is_err());
        assert!(read(&mut ByteReader(&[]), 0, true, |_, _| ()).is_err());
    }
}
