//! `zscore_last(x)` returns the number of standard deviations between the last value that is not null and the mean of
//! all values, which includes the last value: `(x - avg) / stddev_samp`.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: the square root of `(n x - S1)^2 (n - 1) / (n A2)`, with the sign of `n x - S1`. `A2 = n S2 - S1 S1`
//!   comes from exact sums. The quotient is rounded before the square root, and the square root is rounded after.
//! - The result is NaN if a value is not a finite number.
//! - The result is null over fewer than two values, and if all values are equal.
//! - Memory: about 250 bytes per tile.
//! - Cost: three exact additions per event.

use super::bytes::{ByteReader, put_unsigned};
use super::dyadic::Dyadic;
use super::exact::{ExactSum, scaled};
use super::fold::{Algorithm, CustomFold, Event, Tiled};
use super::rows::SortKey;
use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT, number_kind};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "zscore_last",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = Fold::Own(CustomFold::tiled(LastAndSquares(number_kind("zscore_last", &inputs[0])?)));
        Ok(Bound { result: DataType::Float, fold, parameters: Vec::new() })
    },
    finish: |partial, _, _| {
        let Some(scores) = partial.own::<Scores>().filter(|scores| scores.count > 1) else { return Value::Null };
        if scores.sum.special().is_some() {
            return Value::Float(f64::NAN);
        }
        let (n, one_less) = (Dyadic::from(scores.count), Dyadic::from(scores.count - 1));
        let (sum, squares, last) = (scores.sum.dyadic(), scores.squares.dyadic(), scores.last.dyadic());
        let spread = &(&n * &squares) - &sum.squared();
        if spread.is_zero() {
            return Value::Null;
        }
        let distance = &(&n * &last) - &sum;
        let root = (&distance.squared() * &one_less).root_over(&(&n * &spread));
        Value::Float(if distance.is_negative() { -root } else { root })
    },
    examples: &[Example { call: "zscore_last(x)", events: "0s 1.0 | 1s 2.0 | 2s 3.0", at: "2s", value: "1.0" }],
};

#[derive(Debug)]
struct LastAndSquares(Kind);

/// What is no finite number is counted in `sum` alone.
#[derive(Clone, Debug, Default)]
struct Scores {
    count: u64,
    sum: ExactSum,
    squares: ExactSum,
    /// Absent where no value is finite
    place: Option<SortKey>,
    /// The finite value at that place
    last: ExactSum,
}

impl Algorithm for LastAndSquares {
    type State = Scores;

    fn text(&self) -> String {
        format!("last and squares {}", self.0.text())
    }

    fn empty(&self) -> Scores {
        Scores::default()
    }

    fn add(&self, state: &mut Scores, event: Event<'_>) {
        state.count += 1;
        let Some((mantissa, exponent)) = scaled(self.0, event.word(0)) else {
            return state.sum.add_double(f64::from_bits(event.word(0)));
        };
        let mantissa = i128::from(mantissa);
        state.sum.add_scaled(mantissa, exponent);
        state.squares.add_scaled(mantissa * mantissa, 2 * exponent);
        if state.place.is_none_or(|place| event.place() > place) {
            state.place = Some(event.place());
            state.last = ExactSum::default();
            state.last.add_scaled(mantissa, exponent);
        }
    }

    fn encode(&self, state: &Scores, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.count);
        state.sum.encode(bytes);
        state.squares.encode(bytes);
        bytes.push(u8::from(state.place.is_some()));
        if let Some(place) = state.place {
            place.encode(bytes);
            state.last.encode(bytes);
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Scores> {
        let (count, sum, squares) = (reader.counted()?, ExactSum::decode(reader)?, ExactSum::decode(reader)?);
        let last = reader.optional(|reader| Ok((SortKey::decode(reader)?, ExactSum::decode(reader)?)))?;
        let (place, last) = last.map_or_else(Default::default, |(place, last)| (Some(place), last));
        Ok(Scores { count, sum, squares, place, last })
    }

    fn heap(state: &Scores) -> usize {
        state.sum.heap() + state.squares.heap() + state.last.heap()
    }
}

impl Tiled for LastAndSquares {
    fn merge(&self, state: &mut Scores, other: &Scores) {
        state.count += other.count;
        state.sum.merge(&other.sum);
        state.squares.merge(&other.squares);
        if other.place > state.place {
            state.place = other.place;
            state.last = other.last.clone();
        }
    }
}
