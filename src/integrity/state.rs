//! The online store built again. What is whole of it (how far everything has come, events that Parquet lacks, ids, outputs that
//! wait) is taken over; where that cannot be read, all that the events in Parquet say of it. Rows of state are not taken over: a
//! start over a store without them builds them from the events.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;

use super::aside::Replacement;
use super::{Lost, Rebuilt};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::folder::{Folder, Part, next_output};
use crate::id::Seq;
use crate::log::embedded;
use crate::offline;
use crate::online::{PartitionProgress, Progress, Store};
use crate::time::Clock;

/// Outputs and rows of ids that go with one write.
const AT_ONCE: usize = 1_000;
const OUTPUT_BYTES_AT_ONCE: u64 = 16 << 20;
const CACHE_BYTES: usize = 32 << 20;

/// Makes the online store anew, without rows of state, and puts it in the place of the one that is there.
///
/// # Errors
/// `Conflict` where a server runs; `Corrupt` where events that are needed are damaged too.
pub fn rebuild_state(config: &Config, clock: Arc<dyn Clock>, mut progress: impl FnMut(u64)) -> Result<Rebuilt> {
    let folder = Folder::open_to_write(&config.data).map_err(|error| error.context("rebuilding the state"))?;
    folder.has_all(&[Part::Log, Part::Offline])?;
    let part = folder.part(Part::Online);
    let log = embedded::Log::open(&folder.part(Part::Log), embedded::Mode::ReadWrite, clock)?;
    let offline = offline::Store::open_read_only(&folder.part(Part::Offline))?;
    let Some(replacement) = Replacement::begin(&part)? else { return Ok(Rebuilt::default()) };
    let made = Store::open(replacement.folder(), CACHE_BYTES, 64 << 20)?;
    let old = Store::open_read_only(&part, CACHE_BYTES).or_else(|_| Store::open_without_state(&part, CACHE_BYTES));
    let mut lost = Vec::new();
    let taken_over = match &old {
        Ok(old) => take_over(old, &made, offline.upto(), &mut lost, &mut progress),
        Err(error) => Err(error.clone()),
    };
    let events = match taken_over {
        Ok(events) => events,
        Err(error) => {
            // What was written of it so far is not: it begins with an empty store again.
            drop(made);
            let Some(replacement) = Replacement::begin(&part)? else { return Ok(Rebuilt::default()) };
            let made = Store::open(replacement.folder(), CACHE_BYTES, 64 << 20)?;
            lost = vec![Lost::new(format!("how far everything had come cannot be read ({error})"), PROGRESS_LOST)];
            let events = from_events(&made, &offline, &log, &mut progress)?;
            made.flush()?;
            drop((made, old));
            return Ok(Rebuilt { events: Some(events), lost, kept: replacement.finish()? });
        }
    };
    made.flush()?;
    drop((made, old));
    Ok(Rebuilt { events: Some(events), lost, kept: replacement.finish()? })
}

const PROGRESS_LOST: &str = "it is that of the events in Parquet now, and records behind these are read from the logs again: those \
     that were rejected or scored meanwhile give their dead letters and predictions once more; the counts of what was rejected, \
     outputs that were not published yet and open intervals of drift are gone";

