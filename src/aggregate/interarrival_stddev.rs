//! `interarrival_stddev()` returns the sample standard deviation of the seconds between one event and the next in total
//! order. `where` selects the events.
//!
//! - Result: double.
//! - Formula: the square root of `(n Sdd - Sd Sd) / (n (n - 1) 10^12)` for n gaps d in microseconds. The quotient is
//!   computed exactly and rounded before the square root. The square root is rounded after.
//! - The result is null over fewer than three events.
//! - Memory: nothing in tiles; about 60 bytes for a window without a lower bound.
//! - Cost: each reading of a bounded window folds all events of the window, with one exact addition per event.

use super::bytes::{ByteReader, put_unsigned};
use super::dyadic::Dyadic;
use super::exact::ExactSum;
use super::fold::{Algorithm, CustomFold, Event};
use super::{Bound, Definition, Example, Fold, NO_INPUTS};
use crate::error::Result;
use crate::value::{DataType, Value};

pub(super) const DEFINITION: Definition = Definition {
    name: "interarrival_stddev",
    shape: NO_INPUTS,
    bind: |_, _| Ok(Bound { result: DataType::Float, fold: Fold::Own(CustomFold::ordered(GapsBetweenEvents)), parameters: Vec::new() }),
    finish: |partial, _, _| match partial.own::<Gaps>() {
        Some(gaps) if gaps.events > 2 => {
            let n = Dyadic::from(gaps.events - 1);
            let sum = Dyadic::from(i128::from(gaps.last) - i128::from(gaps.first));
            let spread = &(&n * &gaps.squares.dyadic()) - &sum.squared();
            let below = &(&n * &Dyadic::from(gaps.events - 2)) * &Dyadic::from(1_000_000_000_000u64);
            Value::Float(spread.root_over(&below))
        }
        _ => Value::Null,
    },
    examples: &[Example { call: "interarrival_stddev()", events: "0s | 10s | 30s | 60s", at: "99s", value: "10.0" }],
};

#[derive(Debug)]
struct GapsBetweenEvents;

#[derive(Clone, Debug, Default)]
struct Gaps {
    events: u64,
    /// Of times in microseconds
    first: i64,
    last: i64,
    squares: ExactSum,
}

impl Algorithm for GapsBetweenEvents {
    type State = Gaps;

    fn text(&self) -> String {
        "gaps".to_owned()
    }

    fn empty(&self) -> Gaps {
        Gaps::default()
    }

    fn add(&self, state: &mut Gaps, event: Event<'_>) {
        let time = event.time();
        if state.events == 0 {
            state.first = time;
        } else {
            // In halves, since the square of a gap may not fit.
            let gap = i128::from(time) - i128::from(state.last);
            let (half, odd) = (gap >> 1, gap & 1);
            state.squares.add_scaled(half * half, 2);
            state.squares.add_scaled(half * odd, 2);
            state.squares.add_scaled(odd, 0);
        }
        state.last = time;
        state.events += 1;
    }

    fn encode(&self, state: &Gaps, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.events);
        bytes.extend(state.first.to_le_bytes());
        bytes.extend(state.last.to_le_bytes());
        state.squares.encode(bytes);
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Gaps> {
        let (events, first, last) = (reader.counted()?, reader.word()? as i64, reader.word()? as i64);
        Ok(Gaps { events, first, last, squares: ExactSum::decode(reader)? })
    }

    fn heap(state: &Gaps) -> usize {
        state.squares.heap()
    }
}
