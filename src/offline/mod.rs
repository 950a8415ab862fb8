//! The event log in Parquet: every committed event exactly once, by source and event date, for training and for any
//! other reader of Parquet. One process writes, any number read. Must never make an event visible before it is durable,
//! and never touch a file that a reader may still have in hand.
//!
//! Layout: `<folder>/<source>/date=YYYY-MM-DD/part-NNNNNNNNNN.parquet`, rows sorted by (event time, partition, offset);
//! of a table, whose rows are few and of many years, `<folder>/<table>/year=YYYY/..`;
//! and `<folder>/manifest.json`, which names the files that count.

mod checksum;
mod compaction;
mod copy;
mod manifest;
mod part;
mod reading;
mod rebuild;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use chrono::Datelike;
use parking_lot::{Mutex, MutexGuard, RwLock};

use self::checksum::Checksums;
pub use self::compaction::CompactionReport;
pub use self::copy::Pinned;
pub use self::manifest::{Column, FileEntry};
use self::manifest::{Manifest, located, sync_folder};
use self::part::Press;
pub use self::part::columns_of;
pub use self::reading::PartFile;
pub use self::rebuild::{Builder, Survey};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventBatch, SYSTEM_COLUMNS};
use crate::id::{Identity, Seq};
use crate::plan::Source;
use crate::time::{EventTime, Span};

/// The way out where a file of the log is not what was written.
const DAMAGED_REMEDY: &str = "stop the server and run `forebay rebuild offline`, or restore the folder from a copy";

/// The event log of one folder. Shared by reference between threads.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// What readers see. Replaced as a whole.
    manifest: RwLock<Arc<Manifest>>,
    /// Why files could not be joined with others, which go on without them.
    unreadable: Mutex<BTreeMap<String, String>>,
    /// `None` for readers. Held while files are made and a manifest takes their place.
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    /// Held from the choice of file names to the new manifest.
    turn: Mutex<()>,
    /// The sources that are tables.
    tables: BTreeSet<String>,
    /// Shared with every copy that is being made.
    copied: Arc<()>,
    /// The number of the next part, also after a step that failed: no name stands for two files.
    next_part: AtomicU64,
}

