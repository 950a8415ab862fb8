//! Opens the parts of a data folder together. Must never hand out parts before it has checked that they belong together.

use std::path::Path;
use std::sync::Arc;

use super::about::new_identity;
use super::belonging::{Extent, LogPart, OfflinePart, OnlinePart, Parts, ReadPosition, Stands, objections};
use super::{Folder, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Offset, Partition};
use crate::log::embedded::{Log, Mode};
use crate::offline;
use crate::online::{Progress, Reading, Store};
use crate::plan::Source;
use crate::record::{LastRead, System};
use crate::time::{Clock, IngestTime};

/// The writer of the log by which it knows how many outputs it was given.
pub const OUTBOX_WRITER: &str = "forebay-outbox";

/// Of the online store, what is cached of it.
const CACHE_BYTES: usize = 256 << 20;
/// Of the online store, what is written and not in a table yet.
const BUFFER_BYTES: usize = 128 << 20;

/// A folder with all its parts, open to write.
pub struct Written {
    pub folder: Folder,
    pub log: Log,
    pub online: Store,
    pub offline: offline::Store,
}

impl Written {
    /// Opens all parts, and makes those that were never there.
    ///
    /// # Errors
    /// `Conflict` where another process has the folder, or its parts do not belong together; those of each part.
    pub fn open(path: &Path, sources: &[Source], clock: Arc<dyn Clock>) -> Result<Self> {
        let mut folder = Folder::open_to_write(path)?;
        none_missing(&folder)?;
        let log = Log::open(&folder.part(Part::Log), Mode::ReadWrite, clock)?;
        let online = Store::open(&folder.part(Part::Online), CACHE_BYTES, BUFFER_BYTES)?;
        // To write it is opened once nothing is against it: that removes what its manifest does not name.
        let stored = offline::Store::open_read_only(&folder.part(Part::Offline))?;
        let parts = Parts {
            log: Some(of_log(&log)?),
            online: Some(of_online(&online, Some(&log))?),
            offline: of_offline(&folder, &stored, &stored),
            ..of_folder(&folder)
        };
        refuse(path, &objections(&parts))?;
        let offline = offline::Store::open(&folder.part(Part::Offline), sources)?;
        let identity = match parts.identity.or_else(|| known(&parts)) {
            Some(identity) => identity,
            None => new_identity()?,
        };
        log.belong_to(identity)?;
        online.belong_to(identity)?;
        offline.belong_to(identity)?;
        folder.note(identity, &Part::ALL)?;
        if online.progress()?.outputs < next_output(&log)? {
            // It was built anew: numbers that the log has seen would be taken for published.
            online.go_on_with_output(next_output(&log)?)?;
        }
        Ok(Self { folder, log, online, offline })
    }

    /// Opens the log alone, to append to it where no engine runs; the other parts are looked at. How far everything has come is
    /// said as well: the beginning where nothing was ever committed.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn log(path: &Path, clock: Arc<dyn Clock>) -> Result<(Folder, Log, Progress)> {
        let mut folder = Folder::open_to_write(path)?;
        none_missing(&folder)?;
        let log = Log::open(&folder.part(Part::Log), Mode::ReadWrite, clock)?;
        let offline = offline::Store::open_read_only(&folder.part(Part::Offline))?;
        let online = match folder.has(Part::Online) {
            true => Some(Store::open_read_only(&folder.part(Part::Online), 8 << 20)?),
            false => None,
        };
        let parts = Parts {
            log: Some(of_log(&log)?),
            online: online.as_ref().map(|online| of_online(online, Some(&log))).transpose()?,
            offline: of_offline(&folder, &offline, &offline),
            ..of_folder(&folder)
        };
        refuse(path, &objections(&parts))?;
        let identity = match parts.identity.or_else(|| known(&parts)) {
            Some(identity) => identity,
            None => new_identity()?,
        };
        // Of a folder of before, the next start takes all parts over at once.
        if parts.online.is_none() || parts.identity.is_some() {
            log.belong_to(identity)?;
            folder.note(identity, &[Part::Log])?;
        }
        Ok((folder, log, online.map_or_else(|| Ok(Progress::default()), |online| online.progress())?))
    }
}

/// A folder with those of its parts that are there, open to read as of now, also beside a process that writes.
pub struct Stored {
    pub folder: Folder,
    pub log: Option<Log>,
    pub online: Option<Store>,
    pub offline: offline::Store,
}

impl Stored {
    /// Opens what is there. `cache_bytes` bounds what is cached of the online store.
    ///
    /// # Errors
    /// `Conflict` where the parts do not belong together; those of each part.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self> {
        let folder = Folder::open_read_only(path)?;
        none_missing(&folder)?;
        let was_written = folder.is_written();
        // In the order in which a process that writes beside cannot make them look apart.
        let offline = offline::Store::open_read_only(&folder.part(Part::Offline))?;
        let before = offline.upto();
        let log = match folder.has(Part::Log) {
            true => Some(Log::open(&folder.part(Part::Log), Mode::ReadOnly, Arc::new(Unasked))?),
            false => None,
        };
        let online = match folder.has(Part::Online) {
            true => Some(Store::open_read_only(&folder.part(Part::Online), cache_bytes)?),
            false => None,
        };
        offline.reload()?;
        let parts = Parts {
            log: log.as_ref().map(of_log).transpose()?,
            online: online.as_ref().map(|online| of_online(online, log.as_ref())).transpose()?,
            offline: of_offline(&folder, &offline, &offline).map(|part| OfflinePart { before, ..part }),
            is_written_beside: was_written || folder.is_written(),
            ..of_folder(&folder)
        };
        refuse(path, &objections(&parts))?;
        Ok(Self { folder, log, online, offline })
    }
}

