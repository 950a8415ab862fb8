//! Raw events in total order in one buffer: the leaves of the tree, and events that wait to be stored.

use std::sync::Arc;

use super::layout::Layout;
use crate::aggregate::{META, OFFSET, Rows, TIME};

/// Events as rows; see `aggregate::Rows`. Usually in total order; `push` may break it and `sort` restores it.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    pub(super) words: Vec<u64>,
    pub(super) texts: Vec<Arc<str>>,
}

/// What orders rows: time, partition (with flags below it, which offsets of a partition never tie on), offset.
#[inline]
fn order(row: &[u64]) -> (u64, u64, u64) {
    (row[TIME], row[META] >> 32, row[OFFSET])
}

impl Leaf {
    #[inline]
    pub(super) fn rows(&self, layout: &Layout) -> Rows<'_> {
        Rows { words: &self.words, stride: layout.shape.stride, texts: &self.texts }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn heap(&self) -> usize {
        8 * self.words.capacity() + self.texts.iter().map(|text| 32 + text.len()).sum::<usize>()
    }

    /// Puts one event into its place.
    #[inline]
    pub(super) fn insert(&mut self, layout: &Layout, event: Rows<'_>) {
        let stride = layout.shape.stride;
        let place = order(event.words);
        let mut at = self.words.len();
        while at > 0 && order(&self.words[at - stride..at]) > place {
            at -= stride;
        }
        if at == self.words.len() {
            self.words.extend_from_slice(event.words);
        } else {
            self.words.splice(at..at, event.words.iter().copied());
        }
        self.take_texts(layout, at, event.texts);
    }

    /// Appends rows as they are.
    pub(super) fn push(&mut self, layout: &Layout, rows: Rows<'_>) {
        let start = self.words.len();
        self.words.extend_from_slice(rows.words);
        if !layout.texts.is_empty() {
            for at in (start..self.words.len()).step_by(rows.stride) {
                self.take_texts(layout, at, rows.texts);
            }
        }
    }

    /// Makes the texts of the row at `at`, which are indices into `texts`, this leaf's own.
    #[inline]
    fn take_texts(&mut self, layout: &Layout, at: usize, texts: &[Arc<str>]) {
        for (word, (flag_word, flag)) in &layout.texts {
            if self.words[at + flag_word] & flag != 0 {
                let text = texts.get(self.words[at + word] as usize).cloned().unwrap_or_default();
                self.words[at + word] = self.texts.len() as u64;
                self.texts.push(text);
            }
        }
    }

    /// Restores total order.
    pub(super) fn sort(&mut self, layout: &Layout) {
        let stride = layout.shape.stride;
        if self.words.chunks_exact(stride).is_sorted_by_key(order) {
            return;
        }
        let mut rows: Vec<&[u64]> = self.words.chunks_exact(stride).collect();
        rows.sort_unstable_by_key(|row| order(row));
        self.words = rows.concat();
    }

    /// Forgets the first rows.
    pub(super) fn drop_front(&mut self, layout: &Layout, rows: usize) {
        let mut kept = Self::default();
        let whole = self.rows(layout);
        kept.push(layout, slice(whole, rows, whole.len()));
        *self = kept;
    }
}

/// Rows `from..to`.
#[inline]
pub(super) fn slice(rows: Rows<'_>, from: usize, to: usize) -> Rows<'_> {
    Rows { words: &rows.words[from * rows.stride..to * rows.stride], ..rows }
}

/// How many rows, which are in order, come before `time`.
#[inline]
pub(super) fn count_before(rows: Rows<'_>, time: u64) -> usize {
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = low.midpoint(high);
        if rows.words[middle * rows.stride + TIME] < time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