impl Store {
    /// Opens the log for the one process that writes it (the caller holds the data folder's lock), makes the folder,
    /// and removes files that a crash left without a manifest that names them.
    pub fn open(folder: &Path, sources: &[Source]) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| io_error("make", folder, &error))?;
        let manifest = load(folder)?;
        sweep(folder, &manifest)?;
        let mut next = manifest.clone();
        for (source, time) in event_times(sources) {
            next.event_times.entry(source).or_insert(time);
        }
        let (first, learnt) = (manifest.generation == 0, next.event_times != manifest.event_times);
        let tables = sources.iter().filter(|source| source.files.is_some()).map(|source| source.name.clone()).collect();
        let writing = Writing { turn: Mutex::new(()), tables, copied: Arc::default(), next_part: AtomicU64::new(0) };
        let store = Self {
            folder: folder.to_owned(),
            manifest: RwLock::new(Arc::new(manifest)),
            unreadable: Mutex::default(),
            writing: Some(writing),
        };
        if first || learnt {
            store.replace(next, &Made::default())?;
        }
        Ok(store)
    }

    /// The column that the events of a source are sorted and dated by; `None` where it never was among the sources.
    pub fn event_time(&self, source: &str) -> Option<String> {
        self.manifest.read().event_times.get(source).cloned()
    }

    /// Sorts and dates what is written from now on by today's event times. What was accepted under others is written before,
    /// since it may lack today's.
    pub fn turn_to(&self, sources: &[Source]) -> Result<()> {
        let writing = self.writing()?;
        let _turn = writing.turn.lock();
        let current = self.manifest.read().clone();
        let mut next = Manifest::clone(&current);
        next.event_times.extend(event_times(sources));
        if next.event_times == current.event_times { Ok(()) } else { self.replace(next, &Made::default()) }
    }

    /// The data folder that the log is a part of; `None` for one of a version before.
    pub fn folder(&self) -> Option<Identity> {
        self.manifest.read().folder.as_deref().and_then(Identity::parse)
    }

    /// Makes the log a part of a data folder.
    pub fn belong_to(&self, folder: Identity) -> Result<()> {
        let writing = self.writing()?;
        let _turn = writing.turn.lock();
        let current = self.manifest.read().clone();
        if self.folder() == Some(folder) {
            return Ok(());
        }
        let mut next = Manifest::clone(&current);
        next.folder = Some(folder.to_string());
        self.replace(next, &Made::default())
    }

    /// Opens the log beside a process that may be writing it. A folder without a log reads as an empty one.
    pub fn open_read_only(folder: &Path) -> Result<Self> {
        let manifest = load(folder)?;
        Ok(Self { folder: folder.to_owned(), manifest: RwLock::new(Arc::new(manifest)), unreadable: Mutex::default(), writing: None })
    }

    /// Reads the manifest again: what another process has written since.
    pub fn reload(&self) -> Result<()> {
        if self.writing.is_none() {
            *self.manifest.write() = Arc::new(load(&self.folder)?);
        }
        Ok(())
    }

    /// Every event up to this `seq` is in the files.
    pub fn upto(&self) -> Seq {
        self.manifest.read().upto
    }

    /// The bytes of all files that count.
    pub fn bytes(&self) -> u64 {
        self.manifest.read().files.iter().map(|file| file.bytes).sum()
    }

    /// The state of the log at this moment: its files and `upto` belong together.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { folder: self.folder.clone(), manifest: self.manifest.read().clone() }
    }

    /// Nothing is written while this is held.
    pub fn hold(&self) -> Result<MutexGuard<'_, ()>> {
        Ok(self.writing()?.turn.lock())
    }

    /// The state of the log at this moment, to be copied: its files stay for as long as this is there.
    pub fn pin(&self) -> Result<Pinned> {
        let pin = Arc::clone(&self.writing()?.copied);
        Ok(Pinned { snapshot: self.snapshot(), _pin: pin })
    }

    /// Adds the committed events up to `upto`, durably and in one step; when this returns they may be forgotten
    /// elsewhere. Events that the log already holds (`seq <= self.upto()`) are skipped, so that a crash between this
    /// step and the caller's own note of it does no harm.
    pub fn write(&self, batches: &[EventBatch], upto: Seq) -> Result<()> {
        let writing = self.writing()?;
        let _turn = writing.turn.lock();
        let current = self.manifest.read().clone();
        if upto <= current.upto {
            return Ok(());
        }
        let mut next = Manifest::clone(&current);
        let mut made = Made::default();
        let sources: BTreeSet<&str> = batches.iter().map(|batch| batch.source.as_str()).collect();
        for source in sources {
            let event_time = current.event_times.get(source).cloned().ok_or_else(|| {
                Error::internal(format!("events of {source}, which is no source that the event log was ever opened with"))
            })?;
            let own: Vec<&EventBatch> = batches.iter().filter(|batch| batch.source == source).collect();
            for rows in one_schema_each(&own) {
                let rows = after(&rows?, current.upto)?;
                if rows.num_rows() > 0 {
                    self.add_rows(&mut next, &mut made, source, &event_time, rows, Press::Fast)?;
                }
            }
        }
        next.upto = upto;
        self.replace(next, &made)
    }

    /// Writes rows of one source into new files, one per event date (or year), and enters them into the manifest to be.
    fn add_rows(
        &self,
        next: &mut Manifest,
        made: &mut Made,
        source: &str,
        event_time: &str,
        rows: RecordBatch,
        press: Press,
    ) -> Result<()> {
        let rows = part::sorted(rows, event_time)?;
        let schema = next.schema_index(part::columns_of(&rows.schema()));
        let times = part::column(&rows, event_time)?.as_primitive::<TimestampMicrosecondType>().values().clone();
        let seqs = part::column(&rows, SYSTEM_COLUMNS[3])?.as_primitive::<UInt64Type>().values().clone();
        let retracts = rows.column_by_name(SYSTEM_COLUMNS[5]).cloned();
        let yearly = self.writing()?.tables.contains(source);
        let (folder, period): (_, fn(i64) -> i64) = if yearly { ("year", year_of) } else { ("date", day_of) };
        let mut start = 0;
        while start < times.len() {
            let of = period(times[start]);
            let end = start + times[start..].partition_point(|time| period(*time) == of);
            let date = if yearly { of.to_string() } else { date_text(of) };
            let number = next.next_part.max(self.writing()?.next_part.load(Ordering::Relaxed));
            let path = format!("{}/{folder}={date}/part-{number:010}.parquet", escaped(source));
            next.next_part = number + 1;
            self.writing()?.next_part.store(number + 1, Ordering::Relaxed);
            let (bytes, checksums) = made.write(&self.folder, &path, &rows.slice(start, end - start), press)?;
            let range = &seqs[start..end];
            next.files.push(FileEntry {
                path,
                source: source.to_owned(),
                event_time: event_time.to_owned(),
                date,
                rows: (end - start) as u64,
                bytes,
                time_min: EventTime(times[start]),
                time_max: EventTime(times[end - 1]),
                seq_min: Seq(range.iter().copied().min().unwrap_or_default()),
                seq_max: Seq(range.iter().copied().max().unwrap_or_default()),
                memory: part::memory(&rows.slice(start, end - start)),
                schema,
                retractions: retracts.as_ref().map_or(0, |retracts| {
                    let range = retracts.slice(start, end - start);
                    (range.len() - range.null_count()) as u64
                }),
                checksums: Some(checksums),
            });
            start = end;
        }
        Ok(())
    }

    /// Puts the next manifest in the place of the current one, on disk and in memory.
    fn replace(&self, mut next: Manifest, made: &Made) -> Result<()> {
        for folder in &made.folders {
            sync_folder(folder)?;
        }
        next.generation += 1;
        next.publish(&self.folder)?;
        *self.manifest.write() = Arc::new(next);
        Ok(())
    }

    fn writing(&self) -> Result<&Writing> {
        self.writing.as_ref().ok_or_else(|| Error::internal(format!("{} is open for reading only", self.folder.display())))
    }
}

