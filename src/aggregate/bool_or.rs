//! `bool_or(x)` returns true if any value that is not null is true, and false otherwise.
//!
//! - Types: `boolean -> boolean`.
//! - Over no rows: null.
//! - Memory: 16 bytes per tile.
//! - Cost: two additions per event.

use super::{Bound, Definition, Example, Fold, ONE_INPUT, expect_boolean};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "bool_or",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        expect_boolean("bool_or", &inputs[0])?;
        Ok(Bound { result: DataType::Bool, fold: Fold::Truths, parameters: Vec::new() })
    },
    finish: |partial, _, _| match partial.truths() {
        Some((0, _)) | None => Value::Null,
        Some((_, trues)) => Value::Bool(trues > 0),
    },
    examples: &[Example { call: "bool_or(x)", events: "0s false | 1s null | 2s true", at: "4s", value: "true" }],
};
