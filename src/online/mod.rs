//! The online store: one RocksDB with commits (blocks of accepted events, progress, outbox) and state rows. The only room beside
//! the embedded log that knows RocksDB. Must never compute a feature.

mod block;
mod check;
mod commit;
mod copy;
mod drift;
mod ids;
mod ledger;
mod opening;
mod outbox;
mod part;
mod reading;
mod snapshot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rocksdb::{Cache, DB, DBPinnableSlice, Direction, FlushOptions, IteratorMode, Range, WriteBatch, WriteOptions};
use serde::{Deserialize, Serialize};

use self::opening::{Committed, commits, database_options, failure, families, lost, probe};

pub use self::commit::{CommitRecord, StateRow};
pub use self::drift::DriftRow;
use self::ids::ids_key;
pub use self::ids::{AcceptedIds, Place};
pub use self::ledger::{Ledger, Spans, TOO_FAR_AHEAD, TOO_LATE};
pub use self::outbox::{Backlog, Destination, Output};
pub use self::reading::{PartitionReading, Reading};
pub use self::snapshot::{ReadRows, Snapshot};
use crate::background::Damage;
use crate::codec;
use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::id::{Identity, Seq};
use crate::key::slot_of;
use crate::mark::{self, Mark};
use crate::plan::Contents;
use crate::time::IngestTime;

const META: &str = "meta";
const BLOCKS: &str = "blocks";
const IDS: &str = "ids";
const STATE: &str = "state";
const CHUNKS: &str = "chunks";
const OUTBOX: &str = "outbox";
const FAMILIES: [&str; 6] = [META, BLOCKS, IDS, STATE, CHUNKS, OUTBOX];

const PROGRESS: &[u8] = b"progress";
const DEFINITIONS: &[u8] = b"definitions/";
const SOURCES: &[u8] = b"sources";
const COMMITTED_AT: &[u8] = b"committed_at";
/// The data folder that the store is a part of.
const FOLDER: &[u8] = b"folder";
/// How many commits there were; each says so itself.
const COMMITS: &[u8] = b"commits";
/// The number after the last output that the embedded log was given for sure.
const PUBLISHED: &[u8] = b"published";
const SOURCES_VERSION: u8 = 1;
const PROGRESS_VERSION: u8 = 2;
/// That of a version without ledgers, which is still read.
const PROGRESS_VERSION_FIRST: u8 = 1;

/// The way out where the store is not what was written.
const DAMAGED_REMEDY: &str = "stop the server and run `forebay rebuild state`, or restore the folder from a copy";

/// How far everything has come, as of one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last event that a block holds.
    pub committed: Seq,
    /// The outputs of every event up to here are in the outbox, or were published.
    pub scored: Seq,
    /// State rows hold every event up to here; a restart replays the blocks after it.
    pub flushed: Seq,
    /// One for each partition that was ever read.
    pub partitions: Vec<PartitionProgress>,
    /// For each source the earliest time that lookups may ask for, microseconds: what was forgotten stays forgotten.
    pub horizons: Vec<(String, i64)>,
    /// The number of the next output.
    pub outputs: u64,
    /// The state that is complete up to `flushed`: views and what their rows hold.
    pub views: Vec<(Identity, Contents)>,
    /// For each source that ever gave a record what became of them.
    pub ledgers: BTreeMap<String, Ledger>,
}

/// `Progress` of a version without ledgers.
#[derive(Serialize, Deserialize)]
struct FirstProgress {
    committed: Seq,
    scored: Seq,
    flushed: Seq,
    partitions: Vec<PartitionProgress>,
    horizons: Vec<(String, i64)>,
    outputs: u64,
    views: Vec<(Identity, Contents)>,
}

