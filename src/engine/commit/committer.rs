//! The committer, the one thread that decides. It accepts events, assigns each its `seq`, makes them durable together with the
//! results of earlier events, and then hands them to the shards. Must never hand over an event that is not durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};

use crate::engine::PartitionStates;
use crate::engine::intake::accept::{AdmissionState, IdsAt, Rules};
use crate::engine::intake::batch::{ApplyBatch, ApplyMode, ExcludedEvents, Segment, events_of};
use crate::engine::intake::budget::Held;
use crate::engine::intake::clock::{self, Ahead, ClockWatch};
use crate::engine::intake::partition::{self, AdmittedRun, PartitionState};
use crate::engine::intake::reader::Incoming;
use crate::engine::intake::set_aside::SetAside;
use crate::engine::intake::watermark::{awaited, known, patience};
use crate::engine::output::outbox::Backlogs;
use crate::engine::shared::{Applied, Shared, contents_of};
use crate::engine::state::apply::{ApplyResult, Task};
use crate::engine::state::aside;
use crate::engine::state::shard::NOT_IN_ORDER;
use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::failpoint::failpoint;
use crate::id::{Identity, Offset, Partition, Seq};
use crate::online::{
    AcceptedIds, CommitRecord, DriftRow, Output, PartitionProgress, PartitionReading, Progress, Reading, StateRow, state_key,
};
use crate::record::LastRead;
use crate::time::{EventTime, IngestTime, Span};

/// Works that the applier may hold: one that it applies, one that waits.
const IN_FLIGHT_MAX: usize = 2;
/// A restart replays about this many events at most, beside those of the last flush interval.
const REPLAY_EVENTS_MAX: u64 = 200_000;
/// How long the committer waits for something to do before it looks after flushes.
const TICK: Duration = Duration::from_millis(20);
/// A commit takes in no more once what it holds in memory reaches so many bytes.
const BATCH_BYTES_MAX: u64 = 32 << 20;

/// Channels and settings of a committer.
pub struct Ports {
    pub incoming: Receiver<Incoming>,
    pub tasks: Sender<Task>,
    pub done: Receiver<Result<ApplyResult>>,
    /// Woken when outputs are in the outbox.
    pub published: Sender<()>,
    pub batch_events_max: usize,
    pub commit_interval: Duration,
    pub flush_interval: Duration,
}

pub struct Committer {
    shared: Arc<Shared>,
    ports: Ports,
    progress: Progress,
    readings: BTreeMap<String, Reading>,
    rules: Vec<Rules>,
    states: PartitionStates,
    horizons: Vec<EventTime>,
    /// First and last event of each stored block.
    blocks: VecDeque<(Seq, Seq)>,
    /// What the next commit has to write beside new events.
    outputs: Vec<Output>,
    rows: Vec<StateRow>,
    drift: Vec<DriftRow>,
    /// For each source, the partitions that open intervals of drift wait for.
    awaited: Arc<Vec<Vec<Partition>>>,
    forgotten_ids: Vec<IdsAt>,
    progress_moved: bool,
    /// Commits by time: which events changed their keys long enough ago to be written behind.
    commits: VecDeque<(Instant, Seq)>,
    /// Of sources that a watched model scores: how far in event time a partition may fall behind and is waited for.
    patience: BTreeMap<usize, Span>,
    clock: ClockWatch,
    /// For each source whether its events lie in the future.
    ahead: Vec<Ahead>,
    number: u64,
    in_flight: usize,
    /// Views that a later start builds anew.
    disordered: BTreeSet<usize>,
    /// The newest work whose rows are in `rows`, and the newest whose rows are durable.
    collected: u64,
    durable: u64,
}

/// Parts of the committer's memory that a start restores.
pub struct Restored {
    pub progress: Progress,
    pub readings: BTreeMap<String, Reading>,
    pub states: PartitionStates,
    pub blocks: VecDeque<(Seq, Seq)>,
    pub horizons: Vec<EventTime>,
    pub awaited: Vec<Vec<Partition>>,
    pub clock: ClockWatch,
}