/// What was made on the way to a manifest and must be durable before it.
#[derive(Debug, Default)]
struct Made {
    folders: BTreeSet<PathBuf>,
}

impl Made {
    fn write(&mut self, folder: &Path, path: &str, rows: &RecordBatch, press: Press) -> Result<(u64, Checksums)> {
        let file = located(folder, path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(|error| io_error("make", parent, &error))?;
            // Below the store's folder: the date, the source, and the folder itself.
            self.folders.extend(parent.ancestors().take(3).map(Path::to_owned));
        }
        part::write(&file, rows, press)
    }
}

/// The files of the log at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    folder: PathBuf,
    manifest: Arc<Manifest>,
}

impl Snapshot {
    pub fn upto(&self) -> Seq {
        self.manifest.upto
    }

    /// The files of a source, of all dates. A column that a file lacks is to be read as null; a column whose type has
    /// changed since is an `Input` error that names the file.
    pub fn files(&self, source: &Source) -> Result<Vec<&FileEntry>> {
        let files: Vec<_> = self.manifest.files.iter().filter(|file| file.source == source.name).collect();
        let mut checked = BTreeSet::new();
        for file in &files {
            if checked.insert(file.schema) {
                self.check_types(source, file)?;
            }
        }
        Ok(files)
    }

    fn check_types(&self, source: &Source, file: &FileEntry) -> Result<()> {
        for column in &self.manifest.schemas[file.schema] {
            let declared = source.fields.iter().find(|field| field.name == column.name);
            if let Some(field) = declared
                && field.data_type.to_string() != column.data_type
            {
                return Err(Error::input(format!(
                    "{} holds {}.{} as {}, but it is declared {} now: give the field a new name, or declare the old type again",
                    self.locate(file).display(),
                    source.name,
                    column.name,
                    column.data_type,
                    field.data_type,
                )));
            }
        }
        Ok(())
    }

