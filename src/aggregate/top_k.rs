//! `top_k(x, k)` returns the k most frequent values that are not null, the most frequent value first. Equally frequent
//! values are in ascending order, ordered as by `min`.
//!
//! - Parameter: k is from 1 to 100.
//! - Result: a list of x's type.
//! - The counts are exact.
//! - Doubles are compared as numbers: every NaN is one value, and negative zero is zero.
//! - Over no rows: null. The result is also null if there are more than 10,000 different values.
//! - Memory and cost: as `mode`. Both read the same fold.

use super::state::counts::{self, Counts};
use super::{Bound, Definition, Example, Kind, Shape, small_integer};
use crate::value::{DataType, Value};

const K_MAX: i64 = 100;

pub(super) const DEFINITION: Definition = Definition {
    name: "top_k",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let k = small_integer("top_k", "a length k", &parameters[0], K_MAX)?;
        let result = DataType::List(Box::new(inputs[0].clone()));
        Ok(Bound { result, fold: counts::fold(Kind::of(&inputs[0])), parameters: vec![Value::Int(k)] })
    },
    finish: |partial, bound, _| match partial.own::<Counts>().map(Counts::ranked) {
        Some(ranked) if !ranked.is_empty() => {
            let top = ranked.iter().take(bound.integer(0) as usize);
            Value::List(top.map(|(cell, _)| cell.ordered_value(bound.item_kind())).collect())
        }
        _ => Value::Null,
    },
    examples: &[Example {
        call: "top_k(x, 2)",
        events: "0s 'b' | 1s 'a' | 2s 'c' | 3s 'c' | 4s 'b' | 5s 'c'",
        at: "5s",
        value: "['c', 'b']",
    }],
};
