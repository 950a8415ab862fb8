//! Values that are kept with the place of their event in the total order, so that partials merge in any order.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::rows::SortKey;
use super::cell::{Kind, Scalar};

/// A plain value and the place of its event.
#[derive(Clone, Debug)]
pub(crate) struct PositionedValue {
    pub(in crate::aggregate) place: SortKey,
    pub(in crate::aggregate) value: Scalar,
}

/// The value of the event that is chosen by another, ordered value.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(super) by: Scalar,
    pub(super) placed: PositionedValue,
}

impl PositionedValue {
    pub(super) fn of(kind: Kind, row: &[u64], input: usize, texts: &[Arc<str>]) -> Self {
        Self { place: SortKey::of(row), value: Scalar::plain(kind, row[input], texts) }
    }
}

impl Chosen {
    pub(super) fn of(kind: Kind, by: Kind, row: &[u64], input: usize, by_input: usize, texts: &[Arc<str>]) -> Self {
        Self { by: Scalar::ordered(by, row[by_input], texts), placed: PositionedValue::of(kind, row, input, texts) }
    }
}

#[inline]
pub(super) fn keep_first(first: &mut Option<Box<PositionedValue>>, kind: Kind, row: &[u64], input: usize, texts: &[Arc<str>]) {
    if first.as_ref().is_none_or(|first| SortKey::of(row) < first.place) {
        put(first, PositionedValue::of(kind, row, input, texts));
    }
}

#[inline]
pub(super) fn keep_last(last: &mut Option<Box<PositionedValue>>, kind: Kind, row: &[u64], input: usize, texts: &[Arc<str>]) {
    if last.as_ref().is_none_or(|last| SortKey::of(row) > last.place) {
        put(last, PositionedValue::of(kind, row, input, texts));
    }
}

fn put(slot: &mut Option<Box<PositionedValue>>, placed: PositionedValue) {
    match slot {
        Some(kept) => **kept = placed,
        None => *slot = Some(Box::new(placed)),
    }
}

pub(super) fn merge(slot: &mut Option<Box<PositionedValue>>, other: &PositionedValue, later: bool) {
    let better = if later { Ordering::Greater } else { Ordering::Less };
    if slot.as_ref().is_none_or(|kept| other.place.cmp(&kept.place) == better) {
        put(slot, other.clone());
    }
}

/// Puts a value into its place among the last `n`, oldest first.
pub(super) fn keep_last_n(list: &mut Vec<PositionedValue>, n: usize, placed: PositionedValue) {
    let index = list.partition_point(|kept| kept.place < placed.place);
    if list.len() >= n {
        if index == 0 {
            return;
        }
        list[..index].rotate_left(1);
        list[index - 1] = placed;
    } else {
        list.insert(index, placed);
    }
}

/// Keeps the event with the least (or greatest) `by`, of equal ones the first.
pub(super) fn choose(chosen: &mut Option<Box<Chosen>>, greater: bool, other: Chosen) {
    let better = chosen.as_ref().is_none_or(|kept| {
        let by = if greater { kept.by.cmp(&other.by) } else { other.by.cmp(&kept.by) };
        by.then_with(|| other.placed.place.cmp(&kept.placed.place)) == Ordering::Less
    });
    if better {
        *chosen = Some(Box::new(other));
    }
}
