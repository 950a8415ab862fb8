//! What a state keeps of events that it forgot, for windows that are not bounded in time: folds of all of them, the run
//! that a session may go on with, and the last rows. Events are forgotten in total order.

use super::begin::Begin;
use super::layout::{Bound, Layout};
use super::leaf::{Leaf, slice};
use crate::aggregate::{Partial, Rows, SortKey, TIME};
use crate::plan::WindowBounds;

/// What is kept of forgotten events.
#[derive(Clone)]
pub(super) struct ForgottenSummary {
    /// One per `Layout::base_parts`.
    pub(super) partials: Box<[Partial]>,
    /// One per `Layout::runs`.
    pub(super) runs: Box<[Option<Run>]>,
    /// The rows of `Layout::last_rows`.
    pub(super) rows: Leaf,
    /// The time of the last event, where events are forgotten in order.
    pub(super) upto: Option<u64>,
    /// Whether one was taken in that is earlier than others before it: what depends on order is not known any more.
    pub(super) disordered: bool,
}

/// The last run of events that are at most a session's gap apart.
#[derive(Clone)]
pub(super) struct Run {
    /// The times of its first and last event.
    pub(super) first: u64,
    pub(super) last: u64,
    /// One per part of its `RunOf`.
    pub(super) partials: Box<[Partial]>,
}

/// Which of the forgotten events a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BaseOf {
    All,
    /// The run with that index.
    Run(usize),
}

impl ForgottenSummary {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            partials: layout.base_parts.iter().map(|part| layout.parts[*part].empty()).collect(),
            runs: layout.runs.iter().map(|_| None).collect(),
            rows: Leaf::default(),
            upto: None,
            disordered: false,
        }
    }

    /// Whether a window that begins among forgotten events needs an order of theirs that was lost.
    pub(super) fn lacks_order(&self, layout: &Layout, bound: &Bound, begin: Begin, part: usize) -> bool {
        let depends = match (begin, &bound.frame) {
            (Begin::Base(_) | Begin::Row(_), WindowBounds::Session { .. }) => true,
            (Begin::Base(_), _) => layout.ttl.is_some() || !layout.tiled[part],
            (Begin::Row(_), _) => layout.ttl.is_some(),
            (Begin::Never | Begin::At(_), _) => false,
        };
        self.disordered && depends
    }

    /// What is kept of a part; `None` where nothing is.
    pub(super) fn partial(&self, layout: &Layout, of: BaseOf, part: usize) -> Option<&Partial> {
        let (parts, partials) = match of {
            BaseOf::All => (&layout.base_parts, &self.partials),
            BaseOf::Run(run) => (&layout.runs[run].parts, &self.runs[run].as_ref()?.partials),
        };
        Some(&partials[parts.iter().position(|known| *known == part)?])
    }

    /// Takes further rows in, which come in total order unless the base is marked as disordered.
    pub(super) fn forget(&mut self, layout: &Layout, rows: Rows<'_>) {
        for at in 0..rows.len() {
            self.forget_row(layout, slice(rows, at, at + 1));
        }
        let most: usize = layout.last_rows.iter().map(|last| last.rows as usize).sum();
        if self.rows.rows(layout).len() > 2 * most {
            self.drop_rows(layout);
        }
    }

    fn forget_row(&mut self, layout: &Layout, row: Rows<'_>) {
        let time = row.words[TIME];
        if layout.ttl.zip(self.upto).is_some_and(|(ttl, upto)| time.saturating_sub(upto) > ttl as u64) {
            *self = Self::new(layout);
        }
        self.upto = self.upto.max(Some(time));
        for (part, partial) in layout.base_parts.iter().zip(&mut self.partials) {
            layout.parts[*part].add(partial, row);
        }
        for (of, run) in layout.runs.iter().zip(&mut self.runs) {
            if layout.matches(of.filter, row.words) {
                let empty = || of.parts.iter().map(|part| layout.parts[*part].empty()).collect();
                let goes_on = run.take().filter(|run| time.saturating_sub(run.last) <= of.gap as u64);
                let run = run.insert(goes_on.unwrap_or_else(|| Run { first: time, last: time, partials: empty() }));
                run.last = time.max(run.last);
                for (part, partial) in of.parts.iter().zip(&mut run.partials) {
                    layout.parts[*part].add(partial, row);
                }
            }
        }
        if layout.last_rows.iter().any(|last| layout.matches(last.filter, row.words)) {
            self.rows.insert(layout, row);
        }
    }

    /// Drops rows that are not among the last of any kind.
    pub(super) fn drop_rows(&mut self, layout: &Layout) {
        let rows = self.rows.rows(layout);
        let mut left: Vec<u32> = layout.last_rows.iter().map(|last| last.rows).collect();
        let mut kept: Vec<usize> = Vec::new();
        for at in (0..rows.len()).rev() {
            let row = slice(rows, at, at + 1);
            let mut wanted = false;
            for (last, left) in layout.last_rows.iter().zip(&mut left) {
                if *left > 0 && layout.matches(last.filter, row.words) {
                    *left -= 1;
                    wanted = true;
                }
            }
            if wanted {
                kept.push(at);
            }
        }
        if kept.len() < rows.len() {
            let mut leaf = Leaf::default();
            kept.iter().rev().for_each(|at| leaf.push(layout, slice(rows, *at, at + 1)));
            self.rows = leaf;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let runs = self.runs.iter().flatten().flat_map(|run| &run.partials);
        let partials: usize = self.partials.iter().chain(runs).map(|partial| size_of::<Partial>() + partial.heap()).sum();
        size_of::<Self>() + partials + self.rows.heap()
    }
}

/// The place before all events of that time.
pub(super) const fn place_at(time: u64) -> SortKey {
    SortKey { time, partition: 0, offset: 0 }
}
