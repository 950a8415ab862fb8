//! Reading windows: one walk from the latest event backwards answers all windows that share their upper end, adding
//! summaries of whole intervals and raw events of partial ones, and finishing each window where it starts.

use smallvec::SmallVec;

use super::chunk::Chunks;
use super::layout::{Bound, Layout, Start};
use super::leaf::{count_before, slice};
use super::tree::{Inner, Node};
use crate::aggregate::{Partial, Place, Rows, biased};
use crate::error::Result;
use crate::id::Position;
use crate::time::EventTime;
use crate::value::Value;

/// A state as a walk sees it.
pub(super) struct View<'a> {
    pub(super) root: &'a Node,
    /// Events that were forgotten, one partial per `Layout::base_parts`.
    pub(super) base: Option<&'a [Partial]>,
    /// The time of the last event.
    pub(super) last: u64,
    pub(super) chunks: &'a dyn Chunks,
    pub(super) grown: &'a dyn Fn(usize),
}

/// One feature that was asked for: its bound, and its place in the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    bound: usize,
    slot: usize,
    feature: usize,
}

/// Writes the features' values to `out`, which has one place for each.
pub(super) fn read(
    view: &View<'_>,
    layout: &Layout,
    q: EventTime,
    current: &[Position],
    features: &[usize],
    out: &mut [Value],
) -> Result<()> {
    let mut wanted: SmallVec<[Wanted; 32]> = features
        .iter()
        .enumerate()
        .map(|(slot, feature)| Wanted { bound: layout.features[*feature].bound, slot, feature: *feature })
        .collect();
    wanted.sort_unstable();
    for group in wanted.chunk_by(|a, b| layout.bounds[a.bound].same_group(&layout.bounds[b.bound])) {
        Walk::new(view, layout, q, current, group, out).run()?;
    }
    Ok(())
}

struct Walk<'a, 'o> {
    view: &'a View<'a>,
    layout: &'a Layout,
    /// Not yet finished, from the latest start to the earliest.
    wanted: &'a [Wanted],
    out: &'o mut [Value],
    /// The places to leave out, all of one time.
    skip: SmallVec<[Place; 1]>,
    /// The last time that counts; `None` when none does.
    until: Option<u64>,
    q: EventTime,
    /// The query time without its offset.
    query: i128,
    /// The first time that counts for the window that is being filled.
    from: u64,
    /// Parts and what they folded so far; parts that only later windows need come first.
    folds: SmallVec<[(usize, usize, Partial); 6]>,
    /// Parts that tiles do not keep, in the same order. They are folded when a window is finished.
    ordered: SmallVec<[(usize, usize); 2]>,
    /// All rows from the last that counts back to here, in runs from the latest to the earliest; for `ordered` alone.
    runs: Vec<Rows<'a>>,
}

impl<'a, 'o> Walk<'a, 'o> {
    fn new(view: &'a View<'a>, layout: &'a Layout, q: EventTime, current: &[Position], wanted: &'a [Wanted], out: &'o mut [Value]) -> Self {
        let bound: &Bound = &layout.bounds[wanted[0].bound];
        let query = i128::from(q.0) - i128::from(bound.offset);
        let until = i64::try_from(query - i128::from(bound.before)).ok().map(biased);
        let mut folds: SmallVec<[(usize, usize, Partial); 6]> = SmallVec::new();
        let mut ordered: SmallVec<[(usize, usize); 2]> = SmallVec::new();
        for wanted in wanted.iter().rev() {
            let part = layout.features[wanted.feature].part;
            if !layout.tiled[part] {
                if !ordered.iter().any(|(known, _)| *known == part) {
                    ordered.push((part, wanted.bound));
                }
            } else if !folds.iter().any(|(known, ..)| *known == part) {
                folds.push((part, wanted.bound, layout.parts[part].empty()));
            }
        }
        let place = |at: &Position| Place { time: biased(at.time.0), partition: at.partition.0, offset: at.offset.0 };
        let skip = current.iter().filter(|_| bound.excluding_current).map(place).collect();
        Self { view, layout, wanted, out, skip, until, q, query, from: 0, folds, ordered, runs: Vec::new() }
    }

