//! Events of one interval that are stored beside a key's row and loaded when they are first read.
//!
//! A chunk is stored as segments, each a run of rows in total order; together with `pending` they are its events.
//! New events go to `pending` and, where the chunk is in memory, to its tree as well.

use std::sync::OnceLock;

use super::layout::Layout;
use super::leaf::Leaf;
use super::stored::rows as stored_rows;
use super::tree::{Change, Node};
use crate::aggregate::{Rows, TIME};
use crate::error::Result;

/// Events of a chunk, unless they all have the same time or were never read since.
pub(super) const CHUNK_MAX: u64 = 2048;
/// Segments of a chunk, which are then stored as one.
pub(super) const SEGMENTS_MAX: u16 = 24;

/// The name of a stored segment within its key: ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// The first time of its interval, sign bit flipped.
    pub(super) start: u64,
    /// The interval spans 4^level microseconds.
    pub(super) level: u8,
    pub(super) segment: u16,
}

/// Where stored chunks of a key are read. The engine hands it in; the bytes are those that `encode` put.
pub trait Chunks {
    /// The bytes last put under `id`. A `Corrupt` error when there are none.
    fn load(&self, id: ChunkId) -> Result<Vec<u8>>;
}

impl ChunkId {
    /// Eleven bytes that sort by time.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 11] {
        let mut bytes = [0; 11];
        bytes[..8].copy_from_slice(&self.start.to_be_bytes());
        bytes[8] = self.level;
        bytes[9..].copy_from_slice(&self.segment.to_be_bytes());
        bytes
    }

    /// What `to_be_bytes` made.
    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 11]) -> Self {
        let mut start = [0; 8];
        start.copy_from_slice(&bytes[..8]);
        Self { start: u64::from_be_bytes(start), level: bytes[8], segment: u16::from_be_bytes([bytes[9], bytes[10]]) }
    }
}

#[derive(Clone)]
pub(super) struct Chunk {
    /// Segment 0.
    pub(super) id: ChunkId,
    /// How many are stored.
    pub(super) segments: u16,
    pub(super) count: u64,
    /// The time of the last event.
    pub(super) last: u64,
    /// Events that no segment holds, in any order.
    pub(super) pending: Leaf,
    /// Events of segments that were put by the latest `encode` and may not be readable before the next.
    recent: Leaf,
    /// Segments from the first that are readable: all but those of `recent`.
    readable: u16,
    /// All events, once they were read.
    loaded: OnceLock<Node>,
}

impl Chunk {
    /// A chunk that is not in memory.
    pub(super) fn stored(id: ChunkId, segments: u16, count: u64, last: u64, pending: Leaf) -> Self {
        Self { id, segments, count, last, pending, recent: Leaf::default(), readable: segments, loaded: OnceLock::new() }
    }

    /// A chunk of a tree in memory, of which nothing is stored.
    pub(super) fn of(id: ChunkId, node: Node, count: u64, last: u64, pending: Leaf) -> Self {
        Self { loaded: OnceLock::from(node), ..Self::stored(id, 0, count, last, pending) }
    }

    pub(super) fn node(&self) -> Option<&Node> {
        self.loaded.get()
    }

    /// The events of a chunk that is in memory, to be put back or to take its place.
    pub(super) fn take_node(&mut self) -> Option<Node> {
        self.loaded.take()
    }

    pub(super) fn put_node(&mut self, node: Node) {
        self.loaded = OnceLock::from(node);
    }

    /// Adds an event, given as a single row. A chunk in memory that grew too large is given back as a plain tree.
    pub(super) fn insert(&mut self, layout: &Layout, event: Rows<'_>, change: &mut Change) -> Option<Node> {
        self.count += 1;
        self.last = self.last.max(event.words[TIME]);
        self.pending.push(layout, event);
        change.grown += 8 * event.stride;
        let node = self.loaded.get_mut()?;
        node.insert(layout, event, change);
        if self.count <= CHUNK_MAX || matches!(node, Node::Leaf(_)) {
            return None;
        }
        change.garbage.extend(self.segment_ids());
        self.loaded.take()
    }

    pub(super) fn segment_ids(&self) -> impl Iterator<Item = ChunkId> + use<> {
        let id = self.id;
        (0..self.segments).map(move |segment| ChunkId { segment, ..id })
    }

    /// The chunk's events, read from `chunks` the first time; `grown` is told how many bytes that took.
    pub(super) fn load(&self, layout: &Layout, chunks: &dyn Chunks, grown: &dyn Fn(usize)) -> Result<&Node> {
        if let Some(node) = self.loaded.get() {
            return Ok(node);
        }
        let mut rows = Leaf::default();
        for id in self.segment_ids().take(usize::from(self.readable)) {
            stored_rows::decode_segment(layout, &chunks.load(id)?, &mut rows)?;
        }
        rows.push(layout, self.recent.rows(layout));
        rows.push(layout, self.pending.rows(layout));
        rows.sort(layout);
        let node = Node::build(layout, rows.rows(layout));
        grown(node.bytes());
        Ok(self.loaded.get_or_init(|| node))
    }

    /// Makes the pending events, which the caller put as one more segment, those of the latest `encode`.
    pub(super) fn pending_was_put(&mut self) {
        let put = std::mem::take(&mut self.pending);
        self.segments += 1;
        if self.loaded.get().is_none() {
            self.recent = put;
        }
    }

    /// What the `encode` before this one put is readable by now.
    pub(super) fn settle(&mut self) {
        self.recent = Leaf::default();
        self.readable = self.segments;
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.pending.heap() + self.recent.heap() + self.node().map_or(0, Node::bytes)
    }
}
