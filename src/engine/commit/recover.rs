//! Restores a running engine from a data folder. Applies committed events again that rows lack, scores events that were not scored,
//! and rebuilds views whose rows lack a fold from all events. Must never apply an event twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::engine::PartitionStates;
use crate::engine::commit::committer::{Committer, Restored};
use crate::engine::intake::batch::{ApplyBatch, ApplyMode, ExcludedEvents, Segment, fit_events, id_columns};
use crate::engine::intake::budget::Intake;
use crate::engine::intake::clock::ClockWatch;
use crate::engine::intake::partition::PartitionState;
use crate::engine::intake::relearn;
use crate::engine::logs::Logs;
use crate::engine::output::models::Loaded;
use crate::engine::output::outbox::Outbox;
use crate::engine::output::retention::Kept;
use crate::engine::shared::{Applied, Bounds, Definitions, Foundation, Shared, contents_of};
use crate::engine::state::apply;
use crate::error::Result;
use crate::event::EventBatch;
use crate::failpoint::failpoint;
use crate::folder::Stored;
use crate::id::{Identity, Offset, Partition, Seq};
use crate::online::Store;
use crate::plan::{Contents, Plan};
use crate::telemetry::Metrics;
use crate::time::{Clock, EventTime};

/// About so many events are applied again at once, so that the rows of their keys are read in one go.
const AT_ONCE: usize = 250_000;
/// Fewer where they are large.
const AT_ONCE_BYTES: usize = 256 << 20;