impl From<FirstProgress> for Progress {
    fn from(first: FirstProgress) -> Self {
        let FirstProgress { committed, scored, flushed, partitions, horizons, outputs, views } = first;
        Self { committed, scored, flushed, partitions, horizons, outputs, views, ledgers: BTreeMap::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionProgress {
    pub source: String,
    pub partition: u32,
    /// The offset of the next record to read.
    pub next: u64,
    /// The highest event time accepted, microseconds; `None` before the first.
    pub frontier: Option<i64>,
    /// Since this cut the partition does not hold back trimming, because it fell silent.
    pub idle_since: Option<Seq>,
}

/// One atomic step: everything in it is there after a crash, or nothing.
pub struct Commit {
    batch: WriteBatch,
}

/// Where a key's rows are: slot, view and key bytes, which the state family is ordered by.
#[must_use]
pub fn state_key(view: Identity, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(17 + key.len());
    bytes.push(slot_of(key).0);
    bytes.extend(view.0);
    bytes.extend(key);
    bytes
}

/// Where a chunk of a key is: as `state_key`, with the key's length before it so that no key is another's prefix.
#[must_use]
pub fn chunk_key(view: Identity, key: &[u8], chunk: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(21 + key.len() + chunk.len());
    bytes.push(slot_of(key).0);
    bytes.extend(view.0);
    bytes.extend((key.len() as u32).to_be_bytes());
    bytes.extend(key);
    bytes.extend(chunk);
    bytes
}

/// The store in one folder. One process writes; any number may open it read-only beside it.
pub struct Store {
    db: DB,
    folder: PathBuf,
    /// Held by every write.
    writing: Mutex<()>,
    /// Of a store that is open to write.
    committed: Option<Committed>,
    damage: Damage,
}

impl Store {
    /// Opens the store to write, and makes it where there is none. `cache_bytes` bounds the block cache,
    /// `buffer_bytes` the write buffers of all families.
    ///
    /// # Errors
    /// `Conflict` when another process has it open, `Unavailable` when the disk does not take it.
    pub fn open(folder: &Path, cache_bytes: usize, buffer_bytes: usize) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::unavailable(format!("cannot make the folder {}: {error}; choose another with --data", folder.display()))
        })?;
        let cache = Cache::new_hyper_clock_cache(cache_bytes, 0);
        let damage = Damage::default();
        let open = |recovery| {
            let mut options = database_options(recovery);
            damage.listen(&mut options);
            options.create_if_missing(true);
            options.create_missing_column_families(true);
            options.set_db_write_buffer_size(buffer_bytes);
            // What a crash left in the write-ahead log stays there and in memory: writing tables of it would hold up the start,
            // and a start that is refused changes nothing.
            let options = options
                .get_options_from_string("avoid_flush_during_recovery=true")
                .map_err(|error| Error::internal(format!("the options of RocksDB: {error}")))?;
            DB::open_cf_descriptors(&options, folder, families(&cache, buffer_bytes)).map_err(|error| failure(folder, &error))
        };
        let probe = |recovery| probe(folder, &cache, &|_| true, recovery);
        let db = mark::open_whole(folder, open, probe, |db| commits(folder, db), |number| lost(folder, number))?;
        let committed = Some(Committed { commits: Mutex::new(commits(folder, &db)?), mark: Mark::open(folder)? });
        Ok(Self { db, folder: folder.to_owned(), committed, damage, writing: Mutex::default() })
    }

    /// Opens what is there as of now, also while another process writes.
    ///
    /// # Errors
    /// `NotFound` when there is no store in the folder.
    pub fn open_read_only(folder: &Path, cache_bytes: usize) -> Result<Self> {
        if !folder.join("CURRENT").exists() {
            return Err(Error::not_found(format!(
                "no online store in {}; push events and run `forebay serve --until-caught-up` first",
                folder.display()
            )));
        }
        Self::open_some(folder, cache_bytes, |_| true)
    }

    /// The same without state rows and their chunks, whose tables may be damaged so that they cannot be opened.
    pub fn open_without_state(folder: &Path, cache_bytes: usize) -> Result<Self> {
        Self::open_some(folder, cache_bytes, |family| !matches!(family, STATE | CHUNKS))
    }

    fn open_some(folder: &Path, cache_bytes: usize, wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let cache = Cache::new_hyper_clock_cache(cache_bytes, 0);
        let probe = |recovery| probe(folder, &cache, &wanted, recovery);
        let open = || mark::open_whole(folder, probe, probe, |db| commits(folder, db), |number| lost(folder, number));
        Ok(Self {
            db: mark::look_again(open)?,
            folder: folder.to_owned(),
            committed: None,
            damage: Damage::default(),
            writing: Mutex::default(),
        })
    }

    fn family(&self, name: &str) -> Result<&rocksdb::ColumnFamily> {
        self.db.cf_handle(name).ok_or_else(|| Error::corrupt(format!("{}: family {name} is missing", self.folder.display())))
    }

