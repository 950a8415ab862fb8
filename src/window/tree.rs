//! The events of a key by time: leaves of raw events, and above them nodes of four aligned intervals each, with the
//! partials of every interval. Which nodes there are follows from the set of events alone.
//!
//! An inner node stands for the smallest interval of 4^k microseconds, aligned to its own length, that holds all of
//! its events; so at least two of its four slots hold some. Times are biased words (`aggregate::biased`).
//!
//! Nodes are shared between a state and what was cut of it to be read elsewhere (`KeyState::cut`): whoever changes one that
//! is shared copies it first, and with it only the way down to it.

use triomphe::Arc;

use super::chunk::{Chunk, ChunkId, Chunks, SEGMENTS_MAX};
use super::layout::Layout;
use super::leaf::{Leaf, count_before, slice};
use crate::aggregate::{Partial, Rows, TIME};
use crate::error::Result;

/// Events of a leaf, unless they all have the same time.
pub(super) const LEAF_MAX: usize = 64;

#[derive(Clone)]
pub(super) enum Node {
    Leaf(Leaf),
    Inner(Arc<Inner>),
    /// Events of which only summaries need be in memory.
    Chunk(Arc<Chunk>),
}

#[derive(Clone)]
pub(super) struct Inner {
    /// The first time of the node's interval.
    pub(super) start: u64,
    /// A slot spans 4^level microseconds; at most 31.
    pub(super) level: u8,
    pub(super) count: u64,
    /// Slot by slot, one per part of the layout.
    pub(super) partials: Box<[Partial]>,
    /// An empty slot is an empty leaf.
    pub(super) children: [Node; 4],
}

/// What an insertion or a removal changed besides the tree.
#[derive(Default)]
pub(super) struct Change {
    /// Bytes of memory more, roughly.
    pub(super) grown: usize,
    /// Stored chunks that no longer are.
    pub(super) garbage: Vec<ChunkId>,
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Leaf::default())
    }
}

impl Inner {
    fn new(layout: &Layout, start: u64, level: u8) -> Self {
        let partials = (0..4).flat_map(|_| layout.empty_tile()).collect();
        Self { start, level, count: 0, partials, children: Default::default() }
    }

    /// A node of which the slots are yet to be put; `None` for an interval that is none.
    pub(super) fn stored(layout: &Layout, start: u64, level: u8) -> Option<Self> {
        (level < 32 && start & span_mask(level + 1) == 0).then(|| Self::new(layout, start, level))
    }

    /// The smallest aligned node that holds both times, which differ.
    fn around(layout: &Layout, a: u64, b: u64) -> Self {
        let level = ((a ^ b).ilog2() / 2) as u8;
        Self::new(layout, a & !span_mask(level + 1), level)
    }

    #[inline]
    fn covers(&self, time: u64) -> bool {
        (time ^ self.start) & !span_mask(self.level + 1) == 0
    }

    /// The slot that a time falls into, where it falls into the node.
    pub(super) fn slot_of(&self, time: u64) -> Option<usize> {
        self.covers(time).then(|| self.slot(time))
    }

    #[inline]
    fn slot(&self, time: u64) -> usize {
        (time >> (2 * self.level) & 3) as usize
    }

    /// First and last time of a slot.
    #[inline]
    pub(super) fn interval(&self, slot: usize) -> (u64, u64) {
        let first = self.start | (slot as u64) << (2 * self.level);
        (first, first | span_mask(self.level))
    }

    #[inline]
    pub(super) fn partials(&self, slot: usize) -> &[Partial] {
        let parts = self.partials.len() / 4;
        &self.partials[slot * parts..(slot + 1) * parts]
    }

    #[inline]
    pub(super) fn partials_mut(&mut self, slot: usize) -> &mut [Partial] {
        let parts = self.partials.len() / 4;
        &mut self.partials[slot * parts..(slot + 1) * parts]
    }

