//! Where a window begins at a query time: for most a matter of time alone; for sessions and limits a search from the
//! last event that counts backwards. Must never fold anything.

use std::cmp::Reverse;

use super::base::{BaseOf, place_at};
use super::layout::{Bound, Layout};
use super::read::{Skip, View};
use super::tree::{Inner, Node};
use crate::aggregate::{Partial, Rows, SortKey, TIME, biased, unbiased};
use crate::error::Result;
use crate::plan::WindowBounds;

/// The first place that counts; ordered from the latest to the earliest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Begin {
    /// Nothing counts.
    Never,
    /// In the tree.
    At(Reverse<SortKey>),
    /// Before all events of the tree, with these of the forgotten ones.
    Base(BaseOf),
    /// At a row that was kept of the forgotten events.
    Row(Reverse<SortKey>),
}

/// What a visitor wants of a part of the tree.
enum Step {
    /// Nothing: none of it counts, or the visitor has taken it as a whole.
    Pass,
    /// Its rows.
    Enter,
    /// Nothing, nor anything before it.
    Stop,
}

/// Goes through the events of a tree from the latest to the earliest.
trait Backwards<'a> {
    /// A slot that has events, some of which may count by their time.
    fn slot(&mut self, inner: &'a Inner, slot: usize) -> Result<Step>;
    /// The rows of a leaf; whether earlier ones are wanted too.
    fn rows(&mut self, rows: Rows<'a>) -> Result<bool>;
}

/// What windows of one upper end have in common.
pub(super) struct Search<'a> {
    pub(super) state: &'a View<'a>,
    pub(super) layout: &'a Layout,
    /// The moment at which they end: the query time without its offset, or what takes its place.
    pub(super) query: i128,
    /// The last time that counts; `None` when none does.
    pub(super) until: Option<u64>,
    /// The places to leave out, all of one time.
    pub(super) skip: &'a [Skip],
    /// Where the events begin that still count at all.
    pub(super) life: Option<Begin>,
}

