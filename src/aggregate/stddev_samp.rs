//! `stddev_samp(x)` returns the sample standard deviation of the values that are not null.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: the square root of `(n * S2 - S1 * S1) / (n * (n - 1))`. The quotient is rounded once before the square
//!   root. n is the number of values, S1 their sum and S2 the sum of their squares. All three are exact, so no digits
//!   cancel.
//! - The result is NaN if a value is NaN or infinite.
//! - Over fewer than two rows: null.
//! - Memory: about 200 bytes per tile.
//! - Cost: about 30 ns per event and 200 ns per reading.

use super::{Bound, Definition, Example, Fold, ONE_INPUT, is_double};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "stddev_samp",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let double = is_double("stddev_samp", &inputs[0])?;
        Ok(Bound { result: DataType::Float, fold: Fold::Moments { double }, parameters: Vec::new() })
    },
    finish: |partial, _, _| partial.variance(1).map_or(Value::Null, |variance| Value::Float(variance.sqrt())),
    examples: &[Example { call: "stddev_samp(x)", events: "0s 1 | 1s 2 | 2s 3", at: "4s", value: "1.0" }],
};
