//! `array_agg(x)` and `array_agg(x, limit)` return the values that are not null as a list, oldest first in the total
//! order of events.
//!
//! - Parameter: limit is at most 1000, and 100 by default. If there are more values, the list holds the last `limit`
//!   values.
//! - Result: a list of x's type.
//! - Over no rows: null.
//! - Memory and cost: as `last_n(x, limit)`. Both read the same fold.

use super::{Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::value::{DataType, Value};

const LIMIT_DEFAULT: i64 = 100;
const LIMIT_MAX: i64 = 1000;

pub(super) const DEFINITION: Definition = Definition {
    name: "array_agg",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 0, parameters_max: 1 },
    bind: |inputs, parameters| {
        let limit = match parameters.first() {
            Some(parameter) => small_integer("array_agg", "a limit", parameter, LIMIT_MAX)?,
            None => LIMIT_DEFAULT,
        };
        let result = DataType::List(Box::new(inputs[0].clone()));
        Ok(Bound { result, fold: Fold::LastN(Kind::of(&inputs[0]), limit as u32), parameters: vec![Value::Int(limit)] })
    },
    finish: |partial, bound, _| partial.list(bound.item_kind()),
    examples: &[
        Example { call: "array_agg(x)", events: "0s 'a' | 1s null | 2s 'b' | 3s 'a'", at: "4s", value: "['a', 'b', 'a']" },
        Example { call: "array_agg(x, 2)", events: "0s 1 | 1s 2 | 2s 3", at: "4s", value: "[2, 3]" },
    ],
};
