//! `corr(x, y)` returns Pearson's correlation of the pairs in which neither value is null. The result is from -1 to 1.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: the square root of `C C / (X Y)`, with the sign of C. `C = n Sxy - Sx Sy`, `X = n Sxx - Sx Sx` and
//!   `Y = n Syy - Sy Sy` are exact. The quotient is rounded before the square root, and the square root is rounded
//!   after.
//! - The result is NaN if a value is not a finite number.
//! - The result is null over no pairs, and if all x or all y are equal.
//! - Memory: about 400 bytes per tile, shared with `regr_slope(x, y)`.
//! - Cost: five exact additions per event.

use super::state::products::{self, Products};
use super::{Bound, Definition, Example, TWO_INPUTS, number_kind};
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "corr",
    shape: TWO_INPUTS,
    bind: |inputs, _| {
        let (x, y) = (number_kind("corr", &inputs[0])?, number_kind("corr", &inputs[1])?);
        Ok(Bound { result: DataType::Float, fold: products::fold(x, Some(y)), parameters: Vec::new() })
    },
    finish: |partial, _, _| match partial.own::<Products>() {
        Some(products) if products.is_special() => Value::Float(f64::NAN),
        Some(products) => {
            let spread = products.spread();
            if spread.xx.is_zero() || spread.yy.is_zero() {
                return Value::Null;
            }
            let root = spread.xy.squared().root_over(&(&spread.xx * &spread.yy));
            Value::Float(if spread.xy.is_negative() { -root } else { root })
        }
        None => Value::Null,
    },
    examples: &[Example { call: "corr(x, y)", events: "0s 1.0 5.0 | 1s 2.0 3.0 | 2s 3.0 1.0", at: "2s", value: "-1.0" }],
};