impl Search<'_> {
    pub(super) fn begin(&self, bound: &Bound) -> Result<Begin> {
        let Some(until) = self.until else { return Ok(Begin::Never) };
        let begin = match &bound.frame {
            WindowBounds::All => Begin::Base(BaseOf::All),
            WindowBounds::Session { gap } => self.session(until, gap.0, bound.filter)?,
            frame => {
                let start = frame.start(self.query).unwrap_or(i128::MIN).max(i128::from(i64::MIN));
                i64::try_from(start).map_or(Begin::Never, |start| Begin::At(Reverse(place_at(biased(start)))))
            }
        };
        let begin = match bound.limit {
            Some(rows) => self.limit(until, begin, rows, bound.filter)?,
            None => begin,
        };
        Ok(match self.life {
            // The base holds no more than this life.
            None | Some(Begin::Base(_) | Begin::Row(_)) => begin,
            Some(life) => begin.min(life),
        })
    }

    /// Where the run of events begins that holds the last one at the query time, with gaps of at most `ttl` microseconds.
    pub(super) fn life(&self, ttl: i64) -> Result<Begin> {
        let Some(until) = self.until else { return Ok(Begin::Never) };
        let mut life = LifeBack { search: self, until, ttl, edge: self.query, unread: None, first: None };
        let is_open = self.backwards(self.state.root, until, &mut life)?;
        let upto = self.state.base.and_then(|base| base.upto);
        if let (true, Some(upto)) = (is_open, upto)
            && life.reaches(upto)?
        {
            return Ok(Begin::Base(BaseOf::All));
        }
        Ok(life.first.map_or(Begin::Never, |first| Begin::At(Reverse(place_at(first)))))
    }

    /// The place of the last `rows`th event from `begin` on, or `begin` where there are fewer.
    fn limit(&self, until: u64, begin: Begin, rows: u32, filter: Option<usize>) -> Result<Begin> {
        let first = match begin {
            Begin::Never | Begin::Row(_) => return Ok(begin),
            Begin::At(Reverse(place)) => place,
            Begin::Base(_) => place_at(0),
        };
        let counts = self.layout.counts[filter.map_or(0, |filter| filter + 1)];
        let mut nth = NthLast { search: self, until, first, filter, counts, left: u64::from(rows), found: None };
        self.backwards(self.state.root, until, &mut nth)?;
        if let Some(place) = nth.found {
            return Ok(Begin::At(Reverse(place)));
        }
        let Begin::Base(of) = begin else { return Ok(begin) };
        let Some(base) = self.state.base else { return Ok(Begin::Row(Reverse(first))) };
        nth.first = match of {
            BaseOf::All => first,
            BaseOf::Run(run) => place_at(base.runs[run].as_ref().map_or(0, |run| run.first)),
        };
        nth.rows(base.rows.rows(self.layout))?;
        Ok(Begin::Row(Reverse(nth.found.unwrap_or(nth.first))))
    }

    /// Shows a visitor the events up to that time; `false` if it stopped.
    fn backwards<'n>(&self, node: &'n Node, until: u64, visitor: &mut impl Backwards<'n>) -> Result<bool> {
        match node {
            Node::Leaf(leaf) => visitor.rows(leaf.rows(self.layout)),
            Node::Inner(inner) => {
                for (slot, child) in inner.children.iter().enumerate().rev() {
                    if child.is_empty() || inner.interval(slot).0 > until {
                        continue;
                    }
                    let goes_on = match visitor.slot(inner, slot)? {
                        Step::Pass => true,
                        Step::Enter => self.backwards(child, until, visitor)?,
                        Step::Stop => false,
                    };
                    if !goes_on {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Node::Chunk(chunk) => self.backwards(chunk.load(self.layout, self.state.chunks, self.state.grown)?, until, visitor),
        }
    }

    fn session(&self, until: u64, gap: i64, filter: Option<usize>) -> Result<Begin> {
        let mut run = RunBack { search: self, until, gap, filter, edge: self.query, first: None };
        let is_open = self.backwards(self.state.root, until, &mut run)?;
        let forgotten = self.layout.runs.iter().position(|run| (run.gap, run.filter) == (gap, filter));
        if let (true, Some(base), Some(index)) = (is_open, self.state.base, forgotten)
            && base.runs[index].as_ref().is_some_and(|forgotten| run.reaches(forgotten.last))
        {
            return Ok(Begin::Base(BaseOf::Run(index)));
        }
        Ok(run.first.map_or(Begin::Never, |first| Begin::At(Reverse(place_at(first)))))
    }

    fn counts(&self, filter: Option<usize>, row: &[u64]) -> bool {
        self.layout.matches(filter, row) && !self.skip.iter().any(|skip| skip.holds(row))
    }
}

/// The last time of a slot that may hold an event.
pub(super) fn last_of(inner: &Inner, slot: usize) -> u64 {
    match &inner.children[slot] {
        Node::Chunk(chunk) => chunk.last,
        _ => inner.interval(slot).1,
    }
}

/// Counts events backwards.
struct NthLast<'a> {
    search: &'a Search<'a>,
    until: u64,
    /// The first place that may count.
    first: SortKey,
    filter: Option<usize>,
    /// The part that counts the events of the filter, where there is one.
    counts: Option<usize>,
    left: u64,
    /// The place of the last one to be counted.
    found: Option<SortKey>,
}

