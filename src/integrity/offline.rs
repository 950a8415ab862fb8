//! The event log in Parquet built again: what is whole is taken over, events that are missing come from blocks of the online store
//! and from the logs, where these reach back that far. What comes again is as much as is missing, to the event, or nothing is done.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::filter_record_batch;

use super::aside::Replacement;
use super::order::{Bounds, Place};
use super::{Lost, Rebuilt};
use crate::config::Config;
use crate::engine;
use crate::error::{Error, Result};
use crate::event::{EventBatch, SYSTEM_COLUMNS};
use crate::folder::{Folder, Part};
use crate::id::Seq;
use crate::log::embedded;
use crate::offline::{Builder, FileEntry, Survey};
use crate::online;
use crate::plan::Plan;
use crate::time::Clock;

/// Builds the event log again; `gives_up` says that events which nothing holds any more may be missing from it.
///
/// # Errors
/// `Conflict` where a server runs; `Corrupt` where events are missing that nothing holds, and may not be.
pub fn rebuild_offline(
    config: &Config,
    plan: &Plan,
    clock: Arc<dyn Clock>,
    gives_up: bool,
    mut progress: impl FnMut(u64),
) -> Result<Rebuilt> {
    let folder = Folder::open_to_write(&config.data).map_err(|error| error.context("rebuilding the event log"))?;
    folder.has_all(&[Part::Log])?;
    let part = folder.part(Part::Offline);
    let open_log = || embedded::Log::open(&folder.part(Part::Log), embedded::Mode::ReadWrite, Arc::clone(&clock));
    let log = open_log()?;
    let Some(replacement) = Replacement::begin(&part)? else { return Ok(Rebuilt::default()) };
    let mut survey = Survey::of(&part, &mut progress)?;
    if !folder.has(Part::Offline) {
        survey.found.get_or_insert_default();
    }
    let unsummed = survey.whole.iter().filter(|file| file.checksums.is_none()).count();
    let online = online::Store::open_read_only(&folder.part(Part::Online), 32 << 20);
    let mut again = Again::new(plan, &survey, online.as_ref().ok())?;
    if survey.damaged.is_empty() && !again.has_grown(&survey) && unsummed == 0 && !survey.is_manifest_damaged {
        replacement.give_up()?;
        return Ok(Rebuilt { events: Some(again.upto.0), ..Rebuilt::default() });
    }
    for file in &survey.whole {
        again.know(&file.source, &survey.read(&part, file)?)?;
    }
    let mut rows: Vec<(String, RecordBatch)> = Vec::new();
    for (source, found) in survey.found.iter().flatten() {
        rows.extend(again.take_new(source, EventBatch::stored(source, found.clone())?.rows)?);
    }
    if let Ok(online) = &online {
        online.blocks_after(Seq(0), |_, batches| {
            for batch in batches {
                let (source, recent) = (batch.source.clone(), batch.between(again.upto, Seq::MAX)?);
                again.know_place(&recent)?;
                rows.extend(again.take_new(&source, batch.between(Seq(0), again.upto)?.rows)?);
            }
            Ok(true)
        })?;
    }
    let missing = again.missing();
    let mut lost = Vec::new();
    let mut given_up = BTreeMap::new();
    if !missing.is_empty() {
        let found = again.found_in_logs(config, plan, &clock, (&survey, online.as_ref().ok(), &log), replacement.folder())?;
        match again.numbered(plan, &survey, &part, &rows, found, &missing)? {
            Numbered::All(found) => rows.extend(found),
            Numbered::Not(why) if !gives_up => {
                return Err(Error::corrupt(format!(
                    "{} events are missing from Parquet, and {why}: restore the folder from a copy, or build the log without them by `forebay \
                     rebuild offline --give-up`, which changes what training sets answer",
                    missing.len()
                )));
            }
            Numbered::Not(why) => {
                lost.push(Lost::new(
                    format!("{} events are given up ({why})", missing.len()),
                    "training sets over their times answer without them, and say so; lookups go on with the state as it is",
                ));
                given_up = again.given_up(&survey, missing.len() as u64);
            }
        }
    }
    let mut builder = Builder::new(replacement.folder(), &plan.sources, &survey)?;
    for file in &survey.whole {
        if file.checksums.is_some() {
            builder.take(&part, file)?;
        } else {
            builder.add(&file.source, survey.read(&part, file)?)?;
        }
    }
    for (source, rows) in rows {
        builder.add(&source, rows)?;
    }
    builder.finish(again.upto, given_up, if lost.is_empty() { &[] } else { &missing })?;
    drop(log);
    Ok(Rebuilt { events: Some(again.upto.0), lost, kept: replacement.finish()? })
}