/// What becomes of arrived records.
#[derive(Default)]
struct Admitted {
    segments: Vec<Segment>,
    /// The records' shares of the intake, until the events are applied.
    held: Vec<Held>,
    ids: Vec<AcceptedIds>,
}

impl Committer {
    pub fn new(shared: Arc<Shared>, ports: Ports, restored: Restored) -> Self {
        let rules = shared.plan().sources.iter().map(Rules::of).collect();
        let patience = patience(shared.plan());
        let ahead = shared.plan().sources.iter().map(|_| Ahead::default()).collect();
        let committer = Self {
            shared,
            ports,
            rules,
            readings: restored.readings,
            states: restored.states,
            horizons: restored.horizons,
            blocks: restored.blocks,
            progress: restored.progress,
            outputs: Vec::new(),
            rows: Vec::new(),
            drift: Vec::new(),
            awaited: Arc::new(restored.awaited),
            forgotten_ids: Vec::new(),
            progress_moved: false,
            commits: VecDeque::new(),
            patience,
            clock: restored.clock,
            ahead,
            number: 0,
            in_flight: 0,
            disordered: BTreeSet::new(),
            collected: 0,
            durable: 0,
        };
        committer.show_progress();
        committer
    }

    /// Applies committed events that the state rows lack, before anything new: `blocks` are in order. `left_out` is in no
    /// row, and stays out.
    pub fn replay(&mut self, segments: Vec<Segment>, last: Seq, left_out: &Arc<ExcludedEvents>) -> Result<()> {
        let score = last > self.progress.scored;
        let flush_before = self.flush_before();
        self.send(segments, Vec::new(), last, score, flush_before, ApplyMode::Replay(Arc::clone(left_out)))?;
        self.settle()
    }

    /// The admissions of a source's partitions.
    pub fn admissions(&mut self, source: usize) -> impl Iterator<Item = (Partition, &mut AdmissionState)> {
        let states = self.states.range_mut((source, Partition(0))..=(source, Partition(u32::MAX)));
        states.map(|((_, partition), state)| (*partition, &mut state.admission))
    }

    /// The last record that was read of each of a source's partitions.
    pub fn last_read(&self, source: usize) -> BTreeMap<Partition, LastRead> {
        let states = self.states.range((source, Partition(0))..=(source, Partition(u32::MAX)));
        states.filter_map(|((_, partition), state)| Some((*partition, state.last?))).collect()
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Records the definitions that are in force from the next event on, where they are not the ones recorded.
    pub fn enter_definitions(&mut self, text: &str) -> Result<()> {
        let store = &self.shared.store;
        if store.definitions()?.is_none_or(|(_, recorded)| recorded != text) {
            let mut commit = store.begin();
            // What was committed but not scored is scored under these.
            store.put_definitions(&mut commit, self.progress.committed.min(self.progress.scored), text)?;
            store.commit(commit)?;
        }
        Ok(())
    }

    /// Deletes the rows of views that are built anew, and of views that are not declared any more. A crash before
    /// `enter_contents` finds them lacking and begins again.
    pub fn forget_views(&mut self, views: &[usize]) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let declared = &shared.plan().views;
        let mut commit = shared.store.begin();
        let gone = |view: &Identity| !declared.iter().any(|declared| declared.id == *view);
        let stored: Vec<Identity> = self.progress.views.iter().map(|(view, _)| *view).filter(gone).collect();
        for view in views.iter().map(|view| declared[*view].id).chain(stored) {
            shared.store.delete_view(&mut commit, view)?;
            self.progress.views.retain(|(stored, _)| *stored != view);
        }
        shared.store.put_progress(&mut commit, &self.progress)?;
        shared.store.commit(commit)?;
        for shard in &shared.shards {
            views.iter().for_each(|view| shard.forget(*view));
        }
        Ok(())
    }

    /// Folds events into the views that `left_out` is left out of, into these only, and writes their rows.
    pub fn rebuild(&mut self, segments: Vec<Segment>, left_out: &Arc<ExcludedEvents>) -> Result<()> {
        let last = self.progress.flushed;
        self.send(segments, Vec::new(), last, false, Seq::MAX, ApplyMode::Rebuild(Arc::clone(left_out)))?;
        self.settle()
    }

