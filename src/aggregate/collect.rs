//! `collect(struct(x, y, ..), n)` returns the last n events as a list of structs, oldest first in the total order of
//! events. Each struct has up to 16 values, such as `struct(amount, upper(status) as state)`.
//!
//! - Parameter: n is from 1 to 1000.
//! - Result: a list of structs. The fields of a struct are in the order of the call.
//! - Every event that passes `where` counts. A field that is null stays null.
//! - Over no rows: null.
//! - Memory: in each tile, about 32 bytes for each field of each of n events, and the bytes of texts in addition.
//! - Cost: one comparison for an event that is not among the last n, otherwise a move of at most n structs.

use super::bytes::{ByteReader, put_unsigned};
use super::fold::{Algorithm, CustomFold, Event, Scalar, Tiled, get_cell, put_cell};
use super::rows::SortKey;
use super::{BindError, Bound, Definition, Example, Fold, Kind, Shape, small_integer};
use crate::error::Result;
use crate::value::{DataType, Value};

const N_MAX: i64 = 1000;
const FIELDS_MAX: usize = 16;

/// The parameters are n and the name of each field.
pub(super) const DEFINITION: Definition = Definition {
    name: "collect",
    shape: Shape { inputs_min: 1, inputs_max: FIELDS_MAX, parameters_min: 2, parameters_max: 1 + FIELDS_MAX },
    bind: |inputs, parameters| {
        let n = small_integer("collect", "a length n", &parameters[0], N_MAX)?;
        let mut fields: Vec<(String, DataType)> = Vec::new();
        for (name, input) in parameters[1..].iter().zip(inputs) {
            let Value::Text(name) = name else { return Err(BindError("collect takes fields that have names".to_owned())) };
            if fields.iter().any(|(known, _)| **known == **name) {
                return Err(BindError(format!("collect takes fields of different names, two are called {name}: write `x as other`")));
            }
            fields.push((name.to_string(), input.clone()));
        }
        if fields.len() != inputs.len() || parameters.len() != inputs.len() + 1 {
            return Err(BindError("collect takes one name for each field".to_owned()));
        }
        let kinds = inputs.iter().map(Kind::of).collect();
        let fold = Fold::Own(CustomFold::tiled(LastStructs { kinds, n: n as usize }));
        let parameters = std::iter::once(Value::Int(n)).chain(parameters[1..].iter().cloned()).collect();
        Ok(Bound { result: DataType::List(Box::new(DataType::Struct(fields))), fold, parameters })
    },
    finish: |partial, bound, _| match (partial.own::<Vec<Collected>>(), bound.struct_fields()) {
        (Some(last), Some(fields)) if !last.is_empty() => Value::List(last.iter().map(|collected| collected.value(fields)).collect()),
        _ => Value::Null,
    },
    examples: &[
        Example {
            call: "collect(struct(x, y), 2)",
            events: "0s 1.5 'a' | 1s null 'b' | 2s 3.0 'c'",
            at: "4s",
            value: "[{x: null, y: 'b'}, {x: 3.0, y: 'c'}]",
        },
        Example { call: "collect(struct(x), 3)", events: "0s null | 1s 7", at: "4s", value: "[{x: null}, {x: 7}]" },
    ],
};

/// The fields of an event, in plain form, and its place in the total order.
#[derive(Clone, Debug)]
struct Collected {
    place: SortKey,
    cells: Box<[Option<Scalar>]>,
}

impl Collected {
    fn value(&self, fields: &[(String, DataType)]) -> Value {
        let field = |((name, data_type), cell): (&(String, DataType), &Option<Scalar>)| {
            (name.as_str().into(), cell.as_ref().map_or(Value::Null, |cell| cell.plain_value(Kind::of(data_type))))
        };
        Value::Struct(fields.iter().zip(&self.cells).map(field).collect())
    }
}

#[derive(Debug)]
struct LastStructs {
    kinds: Box<[Kind]>,
    n: usize,
}

impl LastStructs {
    fn keep(&self, last: &mut Vec<Collected>, place: SortKey, collected: impl FnOnce() -> Collected) {
        let at = last.partition_point(|kept| kept.place < place);
        if last.len() < self.n {
            last.insert(at, collected());
        } else if at > 0 {
            last[..at].rotate_left(1);
            last[at - 1] = collected();
        }
    }
}

impl Algorithm for LastStructs {
    type State = Vec<Collected>;

    fn text(&self) -> String {
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.text()).collect();
        format!("last structs {} {}", self.n, kinds.join(" "))
    }

    fn empty(&self) -> Vec<Collected> {
        Vec::new()
    }

    fn add(&self, state: &mut Vec<Collected>, event: Event<'_>) {
        let place = event.place();
        let cells = || self.kinds.iter().enumerate().map(|(input, kind)| event.given(*kind, input)).collect();
        self.keep(state, place, || Collected { place, cells: cells() });
    }

    fn encode(&self, state: &Vec<Collected>, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.len() as u64);
        for collected in state {
            collected.place.encode(bytes);
            for cell in &collected.cells {
                bytes.push(u8::from(cell.is_some()));
                cell.iter().for_each(|cell| put_cell(bytes, cell));
            }
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Vec<Collected>> {
        let length = reader.length()?.min(self.n);
        let cells = |reader: &mut ByteReader<'_>| {
            self.kinds.iter().map(|kind| reader.optional(|reader| get_cell(reader, *kind))).collect::<Result<_>>()
        };
        (0..length).map(|_| Ok(Collected { place: SortKey::decode(reader)?, cells: cells(reader)? })).collect()
    }

    fn heap(state: &Vec<Collected>) -> usize {
        let cells = |collected: &Collected| {
            collected.cells.iter().map(|cell| size_of::<Option<Scalar>>() + cell.as_ref().map_or(0, Scalar::heap)).sum::<usize>()
        };
        state.capacity() * size_of::<Collected>() + state.iter().map(cells).sum::<usize>()
    }

    fn takes_nulls(&self) -> bool {
        true
    }
}

impl Tiled for LastStructs {
    fn merge(&self, state: &mut Vec<Collected>, other: &Vec<Collected>) {
        // From the last on, so that what is not among the last n ends up outside at once.
        other.iter().rev().for_each(|collected| self.keep(state, collected.place, || collected.clone()));
    }
}
