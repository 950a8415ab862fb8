//! A key's state as stored bytes: a main row, and segments of chunks beside it; see `docs/storage-format.md`.
//! Decoding must answer any bytes with a state or an error, never with a panic.

mod base;
mod doubles;
pub(super) mod rows;
mod sizes;

use triomphe::Arc;

pub use self::sizes::Sizes;
use super::base::ForgottenSummary;
use super::chunk::{CHUNK_MAX, Chunk, ChunkId, SEGMENTS_MAX};
use super::layout::{Label, Layout};
use super::leaf::Leaf;
use super::tree::{Inner, Node};
use crate::aggregate::{ByteReader, FoldSpec, Partial, TIME, put_unsigned};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;

/// Rows of views of which the base holds folds alone.
const VERSION: u8 = 3;
/// Rows of views whose events are forgotten in order, with runs and last rows.
const VERSION_ROWS: u8 = 4;
/// The same of rows whose doubles are all plain, which are still read.
const VERSION_PLAIN: u8 = 1;
const VERSION_ROWS_PLAIN: u8 = 2;
/// Events of a key that are stored in its row, without chunks.
const INLINE_MAX: u64 = 256;
/// Events of the latest chunk that wait in the row for more before they are stored as a segment.
const PENDING_MAX: usize = 128;
/// The same for any earlier chunk.
const PENDING_EARLIER_MAX: usize = 16;

const BASE_NONE: u8 = 0;
const BASE: u8 = 1;
const BASE_DISORDERED: u8 = 2;

const TAG_EMPTY: u8 = 0;
const TAG_INNER: u8 = 1;
const TAG_CHUNK: u8 = 2;
const TAG_INLINE: u8 = 3;
const TAG_TREE: u8 = 4;

/// What is stored of a state, decoded.
pub(super) struct Stored {
    pub(super) applied: Seq,
    pub(super) last: Option<u64>,
    pub(super) base: Option<Arc<ForgottenSummary>>,
    pub(super) root: Node,
}

/// Takes changed chunks.
type Put<'a> = dyn FnMut(ChunkId, Option<&[u8]>) + 'a;

/// The main row. Chunks that changed go to `put`; the tree's older parts become chunks.
pub(super) fn encode(layout: &Layout, stored: &mut Stored, put: &mut Put<'_>) -> Vec<u8> {
    let mut bytes = vec![if layout.forgets_in_order() { VERSION_ROWS } else { VERSION }];
    put_unsigned(&mut bytes, stored.applied.0);
    rows::encode_columns(layout, &mut bytes);
    bytes.push(u8::from(stored.last.is_some()));
    stored.last.iter().for_each(|last| bytes.extend(last.to_le_bytes()));
    bytes.push(match &stored.base {
        None => BASE_NONE,
        Some(base) if base.disordered => BASE_DISORDERED,
        Some(_) => BASE,
    });
    if let Some(base) = &stored.base {
        put_partials(layout, &mut bytes, &layout.base_parts, &base.partials);
        if layout.forgets_in_order() {
            base::encode(layout, base, &mut bytes);
        }
    }
    if stored.root.count(layout) <= INLINE_MAX && !stored.root.holds_chunks() {
        let mut all = Leaf::default();
        stored.root.gather(layout, &mut all);
        bytes.push(TAG_INLINE);
        rows::encode(layout, all.rows(layout), &mut bytes);
        return bytes;
    }
    let mut latest = true;
    page(layout, &mut stored.root, ChunkId { start: 0, level: 32, segment: 0 }, &mut latest, put);
    bytes.push(TAG_TREE);
    put_labels(&mut bytes, layout.part_labels.iter());
    encode_node(layout, &stored.root, &mut bytes);
    bytes
}

/// Turns subtrees of at most `CHUNK_MAX` events into chunks and stores what no segment holds, latest first. `slot`
/// names the interval that the node stands in; `latest` says that no later chunk was seen.
fn page(layout: &Layout, node: &mut Node, slot: ChunkId, latest: &mut bool, put: &mut Put<'_>) {
    match node {
        Node::Leaf(leaf) if leaf.is_empty() => return,
        Node::Inner(inner) if inner.count > CHUNK_MAX || inner.children.iter().any(Node::holds_chunks) => {
            let inner = Arc::make_mut(inner);
            let level = inner.level;
            for place in (0..4).rev() {
                let start = inner.interval(place).0;
                page(layout, &mut inner.children[place], ChunkId { start, level, segment: 0 }, latest, put);
            }
            return;
        }
        Node::Leaf(_) | Node::Inner(_) => *node = Node::Chunk(Arc::new(new_chunk(layout, std::mem::take(node), slot))),
        Node::Chunk(_) => {}
    }
    if let Node::Chunk(chunk) = node {
        let waiting = if std::mem::take(latest) { PENDING_MAX } else { PENDING_EARLIER_MAX };
        store_pending(layout, Arc::make_mut(chunk), waiting, put);
    }
}

