//! The state of one key in one view: its events, and tiles over them that answer every window exactly. Pure: no I/O
//! (stored chunks are read through `Chunks`), no clock, no threads. What a value is: `docs/semantics.md`.
//!
//! - `layout`: what all keys of a view share; `inputs`: a batch, evaluated once
//! - `leaf`, `tree`, `chunk`: raw events in order, aligned tiles above them, and what need not be in memory
//! - `read`: windows, `begin`: where they begin; `remove`: retraction; `trim`: forgetting, `base`: what is kept of what
//!   was forgotten; `stored`: bytes (`docs/storage-format.md`)

mod base;
mod begin;
mod chunk;
mod direct;
mod inputs;
mod layout;
mod leaf;
mod read;
mod remove;
mod stored;
mod tree;
mod trim;

use std::sync::atomic::{AtomicUsize, Ordering};

use triomphe::Arc;

use self::base::ForgottenSummary;
pub use self::chunk::{ChunkId, Chunks};
pub use self::direct::fold_directly;
pub use self::inputs::Inputs;
pub use self::layout::Layout;
use self::remove::Removal;
pub use self::stored::Sizes;
use self::stored::Stored;
use self::tree::{Change, Node};
use self::trim::Trim;
use crate::aggregate::{biased, unbiased};
use crate::error::Result;
use crate::id::{Places, Position, Seq};
use crate::time::{EventTime, Span};
use crate::value::Value;

/// The state of one key in one view. Its values depend on the set of inserted events alone.
#[derive(Default)]
pub struct KeyState {
    root: Node,
    /// What is kept of forgotten events.
    base: Option<Arc<ForgottenSummary>>,
    /// The time of the last event, or a later one; see `remove`.
    last: Option<u64>,
    /// Bytes of memory, roughly; `loaded` are those that reading chunks brought in, here or in what was cut.
    held: usize,
    loaded: Option<Arc<AtomicUsize>>,
    /// Stored chunks that the next `encode` deletes.
    garbage: Option<Box<Vec<ChunkId>>>,
}

/// Whether values that were read are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    All,
    /// Some depend on the order of forgotten events, of which one came after later ones were forgotten: they are not what
    /// they should be. A state that is built of all events knows them.
    NotInOrder,
}

/// A state row, read.
pub enum Decoded {
    /// The state, which holds the key's events up to and including that one.
    State(KeyState, Seq),
    /// The row was written for other features and lacks something: rebuild the key from its events.
    Incomplete,
}

impl KeyState {
    #[must_use]
    pub fn new(_layout: &Layout) -> Self {
        Self::default()
    }

    /// Adds the event in that row of a batch; events may come in any order, each once.
    pub fn insert(&mut self, layout: &Layout, at: Position, inputs: &Inputs, row: usize) {
        let event = inputs.event(layout, at, row);
        let rows = event.rows();
        self.last = self.last.max(Some(biased(at.time.0)));
        // No window that is bounded in time asks for an event that is earlier than forgotten ones.
        if let Some(base) = self.base.as_mut().filter(|base| base.upto >= Some(biased(at.time.0))) {
            let base = Arc::make_mut(base);
            base.disordered |= layout.forgets_in_order();
            return base.forget(layout, rows);
        }
        let mut change = Change { grown: 8 * rows.words.len() + 64 * rows.texts.len(), garbage: Vec::new() };
        self.root.insert(layout, rows, &mut change);
        self.held += change.grown;
        self.note_garbage(change.garbage);
    }

    /// Takes an inserted event out again: what remains is the state of the other events. `false` where it is not there,
    /// because it never was or because it was forgotten.
    ///
    /// # Errors
    /// Those of `chunks`, and `Corrupt` where a chunk cannot be read; the state is as it was then.
    pub fn remove(&mut self, layout: &Layout, at: Position, chunks: &dyn Chunks) -> Result<bool> {
        let grown = grown(self.loaded.clone());
        let mut change = Change::default();
        if !self.root.remove(&Removal { layout, at, chunks, grown: &grown }, &mut change)? {
            return Ok(false);
        }
        self.root.settle(layout);
        self.note_garbage(change.garbage);
        self.held = self.held.saturating_sub(8 * layout.shape.stride);
        // Where all others were forgotten, the time of their last is not known any more: it stays too late.
        if self.last == Some(biased(at.time.0)) && !(self.root.is_empty() && self.base.is_some()) {
            self.last = self.root.latest(layout);
        }
        Ok(true)
    }

    /// Appends the values (defaults applied) of `features`, indices into the view's, at query time `q`. `current` are
    /// the places, all of one time, of the rows of the event that windows with `excluding current` leave out. Says whether
    /// they are known.
    ///
    /// # Errors
    /// Those of `chunks`, and `Corrupt` where a chunk cannot be read.
    pub fn read(
        &self,
        layout: &Layout,
        q: EventTime,
        current: &[Places],
        features: &[usize],
        chunks: &dyn Chunks,
        out: &mut Vec<Value>,
    ) -> Result<Known> {
        let start = out.len();
        out.resize(start + features.len(), Value::Null);
        let grown = |bytes: usize| {
            if let Some(loaded) = &self.loaded {
                loaded.fetch_add(bytes, Ordering::Relaxed);
            }
        };
        let view = read::View { root: &self.root, base: self.base.as_deref(), last: self.last.unwrap_or(0), chunks, grown: &grown };
        read::read(&view, layout, q, current, features, &mut out[start..])
    }

