//! `latest(x)` returns x of the last event in the total order of events (time, partition, offset). The result is null
//! if x is null in that event. In contrast, `last(x)` skips nulls.
//!
//! - Use: `latest` reads the attributes of a table.
//! - Result: the type of x, with the same bits as the input.
//! - Over no rows: null.
//! - Memory: 56 bytes per tile.
//! - Cost: one comparison per event.

use super::bytes::ByteReader;
use super::fold::{Algorithm, CustomFold, Event, Scalar, Tiled, get_cell, put_cell};
use super::rows::SortKey;
use super::{Bound, Definition, Example, Fold, Kind, ONE_INPUT};
use crate::error::Result;
use crate::value::Value;

pub(super) const DEFINITION: Definition = Definition {
    name: "latest",
    shape: ONE_INPUT,
    bind: |inputs, _| {
        let fold = Fold::Own(CustomFold::tiled(Latest { kind: Kind::of(&inputs[0]) }));
        Ok(Bound { result: inputs[0].clone(), fold, parameters: Vec::new() })
    },
    finish: |partial, bound, _| match partial.own::<Option<Row>>() {
        Some(Some(Row { value: Some(value), .. })) => value.plain_value(Kind::of(&bound.result)),
        _ => Value::Null,
    },
    examples: &[
        Example { call: "latest(x)", events: "0s 10 | 1s null | 2s 20", at: "4s", value: "20" },
        Example { call: "latest(x)", events: "0s 'a' | 1s 'b' | 1s null", at: "4s", value: "null" },
    ],
};

/// Keeps the input of the last event, also where it is null.
#[derive(Debug)]
struct Latest {
    kind: Kind,
}

#[derive(Clone, Debug)]
struct Row {
    place: SortKey,
    value: Option<Scalar>,
}

impl Algorithm for Latest {
    type State = Option<Row>;

    fn text(&self) -> String {
        format!("latest {}", self.kind.text())
    }

    fn takes_nulls(&self) -> bool {
        true
    }

    fn empty(&self) -> Option<Row> {
        None
    }

    fn add(&self, state: &mut Option<Row>, event: Event<'_>) {
        if state.as_ref().is_none_or(|kept| kept.place < event.place()) {
            *state = Some(Row { place: event.place(), value: event.given(self.kind, 0) });
        }
    }

    fn encode(&self, state: &Option<Row>, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.is_some()));
        if let Some(row) = state {
            row.place.encode(bytes);
            bytes.push(u8::from(row.value.is_some()));
            row.value.iter().for_each(|value| put_cell(bytes, value));
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Option<Row>> {
        reader.optional(|reader| {
            let place = SortKey::decode(reader)?;
            Ok(Row { place, value: reader.optional(|reader| get_cell(reader, self.kind))? })
        })
    }

    fn heap(state: &Option<Row>) -> usize {
        state.iter().flat_map(|row| &row.value).map(Scalar::heap).sum()
    }
}

impl Tiled for Latest {
    fn merge(&self, state: &mut Option<Row>, other: &Option<Row>) {
        if let Some(other) = other
            && state.as_ref().is_none_or(|kept| kept.place < other.place)
        {
            *state = Some(other.clone());
        }
    }
}
