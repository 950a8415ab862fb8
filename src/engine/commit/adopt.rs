//! Decides what a start does with a data folder whose sources were declared differently when their records were read: what it
//! refuses, and what it converts, in one commit before anything is restored. Must never apply an event.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::Array;

use crate::engine::append::tables;
use crate::engine::intake::accept::Rules;
use crate::engine::intake::batch::{other_type, times_of};
use crate::engine::intake::relearn::events_of;
use crate::engine::output::drain;
use crate::error::Result;
use crate::id::Identity;
use crate::log::embedded;
use crate::offline;
use crate::online::{Progress, Reading, Store};
use crate::plan::{Contents, Plan, Source, View};
use crate::record::System;
use crate::time::Epoch;
use crate::value::DataType;

/// Aggregates that say the same of rows that come twice.
const OF_SETS: &[&str] =
    &["approx_distinct", "bool_and", "bool_or", "count_distinct", "distinct_n", "first", "last", "latest", "max", "min"];

/// Why the stored events and these definitions do not go together, each with the way out; none where they do. `former` are
/// the definitions of before, for a folder of a version that did not note what it read.
pub fn objections(store: Option<&Store>, offline: &offline::Store, plan: &Plan, former: Option<&Plan>) -> Result<Vec<String>> {
    let (progress, readings) = match store {
        Some(store) => (store.progress()?, store.readings()?),
        None => (Progress::default(), BTreeMap::new()),
    };
    let mut found = retyped(store, offline, plan)?;
    for source in plan.sources.iter().filter(|source| has_events(&progress, &source.name)) {
        let of_before = former.and_then(|former| former.source(&source.name)).map(|(_, source)| reading_of(source));
        let Some(read) = readings.get(&source.name).or(of_before.as_ref()) else { continue };
        found.extend(moved(source, read));
        match of_other_unit(source, read, former) {
            Some(retimed) => found.push(retimed),
            None => found.extend(counted_twice(plan, source, read)),
        }
    }
    Ok(found)
}

/// A table whose time counts something else now: the rows that were taken in by the former unit would stay and be read, from
/// times that never were, beside those that are taken in again.
fn of_other_unit(source: &Source, read: &Reading, former: Option<&Plan>) -> Option<String> {
    source.files.as_ref()?;
    let (name, time, now) = (&source.name, &source.fields[source.event_time].name, source.epoch(source.event_time));
    let of_applied = former.and_then(|former| former.source(name)).map(|(_, former)| former);
    let of_applied = of_applied.filter(|former| former.files.is_some() && former.fields[former.event_time].name == *time);
    let of_applied = of_applied.map(|former| former.epoch(former.event_time));
    let is_of = |unit: &Epoch| *unit != now && (of_applied == Some(*unit) || read.taken.contains(&tables::taken_with(source, *unit)));
    let then = Epoch::ALL.into_iter().find(is_of)?;
    Some(format!(
        "table {name}: integers of its time {time} count {now} now, and its stored rows were taken in with {then}: they would stay, at other \
         times, and count; give the table a new name, which takes its files in once, or declare {time} timestamp {} again",
        then.spelling()
    ))
}

/// Which of these sources no start has read as they are declared now, though there is something to read.
pub fn unread(store: &Store, plan: &Plan, log: &embedded::Log, sources: &BTreeSet<usize>) -> Result<Vec<String>> {
    let (progress, readings, topics) = (store.progress()?, store.readings()?, log.topics());
    let is_unread = |source: &&Source| {
        let reading = readings.get(&source.name);
        let is_elsewhere = |read: &Reading| (read.log, read.topic.as_str()) != (source.origin.system, source.topic());
        // A folder of a version that did not note what it read has its progress alone.
        let is_new = reading.map_or_else(|| progress.partitions.iter().all(|partition| partition.source != source.name), is_elsewhere);
        match (&source.files, source.origin.system) {
            (Some(path), _) => {
                let is_otherwise = reading.is_some_and(|read| !read.taken.contains(&tables::taken(source)));
                (is_new || is_otherwise) && tables::files_of(path).is_ok_and(|files| !files.is_empty())
            }
            (None, System::Embedded) => {
                is_new && topics.iter().any(|held| held.name == source.topic() && held.partitions.iter().any(|held| held.end.0 > 0))
            }
            (None, System::Kafka) => is_new,
        }
    };
    let named = |source: &Source| format!("{} {}", if source.files.is_some() { "table" } else { "source" }, source.name);
    Ok(sources.iter().map(|source| &plan.sources[*source]).filter(is_unread).map(named).collect())
}

