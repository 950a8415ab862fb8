//! `median_abs_deviation(x)`: about the median of the distances between the values that are not null and their median,
//! both of `approx_percentile`'s buckets and at rank `floor((n - 1) / 2)`. It differs from the exact one by at most 1/128
//! of the median's magnitude plus 1/128 of the greatest magnitude. bigint, double -> double. Over no rows: null.
//! Memory and cost: those of `approx_percentile`, whose fold it shares; a reading sorts the buckets.

use super::state::buckets::{self, Buckets};
use super::{Bound, Definition, Example, ONE_INPUT, number_kind};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "median_abs_deviation",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = buckets::fold(number_kind("median_abs_deviation", &inputs[0])?);
        Ok(Bound { result: DataType::Float, fold, parameters: Vec::new() })
    },
    finish: |partial, _, _| partial.own::<Buckets>().and_then(Buckets::median_deviation).map_or(Value::Null, Value::Float),
    examples: &[Example {
        call: "median_abs_deviation(x)",
        events: "0s 1.0 | 1s 1.0 | 2s 2.0 | 3s 4.0 | 4s 9.0",
        at: "4s",
        value: "1.0078125",
    }],
};
