//! What the threads and handles of the engine share. The state is behind one lock for each slot of a view, and one guard over all
//! of them, which is taken to write where the next cut begins. Must never show a lookup half a commit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use crate::config::ReadyWhen;
use crate::engine::commit::recent::Recent;
use crate::engine::handle::problems::{Kind, Problems};
use crate::engine::intake::accept::IdColumns;
use crate::engine::intake::batch::id_columns;
use crate::engine::intake::budget::Intake;
use crate::engine::logs::Logs;
use crate::engine::measures::Measures;
use crate::engine::output::models::Loaded;
use crate::engine::output::outbox::Outbox;
use crate::engine::output::retention::Kept;
use crate::engine::state::shard::Shard;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Identity, Offset, Partition, Seq};
use crate::online::Store;
use crate::plan::{Contents, Plan, View};
use crate::telemetry::Metrics;
use crate::time::{Clock, EventTime, Span};
use crate::window::Layout;

/// A plan with what the engine derives from it once.
pub struct Definitions {
    pub plan: Arc<Plan>,
    pub layouts: Vec<Layout>,
    /// How long raw events are needed beyond the horizon, for each view.
    pub window_max: Vec<Span>,
    /// One for each source.
    pub id_columns: Vec<IdColumns>,
    pub shards: usize,
    /// What the key states of one shard may take in memory.
    pub shard_bytes_max: usize,
    /// For each view, why it is set aside, where it is.
    aside: Vec<OnceLock<Error>>,
}

impl Definitions {
    pub fn new(plan: Arc<Plan>, shards: usize, state_bytes_max: usize) -> Self {
        let layouts = plan.views.iter().map(Layout::new).collect();
        let window_max = plan.views.iter().map(View::window_max).collect();
        let id_columns = id_columns(&plan);
        let aside = plan.views.iter().map(|_| OnceLock::new()).collect();
        Self { plan, layouts, window_max, id_columns, shards, shard_bytes_max: state_bytes_max / shards.max(1), aside }
    }

    /// Why nothing of a view is read or folded any more, where that is so.
    pub fn aside(&self, view: usize) -> Option<&Error> {
        self.aside[view].get()
    }

    /// The views that are set aside, each with the reason.
    pub fn views_aside(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.aside.iter().enumerate().filter_map(|(view, aside)| Some((view, aside.get()?)))
    }

    /// What a failure to read a view's rows means: where they are damaged, the view is set aside from here on, and only it, since
    /// what its other rows hold from now on would lack what cannot be taken in.
    pub fn failed(&self, view: usize, error: Error) -> Error {
        if error.kind() != ErrorKind::Corrupt {
            return error;
        }
        let name = &self.plan.views[view].name;
        let aside = || {
            Error::unavailable(format!(
                "the stored state of view {name} is damaged: nothing of it is answered until it is built again; stop the server and run \
                 `forebay rebuild state` ({error})"
            ))
        };
        self.aside[view].get_or_init(aside).clone()
    }
}

/// What the rows of each of a plan's views hold.
pub fn contents_of(plan: &Plan) -> Vec<(Identity, Contents)> {
    plan.views.iter().map(|view| (view.id, Contents::of(view, &plan.sources))).collect()
}

/// How far the state that lookups see has come.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The work that made this cut.
    pub work: u64,
    pub seq: Seq,
    /// For each source and partition the offset after the last record that is in, and the frontier.
    pub partitions: BTreeMap<(usize, Partition), (Offset, Option<EventTime>)>,
    /// For each source, the earliest time that lookups may ask for.
    pub horizons: Vec<EventTime>,
}

/// How long after a lookup others are reckoned with.
const LOOKUPS_GO_ON: Duration = Duration::from_secs(10);
const NEVER: u64 = u64::MAX;

/// See `Shared::gather`.
pub struct Gather<'a>(&'a AtomicUsize);

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the settings bound.
pub struct Bounds {
    pub intake: Arc<Intake>,
    /// What topics keep.
    pub kept: Kept,
}

/// How long what was begun may take to end once the engine stops; what is left then goes on at the next start.
const STOP_WAIT: Duration = Duration::from_secs(3);

