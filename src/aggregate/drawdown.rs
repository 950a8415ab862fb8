//! `drawdown(x)`: the largest fall from a running peak: how far a value lies below the greatest value before it, at most,
//! of values that are not null in the total order of events. 0 where x never falls. bigint -> bigint (null when the
//! result does not fit), double -> double (each fall rounded once). NaN where a value is NaN.
//! Over no rows: null. Memory: nothing per tile, 32 bytes for a window without a lower bound; a bounded window is folded
//! from its events each time it is read, a comparison each.

use super::bytes::ByteReader;
use super::fold::{Algorithm, Event, Own};
use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT, number_kind};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "drawdown",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = match number_kind("drawdown", &inputs[0])? {
            Kind::Float => Fold::Own(Own::ordered(DrawdownOfDoubles)),
            _ => Fold::Own(Own::ordered(DrawdownOfIntegers)),
        };
        Ok(Bound { result: inputs[0].clone(), fold, parameters: Vec::new() })
    },
    finish: |partial, bound, _| match bound.result {
        DataType::Int => match partial.own::<Option<Fall<i64, u64>>>() {
            Some(Some(fall)) => i64::try_from(fall.largest).map_or(Value::Null, Value::Int),
            _ => Value::Null,
        },
        _ => match partial.own::<Option<Fall<f64, f64>>>() {
            Some(Some(fall)) => Value::Float(fall.largest),
            _ => Value::Null,
        },
    },
    examples: &[
        Example { call: "drawdown(x)", events: "0s 5 | 1s 9 | 2s 4 | 3s 12 | 4s 10", at: "4s", value: "5" },
        Example { call: "drawdown(x)", events: "0s 1.0 | 1s 2.5", at: "4s", value: "0.0" },
    ],
};

#[derive(Debug)]
struct DrawdownOfIntegers;

#[derive(Debug)]
struct DrawdownOfDoubles;

#[derive(Clone, Copy, Debug)]
struct Fall<T, D> {
    peak: T,
    largest: D,
}

impl Algorithm for DrawdownOfIntegers {
    type State = Option<Fall<i64, u64>>;

    fn text(&self) -> String {
        "drawdown bigint".to_owned()
    }

    fn empty(&self) -> Self::State {
        None
    }

    fn add(&self, state: &mut Self::State, event: Event<'_>) {
        let value = event.word(0) as i64;
        let fall = state.get_or_insert(Fall { peak: value, largest: 0 });
        fall.peak = fall.peak.max(value);
        fall.largest = fall.largest.max(fall.peak.abs_diff(value));
    }

    fn encode(&self, state: &Self::State, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.is_some()));
        if let Some(fall) = state {
            bytes.extend(fall.peak.to_le_bytes());
            bytes.extend(fall.largest.to_le_bytes());
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Self::State> {
        reader.optional(|reader| Ok(Fall { peak: reader.word()? as i64, largest: reader.word()? }))
    }
}

impl Algorithm for DrawdownOfDoubles {
    type State = Option<Fall<f64, f64>>;

    fn text(&self) -> String {
        "drawdown double".to_owned()
    }

    fn empty(&self) -> Self::State {
        None
    }

    fn add(&self, state: &mut Self::State, event: Event<'_>) {
        let value = f64::from_bits(event.word(0));
        let fall = state.get_or_insert(Fall { peak: value, largest: 0.0 });
        if value.is_nan() {
            fall.largest = f64::NAN;
        } else if value >= fall.peak {
            fall.peak = value;
        } else if fall.peak - value > fall.largest {
            fall.largest = fall.peak - value;
        }
    }

    fn encode(&self, state: &Self::State, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.is_some()));
        if let Some(fall) = state {
            bytes.extend(fall.peak.to_le_bytes());
            bytes.extend(fall.largest.to_le_bytes());
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Self::State> {
        let double = |reader: &mut ByteReader<'_>| reader.word().map(f64::from_bits);
        reader.optional(|reader| Ok(Fall { peak: double(reader)?, largest: double(reader)? }))
    }
}
