//! `first_n(x, n)` returns the first n values that are not null, oldest first in the total order of events.
//!
//! - Parameter: n is from 1 to 1000.
//! - Result: a list of x's type.
//! - Over no rows: null.
//! - Memory: at most 48 n bytes per tile, and the bytes of texts in addition.
//! - Cost: one comparison for an event that is not among the first n, otherwise a move of at most n values.

use super::bytes::ByteReader;
use super::fold::{Algorithm, CustomFold, Event, PositionedValue, Tiled, get_list, put_list};
use super::rows::SortKey;
use super::{Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::error::Result;
use crate::value::{DataType, Value};

const N_MAX: i64 = 1000;

pub(super) const DEFINITION: Definition = Definition {
    name: "first_n",
    shape: Shape { inputs_min: 1, inputs_max: 1, parameters_min: 1, parameters_max: 1 },
    bind: |inputs, parameters| {
        let n = small_integer("first_n", "a length n", &parameters[0], N_MAX)?;
        let fold = Fold::Own(CustomFold::tiled(FirstN { kind: Kind::of(&inputs[0]), n: n as usize }));
        Ok(Bound { result: DataType::List(Box::new(inputs[0].clone())), fold, parameters: vec![Value::Int(n)] })
    },
    finish: |partial, bound, _| match partial.own::<Vec<PositionedValue>>() {
        Some(first) if !first.is_empty() => Value::List(first.iter().map(|placed| placed.value.plain_value(bound.item_kind())).collect()),
        _ => Value::Null,
    },
    examples: &[Example { call: "first_n(x, 2)", events: "0s null | 1s 10 | 2s 20 | 3s 30", at: "4s", value: "[10, 20]" }],
};

#[derive(Debug)]
struct FirstN {
    kind: Kind,
    n: usize,
}

impl FirstN {
    fn keep(&self, first: &mut Vec<PositionedValue>, place: SortKey, placed: impl FnOnce() -> PositionedValue) {
        let at = first.partition_point(|kept| kept.place < place);
        if at < self.n {
            first.truncate(self.n - 1);
            first.insert(at, placed());
        }
    }
}

impl Algorithm for FirstN {
    type State = Vec<PositionedValue>;

    fn text(&self) -> String {
        format!("first {} {}", self.n, self.kind.text())
    }

    fn empty(&self) -> Vec<PositionedValue> {
        Vec::new()
    }

    fn add(&self, state: &mut Vec<PositionedValue>, event: Event<'_>) {
        self.keep(state, event.place(), || event.placed(self.kind, 0));
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

impl Tiled for FirstN {
    fn merge(&self, state: &mut Vec<PositionedValue>, other: &Vec<PositionedValue>) {
        other.iter().for_each(|placed| self.keep(state, placed.place, || placed.clone()));
    }
}
