//! `seconds_since_first()` returns the seconds from the first event to the query time (moved by the window's offset).
//! `where` selects the events.
//!
//! - Result: double.
//! - Formula: `(q - t) / 1000000`, rounded once.
//! - Over no rows: null.
//! - Memory and cost: as `seconds_since_last`. Both read the same fold.

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
