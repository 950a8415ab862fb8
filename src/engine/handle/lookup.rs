//! Lookups. A lookup takes what it needs from the state at one cut, and computes the values without holding anybody up. A small
//! lookup reads on the spot, also while a batch is applied. A long lookup takes the states under the guard, releases the guard, and
//! then reads them. Must never change state, nor wait for the applier on a thread that others wait for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::handle::Handle;
use crate::engine::handle::api::{LookupAnswer, LookupRequest, LookupRow, is_of};
use crate::engine::shared::{Applied, Shared};
use crate::engine::state::shard::{NOT_IN_ORDER, shard_of};
use crate::engine::state::stored::{StoredChunks, stored_state};
use crate::error::{Error, Result};
use crate::key::append_key_value;
use crate::never::OrNever;
use crate::online::ReadRows;
use crate::plan::Vector;
use crate::time::EventTime;
use crate::value::Value;
use crate::vector;
use crate::window::{KeyState, Known, read_empty};

/// What a lookup may take on a thread that others wait for.
const QUICK: Duration = Duration::from_micros(500);
/// Rows of a lookup that is not tried there: hashing their keys takes a good part of that.
const QUICK_ROWS: usize = 1_000;
/// Events of a key that is read in the place where it is found. Others are cut out of there.
const FEW: u64 = 64;
/// Events of a key from which on one reading may take longer than `QUICK`: how long it took is remembered.
const MANY: u64 = 16_384;

/// What became of a lookup that nobody must wait for.
pub enum Tried {
    Answered(Result<LookupAnswer>),
    /// The next cut is being made: `lookup_waiting` waits for that, which is not long.
    Busy,
    /// It takes long: `lookup_long`.
    Long,
}

/// A lookup, understood.
struct Asked<'a> {
    vector: &'a Vector,
    /// Its place in the plan, where it is one of the plan's.
    place: Option<usize>,
    q: EventTime,
    /// Request columns, row by row.
    given: Vec<Value>,
    rows: usize,
    /// All keys, one after another.
    bytes: Vec<u8>,
    /// What is to be read, each once.
    wanted: Vec<Wanted>,
    /// For each row and each of the vector's reads its place in `wanted`.
    cells: Vec<u32>,
}

/// One of the vector's reads, of one key.
struct Wanted {
    read: usize,
    key: Option<Key>,
}

struct Key {
    bytes: Range<usize>,
    hash: u64,
}

/// What was read so far.
#[derive(Default)]
struct Found {
    /// The features of each of `wanted`, one after another.
    values: Vec<Value>,
    /// Where each begins.
    starts: Vec<usize>,
    /// Those of which the values mean nothing.
    lost: Vec<usize>,
}

enum Place {
    Read(Known),
    Cut(KeyState),
    Absent,
    /// It takes long.
    Long,
}

impl Handle {
    /// One vector of some rows, all at one cut; waits for `after`.
    ///
    /// # Errors
    /// `Input` for a request column that has another value than the key of its name, and for a time before the history that is kept; `Unavailable` when `after` does not come in time.
    pub fn lookup(&self, request: &LookupRequest) -> Result<LookupAnswer> {
        let asked = self.asked(request)?;
        self.wait_after(request)?;
        self.look(&asked)
    }

    /// The same for a thread that others wait for, with `after` passed already.
    #[must_use]
    pub fn try_lookup(&self, request: &LookupRequest) -> Tried {
        self.tried(request, false)
    }

    /// The same for a thread that may wait for the next cut: never `Busy`.
    #[must_use]
    pub fn lookup_waiting(&self, request: &LookupRequest) -> Tried {
        self.tried(request, true)
    }

    fn tried(&self, request: &LookupRequest, waits: bool) -> Tried {
        if request.rows.len() > QUICK_ROWS {
            return Tried::Long;
        }
        let asked = match self.asked(request) {
            Ok(asked) => asked,
            Err(error) => return Tried::Answered(Err(error)),
        };
        let started = Instant::now();
        self.shared.lookup_came();
        let (epoch, gathers) = (&self.shared.epoch, self.shared.gathers.load(Ordering::SeqCst));
        let guard = match (waits, gathers) {
            (true, 0) => Some(epoch.read()),
            (true, _) => Some(epoch.read_recursive()),
            (false, 0) => epoch.try_read(),
            (false, _) => epoch.try_read_recursive(),
        };
        let Some(guard) = guard else { return Tried::Busy };
        let found = self.found_quickly(&asked, started);
        drop(guard);
        match found {
            Ok(None) => Tried::Long,
            Ok(Some((applied, found))) => Tried::Answered(self.answered(&asked, &applied, found, started)),
            Err(error) => Tried::Answered(Err(error)),
        }
    }