    /// Bytes of the node itself, without its children.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.partials.iter().map(|partial| size_of::<Partial>() + partial.heap()).sum::<usize>()
    }

    /// Puts a node into an empty slot.
    pub(super) fn put(&mut self, layout: &Layout, slot: usize, node: Node) {
        self.count += node.count(layout);
        for (partial, summary) in self.partials_mut(slot).iter_mut().zip(node.summary(layout)) {
            *partial = summary;
        }
        self.children[slot] = node;
    }

    /// Puts a node that lost events into its slot, in the form that the remaining ones have.
    pub(super) fn put_rest(&mut self, layout: &Layout, slot: usize, mut node: Node) {
        match node.settle(layout) {
            Some(partials) => self.put_stored(layout, slot, node, partials),
            None => self.put(layout, slot, node),
        }
    }

    /// Puts a node whose partials are known into an empty slot.
    pub(super) fn put_stored(&mut self, layout: &Layout, slot: usize, node: Node, partials: impl IntoIterator<Item = Partial>) {
        self.count += node.count(layout);
        for (partial, stored) in self.partials_mut(slot).iter_mut().zip(partials) {
            *partial = stored;
        }
        self.children[slot] = node;
    }
}

/// The bits of a time within an interval of 4^level microseconds.
#[inline]
fn span_mask(level: u8) -> u64 {
    if level >= 32 { u64::MAX } else { (1 << (2 * level)) - 1 }
}

impl Node {
    /// The tree of rows that are in total order.
    pub(super) fn build(layout: &Layout, rows: Rows<'_>) -> Self {
        let length = rows.len();
        let ends = rows.words.get(TIME).zip(length.checked_sub(1).map(|last| rows.words[last * rows.stride + TIME]));
        let Some((first, last)) = ends.filter(|(first, last)| length > LEAF_MAX && *first != last) else {
            let mut leaf = Leaf::default();
            leaf.push(layout, rows);
            return Self::Leaf(leaf);
        };
        let mut inner = Inner::around(layout, *first, last);
        let mut from = 0;
        for slot in 0..4 {
            let to = match slot {
                3 => length,
                _ => count_before(rows, inner.interval(slot).1 + 1),
            };
            if from < to {
                inner.put(layout, slot, Self::build(layout, slice(rows, from, to)));
            }
            from = to;
        }
        Self::Inner(Arc::new(inner))
    }

    /// Adds an event, given as a single row.
    pub(super) fn insert(&mut self, layout: &Layout, event: Rows<'_>, change: &mut Change) {
        let time = event.words[TIME];
        match self {
            Self::Leaf(leaf) => {
                leaf.insert(layout, event);
                let rows = leaf.rows(layout);
                if rows.len() > LEAF_MAX && rows.words[TIME] != rows.words[(rows.len() - 1) * rows.stride + TIME] {
                    *self = Self::build(layout, rows);
                    change.grown += self.bytes() / 4;
                }
            }
            Self::Inner(inner) if inner.covers(time) => {
                let inner = Arc::make_mut(inner);
                let slot = inner.slot(time);
                inner.count += 1;
                for (part, partial) in layout.parts.iter().zip(inner.partials_mut(slot)) {
                    part.add(partial, event);
                    part.limit_tile(partial);
                }
                inner.children[slot].insert(layout, event, change);
            }
            Self::Inner(inner) => {
                let mut above = Inner::around(layout, inner.start, time);
                let (old_slot, new_slot) = (above.slot(inner.start), above.slot(time));
                above.put(layout, old_slot, std::mem::take(self));
                above.put(layout, new_slot, Self::build(layout, event));
                change.grown += above.bytes();
                *self = Self::Inner(Arc::new(above));
            }
            Self::Chunk(chunk) => {
                if let Some(outgrown) = Arc::make_mut(chunk).insert(layout, event, change) {
                    *self = outgrown;
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.is_empty(),
            Self::Inner(_) => false,
            Self::Chunk(chunk) => chunk.count == 0,
        }
    }

    /// The number of events.
    pub(super) fn count(&self, layout: &Layout) -> u64 {
        match self {
            Self::Leaf(leaf) => leaf.rows(layout).len() as u64,
            Self::Inner(inner) => inner.count,
            Self::Chunk(chunk) => chunk.count,
        }
    }

    /// What a tile keeps of all events: of those of a chunk that is not in memory nothing, so that readers ask the chunk.
    fn summary(&self, layout: &Layout) -> Vec<Partial> {
        let mut partials: Vec<Partial> = layout.empty_tile().collect();
        match self {
            Self::Leaf(leaf) => {
                for (part, partial) in layout.parts.iter().zip(&mut partials) {
                    part.add(partial, leaf.rows(layout));
                }
            }
            Self::Inner(inner) => {
                for slot in 0..4 {
                    for ((part, partial), other) in layout.parts.iter().zip(&mut partials).zip(inner.partials(slot)) {
                        part.merge(partial, other);
                    }
                }
            }
            Self::Chunk(chunk) => {
                return match chunk.node() {
                    Some(node) => node.summary(layout),
                    None => vec![Partial::Absent; layout.parts.len()],
                };
            }
        }
        for (part, partial) in layout.parts.iter().zip(&mut partials) {
            part.limit_tile(partial);
        }
        partials
    }

    /// Adds all events, in total order, to a partial of that part. `tile` is what the tile over the node keeps of it.
    ///
    /// # Errors
    /// Those of `chunks`, and `Corrupt` where a chunk cannot be read.
    pub(super) fn add_to(
        &self,
        layout: &Layout,
        (part, partial): (usize, &mut Partial),
        tile: &Partial,
        chunks: &dyn Chunks,
        grown: &dyn Fn(usize),
    ) -> Result<()> {
        if !matches!(tile, Partial::Absent) {
            layout.parts[part].merge(partial, tile);
            return Ok(());
        }
        match self {
            Self::Leaf(leaf) => layout.parts[part].add(partial, leaf.rows(layout)),
            Self::Inner(inner) => {
                for slot in 0..4 {
                    inner.children[slot].add_to(layout, (part, partial), &inner.partials(slot)[part], chunks, grown)?;
                }
            }
            Self::Chunk(chunk) => {
                chunk.load(layout, chunks, grown)?.add_to(layout, (part, partial), &Partial::Absent, chunks, grown)?;
            }
        }
        Ok(())
    }

    /// Bytes held outside of the node itself, by a walk.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.heap(),
            Self::Inner(inner) => inner.bytes() + inner.children.iter().map(Self::bytes).sum::<usize>(),
            Self::Chunk(chunk) => chunk.bytes(),
        }
    }

