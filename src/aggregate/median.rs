//! `median(x)` returns the exact median of the values that are not null. The result is that of `percentile(x, 0.5)`.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - NaN is greater than all other values.
//! - Over no rows: null.
//! - A window without a lower bound and a session are refused. `approx_median` has a low cost over every window.
//! - Memory and cost: as `percentile`. Both read the same fold.

use super::state::values::{self, Values};
use super::{Bound, Definition, Example, ONE_INPUT, number_kind};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "median",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = values::fold(number_kind("median", &inputs[0])?);
        Ok(Bound { result: DataType::Float, fold, parameters: Vec::new() })
    },
    finish: |partial, _, _| partial.own::<Values>().and_then(|values| values.percentile(0.5)).map_or(Value::Null, Value::Float),
    examples: &[
        Example { call: "median(x)", events: "0s 1.0 | 1s 9.0 | 2s 2.0", at: "4s", value: "2.0" },
        Example { call: "median(x)", events: "0s 1 | 1s 4 | 2s 2 | 3s 3", at: "4s", value: "2.5" },
    ],
};