fn has_events(progress: &Progress, source: &str) -> bool {
    progress.partitions.iter().any(|partition| partition.source == source && partition.frontier.is_some())
}

/// Another topic: its offsets would be places of other events, and its first records would be taken for read.
fn moved(source: &Source, read: &Reading) -> Option<String> {
    let (log, topic) = (source.origin.system, source.topic());
    if (log, topic) == (read.log, read.topic.as_str()) {
        return None;
    }
    let (name, then, now) = (&source.name, read.log.declared(&read.topic), log.declared(topic));
    Some(format!(
        "source {name} is declared to read {now}, and its stored events are of {then}, under the partitions and offsets of that: give the \
         source a new name, declare {then} again, or choose another data folder"
    ))
}

/// A table of which other columns are taken has its rows read again.
fn counted_twice(plan: &Plan, source: &Source, read: &Reading) -> Option<String> {
    let taken: BTreeSet<_> = read.taken.iter().copied().chain(source.files.as_ref().map(|_| tables::taken(source))).collect();
    if taken.len() < 2 {
        return None;
    }
    let reads = |view: &&View| view.rows.sources().any(|of| plan.sources[of].name == source.name);
    let counts = |view: &View| {
        let feature = view.features.iter().find(|feature| {
            let is_of_set = OF_SETS.contains(&view.folds[feature.fold].aggregate.name());
            !is_of_set || feature.window.limit.is_some() || matches!(feature.data_type, DataType::Map(_))
        })?;
        Some(format!("{}.{}", view.name, feature.name))
    };
    let feature = plan.views.iter().filter(reads).find_map(counts)?;
    let name = &source.name;
    Some(format!(
        "table {name}: its columns, key or time are not always those that its files were taken in with, and taking them in again brings \
         every row a second time, which {feature} would count: give the table a new name, declare it as before, or leave {feature} out"
    ))
}

/// Columns that stored events have with another type.
fn retyped(store: Option<&Store>, offline: &offline::Store, plan: &Plan) -> Result<Vec<String>> {
    let mut found = BTreeMap::new();
    let mut note = |source: &Source, column: &str, stored: &str| {
        if let Some(field) = source.fields.iter().find(|field| field.name == column && field.data_type.to_string() != stored) {
            found.entry((source.name.clone(), column.to_owned())).or_insert_with(|| other_type(source, field, stored).to_string());
        }
    };
    let snapshot = offline.snapshot();
    for source in &plan.sources {
        for columns in snapshot.columns_of(&source.name) {
            columns.iter().for_each(|column| note(source, &column.name, &column.data_type));
        }
    }
    if let Some(store) = store {
        store.blocks_after(snapshot.upto(), |_, batches| {
            for batch in &batches {
                if let Some((_, source)) = plan.source(&batch.source) {
                    offline::columns_of(&batch.own().schema()).iter().for_each(|column| note(source, &column.name, &column.data_type));
                }
            }
            Ok(true)
        })?;
    }
    Ok(found.into_values().collect())
}

/// What a source's records are read as under today's declaration, nothing having been read.
fn reading_of(source: &Source) -> Reading {
    Reading {
        log: source.origin.system,
        topic: source.topic().to_owned(),
        event_time: source.fields[source.event_time].name.clone(),
        dedup: source.dedup.iter().flat_map(|dedup| &dedup.columns).map(|column| source.fields[*column].name.clone()).collect(),
        ids_kept: Rules::of(source).ids_kept(),
        taken: source.files.iter().map(|_| tables::taken(source)).collect(),
        partitions: BTreeMap::new(),
    }
}

