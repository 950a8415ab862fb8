//! `last(x)` returns the last value that is not null in the total order of events (time, partition, offset).
//!
//! - Result: the type of x, with the same bits as the input.
//! - Over no rows: null.
//! - Memory: 56 bytes per tile.
//! - Cost: one comparison per event.

use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT};

pub(super) const DEFINITION: Definition = Definition {
    name: "last",
    shape: ONE_INPUT,
    bind: |inputs, _| Ok(Bound { result: inputs[0].clone(), fold: Fold::Last(Kind::of(&inputs[0])), parameters: Vec::new() }),
    finish: |partial, bound, _| partial.placed(Kind::of(&bound.result)),
    examples: &[Example { call: "last(x)", events: "0s 10 | 1s 20 | 2s null", at: "4s", value: "20" }],
};
