//! The only loop: records in, commits out. Everything that runs concurrently runs here. Must never leak a wire type inwards.
//!
//! ```text
//! reader (one per source)  poll, decode, evaluate expressions and keys       intake/reader.rs, batch.rs
//! committer                accept events, number them, make them durable     intake/partition.rs, accept.rs, commit/committer.rs
//! applier, shards          fold events, read the features of scored events   state/apply.rs, shard.rs
//! applier                  vectors, models, predictions, drift               output/score.rs, drift.rs, models.rs
//! committer                outputs and changed rows go with the next commit  commit/committer.rs
//! publisher, drain         outbox to topics, blocks to Parquet               output/publish.rs, drain.rs
//! tables                   files of tables to their logs                     append/tables.rs
//! handles                  lookups, scores, status                           handle/
//! pushes, replays          records and dead letters to the logs              append/push.rs, dead_letters.rs
//! ```

#![expect(clippy::disallowed_methods, reason = "the engine measures how long its own steps take")]

mod append;
mod commit;
mod handle;
mod intake;
mod logs;
mod measures;
mod output;
mod shared;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;

pub use append::appender::{Appender, push_without_engine};
pub use append::dead_letters::{DeadLetter, DeadLetters, Ends, ReplayRequest, Replayed};
pub use append::push::Rehearsal;
pub use commit::recover::events;
pub use handle::Handle;
pub use handle::after::WAIT_MAX;
pub use handle::api::{
    Freshness, LookupAnswer, LookupRequest, LookupRow, Misplaced, PushReceipt, Readiness, ScoreAnswer, SourceReport, Status, TooLate,
    Waiting,
};
pub use handle::cut::Pause;
pub use handle::lookup::Tried;
pub use handle::summary::{SourceSummary, Summary};
pub use intake::reaccept::accepted_again;
pub use output::retention::trim_without_engine;

use commit::committer::{Committer, Ports};
use logs::Logs;
use shared::Shared;
use state::apply::spawn;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::folder::{Folder, Stored, Written};
use crate::id::{Offset, Partition};
use crate::log::embedded;
use crate::online::Store;
use crate::plan::{Plan, Vector};
use crate::record::System;
use crate::telemetry::Metrics;
use crate::time::Clock;

/// Batches of one source that may wait for the committer.
const INCOMING_MAX: usize = 4;
/// How long none of the outputs may be published once every event is applied.
const FOLLOW_WAIT: Duration = Duration::from_mins(10);
/// How long threads may take to end, which look at the time themselves a little before.
const STOP_WAIT: Duration = Duration::from_secs(4);
/// How long the drain may take after all others before what it does to the log is ended.
const DRAIN_WAIT: Duration = Duration::from_secs(1);
/// How often it is looked whether a thread has ended.
const LOOK: Duration = Duration::from_millis(2);

/// A running engine. Stop it with `stop`; dropping it stops it too, without saying how that went.
pub struct Engine {
    shared: Arc<Shared>,
    offline: Arc<crate::offline::Store>,
    running: Mutex<Option<Running>>,
    began: handle::summary::Began,
    /// What is waited for: the places that partitions have to reach.
    wanted: Mutex<Vec<((usize, Partition), Offset)>>,
    /// Open to write for as long as the engine is there.
    folder: Folder,
}

/// Threads in the order in which they end.
struct Running {
    readers: Vec<JoinHandle<()>>,
    committer: JoinHandle<()>,
    appliers: Vec<JoinHandle<()>>,
    publisher: JoinHandle<()>,
    drain: JoinHandle<()>,
    /// Closing it ends the drain.
    drain_stop: Sender<()>,
}