    /// The progress of the last commit; the beginning where there is none.
    pub fn progress(&self) -> Result<Progress> {
        match self.db.get_pinned_cf(self.family(META)?, PROGRESS).map_err(|error| failure(&self.folder, &error))? {
            Some(bytes) if bytes.first() == Some(&PROGRESS_VERSION_FIRST) => {
                codec::decode::<FirstProgress>(PROGRESS_VERSION_FIRST, &bytes, "progress").map(Into::into)
            }
            Some(bytes) => codec::decode(PROGRESS_VERSION, &bytes, "progress"),
            None => Ok(Progress::default()),
        }
    }

    #[must_use]
    pub fn begin(&self) -> Commit {
        Commit { batch: WriteBatch::default() }
    }

    /// Makes a commit durable: when this returns, it survives a crash.
    pub fn commit(&self, mut commit: Commit) -> Result<()> {
        let committed = self.committed.as_ref().ok_or_else(|| Error::internal(format!("{} is open to read", self.folder.display())))?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        let _writing = self.writing.lock();
        let mut commits = committed.commits.lock();
        commit.batch.put_cf(self.family(META)?, COMMITS, (*commits + 1).to_be_bytes());
        self.db.write_opt(commit.batch, &options).map_err(|error| failure(&self.folder, &error))?;
        *commits += 1;
        committed.mark.set(*commits);
        Ok(())
    }

    /// The first event that a block holds; `None` where there is no block.
    pub fn first_block(&self) -> Result<Option<Seq>> {
        let first = self.db.iterator_cf(self.family(BLOCKS)?, IteratorMode::Start).next();
        Ok(first.transpose().map_err(|error| failure(&self.folder, &error))?.map(|(key, _)| Seq(number(&key))))
    }

    /// What is damaged of the store's tables, as far as its compactions have met it.
    pub fn damage(&self) -> Result<Option<Error>> {
        let met = self.damage.met(&self.db, &FAMILIES).map_err(|error| failure(&self.folder, &error))?;
        Ok(met.map(|met| Error::corrupt(format!("a table is damaged ({met}); {DAMAGED_REMEDY}"))))
    }

    /// Writes tables of what only the write-ahead log holds, so that whoever opens the store next has nothing to replay.
    pub fn flush(&self) -> Result<()> {
        let families = FAMILIES.iter().map(|name| self.family(name)).collect::<Result<Vec<_>>>()?;
        self.db.flush_cfs_opt(&families, &FlushOptions::default()).map_err(|error| failure(&self.folder, &error))
    }

    pub fn put_progress(&self, commit: &mut Commit, progress: &Progress) -> Result<()> {
        commit.batch.put_cf(self.family(META)?, PROGRESS, codec::encode(PROGRESS_VERSION, progress)?);
        Ok(())
    }

    /// What the clock said at the last commit; nothing where an earlier version made it.
    pub fn committed_at(&self) -> Result<Option<IngestTime>> {
        let row = self.db.get_pinned_cf(self.family(META)?, COMMITTED_AT).map_err(|error| failure(&self.folder, &error))?;
        let time = |row: DBPinnableSlice<'_>| row.as_ref().try_into().map(|bytes| IngestTime(i64::from_be_bytes(bytes)));
        row.map(time).transpose().map_err(|_| Error::corrupt("the time of the last commit has the wrong length"))
    }

    pub fn put_committed_at(&self, commit: &mut Commit, now: IngestTime) -> Result<()> {
        commit.batch.put_cf(self.family(META)?, COMMITTED_AT, now.0.to_be_bytes());
        Ok(())
    }

    /// How the records of each source were read, as of the last commit; nothing of sources that an earlier version read.
    pub fn readings(&self) -> Result<BTreeMap<String, Reading>> {
        match self.db.get_pinned_cf(self.family(META)?, SOURCES).map_err(|error| failure(&self.folder, &error))? {
            Some(bytes) => codec::decode(SOURCES_VERSION, &bytes, "what sources were read as"),
            None => Ok(BTreeMap::new()),
        }
    }

    pub fn put_readings(&self, commit: &mut Commit, readings: &BTreeMap<String, Reading>) -> Result<()> {
        commit.batch.put_cf(self.family(META)?, SOURCES, codec::encode(SOURCES_VERSION, readings)?);
        Ok(())
    }

    /// Records which definitions are in force from the event after `since` on.
    pub fn put_definitions(&self, commit: &mut Commit, since: Seq, text: &str) -> Result<()> {
        let mut key = DEFINITIONS.to_vec();
        key.extend(since.0.to_be_bytes());
        commit.batch.put_cf(self.family(META)?, key, text);
        Ok(())
    }

