//! `vector_avg(x)` returns the mean of the lists that are not null, element by element. Each element is the `avg` of
//! the values in its position.
//!
//! - Types: `bigint[] -> double[]`, `double[] -> double[]`.
//! - Null values are skipped. An element is null if all values in its position are null.
//! - The result is null if the lists have different lengths, in whatever order the lists arrive.
//! - Over no rows: null.
//! - Memory and cost: as `vector_sum`. Both read the same fold.

use super::state::vectors::{self, Vectors};
use super::{Bound, Definition, Example, ONE_INPUT, list_of_numbers};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "vector_avg",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let kind = list_of_numbers("vector_avg", &inputs[0])?;
        Ok(Bound { result: DataType::List(Box::new(DataType::Float)), fold: vectors::fold(kind), parameters: Vec::new() })
    },
    finish: |partial, _, _| {
        let Some(Vectors::Sums(positions)) = partial.own() else { return Value::Null };
        let means = positions.iter().map(|position| match position.count {
            0 => Value::Null,
            count => Value::Float(position.sum.round() / count as f64),
        });
        Value::List(means.collect())
    },
    examples: &[
        Example { call: "vector_avg(x)", events: "0s [1,4] | 1s [2,null]", at: "4s", value: "[1.5, 4.0]" },
        Example { call: "vector_avg(x)", events: "0s [0.5] | 1s [] | 2s [1.5]", at: "4s", value: "null" },
    ],
};
