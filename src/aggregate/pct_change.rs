//! `pct_change(x)` returns the relative change from the value before the last value to the last value:
//! `(last - before) / before`. A result of 0.1 is an increase of ten percent.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Rounding of bigints: the difference is computed exactly and then rounded to a double. The divisor is rounded to a
//!   double too.
//! - The result is null if there are fewer than two values, or if the value before the last value is zero.
//! - Memory and cost: as `last_n(x, 2)`. Both read the same fold.

use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT, is_double};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "pct_change",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        is_double("pct_change", &inputs[0])?;
        Ok(Bound { result: DataType::Float, fold: Fold::LastN(Kind::of(&inputs[0]), 2), parameters: Vec::new() })
    },
    finish: |partial, bound, _| {
        let Fold::LastN(kind, _) = bound.fold else { return Value::Null };
        match partial.last(kind)[..] {
            [Value::Int(last), Value::Int(before)] if before != 0 => {
                Value::Float((i128::from(last) - i128::from(before)) as f64 / before as f64)
            }
            [Value::Float(last), Value::Float(before)] if before != 0.0 => Value::Float((last - before) / before),
            _ => Value::Null,
        }
    },
    examples: &[
        Example { call: "pct_change(x)", events: "0s 10 | 1s 15", at: "4s", value: "0.5" },
        Example { call: "pct_change(x)", events: "0s 0.0 | 1s 15.0", at: "4s", value: "null" },
    ],
};
