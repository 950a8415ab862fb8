//! `approx_percentile(x, p)` returns the approximate value at rank `floor(p * (n - 1))` of the n values that are not
//! null. The values are in ascending order and ranks count from 0.
//!
//! - Parameter: p is a number from 0 to 1.
//! - Types: `bigint -> double`, `double -> double`.
//! - Method: DDSketch with buckets that never collapse, 64 buckets for each power of two. The result is the middle of
//!   the bucket that holds the value.
//! - Error: the result differs from the value by at most 1/128 of the value (0.8 %). Magnitudes below 2^-1022 are 0.
//! - The result depends only on the set of values.
//! - NaN is greater than all other values.
//! - Over no rows: null.
//! - Memory: about 24 bytes for each bucket in use, shared with `approx_median` and `median_abs_deviation`. A tile
//!   keeps at most 1024 buckets. If the events of a tile need more buckets, a reading uses the raw events instead.
//! - Cost: a search per event.

use super::state::buckets::{self, Buckets};
use super::{Bound, Definition, Example, Shape, number_kind, share};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "approx_percentile",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let kind = number_kind("approx_percentile", &inputs[0])?;
        let p = share("approx_percentile", &parameters[0])?;
        Ok(Bound { result: DataType::Float, fold: buckets::fold(kind), parameters: vec![Value::Float(p)] })
    },
    finish: |partial, bound, _| {
        let buckets = partial.own::<Buckets>();
        buckets.and_then(|buckets| buckets.percentile(bound.double(0))).map_or(Value::Null, Value::Float)
    },
    examples: &[Example { call: "approx_percentile(x, 0.95)", events: "0s 1 | 1s 100 | 2s 10", at: "4s", value: "10.0625" }],
};
