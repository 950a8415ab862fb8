//! `mode(x)` returns the most frequent value that is not null. If several values are equally frequent, the least value
//! is the result, ordered as by `min`.
//!
//! - Result: the type of x.
//! - Doubles are compared as numbers: every NaN is one value, and negative zero is zero.
//! - Over no rows: null. The result is also null if there are more than 10,000 different values.
//! - Memory: about 64 bytes for each different value, shared with `top_k` and `entropy`. A tile keeps at most 256
//!   different values. If the events of a tile have more, a reading uses the raw events instead.
//! - Cost: a search per event.

use super::state::counts::{self, Counts};
use super::{Bound, Definition, Example, Kind, ONE_INPUT};
use crate::value::Value;

pub(super) const DEFINITION: Definition = Definition {
    name: "mode",
    shape: ONE_INPUT,
    bind: |inputs, _| Ok(Bound { result: inputs[0].clone(), fold: counts::fold(Kind::of(&inputs[0])), parameters: Vec::new() }),
    finish: |partial, bound, _| {
        // Of equal ones `max_by` gives the last, so that the values are walked backwards.
        let values = partial.own::<Counts>().into_iter().flat_map(Counts::iter).collect::<Vec<_>>();
        let mode = values.into_iter().rev().max_by_key(|(_, count)| *count);
        mode.map_or(Value::Null, |(cell, _)| cell.ordered_value(Kind::of(&bound.result)))
    },
    examples: &[Example { call: "mode(x)", events: "0s 'b' | 1s 'a' | 2s 'c' | 3s 'b' | 4s 'a'", at: "4s", value: "'a'" }],
};
