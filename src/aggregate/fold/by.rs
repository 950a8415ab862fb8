//! Another fold for each value of a key: what map-valued features read. A tile of many keys is left to its events.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::rows::META;
use super::cell::{Kind, Scalar, ordered_word};
use super::own::{Algorithm, Event, Tiled};
use super::stored::{get_cell, put_cell};
use super::{Fold, FoldSpec, Partial};
use crate::error::Result;
use crate::time::EventTime;
use crate::value::Value;

/// The key under which those are merged that a map has no room for.
const OTHER: &str = "__other";
/// A tile of more keys would cost more than it saves.
const TILE_KEYS_MAX: usize = 64;

/// Folds events apart by their last input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct By {
    key: Kind,
    inner: Fold,
}

/// What was folded for each key, in ordered form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups(BTreeMap<Scalar, Group>);

#[derive(Clone, Debug)]
struct Group {
    events: u64,
    partial: Partial,
}

/// Which keys a map has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLimit {
    pub limit: u32,
    /// Those with the greatest results, and not those with the most events.
    pub by_value: bool,
}

impl MapLimit {
    pub const LIMIT_MAX: u32 = 1000;
}

/// What a map keeps whose declaration does not say.
impl Default for MapLimit {
    fn default() -> Self {
        Self { limit: 32, by_value: false }
    }
}

/// As the language writes it.
impl fmt::Display for MapLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {}{}", self.limit, if self.by_value { " by value" } else { "" })
    }
}

impl By {
    pub(crate) fn new(key: Kind, inner: Fold) -> Self {
        Self { key, inner }
    }

    /// The part of one key, which reads those inputs.
    fn part(&self, inputs: &[usize]) -> FoldSpec {
        FoldSpec { fold: self.inner.clone(), inputs: inputs.into(), needs: (META, 0), needs_more: Box::default(), present: Box::default() }
    }

    /// The map of results: the keys that `keep` has room for, then the rest under `__other`, where also events go whose
    /// own key is called so. Null over no events.
    pub(in super::super) fn map(&self, groups: &Groups, keep: MapLimit, result: impl Fn(&Partial) -> Value) -> Value {
        let mut kept: Vec<(&Scalar, &Group, Value)> = groups
            .0
            .iter()
            .filter(|(key, _)| !self.is_other(key))
            .map(|(key, group)| (key, group, if keep.by_value { result(&group.partial) } else { Value::Null }))
            .collect();
        let limit = keep.limit as usize;
        let rank = |a: &(&Scalar, &Group, Value), b: &(&Scalar, &Group, Value)| {
            let by = if keep.by_value { compare(&b.2, &a.2) } else { Reverse(a.1.events).cmp(&Reverse(b.1.events)) };
            by.then_with(|| a.0.cmp(b.0))
        };
        let mut others = Vec::new();
        if kept.len() > limit {
            kept.select_nth_unstable_by(limit, rank);
            others = kept.split_off(limit);
        }
        let merged = groups.0.iter().filter(|(key, _)| self.is_other(key)).map(|(_, group)| group);
        let merged: Vec<&Group> = others.into_iter().map(|(_, group, _)| group).chain(merged).collect();
        let mut entries: Vec<(Arc<str>, Value)> = kept
            .into_iter()
            .map(|(key, group, value)| (self.spelled(key), if keep.by_value { value } else { result(&group.partial) }))
            .collect();
        if !merged.is_empty() {
            let part = self.part(&[]);
            let mut rest = part.empty();
            merged.into_iter().for_each(|group| part.merge(&mut rest, &group.partial));
            entries.push((OTHER.into(), result(&rest)));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        if entries.is_empty() { Value::Null } else { Value::Map(entries.into()) }
    }

    fn is_other(&self, key: &Scalar) -> bool {
        matches!(key, Scalar::Text(text) if **text == *OTHER)
    }

    /// A key as text: times as RFC 3339, everything else as in JSON.
    fn spelled(&self, key: &Scalar) -> Arc<str> {
        match key.ordered_value(self.key) {
            Value::Text(text) => text,
            Value::Bool(value) => value.to_string().into(),
            Value::Timestamp(time) => EventTime(time).to_string().into(),
            Value::Int(number) => number.to_string().into(),
            other => format!("{other:?}").into(),
        }
    }
}

/// The order of results, as of `max`; null is below all.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => ordered_word(Kind::Float, a.to_bits()).cmp(&ordered_word(Kind::Float, b.to_bits())),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (a, b) => b.is_null().cmp(&a.is_null()),
    }
}

impl Algorithm for By {
    type State = Groups;

    fn text(&self) -> String {
        format!("by {} {}", self.key.text(), self.inner.text())
    }

    fn empty(&self) -> Groups {
        Groups::default()
    }

    fn add(&self, groups: &mut Groups, event: Event<'_>) {
        let Some((_, inputs)) = event.inputs.split_last() else { return };
        let part = self.part(inputs);
        let key = event.ordered(self.key, inputs.len());
        let group = groups.0.entry(key).or_insert_with(|| Group { events: 0, partial: part.empty() });
        group.events += 1;
        part.add(&mut group.partial, event.rows);
    }

    fn encode(&self, groups: &Groups, bytes: &mut Vec<u8>) {
        let part = self.part(&[]);
        put_unsigned(bytes, groups.0.len() as u64);
        for (key, group) in &groups.0 {
            put_cell(bytes, key);
            put_unsigned(bytes, group.events);
            let mut body = Vec::with_capacity(32);
            part.encode(&group.partial, &mut body);
            put_unsigned(bytes, body.len() as u64);
            bytes.extend(body);
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Groups> {
        let part = self.part(&[]);
        let mut groups = Groups::default();
        for _ in 0..reader.length()? {
            let (key, events) = (get_cell(reader, self.key)?, reader.counted()?);
            let length = reader.length()?;
            let partial = part.decode(&mut ByteReader(reader.take(length)?))?;
            groups.0.insert(key, Group { events, partial });
        }
        Ok(groups)
    }

    fn heap(groups: &Groups) -> usize {
        let of = |(key, group): (&Scalar, &Group)| {
            let text = if let Scalar::Text(text) = key { 16 + text.len() } else { 0 };
            text + size_of::<(Scalar, Group)>() + group.partial.heap()
        };
        groups.0.iter().map(of).sum()
    }

    fn needs_bounded(&self) -> Option<&'static str> {
        Some("a map keeps something of every key")
    }
}

impl Tiled for By {
    fn merge(&self, groups: &mut Groups, other: &Groups) {
        let part = self.part(&[]);
        for (key, more) in &other.0 {
            match groups.0.get_mut(key) {
                Some(group) => {
                    group.events += more.events;
                    part.merge(&mut group.partial, &more.partial);
                }
                None => {
                    groups.0.insert(key.clone(), more.clone());
                }
            }
        }
    }

    fn outgrows_tile(&self, groups: &Groups) -> bool {
        let part = self.part(&[]);
        groups.0.len() > TILE_KEYS_MAX || groups.0.values().any(|group| part.outgrows_tile(&group.partial))
    }
}
