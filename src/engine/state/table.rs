//! The keys of one slot of a view that are in memory. While a batch is applied that lookups may read beside, it also has the
//! previous states of the keys that the batch touches, so that every reader sees the last cut. Must never read the store.

use hashbrown::HashTable;

use crate::engine::intake::batch::ApplyBatch;
use crate::engine::shared::Definitions;
use crate::id::Seq;
use crate::online::StateRow;
use crate::window::KeyState;

/// A key's state, and how far it is written.
pub struct Entry {
    pub key: Box<[u8]>,
    pub hash: u64,
    pub state: KeyState,
    /// The last event folded in.
    pub applied: Seq,
    /// The event that was folded in last here, one by one: other rows of it may follow.
    pub taking: Seq,
    /// In the dirty queue.
    pub dirty: bool,
    /// The work that last changed or flushed it.
    pub touched: u64,
    /// The work that last flushed it.
    pub flushed: u64,
    /// Its share of the shard's bytes.
    pub bytes: usize,
}

impl Entry {
    /// A key as its rows have it, at the work that needs it.
    pub fn of(key: Box<[u8]>, hash: u64, (state, applied): (KeyState, Seq), work: &ApplyBatch) -> Self {
        let bytes = state.bytes() + key.len();
        Self { key, hash, state, applied, taking: Seq(0), dirty: false, touched: work.number, flushed: 0, bytes }
    }

    /// The key's rows as they are now, which are those of this work.
    pub fn written(&mut self, definitions: &Definitions, work: &ApplyBatch, view: usize) -> StateRow {
        let mut chunks = Vec::new();
        let layout = &definitions.layouts[view];
        let row = self.state.encode(layout, self.applied, &mut |id, bytes| chunks.push((id.to_be_bytes(), bytes.map(<[u8]>::to_vec))));
        self.dirty = false;
        self.touched = work.number;
        self.flushed = work.number;
        self.bytes = self.state.bytes() + self.key.len();
        StateRow { view: definitions.plan.views[view].id, key: self.key.clone(), row: (!self.state.is_empty()).then_some(row), chunks }
    }
}

/// A key as the last cut has it.
struct Before {
    key: Box<[u8]>,
    hash: u64,
    state: KeyState,
}

/// What keys were before a work that keeps that.
#[derive(Default)]
struct Images {
    keys: HashTable<Before>,
    work: u64,
    /// What they may take: as of keys of which the work changes every node, so that all of each is there twice.
    bytes: usize,
}

impl Images {
    /// `kept` are the shard's bytes of images.
    fn keep(&mut self, entry: &Entry, work: &ApplyBatch, kept: &mut usize) {
        if self.work != work.number {
            // No reader is at the cut before that any more.
            self.keys.clear();
            *kept -= self.bytes;
            (self.work, self.bytes) = (work.number, 0);
        }
        // The entry's own share is as of its last row.
        let bytes = entry.state.bytes() + entry.key.len();
        self.bytes += bytes;
        *kept += bytes;
        let before = Before { key: entry.key.clone(), hash: entry.hash, state: entry.state.cut() };
        self.keys.insert_unique(entry.hash, before, |before| before.hash);
    }
}

#[derive(Default)]
pub struct Table {
    pub entries: HashTable<Entry>,
    before: Images,
}

impl Table {
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.entries.find(hash, |entry| entry.hash == hash && *entry.key == *key)
    }

    /// A key that the work is about to change. What it was is kept the first time, where `keeps` says so; `kept` are the
    /// shard's bytes of that.
    pub fn find_to_change(&mut self, hash: u64, key: &[u8], work: &ApplyBatch, keeps: bool, kept: &mut usize) -> Option<&mut Entry> {
        self.drop_before(keeps, kept);
        let entry = self.entries.find_mut(hash, |entry| entry.hash == hash && *entry.key == *key)?;
        if keeps && entry.touched != work.number {
            self.before.keep(entry, work, kept);
        }
        Some(entry)
    }

    /// Takes in a key that is not there, as the last cut has it, to be changed by that work.
    pub fn insert(&mut self, entry: Entry, work: &ApplyBatch, keeps: bool, kept: &mut usize) -> &mut Entry {
        if keeps {
            self.before.keep(&entry, work, kept);
        }
        self.entries.insert_unique(entry.hash, entry, |entry| entry.hash).into_mut()
    }

    /// A work that nobody looks on at needs nothing of what was before it, nor of what was before an earlier one.
    pub fn drop_before(&mut self, keeps: bool, kept: &mut usize) {
        if !keeps && self.before.work != 0 {
            *kept -= self.before.bytes;
            self.before = Images::default();
        }
    }

    /// The state of a key at the cut that the work with this number made; `None` where the store has it, or nothing.
    pub fn state_at(&self, cut: u64, hash: u64, key: &[u8]) -> Option<&KeyState> {
        if self.before.work > cut
            && let Some(before) = self.before.keys.find(hash, |before| before.hash == hash && *before.key == *key)
        {
            return Some(&before.state);
        }
        self.find(hash, key).map(|entry| &entry.state)
    }
}