    /// Where a file lies.
    pub fn locate(&self, file: &FileEntry) -> PathBuf {
        located(&self.folder, &file.path)
    }

    /// A file, to read parts of it. `Unavailable` where it was merged into another meanwhile, `Corrupt` where it is gone all the
    /// same, or not as long as it was.
    pub fn open(&self, file: &FileEntry) -> Result<PartFile> {
        open(&self.folder, file)
    }

    /// The events of a file, with the columns that the source has now.
    pub fn read(&self, file: &FileEntry, source: &Source) -> Result<RecordBatch> {
        part::fitted(&self.read_stored(file)?, &EventBatch::schema(&source.schema))
    }

    /// The events of a file, with the columns that they were written with.
    pub fn read_stored(&self, file: &FileEntry) -> Result<RecordBatch> {
        part::read(&self.locate(file), &self.open(file)?)
    }

    /// What can be told without reading files: those that are missing, or not as long as they were written.
    pub fn faults(&self) -> Vec<Error> {
        self.manifest.files.iter().filter_map(|file| self.open(file).err()).collect()
    }

    /// Whether the files hold another number of events than the log: every `seq` up to `upto` is in them, once.
    pub fn miscounted(&self) -> Option<Error> {
        let lost = self.manifest.lost.iter().map(|lost| lost.events);
        let rows: u64 = self.manifest.files.iter().map(|file| file.rows).chain(lost).sum();
        (rows != self.upto().0).then(|| {
            let folder = self.folder.display();
            Error::corrupt(format!("{folder} holds {rows} events and should hold {}: {DAMAGED_REMEDY}", self.upto()))
        })
    }

    /// How many events of a source were given up when the log was built again.
    pub fn lost(&self, source: &str) -> u64 {
        self.manifest.lost.iter().filter(|lost| lost.source == source).map(|lost| lost.events).sum()
    }

    /// Every file of the log.
    pub fn all_files(&self) -> &[FileEntry] {
        &self.manifest.files
    }

    /// The different columns that files of a source have.
    pub fn columns_of(&self, source: &str) -> impl Iterator<Item = &[Column]> {
        let schemas: BTreeSet<usize> = self.manifest.files.iter().filter(|file| file.source == source).map(|file| file.schema).collect();
        schemas.into_iter().map(|schema| self.manifest.schemas[schema].as_slice())
    }
}

/// Opens a file that a manifest of the folder names.
fn open(folder: &Path, file: &FileEntry) -> Result<PartFile> {
    let path = located(folder, &file.path);
    PartFile::open(&path, file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => match Manifest::load(folder) {
            Ok(now) if now.files.iter().all(|named| named.path != file.path) => {
                Error::unavailable(format!("{} was merged into another file meanwhile; ask again", path.display()))
            }
            _ => Error::corrupt(format!("{} is missing: {DAMAGED_REMEDY}", path.display())),
        },
        _ => error,
    })
}

/// What is wrong with the two files that hold the manifest: an error for each that is damaged or gone.
pub fn manifest_faults(folder: &Path) -> Result<Vec<Error>> {
    Manifest::faults(folder)
}

/// The event time's column of each source.
fn event_times(sources: &[Source]) -> impl Iterator<Item = (String, String)> {
    sources.iter().map(|source| (source.name.clone(), source.fields[source.event_time].name.clone()))
}

/// Batches of one source joined where their columns are the same, which they are unless a definition changed between.
fn one_schema_each(batches: &[&EventBatch]) -> Vec<Result<RecordBatch>> {
    let groups = batches.chunk_by(|a, b| a.rows.schema_ref() == b.rows.schema_ref());
    let join = |group: &[&EventBatch]| Ok(concat_batches(&group[0].rows.schema(), group.iter().map(|batch| &batch.rows))?);
    groups.map(join).collect()
}

