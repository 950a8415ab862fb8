//! `lag(x)` and `lag(x, n)` return the value n events before the last event, in the total order of events. Only events
//! in which x is not null count. `lag(x)` returns the previous value.
//!
//! - Parameter: n is at most 1000, and 1 by default.
//! - Result: the type of x, with the same bits as the input.
//! - The result is null if there are n values or fewer.
//! - Memory and cost: as `last_n(x, n + 1)`. Both read the same fold.

use super::{Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::value::Value;

const N_MAX: i64 = 1000;

pub(super) const DEFINITION: Definition = Definition {
    name: "lag",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 0, parameters_max: 1 },
    bind: |inputs, parameters| {
        let n = match parameters.first() {
            Some(parameter) => small_integer("lag", "a distance n", parameter, N_MAX)?,
            None => 1,
        };
        let fold = Fold::LastN(Kind::of(&inputs[0]), n as u32 + 1);
        Ok(Bound { result: inputs[0].clone(), fold, parameters: vec![Value::Int(n)] })
    },
    finish: |partial, bound, _| {
        let last = partial.last(Kind::of(&bound.result));
        last.get(bound.integer(0) as usize).cloned().unwrap_or_default()
    },
    examples: &[
        Example { call: "lag(x)", events: "0s 10 | 1s 20 | 2s null | 3s 30", at: "4s", value: "20" },
        Example { call: "lag(x, 3)", events: "0s 10 | 1s 20 | 3s 30", at: "4s", value: "null" },
    ],
};
