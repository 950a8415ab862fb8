//! Number of events with the times of the first and the last: what aggregates of time alone read.

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::fold::{Algorithm, CustomFold, Event, Fold, Tiled};
use crate::error::Result;

#[derive(Debug)]
struct TimesOfEvents;

/// The fold of aggregates without inputs that read `Times`.
pub(in crate::aggregate) fn fold() -> Fold {
    Fold::Own(CustomFold::tiled(TimesOfEvents))
}

/// Times in microseconds; without events, `first` is the last of all times and `last` the first.
#[derive(Clone, Copy, Debug)]
pub(in crate::aggregate) struct Times {
    pub(in crate::aggregate) count: u64,
    pub(in crate::aggregate) first: i64,
    pub(in crate::aggregate) last: i64,
}

impl Algorithm for TimesOfEvents {
    type State = Times;

    fn text(&self) -> String {
        "times".to_owned()
    }

    fn empty(&self) -> Times {
        Times { count: 0, first: i64::MAX, last: i64::MIN }
    }

    fn add(&self, state: &mut Times, event: Event<'_>) {
        self.merge(state, &Times { count: 1, first: event.time(), last: event.time() });
    }

    fn encode(&self, state: &Times, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.count);
        bytes.extend(state.first.to_le_bytes());
        bytes.extend(state.last.to_le_bytes());
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Times> {
        Ok(Times { count: reader.counted()?, first: reader.word()? as i64, last: reader.word()? as i64 })
    }
}

impl Tiled for TimesOfEvents {
    fn merge(&self, state: &mut Times, other: &Times) {
        state.count += other.count;
        state.first = state.first.min(other.first);
        state.last = state.last.max(other.last);
    }
}