    /// The newest definitions and the cut after which they are in force.
    pub fn definitions(&self) -> Result<Option<(Seq, String)>> {
        let mut last = DEFINITIONS.to_vec();
        last.extend([0xff; 8]);
        let Some(entry) = self.db.iterator_cf(self.family(META)?, IteratorMode::From(&last, Direction::Reverse)).next() else {
            return Ok(None);
        };
        let (key, value) = entry.map_err(|error| failure(&self.folder, &error))?;
        let Some(since) = key.strip_prefix(DEFINITIONS) else { return Ok(None) };
        Ok(Some((Seq(number(since)), String::from_utf8_lossy(&value).into_owned())))
    }

    /// Puts the accepted events whose first has this `seq`.
    pub fn put_block(&self, commit: &mut Commit, first: Seq, batches: &[EventBatch]) -> Result<usize> {
        let bytes = block::encode(batches)?;
        commit.batch.put_cf(self.family(BLOCKS)?, first.0.to_be_bytes(), &bytes);
        Ok(bytes.len())
    }

    /// Calls `each` with the blocks that hold an event after `after`, in order, until it returns false.
    pub fn blocks_after(&self, after: Seq, mut each: impl FnMut(Seq, Vec<EventBatch>) -> Result<bool>) -> Result<()> {
        let family = self.family(BLOCKS)?;
        // The block that holds `after` starts at or before it, and may hold later events too.
        let from = after.0.to_be_bytes();
        let start = match self.db.iterator_cf(family, IteratorMode::From(&from, Direction::Reverse)).next() {
            Some(entry) => entry.map_err(|error| failure(&self.folder, &error))?.0.to_vec(),
            None => Vec::new(),
        };
        for entry in self.db.iterator_cf(family, IteratorMode::From(&start, Direction::Forward)) {
            let (key, value) = entry.map_err(|error| failure(&self.folder, &error))?;
            if !each(Seq(number(&key)), block::decode(&value)?)? {
                break;
            }
        }
        Ok(())
    }

    /// The first event of each block, in order.
    pub fn block_firsts(&self) -> Result<Vec<Seq>> {
        let entries = self.db.iterator_cf(self.family(BLOCKS)?, IteratorMode::Start);
        entries.map(|entry| entry.map(|(key, _)| Seq(number(&key))).map_err(|error| failure(&self.folder, &error))).collect()
    }

    /// Forgets every block that starts before `before`: no event of it may be needed any more.
    pub fn delete_blocks_before(&self, commit: &mut Commit, before: Seq) -> Result<()> {
        commit.batch.delete_range_cf(self.family(BLOCKS)?, 0_u64.to_be_bytes(), before.0.to_be_bytes());
        Ok(())
    }

    /// Puts the ids that one partition's events of a commit have; `at` is the commit's first `seq` and the row's place.
    pub fn put_ids(&self, commit: &mut Commit, at: (Seq, u32), ids: &AcceptedIds) -> Result<()> {
        commit.batch.put_cf(self.family(IDS)?, ids_key(at), ids.to_bytes()?);
        Ok(())
    }

    /// All rows of ids that are kept, in order, each with its place.
    pub fn ids(&self, mut each: impl FnMut((Seq, u32), AcceptedIds) -> Result<()>) -> Result<()> {
        for entry in self.db.iterator_cf(self.family(IDS)?, IteratorMode::Start) {
            let (key, value) = entry.map_err(|error| failure(&self.folder, &error))?;
            let (seq, place) = key.split_at(8.min(key.len()));
            each((Seq(number(seq)), number(place) as u32), AcceptedIds::from_bytes(&value)?)?;
        }
        Ok(())
    }

    pub fn delete_ids(&self, commit: &mut Commit, at: (Seq, u32)) -> Result<()> {
        commit.batch.delete_cf(self.family(IDS)?, ids_key(at));
        Ok(())
    }

    pub fn put_state(&self, commit: &mut Commit, view: Identity, key: &[u8], row: &[u8]) -> Result<()> {
        commit.batch.put_cf(self.family(STATE)?, state_key(view, key), row);
        Ok(())
    }

    pub fn delete_state(&self, commit: &mut Commit, view: Identity, key: &[u8]) -> Result<()> {
        commit.batch.delete_cf(self.family(STATE)?, state_key(view, key));
        Ok(())
    }

    /// `None` deletes the chunk.
    pub fn put_chunk(&self, commit: &mut Commit, view: Identity, key: &[u8], chunk: &[u8], bytes: Option<&[u8]>) -> Result<()> {
        let family = self.family(CHUNKS)?;
        let place = chunk_key(view, key, chunk);
        match bytes {
            Some(bytes) => commit.batch.put_cf(family, place, bytes),
            None => commit.batch.delete_cf(family, place),
        }
        Ok(())
    }