/// Reads back what a start needs to know before it applies anything.
pub fn restore(
    config: &Config,
    plan: Plan,
    store: Store,
    logs: Logs,
    models: Vec<Result<Loaded>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> Result<(Arc<Shared>, Restored)> {
    let progress = store.progress()?;
    let readings = store.readings()?;
    let mut states = PartitionStates::new();
    for partition in &progress.partitions {
        let Some((source, _)) = plan.source(&partition.source) else { continue };
        let reading = readings.get(&partition.source).and_then(|reading| reading.partitions.get(&partition.partition));
        let state = states.entry((source, Partition(partition.partition))).or_insert_with(PartitionState::new);
        state.admission.frontier = partition.frontier.map(EventTime);
        state.admission.unlearnt = reading.and_then(|reading| reading.unlearnt);
        state.last = reading.and_then(|reading| reading.last);
        state.next = Offset(partition.next);
        state.idle_since = partition.idle_since;
    }
    let id_columns = id_columns(&plan);
    store.ids(|at, part| {
        let Some((source, _)) = plan.source(&part.source) else { return Ok(()) };
        match states.get_mut(&(source, Partition(part.partition))) {
            Some(state) => state.admission.restore(at, &part, &id_columns[source]),
            None => Ok(()),
        }
    })?;
    // Blocks follow one another without a gap, up to the last event.
    let firsts = store.block_firsts()?;
    let lasts = firsts.iter().skip(1).map(|next| Seq(next.0 - 1)).chain([progress.committed]);
    let blocks = firsts.iter().copied().zip(lasts).collect();
    let rebuilt = match compare(&progress.views, &plan) {
        Rows::Complete => Vec::new(),
        Rows::Rebuild(views) => views,
    };
    // A source whose views are all built again remembers what its history says now.
    let reads = |index: usize, source: usize| plan.views[index].rows.branches_of(source).next().is_some();
    let starts_anew = |source: usize| (0..plan.views.len()).all(|index| !reads(index, source) || rebuilt.contains(&index));
    let horizon = |source: usize| {
        let kept = progress.horizons.iter().find(|(name, _)| *name == plan.sources[source].name && !starts_anew(source));
        horizon(&plan, &states, source).max(kept.map_or(EventTime::MIN, |(_, time)| EventTime(*time)))
    };
    let horizons = (0..plan.sources.len()).map(horizon).collect::<Vec<_>>();
    let applied = Applied {
        work: 0,
        seq: progress.flushed,
        partitions: states.iter().map(|(key, state)| (*key, (state.next, state.admission.frontier))).collect(),
        horizons: horizons.clone(),
    };
    let shards = if config.shards == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { config.shards };
    let bounds = Bounds { intake: Arc::new(Intake::new(config.intake_bytes)), kept: Kept::new(&config.retention, &plan) };
    let definitions = Definitions::new(Arc::new(plan), shards.min(256), usize::try_from(config.state_memory_bytes).unwrap_or(usize::MAX));
    let clock_watch = ClockWatch::new(store.committed_at()?, clock.now(), Instant::now());
    let outbox = Outbox::new(store.open_outbox()?, config.outbox_bytes_max);
    let (definitions, folder, ready_when) = (Arc::new(definitions), config.data.clone(), config.ready_when);
    let foundation = Foundation { definitions, store, logs, models, applied, bounds, clock, metrics, folder, outbox, ready_when };
    let shared = Arc::new(Shared::new(foundation));
    let awaited = awaited(&shared, &states)?;
    Ok((shared, Restored { progress, readings, states, blocks, horizons, awaited, clock: clock_watch }))
}

/// The partitions that open intervals of drift waited for at the last commit: where none were recorded, all with events.
fn awaited(shared: &Shared, states: &PartitionStates) -> Result<Vec<Vec<Partition>>> {
    let stored = shared.store.awaited()?;
    let of_source = |(index, source): (usize, &crate::plan::Source)| match stored.iter().find(|(name, _)| *name == source.name) {
        Some((_, partitions)) => partitions.iter().map(|partition| Partition(*partition)).collect(),
        None => states.keys().filter(|(of, _)| *of == index).map(|(_, partition)| *partition).collect(),
    };
    Ok(shared.plan().sources.iter().enumerate().map(of_source).collect())
}

fn horizon(plan: &Plan, states: &PartitionStates, source: usize) -> EventTime {
    let states = states.range((source, Partition(0))..=(source, Partition(u32::MAX)));
    let lowest = states.filter(|(_, state)| state.idle_since.is_none()).filter_map(|(_, state)| state.admission.frontier).min();
    lowest.map_or(EventTime::MIN, |lowest| lowest.minus(plan.sources[source].history))
}

/// The last `seq` in a block.
fn last_of(batches: &[EventBatch]) -> Result<Option<Seq>> {
    let mut last = None;
    for batch in batches {
        last = last.max(batch.seqs()?.values().last().map(|seq| Seq(*seq)));
    }
    Ok(last)
}

/// What a start must do to the views' rows before it replays.
#[derive(Debug, PartialEq, Eq)]
pub enum Rows {
    /// Rows hold what the plan's views need.
    Complete,
    /// These views (by index) are new or lack something: all events are folded into them again.
    Rebuild(Vec<usize>),
}

/// Compares what rows hold with what the plan needs.
pub fn compare(stored: &[(Identity, Contents)], plan: &Plan) -> Rows {
    let serves = |view: Identity, needed: &Contents| stored.iter().any(|(of, held)| *of == view && held.serve(needed));
    let needed = contents_of(plan);
    let lacking = needed.iter().enumerate().filter(|(_, (view, needed))| !serves(*view, needed));
    let views: Vec<usize> = lacking.map(|(index, _)| index).collect();
    if views.is_empty() { Rows::Complete } else { Rows::Rebuild(views) }
}

/// Brings state to the last commit, and scores what was committed but not scored.
pub fn catch_up(shared: &Arc<Shared>, offline: &crate::offline::Store, committer: &mut Committer, definitions: &str) -> Result<()> {
    failpoint!("recover::catch_up");
    committer.enter_definitions(definitions)?;
    relearn::link(shared, offline, committer)?;
    let progress = committer.progress().clone();
    let mut left_out = Arc::default();
    if let Rows::Rebuild(views) = compare(&progress.views, shared.plan()) {
        left_out = relearn::left_out(shared, offline, &views, progress.committed)?;
        rebuild(shared, offline, committer, &left_out, progress.flushed)?;
    }
    // Rows that lack what a replay would retract are not complete before it: a crash begins them again.
    let incomplete = if left_out.events.is_empty() { &[] } else { left_out.views.as_slice() };
    if progress.views != contents_of(shared.plan()) {
        // Views that are not declared any more lose their rows: they would lack what comes until they are back.
        committer.forget_views(&[])?;
        committer.enter_contents(incomplete)?;
    }
    let from = progress.flushed.min(progress.scored);
    let (mut waiting, mut upto) = (Vec::new(), from);
    shared.store.blocks_after(from, |_, batches| {
        let Some(last) = last_of(&batches)? else { return Ok(true) };
        if last > from {
            // What is scored again is so block by block, as it was committed.
            let scores = last > progress.scored;
            let events: usize = waiting.iter().map(|segment: &Segment| segment.rows.len()).sum();
            let bytes: usize = waiting.iter().map(|segment| segment.prepared.own.get_array_memory_size()).sum();
            if (scores || events >= AT_ONCE || bytes >= AT_ONCE_BYTES) && !waiting.is_empty() {
                committer.replay(std::mem::take(&mut waiting), upto, &left_out)?;
            }
            waiting.extend(segments(shared.plan(), &batches, Seq(0))?);
            upto = last;
        }
        Ok(true)
    })?;
    if upto > from {
        committer.replay(waiting, upto, &left_out)?;
    }
    if incomplete.is_empty() { Ok(()) } else { committer.enter_contents(&[]) }
}

/// Folds all events up to `upto` into views that lack them: Parquet first, then the blocks behind it.
fn rebuild(
    shared: &Arc<Shared>,
    offline: &crate::offline::Store,
    committer: &mut Committer,
    left_out: &Arc<ExcludedEvents>,
    upto: Seq,
) -> Result<()> {
    for view in &left_out.views {
        tracing::info!(view = shared.plan().views[*view].name, "building the view's state from all events");
    }
    committer.forget_views(&left_out.views)?;
    let snapshot = offline.snapshot();
    let mut told = Told { read: 0, last: Instant::now() };
    for source in &shared.plan().sources {
        for file in snapshot.files(source)? {
            told.more(file.rows, upto);
            let events = EventBatch { source: source.name.clone(), rows: snapshot.read(file, source)? };
            committer.rebuild(segments(shared.plan(), &[events.between(Seq(0), upto)?], Seq(0))?, left_out)?;
        }
    }
    let after = snapshot.upto();
    shared.store.blocks_after(after, |_, batches| {
        let batches = batches.iter().map(|batch| batch.between(after, upto)).collect::<Result<Vec<_>>>()?;
        told.more(batches.iter().map(|batch| batch.len() as u64).sum(), upto);
        committer.rebuild(segments(shared.plan(), &batches, after)?, left_out)?;
        Ok(true)
    })?;
    Ok(())
}

/// Tells the log how far a long rebuild has come.
struct Told {
    read: u64,
    last: Instant,
}

impl Told {
    const EVERY: Duration = Duration::from_secs(10);

    fn more(&mut self, events: u64, upto: Seq) {
        self.read += events;
        if self.last.elapsed() >= Self::EVERY {
            self.last = Instant::now();
            tracing::info!("built from {} of about {} events", self.read, upto.0);
        }
    }
}

fn segments(plan: &Plan, batches: &[EventBatch], after: Seq) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for batch in batches {
        segments.extend(Segment::from_events(plan, batch, after)?);
    }
    Ok(segments)
}

