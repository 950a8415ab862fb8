//! `vector_sum(x)` returns the sum of the lists that are not null, element by element. Each element is the `sum` of the
//! values in its position, exact and rounded once.
//!
//! - Types: `bigint[] -> bigint[]`, `double[] -> double[]`.
//! - Null values are skipped. An element is null if all values in its position are null, or if a sum of bigints does
//!   not fit.
//! - The result is null if the lists have different lengths, in whatever order the lists arrive.
//! - Over no rows: null.
//! - Memory: 40 bytes for each position in each tile, and more if magnitudes are more than a factor of 2^70 apart. In
//!   addition, 10 bytes for each element of an event.
//! - Cost: as `sum`, for each element.

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