    pub fn state(&self, view: Identity, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get_cf(self.family(STATE)?, state_key(view, key)).map_err(|error| failure(&self.folder, &error))
    }

    /// The rows of many keys, which are in the order of their state keys: each block of the store is read once.
    pub fn states<'a>(&self, view: Identity, keys: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Option<DBPinnableSlice<'_>>>> {
        let keys: Vec<Vec<u8>> = keys.map(|key| state_key(view, key)).collect();
        let rows = self.db.batched_multi_get_cf(self.family(STATE)?, &keys, true);
        rows.into_iter().map(|row| row.map_err(|error| failure(&self.folder, &error))).collect()
    }

    pub fn chunk(&self, view: Identity, key: &[u8], chunk: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get_cf(self.family(CHUNKS)?, chunk_key(view, key, chunk)).map_err(|error| failure(&self.folder, &error))
    }

    /// Forgets all rows and chunks of a view.
    pub fn delete_view(&self, commit: &mut Commit, view: Identity) -> Result<()> {
        for slot in 0..=u8::MAX {
            let (from, to) = range_of(slot, view);
            for family in [STATE, CHUNKS] {
                commit.batch.delete_range_cf(self.family(family)?, &from, &to);
            }
        }
        Ok(())
    }

    /// About how many bytes the rows and chunks of a view take on disk; what is not in a table yet is left out.
    pub fn view_bytes(&self, view: Identity) -> Result<u64> {
        let bounds: Vec<(Vec<u8>, Vec<u8>)> = (0..=u8::MAX).map(|slot| range_of(slot, view)).collect();
        let ranges: Vec<Range<'_>> = bounds.iter().map(|(from, to)| Range::new(from, to)).collect();
        let of = |family: &str| -> Result<u64> { Ok(self.db.get_approximate_sizes_cf(self.family(family)?, &ranges).iter().sum()) };
        Ok(of(STATE)? + of(CHUNKS)?)
    }

    /// Calls `each` with every key of a view and its row, slot by slot.
    pub fn rows(&self, view: Identity, mut each: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let family = self.family(STATE)?;
        for slot in 0..=u8::MAX {
            let mut from = vec![slot];
            from.extend(view.0);
            for entry in self.db.iterator_cf(family, IteratorMode::From(&from, Direction::Forward)) {
                let (key, row) = entry.map_err(|error| failure(&self.folder, &error))?;
                match key.strip_prefix(from.as_slice()) {
                    Some(key) => each(key, &row)?,
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with up to `most` keys of a view in a slot and their rows, from the first after `after`; returns how
    /// many there were.
    pub fn rows_of_slot(
        &self,
        view: Identity,
        slot: u8,
        after: Option<&[u8]>,
        most: usize,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<usize> {
        let mut prefix = vec![slot];
        prefix.extend(view.0);
        let mut from = prefix.clone();
        if let Some(after) = after {
            from.extend(after);
            // The least key that is greater.
            from.push(0);
        }
        let mut number = 0;
        for entry in self.db.iterator_cf(self.family(STATE)?, IteratorMode::From(&from, Direction::Forward)).take(most) {
            let (key, row) = entry.map_err(|error| failure(&self.folder, &error))?;
            let Some(key) = key.strip_prefix(prefix.as_slice()) else { break };
            each(key, &row)?;
            number += 1;
        }
        Ok(number)
    }

    /// The bytes of a key's chunks.
    pub fn chunk_bytes(&self, view: Identity, key: &[u8]) -> Result<u64> {
        let from = chunk_key(view, key, &[]);
        let mut bytes = 0;
        for entry in self.db.iterator_cf(self.family(CHUNKS)?, IteratorMode::From(&from, Direction::Forward)) {
            let (key, chunk) = entry.map_err(|error| failure(&self.folder, &error))?;
            if !key.starts_with(&from) {
                break;
            }
            bytes += chunk.len() as u64;
        }
        Ok(bytes)
    }
}

/// Where the keys of a view in a slot begin, and before which they end.
fn range_of(slot: u8, view: Identity) -> (Vec<u8>, Vec<u8>) {
    let mut from = vec![slot];
    from.extend(view.0);
    let mut to = from.clone();
    to.extend([0xff; 64]);
    (from, to)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests;