/// A chunk of a tree of which nothing is stored.
fn new_chunk(layout: &Layout, node: Node, id: ChunkId) -> Chunk {
    let mut pending = Leaf::default();
    node.gather(layout, &mut pending);
    let last = pending.words.rchunks_exact(layout.shape.stride).next().map_or(0, |row| row[TIME]);
    let count = pending.rows(layout).len() as u64;
    Chunk::of(id, node, count, last, pending)
}

/// Stores a chunk's pending events as a segment when they are more than `waiting`.
fn store_pending(layout: &Layout, chunk: &mut Chunk, waiting: usize, put: &mut Put<'_>) {
    chunk.settle();
    chunk.pending.sort(layout);
    let merges = chunk.segments >= SEGMENTS_MAX && chunk.node().is_some();
    if chunk.pending.rows(layout).len() <= waiting && !merges {
        return;
    }
    if let Some(node) = chunk.node().filter(|_| merges) {
        let mut all = Leaf::default();
        node.gather(layout, &mut all);
        chunk.pending = all;
        chunk.segment_ids().for_each(|id| put(id, None));
        chunk.segments = 0;
    }
    let id = ChunkId { segment: chunk.segments, ..chunk.id };
    put(id, Some(&rows::encode_segment(layout, chunk.pending.rows(layout))));
    chunk.pending_was_put();
}

fn put_labels<'a>(bytes: &mut Vec<u8>, labels: impl ExactSizeIterator<Item = &'a Label>) {
    put_unsigned(bytes, labels.len() as u64);
    labels.for_each(|label| bytes.extend(label));
}

/// The labels of those parts, then a partial of each.
fn put_partials(layout: &Layout, bytes: &mut Vec<u8>, parts: &[usize], partials: &[Partial]) {
    put_labels(bytes, parts.iter().map(|part| &layout.part_labels[*part]));
    for (part, partial) in parts.iter().zip(partials) {
        put_partial(bytes, &layout.parts[*part], partial);
    }
}

fn put_partial(bytes: &mut Vec<u8>, part: &FoldSpec, partial: &Partial) {
    let mut body = Vec::with_capacity(32);
    part.encode(partial, &mut body);
    put_unsigned(bytes, body.len() as u64);
    bytes.extend(body);
}

fn encode_node(layout: &Layout, node: &Node, bytes: &mut Vec<u8>) {
    match node {
        Node::Leaf(_) => bytes.push(TAG_EMPTY),
        Node::Inner(inner) => {
            bytes.extend([TAG_INNER, inner.level]);
            bytes.extend(inner.start.to_le_bytes());
            for slot in 0..4 {
                encode_node(layout, &inner.children[slot], bytes);
                if !inner.children[slot].is_empty() {
                    for (part, partial) in layout.parts.iter().zip(inner.partials(slot)) {
                        put_partial(bytes, part, partial);
                    }
                }
            }
        }
        Node::Chunk(chunk) => {
            bytes.extend([TAG_CHUNK, chunk.id.level]);
            bytes.extend(chunk.id.start.to_le_bytes());
            put_unsigned(bytes, u64::from(chunk.segments));
            put_unsigned(bytes, chunk.count);
            bytes.extend(chunk.last.to_le_bytes());
            rows::encode(layout, chunk.pending.rows(layout), bytes);
        }
    }
}

/// What a row holds; `None` when it lacks something that the layout needs, so that the state must be rebuilt.
pub(super) fn decode(layout: &Layout, row: &[u8]) -> Result<Option<Stored>> {
    let mut reader = ByteReader(row);
    let Some(Head { has_rows, applied, columns, last }) = decode_head(layout, &mut reader)? else { return Ok(None) };
    let mut base = None;
    let kind = reader.byte()?;
    if kind != BASE_NONE {
        let labels = read_labels(&mut reader)?;
        let partials = read_partials(layout, &layout.base_parts, &labels, &mut reader)?;
        let kept = if has_rows { base::decode(layout, &columns, &mut reader)? } else { None };
        let kept = kept.or_else(|| (!layout.forgets_in_order()).then(Default::default));
        let (Some(partials), Some((runs, rows, upto))) = (partials, kept) else { return Ok(None) };
        base = Some(Arc::new(ForgottenSummary { partials: partials.into(), runs, rows, upto, disordered: kind == BASE_DISORDERED }));
    } else if !has_rows && layout.forgets_in_order() {
        // Events may have been forgotten of which nothing was kept.
        return Ok(None);
    }
    let root = match reader.byte()? {
        TAG_INLINE => {
            let mut all = Leaf::default();
            rows::decode(layout, &columns, &mut reader, &mut all)?;
            all.sort(layout);
            Node::build(layout, all.rows(layout))
        }
        TAG_TREE => {
            let labels = read_labels(&mut reader)?;
            let whole = (0, u64::MAX);
            let Some(root) = decode_node(layout, &columns, &labels, &mut reader, 32, whole)? else { return Ok(None) };
            root
        }
        _ => return Err(Error::corrupt("stored state: neither events nor a tree")),
    };
    if !reader.is_empty() {
        return Err(Error::corrupt("stored state: bytes after its end"));
    }
    Ok(Some(Stored { applied, last, base, root }))
}

