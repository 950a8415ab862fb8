//! `interarrival_avg()`: the mean of the seconds between one event and the next: those from the first to the last event,
//! over one less than their number, exact until it is rounded. Type: double. `where` says which events.
//! Null over fewer than two events. Memory and cost: those of `seconds_since_last`, whose fold it shares.

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