/// Rows that the logs gave again, or why there are not as many as are missing.
enum Numbered {
    All(Vec<(String, RecordBatch)>),
    Not(String),
}

/// What is known of the events that should be there.
struct Again {
    /// Every event up to here should be there.
    upto: Seq,
    lost_before: u64,
    /// Those that were given up, where it is known which: the first and the last of each range.
    given_up: Vec<(u64, u64)>,
    /// One bit for each `seq` up to `upto` that is there.
    seqs: Vec<u64>,
    /// By source, the places of events that are there.
    places: BTreeMap<String, HashSet<(u32, u64)>>,
}

impl Again {
    fn new(plan: &Plan, survey: &Survey, online: Option<&online::Store>) -> Result<Self> {
        // What blocks do not hold any more is in Parquet.
        let behind_blocks = |online: &online::Store| -> Result<Seq> {
            let committed = online.progress()?.committed;
            Ok(online.first_block()?.map_or(committed, |first| Seq(first.0 - 1)))
        };
        let upto = match (survey.upto(), online) {
            (Some(upto), None) => upto,
            (Some(upto), Some(online)) => upto.max(behind_blocks(online)?),
            (None, Some(online)) => behind_blocks(online)?,
            (None, None) => {
                let found = survey.found.iter().flatten();
                let seqs = found.map(|(source, rows)| Ok(last_seq(&EventBatch::stored(source, rows.clone())?)?.unwrap_or_default()));
                Seq(seqs.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or_default())
            }
        };
        let places = plan.sources.iter().map(|source| (source.name.clone(), HashSet::new())).collect();
        Ok(Self {
            upto,
            lost_before: survey.lost_before(),
            given_up: survey.given_up().to_vec(),
            seqs: vec![0; upto.0 as usize / 64 + 1],
            places,
        })
    }

    fn know(&mut self, source: &str, rows: &RecordBatch) -> Result<()> {
        let batch = EventBatch::stored(source, rows.clone())?;
        for seq in batch.seqs()?.values().iter().filter(|seq| **seq <= self.upto.0) {
            self.seqs[*seq as usize / 64] |= 1 << (seq % 64);
        }
        self.know_place(&batch)
    }

    fn know_place(&mut self, batch: &EventBatch) -> Result<()> {
        let places = self.places.entry(batch.source.clone()).or_default();
        places.extend(batch.partitions()?.values().iter().copied().zip(batch.offsets()?.values().iter().copied()));
        Ok(())
    }

    fn knows(&self, seq: u64) -> bool {
        self.seqs[seq as usize / 64] & 1 << (seq % 64) != 0
    }

    /// The rows among these that are not there yet; from then on they are.
    fn take_new(&mut self, source: &str, rows: RecordBatch) -> Result<Option<(String, RecordBatch)>> {
        let batch = EventBatch { source: source.to_owned(), rows };
        let mut keep = Vec::with_capacity(batch.len());
        for seq in batch.seqs()?.values() {
            let is_new = (1..=self.upto.0).contains(seq) && !self.knows(*seq);
            if is_new {
                self.seqs[*seq as usize / 64] |= 1 << (seq % 64);
            }
            keep.push(is_new);
        }
        let rows = filter_record_batch(&batch.rows, &BooleanArray::from(keep))?;
        self.know_place(&EventBatch { source: source.to_owned(), rows: rows.clone() })?;
        Ok((rows.num_rows() > 0).then(|| (source.to_owned(), rows)))
    }