/// Copies what is whole; how many events it reaches up to. An error where what cannot be done without is damaged.
fn take_over(old: &Store, made: &Store, upto: Seq, lost: &mut Vec<Lost>, progress: &mut impl FnMut(u64)) -> Result<u64> {
    let mut reached = old.progress()?;
    if reached.committed < upto {
        return Err(Error::corrupt(format!("it holds events up to {} only, and Parquet up to {upto}", reached.committed)));
    }
    let mut readings = old.readings()?;
    let (definitions, drift, awaited, at) = (old.definitions()?, old.drift()?, old.awaited()?, old.committed_at()?);
    // Rows hold nothing: what is scored already is folded by the rebuild, what is not is applied when it is scored.
    reached.views.clear();
    reached.flushed = reached.committed.min(reached.scored);
    let mut next = upto.min(reached.flushed);
    old.blocks_after(next, |first, batches| {
        let Some(last) = batches.iter().filter_map(|batch| batch.seqs().ok()?.values().last().copied()).max() else { return Ok(true) };
        if last <= next.0 {
            return Ok(true);
        }
        if first.0 > next.0 + 1 {
            return Err(Error::corrupt(format!("events {} to {} are gone", next.0 + 1, first.0 - 1)));
        }
        let mut commit = made.begin();
        made.put_block(&mut commit, first, &batches)?;
        made.commit(commit)?;
        next = Seq(last);
        progress(last);
        Ok(true)
    })?;
    if next < reached.committed {
        return Err(Error::corrupt(format!("events {} to {} are gone", next.0 + 1, reached.committed)));
    }
    if let Err(error) = copy_ids(old, made) {
        lost.push(Lost::new(format!("ids of events cannot be read ({error})"), "the next start learns them from the events"));
        for (source, reading) in &mut readings {
            for (partition, of) in &mut reading.partitions {
                let known = reached.partitions.iter().find(|known| known.source == *source && known.partition == *partition);
                of.unlearnt = of.unlearnt.max(known.and_then(|known| known.frontier));
            }
        }
    }
    if let Err(error) = copy_outputs(old, made) {
        lost.push(Lost::new(format!("outputs that waited for their topic cannot be read ({error})"), "those behind the damage are gone"));
    }
    let mut commit = made.begin();
    drift.iter().try_for_each(|row| made.put_drift(&mut commit, row))?;
    made.put_awaited(&mut commit, &awaited)?;
    if let Some((since, text)) = definitions {
        made.put_definitions(&mut commit, since, &text)?;
    }
    at.map_or(Ok(()), |at| made.put_committed_at(&mut commit, at))?;
    made.put_readings(&mut commit, &readings)?;
    made.put_progress(&mut commit, &reached)?;
    made.commit(commit)?;
    Ok(reached.committed.0)
}

fn copy_ids(old: &Store, made: &Store) -> Result<()> {
    let (mut commit, mut rows) = (made.begin(), 0);
    let copied = old.ids(|at, ids| {
        made.put_ids(&mut commit, at, &ids)?;
        rows += 1;
        if rows % AT_ONCE == 0 {
            made.commit(std::mem::replace(&mut commit, made.begin()))?;
        }
        Ok(())
    });
    made.commit(commit)?;
    copied
}

fn copy_outputs(old: &Store, made: &Store) -> Result<()> {
    let (mut commit, mut bytes) = (made.begin(), 0);
    let copied = old.each_output(|number, output| {
        made.put_output(&mut commit, number, &output)?;
        bytes += output.bytes();
        if bytes > OUTPUT_BYTES_AT_ONCE {
            bytes = 0;
            made.commit(std::mem::replace(&mut commit, made.begin()))?;
        }
        Ok(())
    });
    made.commit(commit)?;
    copied
}

/// What Parquet says of how far everything has come: of each partition the place behind its last event, and its frontier.
fn from_events(made: &Store, offline: &offline::Store, log: &embedded::Log, progress: &mut impl FnMut(u64)) -> Result<u64> {
    let snapshot = offline.snapshot();
    if let Some(error) = snapshot.miscounted() {
        return Err(error.context("the state cannot be built from events that are not all there"));
    }
    let mut partitions: BTreeMap<(String, u32), (u64, Option<i64>)> = BTreeMap::new();
    let mut reached = Progress { committed: snapshot.upto(), scored: snapshot.upto(), flushed: snapshot.upto(), ..Progress::default() };
    let mut events = 0;
    for file in snapshot.all_files() {
        let batch = EventBatch::stored(&file.source, snapshot.read_stored(file)?)?;
        let time = offline.event_time(&file.source).unwrap_or_else(|| file.event_time.clone());
        let times = batch.rows.schema().index_of(&time).ok().map(|column| batch.times(column)).transpose()?;
        let (of, offsets) = (batch.partitions()?, batch.offsets()?);
        for (row, retracts) in batch.retractions()?.enumerate() {
            let (next, frontier) = partitions.entry((file.source.clone(), of.value(row))).or_default();
            *next = (*next).max(offsets.value(row) + 1);
            if let (None, Some(times)) = (retracts, times)
                && times.is_valid(row)
            {
                *frontier = (*frontier).max(Some(times.value(row)));
            }
            if retracts.is_some() {
                reached.ledgers.entry(file.source.clone()).or_default().retracted += 1;
            } else {
                reached.ledgers.entry(file.source.clone()).or_default().accepted += 1;
            }
        }
        events += file.rows;
        progress(events);
    }
    let of = |((source, partition), (next, frontier))| PartitionProgress { source, partition, next, frontier, idle_since: None };
    reached.partitions = partitions.into_iter().map(of).collect();
    // What a log remembers is the number behind the last output that it holds: a lower one would never be published.
    reached.outputs = next_output(log)?;
    let mut commit = made.begin();
    made.put_progress(&mut commit, &reached)?;
    made.commit(commit)?;
    Ok(reached.committed.0)
}