    fn run(mut self) -> Result<()> {
        if let Some(until) = self.until {
            self.start();
            // Where every event counts, the nodes at the right edge are whole although their intervals reach further.
            let until = if until >= self.view.last { u64::MAX } else { until };
            self.until = Some(until);
            self.visit(self.view.root, until)?;
        }
        while !self.is_done() {
            self.finish();
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Sets `from` for the next window, and finishes those that start after the last time that counts.
    fn start(&mut self) {
        while let Some(wanted) = self.wanted.first() {
            let from = match self.layout.bounds[wanted.bound].start {
                Start::Before { length, closed } => self.query - i128::from(length) + i128::from(!closed),
                Start::Ever => i128::from(i64::MIN),
            };
            match i64::try_from(from.max(i128::from(i64::MIN))) {
                Ok(from) => return self.from = biased(from),
                Err(_) => self.emit(),
            }
        }
    }

    /// Finishes the window that is being filled and goes on to the next.
    fn finish(&mut self) {
        self.emit();
        self.start();
    }

    fn emit(&mut self) {
        let Some(first) = self.wanted.first() else { return };
        let bound = first.bound;
        if self.layout.bounds[bound].start == Start::Ever && self.until.is_some() {
            self.add_base();
        }
        let count = self.wanted.iter().take_while(|wanted| wanted.bound == bound).count();
        let (done, rest) = self.wanted.split_at(count);
        for wanted in done {
            let feature = &self.layout.features[wanted.feature];
            if let Some((.., partial)) = self.folds.iter().find(|(part, ..)| *part == feature.part) {
                self.out[wanted.slot] = feature.value(self.layout, self.q, partial);
            } else {
                let partial = self.fold_in_order(feature.part, bound);
                self.out[wanted.slot] = feature.value(self.layout, self.q, &partial);
            }
        }
        self.wanted = rest;
        while self.folds.last().is_some_and(|(_, last, _)| *last <= bound) {
            self.folds.pop();
        }
        while self.ordered.last().is_some_and(|(_, last)| *last <= bound) {
            self.ordered.pop();
        }
    }

    /// The partial of a part that tiles do not keep, for the window that is being finished.
    fn fold_in_order(&self, part: usize, bound: usize) -> Partial {
        let forgotten = self.view.base.filter(|_| self.layout.bounds[bound].start == Start::Ever && self.until.is_some());
        let at = self.layout.base_parts.iter().position(|known| *known == part);
        let mut partial = match (forgotten, at) {
            (Some(base), Some(at)) => base[at].clone(),
            _ => self.layout.parts[part].empty(),
        };
        let places = || self.runs.iter().rev().flat_map(|rows| rows.words.chunks_exact(rows.stride)).map(Place::of);
        debug_assert!(places().is_sorted(), "rows are folded in total order");
        self.runs.iter().rev().for_each(|rows| self.layout.parts[part].add(&mut partial, *rows));
        partial
    }

    fn add_base(&mut self) {
        let Some(base) = self.view.base else { return };
        for (part, _, partial) in &mut self.folds {
            if let Some(at) = self.layout.base_parts.iter().position(|known| known == part) {
                self.layout.parts[*part].merge(partial, &base[at]);
            }
        }
    }

    fn visit(&mut self, node: &'a Node, until: u64) -> Result<()> {
        match node {
            Node::Leaf(leaf) => self.add_rows(leaf.rows(self.layout), until),
            Node::Inner(inner) => {
                for slot in (0..4).rev() {
                    if self.is_done() {
                        break;
                    }
                    self.visit_slot(inner, slot, until)?;
                }
            }
            Node::Chunk(chunk) => self.visit(chunk.load(self.layout, self.view.chunks, self.view.grown)?, until)?,
        }
        Ok(())
    }

    fn visit_slot(&mut self, inner: &'a Inner, slot: usize, until: u64) -> Result<()> {
        let child = &inner.children[slot];
        let (first, mut last) = inner.interval(slot);
        match child {
            Node::Leaf(leaf) if leaf.is_empty() => return Ok(()),
            Node::Chunk(chunk) => last = chunk.last,
            _ => {}
        }
        if first > until {
            return Ok(());
        }
        while self.from > last {
            self.finish();
            if self.is_done() {
                return Ok(());
            }
        }
        let skips = self.skip.first().is_some_and(|skip| (first..=last).contains(&skip.time));
        if last > until || first < self.from || skips {
            return self.visit(child, until);
        }
        let partials = inner.partials(slot);
        for (part, _, partial) in &mut self.folds {
            match &partials[*part] {
                Partial::Absent => child.add_to(self.layout, (*part, partial), &Partial::Absent, self.view.chunks, self.view.grown)?,
                kept => self.layout.parts[*part].merge(partial, kept),
            }
        }
        if !self.ordered.is_empty() {
            self.collect(child)?;
        }
        Ok(())
    }

    /// Notes all rows of a node, from the latest to the earliest.
    fn collect(&mut self, node: &'a Node) -> Result<()> {
        match node {
            Node::Leaf(leaf) => self.runs.push(leaf.rows(self.layout)),
            Node::Inner(inner) => {
                for child in inner.children.iter().rev().filter(|child| !child.is_empty()) {
                    self.collect(child)?;
                }
            }
            Node::Chunk(chunk) => self.collect(chunk.load(self.layout, self.view.chunks, self.view.grown)?)?,
        }
        Ok(())
    }

    /// Adds raw events from the last that counts backwards, finishing windows where they start.
    fn add_rows(&mut self, rows: Rows<'a>, until: u64) {
        let mut end = until.checked_add(1).map_or(rows.len(), |after| count_before(rows, after));
        while end > 0 && !self.is_done() {
            let start = count_before(slice(rows, 0, end), self.from);
            self.fold(slice(rows, start, end));
            end = start;
            if end > 0 {
                self.finish();
            }
        }
    }

    fn fold(&mut self, rows: Rows<'a>) {
        // The runs between the rows that are left out.
        let mut runs: SmallVec<[Rows<'a>; 2]> = SmallVec::new();
        let mut start = 0;
        if !self.skip.is_empty() {
            for (at, row) in rows.words.chunks_exact(rows.stride).enumerate() {
                if self.skip.contains(&Place::of(row)) {
                    runs.push(slice(rows, start, at));
                    start = at + 1;
                }
            }
        }
        runs.push(slice(rows, start, rows.len()));
        runs.retain(|run| !run.words.is_empty());
        for (part, _, partial) in &mut self.folds {
            runs.iter().for_each(|run| self.layout.parts[*part].add(partial, *run));
        }
        if !self.ordered.is_empty() {
            self.runs.extend(runs.into_iter().rev());
        }
    }
}
