//! `seconds_since_last()` returns the seconds from the last event to the query time (moved by the window's offset).
//! `where` selects the events. To select the events in which x is set, use `where x is not null`.
//!
//! - Result: double.
//! - Formula: `(q - t) / 1000000`, rounded once.
//! - Over no rows: null.
//! - Memory: 40 bytes per tile, shared with `seconds_since_first` and `interarrival_avg`.
//! - Cost: two comparisons per event.

use super::state::times::{self, Times};
use super::{Bound, Definition, Example, NO_INPUTS, seconds_between};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "seconds_since_last",
    shape: NO_INPUTS,
    bind: |_, _| Ok(Bound { result: DataType::Float, fold: times::fold(), parameters: Vec::new() }),
    finish: |partial, _, moment| match partial.own::<Times>() {
        Some(times) if times.count > 0 => Value::Float(seconds_between(times.last, moment.query)),
        _ => Value::Null,
    },
    examples: &[Example { call: "seconds_since_last()", events: "10s | 20s", at: "61500ms", value: "41.5" }],
};