/// Applies what rows lack to the shards of a store that is open to read only; everything stays in memory.
pub fn apply_in_memory(shared: &Arc<Shared>, restored: Restored) -> Result<()> {
    let Restored { progress, horizons, .. } = restored;
    let mut number = 0;
    shared.store.blocks_after(progress.flushed, |_, batches| {
        number += 1;
        let last = last_of(&batches)?.unwrap_or_default();
        let segments = segments(shared.plan(), &batches, progress.flushed)?;
        let pass = ApplyMode::Replay(Arc::default());
        let work = ApplyBatch {
            number,
            last,
            segments,
            pass,
            score: false,
            flush_before: Seq(0),
            durable: 0,
            awaited: Arc::default(),
            horizons: horizons.clone(),
            held: Vec::new(),
        };
        apply::apply_here(shared, &work)?;
        Ok(true)
    })?;
    let applied = Applied { work: number, seq: progress.committed, ..Applied::clone(&shared.applied()) };
    shared.publish_applied(applied);
    Ok(())
}

/// All committed events, also beside a running engine: the Parquet log, and those that it did not hold when it was opened. The
/// log is to be read again (`reload`) before its files are used, since events may have moved there meanwhile.
///
/// # Errors
/// Those of `open_events`.
pub fn events(config: &Config, plan: &Plan) -> Result<(crate::offline::Store, Vec<EventBatch>)> {
    if !crate::engine::has_state(&config.data) {
        return Ok((Stored::open(&config.data, crate::engine::READ_CACHE_BYTES)?.offline, Vec::new()));
    }
    let crate::engine::Events { store, offline, .. } = crate::engine::open_events(config, plan)?;
    let recent = recent_of(&store, plan, offline.upto())?;
    Ok((offline, recent))
}

fn recent_of(store: &Store, plan: &Plan, after: Seq) -> Result<Vec<EventBatch>> {
    let mut recent = Vec::new();
    store.blocks_after(after, |_, batches| {
        for batch in batches {
            let batch = batch.between(after, Seq::MAX)?;
            if let (false, Some((_, source))) = (batch.is_empty(), plan.source(&batch.source)) {
                recent.push(fit_events(&batch, source)?);
            }
        }
        Ok(true)
    })?;
    Ok(recent)
}
