//! `distinct_n(x, n)` returns the different values that are not null, in ascending order. If there are more than n
//! values, the list holds the n least values.
//!
//! - Parameter: n is from 1 to 1000.
//! - Result: a list of x's type.
//! - Values are ordered as by `min`: every NaN is one value that is greater than all others, and negative zero is zero.
//! - Over no rows: null.
//! - Memory and cost: as `count_distinct(x, n)`. Both read the same fold.

use super::{Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::value::{DataType, Value};

const N_MAX: i64 = 1000;

pub(super) const DEFINITION: Definition = Definition {
    name: "distinct_n",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let n = small_integer("distinct_n", "a length n", &parameters[0], N_MAX)?;
        let result = DataType::List(Box::new(inputs[0].clone()));
        Ok(Bound { result, fold: Fold::Distinct(Kind::of(&inputs[0]), n as u32), parameters: vec![Value::Int(n)] })
    },
    finish: |partial, bound, _| partial.distinct_values(bound.item_kind()),
    examples: &[Example { call: "distinct_n(x, 2)", events: "0s 'c' | 1s 'a' | 2s 'b' | 3s 'a'", at: "4s", value: "['a', 'b']" }],
};