pub struct Shared {
    /// Only where the engine writes.
    pub offline: OnceLock<Arc<crate::offline::Store>>,
    pub bounds: Bounds,
    pub definitions: Arc<Definitions>,
    pub store: Store,
    pub logs: Logs,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub measures: Measures,
    /// The data folder.
    pub folder: PathBuf,
    /// What Parquet holds, by the drain.
    pub offline_upto: AtomicU64,
    pub outbox: Outbox,
    /// What Parquet may lack of the last commits.
    pub recent: Recent,
    /// When the sizes of views were last asked for.
    pub views_sized: Mutex<Option<Instant>>,
    /// Held to read by lookups: the cut stays what it is. Held to write to go over to the next one.
    pub epoch: RwLock<()>,
    pub shards: Vec<Shard>,
    /// Long lookups that take what they need out of the state now. While there are some, small ones pass a cut that waits.
    pub gathers: AtomicUsize,
    /// When a lookup came last, in milliseconds from `started`; `NEVER` before the first.
    last_lookup: AtomicU64,
    pub started: Instant,
    /// For each vector what reading a key of many events took lately, in nanoseconds.
    pub slow_reads: Vec<AtomicU64>,
    /// One per model; a model that did not load says why.
    pub models: Vec<Result<Loaded>>,
    /// What no other start of a process has; empty where the folder is open to read.
    pub run: OnceLock<String>,
    applied: Mutex<Arc<Applied>>,
    applied_more: Condvar,
    /// The same for those who wait without a thread: changes with every cut, and when the engine ends.
    pub cuts: watch::Sender<()>,
    problems: Problems,
    /// The error that ended the engine.
    failed: OnceLock<Error>,
    stopping: AtomicBool,
    /// Whether the clock was set ahead lately: by it everything is old.
    clock_is_ahead: AtomicBool,
    /// Since when it is asked to stop.
    stop_asked: OnceLock<Instant>,
    ready: AtomicBool,
    pub ready_when: ReadyWhen,
    /// For each source where its partitions with records ended when its reading began.
    pub starts: Vec<OnceLock<Vec<(Partition, Offset)>>>,
    /// All of that is applied.
    pub caught_up: AtomicBool,
    /// For each source: the partitions that held unread records when their reading began, and where they ended then.
    pub awaited: Vec<Mutex<BTreeMap<Partition, Offset>>>,
    /// For each source: where its partitions ended when its log was last asked.
    pub ends: Vec<Mutex<BTreeMap<Partition, Offset>>>,
    /// For each source the sum of the offsets after what is known of its partitions.
    pub known_ends: Vec<AtomicU64>,
    /// Held by who puts dead letters back.
    pub replaying: Mutex<()>,
}

/// What a start brings together.
pub struct Foundation {
    pub definitions: Arc<Definitions>,
    pub store: Store,
    pub logs: Logs,
    pub models: Vec<Result<Loaded>>,
    pub applied: Applied,
    pub bounds: Bounds,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub folder: PathBuf,
    pub outbox: Outbox,
    pub ready_when: ReadyWhen,
}

impl Shared {
    pub fn new(foundation: Foundation) -> Self {
        let Foundation { definitions, store, logs, models, applied, bounds, clock, metrics, folder, outbox, ready_when } = foundation;
        let shards =
            (0..definitions.shards).map(|index| Shard::new(index, definitions.shards, &definitions.plan, &definitions.layouts)).collect();
        let measures = Measures::new(&metrics, &definitions.plan, definitions.shards);
        let slow_reads = definitions.plan.vectors.iter().map(|_| AtomicU64::new(0)).collect();
        let starts = definitions.plan.sources.iter().map(|_| OnceLock::new()).collect();
        let known_ends = definitions.plan.sources.iter().map(|_| AtomicU64::new(0)).collect();
        let awaited = definitions.plan.sources.iter().map(|_| Mutex::default()).collect();
        let ends = definitions.plan.sources.iter().map(|_| Mutex::default()).collect();
        Self {
            offline: OnceLock::new(),
            bounds,
            definitions,
            store,
            logs,
            clock,
            metrics,
            measures,
            folder,
            offline_upto: AtomicU64::new(0),
            outbox,
            recent: Recent::default(),
            views_sized: Mutex::new(None),
            epoch: RwLock::new(()),
            shards,
            gathers: AtomicUsize::new(0),
            last_lookup: AtomicU64::new(NEVER),
            started: Instant::now(),
            slow_reads,
            models,
            run: OnceLock::new(),
            applied: Mutex::new(Arc::new(applied)),
            applied_more: Condvar::new(),
            cuts: watch::Sender::new(()),
            problems: Problems::default(),
            failed: OnceLock::new(),
            stopping: AtomicBool::new(false),
            clock_is_ahead: AtomicBool::new(false),
            stop_asked: OnceLock::new(),
            ready: AtomicBool::new(false),
            ready_when,
            starts,
            caught_up: AtomicBool::new(false),
            awaited,
            ends,
            known_ends,
            replaying: Mutex::default(),
        }
    }