    /// Appends all events in total order. Chunks that are not in memory are left out.
    pub(super) fn gather(&self, layout: &Layout, into: &mut Leaf) {
        match self {
            Self::Leaf(leaf) => into.push(layout, leaf.rows(layout)),
            Self::Inner(inner) => inner.children.iter().for_each(|child| child.gather(layout, into)),
            Self::Chunk(chunk) => {
                if let Some(node) = chunk.node() {
                    node.gather(layout, into);
                }
            }
        }
    }

    /// Gives all rows, leaf by leaf in total order, to `each`.
    ///
    /// # Errors
    /// Those of `chunks`, and `Corrupt` where a chunk cannot be read.
    pub(super) fn each_leaf(
        &self,
        layout: &Layout,
        chunks: &dyn Chunks,
        grown: &dyn Fn(usize),
        each: &mut dyn FnMut(Rows<'_>),
    ) -> Result<()> {
        match self {
            Self::Leaf(leaf) => each(leaf.rows(layout)),
            Self::Inner(inner) => inner.children.iter().try_for_each(|child| child.each_leaf(layout, chunks, grown, each))?,
            Self::Chunk(chunk) => chunk.load(layout, chunks, grown)?.each_leaf(layout, chunks, grown, each)?,
        }
        Ok(())
    }

    /// Reads the chunks that have too many segments.
    pub(super) fn load_segmented(&self, layout: &Layout, chunks: &dyn Chunks, grown: &dyn Fn(usize)) -> Result<()> {
        match self {
            Self::Inner(inner) => inner.children.iter().try_for_each(|child| child.load_segmented(layout, chunks, grown)),
            Self::Chunk(chunk) if chunk.segments >= SEGMENTS_MAX => chunk.load(layout, chunks, grown).map(drop),
            Self::Leaf(_) | Self::Chunk(_) => Ok(()),
        }
    }

    pub(super) fn holds_chunks(&self) -> bool {
        match self {
            Self::Leaf(_) => false,
            Self::Inner(inner) => inner.children.iter().any(Self::holds_chunks),
            Self::Chunk(_) => true,
        }
    }
}
