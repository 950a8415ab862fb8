//! `var_pop(x)` returns the population variance of the values that are not null.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: `(n * S2 - S1 * S1) / (n * n)`, rounded once. n is the number of values, S1 their sum and S2 the sum of
//!   their squares. All three are exact, so no digits cancel.
//! - The result is NaN if a value is NaN or infinite.
//! - Over no rows: null.
//! - Memory: about 200 bytes per tile.
//! - Cost: about 30 ns per event and 200 ns per reading.

use super::{Bound, Definition, Example, Fold, ONE_INPUT, is_double};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "var_pop",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let double = is_double("var_pop", &inputs[0])?;
        Ok(Bound { result: DataType::Float, fold: Fold::Moments { double }, parameters: Vec::new() })
    },
    finish: |partial, _, _| partial.variance(0).map_or(Value::Null, Value::Float),
    examples: &[Example { call: "var_pop(x)", events: "0s 1.0 | 1s 5.0", at: "4s", value: "4.0" }],
};
