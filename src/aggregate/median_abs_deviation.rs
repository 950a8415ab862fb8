//! `median_abs_deviation(x)` returns the approximate median of the distances between the values that are not null and
//! their median.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Method: both medians come from the buckets of `approx_percentile`, at rank `floor((n - 1) / 2)`.
//! - Error: the result differs from the exact deviation by at most 1/128 of the magnitude of the median plus 1/128 of
//!   the greatest magnitude.
//! - Over no rows: null.
//! - Memory and cost: as `approx_percentile`. Both read the same fold. A reading also sorts the buckets.

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
