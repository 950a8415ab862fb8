//! `max_by(x, y)` returns the x of the event whose y is the greatest. Only events in which neither value is null count.
//! If several y are equal, the first event in the total order of events counts.
//!
//! - Result: the type of x.
//! - Order: y is ordered as by `max`.
//! - Over no rows: null.
//! - Memory: 80 bytes per tile.
//! - Cost: one comparison per event.

use super::{Bound, Definition, Example, Fold, Kind, TWO_INPUTS};

pub(super) const DEFINITION: Definition = Definition {
    name: "max_by",
    shape: TWO_INPUTS,
    bind: |inputs, _| {
        let fold = Fold::GreatestBy(Kind::of(&inputs[0]), Kind::of(&inputs[1]));
        Ok(Bound { result: inputs[0].clone(), fold, parameters: Vec::new() })
    },
    finish: |partial, bound, _| partial.chosen(Kind::of(&bound.result)),
    examples: &[Example { call: "max_by(x, y)", events: "0s 'a' 1.0 | 1s 'b' 3.0 | 2s 'c' 3.0", at: "4s", value: "'b'" }],
};
