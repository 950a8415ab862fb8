//! Single values inside folds, in two forms: plain (to the bit as they came) and ordered (words that compare as the
//! values do). Must never mix the two: a partial's fold says which form it holds.

use std::cmp::Ordering;
use std::sync::Arc;

use super::text_at;
use crate::value::{DataType, Value};

/// The type of an input, as far as rows hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Bool,
    Int,
    Float,
    Text,
    Timestamp,
}

/// A value: text, or anything that is a word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scalar {
    Word(u64),
    Text(Arc<str>),
}

impl Kind {
    /// The kind of a type of single values (`bind` admits no others); others count as text.
    pub(crate) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Bool => Self::Bool,
            DataType::Int => Self::Int,
            DataType::Float => Self::Float,
            DataType::Timestamp => Self::Timestamp,
            DataType::Text | DataType::List(_) | DataType::Map(_) | DataType::Struct(_) => Self::Text,
        }
    }

    pub(in crate::aggregate) fn text(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int => "bigint",
            Self::Float => "double",
            Self::Text => "text",
            Self::Timestamp => "timestamp",
        }
    }
}

impl Scalar {
    pub(super) fn plain(kind: Kind, word: u64, texts: &[Arc<str>]) -> Self {
        match kind {
            Kind::Text => Self::Text(text_at(texts, word)),
            _ => Self::Word(word),
        }
    }

    /// Bytes held outside of the cell itself.
    pub(in crate::aggregate) fn heap(&self) -> usize {
        match self {
            Self::Word(_) => 0,
            Self::Text(text) => 16 + text.len(),
        }
    }

    pub(super) fn ordered(kind: Kind, word: u64, texts: &[Arc<str>]) -> Self {
        match kind {
            Kind::Text => Self::Text(text_at(texts, word)),
            _ => Self::Word(ordered_word(kind, word)),
        }
    }

    pub(in crate::aggregate) fn plain_value(&self, kind: Kind) -> Value {
        match (self, kind) {
            (Self::Text(text), _) => Value::Text(text.clone()),
            (Self::Word(word), Kind::Bool) => Value::Bool(*word != 0),
            (Self::Word(word), Kind::Float) => Value::Float(f64::from_bits(*word)),
            (Self::Word(word), Kind::Timestamp) => Value::Timestamp(*word as i64),
            (Self::Word(word), Kind::Int | Kind::Text) => Value::Int(*word as i64),
        }
    }

    pub(in crate::aggregate) fn ordered_value(&self, kind: Kind) -> Value {
        match (self, kind) {
            (Self::Word(word), _) => Self::Word(unordered_word(kind, *word)).plain_value(kind),
            (Self::Text(_), _) => self.plain_value(kind),
        }
    }
}

/// A word that compares as the value does: NaN above all doubles and every NaN the same, negative zero as zero.
#[inline]
pub(in crate::aggregate) fn ordered_word(kind: Kind, word: u64) -> u64 {
    match kind {
        Kind::Float => {
            let number = f64::from_bits(word);
            let bits = if number.is_nan() { f64::NAN.to_bits() } else { (number + 0.0).to_bits() };
            if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
        }
        Kind::Int | Kind::Timestamp => word ^ (1 << 63),
        Kind::Bool | Kind::Text => word,
    }
}

/// The plain word of an ordered one.
pub(in crate::aggregate) fn unordered_word(kind: Kind, word: u64) -> u64 {
    match kind {
        Kind::Float if word >> 63 == 0 => !word,
        Kind::Float | Kind::Int | Kind::Timestamp => word ^ 1 << 63,
        Kind::Bool | Kind::Text => word,
    }
}

/// How a row's value compares with an ordered cell.
#[inline]
fn compare(kind: Kind, word: u64, texts: &[Arc<str>], cell: &Scalar) -> Ordering {
    match cell {
        Scalar::Word(other) => ordered_word(kind, word).cmp(other),
        Scalar::Text(other) => texts.get(word as usize).map_or("", |text| text).cmp(other),
    }
}

#[inline]
pub(super) fn keep_least(least: &mut Option<Scalar>, kind: Kind, word: u64, texts: &[Arc<str>]) {
    if least.as_ref().is_none_or(|cell| compare(kind, word, texts, cell) == Ordering::Less) {
        *least = Some(Scalar::ordered(kind, word, texts));
    }
}

#[inline]
pub(super) fn keep_greatest(greatest: &mut Option<Scalar>, kind: Kind, word: u64, texts: &[Arc<str>]) {
    if greatest.as_ref().is_none_or(|cell| compare(kind, word, texts, cell) == Ordering::Greater) {
        *greatest = Some(Scalar::ordered(kind, word, texts));
    }
}

#[inline]
pub(super) fn merge(extreme: &mut Option<Scalar>, other: &Scalar, greater: bool) {
    let better = if greater { Ordering::Greater } else { Ordering::Less };
    if extreme.as_ref().is_none_or(|cell| other.cmp(cell) == better) {
        *extreme = Some(other.clone());
    }
}