    pub fn plan(&self) -> &Plan {
        &self.definitions.plan
    }

    /// Called under the epoch's write guard, so that a lookup that holds the epoch reads the state's own cut.
    pub fn publish_applied(&self, applied: Applied) {
        *self.applied.lock() = Arc::new(applied);
        self.applied_more.notify_all();
        self.cuts.send_replace(());
    }

    /// A lookup came: works are applied so that others need not wait.
    pub fn lookup_came(&self) {
        self.last_lookup.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether more lookups are likely to come.
    pub fn lookups_come(&self) -> bool {
        let last = self.last_lookup.load(Ordering::Relaxed);
        last != NEVER && (self.started.elapsed().as_millis() as u64).saturating_sub(last) < LOOKUPS_GO_ON.as_millis() as u64
    }

    /// Notes a long lookup that takes out what it needs, until this is dropped. Under the guard.
    pub fn gather(&self) -> Gather<'_> {
        self.gathers.fetch_add(1, Ordering::SeqCst);
        Gather(&self.gathers)
    }

    pub fn applied(&self) -> Arc<Applied> {
        Arc::clone(&self.applied.lock())
    }

    pub fn applied_seq(&self) -> Seq {
        self.applied.lock().seq
    }

    /// Waits until `enough` holds of what is applied; `Unavailable` after `wait` or when the engine has ended.
    pub fn wait_applied(&self, wait: Duration, enough: impl Fn(&Applied) -> bool) -> Result<()> {
        let mut applied = self.applied.lock();
        let mut left = wait;
        let step = Duration::from_millis(50);
        while !enough(&applied) {
            self.check()?;
            if self.is_stopping() {
                return Err(Error::unavailable("the engine stops; ask again when it runs"));
            }
            if left.is_zero() {
                return Err(Error::unavailable(format!(
                    "the events to wait for were not applied within {} ms; ask again",
                    wait.as_millis()
                )));
            }
            let slice = left.min(step);
            if self.applied_more.wait_for(&mut applied, slice).timed_out() {
                left -= slice;
            }
        }
        Ok(())
    }

    /// Says that something does not work, or (`None`) that it does again.
    pub fn set_problem(&self, kind: Kind, about: &str, problem: Option<String>) {
        self.problems.set(kind, about, problem);
    }

    /// What does not work now. Reads the files of models that changed: not on a thread that others wait for.
    pub fn problems(&self) -> Vec<(Kind, String)> {
        let mut problems = self.problems.list();
        problems.extend(self.check().err().map(|error| (Kind::Engine, error.to_string())));
        for (model, loaded) in self.plan().models.iter().zip(&self.models) {
            let problem = match loaded {
                Ok(loaded) => loaded.file_changed(),
                Err(error) => Some(error.to_string()),
            };
            problems.extend(problem.map(|problem| (Kind::Model, format!("model {}: {problem}", model.name))));
        }
        problems
    }

    /// Ends the engine with the first error that it cannot go on after.
    pub fn fail(&self, error: Error) {
        if self.failed.set(error.clone()).is_ok() {
            tracing::error!("the engine stops: {error}");
        }
        self.stop();
    }

    /// The error that ended the engine, as one that a caller can act on.
    pub fn check(&self) -> Result<()> {
        if let Some(error) = self.logs.embedded.broken()
            && self.failed.get().is_none()
        {
            self.fail(error.clone());
        }
        match self.failed.get() {
            Some(error) if error.kind() == ErrorKind::Unavailable => Err(error.clone()),
            Some(error) => Err(error.clone().context("the engine has stopped")),
            None => Ok(()),
        }
    }

    pub fn set_clock_is_ahead(&self, ahead: bool) {
        self.clock_is_ahead.store(ahead, Ordering::Relaxed);
    }

    pub fn is_clock_ahead(&self) -> bool {
        self.clock_is_ahead.load(Ordering::Relaxed)
    }

    pub fn stop(&self) {
        let _ = self.stop_asked.set(Instant::now());
        self.stopping.store(true, Ordering::SeqCst);
        self.cuts.send_replace(());
    }

    /// Whether stopping has taken so long that what is not done yet is left to the next start.
    pub fn is_out_of_time(&self) -> bool {
        self.stop_asked.get().is_some_and(|asked| asked.elapsed() > STOP_WAIT)
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
}
