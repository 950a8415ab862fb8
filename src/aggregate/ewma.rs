//! `ewma(x, half_life)` returns an exponentially weighted mean of the values that are not null. The weight of a value
//! is halved for every half-life between its event and the last event.
//!
//! - Parameter: half_life is a text such as '1h'.
//! - Types: `bigint -> double` (each value is rounded to a double), `double -> double`.
//! - Formula: `S / W`. Both are folded in doubles from zero over the events in total order: `S = S * d + x` and
//!   `W = W * d + 1`, where `d = 2^-((t - t_before) / half_life)`.
//! - The query time does not change the result, because all weights shrink by the same factor.
//! - The result is NaN if a value is NaN.
//! - Over no rows: null.
//! - Memory: nothing in tiles; 24 bytes for a window without a lower bound.
//! - Cost: each reading of a bounded window folds all events of the window, with one exponential per event.

use super::bytes::ByteReader;
use super::fold::{Algorithm, CustomFold, Event};
use super::{Bound, Definition, Example, Fold, Kind, Shape, decay, number_kind, span};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "ewma",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let kind = number_kind("ewma", &inputs[0])?;
        let half_life = span("ewma", "a half-life", &parameters[0])?;
        let fold = Fold::Own(CustomFold::ordered(Ewma { kind, half_life: half_life.0 }));
        Ok(Bound { result: DataType::Float, fold, parameters: vec![Value::Text(half_life.to_string().into())] })
    },
    finish: |partial, _, _| match partial.own::<Mean>() {
        Some(mean) if mean.weight > 0.0 => Value::Float(mean.sum / mean.weight),
        _ => Value::Null,
    },
    examples: &[Example { call: "ewma(x, '1h')", events: "0h 8.0 | 1h 2.0", at: "5h", value: "4.0" }],
};

#[derive(Debug)]
struct Ewma {
    kind: Kind,
    /// In microseconds
    half_life: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    /// At least 1 once there is an event.
    weight: f64,
    last: i64,
}

impl Algorithm for Ewma {
    type State = Mean;

    fn text(&self) -> String {
        format!("ewma {} {}", self.kind.text(), self.half_life)
    }

    fn empty(&self) -> Mean {
        Mean::default()
    }

    fn add(&self, state: &mut Mean, event: Event<'_>) {
        let decay = if state.weight == 0.0 { 0.0 } else { decay(state.last, event.time(), self.half_life) };
        state.sum = state.sum * decay + event.number(self.kind, 0);
        state.weight = state.weight * decay + 1.0;
        state.last = event.time();
    }

    fn encode(&self, state: &Mean, bytes: &mut Vec<u8>) {
        for word in [state.sum.to_bits(), state.weight.to_bits(), state.last as u64] {
            bytes.extend(word.to_le_bytes());
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Mean> {
        let (sum, weight) = (f64::from_bits(reader.word()?), f64::from_bits(reader.word()?));
        Ok(Mean { sum, weight, last: reader.word()? as i64 })
    }
}
