//! `regr_slope(y, x)` returns the slope of the least-squares line through the pairs in which neither value is null, as
//! in SQL.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: `(n Sxy - Sx Sy) / (n Sxx - Sx Sx)` of exact sums, rounded once.
//! - The result is NaN if a value is not a finite number.
//! - The result is null over no pairs, and if all x are equal.
//! - Memory: about 400 bytes per tile, shared with `corr(y, x)`.
//! - Cost: five exact additions per event.

use super::state::products::{self, Products};
use super::{Bound, Definition, Example, TWO_INPUTS, number_kind};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "regr_slope",
    shape: TWO_INPUTS,
    bind: |inputs, _| {
        let (y, x) = (number_kind("regr_slope", &inputs[0])?, number_kind("regr_slope", &inputs[1])?);
        Ok(Bound { result: DataType::Float, fold: products::fold(y, Some(x)), parameters: Vec::new() })
    },
    finish: |partial, _, _| match partial.own::<Products>() {
        Some(products) if products.is_special() => Value::Float(f64::NAN),
        Some(products) => {
            let spread = products.spread();
            if spread.xx.is_zero() { Value::Null } else { Value::Float(spread.xy.over(&spread.xx)) }
        }
        None => Value::Null,
    },
    examples: &[Example { call: "regr_slope(y, x)", events: "0s 1.0 1.0 | 1s 3.0 2.0 | 2s 5.0 3.0", at: "2s", value: "2.0" }],
};
