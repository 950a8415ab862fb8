//! Lookups: what is asked is cut out of the state at one place of the order, and computed where nobody waits. A small one is
//! read on the spot, also while a work is applied; a long one takes what it needs out under the guard, gives the guard back,
//! and reads what it took. Must never change state, nor wait for the applier on a thread that others wait for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::api::{LookupAnswer, LookupRequest, LookupRow};
use super::handle::Handle;
use super::shard::{NOT_IN_ORDER, shard_of};
use super::shared::{Applied, Shared};
use super::stored::{StoredChunks, stored_state};
use crate::error::{Error, Result};
use crate::key::append_key_value;
use crate::online::ReadRows;
use crate::plan::{Field, Vector};
use crate::time::EventTime;
use crate::value::{DataType, Value};
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
    /// `NotFound` for an unknown vector; `Input` for a missing, unknown or wrongly typed key or request column, and
    /// for a time before the history that is kept; `Unavailable` when `after` does not come in time.
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

    /// A lookup of a vector over the plan's views that need not be one of the plan's; its name in the request is not looked
    /// at, nor what to wait for.
    pub(crate) fn lookup_of(&self, vector: &Vector, request: &LookupRequest) -> Result<LookupAnswer> {
        self.look(&Asked::new(vector, None, request, self.now())?)
    }

    fn asked(&self, request: &LookupRequest) -> Result<Asked<'_>> {
        let plan = self.plan();
        let Some(place) = plan.vectors.iter().position(|vector| vector.name == request.vector) else {
            let known: Vec<&str> = plan.vectors.iter().map(|vector| vector.name.as_str()).collect();
            return Err(Error::not_found(format!("there is no vector {}; there are: {}", request.vector, known.join(", "))));
        };
        Asked::new(&plan.vectors[place], Some(place), request, self.now())
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
                let source = &self.plan().sources[furthest.unwrap_or_default()];
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
    fn new(vector: &'a Vector, place: Option<usize>, request: &LookupRequest, now: EventTime) -> Result<Self> {
        let (q, rows, reads) = (request.as_of.unwrap_or(now), request.rows.len(), vector.reads.len());
        let given = Vec::with_capacity(rows * vector.request.len());
        let mut asked =
            Self { vector, place, q, given, rows, bytes: Vec::new(), wanted: Vec::new(), cells: Vec::with_capacity(rows * reads) };
        let mut known: HashTable<(u64, u32)> = HashTable::new();
        for row in &request.rows {
            let keys = keys_of(vector, row, q, &mut asked.given)?;
            for (read, of) in vector.reads.iter().enumerate() {
                let start = asked.bytes.len();
                let is_valid = of.keys.iter().all(|index| append_key_value(&mut asked.bytes, keys[*index]));
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

/// A row's keys in the vector's order; its request columns, in their order, go behind `given`.
fn keys_of<'a>(vector: &Vector, row: &'a LookupRow, q: EventTime, given: &mut Vec<Value>) -> Result<Vec<&'a Value>> {
    known(vector, "key", &row.keys, vector.keys.iter())?;
    known(vector, "request column", &row.request, vector.request.iter().map(|request| &request.field))?;
    let key = |field: &Field| match row.keys.iter().find(|(name, _)| *name == field.name) {
        Some((_, value)) => typed(vector, &field.name, &field.data_type, value).map(|()| value),
        None => Err(Error::input(format!("vector {}: the key {} is missing", vector.name, field.name))),
    };
    let keys = vector.keys.iter().map(key).collect::<Result<_>>()?;
    for column in &vector.request {
        given.push(match row.request.iter().find(|(name, _)| *name == column.field.name) {
            Some((name, value)) => {
                typed(vector, &column.field.name, &column.field.data_type, value)?;
                if row.keys.iter().any(|(key, other)| key == name && other != value) {
                    let message = format!("vector {}: {name} has two values, as a key and as a request column", vector.name);
                    return Err(Error::input(message));
                }
                value.clone()
            }
            None if column.is_event_time => Value::Timestamp(q.0),
            // A key column that the vector also shows, or computes with, is given once: as the key.
            None => row.keys.iter().find(|(name, _)| *name == column.field.name).map_or(Value::Null, |(_, value)| value.clone()),
        });
    }
    Ok(keys)
}

/// Refuses names that the vector does not have.
fn known<'a>(vector: &Vector, kind: &str, given: &[(String, Value)], fields: impl Iterator<Item = &'a Field> + Clone) -> Result<()> {
    match given.iter().find(|(name, _)| fields.clone().all(|field| field.name != *name)) {
        Some((name, _)) => {
            let known: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
            Err(Error::input(format!("vector {} has no {kind} {name}; it has: {}", vector.name, known.join(", "))))
        }
        None => Ok(()),
    }
}

fn typed(vector: &Vector, name: &str, data_type: &DataType, value: &Value) -> Result<()> {
    let fits = matches!(
        (data_type, value),
        (_, Value::Null)
            | (DataType::Bool, Value::Bool(_))
            | (DataType::Int, Value::Int(_))
            | (DataType::Float, Value::Float(_))
            | (DataType::Text, Value::Text(_))
            | (DataType::Timestamp, Value::Timestamp(_))
            | (DataType::List(_), Value::List(_))
            | (DataType::Map(_), Value::Map(_))
            | (DataType::Struct(_), Value::Struct(_))
    );
    if fits { Ok(()) } else { Err(Error::input(format!("vector {}: {name} is {data_type}, which this value is not", vector.name))) }
}
