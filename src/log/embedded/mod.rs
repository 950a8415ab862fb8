//! The embedded log: topics with partitions and offsets in RocksDB, for one machine without Kafka. The process that opened it has
//! any number of readers and sinks; other processes may open it read-only beside. Records are stored in blocks (`block`); an append
//! is one synced write batch. Must never assign an offset twice, and never acknowledge what is not on disk.

mod append;
mod block;
mod check;
mod keys;
mod mend;
mod read;
mod retain;
#[cfg(test)]
mod tests;
mod topic;
mod wal;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard, RwLock};
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, FlushOptions, Options, ReadOptions, WriteBatch,
    WriteOptions,
};

use crate::background::Damage;
use crate::copying::{Copying, Way};
use crate::error::{Error, ErrorKind, Result};
use crate::files::Files;
use crate::id::{Identity, Offset, Partition};
use crate::mark::{self, Mark, Recovery};
use crate::record::{LogReader, Outgoing, PartitionEnds, RecordRun, Retention, Sink, Topics};
use crate::time::{Clock, IngestTime};

pub use mend::{Known, Loss, Mended};
pub use retain::Trimmed;
use topic::{Extent, Topic};
pub use topic::{PartitionInfo, TopicInfo};

/// The version of the layout in the store.
const FORMAT: u32 = 1;
/// Memory for records that are not in a file yet; they are in the synced write-ahead log as well.
const WRITE_BUFFER_BYTES: usize = 32 << 20;
/// How much of a file may wait in the system's memory before it goes to the disk.
const SYNC_BYTES: u64 = 1 << 20;

/// How the log is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For one process at a time. Makes the folder when it is missing.
    ReadWrite,
    /// As the log was when it was opened; works beside the process that writes.
    ReadOnly,
}

/// An open log. Clones share it; it closes with the last clone, reader and writer.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    mode: Mode,
    store: DB,
    clock: Arc<dyn Clock>,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Held by who changes the store: appends, new topics, and the step of a trim that moves a start. Nothing that takes longer
    /// than a synced write may be done under it.
    change: Mutex<()>,
    /// What was trimmed and still takes space; held by who trims.
    trimmed: Mutex<Vec<retain::Gone>>,
    /// Of a log that is open to write.
    written: Option<Written>,
    damage: Damage,
    /// Why the first write failed that did: RocksDB takes none after it until it is opened again.
    broken: OnceLock<Error>,
}

/// How many writes the log was given.
struct Written {
    writes: Mutex<u64>,
    mark: Mark,
}

impl Log {
    /// Opens the log in a folder of its own. `clock` stamps records that bring no timestamp. Conflict when another
    /// process has it open for writing; not found when it is opened read-only and is not there.
    pub fn open(folder: &Path, mode: Mode, clock: Arc<dyn Clock>) -> Result<Self> {
        let damage = Damage::default();
        let store = open_store(folder, mode, &damage)?;
        let written = match mode {
            Mode::ReadWrite => Some(Written { writes: Mutex::new(writes(folder, &store)?), mark: Mark::open(folder)? }),
            Mode::ReadOnly => None,
        };
        let inner = Inner::new(folder, mode, store, clock, written, damage);
        inner.check_format()?;
        inner.load_topics(|topic, partition| inner.extent(topic, partition))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The present by which records are stamped.
    #[must_use]
    pub fn now(&self) -> IngestTime {
        self.inner.clock.now()
    }

    /// The data folder that the log is a part of; `None` for one of a version before.
    pub fn folder(&self) -> Result<Option<Identity>> {
        let Some(row) = self.inner.get(keys::FOLDER)? else { return Ok(None) };
        let identity = row.try_into().map_err(|_| Error::corrupt("the identity in the log has the wrong length"))?;
        Ok(Some(Identity(identity)))
    }

    /// Makes the log a part of a data folder.
    pub fn belong_to(&self, folder: Identity) -> Result<()> {
        if self.folder()? == Some(folder) {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        batch.put(keys::FOLDER, folder.0);
        self.inner.write("giving the log its identity", batch)
    }

    /// What is damaged of the log's tables, as far as its compactions have met it.
    pub fn damage(&self) -> Result<Option<Error>> {
        let met = self.inner.damage.met(&self.inner.store, &["default", keys::BLOCKS]);
        let met = met.map_err(|error| self.inner.failed("ending compactions", &error))?;
        Ok(met.map(|met| Error::corrupt(format!("a table is damaged ({met}); {REMEDY}"))))
    }

    /// Why the log takes nothing any more; `None` while it does.
    #[must_use]
    pub fn broken(&self) -> Option<&Error> {
        self.inner.broken.get()
    }

    /// The largest `upto` that a writer of that name was given.
    pub fn remembered(&self, writer: &str) -> Result<Option<u64>> {
        self.inner.remembered(writer)
    }

    /// Makes a topic, or gives it more partitions. Does nothing where it has as many or more.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<()> {
        let _change = self.inner.change_guard()?;
        self.inner.create_topic(name, partitions).map(|_| ())
    }

    /// Every topic, by name.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicInfo> {
        self.inner.topics.read().values().map(|topic| topic.info()).collect()
    }