    /// Notes that the rows of all views but those hold what today's declarations need, and nothing else from now on.
    pub fn enter_contents(&mut self, incomplete: &[usize]) -> Result<()> {
        let contents = contents_of(self.shared.plan()).into_iter().enumerate();
        let aside = |view: &usize| self.shared.definitions.aside(*view).is_some();
        let is_whole = |view: &usize| !incomplete.contains(view) && !self.disordered.contains(view) && !aside(view);
        self.progress.views = contents.filter(|(view, _)| is_whole(view)).map(|(_, contents)| contents).collect();
        self.progress_moved = true;
        self.commit(Vec::new())
    }

    /// Waits for what is in flight, and makes durable what came of it.
    fn settle(&mut self) -> Result<()> {
        while self.in_flight > 0 {
            self.collect_one()?;
        }
        self.commit(Vec::new())
    }

    /// Runs until the engine stops, then drains: what was accepted is applied, scored, written behind and durable.
    pub fn run(mut self) -> Result<()> {
        self.shared.set_ready();
        let mut set_aside = SetAside::new(&self.progress.ledgers);
        clock::tell(&self.shared, &self.clock);
        while !self.shared.is_stopping() {
            clock::watch(&self.shared, &mut self.clock, Instant::now());
            let mut batch = Vec::new();
            // What waits for its topic is on disk, and bounded: reading waits until some of it was published.
            let open = self.in_flight < IN_FLIGHT_MAX && !self.shared.outbox.is_full();
            let nothing = crossbeam_channel::never();
            let incoming = if open { &self.ports.incoming } else { &nothing };
            select! {
                recv(incoming) -> message => match message {
                    Ok(message) => batch.push(message),
                    Err(_) => break,
                },
                recv(self.ports.done) -> done => self.collect(done.map_err(|_| applier_gone())??),
                default(TICK) => {}
            }
            self.progress_moved |= aside::forget(&self.shared, &mut self.progress);
            while let Ok(done) = self.ports.done.try_recv() {
                self.collect(done?);
            }
            if !batch.is_empty() {
                self.gather(&mut batch);
            }
            self.commit(batch)?;
            set_aside.look(&self.shared.plan().sources, &self.progress.ledgers, false);
            self.flush_when_idle()?;
        }
        self.drain(set_aside)
    }

    /// More of what is there already, up to the batch's size; waits for more only as long as the settings allow.
    fn gather(&self, batch: &mut Vec<Incoming>) {
        let started = Instant::now();
        // Records that cannot be used take as much as others.
        let mut records: usize = batch.iter().map(|incoming| incoming.run.records.len()).sum();
        let mut bytes: u64 = batch.iter().filter_map(|incoming| incoming.held.as_ref()).map(|held| held.bytes).sum();
        while records < self.ports.batch_events_max && bytes < BATCH_BYTES_MAX {
            let left = self.ports.commit_interval.saturating_sub(started.elapsed());
            let more = if left.is_zero() { self.ports.incoming.try_recv().ok() } else { self.ports.incoming.recv_timeout(left).ok() };
            match more {
                Some(incoming) => {
                    records += incoming.run.records.len();
                    bytes += incoming.held.as_ref().map_or(0, |held| held.bytes);
                    batch.push(incoming);
                }
                None if left.is_zero() => return,
                None => {}
            }
        }
    }

    /// Judges a run's rows, and makes a segment of those that get a `seq`.
    fn accept(&mut self, incoming: Incoming, next_seq: &mut u64, now: IngestTime, ids: &mut Vec<AcceptedIds>) -> Result<Option<Segment>> {
        let (source, partition) = (incoming.source, incoming.partition);
        let shared = Arc::clone(&self.shared);
        let declared = &shared.plan().sources[source];
        clock::watch_events(&shared, &mut self.ahead[source], source, &incoming.times, now, Instant::now());
        let state = self.states.entry((source, partition)).or_insert_with(PartitionState::new);
        let AdmittedRun { segment, ids: own, dead, ledger } =
            state.take(&shared, &self.rules[source], self.horizons[source], incoming, next_seq, now)?;
        self.progress.ledgers.entry(declared.name.clone()).or_default().add(&ledger);
        if !own.ids.is_empty() || !own.retracted.is_empty() {
            ids.push(own);
        }
        let system = declared.origin.system;
        self.outputs.extend(dead.into_iter().map(|record| Output { system, record }));
        for view in &segment.prepared.views {
            shared.measures.without_key[view.view].inc_by(segment.prepared.keys[view.keys].missing() as u64);
        }
        self.progress_moved = true;
        Ok((!segment.rows.is_empty()).then_some(segment))
    }

