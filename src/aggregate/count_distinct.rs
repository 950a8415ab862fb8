//! `count_distinct(x)` and `count_distinct(x, limit)` return the number of different values that are not null.
//!
//! - Parameter: limit is at most 100000, and 1000 by default. The result is exact up to `limit` and stays at `limit` if
//!   there are more values.
//! - Result: bigint.
//! - Doubles are compared as numbers: every NaN is one value, and negative zero is zero.
//! - Over no rows: 0.
//! - Memory: at most 8 `limit` bytes per tile. For text, at most 16 `limit` bytes and the texts.
//! - Cost: a search per event, and a move for a new value.

use super::{Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::value::{DataType, Value};

const LIMIT_DEFAULT: i64 = 1_000;
const LIMIT_MAX: i64 = 100_000;

pub(super) const DEFINITION: Definition = Definition {
    name: "count_distinct",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 0, parameters_max: 1 },
    bind: |inputs, parameters| {
        let limit = match parameters.first() {
            Some(parameter) => small_integer("count_distinct", "a limit", parameter, LIMIT_MAX)?,
            None => LIMIT_DEFAULT,
        };
        Ok(Bound { result: DataType::Int, fold: Fold::Distinct(Kind::of(&inputs[0]), limit as u32), parameters: vec![Value::Int(limit)] })
    },
    finish: |partial, _, _| Value::Int(partial.distinct() as i64),
    examples: &[
        Example { call: "count_distinct(x)", events: "0s 'a' | 1s 'b' | 2s 'a'", at: "4s", value: "2" },
        Example { call: "count_distinct(x, 2)", events: "0s 1 | 1s 2 | 2s 3", at: "4s", value: "2" },
    ],
};
