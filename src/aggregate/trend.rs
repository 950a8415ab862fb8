//! `trend(x)` returns the rise of x per second: the slope of the least-squares line through the values that are not
//! null against the times of their events.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: `1000000 (n Stx - St Sx) / (n Stt - St St)` of exact sums, with times in microseconds, rounded once.
//! - The result is NaN if a value is not a finite number.
//! - The result is null over no rows, and if all events have the same time.
//! - Memory: about 400 bytes per tile.
//! - Cost: five exact additions per event.

use super::dyadic::Dyadic;
use super::state::products::{self, Products};
use super::{Bound, Definition, Example, ONE_INPUT, number_kind};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "trend",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = products::fold(number_kind("trend", &inputs[0])?, None);
        Ok(Bound { result: DataType::Float, fold, parameters: Vec::new() })
    },
    finish: |partial, _, _| match partial.own::<Products>() {
        Some(products) if products.is_special() => Value::Float(f64::NAN),
        Some(products) => {
            let spread = products.spread();
            if spread.xx.is_zero() {
                return Value::Null;
            }
            Value::Float((&spread.xy * &Dyadic::from(1_000_000)).over(&spread.xx))
        }
        None => Value::Null,
    },
    examples: &[Example { call: "trend(x)", events: "0s 1 | 10s 2 | 20s 3", at: "60s", value: "0.1" }],
};
