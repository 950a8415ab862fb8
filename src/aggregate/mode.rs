//! `mode(x)`: the most frequent value that is not null; of equally frequent ones the least, ordered as by `min`. Type:
//! that of x. Doubles are equal as numbers: every NaN is one value, and negative zero is zero.
//! Over no rows: null; so it is where there are more than 10,000 different values.
//! Memory: about 64 bytes for each different value, of at most 256 per tile (raw events tell where there are more);
//! shared with `top_k` and `entropy`. Cost: a search per event.

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