    /// The same for a thread of its own, with `after` passed already.
    ///
    /// # Errors
    /// As `lookup`.
    pub fn lookup_long(&self, request: &LookupRequest) -> Result<LookupAnswer> {
        let asked = self.asked(request)?;
        self.shared.lookup_came();
        self.look_long(&asked)
    }

    /// A lookup of a vector over the plan's views that need not be one of the plan's.
    pub(crate) fn lookup_of(&self, vector: &Vector, rows: &[LookupRow], as_of: EventTime) -> Result<LookupAnswer> {
        self.look(&Asked::new(vector, None, rows, as_of)?)
    }

    fn asked(&self, request: &LookupRequest) -> Result<Asked<'_>> {
        let place = request.vector;
        let vector =
            self.plan().vectors.get(place).ok_or_else(|| Error::internal(format!("the plan has no vector with number {place}")))?;
        Asked::new(vector, Some(place), &request.rows, request.as_of.unwrap_or_else(|| self.now()))
    }

    fn look(&self, asked: &Asked<'_>) -> Result<LookupAnswer> {
        self.shared.lookup_came();
        if asked.rows <= QUICK_ROWS {
            let started = Instant::now();
            let guard = match self.shared.gathers.load(Ordering::SeqCst) {
                0 => self.shared.epoch.read(),
                _ => self.shared.epoch.read_recursive(),
            };
            let found = self.found_quickly(asked, started)?;
            drop(guard);
            if let Some((applied, found)) = found {
                return self.answered(asked, &applied, found, started);
            }
        }
        self.look_long(asked)
    }

    /// Under the guard: what is in the store is read as it is now. `None` where it takes long.
    fn found_quickly(&self, asked: &Asked<'_>, started: Instant) -> Result<Option<(std::sync::Arc<Applied>, Found)>> {
        let shared = &*self.shared;
        // Behind a work that failed half-way there is no cut.
        shared.check()?;
        let applied = shared.applied();
        self.check_history(asked.vector, &applied, asked.q)?;
        let mut found = Found::default();
        for (place, wanted) in asked.wanted.iter().enumerate() {
            if place > 0 && started.elapsed() > QUICK {
                return Ok(None);
            }
            found.starts.push(found.values.len());
            let (view, features) = asked.of(wanted);
            let layout = &shared.definitions.layouts[view];
            let Some(key) = &wanted.key else {
                read_empty(layout, asked.q, features, &mut found.values);
                continue;
            };
            let (bytes, values) = (&asked.bytes[key.bytes.clone()], &mut found.values);
            let chunks = StoredChunks { store: &shared.store, definitions: &shared.definitions, view, key: bytes };
            let cut = at(shared, applied.work, view, (bytes, key.hash), |state| match state {
                None => Ok(Place::Absent),
                Some(state) if state.events(layout) <= FEW => state.read(layout, asked.q, &[], features, &chunks, values).map(Place::Read),
                Some(state) if state.events(layout) >= MANY && asked.is_slow(shared) => Ok(Place::Long),
                Some(state) => Ok(Place::Cut(state.cut())),
            });
            let cut = cut.map_err(|error| shared.definitions.failed(view, error))?;
            let known = match cut {
                Place::Read(known) => Ok(known),
                Place::Absent => match stored_state(&shared.definitions, &shared.store, view, bytes) {
                    Ok(Some(state)) if state.events(layout) >= MANY && asked.is_slow(shared) => return Ok(None),
                    Ok(Some(state)) => asked.timed(shared, &state, view, || state.read(layout, asked.q, &[], features, &chunks, values)),
                    Ok(None) => {
                        read_empty(layout, asked.q, features, values);
                        Ok(Known::All)
                    }
                    Err(error) => Err(error),
                },
                Place::Cut(state) => asked.timed(shared, &state, view, || state.read(layout, asked.q, &[], features, &chunks, values)),
                Place::Long => return Ok(None),
            };
            let known = known.map_err(|error| shared.definitions.failed(view, error))?;
            if known == Known::NotInOrder {
                found.lost.push(place);
            }
        }
        Ok(Some((applied, found)))
    }

    /// Takes out what is needed under the guard, and reads it without.
    fn look_long(&self, asked: &Asked<'_>) -> Result<LookupAnswer> {
        let started = Instant::now();
        let shared = &*self.shared;
        let guard = shared.epoch.read();
        // Small ones pass meanwhile, also where the next cut waits for this guard.
        let gathering = shared.gather();
        shared.check()?;
        let applied = shared.applied();
        self.check_history(asked.vector, &applied, asked.q)?;
        let cut = |wanted: &Wanted| {
            let key = wanted.key.as_ref()?;
            at(shared, applied.work, asked.of(wanted).0, (&asked.bytes[key.bytes.clone()], key.hash), |state| state.map(KeyState::cut))
        };
        let states: Vec<Option<KeyState>> = asked.wanted.iter().map(cut).collect();
        // After the states: a key that is not in memory has its row of this cut in the store, and keeps it until the next.
        let snapshot = shared.store.snapshot();
        drop(gathering);
        drop(guard);
        let mut found = Found::default();
        for (place, (wanted, state)) in asked.wanted.iter().zip(states).enumerate() {
            found.starts.push(found.values.len());
            let known = match (&wanted.key, state) {
                (None, _) => {
                    let (view, features) = asked.of(wanted);
                    read_empty(&shared.definitions.layouts[view], asked.q, features, &mut found.values);
                    Known::All
                }
                (Some(key), state) => {
                    let read = asked.read(shared, &snapshot, (wanted, key), state, &mut found.values);
                    read.map_err(|error| shared.definitions.failed(asked.of(wanted).0, error))?
                }
            };
            if known == Known::NotInOrder {
                found.lost.push(place);
            }
        }
        drop(snapshot);
        self.answered(asked, &applied, found, started)
    }

    fn answered(&self, asked: &Asked<'_>, applied: &Applied, found: Found, started: Instant) -> Result<LookupAnswer> {
        let (plan, vector) = (self.plan(), asked.vector);
        // Looked at last: a view that is set aside meanwhile may have lost what was read of it.
        if let Some(aside) = vector.reads.iter().find_map(|read| self.shared.definitions.aside(read.view)) {
            return Err(aside.clone());
        }
        let mut unread = BTreeMap::new();
        if !found.lost.is_empty() {
            for (cell, place) in asked.cells.iter().enumerate() {
                // They are in the order in which they were read.
                if found.lost.binary_search(&(*place as usize)).is_ok() {
                    let view = &plan.views[asked.of(&asked.wanted[*place as usize]).0].name;
                    let error = || Error::unavailable(format!("view {view}: {NOT_IN_ORDER}"));
                    unread.entry(cell / vector.reads.len()).or_insert_with(error);
                }
            }
        }
        if asked.rows > 0
            && unread.len() == asked.rows
            && let Some(error) = unread.pop_first()
        {
            return Err(error.1);
        }
        let features = asked.spread(found);
        let rows = vector::assemble_rows(vector, &features, &asked.given, asked.rows)?;
        let is_read = |source| vector.reads.iter().any(|read| plan.views[read.view].rows.branches_of(source).next().is_some());
        let sources = self.freshness(applied, is_read);
        if let Some(place) = asked.place {
            let measures = &self.shared.measures.vectors[place];
            measures.rows.inc_by(asked.rows as u64);
            measures.seconds.record(started.elapsed());
        }
        Ok(LookupAnswer { rows, unread, seq: applied.seq, as_of: asked.q, sources })
    }

    fn check_history(&self, vector: &Vector, applied: &Applied, q: EventTime) -> Result<()> {
        for read in &vector.reads {
            let rows = &self.plan().views[read.view].rows;
            let horizon = rows.horizon(&applied.horizons);
            if q < horizon {
                let furthest = rows.sources().find(|source| applied.horizons[*source] == horizon);
                let source = &self.plan().sources[furthest.or_never("the source of a horizon")];
                return Err(Error::input(format!(
                    "as_of {q} is before {horizon}, where the online history of source {} ends (history {}); ask for a training set, which knows all events",
                    source.name, source.history
                )));
            }
        }
        Ok(())
    }
}

