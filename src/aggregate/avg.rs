//! `avg(x)`: the exact sum of the values that are not null, rounded once to a double, divided by their number (the
//! division rounds once more). bigint, double -> double. NaN and infinities as in `sum`.
//! Over no rows: null. Memory and cost: those of `sum`, whose fold it shares.

use super::{Bound, Definition, Example, Fold, ONE_INPUT, is_double};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "avg",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let double = is_double("avg", &inputs[0])?;
        Ok(Bound { result: DataType::Float, fold: Fold::Sum { double }, parameters: Vec::new() })
    },
    finish: |partial, _, _| match partial.sum() {
        Some((0, _)) | None => Value::Null,
        Some((count, sum)) => Value::Float(sum.round() / count as f64),
    },
    examples: &[Example { call: "avg(x)", events: "0s 1 | 1s null | 2s 2", at: "4s", value: "1.5" }],
};
