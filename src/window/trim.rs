//! Forgetting raw events before a horizon. What a window without a lower bound still needs of them stays in a base.

use super::chunk::ChunkId;
use super::layout::Layout;
use super::leaf::{Leaf, count_before, slice};
use super::tree::{Inner, Node};
use crate::aggregate::{Partial, Rows};

/// What trimming a tree leaves behind.
pub(super) struct Trim<'a> {
    pub(super) layout: &'a Layout,
    /// Events before it are forgotten, a chunk only as a whole.
    pub(super) horizon: u64,
    pub(super) base: &'a mut Option<Box<[Partial]>>,
    /// Stored chunks that no longer are.
    pub(super) garbage: Vec<ChunkId>,
}

impl Trim<'_> {
    /// Whether anything was forgotten.
    pub(super) fn tree(&mut self, node: &mut Node) -> bool {
        match node {
            Node::Leaf(leaf) => self.leaf(leaf),
            Node::Inner(inner) => {
                let changed = self.inner(inner);
                if changed {
                    node.settle(self.layout);
                }
                changed
            }
            Node::Chunk(chunk) => {
                let forgettable = self.layout.base_parts.is_empty() || chunk.node().is_some();
                if chunk.last >= self.horizon || !forgettable {
                    return false;
                }
                self.keep(&node.summary(self.layout));
                self.discard(node);
                *node = Node::default();
                true
            }
        }
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

    fn inner(&mut self, inner: &mut Inner) -> bool {
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
                self.keep(inner.partials(slot));
                self.discard(&child);
                child = Node::default();
            } else if matches!(child, Node::Chunk(_)) || !self.tree(&mut child) {
                inner.children[slot] = child;
                continue;
            }
            inner.count -= before;
            inner.put(self.layout, slot, child);
            changed = true;
        }
        changed
    }

    /// Notes the stored chunks below a node that goes.
    fn discard(&mut self, node: &Node) {
        match node {
            Node::Leaf(_) => {}
            Node::Inner(inner) => inner.children.iter().for_each(|child| self.discard(child)),
            Node::Chunk(chunk) => self.garbage.extend(chunk.segment_ids()),
        }
    }

    fn keep(&mut self, partials: &[Partial]) {
        let layout = self.layout;
        for (part, kept) in self.base() {
            layout.parts[part].merge(kept, &partials[part]);
        }
    }

    fn keep_rows(&mut self, rows: Rows<'_>) {
        let layout = self.layout;
        for (part, kept) in self.base() {
            layout.parts[part].add(kept, rows);
        }
    }

    /// The parts that are kept, with what is kept of them.
    fn base(&mut self) -> impl Iterator<Item = (usize, &mut Partial)> {
        let layout = self.layout;
        if !layout.base_parts.is_empty() {
            let empty = || layout.base_parts.iter().map(|part| layout.parts[*part].empty()).collect();
            self.base.get_or_insert_with(empty);
        }
        layout.base_parts.iter().copied().zip(self.base.iter_mut().flat_map(|base| base.iter_mut()))
    }
}
