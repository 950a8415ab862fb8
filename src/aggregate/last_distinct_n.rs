//! `last_distinct_n(x, n)`: the n different values that came last, the one that came last at the end, in the total order
//! of events; each stands at its last event. Type: a list of x's type. n is from 1 to 1000. Doubles are equal as
//! numbers: every NaN is one value, and negative zero is zero. Over no rows: null.
//! Memory: at most 48 n bytes per tile (text beside it). Cost: a search among n values and a move.

use super::bytes::ByteReader;
use super::fold::{Algorithm, Event, Own, Placed, Tiled, get_list, put_list};
use super::{Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::error::Result;
use crate::value::{DataType, Value};

const N_MAX: i64 = 1000;

pub(super) const DEFINITION: Definition = Definition {
    name: "last_distinct_n",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let n = small_integer("last_distinct_n", "a length n", &parameters[0], N_MAX)?;
        let fold = Fold::Own(Own::tiled(LastDistinctN { kind: Kind::of(&inputs[0]), n: n as usize }));
        Ok(Bound { result: DataType::List(Box::new(inputs[0].clone())), fold, parameters: vec![Value::Int(n)] })
    },
    finish: |partial, bound, _| match partial.own::<Vec<Placed>>() {
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
    fn keep(&self, last: &mut Vec<Placed>, placed: Placed) {
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
    type State = Vec<Placed>;

    fn text(&self) -> String {
        format!("last distinct {} {}", self.n, self.kind.text())
    }

    fn empty(&self) -> Vec<Placed> {
        Vec::new()
    }

    fn add(&self, state: &mut Vec<Placed>, event: Event<'_>) {
        self.keep(state, Placed { place: event.place(), value: event.ordered(self.kind, 0) });
    }

    fn encode(&self, state: &Vec<Placed>, bytes: &mut Vec<u8>) {
        put_list(bytes, state);
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Vec<Placed>> {
        get_list(reader, self.kind, self.n)
    }

    fn heap(state: &Vec<Placed>) -> usize {
        state.capacity() * size_of::<Placed>()
    }
}

impl Tiled for LastDistinctN {
    fn merge(&self, state: &mut Vec<Placed>, other: &Vec<Placed>) {
        other.iter().for_each(|placed| self.keep(state, placed.clone()));
    }
}
