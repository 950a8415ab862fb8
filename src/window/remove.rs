//! Taking events out again. What remains has the form that it would have had without them; a chunk that held one is a
//! plain tree afterwards, which the next `encode` stores anew.

use triomphe::Arc;

use super::chunk::{Chunk, Chunks};
use super::layout::Layout;
use super::leaf::{Leaf, slice};
use super::tree::{Change, LEAF_MAX, Node};
use crate::aggregate::{META, OFFSET, Partial, TIME, biased};
use crate::error::Result;
use crate::id::Position;

/// An event to take out, and where chunks that may hold it are read.
pub(super) struct Removal<'a> {
    pub(super) layout: &'a Layout,
    pub(super) at: Position,
    pub(super) chunks: &'a dyn Chunks,
    /// Is told how many bytes reading took.
    pub(super) grown: &'a dyn Fn(usize),
}

impl Node {
    /// `false` where the event is not there; then, as after an error, the tree is as it was. Otherwise `settle` it.
    pub(super) fn remove(&mut self, removal: &Removal<'_>, change: &mut Change) -> Result<bool> {
        let layout = removal.layout;
        match self {
            Self::Leaf(leaf) => Ok(leaf.remove(layout, removal.at)),
            Self::Inner(inner) => {
                let Some(slot) = inner.slot_of(biased(removal.at.time.0)) else { return Ok(false) };
                let inner = Arc::make_mut(inner);
                let before = inner.children[slot].count(layout);
                if !inner.children[slot].remove(removal, change)? {
                    return Ok(false);
                }
                // Exact sums could be subtracted from; what depends on order or extremes could not.
                inner.count -= before;
                let child = std::mem::take(&mut inner.children[slot]);
                inner.put_rest(layout, slot, child);
                Ok(true)
            }
            Self::Chunk(chunk) => {
                chunk.load(layout, removal.chunks, removal.grown)?;
                let Some(rest) = Arc::make_mut(chunk).without(removal, change)? else { return Ok(false) };
                *self = rest;
                Ok(true)
            }
        }
    }

    /// Brings a node that lost events to the form that the remaining ones have. What was kept of a slot is returned
    /// where its node takes the place of this one: the node may be a chunk that is not in memory.
    pub(super) fn settle(&mut self, layout: &Layout) -> Option<Vec<Partial>> {
        let Self::Inner(inner) = self else { return None };
        let mut held = (0..4).filter(|slot| !inner.children[*slot].is_empty());
        if let (Some(only), None) = (held.next(), held.next()) {
            let inner = Arc::make_mut(inner);
            let partials = inner.partials_mut(only).iter_mut().map(|partial| std::mem::replace(partial, Partial::Absent)).collect();
            *self = std::mem::take(&mut inner.children[only]);
            return Some(partials);
        }
        if inner.count == 0 {
            *self = Self::default();
        } else if inner.count <= LEAF_MAX as u64 && !inner.children.iter().any(Self::holds_chunks) {
            let mut leaf = Leaf::default();
            self.gather(layout, &mut leaf);
            *self = Self::Leaf(leaf);
        }
        None
    }

    /// The time of the last event.
    pub(super) fn latest(&self, layout: &Layout) -> Option<u64> {
        match self {
            Self::Leaf(leaf) => leaf.words.rchunks_exact(layout.shape.stride).next().map(|row| row[TIME]),
            Self::Inner(inner) => inner.children.iter().rev().find_map(|child| child.latest(layout)),
            Self::Chunk(chunk) => Some(chunk.last),
        }
    }
}

impl Chunk {
    /// The events of a chunk that is in memory without that one, as a plain tree; `None` where it is not among them.
    fn without(&mut self, removal: &Removal<'_>, change: &mut Change) -> Result<Option<Node>> {
        let Some(mut node) = self.take_node() else { return Ok(None) };
        if !node.remove(removal, change)? {
            self.put_node(node);
            return Ok(None);
        }
        change.garbage.extend(self.segment_ids());
        Ok(Some(node))
    }
}

impl Leaf {
    fn remove(&mut self, layout: &Layout, at: Position) -> bool {
        let rows = self.rows(layout);
        let is_it =
            |row: &[u64]| row[TIME] == biased(at.time.0) && row[OFFSET] == at.offset.0 && row[META] >> 32 == u64::from(at.partition.0);
        let Some(place) = rows.words.chunks_exact(rows.stride).position(is_it) else { return false };
        let mut kept = Self::default();
        kept.push(layout, slice(rows, 0, place));
        kept.push(layout, slice(rows, place + 1, rows.len()));
        *self = kept;
        true
    }
}
