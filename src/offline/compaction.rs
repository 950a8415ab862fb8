//! Merging small files of one source and date (or year) into larger ones, and removing what was merged once no reader can still
//! want it. Must never change which events the log holds.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::manifest::{FileEntry, Manifest, Retired, located};
use super::part::{self, Press};
use super::{Made, Store, io_error, open};
use crate::error::Result;
use crate::time::{IngestTime, Span};

/// Files of at least this many rows are left as they are.
const SMALL_ROWS: u64 = 256 * 1024;
/// And those of at least so many bytes in memory.
const SMALL_BYTES: u64 = 128 << 20;
/// How many files of a similar size are merged at once; so each event is rewritten about log4 of `SMALL_ROWS` times.
const MERGED_FILES_MIN: usize = 4;
/// The most rows, and bytes of them, that one merge holds in memory.
const MERGED_ROWS_MAX: u64 = 1024 * 1024;
const MERGED_BYTES_MAX: u64 = 512 << 20;
/// A merged file stays so long, for readers that opened an older manifest.
const GRACE: Span = Span(10 * Span::MINUTE.0);

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionReport {
    pub files_merged: usize,
    pub files_made: usize,
    pub rows: u64,
    /// Files of earlier compactions that are now gone from the disk.
    pub files_removed: usize,
}

impl Store {
    /// Merges small files, as long as it may go on, and removes those that earlier calls merged long enough ago. A file that
    /// cannot be read stays as it is, see `unreadable`, and the others of its group are merged without it; what else fails of
    /// one group fails after the others are done. `now` is the engine's clock.
    pub fn compact(&self, now: IngestTime, go_on: &dyn Fn() -> bool) -> Result<CompactionReport> {
        let writing = self.writing()?;
        let _turn = writing.turn.lock();
        let current = self.manifest.read().clone();
        let mut next = Manifest::clone(&current);
        let mut made = Made::default();
        let mut report = CompactionReport::default();
        let mut failed = None;
        let is_there = |path: &String| current.files.iter().any(|file| located(&self.folder, &file.path).display().to_string() == *path);
        self.unreadable.lock().retain(|path, _| is_there(path));
        for group in merges(&current.files) {
            if !go_on() {
                break;
            }
            let before = next.files.len();
            if let Err(error) = self.merge(&mut next, &mut made, &group, now, &mut report) {
                // What it made of the group is no part of the log: the group still is.
                next.files.truncate(before);
                failed.get_or_insert(error);
            }
        }
        let copied = Arc::strong_count(&writing.copied) > 1;
        let keep = |file: &Retired| copied || now.0.saturating_sub(file.at.0) < GRACE.0;
        let removed: Vec<Retired> = next.retired.iter().filter(|file| !keep(file)).cloned().collect();
        next.retired.retain(keep);
        if report.files_made > 0 || !removed.is_empty() {
            self.replace(next, &made)?;
        }
        // Only after the manifest: a crash here leaves files that the next start sweeps.
        for file in removed {
            let path = located(&self.folder, &file.path);
            match fs::remove_file(&path) {
                Ok(()) => report.files_removed += 1,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => drop(failed.get_or_insert(io_error("remove", &path, &error))),
            }
        }
        failed.map_or(Ok(report), Err)
    }

    /// The files that could not be read when they were to be joined with others, by path, and why.
    #[must_use]
    pub fn unreadable(&self) -> BTreeMap<String, String> {
        self.unreadable.lock().clone()
    }

    /// The rows of a file; `None` where it cannot be read, which is noted.
    fn readable(&self, file: &FileEntry) -> Option<RecordBatch> {
        let path = located(&self.folder, &file.path);
        let mut unreadable = self.unreadable.lock();
        match open(&self.folder, file).and_then(|checked| part::read(&path, &checked)) {
            Ok(rows) => {
                unreadable.remove(&path.display().to_string());
                Some(rows)
            }
            Err(error) => {
                unreadable.insert(path.display().to_string(), format!("it is not joined with others: {error}"));
                None
            }
        }
    }

    fn merge(
        &self,
        next: &mut Manifest,
        made: &mut Made,
        group: &[&FileEntry],
        now: IngestTime,
        report: &mut CompactionReport,
    ) -> Result<()> {
        let (group, rows): (Vec<&FileEntry>, Vec<RecordBatch>) =
            group.iter().filter_map(|file| Some((*file, self.readable(file)?))).unzip();
        if group.len() < 2 {
            return Ok(());
        }
        let Some(schema) = part::union_schema(&rows.iter().map(RecordBatch::schema).collect::<Vec<_>>()) else {
            return Ok(()); // a field has changed its type: training says so, and the files stay apart
        };
        let rows = rows.iter().map(|rows| part::fitted(rows, &schema)).collect::<Result<Vec<_>>>()?;
        let rows = concat_batches(&schema, &rows)?;
        let before = next.files.len();
        report.rows += rows.num_rows() as u64;
        report.files_merged += group.len();
        self.add_rows(next, made, &group[0].source, &group[0].event_time, rows, Press::Small)?;
        report.files_made += next.files.len() - before;
        let gone = |file: &FileEntry| group.iter().any(|merged| merged.path == file.path);
        let generation = next.generation + 1;
        next.retired.extend(next.files.iter().filter(|file| gone(file)).map(|file| Retired {
            path: file.path.clone(),
            generation,
            at: now,
        }));
        next.files.retain(|file| !gone(file));
        Ok(())
    }
}

/// Which files are merged with which: small ones of one source, date, event time and size class, oldest first.
fn merges(files: &[FileEntry]) -> Vec<Vec<&FileEntry>> {
    let mut classes: BTreeMap<(&str, &str, &str, u32), Vec<&FileEntry>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.rows < SMALL_ROWS && file.memory < SMALL_BYTES) {
        let class = file.rows.max(1).ilog(4);
        classes.entry((&file.source, &file.date, &file.event_time, class)).or_default().push(file);
    }
    let mut merges = Vec::new();
    for class in classes.into_values().filter(|class| class.len() >= MERGED_FILES_MIN) {
        let mut group: Vec<&FileEntry> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        for file in class {
            if (rows + file.rows > MERGED_ROWS_MAX || bytes + file.memory > MERGED_BYTES_MAX) && !group.is_empty() {
                merges.push(std::mem::take(&mut group));
                (rows, bytes) = (0, 0);
            }
            rows += file.rows;
            bytes += file.memory;
            group.push(file);
        }
        merges.push(group);
    }
    merges.retain(|group| group.len() > 1);
    merges
}
