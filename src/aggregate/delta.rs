//! `delta(x)` returns the last value minus the value before it. Only values that are not null count, in the total order
//! of events.
//!
//! - Types: `bigint -> bigint` (null if the result does not fit), `double -> double` (rounded once, as IEEE 754
//!   subtracts).
//! - The result is null if there are fewer than two values.
//! - Memory and cost: as `last_n(x, 2)`. Both read the same fold.

use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT, is_double};
use crate::value::Value;

pub(super) const DEFINITION: Definition = Definition {
    name: "delta",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        is_double("delta", &inputs[0])?;
        Ok(Bound { result: inputs[0].clone(), fold: Fold::LastN(Kind::of(&inputs[0]), 2), parameters: Vec::new() })
    },
    finish: |partial, bound, _| match partial.last(Kind::of(&bound.result))[..] {
        [Value::Int(last), Value::Int(before)] => last.checked_sub(before).map_or(Value::Null, Value::Int),
        [Value::Float(last), Value::Float(before)] => Value::Float(last - before),
        _ => Value::Null,
    },
    examples: &[
        Example { call: "delta(x)", events: "0s 10 | 1s 25 | 2s null | 3s 20", at: "4s", value: "-5" },
        Example { call: "delta(x)", events: "0s 1.5", at: "1s", value: "null" },
    ],
};
