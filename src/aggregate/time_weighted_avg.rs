//! `time_weighted_avg(x)` returns the mean of the values that are not null, weighted by time. The weight of a value is
//! the time until the next value. The weight of the last value is the time until the query time (moved by the window's
//! offset).
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Formula: the exact sum of the values times microseconds, divided by the microseconds since the first value,
//!   rounded once. If no time has passed since the first value, the result is the last value.
//! - A value that is not a finite number counts as in `sum` if its weight is not zero.
//! - Over no rows: null.
//! - Memory: nothing in tiles; about 80 bytes for a window without a lower bound.
//! - Cost: each reading of a bounded window folds all events of the window, with one exact addition per event.

use super::bytes::ByteReader;
use super::dyadic::Dyadic;
use super::exact::{ExactSum, scaled};
use super::fold::{Algorithm, CustomFold, Event};
use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT, number_kind};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "time_weighted_avg",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let kind = number_kind("time_weighted_avg", &inputs[0])?;
        Ok(Bound { result: DataType::Float, fold: Fold::Own(CustomFold::ordered(TimeWeighted(kind))), parameters: Vec::new() })
    },
    finish: |partial, _, moment| match partial.own::<Option<Weighted>>() {
        Some(Some(weighted)) => Value::Float(weighted.mean(moment.query)),
        _ => Value::Null,
    },
    examples: &[Example { call: "time_weighted_avg(x)", events: "0s 1.0 | 10s 2.0 | 20s null", at: "40s", value: "1.75" }],
};

#[derive(Debug)]
struct TimeWeighted(Kind);

#[derive(Clone, Debug)]
struct Weighted {
    /// Values times microseconds, without the last value.
    sum: ExactSum,
    first: i64,
    last: i64,
    kind: Kind,
    /// The last value, as rows hold it.
    word: u64,
}

impl Weighted {
    /// Lets the last value weigh until `time`.
    fn weigh(&mut self, time: i64) {
        let micros = i128::from(time) - i128::from(self.last);
        match scaled(self.kind, self.word) {
            Some((mantissa, exponent)) => self.sum.add_scaled(i128::from(mantissa) * micros, exponent),
            None if micros > 0 => self.sum.add_double(f64::from_bits(self.word)),
            None => {}
        }
        self.last = time;
    }

    fn mean(&self, query: i64) -> f64 {
        if query <= self.first {
            return match self.kind {
                Kind::Float => f64::from_bits(self.word),
                _ => self.word as i64 as f64,
            };
        }
        let mut whole = self.clone();
        whole.weigh(query);
        let micros = i128::from(query) - i128::from(self.first);
        whole.sum.special().unwrap_or_else(|| whole.sum.dyadic().over(&Dyadic::from(micros)))
    }
}

impl Algorithm for TimeWeighted {
    type State = Option<Weighted>;

    fn text(&self) -> String {
        format!("time weighted {}", self.0.text())
    }

    fn empty(&self) -> Option<Weighted> {
        None
    }

    fn add(&self, state: &mut Option<Weighted>, event: Event<'_>) {
        let (time, word) = (event.time(), event.word(0));
        match state {
            Some(weighted) => {
                weighted.weigh(time);
                weighted.word = word;
            }
            None => *state = Some(Weighted { sum: ExactSum::default(), first: time, last: time, kind: self.0, word }),
        }
    }

    fn encode(&self, state: &Option<Weighted>, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.is_some()));
        if let Some(weighted) = state {
            weighted.sum.encode(bytes);
            for word in [weighted.first as u64, weighted.last as u64, weighted.word] {
                bytes.extend(word.to_le_bytes());
            }
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Option<Weighted>> {
        reader.optional(|reader| {
            let sum = ExactSum::decode(reader)?;
            let (first, last) = (reader.word()? as i64, reader.word()? as i64);
            Ok(Weighted { sum, first, last, kind: self.0, word: reader.word()? })
        })
    }

    fn heap(state: &Option<Weighted>) -> usize {
        state.as_ref().map_or(0, |weighted| weighted.sum.heap())
    }
}