    fn missing(&self) -> Vec<u64> {
        let is_given_up = |seq: u64| self.given_up.iter().any(|(first, last)| (*first..=*last).contains(&seq));
        let missing: Vec<u64> = (1..=self.upto.0).filter(|seq| !self.knows(*seq) && !is_given_up(*seq)).collect();
        // Those that were given up before stay so; a version before noted only how many these are.
        if self.given_up.is_empty() && missing.len() as u64 == self.lost_before { Vec::new() } else { missing }
    }

    /// Whether there should be more events than the manifest says, or nothing says it.
    fn has_grown(&self, survey: &Survey) -> bool {
        survey.upto().is_none_or(|upto| upto < self.upto)
    }

    /// Events of the logs that should be in Parquet and are not there.
    fn found_in_logs(
        &self,
        config: &Config,
        plan: &Plan,
        clock: &Arc<dyn Clock>,
        (survey, online, log): (&Survey, Option<&online::Store>, &embedded::Log),
        made: &Path,
    ) -> Result<Vec<EventBatch>> {
        let mut found = Vec::new();
        for (index, source) in plan.sources.iter().enumerate() {
            let damaged: Vec<&FileEntry> = survey.damaged.iter().map(|(file, _)| file).filter(|file| file.source == source.name).collect();
            let has_grown = self.has_grown(survey);
            if damaged.is_empty() && !has_grown {
                continue;
            }
            let progress = online.map(online::Store::progress).transpose()?.unwrap_or_default();
            let own = progress.partitions.iter().filter(|partition| partition.source == source.name);
            let upto = own.map(|partition| (partition.partition, partition.next)).collect();
            let time = &source.fields[source.event_time].name;
            let is_of = |at: i64, file: &FileEntry| file.event_time != *time || (file.time_min.0..=file.time_max.0).contains(&at);
            let scratch = made.with_extension("scratch");
            let _ = std::fs::remove_dir_all(&scratch);
            let store = online::Store::open(&scratch, 8 << 20, 8 << 20)?;
            let known = &self.places[&source.name];
            let read =
                engine::accepted_again(config, plan, index, (store, log.clone()), Arc::clone(clock), (&upto, &BTreeMap::new()), |batch| {
                    let (partitions, offsets, times) = (batch.partitions()?, batch.offsets()?, batch.times(source.event_time)?);
                    let retracted: Vec<_> = batch.retractions()?.collect();
                    let keep: BooleanArray = (0..batch.len())
                        .map(|row| {
                            let at = retracted[row].map_or(times.value(row), |event| event.time.0);
                            let wanted = has_grown || damaged.iter().any(|file| is_of(at, file) || is_of(times.value(row), file));
                            Some(wanted && !known.contains(&(partitions.value(row), offsets.value(row))))
                        })
                        .collect();
                    let rows = filter_record_batch(&batch.rows, &keep)?;
                    found.extend((rows.num_rows() > 0).then(|| EventBatch { source: batch.source.clone(), rows }));
                    Ok(())
                });
            let _ = std::fs::remove_dir_all(&scratch);
            read?;
        }
        Ok(found)
    }

