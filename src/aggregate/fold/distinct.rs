//! The set of different values, up to a limit: of more values the least are kept, so that the set is a function of
//! the events and its size is exact up to the limit.

use std::sync::Arc;

use super::cell::{Kind, Scalar, ordered_word};
use super::text_at;
use crate::value::Value;

/// Sorted, without repetition. Words are in ordered form.
#[derive(Clone, Debug)]
pub(crate) enum Distinct {
    Words(Vec<u64>),
    Texts(Vec<Arc<str>>),
}

impl Distinct {
    pub(super) fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Texts(Vec::new()),
            _ => Self::Words(Vec::new()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Ascending.
    pub(super) fn values(&self, kind: Kind) -> Arc<[Value]> {
        match self {
            Self::Words(words) => words.iter().map(|word| Scalar::Word(*word).ordered_value(kind)).collect(),
            Self::Texts(texts) => texts.iter().cloned().map(Value::Text).collect(),
        }
    }

    pub(super) fn add(&mut self, kind: Kind, word: u64, row_texts: &[Arc<str>], limit: usize) {
        match self {
            Self::Words(words) => insert(words, &ordered_word(kind, word), limit),
            Self::Texts(texts) => insert(texts, &text_at(row_texts, word), limit),
        }
    }

    pub(super) fn merge(&mut self, other: &Self, limit: usize) {
        match (self, other) {
            (Self::Words(words), Self::Words(others)) => merge(words, others, limit),
            (Self::Texts(texts), Self::Texts(others)) => merge(texts, others, limit),
            _ => {}
        }
    }

    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Words(words) => 8 * words.capacity(),
            Self::Texts(texts) => 16 * texts.capacity() + texts.iter().map(|text| 16 + text.len()).sum::<usize>(),
        }
    }
}

fn insert<T: Ord + Clone>(sorted: &mut Vec<T>, item: &T, limit: usize) {
    if sorted.len() >= limit && sorted.last().is_some_and(|last| last <= item) {
        return;
    }
    if let Err(index) = sorted.binary_search(item) {
        sorted.insert(index, item.clone());
        sorted.truncate(limit);
    }
}

fn merge<T: Ord + Clone>(sorted: &mut Vec<T>, others: &[T], limit: usize) {
    if sorted.is_empty() {
        others.clone_into(sorted);
        return;
    }
    if others.len() * 8 < sorted.len() {
        return others.iter().for_each(|item| insert(sorted, item, limit));
    }
    let (mut a, mut b) = (0, 0);
    let mut merged = Vec::with_capacity((sorted.len() + others.len()).min(limit));
    while merged.len() < limit {
        let next = match (sorted.get(a), others.get(b)) {
            (Some(x), Some(y)) if x < y => x,
            (Some(x), Some(y)) if x == y => {
                b += 1;
                x
            }
            (_, Some(y)) => {
                b += 1;
                merged.push(y.clone());
                continue;
            }
            (Some(x), None) => x,
            (None, None) => break,
        };
        merged.push(next.clone());
        a += 1;
    }
    *sorted = merged;
}
