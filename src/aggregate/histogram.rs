//! `histogram(x, b1, b2, ..)` returns the number of values in each interval between the bounds. The first element
//! counts the values below b1, the second the values from b1 to below b2, and so on. The last element counts the values
//! at or above the last bound.
//!
//! - Parameters: 1 to 64 bounds, which are numbers in ascending order.
//! - Input: bigint or double.
//! - Result: a list of bigints with one element more than there are bounds.
//! - Values are compared exactly. NaN is above all bounds. Null values are not counted.
//! - Over no rows: null.
//! - Memory: 8 bytes per bound and tile.
//! - Cost: a search among the bounds per event.

use super::bytes::{ByteReader, put_unsigned};
use super::fold::{Algorithm, CustomFold, Event, Tiled, ordered_word};
use super::{BindError, Bound, Definition, Example, Fold, Kind, Shape, number_kind};
use crate::error::Result;
use crate::value::{DataType, Value};

const BOUNDS_MAX: usize = 64;

pub(super) const DEFINITION: Definition = Definition {
    name: "histogram",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: BOUNDS_MAX },
    bind: |inputs, parameters| {
        let kind = number_kind("histogram", &inputs[0])?;
        let bounds = parameters.iter().map(bound).collect::<std::result::Result<Vec<f64>, _>>()?;
        if !bounds.is_sorted_by(|a, b| a < b) {
            return Err(BindError("histogram takes bounds in ascending order".to_owned()));
        }
        let parameters = bounds.iter().map(|bound| Value::Float(*bound)).collect();
        let fold = Fold::Own(CustomFold::tiled(Histogram { kind, bounds }));
        Ok(Bound { result: DataType::List(Box::new(DataType::Int)), fold, parameters })
    },
    finish: |partial, _, _| match partial.own::<Box<[u64]>>() {
        Some(counts) if counts.iter().any(|count| *count > 0) => {
            Value::List(counts.iter().map(|count| Value::Int(i64::try_from(*count).unwrap_or(i64::MAX))).collect())
        }
        _ => Value::Null,
    },
    examples: &[Example { call: "histogram(x, 0, 10)", events: "0s -1 | 1s 0 | 2s 9 | 3s 10 | 4s 99", at: "4s", value: "[1, 2, 2]" }],
};

/// A bound as a double that is exactly what was written.
fn bound(parameter: &Value) -> std::result::Result<f64, BindError> {
    match parameter {
        Value::Int(number) if number.unsigned_abs() <= 1 << 53 => Ok(*number as f64),
        Value::Float(number) if number.is_finite() => Ok(*number + 0.0),
        _ => Err(BindError("histogram takes bounds that are numbers, whole ones up to 2^53".to_owned())),
    }
}

#[derive(Debug)]
struct Histogram {
    kind: Kind,
    bounds: Vec<f64>,
}

impl Histogram {
    /// How many bounds the value reaches.
    fn bin(&self, word: u64) -> usize {
        match self.kind {
            Kind::Float => {
                let value = ordered_word(Kind::Float, word);
                self.bounds.partition_point(|bound| ordered_word(Kind::Float, bound.to_bits()) <= value)
            }
            // A whole number reaches a bound where it reaches the next whole number above it.
            _ => self.bounds.partition_point(|bound| bound.ceil() as i128 <= i128::from(word as i64)),
        }
    }
}

impl Algorithm for Histogram {
    type State = Box<[u64]>;

    fn text(&self) -> String {
        let bounds: Vec<String> = self.bounds.iter().map(|bound| format!("{bound:?}")).collect();
        format!("histogram {} {}", self.kind.text(), bounds.join(" "))
    }

    fn empty(&self) -> Box<[u64]> {
        vec![0; self.bounds.len() + 1].into()
    }

    fn add(&self, state: &mut Box<[u64]>, event: Event<'_>) {
        state[self.bin(event.word(0))] += 1;
    }

    fn encode(&self, state: &Box<[u64]>, bytes: &mut Vec<u8>) {
        state.iter().for_each(|count| put_unsigned(bytes, *count));
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Box<[u64]>> {
        (0..=self.bounds.len()).map(|_| reader.counted()).collect()
    }

    fn heap(state: &Box<[u64]>) -> usize {
        8 * state.len()
    }
}

impl Tiled for Histogram {
    fn merge(&self, state: &mut Box<[u64]>, other: &Box<[u64]>) {
        state.iter_mut().zip(other).for_each(|(count, more)| *count += more);
    }
}