    /// Admits new events, makes them durable together with what came of earlier ones, and hands the events to the shards.
    fn commit(&mut self, batch: Vec<Incoming>) -> Result<()> {
        let arrived = !batch.is_empty();
        let now = self.shared.clock.now();
        let Admitted { segments, held, ids } = self.admit(batch, now)?;
        if !self.progress_moved && self.outputs.is_empty() && self.rows.is_empty() && self.drift.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let record = self.decide(events_of(self.shared.plan(), &segments)?, ids, now);
        failpoint!("commit::append");
        self.shared.store.append(&record)?;
        failpoint!("commit::appended");
        self.committed(record, started.elapsed());
        if arrived {
            let flush_before = self.flush_before();
            self.send(segments, held, self.progress.committed, true, flush_before, ApplyMode::New)?;
        }
        Ok(())
    }

    /// Judges what arrived, and numbers the events.
    fn admit(&mut self, batch: Vec<Incoming>, now: IngestTime) -> Result<Admitted> {
        if !batch.is_empty() {
            failpoint!("commit::admit");
        }
        let mut admitted = Admitted::default();
        let mut next_seq = self.progress.committed.0 + 1;
        for mut incoming in batch {
            admitted.held.extend(incoming.held.take());
            admitted.segments.extend(self.accept(incoming, &mut next_seq, now, &mut admitted.ids)?);
        }
        Ok(admitted)
    }

    /// What the next commit is: the admitted events, and everything that waits to become durable.
    fn decide(&mut self, events: Vec<EventBatch>, ids: Vec<AcceptedIds>, at: IngestTime) -> CommitRecord {
        let first = self.progress.committed.next();
        let count: usize = events.iter().map(EventBatch::len).sum();
        let last = Seq(self.progress.committed.0 + count as u64);
        if count > 0 {
            self.blocks.push_back((first, last));
            self.progress.committed = last;
        }
        let mut rows = std::mem::take(&mut self.rows);
        // In the order of their keys, neighbours are found where the last one went.
        rows.sort_by_cached_key(|row| state_key(row.view, &row.key));
        let outputs = std::mem::take(&mut self.outputs);
        let first_output = self.progress.outputs;
        self.progress.outputs += outputs.len() as u64;
        let forgotten_ids = std::mem::take(&mut self.forgotten_ids);
        let keep_from = self.forget_blocks();
        self.remember_ids(first, &ids);
        self.set_idle();
        let awaited = self.await_partitions();
        self.progress.partitions = self.partitions();
        self.move_horizons();
        let horizon = |(source, time): (&crate::plan::Source, &EventTime)| (source.name.clone(), time.0);
        self.progress.horizons = self.shared.plan().sources.iter().zip(&self.horizons).map(horizon).collect();
        self.move_readings();
        CommitRecord {
            first,
            events,
            ids,
            forgotten_ids,
            rows,
            outputs,
            first_output,
            drift: std::mem::take(&mut self.drift),
            awaited,
            keep_from,
            progress: self.progress.clone(),
            readings: self.readings.clone(),
            at,
        }
    }

    /// A block goes once both the rows and Parquet hold all of it: the `seq` before which all have.
    fn forget_blocks(&mut self) -> Option<Seq> {
        let held = self.progress.flushed.min(Seq(self.shared.offline_upto.load(Ordering::Acquire)));
        let mut keep_from = None;
        while let Some((_, last)) = self.blocks.pop_front_if(|(_, last)| *last <= held) {
            keep_from = Some(last.next());
        }
        keep_from
    }