/// The state of a key at that cut.
fn at<R>(shared: &Shared, cut: u64, view: usize, (key, hash): (&[u8], u64), read: impl FnOnce(Option<&KeyState>) -> R) -> R {
    shared.shards[shard_of(hash, shared.shards.len())].at(&shared.definitions, cut, view, (key, hash), read)
}

impl<'a> Asked<'a> {
    fn new(vector: &'a Vector, place: Option<usize>, asked_rows: &[LookupRow], q: EventTime) -> Result<Self> {
        let (rows, reads) = (asked_rows.len(), vector.reads.len());
        let given = Vec::with_capacity(rows * vector.request.len());
        let mut asked =
            Self { vector, place, q, given, rows, bytes: Vec::new(), wanted: Vec::new(), cells: Vec::with_capacity(rows * reads) };
        let mut known: HashTable<(u64, u32)> = HashTable::new();
        for row in asked_rows {
            put_request(vector, row, q, &mut asked.given)?;
            for (read, of) in vector.reads.iter().enumerate() {
                let start = asked.bytes.len();
                let is_valid = of.keys.iter().all(|index| append_key_value(&mut asked.bytes, &row.keys[*index]));
                if !is_valid {
                    asked.bytes.truncate(start);
                }
                let hash = xxh3_64(&asked.bytes[start..]);
                let same = |(other, place): &(u64, u32)| {
                    let Wanted { read: of, key } = &asked.wanted[*place as usize];
                    let bytes = key.as_ref().map(|key| &asked.bytes[key.bytes.clone()]);
                    *other == hash && *of == read && bytes == is_valid.then_some(&asked.bytes[start..])
                };
                if let Some((_, place)) = known.find(hash, same) {
                    asked.cells.push(*place);
                    asked.bytes.truncate(start);
                    continue;
                }
                let place = asked.wanted.len() as u32;
                if rows > 1 {
                    known.insert_unique(hash, (hash, place), |(hash, _)| *hash);
                }
                asked.cells.push(place);
                asked.wanted.push(Wanted { read, key: is_valid.then_some(Key { bytes: start..asked.bytes.len(), hash }) });
            }
        }
        Ok(asked)
    }

