//! `sum(x)` returns the exact sum of the values that are not null.
//!
//! - Types: `bigint -> bigint`, `double -> double`.
//! - bigint: the sum has 128 bits internally. The result is null if the sum does not fit into 64 bits.
//! - double: the sum is rounded once, to nearest even. A sum beyond the range of doubles is infinite. Negative zero
//!   counts as zero.
//! - The result is NaN if a value is NaN, or if there are infinities of both signs.
//! - Over no rows: null.
//! - Memory: 40 bytes per tile, and more if magnitudes are more than a factor of 2^70 apart.
//! - Cost: about 10 ns per event.

use super::{Bound, Definition, Example, Fold, ONE_INPUT, is_double};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "sum",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let double = is_double("sum", &inputs[0])?;
        let result = if double { DataType::Float } else { DataType::Int };
        Ok(Bound { result, fold: Fold::Sum { double }, parameters: Vec::new() })
    },
    finish: |partial, bound, _| match partial.sum() {
        Some((0, _)) | None => Value::Null,
        Some((_, sum)) if bound.result == DataType::Float => Value::Float(sum.round()),
        Some((_, sum)) => sum.to_i64().map_or(Value::Null, Value::Int),
    },
    examples: &[
        Example { call: "sum(x)", events: "0s 1e16 | 1s 1.0 | 2s -1e16", at: "4s", value: "1.0" },
        Example { call: "sum(x)", events: "0s 9223372036854775807 | 1s 1", at: "4s", value: "null" },
    ],
};
