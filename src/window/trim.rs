//! Forgetting raw events before a horizon. What a window without a lower bound still needs of them stays in a base.

use triomphe::Arc;

use super::base::ForgottenSummary;
use super::chunk::{ChunkId, Chunks};
use super::layout::Layout;
use super::leaf::{Leaf, count_before, slice};
use super::tree::{Inner, Node};
use crate::aggregate::{Partial, Rows};
use crate::error::Result;

/// What trimming a tree leaves behind.
pub(super) struct Trim<'a> {
    pub(super) layout: &'a Layout,
    /// Events before it are forgotten, a chunk only as a whole.
    pub(super) horizon: u64,
    pub(super) base: &'a mut Option<Arc<ForgottenSummary>>,
    pub(super) chunks: &'a dyn Chunks,
    pub(super) grown: &'a dyn Fn(usize),
    /// Stored chunks that no longer are.
    pub(super) garbage: Vec<ChunkId>,
}

impl Trim<'_> {
    /// Whether anything was forgotten; then `settle` the tree. An error leaves it as it was, where `load` was called before.
    pub(super) fn tree(&mut self, node: &mut Node) -> Result<bool> {
        match node {
            Node::Leaf(leaf) => Ok(self.leaf(leaf)),
            Node::Inner(inner) => self.inner(Arc::make_mut(inner)),
            Node::Chunk(chunk) => {
                if chunk.last >= self.horizon {
                    return Ok(false);
                }
                self.keep(node, None)?;
                self.discard(node);
                *node = Node::default();
                Ok(true)
            }
        }
    }

    /// Reads the chunks whose events the base needs, and which no tile sums up.
    pub(super) fn load(&self, node: &Node, tile: Option<&[Partial]>) -> Result<()> {
        let is_kept = |tile: Option<&[Partial]>| {
            let kept = |part: &usize| tile.is_some_and(|tile| !matches!(tile[*part], Partial::Absent));
            !self.layout.forgets_in_order() && self.layout.base_parts.iter().all(kept)
        };
        match node {
            Node::Leaf(_) => {}
            Node::Inner(inner) => {
                for (slot, child) in inner.children.iter().enumerate() {
                    if !child.is_empty() && inner.interval(slot).0 < self.horizon {
                        self.load(child, Some(inner.partials(slot)))?;
                    }
                }
            }
            Node::Chunk(chunk) => {
                if chunk.last < self.horizon && !is_kept(tile) {
                    chunk.load(self.layout, self.chunks, self.grown)?;
                }
            }
        }
        Ok(())
    }

    fn leaf(&mut self, leaf: &mut Leaf) -> bool {
        let rows = leaf.rows(self.layout);
        let gone = count_before(rows, self.horizon);
        if gone == 0 {
            return false;
        }
        self.keep_rows(slice(rows, 0, gone));
        leaf.drop_front(self.layout, gone);
        true
    }

    fn inner(&mut self, inner: &mut Inner) -> Result<bool> {
        let mut changed = false;
        for slot in 0..4 {
            let (first, mut last) = inner.interval(slot);
            if let Node::Chunk(chunk) = &inner.children[slot] {
                last = chunk.last;
            }
            if first >= self.horizon || inner.children[slot].is_empty() {
                continue;
            }
            let mut child = std::mem::take(&mut inner.children[slot]);
            let before = child.count(self.layout);
            if last < self.horizon {
                self.keep(&child, Some(inner.partials(slot)))?;
                self.discard(&child);
                child = Node::default();
            } else if matches!(child, Node::Chunk(_)) || !self.tree(&mut child)? {
                inner.children[slot] = child;
                continue;
            }
            inner.count -= before;
            inner.put_rest(self.layout, slot, child);
            changed = true;
        }
        Ok(changed)
    }

    /// Notes the stored chunks below a node that goes.
    fn discard(&mut self, node: &Node) {
        match node {
            Node::Leaf(_) => {}
            Node::Inner(inner) => inner.children.iter().for_each(|child| self.discard(child)),
            Node::Chunk(chunk) => self.garbage.extend(chunk.segment_ids()),
        }
    }

    /// Keeps what the base needs of a node. `tile` is what the tile over it keeps.
    fn keep(&mut self, node: &Node, tile: Option<&[Partial]>) -> Result<()> {
        let (layout, chunks, grown) = (self.layout, self.chunks, self.grown);
        let Some(base) = self.base() else { return Ok(()) };
        if layout.forgets_in_order() {
            return node.each_leaf(layout, chunks, grown, &mut |rows| base.forget(layout, rows));
        }
        for (part, kept) in layout.base_parts.iter().zip(&mut base.partials) {
            let tile = tile.map_or(&Partial::Absent, |tile| &tile[*part]);
            node.add_to(layout, (*part, kept), tile, chunks, grown)?;
        }
        Ok(())
    }

    fn keep_rows(&mut self, rows: Rows<'_>) {
        let layout = self.layout;
        if let Some(base) = self.base() {
            base.forget(layout, rows);
        }
    }

    /// Where something is kept of forgotten events.
    fn base(&mut self) -> Option<&mut ForgottenSummary> {
        let layout = self.layout;
        if layout.base_parts.is_empty() && !layout.forgets_in_order() {
            return None;
        }
        Some(Arc::make_mut(self.base.get_or_insert_with(|| Arc::new(ForgottenSummary::new(layout)))))
    }
}
