//! JSON objects to rows, without a document in between. The rules are in `docs/formats.md`. Must never recurse
//! without a bound: a record of ten million brackets is a reject, not a crash.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::value::{self, Mismatch, Single};
use super::{Rejection, reason};
use crate::plan::Field;
use crate::value::DataType;

/// A source's fields, found by name.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Vec<Field>,
    by_name: HashMap<String, usize>,
}

impl Fields {
    pub fn new(fields: &[Field]) -> Self {
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect();
        Self { fields: fields.to_vec(), by_name }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &DataType)> {
        self.fields.iter().map(|field| (field.name.as_str(), &field.data_type))
    }

    pub fn name(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", |field| &field.name)
    }

    /// The field of that name. Most records have their fields in the declared order: `expected` is looked at first.
    fn find(&self, name: &str, expected: usize) -> Option<usize> {
        match self.fields.get(expected) {
            Some(field) if field.name == name => Some(expected),
            _ => self.by_name.get(name).copied(),
        }
    }
}

/// One record's values, kept apart from the columns until the whole record is known to be good.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// One per field.
    pub slots: Vec<Slot>,
    /// The elements of lists.
    pub items: Vec<Slot>,
    pub text: String,
}

impl Row {
    fn clear(&mut self, fields: &Fields) {
        self.slots.clear();
        self.slots.resize(fields.fields.len(), Slot::Null);
        self.items.clear();
        self.text.clear();
    }
}

#[derive(Clone, Debug)]
pub(super) enum Slot {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Of the row's `text`.
    Text(Range<usize>),
    /// Microseconds since the epoch.
    Timestamp(i64),
    /// Of the row's `items`.
    List(Range<usize>),
}

/// How deep values may nest that no field takes: each level costs stack.
const DEPTH_MAX: u8 = 64;

/// Reads one object into `row`, whose earlier content is lost.
pub(super) fn read(fields: &Fields, text: &str, row: &mut Row) -> Result<(), Rejection> {
    row.clear(fields);
    let mut rejection = None;
    let mut json = sonic_rs::Deserializer::from_str(text);
    let result = json.deserialize_any(Object { fields, row, rejection: &mut rejection }).and_then(|()| json.end());
    match (rejection, result) {
        (Some(rejection), _) => Err(rejection),
        (None, Ok(())) => {
            if row.slots.iter().chain(&row.items).any(is_zero) && has_minus_zero(text) {
                restore_signs(fields, text, row);
            }
            Ok(())
        }
        (None, Err(error)) => {
            let text = error.to_string();
            Err(Rejection::new(reason::MALFORMED, text.lines().next().unwrap_or("no JSON").to_lowercase()))
        }
    }
}

fn is_zero(slot: &Slot) -> bool {
    matches!(slot, Slot::Float(value) if *value == 0.0)
}

/// Whether some number may be minus zero.
fn has_minus_zero(text: &str) -> bool {
    text.match_indices("-0").any(|(at, _)| text[..at].trim_ascii_end().ends_with([':', '[', ',']))
}

/// The fast parser takes the sign from minus zero. The other keeps it, but may miss the last bit of other doubles.
fn restore_signs(fields: &Fields, text: &str, row: &mut Row) {
    let mut signed = Row::default();
    signed.clear(fields);
    let mut json = serde_json::Deserializer::from_str(text);
    if json.deserialize_any(Object { fields, row: &mut signed, rejection: &mut None }).is_ok() {
        let slots = row.slots.iter_mut().zip(signed.slots).chain(row.items.iter_mut().zip(signed.items));
        for (slot, signed) in slots.filter(|(slot, signed)| is_zero(slot) && is_zero(signed)) {
            *slot = signed;
        }
    }
}

