//! `max(x)` returns the greatest of the values that are not null.
//!
//! - Result: the type of x.
//! - Order of doubles: NaN is greater than all other values, every NaN is the same value, and negative zero counts as
//!   zero.
//! - Order of other types: text is ordered by its UTF-8 bytes, and false is less than true.
//! - Over no rows: null.
//! - Memory: 24 bytes per tile.
//! - Cost: one comparison per event.

use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT};

pub(super) const DEFINITION: Definition = Definition {
    name: "max",
    shape: ONE_INPUT,
    bind: |inputs, _| Ok(Bound { result: inputs[0].clone(), fold: Fold::Greatest(Kind::of(&inputs[0])), parameters: Vec::new() }),
    finish: |partial, bound, _| partial.extreme(Kind::of(&bound.result)),
    examples: &[Example { call: "max(x)", events: "0s 10 | 1s 30 | 2s 20", at: "4s", value: "30" }],
};