/// Takes today's declarations over into what was committed: frontiers of another event time are those of the stored events;
/// ids that were not kept are to be learnt; a source that never gave an event and is moved begins anew. To be called where
/// there are no `objections`.
pub fn adopt(store: &Store, offline: &offline::Store, plan: &Plan) -> Result<()> {
    let (mut progress, mut readings) = (store.progress()?, store.readings()?);
    let of_before = |source: &Source| offline.event_time(&source.name).is_some_and(|time| time != source.fields[source.event_time].name);
    if plan.sources.iter().any(of_before) {
        // A file is sorted by the event time under which its events were accepted: none lacks that.
        drain::drain_store(store, offline)?;
    }
    let mut commit = store.begin();
    let mut some_retimed = false;
    for source in &plan.sources {
        let (name, former, mut today) = (&source.name, readings.remove(&source.name), reading_of(source));
        let time_of_before = former.as_ref().map(|former| former.event_time.clone()).or_else(|| offline.event_time(name));
        let is_retimed = time_of_before.is_some_and(|time| time != today.event_time);
        let keeps_ids =
            former.as_ref().is_some_and(|former| former.dedup == today.dedup && former.ids_kept >= today.ids_kept && !is_retimed);
        if let Some(former) = former {
            if (former.log, &former.topic) == (today.log, &today.topic) {
                today.partitions = former.partitions;
            } else {
                progress.partitions.retain(|partition| partition.source != *name);
            }
            today.taken.extend(former.taken);
        }
        let times = if is_retimed { Some(times_by(store, offline, source)?) } else { None };
        some_retimed |= is_retimed;
        if is_retimed {
            tracing::info!(source = name, "placing all events by {}", today.event_time);
            progress.horizons.retain(|(of, _)| of != name);
        }
        for partition in progress.partitions.iter_mut().filter(|partition| partition.source == *name) {
            let mut latest = partition.frontier;
            if let Some(times) = &times {
                let times = times.get(&partition.partition).copied().unwrap_or_default();
                (partition.frontier, latest) = (times.frontier, times.latest);
            }
            let own = today.partitions.entry(partition.partition).or_default();
            if source.dedup.is_none() {
                own.unlearnt = None;
            } else if !keeps_ids {
                own.unlearnt = own.unlearnt.max(latest);
            }
        }
        readings.insert(name.clone(), today);
    }
    if some_retimed {
        // They would lack what their sources' horizons say when they come back.
        let gone = |(view, _): &mut (Identity, Contents)| plan.views.iter().all(|declared| declared.id != *view);
        for (view, _) in progress.views.extract_if(.., gone) {
            store.delete_view(&mut commit, view)?;
        }
    }
    if progress != store.progress()? || readings != store.readings()? {
        store.put_progress(&mut commit, &progress)?;
        store.put_readings(&mut commit, &readings)?;
        store.commit(commit)?;
    }
    offline.turn_to(&plan.sources)
}

/// Times of the stored events of a partition.
#[derive(Clone, Copy, Default)]
struct Times {
    /// The latest of those that are not further ahead of when their event was taken in than `max ahead` lets an event be:
    /// one broken clock must not make everybody else late.
    frontier: Option<i64>,
    latest: Option<i64>,
}

/// For each partition, by the column that is the event time today.
fn times_by(store: &Store, offline: &offline::Store, source: &Source) -> Result<HashMap<u32, Times>> {
    let mut found: HashMap<u32, Times> = HashMap::new();
    events_of(
        store,
        offline,
        source,
        |_| true,
        |batch| {
            let own = batch.own();
            let (times, partitions, ingested) = (times_of(source, &own)?, batch.partitions()?, batch.ingest_times()?);
            for (row, retracted) in batch.retractions()?.enumerate() {
                if retracted.is_some() || times.is_null(row) {
                    continue;
                }
                let time = times.value(row);
                let of = found.entry(partitions.value(row)).or_default();
                of.latest = of.latest.max(Some(time));
                if time <= ingested.value(row).saturating_add(source.max_ahead.0) {
                    of.frontier = of.frontier.max(Some(time));
                }
            }
            Ok(())
        },
    )?;
    Ok(found)
}
