//! `interarrival_avg()` returns the mean number of seconds between one event and the next. `where` selects the events.
//!
//! - Result: double.
//! - Formula: the seconds from the first event to the last event, divided by the number of events minus one. The
//!   quotient is exact until it is rounded.
//! - The result is null over fewer than two events.
//! - Memory and cost: as `seconds_since_last`. Both read the same fold.

use super::dyadic::Dyadic;
use super::state::times::{self, Times};
use super::{Bound, Definition, Example, NO_INPUTS};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "interarrival_avg",
    shape: NO_INPUTS,
    bind: |_, _| Ok(Bound { result: DataType::Float, fold: times::fold(), parameters: Vec::new() }),
    finish: |partial, _, _| match partial.own::<Times>() {
        Some(times) if times.count > 1 => {
            let micros = Dyadic::from(i128::from(times.last) - i128::from(times.first));
            Value::Float(micros.over(&(&Dyadic::from(times.count - 1) * &Dyadic::from(1_000_000))))
        }
        _ => Value::Null,
    },
    examples: &[Example { call: "interarrival_avg()", events: "0s | 10s | 30s", at: "99s", value: "15.0" }],
};
