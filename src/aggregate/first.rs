//! `first(x)` returns the first value that is not null in the total order of events (time, partition, offset).
//!
//! - Result: the type of x, with the same bits as the input.
//! - Over no rows: null.
//! - Memory: 56 bytes per tile.
//! - Cost: one comparison per event.

use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT};

pub(super) const DEFINITION: Definition = Definition {
    name: "first",
    shape: ONE_INPUT,
    bind: |inputs, _| Ok(Bound { result: inputs[0].clone(), fold: Fold::First(Kind::of(&inputs[0])), parameters: Vec::new() }),
    finish: |partial, bound, _| partial.placed(Kind::of(&bound.result)),
    examples: &[Example { call: "first(x)", events: "0s null | 1s 10 | 2s 20", at: "4s", value: "10" }],
};
