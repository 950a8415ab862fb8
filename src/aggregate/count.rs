//! `count(*)`, `count(x)`: how many events there are, or how many where x is not null. Type: bigint.
//! Over no rows: 0. Memory: 8 bytes per tile. Cost: one addition.

use super::{Bound, Definition, Fold, Shape};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "count",
    shape: Shape { inputs_min: 0, inputs_max: 1, parameters_min: 0, parameters_max: 0 },
    bind: |_, _| Ok(Bound { result: DataType::Int, fold: Fold::Count, parameters: Vec::new() }),
    finish: |partial, _, _| Value::Int(i64::try_from(partial.count()).unwrap_or(i64::MAX)),
};