    /// A commit is durable: tells those who wait for what is in it.
    fn committed(&mut self, record: CommitRecord, took: Duration) {
        self.durable = self.collected;
        self.progress_moved = false;
        self.commits.push_back((Instant::now(), self.progress.committed));
        let shared = &self.shared;
        let mut backlogs = Backlogs::default();
        record.outputs.iter().for_each(|output| backlogs.add(output));
        if !backlogs.is_empty() {
            shared.outbox.committed(&backlogs);
            // A full channel means that the publisher is awake already.
            let _ = self.ports.published.try_send(());
        }
        if !record.events.is_empty() {
            shared.recent.push((record.first, record.progress.committed), record.events);
        }
        let measures = &shared.measures;
        measures.commits.inc();
        measures.state_flushes.inc_by(record.rows.len() as u64);
        measures.commit_seconds.record(took);
        self.show_progress();
    }

    /// How far commits and predictions are.
    fn show_progress(&self) {
        let (measures, progress) = (&self.shared.measures, &self.progress);
        measures.committed.set(progress.committed.0 as f64);
        measures.unscored.set(progress.committed.0.saturating_sub(progress.scored.0) as f64);
    }

    fn remember_ids(&mut self, first: Seq, ids: &[AcceptedIds]) {
        for (place, part) in ids.iter().enumerate() {
            let source = self.shared.plan().sources.iter().position(|source| source.name == part.source);
            let state = source.and_then(|source| self.states.get_mut(&(source, Partition(part.partition))));
            if let Some(state) = state {
                state.admission.remember((first, place as u32), part);
            }
        }
        for ((source, _), state) in &mut self.states {
            self.forgotten_ids.extend(state.admission.forget(&self.rules[*source]));
        }
    }

    /// Hands a work to the applier.
    fn send(&mut self, segments: Vec<Segment>, held: Vec<Held>, last: Seq, score: bool, flush_before: Seq, pass: ApplyMode) -> Result<()> {
        self.number += 1;
        self.move_horizons();
        let applied = Applied { work: self.number, seq: last, partitions: self.applied_partitions(), horizons: self.horizons.clone() };
        let work = ApplyBatch {
            number: self.number,
            last,
            segments,
            pass,
            score,
            flush_before,
            durable: self.durable,
            awaited: Arc::clone(&self.awaited),
            horizons: self.horizons.clone(),
            held,
        };
        self.ports.tasks.send(Task { work: Arc::new(work), applied, committed: Instant::now() }).map_err(|_| applier_gone())?;
        self.in_flight += 1;
        Ok(())
    }

    fn collect(&mut self, done: ApplyResult) {
        self.in_flight -= 1;
        self.collected = done.number;
        if done.last > self.progress.scored || done.flushed > self.progress.flushed {
            self.progress_moved = true;
        }
        self.progress.scored = self.progress.scored.max(done.last);
        self.progress.flushed = self.progress.flushed.max(done.flushed);
        self.outputs.extend(done.outputs);
        self.rows.extend(done.rows);
        self.drift.extend(done.drift);
        for view in done.disordered {
            if self.disordered.insert(view) {
                self.progress_moved |= aside::withdraw(&self.shared, &mut self.progress, view, NOT_IN_ORDER);
            }
        }
    }

