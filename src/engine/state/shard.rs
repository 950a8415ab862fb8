//! One shard: the states of the keys whose slots it owns. One thread changes it, in the order of `seq`; lookups read it at the last
//! cut, also while a batch is applied (`table.rs`). Must never write to the store: the committer gets the rows to be written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::intake::batch::{ApplyBatch, ApplyMode, RowUpdate, Segment};
use crate::engine::shared::Definitions;
use crate::engine::state::aside::spared;
use crate::engine::state::stored::{StoredChunks, decode_row, read_stored};
use crate::engine::state::sweep::Sweep;
use crate::engine::state::table::{Entry, Table};
use crate::error::{Error, Result};
use crate::id::{Places, Seq};
use crate::online::{StateRow, Store};
use crate::plan::Plan;
use crate::time::EventTime;
use crate::value::Value;
use crate::window::{KeyState, Known, Layout, read_empty};

/// Rows that a replay reads with one call.
const LOADED_AT_ONCE: usize = 1024;

/// What is said where a value would depend on an order that a state lost.
pub const NOT_IN_ORDER: &str = "events of this key came after later ones were forgotten (their partition was silent, or new, while \
     others were far ahead), and a feature depends on their order; the next start of the server builds the view's state anew, and a \
     training set knows the value now";

/// What a shard made of a work.
#[derive(Default)]
pub struct ShardOutcome {
    /// For each segment and each model that scores it: the features read.
    pub reads: Vec<ReadValues>,
    pub rows: Vec<StateRow>,
    /// The rows of this shard hold every event up to here, once `rows` are written.
    pub flushed: Seq,
    pub loads: u64,
    /// Views of which a state took an event in too late to keep an order that it needs.
    pub disordered: Vec<usize>,
}

/// Features of scored events: `cells` says which row and which read, `values` has them one after another.
pub struct ReadValues {
    pub segment: usize,
    pub model: usize,
    /// Which of the segment's events, and the read's index in the vector.
    pub cells: Vec<(u32, u16)>,
    pub values: Vec<Value>,
    /// Events of which some values are not what they should be.
    pub unread: Vec<(u32, Unread)>,
}

/// Why features of an event cannot be read, so that it gets no score.
#[derive(Clone, Copy, Debug)]
pub enum Unread {
    /// It is before what the state of a view from another source still knows.
    TooOld,
    /// They depend on the order of events that were forgotten; see `Known::NotInOrder`.
    NotInOrder,
    /// Rows of a view are damaged.
    Damaged,
}

impl Unread {
    pub fn error(self) -> Error {
        match self {
            Self::TooOld => Error::input(
                "the event is before the online history of a source that its vector reads: score it with `forebay score --spine`",
            ),
            Self::NotInOrder => Error::unavailable(NOT_IN_ORDER),
            Self::Damaged => Error::unavailable(
                "the stored state of a view that its vector reads is damaged: run `forebay rebuild state`, then `forebay score --spine`",
            ),
        }
    }
}

struct DirtyKey {
    view: usize,
    hash: u64,
    key: Box<[u8]>,
    since: Seq,
}

/// Slots of keys: the low byte of their hashes.
const SLOTS: usize = 256;

pub struct Shard {
    index: usize,
    /// For each view a table for each of the shard's slots, so that who reads one holds up what is done in it alone.
    tables: Vec<Vec<RwLock<Table>>>,
    /// What the shard's own thread needs beside.
    own: Mutex<Own>,
    /// As of the last work.
    bytes: AtomicUsize,
    keys: AtomicUsize,
}

struct Own {
    dirty: VecDeque<DirtyKey>,
    /// One for each view that does not need something of every key for ever.
    sweeps: Vec<Option<Sweep>>,
    /// Keys that a sweep made empty, until their rows are gone from the store.
    swept: VecDeque<SweptKey>,
    bytes: usize,
    keys: usize,
    /// Bytes of what keys were before the last work that changed them, where that is kept.
    before: usize,
    /// The last work kept what was before it.
    kept: bool,
}

