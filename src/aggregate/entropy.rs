//! `entropy(x)` returns Shannon's entropy, in bits, of the distribution of the values that are not null.
//!
//! - Result: double.
//! - Formula: `log2(n) - (sum of c_i * log2(c_i)) / n`. c_i is the number of occurrences of the i-th different value,
//!   and n is the sum of all c_i. The terms are added in ascending order of c_i.
//! - The result is 0 if all values are equal.
//! - Doubles are compared as numbers: every NaN is one value, and negative zero is zero.
//! - Over no rows: null. The result is also null if there are more than 10,000 different values.
//! - Memory and cost: as `mode`. Both read the same fold.

use super::state::counts::{self, Counts};
use super::{Bound, Definition, Example, Kind, ONE_INPUT};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "entropy",
    shape: ONE_INPUT,
    bind: |inputs, _| Ok(Bound { result: DataType::Float, fold: counts::fold(Kind::of(&inputs[0])), parameters: Vec::new() }),
    finish: |partial, _, _| {
        let mut counts: Vec<u64> = partial.own::<Counts>().into_iter().flat_map(Counts::iter).map(|(_, count)| count).collect();
        counts.sort_unstable();
        let n = counts.iter().sum::<u64>() as f64;
        match counts.len() {
            0 => Value::Null,
            1 => Value::Float(0.0),
            _ => Value::Float(n.log2() - counts.iter().fold(0.0, |sum, count| sum + *count as f64 * (*count as f64).log2()) / n),
        }
    },
    examples: &[
        Example { call: "entropy(x)", events: "0s 'a' | 1s 'b' | 2s 'c' | 3s 'd'", at: "4s", value: "2.0" },
        Example { call: "entropy(x)", events: "0s 7 | 1s 7", at: "4s", value: "0.0" },
    ],
};
