//! JSON objects to rows, without a document in between. The rules are in `docs/formats.md`. Must never recurse
//! without a bound: a record of ten million brackets is a reject, not a crash.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

use super::value::{self as written, Mismatch, Single};
use super::{Rejection, malformed, numbers, reason};
use crate::plan::{Field, Source};
use crate::time::Epoch;
use crate::value::{DataType, Value};

/// A source's fields, found by name.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Vec<Field>,
    /// For each what integers count, where it is a timestamp.
    epochs: Vec<Epoch>,
    by_name: HashMap<String, usize>,
}

impl Fields {
    /// Those fields of a source.
    pub fn of(source: &Source, indices: impl Iterator<Item = usize>) -> Self {
        Self::new(indices.map(|index| (source.fields[index].clone(), source.epoch(index))))
    }

    fn new(fields: impl Iterator<Item = (Field, Epoch)>) -> Self {
        let (fields, epochs): (Vec<Field>, _) = fields.unzip();
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect();
        Self { fields, epochs, by_name }
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

    fn value(&self, slot: &Slot) -> Value {
        match slot {
            Slot::Null => Value::Null,
            Slot::Bool(value) => Value::Bool(*value),
            Slot::Int(value) => Value::Int(*value),
            Slot::Float(value) => Value::Float(*value),
            Slot::Text(range) => Value::Text(self.text[range.clone()].into()),
            Slot::Timestamp(value) => Value::Timestamp(*value),
            Slot::List(range) => Value::List(self.items[range.clone()].iter().map(|item| self.value(item)).collect()),
        }
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
    parse(fields, text, row).map_err(|(field, Mismatch { reason, message })| match field.map(|field| &fields.fields[field]) {
        Some(Field { name, data_type }) => Rejection::new(reason, format!("field {name} is {data_type}: {message}")),
        None => Rejection::new(reason, message),
    })
}

/// The same; what is wrong comes with the field whose value it is.
fn parse(fields: &Fields, text: &str, row: &mut Row) -> Result<(), (Option<usize>, Mismatch)> {
    row.clear(fields);
    let mut json = sonic_rs::Deserializer::from_str(text);
    let read = json.deserialize_any(Object::<false> { fields, row, mismatches: &mut [] }).and_then(|()| json.end());
    if read.is_err() {
        return parse_patiently(fields, text, row);
    }
    restore_signs(fields, text, row);
    Ok(())
}

/// Reads again what was not read at once: of members of one name the last counts, whatever the others hold, and a number that
/// no double holds is wrong only where a field takes it.
#[cold]
fn parse_patiently(fields: &Fields, text: &str, row: &mut Row) -> Result<(), (Option<usize>, Mismatch)> {
    row.clear(fields);
    let bounded = numbers::bounded(text);
    let mut mismatches: Vec<Option<Mismatch>> = vec![None; fields.fields.len()];
    let mut json = sonic_rs::Deserializer::from_str(&bounded);
    let read = json.deserialize_any(Object::<true> { fields, row, mismatches: &mut mismatches }).and_then(|()| json.end());
    if let Err(error) = read {
        let message = malformed::message(text, &error.to_string());
        return Err((None, Mismatch { reason: reason::MALFORMED, message }));
    }
    if matches!(bounded, Cow::Owned(_)) {
        let mut last: Vec<Option<LazyValue<'_>>> = vec![None; fields.fields.len()];
        // It is known to be an object, and how deep it nests.
        for (name, value) in sonic_rs::to_object_iter(text).flatten() {
            if let Some(index) = fields.find(&name, 0) {
                last[index] = Some(value);
            }
        }
        for (value, mismatch) in last.iter().zip(&mut mismatches) {
            if let Some(number) = value.as_ref().and_then(|value| numbers::beyond(value.as_raw_str())) {
                *mismatch = written::beyond_doubles(number).err();
            }
        }
    }
    let wrong = mismatches.into_iter().enumerate().find_map(|(index, mismatch)| mismatch.map(|mismatch| (Some(index), mismatch)));
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    restore_signs(fields, &bounded, row);
    Ok(())
}

/// Reads JSON values of one type, by the rules of payloads.
pub(crate) struct Values {
    fields: Fields,
    row: Row,
}

impl Values {
    /// `epoch` is what integers count that stand for times.
    pub fn of(data_type: &DataType, epoch: Epoch) -> Self {
        let field = Field { name: "v".to_owned(), data_type: data_type.clone() };
        Self { fields: Fields::new(std::iter::once((field, epoch))), row: Row::default() }
    }

    /// The value of a JSON text that `members` gave.
    pub fn read(&mut self, json: &str) -> Result<Value, Mismatch> {
        parse(&self.fields, &format!("{{\"v\":{json}}}"), &mut self.row).map_err(|(_, mismatch)| mismatch)?;
        Ok(self.row.value(&self.row.slots[0]))
    }
}

/// The members of a JSON object by name, each value as it is written; or why the text is none.
pub(crate) fn members(text: &str) -> Result<Vec<(String, String)>, String> {
    let malformed = |error: sonic_rs::Error| malformed::message(text, &error.to_string());
    // A number that no double holds is handed through as it is written.
    let bounded = numbers::bounded(text);
    let mut json = sonic_rs::Deserializer::from_str(&bounded);
    let skip = Skip { levels: DEPTH_MAX + 1 };
    json.deserialize_any(skip).and_then(|()| json.end()).map_err(malformed)?;
    let member = |member: sonic_rs::Result<(_, LazyValue<'_>)>| {
        let (name, value) = member.map_err(malformed)?;
        Ok((String::from(name), value.as_raw_str().to_owned()))
    };
    sonic_rs::to_object_iter(text).map(member).collect()
}

/// The elements of a JSON array that `members` gave, as they are written; `None` for another value.
pub(crate) fn elements(json: &str) -> Option<Vec<String>> {
    let element = |element: sonic_rs::Result<LazyValue<'_>>| element.ok().map(|value| value.as_raw_str().to_owned());
    json.starts_with('[').then(|| sonic_rs::to_array_iter(json).map(element).collect()).flatten()
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
    if !row.slots.iter().chain(&row.items).any(is_zero) || !has_minus_zero(text) {
        return;
    }
    let mut signed = Row::default();
    signed.clear(fields);
    let mut mismatches = vec![None; fields.fields.len()];
    let mut json = serde_json::Deserializer::from_str(text);
    if json.deserialize_any(Object::<true> { fields, row: &mut signed, mismatches: &mut mismatches }).is_ok() {
        let slots = row.slots.iter_mut().zip(signed.slots).chain(row.items.iter_mut().zip(signed.items));
        for (slot, signed) in slots.filter(|(slot, signed)| is_zero(slot) && is_zero(signed)) {
            *slot = signed;
        }
    }
}

/// Reads members. `PATIENT` goes on behind a value that is none of its field's type; else the first such ends it.
struct Object<'a, const PATIENT: bool> {
    fields: &'a Fields,
    row: &'a mut Row,
    /// Of a patient one, for each field why its last value is none.
    mismatches: &'a mut [Option<Mismatch>],
}

impl<'de, const PATIENT: bool> Visitor<'de> for Object<'_, PATIENT> {
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
            let Row { items, text, .. } = &mut *self.row;
            let (data_type, epoch) = (&self.fields.fields[index].data_type, self.fields.epochs[index]);
            let mut mismatch = None;
            let cell = Cell::<PATIENT> { data_type, epoch, element: None, items, text, mismatch: &mut mismatch };
            self.row.slots[index] = map.next_value_seed(cell)?;
            if PATIENT {
                self.mismatches[index] = mismatch;
            }
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
struct Cell<'a, const PATIENT: bool> {
    /// The field's, or that of its elements.
    data_type: &'a DataType,
    /// What integers count, for a timestamp.
    epoch: Epoch,
    /// Counted from 1.
    element: Option<usize>,
    items: &'a mut Vec<Slot>,
    text: &'a mut String,
    mismatch: &'a mut Option<Mismatch>,
}

