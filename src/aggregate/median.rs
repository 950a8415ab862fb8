//! `median(x)`: the exact median of the values that are not null: `percentile(x, 0.5)`. bigint, double -> double.
//! NaN is above all values. Over no rows: null. Memory and cost: those of `percentile`, whose fold it shares; a window
//! without a lower bound is refused. `approx_median` is cheap over any window.

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
