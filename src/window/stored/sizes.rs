//! What a stored row takes, part by part, for people who look for where bytes go.

use std::collections::BTreeMap;

use super::super::layout::Layout;
use super::super::tree::{Inner, Node};
use super::{decode, put_partial, put_partials};
use crate::aggregate::{TIME, unbiased};
use crate::error::Result;
use crate::time::{EventTime, Span};

/// What a key's row holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Raw events, those in chunks included.
    pub events: u64,
    /// Bytes of what is kept of forgotten events.
    pub base: u64,
    /// Stored tiles by the span of their interval: how many, and their bytes.
    pub tiles: BTreeMap<Span, (u64, u64)>,
    /// Raw events by time. Those of a chunk are told as one, at the time of its last.
    pub times: Vec<(EventTime, u64)>,
}

impl Sizes {
    /// Those of a main row; `None` when it was written for other features and lacks something.
    ///
    /// # Errors
    /// Those of `KeyState::decode`.
    pub fn of(layout: &Layout, row: &[u8]) -> Result<Option<Self>> {
        let Some(stored) = decode(layout, row)? else { return Ok(None) };
        let mut sizes = Self { events: stored.root.count(layout), ..Self::default() };
        if let Some(base) = &stored.base {
            let mut bytes = Vec::new();
            put_partials(layout, &mut bytes, &layout.base_parts, &base.partials);
            if layout.forgets_in_order() {
                super::base::encode(layout, base, &mut bytes);
            }
            sizes.base = bytes.len() as u64;
        }
        // A row without chunks holds events alone: its tiles are made when it is read.
        let stores_tiles = stored.root.holds_chunks();
        sizes.add(layout, &stored.root, stores_tiles);
        Ok(Some(sizes))
    }

    fn add(&mut self, layout: &Layout, node: &Node, stores_tiles: bool) {
        match node {
            Node::Leaf(leaf) => {
                let rows = leaf.rows(layout);
                self.times.extend(rows.words.chunks_exact(rows.stride).map(|row| (EventTime(unbiased(row[TIME])), 1)));
            }
            Node::Chunk(chunk) => self.times.push((EventTime(unbiased(chunk.last)), chunk.count)),
            Node::Inner(inner) => {
                for slot in (0..4).filter(|slot| !inner.children[*slot].is_empty()) {
                    if stores_tiles {
                        let tile = self.tiles.entry(span(inner)).or_default();
                        tile.0 += 1;
                        tile.1 += bytes_of_slot(layout, inner, slot);
                    }
                    self.add(layout, &inner.children[slot], stores_tiles);
                }
            }
        }
    }
}

/// How long a slot of the node is: 4^level microseconds, held at the longest there is.
fn span(inner: &Inner) -> Span {
    Span(1_i64.checked_shl(2 * u32::from(inner.level)).filter(|span| *span > 0).unwrap_or(i64::MAX))
}

fn bytes_of_slot(layout: &Layout, inner: &Inner, slot: usize) -> u64 {
    let mut bytes = Vec::new();
    for (part, partial) in layout.parts.iter().zip(inner.partials(slot)) {
        put_partial(&mut bytes, part, partial);
    }
    bytes.len() as u64
}
