//! The handle of a running engine: scores, pushes, status; lookups are in `lookup.rs`. Must never wait for the applier.

pub mod after;
pub mod api;
pub mod cut;
pub mod gauges;
pub mod lookup;
pub mod problems;
pub mod readiness;
pub mod summary;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::append::dead_letters::{self, ReplayRequest, Replayed};
use crate::engine::append::push::{Frontiers, push};
use crate::engine::handle::api::{Freshness, LookupAnswer, PushReceipt, ScoreAnswer, SourceReport, Status};
use crate::engine::handle::cut::{Pause, cut};
use crate::engine::handle::gauges::lag;
use crate::engine::handle::problems::Kind;
use crate::engine::output::models::Loaded;
use crate::engine::output::retention;
use crate::engine::shared::{Applied, Shared};
use crate::error::{Error, Result};
use crate::id::Partition;
use crate::log::embedded::Trimmed;
use crate::plan::{Plan, Vector};
use crate::telemetry::Metrics;
use crate::time::{EventTime, IngestTime};

/// A running engine, to ask. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(in crate::engine) shared: Arc<Shared>,
}

impl Handle {
    pub(in crate::engine) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.shared.plan()
    }

    /// What no other start of a process has: requests for this data folder alone carry it.
    #[must_use]
    pub fn run(&self) -> &str {
        self.shared.run.get().map_or("", String::as_str)
    }

    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Copies all that the engine stores, as of one moment, into a folder that is there and empty; not on a thread that others
    /// wait for.
    ///
    /// # Errors
    /// `Conflict` where the engine was opened to read only; `Unavailable` where the disk does not take the copy.
    pub fn copy_into(&self, folder: &Path) -> Result<Pause> {
        self.shared.check()?;
        cut(&self.shared, folder)
    }

    /// The data folder of an engine that writes.
    #[must_use]
    pub fn data(&self) -> Option<&Path> {
        self.shared.offline.get().map(|_| self.shared.folder.as_path())
    }

    /// Says in the status why no checkpoints are made, or that they are again.
    pub fn set_checkpoint_problem(&self, problem: Option<String>) {
        self.shared.set_problem(Kind::Checkpoint, "checkpoints", problem);
    }

    /// Says in the status why the server's port accepts no connection, or that it does again.
    pub fn set_door_problem(&self, problem: Option<String>) {
        self.shared.set_problem(Kind::Door, "http", problem);
    }

    /// The engine's present, microseconds since the epoch.
    #[must_use]
    pub fn now(&self) -> EventTime {
        EventTime(self.shared.clock.now().0)
    }

    /// The scores of the model at this place in the plan, for a lookup of its vector.
    ///
    /// # Errors
    /// Why the model did not load; what is wrong with the first row, when no row could be scored.
    pub fn score(&self, model: usize, lookup: LookupAnswer) -> Result<ScoreAnswer> {
        let loaded = self.shared.models[model].as_ref().map_err(Clone::clone)?;
        let scores = loaded.score_request(&lookup.rows.to_batch()?, &|row| lookup.unread.get(&row).cloned())?;
        ScoreAnswer::new(scores, loaded.version().to_owned(), lookup)
    }

    /// Whether that many rows are scored so fast that nothing need wait for them elsewhere.
    #[must_use]
    pub fn scores_quickly(&self, model: usize, rows: usize) -> bool {
        match &self.shared.models[model] {
            Ok(loaded) => loaded.is_quick(rows),
            Err(_) => true,
        }
    }

    /// Appends records to the log of a source; durable when it returns.
    pub fn push<P: AsRef<[u8]>>(&self, source: &str, payloads: &[P]) -> Result<PushReceipt> {
        let plan = self.plan();
        let Some((index, source)) = plan.source(source) else {
            let known: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
            return Err(Error::not_found(format!("there is no source {source}; there are: {}", known.join(", "))));
        };
        self.shared.check()?;
        push(&self.shared.logs, source, payloads, &mut self.frontiers(index))
    }

    /// The highest event time of each partition of a source, as far as events are applied.
    fn frontiers(&self, source: usize) -> Frontiers {
        let applied = self.shared.applied();
        let of_source = applied.partitions.range((source, Partition(0))..=(source, Partition(u32::MAX)));
        of_source.filter_map(|((_, partition), (_, frontier))| Some((*partition, (*frontier)?))).collect()
    }

    /// Puts dead letters of a source back into its log: those that are events by now, each once.
    ///
    /// # Errors
    /// `NotFound` for an unknown source; those of its log.
    pub fn replay(&self, source: &str, asked: &ReplayRequest) -> Result<Replayed> {
        let plan = self.plan();
        let Some((index, source)) = plan.source(source) else {
            let known: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
            return Err(Error::not_found(format!("there is no source {source}; there are: {}", known.join(", "))));
        };
        self.shared.check()?;
        let _one_at_a_time = self.shared.replaying.lock();
        dead_letters::replay(&self.shared.logs, source, &self.frontiers(index), asked)
    }

    /// Drops what `keep` does not keep of a topic of the embedded log, as far as it was read, and frees its space.
    ///
    /// # Errors
    /// `NotFound` where there is no such topic.
    pub fn trim(&self, topic: &str, before: Option<IngestTime>, bytes: Option<u64>) -> Result<Trimmed> {
        let trimmed = retention::trim(&self.shared, topic, before, bytes)?;
        self.shared.logs.embedded.reclaim()?;
        Ok(trimmed)
    }

    /// The version that each model scores with; `None` for one that did not load.
    pub fn model_versions(&self) -> impl Iterator<Item = Option<&str>> {
        self.shared.models.iter().map(|loaded| loaded.as_ref().ok().map(Loaded::version))
    }

    /// Reads the files of models that changed: not on a thread that others wait for.
    #[must_use]
    pub fn status(&self) -> Status {
        let applied = self.shared.applied();
        Status {
            seq: applied.seq,
            lag_events: (0..self.plan().sources.len()).map(|source| lag(&self.shared, &applied, source)).sum(),
            sources: self.freshness(&applied, |_| true),
            problems: self.shared.problems().into_iter().map(|(_, problem)| problem).collect(),
        }
    }

    /// What became of the records of each source, as of the last commit.
    pub fn sources(&self) -> Result<Vec<SourceReport>> {
        let mut ledgers = self.shared.store.progress()?.ledgers;
        let report = |(freshness, source): (Freshness, &crate::plan::Source)| SourceReport {
            freshness,
            lateness: source.lateness,
            ledger: ledgers.remove(&source.name).unwrap_or_default(),
        };
        Ok(self.freshness(&self.shared.applied(), |_| true).into_iter().zip(&self.plan().sources).map(report).collect())
    }

    /// The earliest time that lookups of a vector may ask for.
    #[must_use]
    pub fn horizon(&self, vector: &Vector) -> EventTime {
        let applied = self.shared.applied();
        let of = |read: &crate::plan::Read| self.plan().views[read.view].rows.horizon(&applied.horizons);
        vector.reads.iter().map(of).max().unwrap_or(EventTime::MIN)
    }

    pub(in crate::engine) fn freshness(&self, applied: &Applied, wanted: impl Fn(usize) -> bool) -> Vec<Freshness> {
        let now = self.now();
        let of = |(index, source): (usize, &crate::plan::Source)| {
            let own = applied.partitions.range((index, Partition(0))..=(index, Partition(u32::MAX)));
            let frontier = own.clone().filter_map(|(_, (_, frontier))| *frontier).min();
            let read: u64 = own.map(|(_, (next, _))| next.0).sum();
            let records_behind = self.shared.known_ends[index].load(Ordering::Relaxed).saturating_sub(read);
            let staleness_ms = frontier.map(|frontier| (now.0.saturating_sub(frontier.0) / 1000).max(0));
            Freshness { source: source.name.clone(), frontier, staleness_ms, records_behind }
        };
        self.plan().sources.iter().enumerate().filter(|(index, _)| wanted(*index)).map(of).collect()
    }
}
