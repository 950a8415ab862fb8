//! `count(*)` returns the number of events. `count(x)` returns the number of events in which x is not null.
//!
//! - Result: bigint.
//! - Over no rows: 0.
//! - Memory: 8 bytes per tile.
//! - Cost: one addition per event.

use super::{Bound, Definition, Example, Fold, Shape};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "count",
    shape: Shape { inputs_min: 0, inputs_max: 1, parameters_min: 0, parameters_max: 0 },
    bind: |_, _| Ok(Bound { result: DataType::Int, fold: Fold::Count, parameters: Vec::new() }),
    finish: |partial, _, _| Value::Int(i64::try_from(partial.count()).unwrap_or(i64::MAX)),
    examples: &[
        Example { call: "count(*)", events: "0s | 1s", at: "4s", value: "2" },
        Example { call: "count(x)", events: "0s 1 | 1s null", at: "4s", value: "1" },
    ],
};
