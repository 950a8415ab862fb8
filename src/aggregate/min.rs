//! `min(x)`: the smallest of the values that are not null, in the type of x. Doubles are ordered with NaN above all
//! others (and every NaN the same), negative zero counts as zero; text by its UTF-8 bytes; false before true.
//! Over no rows: null. Memory: 24 bytes per tile. Cost: one comparison.

use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT};

pub(super) const DEFINITION: Definition = Definition {
    name: "min",
    shape: ONE_INPUT,
    bind: |inputs, _| Ok(Bound { result: inputs[0].clone(), fold: Fold::Least(Kind::of(&inputs[0])), parameters: Vec::new() }),
    finish: |partial, bound, _| partial.extreme(Kind::of(&bound.result)),
    examples: &[Example { call: "min(x)", events: "0s 'b' | 1s 'a'", at: "4s", value: "'a'" }],
};