    /// View and features of a read.
    fn of(&self, wanted: &Wanted) -> (usize, &'a [usize]) {
        let read = &self.vector.reads[wanted.read];
        (read.view, &read.features)
    }

    /// Reads a key of which `state` is what was in memory.
    fn read<S: ReadRows>(
        &self,
        shared: &Shared,
        store: &S,
        (wanted, key): (&Wanted, &Key),
        state: Option<KeyState>,
        values: &mut Vec<Value>,
    ) -> Result<Known> {
        let ((view, features), bytes) = (self.of(wanted), &self.bytes[key.bytes.clone()]);
        let layout = &shared.definitions.layouts[view];
        let stored = || stored_state(&shared.definitions, store, view, bytes).transpose();
        let Some(state) = state.map(Ok).or_else(stored).transpose()? else {
            read_empty(layout, self.q, features, values);
            return Ok(Known::All);
        };
        let chunks = StoredChunks { store, definitions: &shared.definitions, view, key: bytes };
        self.timed(shared, &state, view, || state.read(layout, self.q, &[], features, &chunks, values))
    }

    /// Whether reading a key of many events took long lately.
    fn is_slow(&self, shared: &Shared) -> bool {
        self.place.is_some_and(|place| u128::from(shared.slow_reads[place].load(Ordering::Relaxed)) > QUICK.as_nanos())
    }

    /// Reads a state, and remembers how long that took where it has many events: what is slow once is so for a while.
    fn timed<T>(&self, shared: &Shared, state: &KeyState, view: usize, read: impl FnOnce() -> T) -> T {
        let slow = self.place.filter(|_| state.events(&shared.definitions.layouts[view]) >= MANY).map(|place| &shared.slow_reads[place]);
        let Some(slow) = slow else { return read() };
        let started = Instant::now();
        let value = read();
        let (took, before) = (started.elapsed().as_nanos() as u64, slow.load(Ordering::Relaxed));
        slow.store(took.max(before - before / 8), Ordering::Relaxed);
        value
    }

    /// The features of all rows, row by row.
    fn spread(&self, found: Found) -> Vec<Value> {
        // Each was asked for once, in this order.
        if self.wanted.len() == self.cells.len() {
            return found.values;
        }
        let mut features = Vec::with_capacity(self.rows * vector::feature_width(self.vector));
        for cell in &self.cells {
            let width = self.of(&self.wanted[*cell as usize]).1.len();
            features.extend_from_slice(&found.values[found.starts[*cell as usize]..][..width]);
        }
        features
    }
}

/// Puts a row's request columns, in their order, behind `given`.
fn put_request(vector: &Vector, row: &LookupRow, q: EventTime, given: &mut Vec<Value>) -> Result<()> {
    debug_assert!(vector.keys.iter().zip(&row.keys).all(|(key, value)| is_of(&key.data_type, value)), "{row:?}");
    if row.keys.len() != vector.keys.len() || row.request.len() != vector.request.len() {
        return Err(Error::internal(format!("a row of vector {} has other columns than the vector", vector.name)));
    }
    for (column, sent) in vector.request.iter().zip(&row.request) {
        let name = &column.field.name;
        // A key column that the vector also shows, or computes with, is given once: as the key.
        let key = || vector.keys.iter().position(|key| key.name == *name).map(|place| &row.keys[place]);
        given.push(match sent {
            Some(value) if key().is_some_and(|key| key != value) => {
                let message = format!("vector {}: {name} has two values, as a key and as a request column", vector.name);
                return Err(Error::input(message));
            }
            Some(value) => value.clone(),
            None if column.is_event_time => Value::Timestamp(q.0),
            None => key().cloned().unwrap_or(Value::Null),
        });
    }
    Ok(())
}
