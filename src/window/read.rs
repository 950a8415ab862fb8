//! Reading windows: one walk from the latest event backwards answers all windows that share their upper end, adding
//! summaries of whole intervals and raw events of partial ones, and finishing each window where it begins.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::Known;
use super::base::{BaseOf, ForgottenSummary, place_at};
use super::begin::{Begin, Search, last_of};
use super::chunk::Chunks;
use super::layout::{Bound, Layout};
use super::leaf::{count_before, slice};
use super::tree::{Inner, Node};
use crate::aggregate::{Partial, Rows, SortKey, biased};
use crate::error::Result;
use crate::id::Places;
use crate::time::EventTime;
use crate::value::Value;

/// A state as a walk sees it.
pub(super) struct View<'a> {
    pub(super) root: &'a Node,
    /// What is kept of events that were forgotten.
    pub(super) base: Option<&'a ForgottenSummary>,
    /// The time of the last event.
    pub(super) last: u64,
    pub(super) chunks: &'a dyn Chunks,
    pub(super) grown: &'a dyn Fn(usize),
}

impl View<'_> {
    /// The last time that counts. Where every event does, the nodes at the right edge are whole although their intervals
    /// reach further.
    fn whole(&self, until: u64) -> u64 {
        if until >= self.last { u64::MAX } else { until }
    }
}

/// One feature that was asked for: its bound, and its place in the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    bound: usize,
    slot: usize,
    feature: usize,
}

/// Writes the features' values to `out`, which has one place for each, and says whether they are known.
pub(super) fn read(
    view: &View<'_>,
    layout: &Layout,
    q: EventTime,
    current: &[Places],
    features: &[usize],
    out: &mut [Value],
) -> Result<Known> {
    let mut known = Known::All;
    let mut wanted: SmallVec<[Wanted; 32]> = features
        .iter()
        .enumerate()
        .map(|(slot, feature)| Wanted { bound: layout.features[*feature].bound, slot, feature: *feature })
        .collect();
    wanted.sort_unstable();
    let life = match layout.ttl {
        Some(ttl) => {
            let until = Some(view.whole(biased(q.0)));
            Some(Search { state: view, layout, query: i128::from(q.0), until, skip: &[], life: None }.life(ttl)?)
        }
        None => None,
    };
    for group in wanted.chunk_by(|a, b| layout.bounds[a.bound].same_group(&layout.bounds[b.bound])) {
        let walk = Walk::new(view, layout, (q, current), life, group, out)?;
        if view.base.is_some_and(|base| walk.lacks_order(base)) {
            known = Known::NotInOrder;
        }
        walk.run()?;
    }
    Ok(known)
}

/// Rows that are left out: those at a place, and as many offsets after it.
#[derive(Clone, Copy)]
pub(super) struct Skip {
    pub(super) time: u64,
    partition: u32,
    first: u64,
    others: u64,
}

impl Skip {
    fn of(places: &Places) -> Self {
        let Places { first, others } = *places;
        Self { time: biased(first.time.0), partition: first.partition.0, first: first.offset.0, others: u64::from(others) }
    }

    #[inline]
    pub(super) fn holds(&self, row: &[u64]) -> bool {
        let at = SortKey::of(row);
        at.time == self.time && at.partition == self.partition && at.offset.wrapping_sub(self.first) <= self.others
    }
}

/// A window at the query time, with the features that read it.
struct Window<'a> {
    begin: Begin,
    wanted: &'a [Wanted],
}

struct Walk<'a, 'o> {
    view: &'a View<'a>,
    layout: &'a Layout,
    /// From the latest beginning to the earliest.
    windows: SmallVec<[Window<'a>; 8]>,
    /// The window that is being filled; those before it are finished.
    filling: usize,
    out: &'o mut [Value],
    /// The places to leave out, all of one time.
    skip: SmallVec<[Skip; 1]>,
    /// The last time that counts; `None` when none does.
    until: Option<u64>,
    q: EventTime,
    /// The first place that counts for the window that is being filled.
    from: SortKey,
    /// Parts, the last window that needs each, and what they folded so far; what later windows need comes first.
    folds: SmallVec<[(usize, usize, Partial); 6]>,
    /// Parts that tiles do not keep, in the same order. They are folded when a window is finished.
    ordered: SmallVec<[(usize, usize); 2]>,
    /// All rows from the last that counts back to here, in runs from the latest to the earliest; for `ordered` alone.
    runs: Vec<Rows<'a>>,
}

impl<'a, 'o> Walk<'a, 'o> {
    fn new(
        view: &'a View<'a>,
        layout: &'a Layout,
        (q, current): (EventTime, &[Places]),
        life: Option<Begin>,
        wanted: &'a [Wanted],
        out: &'o mut [Value],
    ) -> Result<Self> {
        let bound: &Bound = &layout.bounds[wanted[0].bound];
        let end = bound.end(q);
        let until = end.and_then(|end| i64::try_from(end - i128::from(bound.ends_before())).ok()).map(|until| view.whole(biased(until)));
        // Nothing is asked of it where nothing counts.
        let query = end.unwrap_or_default();
        let skip: SmallVec<[Skip; 1]> = current.iter().filter(|_| bound.excluding_current).map(Skip::of).collect();
        let search = Search { state: view, layout, query, until, skip: &skip, life };
        let mut windows: SmallVec<[Window<'a>; 8]> = SmallVec::new();
        for wanted in wanted.chunk_by(|a, b| a.bound == b.bound) {
            windows.push(Window { begin: search.begin(&layout.bounds[wanted[0].bound])?, wanted });
        }
        windows.sort_unstable_by_key(|window| window.begin);
        let mut folds: SmallVec<[(usize, usize, Partial); 6]> = SmallVec::new();
        let mut ordered: SmallVec<[(usize, usize); 2]> = SmallVec::new();
        for (index, window) in windows.iter().enumerate().rev() {
            for wanted in window.wanted {
                let part = layout.features[wanted.feature].part;
                if !layout.tiled[part] {
                    if !ordered.iter().any(|(known, _)| *known == part) {
                        ordered.push((part, index));
                    }
                } else if !folds.iter().any(|(known, ..)| *known == part) {
                    folds.push((part, index, layout.parts[part].empty()));
                }
            }
        }
        Ok(Self { view, layout, windows, filling: 0, out, skip, until, q, from: place_at(0), folds, ordered, runs: Vec::new() })
    }

    fn lacks_order(&self, base: &ForgottenSummary) -> bool {
        let lacks = |window: &Window<'_>, wanted: &Wanted| {
            let (bound, part) = (&self.layout.bounds[wanted.bound], self.layout.features[wanted.feature].part);
            base.lacks_order(self.layout, bound, window.begin, part)
        };
        self.windows.iter().any(|window| window.wanted.iter().any(|wanted| lacks(window, wanted)))
    }

