//! `min_by(x, y)` returns the x of the event whose y is the least. Only events in which neither value is null count. If
//! several y are equal, the first event in the total order of events counts.
//!
//! - Result: the type of x.
//! - Order: y is ordered as by `min`.
//! - Over no rows: null.
//! - Memory: 80 bytes per tile.
//! - Cost: one comparison per event.

use super::{Bound, Definition, Example, Fold, Kind, TWO_INPUTS};

pub(super) const DEFINITION: Definition = Definition {
    name: "min_by",
    shape: TWO_INPUTS,
    bind: |inputs, _| {
        let fold = Fold::LeastBy(Kind::of(&inputs[0]), Kind::of(&inputs[1]));
        Ok(Bound { result: inputs[0].clone(), fold, parameters: Vec::new() })
    },
    finish: |partial, bound, _| partial.chosen(Kind::of(&bound.result)),
    examples: &[Example { call: "min_by(x, y)", events: "0s 'a' 2 | 1s 'b' null | 2s 'c' 1", at: "4s", value: "'c'" }],
};
