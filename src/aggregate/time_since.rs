//! `time_since(cond)` returns the seconds from the last event for which the condition was true to the query time (moved
//! by the window's offset). The result is rounded once.
//!
//! - Types: `boolean -> double`.
//! - The result is null if the condition was never true.
//! - Memory: 32 bytes per tile.
//! - Cost: one comparison per event.

use super::bytes::ByteReader;
use super::fold::{Algorithm, CustomFold, Event, Tiled};
use super::{Bound, Definition, Example, Fold, ONE_INPUT, expect_boolean, seconds_between};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "time_since",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        expect_boolean("time_since", &inputs[0])?;
        Ok(Bound { result: DataType::Float, fold: Fold::Own(CustomFold::tiled(LastTrue)), parameters: Vec::new() })
    },
    finish: |partial, _, moment| match partial.own::<Option<i64>>() {
        Some(Some(last)) => Value::Float(seconds_between(*last, moment.query)),
        _ => Value::Null,
    },
    examples: &[Example { call: "time_since(x)", events: "0s true | 10s true | 20s false", at: "60s", value: "50.0" }],
};

/// Keeps the time of the last event that was true.
#[derive(Debug)]
struct LastTrue;

impl Algorithm for LastTrue {
    type State = Option<i64>;

    fn text(&self) -> String {
        "last true".to_owned()
    }

    fn empty(&self) -> Option<i64> {
        None
    }

    fn add(&self, state: &mut Option<i64>, event: Event<'_>) {
        if event.word(0) != 0 {
            self.merge(state, &Some(event.time()));
        }
    }

    fn encode(&self, state: &Option<i64>, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.is_some()));
        state.iter().for_each(|time| bytes.extend(time.to_le_bytes()));
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Option<i64>> {
        reader.optional(|reader| Ok(reader.word()? as i64))
    }
}

impl Tiled for LastTrue {
    fn merge(&self, state: &mut Option<i64>, other: &Option<i64>) {
        *state = (*state).max(*other);
    }
}
