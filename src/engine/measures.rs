//! The handles of every metric series that follows from the plan, created at the start. Each series is there at zero before
//! anything happens. Must never look a label up for an event.

use std::sync::Arc;

use crate::decode::reason;
use crate::engine::handle::problems::Kind;
use crate::engine::intake::partition::REFUSED_RETRACTIONS;
use crate::online::{TOO_FAR_AHEAD, TOO_LATE};
use crate::plan::{Plan, Source};
use crate::telemetry::{Counter, Gauge, Histogram, Metrics, names};

pub struct Measures {
    /// One for each source.
    pub sources: Vec<OfSource>,
    /// For each view the events that it skipped because a key was null.
    pub without_key: Vec<Counter>,
    /// One for each vector.
    pub vectors: Vec<OfVector>,
    /// One for each model.
    pub models: Vec<OfModel>,
    /// One for each shard.
    pub shards: Vec<OfShard>,
    pub commits: Counter,
    pub commit_seconds: Histogram,
    pub apply_seconds: Histogram,
    pub committed: Gauge,
    pub unscored: Gauge,
    pub state_loads: Counter,
    pub state_flushes: Counter,
    pub offline_errors: Counter,
    pub tidied: Gauge,
    pub offline_bytes: Gauge,
    pub clock_step: Gauge,
    pub clock_steps_ahead: Counter,
    pub clock_steps_back: Counter,
}

pub struct OfSource {
    pub records: Counter,
    pub bytes: Counter,
    pub log_errors: Counter,
    pub event_time_ahead: Gauge,
}

pub struct OfVector {
    pub rows: Counter,
    pub seconds: Histogram,
}

pub struct OfModel {
    pub scored: Counter,
    pub failed: Counter,
    pub row_seconds: Histogram,
    pub drift_alerts: Counter,
    pub drift_late_rows: Counter,
}

pub struct OfShard {
    pub bytes: Gauge,
    pub keys: Gauge,
}

impl Measures {
    pub fn new(metrics: &Arc<Metrics>, plan: &Plan, shards: usize) -> Self {
        for kind in Kind::ALL {
            metrics.set(names::PROBLEMS, &[("kind", kind.name())], 0.0);
        }
        for model in &plan.models {
            let topics = model.score.iter().map(|score| &score.topic).chain(model.watch.iter().map(|watch| &watch.topic));
            topics.for_each(|topic| drop(metrics.counter(names::OUTPUTS_PUBLISHED, &[("topic", topic)])));
        }
        let of_shard = |shard: usize| {
            let shard = shard.to_string();
            let labels = [("shard", shard.as_str())];
            OfShard { bytes: metrics.gauge(names::STATE_BYTES, &labels), keys: metrics.gauge(names::STATE_KEYS, &labels) }
        };
        Self {
            sources: plan.sources.iter().map(|source| of_source(metrics, source)).collect(),
            without_key: plan.views.iter().map(|view| metrics.counter(names::EVENTS_WITHOUT_KEY, &[("view", &view.name)])).collect(),
            vectors: plan.vectors.iter().map(|vector| of_vector(metrics, &vector.name)).collect(),
            models: plan.models.iter().map(|model| of_model(metrics, &model.name)).collect(),
            shards: (0..shards).map(of_shard).collect(),
            commits: metrics.counter(names::COMMITS, &[]),
            commit_seconds: metrics.histogram(names::COMMIT_SECONDS, &[]),
            apply_seconds: metrics.histogram(names::APPLY_SECONDS, &[]),
            committed: metrics.gauge(names::COMMITTED_SEQ, &[]),
            unscored: metrics.gauge(names::UNSCORED_EVENTS, &[]),
            state_loads: metrics.counter(names::STATE_LOADS, &[]),
            state_flushes: metrics.counter(names::STATE_FLUSHES, &[]),
            offline_errors: metrics.counter(names::OFFLINE_ERRORS, &[]),
            tidied: metrics.gauge(names::TIDIED, &[]),
            offline_bytes: metrics.gauge(names::DATA_BYTES, &[("part", "offline")]),
            clock_step: metrics.gauge(names::CLOCK_STEP, &[]),
            clock_steps_ahead: metrics.counter(names::CLOCK_STEPS, &[("direction", "ahead")]),
            clock_steps_back: metrics.counter(names::CLOCK_STEPS, &[("direction", "back")]),
        }
    }
}

fn of_source(metrics: &Metrics, source: &Source) -> OfSource {
    let labels = [("source", source.name.as_str())];
    drop(metrics.counter(names::OFFLINE_EVENTS, &labels));
    drop(metrics.counter(names::OUTPUTS_PUBLISHED, &[("topic", &source.dead_letter_topic())]));
    for reason in
        reason::ALL.iter().chain(&[TOO_LATE, TOO_FAR_AHEAD]).chain(source.retracts().then_some(&REFUSED_RETRACTIONS).into_iter().flatten())
    {
        drop(metrics.counter(names::EVENTS_REJECTED, &[("source", &source.name), ("reason", reason)]));
    }
    OfSource {
        records: metrics.counter(names::RECORDS_READ, &labels),
        bytes: metrics.counter(names::RECORD_BYTES_READ, &labels),
        log_errors: metrics.counter(names::LOG_ERRORS, &labels),
        event_time_ahead: metrics.gauge(names::EVENT_TIME_AHEAD, &labels),
    }
}

fn of_vector(metrics: &Metrics, name: &str) -> OfVector {
    let labels = [("vector", name)];
    OfVector { rows: metrics.counter(names::LOOKUP_ROWS, &labels), seconds: metrics.histogram(names::LOOKUP_SECONDS, &labels) }
}

fn of_model(metrics: &Metrics, name: &str) -> OfModel {
    let outcome = |outcome| metrics.counter(names::PREDICTIONS, &[("model", name), ("outcome", outcome)]);
    let labels = [("model", name)];
    OfModel {
        scored: outcome("scored"),
        failed: outcome("failed"),
        row_seconds: metrics.histogram(names::MODEL_SECONDS, &labels),
        drift_alerts: metrics.counter(names::DRIFT_ALERTS, &labels),
        drift_late_rows: metrics.counter(names::DRIFT_LATE_ROWS, &labels),
    }
}