impl<'n> Backwards<'n> for NthLast<'_> {
    fn slot(&mut self, inner: &'n Inner, slot: usize) -> Result<Step> {
        let ((start, _), last) = (inner.interval(slot), last_of(inner, slot));
        if last < self.first.time {
            return Ok(Step::Stop);
        }
        let skips = self.search.skip.first().is_some_and(|skip| (start..=last).contains(&skip.time));
        let is_whole = last <= self.until && place_at(start) >= self.first && !skips;
        if let (true, Some(part)) = (is_whole, self.counts)
            && let Partial::Count(count) = &inner.partials(slot)[part]
            && *count < self.left
        {
            self.left -= count;
            return Ok(Step::Pass);
        }
        Ok(Step::Enter)
    }

    fn rows(&mut self, rows: Rows<'n>) -> Result<bool> {
        for row in rows.words.rchunks_exact(rows.stride) {
            if row[TIME] > self.until {
                continue;
            }
            let place = SortKey::of(row);
            if place < self.first {
                return Ok(false);
            }
            if self.search.counts(self.filter, row) {
                self.left -= 1;
                if self.left == 0 {
                    self.found = Some(place);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Follows events backwards as long as they are not too far apart.
struct RunBack<'a> {
    search: &'a Search<'a>,
    until: u64,
    gap: i64,
    filter: Option<usize>,
    /// The query time, then the time of the first event so far.
    edge: i128,
    first: Option<u64>,
}

impl RunBack<'_> {
    fn reaches(&self, time: u64) -> bool {
        i128::from(unbiased(time)) >= self.edge - i128::from(self.gap)
    }
}

impl<'n> Backwards<'n> for RunBack<'_> {
    fn slot(&mut self, inner: &'n Inner, slot: usize) -> Result<Step> {
        Ok(if self.reaches(last_of(inner, slot)) { Step::Enter } else { Step::Stop })
    }

    fn rows(&mut self, rows: Rows<'n>) -> Result<bool> {
        for row in rows.words.rchunks_exact(rows.stride) {
            let time = row[TIME];
            if time > self.until {
                continue;
            }
            if !self.reaches(time) {
                return Ok(false);
            }
            if self.search.counts(self.filter, row) {
                self.edge = i128::from(unbiased(time));
                self.first = Some(time);
            }
        }
        Ok(true)
    }
}

/// Follows all events backwards as long as they are not too far apart, by whole intervals where these are short enough.
struct LifeBack<'a> {
    search: &'a Search<'a>,
    until: u64,
    ttl: i64,
    /// The query time, then a time that is not before the first event so far, then exactly its time.
    edge: i128,
    /// What holds the first event so far, where `edge` is not exact.
    unread: Option<&'a Node>,
    /// No event so far is earlier, nor is there one between this and the first.
    first: Option<u64>,
}

impl<'a> LifeBack<'a> {
    fn reaches(&mut self, time: u64) -> Result<bool> {
        let time = i128::from(unbiased(time));
        if time < self.edge - i128::from(self.ttl)
            && let Some(node) = self.unread.take()
        {
            self.edge = i128::from(unbiased(self.first_time(node)?));
        }
        Ok(time >= self.edge - i128::from(self.ttl))
    }

    /// The time of the first event of a node that has some.
    fn first_time(&self, node: &Node) -> Result<u64> {
        let (layout, state) = (self.search.layout, self.search.state);
        match node {
            Node::Leaf(leaf) => Ok(leaf.words.get(TIME).copied().unwrap_or_default()),
            Node::Inner(inner) => {
                inner.children.iter().find(|child| !child.is_empty()).map_or(Ok(inner.start), |child| self.first_time(child))
            }
            Node::Chunk(chunk) => self.first_time(chunk.load(layout, state.chunks, state.grown)?),
        }
    }
}

/// It stops where a silence is too long.
impl<'a> Backwards<'a> for LifeBack<'a> {
    fn slot(&mut self, inner: &'a Inner, slot: usize) -> Result<Step> {
        let (child, (start, end)) = (&inner.children[slot], inner.interval(slot));
        let is_short = end <= self.until && end - start <= self.ttl as u64;
        if !is_short {
            return Ok(Step::Enter);
        }
        if !self.reaches(last_time(self.search.layout, child))? {
            return Ok(Step::Stop);
        }
        (self.edge, self.unread, self.first) = (i128::from(unbiased(end)), Some(child), Some(start));
        Ok(Step::Pass)
    }

    fn rows(&mut self, rows: Rows<'a>) -> Result<bool> {
        for row in rows.words.rchunks_exact(rows.stride) {
            if row[TIME] > self.until {
                continue;
            }
            if !self.reaches(row[TIME])? {
                return Ok(false);
            }
            (self.edge, self.unread, self.first) = (i128::from(unbiased(row[TIME])), None, Some(row[TIME]));
        }
        Ok(true)
    }
}

/// The time of the last event of a node that has some.
fn last_time(layout: &Layout, node: &Node) -> u64 {
    match node {
        Node::Leaf(leaf) => leaf.words.rchunks_exact(layout.shape.stride).next().map_or(0, |row| row[TIME]),
        Node::Inner(inner) => inner.children.iter().rfind(|child| !child.is_empty()).map_or(0, |child| last_time(layout, child)),
        Node::Chunk(chunk) => chunk.last,
    }
}
