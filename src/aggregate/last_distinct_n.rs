//! `last_distinct_n(x, n)` returns the n different values that occurred last in the total order of events. The place of
//! a value in the list is that of its last event, so the most recent value is the last element.
//!
//! - Parameter: n is from 1 to 1000.
//! - Result: a list of x's type.
//! - Doubles are compared as numbers: every NaN is one value, and negative zero is zero.
//! - Over no rows: null.
//! - Memory: at most 48 n bytes per tile, and the bytes of texts in addition.
//! - Cost: a search among n values and a move per event.

use super::bytes::ByteReader;
use super::fold::{Algorithm, CustomFold, Event, PositionedValue, Tiled, get_list, put_list};
use super::{Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::error::Result;
use crate::value::{DataType, Value};

const N_MAX: i64 = 1000;

pub(super) const DEFINITION: Definition = Definition {
    name: "last_distinct_n",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let n = small_integer("last_distinct_n", "a length n", &parameters[0], N_MAX)?;
        let fold = Fold::Own(CustomFold::tiled(LastDistinctN { kind: Kind::of(&inputs[0]), n: n as usize }));
        Ok(Bound { result: DataType::List(Box::new(inputs[0].clone())), fold, parameters: vec![Value::Int(n)] })
    },
    finish: |partial, bound, _| match partial.own::<Vec<PositionedValue>>() {
        Some(last) if !last.is_empty() => Value::List(last.iter().map(|placed| placed.value.ordered_value(bound.item_kind())).collect()),
        _ => Value::Null,
    },
    examples: &[Example { call: "last_distinct_n(x, 2)", events: "0s 'a' | 1s 'b' | 2s 'c' | 3s 'b'", at: "4s", value: "['c', 'b']" }],
};

/// Keeps ordered values, each with the place of its last event, oldest first.
#[derive(Debug)]
struct LastDistinctN {
    kind: Kind,
    n: usize,
}

impl LastDistinctN {
    fn keep(&self, last: &mut Vec<PositionedValue>, placed: PositionedValue) {
        match last.iter().position(|kept| kept.value == placed.value) {
            Some(at) if last[at].place > placed.place => return,
            Some(at) => drop(last.remove(at)),
            None => {}
        }
        last.insert(last.partition_point(|kept| kept.place < placed.place), placed);
        if last.len() > self.n {
            last.remove(0);
        }
    }
}

impl Algorithm for LastDistinctN {
    type State = Vec<PositionedValue>;

    fn text(&self) -> String {
        format!("last distinct {} {}", self.n, self.kind.text())
    }

    fn empty(&self) -> Vec<PositionedValue> {
        Vec::new()
    }

    fn add(&self, state: &mut Vec<PositionedValue>, event: Event<'_>) {
        self.keep(state, PositionedValue { place: event.place(), value: event.ordered(self.kind, 0) });
    }

    fn encode(&self, state: &Vec<PositionedValue>, bytes: &mut Vec<u8>) {
        put_list(bytes, state);
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Vec<PositionedValue>> {
        get_list(reader, self.kind, self.n)
    }

    fn heap(state: &Vec<PositionedValue>) -> usize {
        state.capacity() * size_of::<PositionedValue>()
    }
}

impl Tiled for LastDistinctN {
    fn merge(&self, state: &mut Vec<PositionedValue>, other: &Vec<PositionedValue>) {
        other.iter().for_each(|placed| self.keep(state, placed.clone()));
    }
}
