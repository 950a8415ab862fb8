//! `vector_sum(x)`: the lists that are not null added element by element: each element is the `sum` of the values in its
//! position, exact and rounded once, null values skipped; null where all are, or where a sum of bigints does not fit.
//! bigint[] -> bigint[], double[] -> double[]. Lists of different lengths have no sum: null, in whatever order they came.
//! Over no rows: null. Memory: 40 bytes for each position in each tile, more where magnitudes lie more than 2^70 apart,
//! and 10 bytes for each element of an event. Cost: that of `sum` for each element.

use super::state::vectors::{self, Vectors};
use super::{Bound, Definition, Example, ONE_INPUT, list_of_numbers};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "vector_sum",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let kind = list_of_numbers("vector_sum", &inputs[0])?;
        Ok(Bound { result: inputs[0].clone(), fold: vectors::fold(kind), parameters: Vec::new() })
    },
    finish: |partial, bound, _| {
        let Some(Vectors::Sums(positions)) = partial.own() else { return Value::Null };
        let doubles = bound.result == DataType::List(Box::new(DataType::Float));
        let sums = positions.iter().map(|position| match position.count {
            0 => Value::Null,
            _ if doubles => Value::Float(position.sum.round()),
            _ => position.sum.to_i64().map_or(Value::Null, Value::Int),
        });
        Value::List(sums.collect())
    },
    examples: &[
        Example {
            call: "vector_sum(x)",
            events: "0s [1e16,0.5] | 1s [1.0,null] | 2s null | 3s [-1e16,2.0]",
            at: "4s",
            value: "[1.0, 2.5]",
        },
        Example { call: "vector_sum(x)", events: "0s [9223372036854775807,1,null] | 1s [1,null,null]", at: "4s", value: "[null, 1, null]" },
        Example { call: "vector_sum(x)", events: "0s [1,2] | 1s [1,2,3]", at: "4s", value: "null" },
    ],
};