struct Object<'a> {
    fields: &'a Fields,
    row: &'a mut Row,
    rejection: &'a mut Option<Rejection>,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut expected = 0;
        while let Some(found) = map.next_key_seed(Name { fields: self.fields, expected })? {
            let Some(index) = found else {
                map.next_value_seed(Skip { levels: DEPTH_MAX })?;
                continue;
            };
            let field = &self.fields.fields[index];
            let Row { items, text, .. } = &mut *self.row;
            let cell = Cell { field, data_type: &field.data_type, element: None, items, text, rejection: &mut *self.rejection };
            self.row.slots[index] = map.next_value_seed(cell)?;
            expected = index + 1;
        }
        Ok(())
    }
}

/// A key, as the field that it names.
struct Name<'a> {
    fields: &'a Fields,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.fields.find(name, self.expected))
    }
}

/// The value of a field, or an element of its list.
struct Cell<'a> {
    field: &'a Field,
    /// The field's, or that of its elements.
    data_type: &'a DataType,
    /// Counted from 1.
    element: Option<usize>,
    items: &'a mut Vec<Slot>,
    text: &'a mut String,
    rejection: &'a mut Option<Rejection>,
}

impl Cell<'_> {
    #[inline]
    fn take<E: serde::de::Error>(self, read: Result<Single<'_>, Mismatch>) -> Result<Slot, E> {
        Ok(match read {
            Ok(Single::Bool(value)) => Slot::Bool(value),
            Ok(Single::Int(value)) => Slot::Int(value),
            Ok(Single::Float(value)) => Slot::Float(value),
            Ok(Single::Timestamp(value)) => Slot::Timestamp(value),
            Ok(Single::Text(value)) => {
                let start = self.text.len();
                self.text.push_str(&value);
                Slot::Text(start..self.text.len())
            }
            Err(mismatch) => return self.reject(mismatch.reason, mismatch.message),
        })
    }

    #[cold]
    fn reject<E: serde::de::Error>(self, reason: &'static str, what: impl fmt::Display) -> Result<Slot, E> {
        let element = self.element.map(|element| format!("element {element}: ")).unwrap_or_default();
        *self.rejection = Some(Rejection::new(reason, format!("field {} is {}: {element}{what}", self.field.name, self.field.data_type)));
        Err(E::custom(reason))
    }

    fn wrong<E: serde::de::Error>(self, what: impl fmt::Display) -> Result<Slot, E> {
        self.reject(reason::WRONG_TYPE, what)
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = Slot;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Slot, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = Slot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.data_type)
    }

    fn visit_unit<E>(self) -> Result<Slot, E> {
        Ok(Slot::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Slot, E> {
        let read = value::boolean(value, self.data_type);
        self.take(read)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Slot, E> {
        let read = value::whole(value, self.data_type);
        self.take(read)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Slot, E> {
        let read = value::unsigned(value, self.data_type);
        self.take(read)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Slot, E> {
        let read = value::float(value, self.data_type);
        self.take(read)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Slot, E> {
        let read = value::text(value, self.data_type);
        self.take(read)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Slot, A::Error> {
        let DataType::List(item) = self.data_type else { return self.wrong("got an array") };
        let Self { field, items, text, rejection, .. } = self;
        let start = items.len();
        // No type is a list of lists, so that these elements follow one another.
        loop {
            let element = Some(items.len() - start + 1);
            let cell = Cell { field, data_type: item, element, items: &mut *items, text: &mut *text, rejection: &mut *rejection };
            match seq.next_element_seed(cell)? {
                Some(slot) => items.push(slot),
                None => return Ok(Slot::List(start..items.len())),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Slot, A::Error> {
        self.wrong("got an object")
    }
}

/// A value that no field takes: checked, and passed over. (The parser's own way to ignore a value recurses without
/// a bound.)
#[derive(Clone, Copy)]
struct Skip {
    /// How many more levels it may have.
    levels: u8,
}

impl Skip {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1);
        levels.map(|levels| Self { levels }).ok_or_else(|| E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while map.next_key_seed(inner)?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}
