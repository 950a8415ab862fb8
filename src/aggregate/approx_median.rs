//! `approx_median(x)` returns the approximate median of the values that are not null. The result and its error are
//! those of `approx_percentile(x, 0.5)`.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Over no rows: null.
//! - Memory and cost: as `approx_percentile`. Both read the same fold.

use super::state::buckets::{self, Buckets};
use super::{Bound, Definition, Example, ONE_INPUT, number_kind};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "approx_median",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = buckets::fold(number_kind("approx_median", &inputs[0])?);
        Ok(Bound { result: DataType::Float, fold, parameters: Vec::new() })
    },
    finish: |partial, _, _| partial.own::<Buckets>().and_then(|buckets| buckets.percentile(0.5)).map_or(Value::Null, Value::Float),
    examples: &[Example { call: "approx_median(x)", events: "0s -3.0 | 1s 0.0 | 2s 1.0", at: "4s", value: "0.0" }],
};
