//! `streak(cond)` returns the number of consecutive events, up to the last event of the window in total order, for
//! which the condition is true. Events for which the condition is null are skipped.
//!
//! - Types: `boolean -> bigint`.
//! - The result is 0 if the condition is false for the last event.
//! - Over no rows: null.
//! - Memory: nothing in tiles; 16 bytes for a window without a lower bound.
//! - Cost: each reading of a bounded window folds all events of the window, with one comparison per event.

use super::bytes::{ByteReader, put_unsigned};
use super::fold::{Algorithm, CustomFold, Event};
use super::{Bound, Definition, Example, Fold, ONE_INPUT, expect_boolean};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "streak",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        expect_boolean("streak", &inputs[0])?;
        Ok(Bound { result: DataType::Int, fold: Fold::Own(CustomFold::ordered(Streak)), parameters: Vec::new() })
    },
    finish: |partial, _, _| match partial.own::<Option<u64>>() {
        Some(Some(length)) => Value::Int(i64::try_from(*length).unwrap_or(i64::MAX)),
        _ => Value::Null,
    },
    examples: &[
        Example { call: "streak(x)", events: "0s true | 1s false | 2s true | 3s null | 4s true", at: "4s", value: "2" },
        Example { call: "streak(x)", events: "0s true | 1s false", at: "4s", value: "0" },
    ],
};

/// Keeps the length of the current run, once there is an event.
#[derive(Debug)]
struct Streak;

impl Algorithm for Streak {
    type State = Option<u64>;

    fn text(&self) -> String {
        "streak".to_owned()
    }

    fn empty(&self) -> Option<u64> {
        None
    }

    fn add(&self, state: &mut Option<u64>, event: Event<'_>) {
        *state = Some(if event.word(0) == 0 { 0 } else { state.unwrap_or(0) + 1 });
    }

    fn encode(&self, state: &Option<u64>, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.map_or(0, |length| length + 1));
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Option<u64>> {
        Ok(reader.counted()?.checked_sub(1))
    }
}
