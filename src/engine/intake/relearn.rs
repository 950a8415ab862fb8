//! What a start must learn from stored events: which were retracted since, and the places of events whose ids were stored before
//! the source declared deletes. Reads Parquet and blocks. Must never apply anything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;

use crate::engine::commit::committer::Committer;
use crate::engine::intake::accept::{AdmissionState, Rules};
use crate::engine::intake::batch::{ExcludedEvents, dedup_ids, fit_events, key_columns, key_hashes, times_of};
use crate::engine::intake::tombstones;
use crate::engine::shared::Shared;
use crate::error::Result;
use crate::event::EventBatch;
use crate::id::{Offset, Partition, Seq};
use crate::offline::{FileEntry, Store};
use crate::online::{self, Place};
use crate::plan::Source;
use crate::time::EventTime;

/// What a rebuild of these views leaves out: events that something up to `upto` retracts. A retraction names keys of the
/// views of its time, which others may lack: for them its event must never have been there.
pub fn left_out(shared: &Shared, offline: &Store, views: &[usize], upto: Seq) -> Result<Arc<ExcludedEvents>> {
    let plan = shared.plan();
    let mut events = HashSet::new();
    let sources: HashSet<usize> = views.iter().flat_map(|view| plan.views[*view].rows.sources()).collect();
    for source in sources {
        events.extend(retracted(shared, offline, source, upto)?.into_iter().map(|(partition, offset)| (source, partition, offset)));
    }
    Ok(Arc::new(ExcludedEvents { views: views.to_vec(), events }))
}

/// The places of the events of a source that something up to `upto` retracts.
fn retracted(shared: &Shared, offline: &Store, source: usize, upto: Seq) -> Result<HashSet<(Partition, Offset)>> {
    let mut events = HashSet::new();
    events_of(
        &shared.store,
        offline,
        &shared.plan().sources[source],
        |file| file.retractions > 0,
        |batch| {
            let seqs = batch.seqs()?.clone();
            let retracted = batch.retractions()?.zip(seqs.values()).filter(|(_, seq)| **seq <= upto.0);
            events.extend(retracted.filter_map(|(event, _)| event.map(|at| (at.partition, at.offset))));
            Ok(())
        },
    )?;
    Ok(events)
}

/// Tells the admissions what their stored ids lack: the places of events whose ids were stored without, or with the hashes of
/// other keys than today's; what tombstones need of them; ids and times of other columns than today's.
pub fn link(shared: &Arc<Shared>, offline: &Store, committer: &mut Committer) -> Result<()> {
    let plan = shared.plan();
    for (source, declared) in plan.sources.iter().enumerate().filter(|(_, source)| source.dedup.is_some()) {
        let rules = Rules::of(declared);
        let mut admissions: HashMap<Partition, &mut AdmissionState> =
            committer.admissions(source).filter(|(_, admission)| admission.needs_events(&rules)).collect();
        if admissions.is_empty() {
            continue;
        }
        tracing::info!(source = declared.name, "learning the ids of events and where they are");
        let gone = retracted(shared, offline, source, Seq::MAX)?;
        let columns = key_columns(plan, source);
        let mut kept: HashMap<Partition, Vec<(Vec<u64>, RecordBatch)>> = HashMap::new();
        // Ids of earlier times decide nothing; of files that are sorted by another column it is not known.
        let oldest = admissions.values().filter_map(|admission| admission.oldest(&rules)).min().unwrap_or(EventTime::MIN);
        let time = &declared.fields[declared.event_time].name;
        events_of(
            &shared.store,
            offline,
            declared,
            |file| file.event_time != *time || file.time_max >= oldest,
            |batch| {
                let own = batch.own();
                let times = times_of(declared, &own)?;
                let (ids, keys) = (dedup_ids(declared, &own).unwrap_or_default(), key_hashes(&columns, &own));
                let mut known: HashMap<Partition, (Vec<u32>, Vec<u64>)> = HashMap::new();
                for (row, retracted) in batch.retractions()?.enumerate().filter(|(row, _)| times.is_valid(*row)) {
                    let at = batch.position(declared.event_time, row)?;
                    let place = Place { offset: at.offset.0, keys: keys[row] };
                    if let (None, Some(Some(id)), Some(admission)) = (retracted, ids.get(row), admissions.get_mut(&at.partition))
                        && admission.learn(&rules, *id, at.time, place, gone.contains(&(at.partition, at.offset)))
                    {
                        let (rows, offsets) = known.entry(at.partition).or_default();
                        rows.push(row as u32);
                        offsets.push(at.offset.0);
                    }
                }
                for (partition, (rows, offsets)) in known.into_iter().filter(|_| declared.tombstones) {
                    let columns = tombstones::kept_columns(declared, &columns, &own)?;
                    let rows = take_record_batch(&columns, &UInt32Array::from(rows))?;
                    kept.entry(partition).or_default().push((offsets, rows));
                }
                Ok(())
            },
        )?;
        for (partition, batches) in kept {
            if let Some(admission) = admissions.get_mut(&partition) {
                admission.kept.replace(&batches)?;
            }
        }
    }
    Ok(())
}

/// All committed events of a source with today's columns, those of the wanted files and of all blocks; some may come twice.
/// Those that were accepted under another event time may lack today's.
pub fn events_of(
    store: &online::Store,
    offline: &Store,
    source: &Source,
    wanted: impl Fn(&FileEntry) -> bool,
    mut take: impl FnMut(&EventBatch) -> Result<()>,
) -> Result<()> {
    let snapshot = offline.snapshot();
    for file in snapshot.files(source)?.into_iter().filter(|file| wanted(file)) {
        take(&EventBatch { source: source.name.clone(), rows: snapshot.read(file, source)? })?;
    }
    store.blocks_after(Seq(0), |_, batches| {
        for batch in batches.iter().filter(|batch| batch.source == source.name) {
            take(&fit_events(batch, source)?)?;
        }
        Ok(true)
    })
}