    fn run(mut self) -> Result<()> {
        self.start();
        if let Some(until) = self.until.filter(|_| !self.is_done()) {
            self.visit(self.view.root, until)?;
            while self.windows.get(self.filling).is_some_and(|window| !matches!(window.begin, Begin::Row(_))) {
                self.finish();
            }
            if let Some(base) = self.view.base {
                self.add_rows(base.rows.rows(self.layout), until);
            }
        }
        while !self.is_done() {
            self.finish();
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.filling == self.windows.len()
    }

    /// Sets `from` for the next window, and finishes those in which nothing counts.
    fn start(&mut self) {
        while let Some(window) = self.windows.get(self.filling) {
            match window.begin {
                Begin::Never => self.emit(),
                Begin::At(Reverse(place)) | Begin::Row(Reverse(place)) => return self.from = place,
                Begin::Base(_) => return self.from = place_at(0),
            }
        }
    }

    /// Finishes the window that is being filled and goes on to the next.
    fn finish(&mut self) {
        self.emit();
        self.start();
    }

    fn emit(&mut self) {
        let Some(Window { begin, wanted }) = self.windows.get(self.filling) else { return };
        let (index, begin, wanted) = (self.filling, *begin, *wanted);
        let base = if let Begin::Base(of) = begin { self.view.base.map(|base| (base, of)) } else { None };
        let mut aside: SmallVec<[(usize, Partial); 2]> = SmallVec::new();
        if let Some((base, of)) = base {
            for (part, last, partial) in &mut self.folds {
                let Some(forgotten) = base.partial(self.layout, of, *part) else { continue };
                if *last == index {
                    self.layout.parts[*part].merge(partial, forgotten);
                } else if wanted.iter().any(|wanted| self.layout.features[wanted.feature].part == *part) {
                    let mut whole = partial.clone();
                    self.layout.parts[*part].merge(&mut whole, forgotten);
                    aside.push((*part, whole));
                }
            }
        }
        for wanted in wanted {
            let feature = &self.layout.features[wanted.feature];
            if !self.layout.tiled[feature.part] && !aside.iter().any(|(part, _)| *part == feature.part) {
                aside.push((feature.part, self.fold_in_order(feature.part, base)));
            }
            let own = aside.iter().find(|(part, _)| *part == feature.part).map(|(_, partial)| partial);
            let shared = || self.folds.iter().find(|(part, ..)| *part == feature.part).map(|(.., partial)| partial);
            if let Some(partial) = own.or_else(shared) {
                self.out[wanted.slot] = feature.value(self.layout, self.q, partial);
            }
        }
        self.filling += 1;
        while self.folds.last().is_some_and(|(_, last, _)| *last <= index) {
            self.folds.pop();
        }
        while self.ordered.last().is_some_and(|(_, last)| *last <= index) {
            self.ordered.pop();
        }
    }

    /// The partial of a part that tiles do not keep, for the window that is being finished.
    fn fold_in_order(&self, part: usize, base: Option<(&ForgottenSummary, BaseOf)>) -> Partial {
        let forgotten = base.and_then(|(base, of)| base.partial(self.layout, of, part));
        let mut partial = forgotten.cloned().unwrap_or_else(|| self.layout.parts[part].empty());
        self.runs.iter().rev().for_each(|rows| self.layout.parts[part].add(&mut partial, *rows));
        partial
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
        let (child, (first, _), last) = (&inner.children[slot], inner.interval(slot), last_of(inner, slot));
        if first > until || child.is_empty() {
            return Ok(());
        }
        while self.from.time > last {
            self.finish();
            if self.is_done() {
                return Ok(());
            }
        }
        let skips = self.skip.first().is_some_and(|skip| (first..=last).contains(&skip.time));
        if last > until || place_at(first) < self.from || skips {
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

    /// Adds raw events from the last that counts backwards, finishing windows where they begin.
    fn add_rows(&mut self, rows: Rows<'a>, until: u64) {
        let mut end = until.checked_add(1).map_or(rows.len(), |after| count_before(rows, after));
        while end > 0 && !self.is_done() {
            let mut start = count_before(slice(rows, 0, end), self.from.time);
            while start < end && SortKey::of(slice(rows, start, end).words) < self.from {
                start += 1;
            }
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
                if self.skip.iter().any(|skip| skip.holds(row)) {
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
