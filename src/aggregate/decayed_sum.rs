//! `decayed_sum(x, half_life)` returns the sum of the values that are not null, with weights that decay. The weight of
//! a value is halved for every half-life between its event and the query time (moved by the window's offset).
//!
//! - Parameter: half_life is a text such as '1h'.
//! - Types: `bigint -> double` (each value is rounded to a double), `double -> double`.
//! - Formula: `S * 2^-((q - t_last) / half_life)`. S starts at zero and is folded in doubles over the events in total
//!   order: `S = S * 2^-((t - t_before) / half_life) + x`.
//! - The result is NaN if a value is NaN.
//! - Over no rows: null.
//! - Memory: nothing in tiles; 17 bytes for a window without a lower bound.
//! - Cost: each reading of a bounded window folds all events of the window, with one exponential per event.

use super::bytes::ByteReader;
use super::fold::{Algorithm, CustomFold, Event};
use super::{Bound, Definition, Example, Fold, Kind, Shape, decay, number_kind, span};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "decayed_sum",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let kind = number_kind("decayed_sum", &inputs[0])?;
        let half_life = span("decayed_sum", "a half-life", &parameters[0])?;
        let fold = Fold::Own(CustomFold::ordered(DecayedSum { kind, half_life: half_life.0 }));
        Ok(Bound { result: DataType::Float, fold, parameters: vec![Value::Text(half_life.to_string().into())] })
    },
    finish: |partial, _, moment| match partial.own::<Option<Decayed>>() {
        Some(Some(decayed)) => Value::Float(decayed.sum * decay(decayed.last, moment.query, decayed.half_life)),
        _ => Value::Null,
    },
    examples: &[Example { call: "decayed_sum(x, '1h')", events: "0h 8.0 | 1h 2.0", at: "2h", value: "3.0" }],
};

#[derive(Debug)]
struct DecayedSum {
    kind: Kind,
    /// In microseconds
    half_life: i64,
}

#[derive(Clone, Copy, Debug)]
struct Decayed {
    /// As of `last`.
    sum: f64,
    last: i64,
    half_life: i64,
}

impl Algorithm for DecayedSum {
    type State = Option<Decayed>;

    fn text(&self) -> String {
        format!("decayed sum {} {}", self.kind.text(), self.half_life)
    }

    fn empty(&self) -> Option<Decayed> {
        None
    }

    fn add(&self, state: &mut Option<Decayed>, event: Event<'_>) {
        let before = state.map_or(0.0, |before| before.sum * decay(before.last, event.time(), self.half_life));
        *state = Some(Decayed { sum: before + event.number(self.kind, 0), last: event.time(), half_life: self.half_life });
    }

    fn encode(&self, state: &Option<Decayed>, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.is_some()));
        if let Some(decayed) = state {
            bytes.extend(decayed.sum.to_le_bytes());
            bytes.extend(decayed.last.to_le_bytes());
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Option<Decayed>> {
        let half_life = self.half_life;
        reader.optional(|reader| Ok(Decayed { sum: f64::from_bits(reader.word()?), last: reader.word()? as i64, half_life }))
    }
}