impl<const PATIENT: bool> Cell<'_, PATIENT> {
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
            Err(mismatch) => return self.reject(mismatch),
        })
    }

    /// An error, or where there is patience a note of the first.
    #[cold]
    fn reject<E: serde::de::Error>(self, mismatch: Mismatch) -> Result<Slot, E> {
        if !PATIENT {
            return Err(E::custom(mismatch.reason));
        }
        if self.mismatch.is_none() {
            let element = self.element.map(|element| format!("element {element}: ")).unwrap_or_default();
            *self.mismatch = Some(Mismatch { message: element + &mismatch.message, ..mismatch });
        }
        Ok(Slot::Null)
    }

    fn wrong<E: serde::de::Error>(self, what: &str) -> Result<Slot, E> {
        self.reject(Mismatch { reason: reason::WRONG_TYPE, message: what.to_owned() })
    }
}

impl<'de, const PATIENT: bool> DeserializeSeed<'de> for Cell<'_, PATIENT> {
    type Value = Slot;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Slot, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, const PATIENT: bool> Visitor<'de> for Cell<'_, PATIENT> {
    type Value = Slot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.data_type)
    }

    fn visit_unit<E>(self) -> Result<Slot, E> {
        Ok(Slot::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Slot, E> {
        let read = written::boolean(value, self.data_type);
        self.take(read)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Slot, E> {
        let read = written::counted(value, self.epoch, self.data_type);
        self.take(read)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Slot, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => {
                let read = written::unsigned(value, self.data_type);
                self.take(read)
            }
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Slot, E> {
        let read = written::float(value, self.data_type);
        self.take(read)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Slot, E> {
        let read = written::text(value, self.data_type);
        self.take(read)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Slot, A::Error> {
        let DataType::List(item) = self.data_type else {
            if PATIENT {
                Skip { levels: DEPTH_MAX }.visit_seq(seq)?;
            }
            return self.wrong("got an array");
        };
        let Self { epoch, items, text, mismatch, .. } = self;
        let start = items.len();
        // No type is a list of lists, so that these elements follow one another.
        loop {
            let element = Some(items.len() - start + 1);
            let cell = Cell::<PATIENT> { data_type: item, epoch, element, items: &mut *items, text: &mut *text, mismatch: &mut *mismatch };
            match seq.next_element_seed(cell)? {
                Some(slot) => items.push(slot),
                None => return Ok(Slot::List(start..items.len())),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Slot, A::Error> {
        if PATIENT {
            Skip { levels: DEPTH_MAX }.visit_map(map)?;
        }
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