    /// One topic. Not found when there is none of that name.
    pub fn topic(&self, name: &str) -> Result<TopicInfo> {
        Ok(self.inner.topic(name)?.info())
    }

    /// A reader of all partitions of a topic.
    pub fn reader(&self, topic: &str) -> Result<Box<dyn LogReader>> {
        Ok(Box::new(read::Reader::new(Arc::clone(&self.inner), self.inner.topic(topic)?)))
    }

    /// A writer whose `upto` is remembered under its name, in the same step as what it appends: an `append` with an
    /// `upto` that is not larger than the remembered one appends nothing and returns no places. One that was never
    /// given a larger `upto` than 0 remembers nothing.
    pub fn sink(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.inner.writable()?;
        Ok(Box::new(append::Writer::new(Arc::clone(&self.inner), name)))
    }

    /// Appends records; when it returns they are on disk. Topics that are missing are made, with one partition. All
    /// of the records are appended or none.
    pub fn append<R: Outgoing>(&self, records: &[R]) -> Result<Vec<(Partition, Offset)>> {
        self.inner.append(records, None)
    }

    /// Nothing is written while this is held.
    pub fn hold(&self) -> Result<MutexGuard<'_, ()>> {
        self.inner.change_guard()
    }

    /// Begins a copy of the log.
    pub fn copying(&self, into: &Path, way: Way) -> Result<Copying<'_>> {
        Copying::prepare(&self.inner.store, &["default", keys::BLOCKS], into, way)
    }

    /// At most `max` records of a partition from `from` on, or from its start where that is later.
    pub fn read(&self, topic: &str, partition: Partition, from: Offset, max: usize) -> Result<RecordRun> {
        let topic = self.inner.topic(topic)?;
        let from = from.0.max(topic.extent(partition)?.start);
        self.inner.read(&topic, partition, from, max)
    }
}

impl Topics for Log {
    fn reader(&self, topic: &str) -> Result<Box<dyn LogReader>> {
        self.reader(topic)
    }

    fn sink(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.sink(name)
    }

    fn create_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        self.create_topic(topic, partitions)
    }

    fn known_partitions(&self, topic: &str) -> Option<Vec<PartitionEnds>> {
        let topic = self.topic(topic);
        Some(topic.map(|topic| topic.partitions.iter().map(|held| (held.start, held.end)).collect()).unwrap_or_default())
    }

    fn is_atomic(&self) -> bool {
        true
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(written) = &self.written else { return };
        // So that whoever opens the log next has no write-ahead log to read. One that stays is read.
        let families: Vec<_> = ["default", keys::BLOCKS].iter().filter_map(|name| self.store.cf_handle(name)).collect();
        if let Err(error) = self.store.flush_cfs_opt(&families, &FlushOptions::default()) {
            tracing::debug!("closing the log in {}: {error}", self.folder.display());
        }
        written.mark.sync();
    }
}

