//! `percentile(x, p)` returns the exact percentile of the values that are not null, as SQL's `percentile_cont(p)`.
//!
//! - Parameter: p is a number from 0 to 1.
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: the value at rank `p * (n - 1)` of the values in ascending order. Ranks count from 0 and are computed in
//!   doubles. Between two values, the result is `low + (high - low) * fraction`, exact until it is rounded.
//! - NaN is greater than all other values.
//! - Over no rows: null.
//! - A window without a lower bound and a session are refused. `approx_percentile` has a low cost over every window.
//! - Memory: nothing in tiles, and 8 bytes for each event of the window during a reading.
//! - Cost: each reading reads every event of the window.

use super::state::values::{self, Values};
use super::{Bound, Definition, Example, Shape, number_kind, share};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "percentile",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let kind = number_kind("percentile", &inputs[0])?;
        let p = share("percentile", &parameters[0])?;
        Ok(Bound { result: DataType::Float, fold: values::fold(kind), parameters: vec![Value::Float(p)] })
    },
    finish: |partial, bound, _| {
        let values = partial.own::<Values>();
        values.and_then(|values| values.percentile(bound.double(0))).map_or(Value::Null, Value::Float)
    },
    examples: &[Example { call: "percentile(x, 0.25)", events: "0s 1 | 1s 4 | 2s 2 | 3s null | 4s 3", at: "4s", value: "1.75" }],
};
