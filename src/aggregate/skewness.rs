//! `skewness(x)` returns the skewness of the values that are not null, corrected for small samples as in DuckDB and
//! pandas.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: the square root of `A3^2 n (n - 1) / (A2^3 (n - 2)^2)`, with the sign of A3. n is the number of values.
//!   A2 and A3 are the second and third central moments times powers of n, and are exact. The quotient is rounded
//!   before the square root, and the square root is rounded after.
//! - The result is NaN if a value is not a finite number.
//! - The result is null over fewer than three values, and if all values are equal.
//! - Memory: about 500 bytes per tile, shared with `kurtosis`.
//! - Cost: seven exact additions per event.

use super::dyadic::Dyadic;
use super::state::powers::{self, Powers};
use super::{Bound, Definition, Example, ONE_INPUT, number_kind};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "skewness",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = powers::fold(number_kind("skewness", &inputs[0])?);
        Ok(Bound { result: DataType::Float, fold, parameters: Vec::new() })
    },
    finish: |partial, _, _| {
        let Some(powers) = partial.own::<Powers>().filter(|powers| powers.count > 2) else { return Value::Null };
        let Some(central) = powers.central() else { return Value::Float(f64::NAN) };
        if central.second.is_zero() {
            return Value::Null;
        }
        let [n, one_less, two_less] = [0, 1, 2].map(|less| Dyadic::from(powers.count - less));
        let above = &central.third.squared() * &(&n * &one_less);
        let below = &(&central.second.squared() * &central.second) * &two_less.squared();
        let root = above.root_over(&below);
        Value::Float(if central.third.is_negative() { -root } else { root })
    },
    examples: &[
        Example { call: "skewness(x)", events: "0s 1.0 | 1s 2.0 | 2s 3.0", at: "2s", value: "0.0" },
        Example { call: "skewness(x)", events: "0s 0 | 1s 0 | 2s 1", at: "2s", value: "1.7320508075688772" },
    ],
};