impl Inner {
    fn new(folder: &Path, mode: Mode, store: DB, clock: Arc<dyn Clock>, written: Option<Written>, damage: Damage) -> Self {
        let (topics, change, trimmed) = Default::default();
        let broken = OnceLock::new();
        Self { folder: folder.to_owned(), mode, store, clock, topics, change, trimmed, written, damage, broken }
    }

    fn writable(&self) -> Result<()> {
        match self.mode {
            Mode::ReadWrite => Ok(()),
            Mode::ReadOnly => Err(Error::conflict(format!(
                "the log in {} is open read-only: write through the process that serves it",
                self.folder.display()
            ))),
        }
    }

    fn change_guard(&self) -> Result<parking_lot::MutexGuard<'_, ()>> {
        self.writable()?;
        Ok(self.change.lock())
    }

    fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        let topics = self.topics.read();
        topics.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = topics.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            Error::not_found(format!("the log in {} has no topic {name}: {known}", self.folder.display()))
        })
    }

    fn blocks(&self) -> Result<&ColumnFamily> {
        self.store
            .cf_handle(keys::BLOCKS)
            .ok_or_else(|| Error::corrupt(format!("the log in {} has no blocks: {REMEDY}", self.folder.display())))
    }

    /// What a block iterator reads: not through the cache, because it reads everything once.
    fn scan_options() -> ReadOptions {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options
    }

    fn failed(&self, doing: &str, error: &rocksdb::Error) -> Error {
        store_error(&self.folder, doing, error.as_ref())
    }

    fn write(&self, doing: &str, mut batch: WriteBatch) -> Result<()> {
        self.writable()?;
        let Some(written) = &self.written else { return Ok(()) };
        let mut options = WriteOptions::default();
        options.set_sync(true);
        let mut writes = written.writes.lock();
        batch.put(keys::WRITES, (*writes + 1).to_be_bytes());
        if let Err(error) = self.store.write_opt(batch, &options) {
            return Err(self.broken.get_or_init(|| self.failed(doing, &error)).clone());
        }
        *writes += 1;
        written.mark.set(*writes);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.get(key).map_err(|error| self.failed("reading", &error))
    }

    fn check_format(&self) -> Result<()> {
        match self.get(keys::FORMAT)? {
            Some(row) if row == FORMAT.to_be_bytes() => Ok(()),
            Some(_) => Err(Error::conflict(format!(
                "the log in {} was written by another version of forebay: use that version, or another data folder",
                self.folder.display()
            ))),
            None if self.mode == Mode::ReadOnly => Ok(()),
            None => {
                let mut batch = WriteBatch::default();
                batch.put(keys::FORMAT, FORMAT.to_be_bytes());
                self.write("starting the log", batch)
            }
        }
    }

    /// Learns which topics there are; `extent` says where a partition starts and ends.
    fn load_topics(&self, extent: impl Fn(u32, Partition) -> Result<Extent>) -> Result<()> {
        let mut rows = self.store.raw_iterator();
        rows.seek(keys::TOPIC_PREFIX);
        let mut topics = self.topics.write();
        while let Some((key, row)) = rows.item() {
            let Some(name) = key.strip_prefix(keys::TOPIC_PREFIX) else { break };
            let name = String::from_utf8_lossy(name).into_owned();
            let (id, partitions, retention) = Topic::decode(row).map_err(|error| error.context(format!("topic {name}")))?;
            let extents = (0..partitions).map(|partition| extent(id, Partition(partition))).collect::<Result<_>>()?;
            topics.insert(name.clone(), Arc::new(Topic::new(id, &name, retention, extents)));
            rows.next();
        }
        rows.status().map_err(|error| self.failed("reading topics", &error))
    }

    /// Where a stored partition starts and ends.
    fn extent(&self, topic: u32, partition: Partition) -> Result<Extent> {
        let mut extent = self.start(topic, partition)?;
        let mut blocks = self.store.raw_iterator_cf_opt(self.blocks()?, Self::scan_options());
        blocks.seek_for_prev(keys::block(topic, partition, u64::MAX));
        match blocks.item() {
            Some((key, block)) if keys::is_of(key, topic, partition) => {
                let head = block::Head::read(block)?;
                (extent.end, extent.held) = (head.end(), head.end());
                extent.bytes = head.bytes_before + block.len() as u64;
            }
            _ => blocks.status().map_err(|error| self.failed("reading the ends of topics", &error))?,
        }
        // No offset that is lost stands for another record.
        extent.end = extent.end.max(self.lost(topic, partition)?.into_values().max().unwrap_or_default());
        Ok(extent)
    }

    /// The topic, made or grown to that many partitions. The change lock is held.
    fn create_topic(&self, name: &str, partitions: u32) -> Result<Arc<Topic>> {
        let partitions = partitions.max(1);
        let found = self.topics.read().get(name).cloned();
        let topic = match found {
            Some(topic) => topic,
            None => {
                topic::check_name(name)?;
                let id = self.topics.read().values().map(|topic| topic.id + 1).max().unwrap_or_default();
                Arc::new(Topic::new(id, name, Retention::default(), Vec::new()))
            }
        };
        let missing = (partitions as usize).saturating_sub(topic.extents.lock().len());
        if missing > 0 {
            let mut batch = WriteBatch::default();
            batch.put(keys::topic(name), Topic::encode(topic.id, partitions, *topic.retention.lock()));
            self.write(&format!("making topic {name}"), batch)?;
            topic.extents.lock().resize(partitions as usize, Extent::default());
            self.topics.write().insert(name.to_owned(), Arc::clone(&topic));
        }
        Ok(topic)
    }
}

