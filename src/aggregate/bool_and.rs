//! `bool_and(x)` returns true if all values that are not null are true, and false otherwise.
//!
//! - Types: `boolean -> boolean`.
//! - Over no rows: null.
//! - Memory: 16 bytes per tile.
//! - Cost: two additions per event.

use super::{Bound, Definition, Example, Fold, ONE_INPUT, expect_boolean};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "bool_and",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        expect_boolean("bool_and", &inputs[0])?;
        Ok(Bound { result: DataType::Bool, fold: Fold::Truths, parameters: Vec::new() })
    },
    finish: |partial, _, _| match partial.truths() {
        Some((0, _)) | None => Value::Null,
        Some((count, trues)) => Value::Bool(trues == count),
    },
    examples: &[Example { call: "bool_and(x)", events: "0s true | 1s null | 2s false", at: "4s", value: "false" }],
};
