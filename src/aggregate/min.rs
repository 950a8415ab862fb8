//! `min(x)` returns the smallest of the values that are not null.
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
    name: "min",
    shape: ONE_INPUT,
    bind: |inputs, _| Ok(Bound { result: inputs[0].clone(), fold: Fold::Least(Kind::of(&inputs[0])), parameters: Vec::new() }),
    finish: |partial, bound, _| partial.extreme(Kind::of(&bound.result)),
    examples: &[Example { call: "min(x)", events: "0s 'b' | 1s 'a'", at: "4s", value: "'a'" }],
};