/// The clock of a log that is only read: nothing asks it.
struct Unasked;

impl Clock for Unasked {
    fn now(&self) -> IngestTime {
        IngestTime(0)
    }
}

/// The number that the log takes for the next output: it drops those with a lower one.
pub fn next_output(log: &Log) -> Result<u64> {
    Ok(log.remembered(OUTBOX_WRITER)?.unwrap_or_default())
}

/// What is wrong with a folder as a whole: not with what a part holds, but with whether they belong together.
#[must_use]
pub fn faults(path: &Path) -> Vec<Error> {
    let opened = Folder::open_read_only(path).and_then(|_| match Stored::open(path, 8 << 20) {
        Err(error) if error.kind() == ErrorKind::Conflict => Err(error),
        // Each part says itself what of it is damaged.
        _ => Ok(()),
    });
    opened.err().into_iter().collect()
}

/// # Errors
/// `Conflict` where a part of the folder is missing that was made there.
pub fn none_missing(folder: &Folder) -> Result<()> {
    refuse(folder.path(), &objections(&of_folder(folder)))
}

fn refuse(path: &Path, objections: &[String]) -> Result<()> {
    match objections.is_empty() {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "the parts of the data folder {} do not belong together: {}",
            path.display(),
            objections.join("; ")
        ))),
    }
}

/// The identity that some part carries.
fn known(parts: &Parts) -> Option<crate::id::Identity> {
    let of_log = parts.log.as_ref().and_then(|log| log.identity);
    let of_online = parts.online.as_ref().and_then(|online| online.identity);
    of_log.or(of_online).or_else(|| parts.offline.as_ref().and_then(|offline| offline.identity))
}

fn of_folder(folder: &Folder) -> Parts {
    Parts { identity: folder.identity(), missing: folder.missing(), ..Parts::default() }
}

fn of_log(log: &Log) -> Result<LogPart> {
    Ok(LogPart { identity: log.folder()?, outputs: next_output(log)? })
}

fn of_offline(folder: &Folder, before: &offline::Store, after: &offline::Store) -> Option<OfflinePart> {
    let part = || OfflinePart { identity: after.folder(), before: before.upto(), after: after.upto() };
    folder.has(Part::Offline).then(part)
}

fn of_online(online: &Store, log: Option<&Log>) -> Result<OnlinePart> {
    let progress = online.progress()?;
    Ok(OnlinePart {
        identity: online.folder()?,
        committed: progress.committed,
        first_block: online.first_block()?.unwrap_or(progress.committed.next()),
        outputs: progress.outputs,
        published: online.published()?,
        read: read_positions(online, log)?,
    })
}

/// How far the partitions of the embedded log were read, and what the log says of each where it is asked.
pub fn read_positions(online: &Store, log: Option<&Log>) -> Result<Vec<ReadPosition>> {
    let (progress, readings) = (online.progress()?, online.readings()?);
    let mut read = Vec::new();
    for partition in &progress.partitions {
        let Some(Reading { log: System::Embedded, topic, partitions, .. }) = readings.get(&partition.source) else { continue };
        let number = Partition(partition.partition);
        let last = partitions.get(&partition.partition).and_then(|partition| partition.last);
        let extent = log.map_or_else(Extent::default, |log| extent(log, topic, number));
        let last = match (log, last) {
            (Some(log), Some(last)) if extent.end > Offset(0) => stands(log, topic, number, extent, last)?,
            _ => Stands::NotHeld,
        };
        read.push(ReadPosition { topic: topic.clone(), partition: number, next: Offset(partition.next), extent, last });
    }
    Ok(read)
}

/// What a partition of the log holds; nothing where the log has no such partition.
#[must_use]
pub fn extent(log: &Log, topic: &str, partition: Partition) -> Extent {
    let topics = log.topics();
    let found = topics.iter().find(|held| held.name == topic).and_then(|held| held.partitions.get(partition.0 as usize));
    found.map_or_else(Extent::default, |held| Extent { start: held.start, end: held.end })
}

fn stands(log: &Log, topic: &str, partition: Partition, extent: Extent, last: LastRead) -> Result<Stands> {
    if !(extent.start..extent.end).contains(&last.offset) {
        return Ok(Stands::NotHeld);
    }
    Ok(match log.read(topic, partition, last.offset, 1)?.last() {
        Some(found) if found == last => Stands::Same,
        Some(found) if found.offset == last.offset => Stands::Other,
        _ => Stands::NotHeld,
    })
}