    fn collect_one(&mut self) -> Result<()> {
        loop {
            match self.ports.done.recv_timeout(TICK) {
                Ok(done) => {
                    self.collect(done?);
                    return Ok(());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(applier_gone()),
                Err(RecvTimeoutError::Timeout) if self.shared.is_out_of_time() => {
                    return Err(Error::unavailable("what was read last is applied at the next start"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Keys that last changed before this cut are due to be written behind.
    fn flush_before(&mut self) -> Seq {
        let mut due = Seq(self.progress.committed.0.saturating_sub(REPLAY_EVENTS_MAX));
        while let Some((at, seq)) = self.commits.front().copied()
            && at.elapsed() >= self.ports.flush_interval
        {
            due = due.max(seq);
            self.commits.pop_front();
        }
        due
    }

    fn flush_when_idle(&mut self) -> Result<()> {
        if self.in_flight == 0 && self.progress.flushed < self.progress.committed {
            let due = self.flush_before();
            if due > self.progress.flushed {
                let last = self.progress.committed;
                self.send(Vec::new(), Vec::new(), last, false, due, ApplyMode::New)?;
            }
        }
        Ok(())
    }

    fn drain(mut self, mut set_aside: SetAside) -> Result<()> {
        self.settle()?;
        // What rows lack stays in blocks.
        if self.progress.flushed < self.progress.committed && !self.shared.is_out_of_time() {
            let last = self.progress.committed;
            self.send(Vec::new(), Vec::new(), last, false, Seq::MAX, ApplyMode::New)?;
        }
        set_aside.look(&self.shared.plan().sources, &self.progress.ledgers, true);
        self.settle()
    }

    fn partitions(&self) -> Vec<PartitionProgress> {
        let sources = &self.shared.plan().sources;
        let of_state = |((source, partition), state): (&(usize, Partition), &PartitionState)| PartitionProgress {
            source: sources[*source].name.clone(),
            partition: partition.0,
            next: state.next.0,
            frontier: state.admission.frontier.map(|time| time.0),
            idle_since: state.idle_since,
        };
        let mut partitions: Vec<PartitionProgress> = self.states.iter().map(of_state).collect();
        // Sources that are not declared today keep their place, in case they come back.
        let known = |partition: &&PartitionProgress| !sources.iter().any(|source| source.name == partition.source);
        partitions.extend(self.progress.partitions.iter().filter(known).cloned());
        partitions
    }

    fn move_readings(&mut self) {
        for ((source, partition), state) in &self.states {
            if let Some(reading) = self.readings.get_mut(&self.shared.plan().sources[*source].name) {
                let own = PartitionReading { last: state.last, unlearnt: state.admission.unlearnt };
                reading.partitions.insert(partition.0, own);
            }
        }
    }

    fn applied_partitions(&self) -> BTreeMap<(usize, Partition), (Offset, Option<EventTime>)> {
        self.states.iter().map(|(key, state)| (*key, (state.next, state.admission.frontier))).collect()
    }

    /// Sets aside partitions that fell silent while others of their source went on: also those of which nothing can be
    /// read, because retention or a transaction took what they held.
    fn set_idle(&mut self) {
        for (source, awaited) in self.shared.awaited.iter().enumerate() {
            for partition in awaited.lock().keys() {
                self.states.entry((source, *partition)).or_insert_with(PartitionState::new);
            }
        }
        partition::set_idle(&mut self.states, &self.shared.plan().sources, self.progress.committed);
    }

    /// Notes which partitions open intervals of drift wait for; what the commit has to remember of it for a replay.
    fn await_partitions(&mut self) -> Option<Vec<(String, Vec<u32>)>> {
        if self.patience.is_empty() {
            return None;
        }
        let sources = &self.shared.plan().sources;
        let of_source = |source: usize| {
            let patience = self.patience.get(&source)?;
            Some(awaited(&known(&self.states, source, &self.shared.ends[source].lock()), *patience))
        };
        let awaited: Vec<Vec<Partition>> = (0..sources.len()).map(|source| of_source(source).unwrap_or_default()).collect();
        if awaited == *self.awaited {
            return None;
        }
        let named = |(source, partitions): (&crate::plan::Source, &Vec<Partition>)| {
            (source.name.clone(), partitions.iter().map(|partition| partition.0).collect())
        };
        let named = sources.iter().zip(&awaited).map(named).collect();
        self.awaited = Arc::new(awaited);
        Some(named)
    }

    /// The earliest time that lookups may ask for follows the lowest frontier, and never goes back.
    fn move_horizons(&mut self) {
        for (source, horizon) in self.horizons.iter_mut().enumerate() {
            let lowest = partition::lowest_frontier(&self.states, source, &self.shared.awaited[source].lock());
            if let Some(lowest) = lowest {
                *horizon = (*horizon).max(lowest.minus(self.shared.plan().sources[source].history));
            }
        }
    }
}

fn applier_gone() -> Error {
    Error::internal("the applier's thread has ended; see the log for its panic")
}
