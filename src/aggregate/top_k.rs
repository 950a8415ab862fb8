//! `top_k(x, k)`: the k most frequent values that are not null, the most frequent first; equally frequent ones ascending,
//! ordered as by `min`. Type: a list of x's type. k is from 1 to 100. Counts are exact. Doubles are equal as numbers:
//! every NaN is one value, and negative zero is zero. Over no rows: null; so it is where there are more than 10,000
//! different values. Memory and cost: those of `mode`, whose fold it shares.

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