/// What a work is applied with.
struct Step<'a> {
    definitions: &'a Definitions,
    store: &'a Store,
    work: &'a ApplyBatch,
    /// Lookups may look on: what keys were before is kept.
    keeps: bool,
}

struct SweptKey {
    view: usize,
    hash: u64,
    key: Box<[u8]>,
    /// The work whose rows delete it.
    work: u64,
}

/// Which shard owns the key with this hash: slots are dealt to the shards in turn.
pub fn shard_of(hash: u64, shards: usize) -> usize {
    (hash & 0xff) as usize % shards
}

/// What a work folds of the row at that place into the keys of a shard of so many.
fn own_folds<'a>(
    (shard, shards): (usize, usize),
    work: &'a ApplyBatch,
    segment: &'a Segment,
    place: usize,
) -> impl Iterator<Item = RowUpdate<'a>> {
    let retracts = segment.retracts(place);
    let (event, retracts) = (retracts.unwrap_or(segment.positions[place]), retracts.is_some());
    let takes = move |fold: &RowUpdate<'_>| {
        shard_of(fold.hash, shards) == shard && work.pass.takes(fold.rows.view, segment.source, event, retracts)
    };
    segment.folds(place).filter(takes)
}

impl Shard {
    pub fn new(index: usize, shards: usize, plan: &Plan, layouts: &[Layout]) -> Self {
        let sweeps = plan.views.iter().zip(layouts).enumerate().map(|(view, (of, layout))| Sweep::new(view, of, layout)).collect();
        let tables = plan.views.iter().map(|_| (index..SLOTS).step_by(shards).map(|_| RwLock::default()).collect()).collect();
        let own = Own { dirty: VecDeque::new(), sweeps, swept: VecDeque::new(), bytes: 0, keys: 0, before: 0, kept: false };
        Self { index, tables, own: Mutex::new(own), bytes: AtomicUsize::new(0), keys: AtomicUsize::new(0) }
    }

    /// Forgets the keys of a view, whose rows are gone from the store too.
    pub fn forget(&self, view: usize) {
        self.forget_keys(&mut self.own.lock(), view);
    }

