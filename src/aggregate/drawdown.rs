//! `drawdown(x)` returns the largest fall from a running peak: the largest difference between a value and the greatest
//! value before it. Only values that are not null count, in the total order of events.
//!
//! - Types: `bigint -> bigint` (null if the result does not fit), `double -> double` (each fall is rounded once).
//! - The result is 0 if x never falls. The result is NaN if a value is NaN.
//! - Over no rows: null.
//! - Memory: nothing in tiles; 32 bytes for a window without a lower bound.
//! - Cost: each reading of a bounded window folds all events of the window, with one comparison per event.

use super::bytes::ByteReader;
use super::fold::{Algorithm, CustomFold, Event};
use super::{Bound, Definition, Example, Fold, ONE_INPUT, is_double};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "drawdown",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let doubles = is_double("drawdown", &inputs[0])?;
        Ok(Bound { result: inputs[0].clone(), fold: Fold::Own(CustomFold::ordered(Drawdown { doubles })), parameters: Vec::new() })
    },
    finish: |partial, bound, _| match partial.own::<Option<Fall>>() {
        Some(Some(fall)) if bound.result == DataType::Float => Value::Float(f64::from_bits(fall.largest)),
        Some(Some(fall)) => i64::try_from(fall.largest).map_or(Value::Null, Value::Int),
        _ => Value::Null,
    },
    examples: &[
        Example { call: "drawdown(x)", events: "0s 5 | 1s 9 | 2s 4 | 3s 12 | 4s 10", at: "4s", value: "5" },
        Example { call: "drawdown(x)", events: "0s 1.0 | 1s 2.5", at: "4s", value: "0.0" },
    ],
};

#[derive(Debug)]
struct Drawdown {
    /// Of bigints otherwise.
    doubles: bool,
}

/// The bits of the greatest value, and of the largest fall: a double, or how many bigints lie between.
#[derive(Clone, Copy, Debug)]
struct Fall {
    peak: u64,
    largest: u64,
}

impl Fall {
    fn add_integer(&mut self, value: i64) {
        let peak = (self.peak as i64).max(value);
        self.peak = peak as u64;
        self.largest = self.largest.max(peak.abs_diff(value));
    }

    fn add_double(&mut self, value: f64) {
        let fall = f64::from_bits(self.peak) - value;
        if value.is_nan() {
            self.largest = f64::NAN.to_bits();
        } else if value >= f64::from_bits(self.peak) {
            self.peak = value.to_bits();
        } else if fall > f64::from_bits(self.largest) {
            self.largest = fall.to_bits();
        }
    }
}

impl Algorithm for Drawdown {
    type State = Option<Fall>;

    fn text(&self) -> String {
        format!("drawdown {}", if self.doubles { "double" } else { "bigint" })
    }

    fn empty(&self) -> Self::State {
        None
    }

    fn add(&self, state: &mut Self::State, event: Event<'_>) {
        let value = event.word(0);
        let fall = state.get_or_insert(Fall { peak: value, largest: 0 });
        if self.doubles { fall.add_double(f64::from_bits(value)) } else { fall.add_integer(value as i64) }
    }

    fn encode(&self, state: &Self::State, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.is_some()));
        if let Some(fall) = state {
            bytes.extend(fall.peak.to_le_bytes());
            bytes.extend(fall.largest.to_le_bytes());
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Self::State> {
        reader.optional(|reader| Ok(Fall { peak: reader.word()?, largest: reader.word()? }))
    }
}
