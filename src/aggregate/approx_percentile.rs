//! `approx_percentile(x, p)`: about the value at rank `floor(p * (n - 1))`, counted from 0, of the values that are not
//! null, ascending: the middle of its bucket, of which there are 64 for each power of two. It differs from that value by
//! at most 1/128 of it (0.8 %); magnitudes below 2^-1022 are 0. A function of the set of values (DDSketch with buckets
//! that never collapse). p is a number from 0 to 1. bigint, double -> double. NaN is above all values.
//! Over no rows: null. Memory: about 24 bytes for each bucket in use, of at most 1024 per tile (raw events tell where
//! there are more); shared with `approx_median` and `median_abs_deviation`. Cost: a search per event.

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