    /// Forgets events with `t < horizon`, some later than now: values at query times whose windows start at or after
    /// the horizon stay as they are, and windows without a lower bound keep them in a base.
    ///
    /// # Errors
    /// Those of `chunks`, and `Corrupt` where a chunk cannot be read; nothing is forgotten then.
    pub fn trim(&mut self, layout: &Layout, horizon: EventTime, chunks: &dyn Chunks) -> Result<()> {
        let before = self.root.count(layout).max(1);
        let grown = grown(self.loaded.clone());
        let mut trim = Trim { layout, horizon: biased(horizon.0), base: &mut self.base, chunks, grown: &grown, garbage: Vec::new() };
        trim.load(&self.root, None)?;
        if trim.tree(&mut self.root)? {
            let garbage = trim.garbage;
            self.root.settle(layout);
            if let Some(base) = &mut self.base {
                Arc::make_mut(base).drop_rows(layout);
            }
            self.note_garbage(garbage);
            let kept = self.root.count(layout);
            self.held = (self.held as u128 * u128::from(kept) / u128::from(before)) as usize;
        }
        // Whatever comes is later than the horizon, and the silence before it too long.
        let upto = self.base.as_ref().and_then(|base| base.upto);
        let is_over = |ttl: i64| upto.is_some_and(|upto| unbiased(upto) < horizon.minus(Span(ttl)).0);
        if self.root.is_empty() && layout.ttl.is_some_and(is_over) {
            self.base = None;
        }
        Ok(())
    }

    /// Reads the chunks that have many segments, so that the next `encode` stores each of them as one.
    ///
    /// # Errors
    /// Those of `chunks`, and `Corrupt` where a chunk cannot be read.
    pub fn compact(&self, layout: &Layout, chunks: &dyn Chunks) -> Result<()> {
        let grown = grown(self.loaded.clone());
        self.root.load_segmented(layout, chunks, &grown)
    }

    /// The time of the latest event, also when it was forgotten.
    #[must_use]
    pub fn last_event(&self) -> Option<EventTime> {
        self.last.map(|last| EventTime(unbiased(last)))
    }

    /// Whether an event came after later ones were forgotten, so that what depends on order may be lost.
    #[must_use]
    pub fn is_disordered(&self) -> bool {
        self.base.as_ref().is_some_and(|base| base.disordered)
    }

    /// Whether nothing is known of any event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_empty() && self.base.is_none()
    }

    /// Bytes of memory, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let base = self.base.as_ref().map_or(0, |base| base.bytes());
        size_of::<Self>() + base + self.held + self.loaded.as_ref().map_or(0, |loaded| loaded.load(Ordering::Relaxed))
    }

    /// The main row. Chunks that changed since the last call, or are no more, go to `put`, which must take them in
    /// order and store them in one step with the row, before the state is encoded again or leaves memory.
    pub fn encode(&mut self, layout: &Layout, applied: Seq, put: &mut dyn FnMut(ChunkId, Option<&[u8]>)) -> Vec<u8> {
        self.garbage.take().iter().flat_map(|ids| ids.iter()).for_each(|id| put(*id, None));
        let root = std::mem::take(&mut self.root);
        let mut stored = Stored { applied, last: self.last, base: self.base.take(), root };
        let row = stored::encode(layout, &mut stored, put);
        self.root = stored.root;
        self.base = stored.base;
        self.count_loads();
        row
    }

    /// Reads a main row; chunks are read when a value needs them.
    ///
    /// # Errors
    /// `Corrupt` for bytes that no `encode` wrote, `Conflict` for a format of another version.
    pub fn decode(layout: &Layout, row: &[u8]) -> Result<Decoded> {
        let Some(stored) = stored::decode(layout, row)? else { return Ok(Decoded::Incomplete) };
        let held = stored.root.bytes();
        let mut state = Self { root: stored.root, base: stored.base, last: stored.last, held, ..Self::default() };
        state.count_loads();
        Ok(Decoded::State(state, stored.applied))
    }

    /// The time of the latest event of a main row, also when it was forgotten, without reading its events.
    ///
    /// # Errors
    /// As `decode`.
    pub fn last_event_of(layout: &Layout, row: &[u8]) -> Result<Option<EventTime>> {
        Ok(stored::last(layout, row)?.map(|last| EventTime(unbiased(last))))
    }

    /// What the state is now, to be read while this one goes on: what is in trees is shared until it changes here, so that a
    /// cut costs no more than a copy of `LEAF_MAX` events, or of as many as have one time. It must not be changed or encoded.
    #[must_use]
    pub fn cut(&self) -> Self {
        Self {
            root: self.root.clone(),
            base: self.base.clone(),
            last: self.last,
            held: self.held,
            loaded: self.loaded.clone(),
            garbage: None,
        }
    }

    /// How many events are kept one by one, those of chunks that are not in memory too.
    #[must_use]
    pub fn events(&self, layout: &Layout) -> u64 {
        self.root.count(layout)
    }

    /// Only stored chunks are ever loaded.
    fn count_loads(&mut self) {
        if !matches!(self.root, Node::Leaf(_)) {
            self.loaded.get_or_insert_with(Arc::default);
        }
    }

    fn note_garbage(&mut self, ids: Vec<ChunkId>) {
        if !ids.is_empty() {
            self.garbage.get_or_insert_default().extend(ids);
        }
    }
}

/// Counts bytes that reading brings in.
fn grown(loaded: Option<Arc<AtomicUsize>>) -> impl Fn(usize) {
    move |bytes| {
        if let Some(loaded) = &loaded {
            loaded.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// Appends the values at query time `q` of features of a key that was never seen.
pub fn read_empty(layout: &Layout, q: EventTime, features: &[usize], out: &mut Vec<Value>) {
    out.extend(features.iter().map(|feature| {
        let feature = &layout.features[*feature];
        feature.value(layout, q, &layout.parts[feature.part].empty())
    }));
}

#[cfg(test)]
mod tests;
