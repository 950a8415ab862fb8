//! `kurtosis(x)` returns the excess kurtosis of the values that are not null, corrected for small samples as in DuckDB
//! and pandas. The excess kurtosis of a normal distribution is 0.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: `(n - 1) ((n + 1) (A4 - 3 A2^2) + 6 A2^2) / ((n - 2) (n - 3) A2^2)`, computed exactly and rounded once. n
//!   is the number of values. A2 and A4 are the second and fourth central moments times powers of n.
//! - The result is NaN if a value is not a finite number.
//! - The result is null over fewer than four values, and if all values are equal.
//! - Memory: about 500 bytes per tile, shared with `skewness`.
//! - Cost: seven exact additions per event.

use super::dyadic::Dyadic;
use super::state::powers::{self, Powers};
use super::{Bound, Definition, Example, ONE_INPUT, number_kind};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "kurtosis",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = powers::fold(number_kind("kurtosis", &inputs[0])?);
        Ok(Bound { result: DataType::Float, fold, parameters: Vec::new() })
    },
    finish: |partial, _, _| {
        let Some(powers) = partial.own::<Powers>().filter(|powers| powers.count > 3) else { return Value::Null };
        let Some(central) = powers.central() else { return Value::Float(f64::NAN) };
        if central.second.is_zero() {
            return Value::Null;
        }
        let n = powers.count;
        let times = |factor: u64, number: &Dyadic| &Dyadic::from(factor) * number;
        let square = central.second.squared();
        let excess = &central.fourth - &times(3, &square);
        let above = times(n - 1, &(&times(n + 1, &excess) + &times(6, &square)));
        let below = times(n - 2, &times(n - 3, &square));
        Value::Float(above.over(&below))
    },
    examples: &[Example { call: "kurtosis(x)", events: "0s 1.0 | 1s 2.0 | 2s 3.0 | 3s 4.0", at: "3s", value: "-1.2" }],
};