/// What a log is known by, in a copy of it too: the identity of its data folder, and what RocksDB gave it when it was made, by
/// which a version before knew it. Empty where there is no log.
///
/// # Errors
/// Those of opening a log to read.
pub fn identities(folder: &Path) -> Result<Vec<String>> {
    if !folder.join("CURRENT").exists() {
        return Ok(Vec::new());
    }
    let store = open_store(folder, Mode::ReadOnly, &Damage::default())?;
    let failed = |error: &rocksdb::Error| store_error(folder, "reading what the log is known by", error.as_ref());
    let of_folder = store.get(keys::FOLDER).map_err(|error| failed(&error))?.and_then(|row| row.try_into().ok());
    let of_store = store.get_db_identity().map_err(|error| failed(&error))?;
    let of_store = String::from_utf8_lossy(&of_store).into_owned();
    Ok(of_folder.map(|row| Identity(row).to_string()).into_iter().chain([of_store]).collect())
}

/// How many writes the store was given, as it says itself.
fn writes(folder: &Path, store: &DB) -> Result<u64> {
    let Some(row) = store.get(keys::WRITES).map_err(|error| store_error(folder, "reading", error.as_ref()))? else { return Ok(0) };
    let row: [u8; 8] = row.try_into().map_err(|_| Error::corrupt("the number of writes in the log has the wrong length"))?;
    Ok(u64::from_be_bytes(row))
}

/// Opens a store that holds everything that was acknowledged.
fn open_store(folder: &Path, mode: Mode, damage: &Damage) -> Result<DB> {
    if mode == Mode::ReadWrite {
        std::fs::create_dir_all(folder).map_err(|error| store_error(folder, "making the folder", &error.to_string()))?;
    } else if !folder.join("CURRENT").exists() {
        let message = format!("no log in {}: name the right data folder, or start one with `forebay serve`", folder.display());
        return Err(Error::not_found(message));
    }
    let lost = |writes| {
        Error::corrupt(format!(
            "the last {writes} acknowledged writes to the log in {} are gone: its write-ahead log was cut or damaged; {REMEDY}",
            folder.display()
        ))
    };
    let open = |mode: Mode| move |recovery| open_rocks(folder, mode, recovery, damage);
    let open_whole = || mark::open_whole(folder, open(mode), open(Mode::ReadOnly), |store| writes(folder, store), lost);
    if mode == Mode::ReadOnly { mark::look_again(open_whole) } else { open_whole() }
}