impl Engine {
    /// Restores the state of the data folder, and starts to read the sources of the plan. `definitions` is the text
    /// that the plan was made from: it is recorded with the `seq` from which on it is in force.
    ///
    /// # Errors
    /// `Conflict` when another process uses the data folder, `Unavailable` when the disk does not take it, `Corrupt`
    /// when it holds what cannot be read, `Input` when stored events do not fit the definitions.
    pub fn start(config: &Config, plan: Plan, definitions: &str, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Result<Self> {
        let Written { folder, log: embedded, online: store, offline } = Written::open(&config.data, &plan.sources, Arc::clone(&clock))?;
        let offline = Arc::new(offline);
        refuse(&commit::adopt::objections(Some(&store), &offline, &plan, None)?)?;
        let logs = Logs::new(config, &plan, embedded);
        for source in plan.sources.iter().filter(|source| source.origin.system == System::Embedded) {
            logs.make(&source.origin)?;
        }
        commit::adopt::adopt(&store, &offline, &plan)?;
        let models = output::models::load(&plan);
        let (shared, restored) = commit::recover::restore(config, plan, store, logs, models, Arc::clone(&clock), metrics)?;
        let _ = shared.offline.set(Arc::clone(&offline));
        shared.offline_upto.store(offline.upto().0, Ordering::Release);
        let _ = shared.run.set(folder.run().to_owned());

        let began = handle::summary::Began::new(&restored.progress, &shared.applied());
        let (incoming_sender, incoming) = bounded(INCOMING_MAX);
        let (tasks, task_receiver) = bounded(2);
        let (done_sender, done) = bounded(4);
        let (published, wake) = bounded(1);
        let appliers = state::apply::start(&shared, task_receiver, done_sender)?;
        let ports = Ports {
            incoming,
            tasks,
            done,
            published,
            batch_events_max: config.batch_events_max,
            commit_interval: config.commit_interval,
            flush_interval: config.flush_interval,
        };
        let mut committer = Committer::new(Arc::clone(&shared), ports, restored);
        commit::recover::catch_up(&shared, &offline, &mut committer, definitions)?;

        let mut loader = append::tables::Loader::default();
        loader.look(&shared);
        let applied = shared.applied();
        let mut readers = Vec::new();
        for source in 0..shared.plan().sources.len() {
            let (owned, applied, incoming) = (Arc::clone(&shared), applied.clone(), incoming_sender.clone());
            let (batch_max, last) = (config.batch_events_max, committer.last_read(source));
            let read = move || intake::reader::read(&owned, source, &applied, last, batch_max, &incoming);
            readers.push(spawn(&shared, format!("reader-{source}"), read)?);
        }
        if shared.plan().sources.iter().any(|source| source.files.is_some()) {
            let owned = Arc::clone(&shared);
            readers.push(spawn(&shared, "tables".to_owned(), move || loader.run(&owned))?);
        }
        drop(incoming_sender);
        let committer = {
            let owned = Arc::clone(&shared);
            spawn(&shared, "committer".to_owned(), move || match committer.run() {
                Err(error) if owned.is_out_of_time() => tracing::info!("stopping: {error}"),
                Err(error) => owned.fail(error),
                Ok(()) => {}
            })?
        };
        let publisher = {
            let owned = Arc::clone(&shared);
            spawn(&shared, "publisher".to_owned(), move || output::publish::publish(&owned, &wake))?
        };
        let (drain_stop, stop) = bounded(0);
        let drain = {
            let (owned, offline, interval) = (Arc::clone(&shared), Arc::clone(&offline), config.offline_interval);
            spawn(&shared, "drain".to_owned(), move || output::drain::drain(&owned, &offline, interval, &stop))?
        };
        let running = Running { readers, committer, appliers, publisher, drain, drain_stop };
        Ok(Self { shared, offline, running: Mutex::new(Some(running)), began, wanted: Mutex::default(), folder })
    }

    /// Opens the state of a data folder as of its last commit, to look vectors up only: nothing is read from logs, nothing is
    /// written, no model is loaded. Works beside a process that writes.
    ///
    /// # Errors
    /// `NotFound` when the folder holds no state; those of `open_rows`.
    pub fn open_read_only(config: &Config, plan: Plan, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Result<Handle> {
        let Events { store, log, .. } = open_rows(config, &plan)?;
        let logs = Logs::new(config, &plan, log);
        let unloaded = |model: &crate::plan::Model| Err(Error::internal(format!("model {} is not loaded to look vectors up", model.name)));
        let models = plan.models.iter().map(unloaded).collect();
        let (shared, restored) = commit::recover::restore(config, plan, store, logs, models, clock, metrics)?;
        commit::recover::apply_in_memory(&shared, restored)?;
        shared.set_ready();
        shared.nothing_to_catch_up();
        Ok(Handle::new(shared))
    }

    /// The data folder that the engine has open to write.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// Waits until everything that the logs hold now is applied, scored, published and in Parquet.
    ///
    /// # Errors
    /// What stopped the engine, where something did; `Unavailable` when a log cannot be reached.
    pub fn wait_until_caught_up(&self) -> Result<()> {
        let mut wanted: Vec<((usize, Partition), Offset)> = Vec::new();
        for (index, source) in self.shared.plan().sources.iter().enumerate() {
            let mut reader = self.shared.logs.reader(&source.origin)?;
            let applied = self.shared.applied();
            for (partition, end) in reader.ends()? {
                if let Some((next, _)) = applied.partitions.get(&(index, partition)).filter(|(next, _)| *next > end) {
                    let (name, topic, number) = (&source.name, source.topic(), partition.0);
                    return Err(Error::conflict(format!(
                        "source {name}: topic {topic} partition {number} ends at {} and was read up to {}: it was replaced by another of that \
                         name; give the source a new name to read it from its start, bring the old topic back, or choose another data folder",
                        end.0, next.0
                    )));
                }
            }
            wanted.extend(reader.record_ends()?.into_iter().map(|(partition, end)| ((index, partition), end)));
        }
        self.wanted.lock().clone_from(&wanted);
        // A reader looks first whether the log still is the one that was read: without it, nothing is known to be caught up with.
        self.shared.wait_applied(Duration::MAX, |applied| {
            let has_begun = self.shared.starts.iter().all(|start| start.get().is_some());
            has_begun && wanted.iter().all(|(key, end)| applied.partitions.get(key).is_some_and(|(next, _)| next >= end))
        })?;
        let target = self.shared.applied_seq();
        let (mut moved, mut last) = (Instant::now(), None);
        loop {
            self.shared.check()?;
            if self.shared.is_stopping() {
                return Err(Error::unavailable("the engine stops; what is left goes on at the next start"));
            }
            let progress = self.shared.store.progress()?;
            let waiting = self.shared.outbox.waiting();
            if progress.scored >= target && waiting == 0 {
                break;
            }
            if last != Some((progress.scored, waiting)) {
                (moved, last) = (Instant::now(), Some((progress.scored, waiting)));
            }
            if moved.elapsed() > FOLLOW_WAIT {
                return Err(Error::unavailable("outputs are not published; see the problems in the status"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        output::drain::drain_all(&self.shared, &self.offline)?;
        self.shared.check()
    }

    /// The error that ended the engine by itself, where one did.
    pub fn check(&self) -> Result<()> {
        self.shared.check()
    }

    /// Stops reading, makes durable what was read, publishes, writes state and Parquet, and ends every thread, all within ten
    /// seconds: what is left then goes on at the next start, as after a crash.
    pub fn stop(&self) -> Result<()> {
        let Some(running) = self.running.lock().take() else { return Ok(()) };
        self.shared.stop();
        let until = Instant::now() + STOP_WAIT;
        let mut threads = running.readers;
        threads.push(running.committer);
        threads.extend(running.appliers);
        threads.push(running.publisher);
        drop(running.drain_stop);
        let mut ended = Ended::of(threads, until);
        // While the drain writes its last files.
        let flushed = if ended.left.is_empty() { self.shared.store.flush() } else { Ok(()) };
        let drain = running.drain;
        let soon = (Instant::now() + DRAIN_WAIT).min(until);
        while !drain.is_finished() && Instant::now() < soon {
            std::thread::sleep(LOOK);
        }
        if !drain.is_finished() {
            self.shared.logs.embedded.end_background_work();
        }
        ended.and(Ended::of(vec![drain], until));
        if !ended.left.is_empty() {
            tracing::warn!("stopping: still at work are {}; what they do goes on at the next start", ended.left.join(", "));
        }
        if ended.panicked > 0 {
            return Err(Error::internal(format!("{} threads of the engine panicked; see the log", ended.panicked)));
        }
        self.shared.check().and(flushed)
    }
}

/// How threads ended.
#[derive(Default)]
struct Ended {
    panicked: usize,
    /// Those that did not, in time.
    left: Vec<String>,
}

impl Ended {
    fn of(threads: Vec<JoinHandle<()>>, until: Instant) -> Self {
        let mut ended = Self::default();
        for thread in threads {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
            if !thread.is_finished() {
                ended.left.push(thread.thread().name().unwrap_or("one").to_owned());
            } else if thread.join().is_err() {
                ended.panicked += 1;
            }
        }
        ended
    }

    fn and(&mut self, other: Self) {
        self.panicked += other.panicked;
        self.left.extend(other.left);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!("stopping: {error}");
        }
    }
}

/// Why a start over the data folder would refuse these definitions, each with the way out; none where it would not. `former`
/// are the definitions of before, for a folder of a version that did not note what it read.
pub fn objections(config: &Config, plan: &Plan, former: Option<&Plan>) -> Result<Vec<String>> {
    let stored = Stored::open(&config.data, READ_CACHE_BYTES)?;
    commit::adopt::objections(stored.online.as_ref(), &stored.offline, plan, former)
}

/// Of the online store, what is cached of it where it is only read.
const READ_CACHE_BYTES: usize = 64 << 20;

/// What a data folder holds of events and state, open to read.
pub struct Events {
    pub store: Store,
    pub log: embedded::Log,
    pub offline: crate::offline::Store,
}

/// Opens what a data folder holds of events and state, to read only: for definitions that its events go together with.
///
/// # Errors
/// `NotFound` where there is no state; `Conflict` where the parts of the folder do not belong together; `Input` where the
/// events are of other definitions.
pub fn open_events(config: &Config, plan: &Plan) -> Result<Events> {
    let Stored { log, online, offline, .. } = Stored::open(&config.data, READ_CACHE_BYTES)?;
    let (Some(log), Some(store)) = (log, online) else {
        let data = config.data.display();
        return Err(Error::not_found(format!("{data} holds no state yet: run forebay serve, or name the folder with --data")));
    };
    refuse(&commit::adopt::objections(Some(&store), &offline, plan, None)?)?;
    Ok(Events { store, log, offline })
}

/// The same for readers of rows: what they hold must be what these definitions read.
///
/// # Errors
/// `Conflict` where rows are of other definitions; `Input` where the events are.
pub fn open_rows(config: &Config, plan: &Plan) -> Result<Events> {
    let events = open_events(config, plan)?;
    let commit::recover::Rows::Rebuild(views) = commit::recover::compare(&events.store.progress()?.views, plan) else { return Ok(events) };
    let names: Vec<&str> = views.iter().map(|view| plan.views[*view].name.as_str()).collect();
    Err(Error::conflict(format!(
        "the state in {} is not of these definitions: what they need of {} is not in it yet; run `forebay serve --until-caught-up`, or \
         restart the server, which builds it from the events",
        config.data.display(),
        names.join(", ")
    )))
}

/// Refuses what would be answered from events alone, where no start has read what the vector reads as it is declared now: a
/// table with other columns, a source under another name.
///
/// # Errors
/// `Conflict` names the sources, and the way out.
pub fn check_read(config: &Config, plan: &Plan, vector: &Vector, event: Option<usize>) -> Result<()> {
    if !has_state(&config.data) {
        return Ok(());
    }
    let Events { store, log, .. } = open_events(config, plan)?;
    let sources = vector.reads.iter().flat_map(|read| plan.views[read.view].rows.sources()).chain(event).collect();
    let unread = commit::adopt::unread(&store, plan, &log, &sources)?;
    if unread.is_empty() {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "nothing of {} was read yet as it is declared now: run `forebay serve --until-caught-up`, or restart the server, which reads it",
        unread.join(", ")
    )))
}

fn refuse(objections: &[String]) -> Result<()> {
    if objections.is_empty() { Ok(()) } else { Err(Error::input(objections.join("; "))) }
}

/// Whether there is an online store in a data folder.
#[must_use]
pub fn has_state(data: &Path) -> bool {
    data.join("online").join("CURRENT").exists()
}

type PartitionStates = BTreeMap<(usize, Partition), intake::partition::PartitionState>;
