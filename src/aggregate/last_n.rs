//! `last_n(x, n)` returns the last n values that are not null, oldest first in the total order of events.
//!
//! - Parameter: n is from 1 to 1000.
//! - Result: a list of x's type.
//! - Over no rows: null.
//! - Memory: at most 48 n bytes per tile, and the bytes of texts in addition.
//! - Cost: one comparison for an event that is not among the last n, otherwise a move of at most n values.

use super::{Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::value::{DataType, Value};

const N_MAX: i64 = 1000;

pub(super) const DEFINITION: Definition = Definition {
    name: "last_n",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let n = small_integer("last_n", "a length n", &parameters[0], N_MAX)?;
        let result = DataType::List(Box::new(inputs[0].clone()));
        Ok(Bound { result, fold: Fold::LastN(Kind::of(&inputs[0]), n as u32), parameters: vec![Value::Int(n)] })
    },
    finish: |partial, bound, _| match &bound.result {
        DataType::List(item) => partial.list(Kind::of(item)),
        _ => Value::Null,
    },
    examples: &[Example { call: "last_n(x, 2)", events: "0s 10 | 1s 20 | 2s 30", at: "4s", value: "[20, 30]" }],
};