    /// Gives the events that were found the numbers that are missing.
    fn numbered(
        &self,
        plan: &Plan,
        survey: &Survey,
        part: &Path,
        others: &[(String, RecordBatch)],
        found: Vec<EventBatch>,
        missing: &[u64],
    ) -> Result<Numbered> {
        let count: usize = found.iter().map(EventBatch::len).sum();
        if count != missing.len() {
            let hint = if count < missing.len() {
                "what is missing was trimmed, or the declarations accept less than they did"
            } else {
                "the declarations accept more than they did"
            };
            return Ok(Numbered::Not(format!("the logs give {count} that could be these: {hint}")));
        }
        let index = |source: &str| plan.source(source).map_or(usize::MAX, |(index, _)| index);
        let mut places = Vec::with_capacity(count);
        for batch in &found {
            places.extend(places_of(index(&batch.source), batch)?);
        }
        let mut bounds = Bounds::new(&places);
        // When the event before each missing one was taken in: with it, or before it.
        let mut taken_in: Vec<(u64, i64)> = vec![(0, i64::MIN); missing.len() + 1];
        let mut know = |source: &str, rows: RecordBatch| -> Result<()> {
            let batch = EventBatch::stored(source, rows)?;
            let (seqs, times) = (batch.seqs()?.values().clone(), batch.ingest_times()?.values().clone());
            for ((place, seq), time) in places_of(index(source), &batch)?.into_iter().zip(seqs.iter()).zip(times.iter()) {
                bounds.know(place, *seq);
                let gap = &mut taken_in[missing.partition_point(|missing| missing < seq)];
                *gap = (*gap).max((*seq, *time));
            }
            Ok(())
        };
        for file in &survey.whole {
            know(&file.source, survey.read(part, file)?)?;
        }
        others.iter().try_for_each(|(source, rows)| know(source, rows.clone()))?;
        let Some(given) = bounds.numbered(missing) else {
            return Ok(Numbered::Not("those that the logs give do not fit between the others".to_owned()));
        };
        let mut before = i64::MIN;
        for (_, time) in &mut taken_in {
            before = before.max(*time);
            *time = before;
        }
        let first = taken_in.iter().map(|(_, time)| *time).find(|time| *time > i64::MIN);
        let ingested = |seq: u64| {
            let time = taken_in[missing.partition_point(|missing| *missing < seq)].1;
            if time > i64::MIN { time } else { first.unwrap_or_default() }
        };
        let mut rows = Vec::new();
        for batch in found {
            let seqs: Vec<u64> = places_of(index(&batch.source), &batch)?.iter().map(|place| given[place]).collect();
            let times: Vec<i64> = seqs.iter().map(|seq| ingested(*seq)).collect();
            rows.push((batch.source.clone(), with_order(&batch.rows, times, seqs)?));
        }
        Ok(Numbered::All(rows))
    }

    /// What is given up, by source: as the damaged files say, else all of it under the name of the log.
    fn given_up(&self, survey: &Survey, missing: u64) -> BTreeMap<String, u64> {
        let mut given_up: BTreeMap<String, u64> = BTreeMap::new();
        survey.damaged.iter().for_each(|(file, _)| *given_up.entry(file.source.clone()).or_default() += file.rows);
        let named: u64 = given_up.values().sum();
        // A version before did not note which were given up: they are among the missing.
        let new = if self.given_up.is_empty() { missing - self.lost_before } else { missing };
        if named == new { given_up } else { BTreeMap::from([(String::new(), new)]) }
    }
}

fn last_seq(batch: &EventBatch) -> Result<Option<u64>> {
    Ok(batch.seqs()?.values().iter().copied().max())
}

fn places_of(source: usize, batch: &EventBatch) -> Result<Vec<Place>> {
    let places = batch.partitions()?.values().iter().zip(batch.offsets()?.values());
    Ok(places.map(|(partition, offset)| Place { source, partition: *partition, offset: *offset }).collect())
}

/// The same rows, taken in at these times with these numbers.
fn with_order(rows: &RecordBatch, times: Vec<i64>, seqs: Vec<u64>) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    let first = columns.len() - SYSTEM_COLUMNS.len();
    columns[first + 2] = Arc::new(TimestampMicrosecondArray::from(times));
    columns[first + 3] = Arc::new(UInt64Array::from(seqs));
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}
