//! `rate()` returns the number of events per second of the window. `rate(x)` returns the sum of the values that are not
//! null per second of the window.
//!
//! - Types: `bigint -> double`, `double -> double`.
//! - Seconds of the window: from the start of the window to the query time (moved by the window's offset), so 3600 for
//!   `1h`.
//! - If the start of the window does not depend on time alone (`all`, rows, sessions), the seconds count from the first
//!   event that the aggregate adds.
//! - A limit on the window changes the events and does not change the seconds.
//! - The quotient is exact until it is rounded.
//! - Values that are not finite numbers: as in `sum`.
//! - The result is null over no rows, and over no seconds.
//! - Memory: 56 bytes per tile.
//! - Cost: as `sum`.

use super::bytes::{ByteReader, put_unsigned};
use super::dyadic::Dyadic;
use super::exact::ExactSum;
use super::fold::{Algorithm, CustomFold, Event, Tiled};
use super::{Bound, Definition, Example, Fold, Kind, Shape, number_kind};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "rate",
    shape: Shape { inputs_min: 0, inputs_max: 1, parameters_min: 0, parameters_max: 0 },
    bind: |inputs, _| {
        let kind = inputs.first().map(|input| number_kind("rate", input)).transpose()?;
        Ok(Bound { result: DataType::Float, fold: Fold::Own(CustomFold::tiled(Rate(kind))), parameters: Vec::new() })
    },
    finish: |partial, _, moment| {
        let Some(total) = partial.own::<Total>().filter(|total| total.count > 0) else { return Value::Null };
        let micros = i128::from(moment.query) - i128::from(moment.start.unwrap_or(total.first));
        match (total.sum.special(), micros) {
            (_, ..=0) => Value::Null,
            (Some(special), _) => Value::Float(special),
            (None, micros) => Value::Float((&total.sum.dyadic() * &Dyadic::from(1_000_000)).over(&micros.into())),
        }
    },
    examples: &[
        Example { call: "rate()", events: "0s | 10s | 20s", at: "60s from 0s", value: "0.05" },
        Example { call: "rate(x)", events: "10s 1.5 | 20s null | 20s 3.0", at: "40s", value: "0.15" },
    ],
};

/// Of which values; without, of events.
#[derive(Debug)]
struct Rate(Option<Kind>);

#[derive(Clone, Debug)]
struct Total {
    count: u64,
    /// The time of the first event; the last of all times when there is none.
    first: i64,
    sum: ExactSum,
}

impl Algorithm for Rate {
    type State = Total;

    fn text(&self) -> String {
        format!("rate {}", self.0.map_or("events", Kind::text))
    }

    fn empty(&self) -> Total {
        Total { count: 0, first: i64::MAX, sum: ExactSum::default() }
    }

    fn add(&self, state: &mut Total, event: Event<'_>) {
        state.count += 1;
        state.first = state.first.min(event.time());
        match self.0 {
            Some(Kind::Float) => state.sum.add_double(f64::from_bits(event.word(0))),
            Some(_) => state.sum.add_int(event.word(0) as i64),
            None => state.sum.add_int(1),
        }
    }

    fn encode(&self, state: &Total, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.count);
        bytes.extend(state.first.to_le_bytes());
        state.sum.encode(bytes);
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Total> {
        Ok(Total { count: reader.counted()?, first: reader.word()? as i64, sum: ExactSum::decode(reader)? })
    }

    fn heap(state: &Total) -> usize {
        state.sum.heap()
    }
}

impl Tiled for Rate {
    fn merge(&self, state: &mut Total, other: &Total) {
        state.count += other.count;
        state.first = state.first.min(other.first);
        state.sum.merge(&other.sum);
    }
}
