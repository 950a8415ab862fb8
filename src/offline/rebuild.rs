//! A log made of what is whole of another one, and of events that are there again. Must never decide which events those are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::manifest::{FileEntry, Lost, Manifest, located};
use super::part::Press;
use super::{Made, Store, below, io_error, parts, unescaped};
use crate::copying::link_or_copy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;
use crate::plan::Source;

/// What of a log can be relied on.
pub struct Survey {
    manifest: Manifest,
    /// Files that are what was written.
    pub whole: Vec<FileEntry>,
    /// Files that are not, or are gone, each with the reason.
    pub damaged: Vec<(FileEntry, Error)>,
    /// Where no manifest is left: what files can be decoded, by source.
    pub found: Option<Vec<(String, RecordBatch)>>,
    /// Whether the manifest or its copy is to be written again.
    pub is_manifest_damaged: bool,
}

impl Survey {
    /// Reads every file of a log against its checksums.
    pub fn of(folder: &Path, mut each: impl FnMut(u64)) -> Result<Self> {
        let is_manifest_damaged = !Manifest::faults(folder)?.is_empty();
        let log = match Store::open_read_only(folder) {
            Ok(log) => log,
            Err(error) if error.kind() == ErrorKind::Corrupt => return Self::without_manifest(folder, &mut each),
            Err(error) => return Err(error),
        };
        let snapshot = log.snapshot();
        let (mut whole, mut damaged) = (Vec::new(), Vec::new());
        for file in snapshot.all_files() {
            let verified = snapshot.open(file).and_then(|open| open.verify(&mut each)).and_then(|is_summed| match is_summed {
                true => Ok(()),
                false => snapshot.read_stored(file).map(drop),
            });
            match verified {
                Ok(()) => whole.push(file.clone()),
                Err(error) => damaged.push((file.clone(), error)),
            }
        }
        Ok(Self { manifest: Manifest::clone(&snapshot.manifest), whole, damaged, found: None, is_manifest_damaged })
    }

    /// Nothing says what the files should be: what can be decoded is taken for events.
    fn without_manifest(folder: &Path, each: &mut impl FnMut(u64)) -> Result<Self> {
        let mut found = Vec::new();
        for path in if folder.is_dir() { parts(folder)? } else { Vec::new() } {
            let bytes = fs::read(&path).map_err(|error| io_error("read", &path, &error))?;
            each(bytes.len() as u64);
            let read = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).and_then(|builder| builder.build());
            let batches = read.and_then(|read| Ok(read.collect::<Result<Vec<_>, _>>()?));
            let source = below(folder, &path).and_then(|below| below.split('/').next().map(unescaped));
            match (batches, source) {
                (Ok(batches), Some(source)) => found.extend(batches.into_iter().map(|rows| (source.clone(), rows))),
                (Err(error), _) => tracing::warn!("{} cannot be decoded: {error}", path.display()),
                (Ok(_), None) => {}
            }
        }
        let manifest = Manifest::default();
        Ok(Self { manifest, whole: Vec::new(), damaged: Vec::new(), found: Some(found), is_manifest_damaged: true })
    }

    /// The `seq` up to which events are in the log; `None` where no manifest says it.
    pub fn upto(&self) -> Option<Seq> {
        self.found.is_none().then_some(self.manifest.upto)
    }

    /// How many events were given up before.
    pub fn lost_before(&self) -> u64 {
        self.manifest.lost.iter().map(|lost| lost.events).sum()
    }

    /// Which: the first and the last `seq` of each range; a version before did not note that.
    pub fn given_up(&self) -> &[(u64, u64)] {
        &self.manifest.given_up
    }

    /// The rows of a file that is whole.
    pub fn read(&self, folder: &Path, file: &FileEntry) -> Result<RecordBatch> {
        super::part::read(&located(folder, &file.path), &super::open(folder, file)?)
    }
}

/// A log in the making.
pub struct Builder {
    store: Store,
    next: Manifest,
    made: Made,
}

impl Builder {
    /// A new log in an empty folder. `sources` are those that are declared.
    pub fn new(folder: &Path, sources: &[Source], survey: &Survey) -> Result<Self> {
        let store = Store::open(folder, sources)?;
        let mut next = Manifest::clone(&store.manifest.read());
        let of_before = &survey.manifest;
        next.event_times.extend(of_before.event_times.clone());
        next.schemas.clone_from(&of_before.schemas);
        next.folder.clone_from(&of_before.folder);
        next.lost.clone_from(&of_before.lost);
        next.given_up.clone_from(&of_before.given_up);
        // Never a name that stood for another file.
        next.next_part = of_before.next_part.max(1);
        next.generation = of_before.generation;
        Ok(Self { store, next, made: Made::default() })
    }

    /// Takes a file over as it is: by a link where the disk has them.
    pub fn take(&mut self, from: &Path, file: &FileEntry) -> Result<()> {
        let (from, to) = (located(from, &file.path), located(&self.store.folder, &file.path));
        let parent = to.parent().unwrap_or(&self.store.folder);
        fs::create_dir_all(parent).map_err(|error| io_error("make", parent, &error))?;
        self.made.folders.extend(parent.ancestors().take(3).map(Path::to_owned));
        link_or_copy(&from, &to).map_err(|error| io_error("copy", &from, &error))?;
        self.next.files.push(file.clone());
        Ok(())
    }

    /// Writes rows of a source.
    pub fn add(&mut self, source: &str, rows: RecordBatch) -> Result<()> {
        let event_time = self.next.event_times.get(source).cloned().ok_or_else(|| {
            Error::input(format!("events of {source} are there, which is not declared: declare it again, as it was, and begin again"))
        })?;
        self.store.add_rows(&mut self.next, &mut self.made, source, &event_time, rows, Press::Small)
    }

    /// Makes it a log that holds every event up to `upto` but those that are lost: so many of each source, with these `seqs`.
    pub fn finish(mut self, upto: Seq, lost: BTreeMap<String, u64>, seqs: &[u64]) -> Result<()> {
        self.next.upto = upto;
        for seq in seqs {
            match self.next.given_up.last_mut() {
                Some((_, last)) if *last + 1 == *seq => *last = *seq,
                _ => self.next.given_up.push((*seq, *seq)),
            }
        }
        self.next.lost.extend(lost.into_iter().map(|(source, events)| Lost { source, events }));
        self.store.replace(self.next, &self.made)
    }
}
