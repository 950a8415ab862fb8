//! How often each different value is there, exactly: what `mode`, `top_k` and `entropy` read.
//!
//! Over more than `VALUES_MAX` different values nothing is kept but that they are too many, which is still a function of
//! the set of events. Doubles are equal as numbers: every NaN is one value, and negative zero is zero.

use std::collections::BTreeMap;

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::fold::{Algorithm, CustomFold, Event, Fold, Kind, Scalar, Tiled, get_cell, put_cell};
use crate::error::Result;

/// Different values in one window; of more, the aggregates are null.
pub(in crate::aggregate) const VALUES_MAX: usize = 10_000;
/// Different values in one tile; with more it keeps none, and raw events tell.
const TILE_MAX: usize = 256;

#[derive(Debug)]
struct CountsOfValues(Kind);

/// The fold of values of that kind that gives `Counts`.
pub(in crate::aggregate) fn fold(kind: Kind) -> Fold {
    Fold::Own(CustomFold::tiled(CountsOfValues(kind)))
}

#[derive(Clone, Debug, Default)]
pub(in crate::aggregate) struct Counts {
    /// By ordered value; empty when there are too many.
    counts: BTreeMap<Scalar, u64>,
    too_many: bool,
}

impl Counts {
    /// Ordered values with how often they are there, ascending; none when they are too many.
    pub(in crate::aggregate) fn iter(&self) -> impl Iterator<Item = (&Scalar, u64)> {
        self.counts.iter().map(|(cell, count)| (cell, *count))
    }

    /// The same, the most frequent first, equally frequent ones ascending.
    pub(in crate::aggregate) fn ranked(&self) -> Vec<(&Scalar, u64)> {
        let mut ranked: Vec<_> = self.iter().collect();
        ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        ranked
    }

    fn add(&mut self, cell: Scalar, count: u64) {
        if self.too_many {
            return;
        }
        *self.counts.entry(cell).or_default() += count;
        if self.counts.len() > VALUES_MAX {
            self.overflow();
        }
    }

    fn overflow(&mut self) {
        *self = Self { counts: BTreeMap::new(), too_many: true };
    }
}

impl Algorithm for CountsOfValues {
    type State = Counts;

    fn text(&self) -> String {
        format!("counts {}", self.0.text())
    }

    fn empty(&self) -> Counts {
        Counts::default()
    }

    fn add(&self, state: &mut Counts, event: Event<'_>) {
        state.add(event.ordered(self.0, 0), 1);
    }

    fn encode(&self, state: &Counts, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.too_many));
        put_unsigned(bytes, state.counts.len() as u64);
        for (cell, count) in &state.counts {
            put_cell(bytes, cell);
            put_unsigned(bytes, *count);
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Counts> {
        let (mut state, mut total) = (Counts::default(), 0);
        if reader.byte()? != 0 {
            state.overflow();
        }
        for _ in 0..reader.length()? {
            let cell = get_cell(reader, self.0)?;
            state.add(cell, reader.counted_with(&mut total)?);
        }
        Ok(state)
    }

    fn heap(state: &Counts) -> usize {
        state.counts.keys().map(|cell| 48 + cell.heap()).sum()
    }
}

impl Tiled for CountsOfValues {
    fn merge(&self, state: &mut Counts, other: &Counts) {
        if other.too_many {
            return state.overflow();
        }
        other.counts.iter().for_each(|(cell, count)| state.add(cell.clone(), *count));
    }

    fn outgrows_tile(&self, state: &Counts) -> bool {
        state.too_many || state.counts.len() > TILE_MAX
    }
}
