//! `avg(x)` returns the mean of the values that are not null.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Method: the exact sum is rounded once to a double and then divided by the number of values. The division rounds
//!   once more.
//! - NaN and infinities: as in `sum`.
//! - Over no rows: null.
//! - Memory and cost: as `sum`. Both read the same fold.

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