/// What is to be done about a log that is not whole.
const REMEDY: &str = "restore the whole data folder from one copy (`forebay restore`), or see with `forebay rebuild log` what of it cannot be read, and can be given up";

fn open_rocks(folder: &Path, mode: Mode, recovery: Recovery, damage: &Damage) -> Result<DB> {
    let mut options = Options::default();
    damage.listen(&mut options);
    options.set_wal_recovery_mode(match recovery {
        Recovery::Strict => DBRecoveryMode::AbsoluteConsistency,
        Recovery::UpToTheDamage => DBRecoveryMode::PointInTime,
        Recovery::PastTheDamage => DBRecoveryMode::SkipAnyCorruptedRecord,
    });
    options.set_compression_type(DBCompressionType::None);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_max_open_files(Files::now().of_log());
    options.set_max_total_wal_size(4 * WRITE_BUFFER_BYTES as u64);
    // What is written in the background goes to the disk as it comes: an append's sync would wait for all of it at once.
    options.set_bytes_per_sync(SYNC_BYTES);
    options.set_wal_bytes_per_sync(SYNC_BYTES);
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // Blocks go to blob files: written once, and dropped whole when all in them is trimmed. Compactions do not collect what is
    // left in others: they would write the oldest quarter of the log again and again; `retain` says when it is worth it.
    let mut blocks = Options::default();
    blocks.set_compression_type(DBCompressionType::None);
    blocks.set_write_buffer_size(WRITE_BUFFER_BYTES);
    blocks.set_enable_blob_files(true);
    blocks.set_min_blob_size(1024);
    blocks.set_blob_file_size(64 << 20);
    let families = || {
        let mut rows = Options::default();
        rows.set_compression_type(DBCompressionType::None);
        [ColumnFamilyDescriptor::new("default", rows), ColumnFamilyDescriptor::new(keys::BLOCKS, blocks.clone())]
    };
    let opened = match mode {
        Mode::ReadWrite => {
            // What a crash left in the write-ahead log stays there, so that a start that is refused has changed nothing.
            let options = options
                .get_options_from_string("avoid_flush_during_recovery=true")
                .map_err(|error| Error::internal(format!("the options of RocksDB: {error}")))?;
            DB::open_cf_descriptors(&options, folder, families())
        }
        Mode::ReadOnly => DB::open_cf_descriptors_read_only(&options, folder, families(), false),
    };
    opened.map_err(|error| store_error(folder, "opening the log", error.as_ref()))
}

/// What RocksDB or the file system said, as an error that names the folder and the remedy.
fn store_error(folder: &Path, doing: &str, message: &str) -> Error {
    let folder = folder.display();
    let lower = message.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if is(&["too many open files"]) {
        let text = format!("{doing} in {folder}: this process may open no more files ({message}); raise the limit (ulimit -n)");
        return Error::unavailable(text);
    }
    if is(&["lock file", "lock hold", "/lock:"]) {
        let text = format!("{doing} in {folder}: another process has it open; stop that one, or choose another folder with --data");
        return Error::conflict(text);
    }
    let (kind, remedy) = if is(&["no space left", "disk quota"]) {
        (ErrorKind::Unavailable, "the disk is full; free some space and start again: nothing that was acknowledged is lost")
    } else if is(&["permission denied", "read-only file system"]) {
        (ErrorKind::Input, "give this user the right to write there, or choose another folder with --data")
    } else if is(&["corruption", "checksum", "no such file"]) {
        (ErrorKind::Corrupt, REMEDY)
    } else {
        (ErrorKind::Unavailable, "see that the disk is in order and try again")
    };
    Error::new(kind, format!("{doing} in {folder}: {remedy} ({message})"))
}