/// The rows with a `seq` above `upto`.
fn after(rows: &RecordBatch, upto: Seq) -> Result<RecordBatch> {
    let seqs = part::column(rows, SYSTEM_COLUMNS[3])?;
    let seqs = seqs.as_primitive_opt::<UInt64Type>().ok_or_else(|| Error::internal("events whose seq has another type"))?;
    if seqs.values().iter().all(|seq| *seq > upto.0) {
        return Ok(rows.clone());
    }
    let keep: BooleanArray = seqs.values().iter().map(|seq| Some(*seq > upto.0)).collect();
    Ok(filter_record_batch(rows, &keep)?)
}

/// Removes what no manifest names: files of a write that did not reach its manifest.
fn sweep(folder: &Path, manifest: &Manifest) -> Result<()> {
    for file in parts(folder)? {
        if !below(folder, &file).is_some_and(|path| manifest.names(&path)) {
            fs::remove_file(&file).map_err(|error| io_error("remove", &file, &error))?;
        }
    }
    Ok(())
}

/// The manifest of a folder. It is there from the first opening on: files without one are no leftovers of a crash.
fn load(folder: &Path) -> Result<Manifest> {
    let manifest = Manifest::load(folder)?;
    if manifest.generation == 0 && folder.is_dir() && !parts(folder)?.is_empty() {
        return Err(Error::corrupt(format!("{} holds events but no manifest: {DAMAGED_REMEDY}", folder.display())));
    }
    Ok(manifest)
}

/// Every Parquet file below the folder of the log.
fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut parts = Vec::new();
    for source in folders_in(folder)? {
        for date in folders_in(&source)? {
            for file in fs::read_dir(&date).map_err(|error| io_error("read", &date, &error))? {
                let file = file.map_err(|error| io_error("read", &date, &error))?.path();
                if file.extension().is_some_and(|extension| extension == "parquet") {
                    parts.push(file);
                }
            }
        }
    }
    Ok(parts)
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| io_error("read", folder, &error))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| io_error("read", folder, &error))?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// The manifest's spelling of a path below the store's folder.
fn below(folder: &Path, file: &Path) -> Option<String> {
    let parts = file.strip_prefix(folder).ok()?.iter().map(|part| part.to_str());
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

/// A source's name as the name of a folder: whatever is no letter, digit, `_` or `-` becomes `%` and its byte.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The name that `escaped` made this of.
fn unescaped(name: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), name.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| u8::from_str_radix(std::str::from_utf8(after.get(..2)?).ok()?, 16).ok()).flatten();
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Days since 1970.
fn day_of(time: i64) -> i64 {
    time.div_euclid(Span::DAY.0)
}

/// The year; of a time that no calendar here reaches the first or the last of all.
fn year_of(time: i64) -> i64 {
    let beyond = if time < 0 { i64::MIN } else { i64::MAX };
    chrono::DateTime::from_timestamp_micros(time).map_or(beyond, |time| i64::from(time.year()))
}

/// The day as a date; one that no calendar here reaches as its number.
fn date_text(day: i64) -> String {
    let date = i32::try_from(day).ok().and_then(chrono::NaiveDate::from_epoch_days);
    date.map_or_else(|| format!("day{day}"), |date| date.to_string())
}

/// A failed file operation, named, with what to do about it.
fn io_error(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    let what = format!("cannot {doing} {}", path.display());
    match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => {
            Error::unavailable(format!("{what}: the disk is full; free some space, nothing is lost meanwhile"))
        }
        Io::PermissionDenied => Error::new(ErrorKind::Conflict, format!("{what}: permission denied; run as the owner of the data folder")),
        _ => Error::unavailable(format!("{what}: {error}")),
    }
}