/// What a main row begins with.
struct Head {
    /// Whether the base has runs and last rows.
    has_rows: bool,
    applied: Seq,
    columns: rows::Columns,
    last: Option<u64>,
}

/// `None` when the row lacks columns that the layout needs.
fn decode_head(layout: &Layout, reader: &mut ByteReader<'_>) -> Result<Option<Head>> {
    let (has_rows, has_powers) = match reader.byte()? {
        VERSION => (false, true),
        VERSION_ROWS => (true, true),
        VERSION_PLAIN => (false, false),
        VERSION_ROWS_PLAIN => (true, false),
        version => {
            let message =
                format!("a state row of format {version}, where this forebay knows 1 to {VERSION_ROWS}: use the version that wrote it");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
    };
    let applied = Seq(reader.unsigned()?);
    let Some(columns) = rows::decode_columns(layout, reader, has_powers)? else { return Ok(None) };
    let last = if reader.byte()? == 0 { None } else { Some(reader.word()?) };
    Ok(Some(Head { has_rows, applied, columns, last }))
}

/// The time of the latest event of a main row, without its events; `None` where that is not known.
pub(super) fn last(layout: &Layout, row: &[u8]) -> Result<Option<u64>> {
    Ok(decode_head(layout, &mut ByteReader(row))?.and_then(|head| head.last))
}

fn read_labels(reader: &mut ByteReader<'_>) -> Result<Vec<Label>> {
    let length = reader.length()?;
    (0..length).map(|_| rows::read_label(reader)).collect()
}

/// The partials of those `parts`, out of stored ones with these labels; `None` when one is missing. One of no bytes is
/// absent.
fn read_partials(layout: &Layout, parts: &[usize], labels: &[Label], reader: &mut ByteReader<'_>) -> Result<Option<Vec<Partial>>> {
    let mut found: Vec<Option<Partial>> = vec![None; parts.len()];
    for label in labels {
        let length = reader.length()?;
        let body = ByteReader(reader.take(length)?);
        for (found, part) in found.iter_mut().zip(parts) {
            let decode = |part: &FoldSpec| if length == 0 { Ok(Partial::Absent) } else { part.decode(&mut { body }) };
            if layout.part_labels[*part] == *label {
                *found = Some(decode(&layout.parts[*part])?);
            } else if let Some((_, wider)) = layout.covering[*part].iter().find(|(wider, _)| wider == label) {
                *found = Some(match decode(wider)? {
                    Partial::Absent => Partial::Absent,
                    wider => layout.parts[*part].narrowed(wider),
                });
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// A node within that interval, whose slots must be below `level`.
fn decode_node(
    layout: &Layout,
    columns: &rows::Columns,
    labels: &[Label],
    reader: &mut ByteReader<'_>,
    level: u8,
    within: (u64, u64),
) -> Result<Option<Node>> {
    let corrupt = |what: &str| Error::corrupt(format!("stored state: {what}"));
    match reader.byte()? {
        TAG_EMPTY => Ok(Some(Node::default())),
        TAG_INNER => {
            let (own, start) = (reader.byte()?, reader.word()?);
            if own >= level || start < within.0 || start > within.1 {
                return Err(corrupt("a node outside of the one above it"));
            }
            let mut inner = Inner::stored(layout, start, own).ok_or_else(|| corrupt("a node that is not aligned"))?;
            let parts: Vec<usize> = (0..layout.parts.len()).collect();
            for slot in 0..4 {
                let Some(child) = decode_node(layout, columns, labels, reader, own, inner.interval(slot))? else { return Ok(None) };
                if child.is_empty() {
                    continue;
                }
                let Some(partials) = read_partials(layout, &parts, labels, reader)? else { return Ok(None) };
                inner.put_stored(layout, slot, child, partials);
            }
            Ok(Some(Node::Inner(Arc::new(inner))))
        }
        TAG_CHUNK => {
            let id = ChunkId { level: reader.byte()?, start: reader.word()?, segment: 0 };
            let segments = u16::try_from(reader.unsigned()?).map_err(|_| corrupt("more segments than a chunk can have"))?;
            let (count, last) = (reader.unsigned()?, reader.word()?);
            let mut pending = Leaf::default();
            rows::decode(layout, columns, reader, &mut pending)?;
            if count == 0 || count >> 48 != 0 {
                return Err(corrupt("a chunk's count is out of range"));
            }
            Ok(Some(Node::Chunk(Arc::new(Chunk::stored(id, segments, count, last, pending)))))
        }
        _ => Err(corrupt("an unknown node")),
    }
}
