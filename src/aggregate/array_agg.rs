//! `array_agg(x)`, `array_agg(x, limit)`: the values that are not null as a list in the total order of events, oldest
//! first; of more than `limit` (100 unless given, at most 1000) the last ones. Type: a list of x's type.
//! Over no rows: null. Memory and cost: those of `last_n(x, limit)`, whose fold it shares.

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