    fn forget_keys(&self, own: &mut Own, view: usize) {
        for table in &self.tables[view] {
            let entries = std::mem::take(&mut *table.write()).entries;
            own.bytes -= entries.iter().map(|entry| entry.bytes).sum::<usize>();
            own.keys -= entries.len();
        }
        own.dirty.retain(|dirty| dirty.view != view);
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// The table that a key of this shard is in.
    fn table(&self, definitions: &Definitions, view: usize, hash: u64) -> &RwLock<Table> {
        &self.tables[view][(hash & 0xff) as usize / definitions.shards]
    }

    /// Hands the state of a key at the cut that the work with that number made to `read`; `None` where the store has it, or
    /// nothing. What changes the key waits meanwhile.
    pub fn at<R>(
        &self,
        definitions: &Definitions,
        cut: u64,
        view: usize,
        (key, hash): (&[u8], u64),
        read: impl FnOnce(Option<&KeyState>) -> R,
    ) -> R {
        read(self.table(definitions, view, hash).read().state_at(cut, hash, key))
    }

    /// Folds a work's events in and reads the features of scored events, each at its own place in the order. `keeps` says
    /// whether lookups may look on meanwhile.
    pub fn apply(&self, definitions: &Definitions, store: &Store, work: &ApplyBatch, keeps: bool) -> Result<ShardOutcome> {
        let own = &mut *self.own.lock();
        let step = Step { definitions, store, work, keeps };
        let outcome = self.apply_step(own, &step);
        self.bytes.store(own.bytes + own.before, Ordering::Relaxed);
        self.keys.store(own.keys, Ordering::Relaxed);
        outcome
    }

    fn apply_step(&self, own: &mut Own, step: &Step<'_>) -> Result<ShardOutcome> {
        let Step { definitions, store, work, .. } = *step;
        let mut outcome = ShardOutcome::default();
        definitions.views_aside().for_each(|(view, _)| self.forget_keys(own, view));
        if own.kept && !step.keeps {
            self.tables.iter().flatten().for_each(|table| table.write().drop_before(false, &mut own.before));
        }
        own.kept = step.keeps;
        if matches!(work.pass, ApplyMode::Replay(_)) {
            self.load_all(own, step, &mut outcome.loads)?;
        }
        for (index, segment) in work.segments.iter().enumerate() {
            let models = if work.score { segment.prepared.models.as_slice() } else { &[] };
            let first = outcome.reads.len();
            for (model, _) in models {
                outcome.reads.push(ReadValues { segment: index, model: *model, cells: Vec::new(), values: Vec::new(), unread: Vec::new() });
            }
            let mut events = 0;
            for place in 0..segment.rows.len() {
                self.fold(own, step, segment, place, &mut outcome)?;
                if segment.retracts(place).is_some() {
                    continue;
                }
                let event = events;
                events += 1;
                for (offset, (model, reads)) in models.iter().enumerate() {
                    let vector = &definitions.plan.vectors[definitions.plan.models[*model].vector];
                    let into = &mut outcome.reads[first + offset];
                    for (read_index, read) in reads.iter().enumerate() {
                        // A row without a key is answered by the first shard.
                        let key = segment.prepared.keys[read.keys].get(segment.rows[place] as usize);
                        let owner = key.map_or(0, |(_, hash)| shard_of(hash, definitions.shards));
                        if owner != self.index {
                            continue;
                        }
                        let position = segment.positions[place];
                        let rows = &definitions.plan.views[read.view].rows;
                        // Only where the event is a row of the view can a window leave it out.
                        let current = rows.places(segment.source, position);
                        let features = &vector.reads[read_index].features;
                        into.cells.push((event, read_index as u16));
                        if position.time < rows.horizon(&work.horizons) {
                            into.unread.push((event, Unread::TooOld));
                        }
                        match key {
                            Some((key, hash)) => {
                                let at = ReadAt { view: read.view, key, hash, q: position.time, current: &current };
                                let before = into.values.len();
                                match self.read(definitions, store, &at, features, &mut into.values) {
                                    Ok(Known::NotInOrder) => into.unread.push((event, Unread::NotInOrder)),
                                    Ok(_) => {}
                                    Err(_) if definitions.aside(read.view).is_some() => {
                                        into.values.resize(before + features.len(), Value::Null);
                                        into.unread.push((event, Unread::Damaged));
                                    }
                                    Err(error) => return Err(error),
                                }
                            }
                            None => read_empty(&definitions.layouts[read.view], position.time, features, &mut into.values),
                        }
                    }
                }
            }
        }
        outcome.flushed = self.flush(own, step, &mut outcome.rows)?;
        if matches!(work.pass, ApplyMode::New) {
            self.sweep(own, step, &mut outcome)?;
        }
        self.evict(own, step);
        Ok(outcome)
    }

    /// Takes in the rows of all keys that a replay folds into, in the order in which the store has them: events of many
    /// keys would read its blocks again and again.
    fn load_all(&self, own: &mut Own, step: &Step<'_>, loads: &mut u64) -> Result<()> {
        let Step { definitions, store, work, keeps } = *step;
        let mut wanted: Vec<Vec<(u8, &[u8], u64)>> = vec![Vec::new(); self.tables.len()];
        for segment in &work.segments {
            for fold in (0..segment.rows.len()).flat_map(|place| own_folds((self.index, definitions.shards), work, segment, place)) {
                if self.table(definitions, fold.rows.view, fold.hash).read().find(fold.hash, fold.key).is_none() {
                    wanted[fold.rows.view].push((fold.hash as u8, fold.key, fold.hash));
                }
            }
        }
        for (view, mut keys) in wanted.into_iter().enumerate() {
            keys.sort_unstable();
            keys.dedup();
            'rows: for keys in keys.chunks(LOADED_AT_ONCE) {
                let rows = store.states(definitions.plan.views[view].id, keys.iter().map(|(_, key, _)| *key));
                let Some(rows) = spared(definitions, view, rows)? else { break 'rows };
                for ((_, key, hash), row) in keys.iter().zip(rows) {
                    let loaded = state_of(definitions, view, row.as_deref(), loads);
                    let Some(loaded) = spared(definitions, view, loaded)? else { break 'rows };
                    let entry = Entry::of((*key).into(), *hash, loaded, work);
                    own.took(&entry);
                    self.table(definitions, view, *hash).write().insert(entry, work, keeps, &mut own.before);
                }
            }
        }
        Ok(())
    }

    /// Changes a key, which is taken in as the store has it where it is not in memory.
    fn change(
        &self,
        own: &mut Own,
        step: &Step<'_>,
        view: usize,
        (key, hash): (&[u8], u64),
        outcome: &mut ShardOutcome,
        change: impl FnOnce(&mut Own, &mut Entry, &mut ShardOutcome) -> Result<()>,
    ) -> Result<()> {
        let Step { definitions, store, work, keeps } = *step;
        let mut table = self.table(definitions, view, hash).write();
        if let Some(entry) = table.find_to_change(hash, key, work, keeps, &mut own.before) {
            return change(own, entry, outcome);
        }
        // Who reads other keys of the table does not wait for the store.
        let loaded = RwLockWriteGuard::unlocked(&mut table, || load(definitions, store, view, key, &mut outcome.loads));
        let Some(loaded) = spared(definitions, view, loaded)? else { return Ok(()) };
        let entry = Entry::of(key.into(), hash, loaded, work);
        own.took(&entry);
        if entry.applied == Seq(0)
            && let Some(Some(sweep)) = own.sweeps.get_mut(view)
        {
            sweep.came();
        }
        let entry = table.insert(entry, work, keeps, &mut own.before);
        change(own, entry, outcome)
    }

    fn fold(&self, own: &mut Own, step: &Step<'_>, segment: &Segment, place: usize, outcome: &mut ShardOutcome) -> Result<()> {
        let Step { definitions, store, work, .. } = *step;
        let seq = Seq(segment.seqs[place]);
        let retracts = segment.retracts(place);
        let event = retracts.unwrap_or(segment.positions[place]);
        for RowUpdate { rows, row, element, key, hash } in own_folds((self.index, definitions.shards), work, segment, place) {
            if definitions.aside(rows.view).is_some() {
                continue;
            }
            let layout = &definitions.layouts[rows.view];
            self.change(own, step, rows.view, (key, hash), outcome, |own, entry, outcome| {
                if !matches!(work.pass, ApplyMode::Rebuild(_)) {
                    if seq <= entry.applied && seq != entry.taking {
                        return Ok(());
                    }
                    entry.taking = seq;
                }
                let event = rows.place(event, element);
                if retracts.is_some() {
                    let chunks = StoredChunks { store, definitions, view: rows.view, key };
                    let removed = entry.state.remove(layout, event, &chunks);
                    let Some(removed) = spared(definitions, rows.view, removed)? else { return Ok(()) };
                    // A row that held nothing any more is deleted, and what it held up to is not known in a replay.
                    if !removed && matches!(work.pass, ApplyMode::New) && !rows.is_filtered {
                        let view = &definitions.plan.views[rows.view].name;
                        return Err(Error::internal(format!(
                            "view {view}: the event that seq {} retracts is not in the state of its key",
                            seq.0
                        )));
                    }
                } else {
                    entry.state.insert(layout, event, &rows.inputs, row);
                    if entry.state.is_disordered() && !outcome.disordered.contains(&rows.view) {
                        outcome.disordered.push(rows.view);
                    }
                }
                entry.applied = entry.applied.max(seq);
                entry.touched = work.number;
                if !entry.dirty {
                    entry.dirty = true;
                    own.dirty.push_back(DirtyKey { view: rows.view, hash, key: key.into(), since: seq });
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Encodes the keys that changed at or before the work's cut; returns the cut that all rows hold afterwards.
    fn flush(&self, own: &mut Own, step: &Step<'_>, rows: &mut Vec<StateRow>) -> Result<Seq> {
        let Step { definitions, store, work, keeps } = *step;
        while let Some(dirty) = own.dirty.pop_front_if(|dirty| dirty.since <= work.flush_before) {
            let mut table = self.table(definitions, dirty.view, dirty.hash).write();
            // A key is encoded again only once its last rows are durable: until then it keeps what they hold.
            if table.find(dirty.hash, &dirty.key).is_some_and(|entry| entry.flushed > work.durable) {
                own.dirty.push_front(dirty);
                break;
            }
            let Some(entry) = table.find_to_change(dirty.hash, &dirty.key, work, keeps, &mut own.before) else { continue };
            let layout = &definitions.layouts[dirty.view];
            // In a replay the horizon is that of its end: an event before it may be retracted on the way. A rebuild reads
            // events file by file: what is forgotten in order waits until all are there.
            let trims = match work.pass {
                ApplyMode::New => true,
                ApplyMode::Replay(_) => false,
                ApplyMode::Rebuild(_) => !layout.forgets_in_order(),
            };
            let chunks = StoredChunks { store, definitions, view: dirty.view, key: &dirty.key };
            let mut tidied = entry.state.compact(layout, &chunks);
            if trims && tidied.is_ok() {
                tidied = entry.state.trim(layout, forgets_before(definitions, work, dirty.view), &chunks);
            }
            if spared(definitions, dirty.view, tidied)?.is_none() {
                continue;
            }
            let before = entry.bytes;
            rows.push(entry.written(definitions, work, dirty.view));
            own.bytes = own.bytes + entry.bytes - before;
        }
        Ok(own.dirty.front().map_or(work.last, |dirty| Seq(dirty.since.0 - 1)))
    }

    /// Deletes the rows of some keys that fell silent for so long that no value depends on them: what flushing them would do,
    /// if they ever changed again.
    fn sweep(&self, own: &mut Own, step: &Step<'_>, outcome: &mut ShardOutcome) -> Result<()> {
        let Step { definitions, work, .. } = *step;
        // Until its row is gone, an empty state stands before it, so that nothing reads what is being deleted.
        while let Some(swept) = own.swept.pop_front_if(|swept| swept.work <= work.durable) {
            let mut table = self.table(definitions, swept.view, swept.hash).write();
            let same = |entry: &Entry| entry.hash == swept.hash && entry.key == swept.key;
            if let Ok(found) = table.entries.find_entry(swept.hash, same) {
                let entry = found.get();
                if !entry.dirty && entry.flushed == swept.work && entry.state.is_empty() {
                    own.bytes -= entry.bytes;
                    own.keys -= 1;
                    let _ = found.remove();
                }
            }
        }
        let mut sweeps = std::mem::take(&mut own.sweeps);
        let swept = sweeps.iter_mut().flatten().try_for_each(|sweep| self.sweep_view(own, step, sweep, outcome));
        own.sweeps = sweeps;
        swept
    }

    fn sweep_view(&self, own: &mut Own, step: &Step<'_>, sweep: &mut Sweep, outcome: &mut ShardOutcome) -> Result<()> {
        let Step { definitions, store, work, .. } = *step;
        let (index, layout) = (sweep.view, &definitions.layouts[sweep.view]);
        let view = &definitions.plan.views[index];
        let horizon = forgets_before(definitions, work, index);
        if definitions.aside(index).is_some() {
            return Ok(());
        }
        let silent = sweep.silent(store, (view.id, layout), (self.index, definitions.shards), horizon);
        for key in spared(definitions, index, silent)?.unwrap_or_default() {
            let hash = xxh3_64(&key);
            let name = key.clone();
            self.change(own, step, index, (&name, hash), outcome, |own, entry, outcome| {
                // Its row is not what the store gave, or not yet: a later round looks at it again.
                let spoke = entry.state.last_event().is_none_or(|last| sweep.speaks(last, horizon));
                if entry.dirty || entry.flushed > work.durable || spoke {
                    return Ok(());
                }
                let trimmed = entry.state.trim(layout, horizon, &StoredChunks { store, definitions, view: index, key: &key });
                if spared(definitions, index, trimmed)?.is_none() {
                    return Ok(());
                }
                let before = entry.bytes;
                outcome.rows.push(entry.written(definitions, work, index));
                own.bytes = own.bytes + entry.bytes - before;
                own.swept.push_back(SweptKey { view: index, hash, key, work: work.number });
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Takes clean keys out of memory while the shard holds more than its share. Only keys whose rows are durable
    /// go, so that reading them back gives what was here.
    fn evict(&self, own: &mut Own, step: &Step<'_>) {
        let work = step.work;
        let limit = step.definitions.shard_bytes_max;
        if own.bytes + own.before <= limit {
            return;
        }
        // Down to nine tenths, the longest untouched first: two passes, one that ages and one that takes what is left.
        let target = (limit - limit / 10).saturating_sub(own.before);
        for age in [64, 0] {
            for table in self.tables.iter().flatten() {
                if own.bytes <= target {
                    return;
                }
                table.write().entries.retain(|entry| {
                    let idle = entry.touched + age <= work.number && entry.touched <= work.durable;
                    let keep = entry.dirty || !idle || own.bytes <= target;
                    if !keep {
                        own.bytes -= entry.bytes;
                        own.keys -= 1;
                    }
                    keep
                });
            }
        }
    }

    /// The features of one key as it is now, appended to `out`. `Unavailable` where the view is set aside.
    fn read(&self, definitions: &Definitions, store: &Store, at: &ReadAt<'_>, features: &[usize], out: &mut Vec<Value>) -> Result<Known> {
        if let Some(aside) = definitions.aside(at.view) {
            return Err(aside.clone());
        }
        self.read_whole(definitions, store, at, features, out).map_err(|error| definitions.failed(at.view, error))
    }

    fn read_whole(
        &self,
        definitions: &Definitions,
        store: &Store,
        at: &ReadAt<'_>,
        features: &[usize],
        out: &mut Vec<Value>,
    ) -> Result<Known> {
        let layout = &definitions.layouts[at.view];
        if let Some(entry) = self.table(definitions, at.view, at.hash).read().find(at.hash, at.key) {
            let chunks = StoredChunks { store, definitions, view: at.view, key: at.key };
            return entry.state.read(layout, at.q, at.current, features, &chunks, out);
        }
        read_stored(definitions, store, at, features, out)
    }
}

impl Own {
    fn took(&mut self, entry: &Entry) {
        self.bytes += entry.bytes;
        self.keys += 1;
    }
}

/// Events before this time are forgotten: no window of the view that a lookup may ask for begins earlier.
fn forgets_before(definitions: &Definitions, work: &ApplyBatch, view: usize) -> EventTime {
    definitions.plan.views[view].rows.horizon(&work.horizons).minus(definitions.window_max[view])
}

/// Whose features to read, and when.
pub struct ReadAt<'a> {
    pub view: usize,
    pub key: &'a [u8],
    pub hash: u64,
    pub q: EventTime,
    /// The places of the event that windows with `excluding current` leave out.
    pub current: &'a [Places],
}

fn load(definitions: &Definitions, store: &Store, view: usize, key: &[u8], loads: &mut u64) -> Result<(KeyState, Seq)> {
    let row = store.state(definitions.plan.views[view].id, key)?;
    state_of(definitions, view, row.as_deref(), loads)
}

/// The state of a key with that row.
fn state_of(definitions: &Definitions, view: usize, row: Option<&[u8]>, loads: &mut u64) -> Result<(KeyState, Seq)> {
    let layout = &definitions.layouts[view];
    match row {
        Some(row) => {
            *loads += 1;
            decode_row(layout, &definitions.plan.views[view].name, row)
        }
        None => Ok((KeyState::new(layout), Seq(0))),
    }
}
