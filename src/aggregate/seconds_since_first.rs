//! `seconds_since_first()`: seconds from the first event to the query time (moved by the window's offset). Type: double,
//! `(q - t) / 1000000`, rounded once. `where` says which events.
//! Over no rows: null. Memory and cost: those of `seconds_since_last`, whose fold it shares.

use super::state::times::{self, Times};
use super::{Bound, Definition, Example, NO_INPUTS, seconds_between};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "seconds_since_first",
    shape: NO_INPUTS,
    bind: |_, _| Ok(Bound { result: DataType::Float, fold: times::fold(), parameters: Vec::new() }),
    finish: |partial, _, moment| match partial.own::<Times>() {
        Some(times) if times.count > 0 => Value::Float(seconds_between(times.first, moment.query)),
        _ => Value::Null,
    },
    examples: &[Example { call: "seconds_since_first()", events: "10s | 20s", at: "61500ms", value: "51.5" }],
};
