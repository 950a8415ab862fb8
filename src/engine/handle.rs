//! What others hold of a running engine: lookups, scores, pushes, its condition. A lookup reads under the epoch's read
//! guard, so that all of its rows are of one cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::api::{Freshness, LookupAnswer, LookupRequest, LookupRow, PushReceipt, ScoreAnswer, SourceReport, Status};
use super::gauges::lag;
use super::models::Loaded;
use super::push::push;
use super::shard::{NOT_IN_ORDER, ReadAt, shard_of};
use super::shared::{Applied, Shared};
use crate::error::{Error, Result};
use crate::key::append_key_value;
use crate::plan::{Field, Plan, Vector};
use crate::telemetry::Metrics;
use crate::time::EventTime;
use crate::value::{DataType, Value};
use crate::vector;
use crate::window::{Known, read_empty};

/// A running engine, to ask. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.shared.plan()
    }

    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// The engine's present, microseconds since the epoch.
    #[must_use]
    pub fn now(&self) -> EventTime {
        EventTime(self.shared.clock.now().0)
    }

    /// One vector of some rows, all at one cut.
    ///
    /// # Errors
    /// `NotFound` for an unknown vector; `Input` for a missing, unknown or wrongly typed key or request column, and
    /// for a time before the history that is kept; `Unavailable` when `after` does not come in time.
    pub fn lookup(&self, request: &LookupRequest) -> Result<LookupAnswer> {
        let plan = self.plan();
        let Some(index) = plan.vectors.iter().position(|vector| vector.name == request.vector) else {
            let known: Vec<&str> = plan.vectors.iter().map(|vector| vector.name.as_str()).collect();
            return Err(Error::not_found(format!("there is no vector {}; there are: {}", request.vector, known.join(", "))));
        };
        let vector = &plan.vectors[index];
        self.wait_after(request)?;
        let started = Instant::now();
        let answer = self.lookup_of(vector, request)?;
        let measures = &self.shared.measures.vectors[index];
        measures.rows.inc_by(request.rows.len() as u64);
        measures.seconds.record(started.elapsed());
        Ok(answer)
    }

    /// A lookup of a vector over the plan's views that need not be one of the plan's; its name in the request is not looked
    /// at, nor what to wait for.
    pub(crate) fn lookup_of(&self, vector: &Vector, request: &LookupRequest) -> Result<LookupAnswer> {
        let plan = self.plan();
        let q = request.as_of.unwrap_or_else(|| self.now());
        let mut given = Vec::with_capacity(request.rows.len() * vector.request.len());
        let rows = request.rows.iter().map(|row| keys_of(vector, row, q, &mut given)).collect::<Result<Vec<_>>>()?;
        let width = vector::feature_width(vector);
        let mut features = Vec::with_capacity(rows.len() * width);
        let mut unread = BTreeMap::new();
        let applied = {
            let _guard = self.shared.epoch.read();
            let applied = self.shared.applied();
            self.check_history(vector, &applied, q)?;
            let mut key = Vec::new();
            for (row, keys) in rows.iter().enumerate() {
                for read in &vector.reads {
                    key.clear();
                    let valid = read.keys.iter().all(|index| append_key_value(&mut key, keys[*index]));
                    if !valid {
                        read_empty(&self.shared.definitions.layouts[read.view], q, &read.features, &mut features);
                        continue;
                    }
                    let hash = xxhash_rust::xxh3::xxh3_64(&key);
                    let shard = self.shared.shards[shard_of(hash, self.shared.shards.len())].read();
                    let at = ReadAt { view: read.view, key: &key, hash, q, current: &[] };
                    if shard.read(&self.shared.definitions, &self.shared.store, &at, &read.features, &mut features)? == Known::NotInOrder {
                        unread.insert(row, Error::unavailable(format!("view {}: {NOT_IN_ORDER}", plan.views[read.view].name)));
                        features.resize((row + 1) * width, Value::Null);
                        break;
                    }
                }
            }
            applied
        };
        if unread.len() == rows.len()
            && let Some(error) = unread.pop_first()
        {
            return Err(error.1);
        }
        let rows = vector::assemble_rows(vector, &features, &given, rows.len())?;
        let is_read = |source| vector.reads.iter().any(|read| plan.views[read.view].rows.branches_of(source).next().is_some());
        let sources = self.freshness(&applied, is_read);
        Ok(LookupAnswer { rows, unread, seq: applied.seq, as_of: q, sources })
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
    pub fn push(&self, source: &str, payloads: &[Vec<u8>]) -> Result<PushReceipt> {
        let plan = self.plan();
        let Some((_, source)) = plan.source(source) else {
            let known: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
            return Err(Error::not_found(format!("there is no source {source}; there are: {}", known.join(", "))));
        };
        self.shared.check()?;
        push(&self.shared.logs, source, payloads)
    }

    /// The version that each model scores with; `None` for one that did not load.
    pub fn model_versions(&self) -> impl Iterator<Item = Option<&str>> {
        self.shared.models.iter().map(|loaded| loaded.as_ref().ok().map(Loaded::version))
    }

    /// Whether state is restored and lookups are answered.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready() && self.shared.check().is_ok() && self.shared.definitions.views_aside().next().is_none()
    }

    /// Reads the files of models that changed: not on a thread that others wait for.
    #[must_use]
    pub fn status(&self) -> Status {
        let applied = self.shared.applied();
        Status {
            ready: self.is_ready(),
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

    fn wait_after(&self, request: &LookupRequest) -> Result<()> {
        if request.after.is_empty() {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for (source, partition, offset) in &request.after {
            let Some((index, _)) = self.plan().source(source) else {
                return Err(Error::not_found(format!("after: there is no source {source}")));
            };
            wanted.push(((index, *partition), *offset));
        }
        self.shared.wait_applied(request.wait, |applied| {
            wanted.iter().all(|(key, offset)| applied.partitions.get(key).is_some_and(|(next, _)| next >= offset))
        })
    }

    fn check_history(&self, vector: &Vector, applied: &Applied, q: EventTime) -> Result<()> {
        for read in &vector.reads {
            let rows = &self.plan().views[read.view].rows;
            let horizon = rows.horizon(&applied.horizons);
            if q < horizon {
                let furthest = rows.sources().find(|source| applied.horizons[*source] == horizon);
                let source = &self.plan().sources[furthest.unwrap_or_default()];
                return Err(Error::input(format!(
                    "as_of {q} is before {horizon}, where the online history of source {} ends (history {}); ask for a training set, which knows all events",
                    source.name, source.history
                )));
            }
        }
        Ok(())
    }

    pub(super) fn freshness(&self, applied: &Applied, wanted: impl Fn(usize) -> bool) -> Vec<Freshness> {
        let now = self.now();
        let of = |(index, source): (usize, &crate::plan::Source)| {
            let frontiers = applied.partitions.iter().filter(|((of, _), _)| *of == index).filter_map(|(_, (_, frontier))| *frontier);
            let frontier = frontiers.min();
            let staleness_ms = frontier.map(|frontier| (now.0.saturating_sub(frontier.0) / 1000).max(0));
            Freshness { source: source.name.clone(), frontier, staleness_ms }
        };
        self.plan().sources.iter().enumerate().filter(|(index, _)| wanted(*index)).map(of).collect()
    }
}

/// A row's keys in the vector's order; its request columns, in their order, go behind `given`.
fn keys_of<'a>(vector: &Vector, row: &'a LookupRow, q: EventTime, given: &mut Vec<Value>) -> Result<Vec<&'a Value>> {
    known(vector, "key", &row.keys, vector.keys.iter())?;
    known(vector, "request column", &row.request, vector.request.iter().map(|request| &request.field))?;
    let key = |field: &Field| match row.keys.iter().find(|(name, _)| *name == field.name) {
        Some((_, value)) => typed(vector, &field.name, &field.data_type, value).map(|()| value),
        None => Err(Error::input(format!("vector {}: the key {} is missing", vector.name, field.name))),
    };
    let keys = vector.keys.iter().map(key).collect::<Result<_>>()?;
    for column in &vector.request {
        given.push(match row.request.iter().find(|(name, _)| *name == column.field.name) {
            Some((name, value)) => {
                typed(vector, &column.field.name, &column.field.data_type, value)?;
                if row.keys.iter().any(|(key, other)| key == name && other != value) {
                    let message = format!("vector {}: {name} has two values, as a key and as a request column", vector.name);
                    return Err(Error::input(message));
                }
                value.clone()
            }
            None if column.is_event_time => Value::Timestamp(q.0),
            // A key column that the vector also shows, or computes with, is given once: as the key.
            None => row.keys.iter().find(|(name, _)| *name == column.field.name).map_or(Value::Null, |(_, value)| value.clone()),
        });
    }
    Ok(keys)
}

/// Refuses names that the vector does not have.
fn known<'a>(vector: &Vector, kind: &str, given: &[(String, Value)], fields: impl Iterator<Item = &'a Field> + Clone) -> Result<()> {
    match given.iter().find(|(name, _)| fields.clone().all(|field| field.name != *name)) {
        Some((name, _)) => {
            let known: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
            Err(Error::input(format!("vector {} has no {kind} {name}; it has: {}", vector.name, known.join(", "))))
        }
        None => Ok(()),
    }
}

fn typed(vector: &Vector, name: &str, data_type: &DataType, value: &Value) -> Result<()> {
    let fits = matches!(
        (data_type, value),
        (_, Value::Null)
            | (DataType::Bool, Value::Bool(_))
            | (DataType::Int, Value::Int(_))
            | (DataType::Float, Value::Float(_))
            | (DataType::Text, Value::Text(_))
            | (DataType::Timestamp, Value::Timestamp(_))
            | (DataType::List(_), Value::List(_))
            | (DataType::Map(_), Value::Map(_))
            | (DataType::Struct(_), Value::Struct(_))
    );
    if fits { Ok(()) } else { Err(Error::input(format!("vector {}: {name} is {data_type}, which this value is not", vector.name))) }
}
