//! Drift of the stream: counts the scored rows of a watched model into intervals of event time, and makes a report of each interval
//! that ends. The counts are committed with the predictions of the rows. Must never see a row without a score.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::drift::{Breach, ColumnDrift, Described, Ended, Intervals, Kind, Measure, Profile, Rows, SCORE, breaches};
use crate::engine::handle::problems;
use crate::engine::intake::batch::{ApplyBatch, Segment};
use crate::engine::output::score::version;
use crate::engine::shared::Shared;
use crate::error::{Error, Result};
use crate::id::{Identity, Partition};
use crate::online::{DriftRow, Output};
use crate::plan::{DriftMetric, Model, Score, Watch};
use crate::record::NewRecord;
use crate::telemetry::names;
use crate::time::EventTime;

/// The open intervals of all watched models.
pub struct Drift {
    watches: BTreeMap<usize, Watching>,
    /// Of each source, the partitions that the work at hand waits for.
    awaited: Arc<Vec<Vec<Partition>>>,
    /// Stored rows that nobody counts on from.
    gone: Vec<DriftRow>,
}

struct Watching {
    measure: Measure,
    intervals: Intervals,
    /// Of the profile's bytes.
    profile: String,
    /// The version of the model that the profile is of.
    profile_model: Option<String>,
    /// The end of the latest interval that was reported: what gauges show.
    newest: EventTime,
}

/// Rows that a model scored.
pub struct Scored<'a> {
    pub model: usize,
    pub segment: &'a Segment,
    /// For each row its place in the segment, rising.
    pub places: &'a [usize],
    pub columns: &'a RecordBatch,
    pub scores: &'a [f64],
}

impl Drift {
    /// Loads the profiles of watched models, and what was counted of their open intervals. A profile that does not load, or
    /// that does not fit, is a problem that the status shows.
    pub fn new(shared: &Shared) -> Result<Self> {
        let mut stored = shared.store.drift()?;
        let progress = shared.store.progress()?;
        let mut watches = BTreeMap::new();
        for (index, model) in shared.plan().models.iter().enumerate() {
            let (Some(watch), Some(score)) = (&model.watch, &model.score) else { continue };
            let about = format!("drift of model {}", model.name);
            let (profile, bytes) = match load_profile(watch) {
                Ok(loaded) => loaded,
                Err(error) => {
                    shared.set_problem(problems::Kind::Drift, &about, Some(error.to_string()));
                    continue;
                }
            };
            let columns = &shared.plan().vectors[model.vector].columns;
            shared.set_problem(problems::Kind::Drift, &about, problem(&profile, watch, columns, version(shared, index)));
            let measure = Measure::new(&profile, columns);
            let profile_sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let identity = Identity::of(&format!("{profile_sha256} {:?} every {}", measure.columns(), watch.every.0));
            let source = &shared.plan().sources[score.source];
            let of_model: Vec<DriftRow> = stored.extract_if(.., |row| row.model == model.name).collect();
            let intervals = match restored(&of_model, watch, source.lateness, identity)? {
                Some(intervals) => intervals,
                None => {
                    if !of_model.is_empty() {
                        tracing::warn!(model = model.name, "drift: the profile or the interval changed: counting begins anew");
                    }
                    // Where nothing was ever scored, all events are still to come.
                    let has_past = progress.scored.0 > 0;
                    let of_source = progress.partitions.iter().filter(|partition| has_past && partition.source == source.name);
                    let frontiers = of_source.filter_map(|of| of.frontier.map(|time| (of.partition, EventTime(time)))).collect();
                    stored.extend(of_model);
                    Intervals::new(watch.every, source.lateness, identity, frontiers)
                }
            };
            let profile_model = profile.origin().map(|origin| origin.model_version.clone());
            watches.insert(index, Watching { measure, intervals, profile: profile_sha256, profile_model, newest: EventTime::MIN });
        }
        let gone = stored.into_iter().map(|row| DriftRow { bytes: None, ..row }).collect();
        Ok(Self { watches, awaited: Arc::default(), gone })
    }

    pub fn begin(&mut self, work: &ApplyBatch) {
        self.awaited = Arc::clone(&work.awaited);
    }

    /// Counts scored rows; reports of what ends with them go into `outputs`.
    pub fn count(&mut self, shared: &Shared, scored: &Scored<'_>, outputs: &mut Vec<Output>) -> Result<()> {
        let Scored { model, segment, places, columns, scores } = *scored;
        let awaited = self.awaited.get(segment.source).map_or(&[][..], Vec::as_slice);
        let Some(watching) = self.watches.get_mut(&model) else { return Ok(()) };
        let rows = Rows { positions: &segment.positions, seqs: &segment.seqs, places, columns, scores };
        let mut ended = Vec::new();
        watching.intervals.count(&watching.measure, version(shared, model), &rows, awaited, &mut ended)?;
        watching.report(shared, model, ended, outputs);
        Ok(())
    }

    /// Passes the rest of a segment's events, those without a score.
    pub fn pass(&mut self, shared: &Shared, model: usize, segment: &Segment, outputs: &mut Vec<Output>) -> Result<()> {
        let awaited = self.awaited.get(segment.source).map_or(&[][..], Vec::as_slice);
        let Some(watching) = self.watches.get_mut(&model) else { return Ok(()) };
        let mut ended = Vec::new();
        watching.intervals.pass(&watching.measure, &segment.positions, &segment.seqs, awaited, &mut ended)?;
        watching.report(shared, model, ended, outputs);
        Ok(())
    }

    /// Ends what a work ends without an event: partitions may not be waited for any more.
    pub fn finish(&mut self, shared: &Shared, outputs: &mut Vec<Output>) -> Result<()> {
        for (model, watching) in &mut self.watches {
            let Some(Score { source, .. }) = &shared.plan().models[*model].score else { continue };
            let awaited = self.awaited.get(*source).map_or(&[][..], Vec::as_slice);
            let mut ended = Vec::new();
            watching.intervals.close(&watching.measure, awaited, &mut ended)?;
            watching.report(shared, *model, ended, outputs);
            let late = watching.intervals.take_late();
            if late > 0 {
                shared.measures.models[*model].drift_late_rows.inc_by(late);
            }
        }
        Ok(())
    }

    /// Rows that differ from what is stored: to be committed with the outputs of what they count.
    pub fn rows(&mut self, shared: &Shared) -> Result<Vec<DriftRow>> {
        let mut rows = std::mem::take(&mut self.gone);
        for (model, watching) in &mut self.watches {
            let model = &shared.plan().models[*model].name;
            let row = |(interval, bytes)| DriftRow { model: model.clone(), interval, bytes };
            rows.extend(watching.intervals.changes()?.into_iter().map(row));
        }
        Ok(rows)
    }
}

impl Watching {
    fn report(&mut self, shared: &Shared, index: usize, ended: Vec<Ended>, outputs: &mut Vec<Output>) {
        let model = &shared.plan().models[index];
        let (Some(watch), Some(score)) = (&model.watch, &model.score) else { return };
        for mut ended in ended {
            let is_of_other = self.profile_model.as_ref().is_some_and(|model| ended.versions.iter().any(|version| version != model));
            if let (true, Some(scores)) = (is_of_other, ended.columns.last_mut()) {
                // Scores of another model are no measure of these.
                *scores = ColumnDrift { psi: None, ks: None, ks_p_value: None, reference: None, kind: Kind::Uncounted, ..scores.clone() };
            }
            let breaches = breaches(&ended.columns, &watch.alerts);
            if ended.to >= self.newest {
                self.newest = ended.to;
                show(shared, model, &ended);
            }
            if !breaches.is_empty() {
                let named: Vec<String> = breaches.iter().map(described_breach).collect();
                tracing::warn!(model = model.name, interval = %ended.from, revision = ended.revision, "drift: {}", named.join(", "));
                shared.measures.models[index].drift_alerts.inc();
            }
            let header = |name: &str, value: String| (format!("forebay.{name}"), value.into_bytes());
            let record = NewRecord {
                topic: watch.topic.clone(),
                partition: None,
                timestamp: Some(shared.clock.now().0),
                key: Some(model.name.clone().into_bytes()),
                value: Some(self.json(model, &ended, &breaches, is_of_other).to_string().into_bytes()),
                headers: vec![
                    header("model", model.name.clone()),
                    header("interval", ended.from.to_string()),
                    header("revision", ended.revision.to_string()),
                ],
            };
            outputs.push(Output { system: shared.plan().sources[score.source].origin.system, record });
        }
    }

    fn json(&self, model: &Model, ended: &Ended, breaches: &[Breach], is_of_other: bool) -> Json {
        let columns = ended.columns.iter().map(|column| {
            let shown = |described: &Option<Described>| described.as_ref().map_or(Json::Null, |described| shown(described, column.kind));
            let described = shown(&column.described);
            let own = breaches.iter().filter(|breach| breach.column == column.column);
            let own: Vec<Json> =
                own.map(|breach| json!({"metric": breach.metric.name(), "value": breach.value, "threshold": breach.threshold})).collect();
            json!({
                "column": column.column, "count": column.count, "psi": column.psi, "ks": column.ks, "ks_p_value": column.ks_p_value,
                "missing_rate": column.missing_rate, "missing_rate_reference": column.missing_rate_reference,
                "mean": described["mean"], "min": described["min"], "max": described["max"], "deciles": described["deciles"],
                "breach": !own.is_empty(), "breaches": own, "reference": shown(&column.reference),
            })
        });
        let columns: Vec<Json> = columns.collect();
        let unwatched: Vec<&str> = self.measure.unwatched().iter().map(String::as_str).chain(is_of_other.then_some(SCORE)).collect();
        let mut report = json!({
            "model": model.name, "version": ended.versions.last(), "profile": self.profile, "profile_model": self.profile_model,
            "from": ended.from.to_string(), "to": ended.to.to_string(), "revision": ended.revision, "complete": ended.is_complete,
            "first_seq": ended.first.0, "last_seq": ended.last.0, "rows": ended.rows, "rows_too_late": ended.rows_too_late,
            "alert": !breaches.is_empty(), "unwatched": unwatched, "columns": columns,
        });
        if ended.versions.len() > 1 {
            report["versions"] = json!(ended.versions);
        }
        report
    }
}

fn restored(rows: &[DriftRow], watch: &Watch, lateness: crate::time::Span, identity: Identity) -> Result<Option<Intervals>> {
    let head = rows.iter().find(|row| row.interval.is_none()).and_then(|row| row.bytes.as_deref());
    let Some(head) = head else { return Ok(None) };
    let intervals = rows.iter().filter_map(|row| Some((row.interval?, row.bytes.clone()?))).collect();
    Intervals::restore(watch.every, lateness, identity, head, intervals)
}

fn load_profile(watch: &Watch) -> Result<(Profile, Vec<u8>)> {
    let path = watch.profile.display();
    let json = std::fs::read(&watch.profile)
        .map_err(|error| Error::not_found(format!("no profile in {path} ({error}); make one with `forebay models profile`")))?;
    Ok((Profile::parse(&json)?, json))
}

/// Why what is measured is less, or other, than it seems.
fn problem(profile: &Profile, watch: &Watch, columns: &[crate::plan::VectorColumn], version: &str) -> Option<String> {
    let mut found: Vec<String> = profile.misfits(columns).iter().map(ToString::to_string).collect();
    if let Some(origin) = profile.origin().filter(|origin| !version.is_empty() && origin.model_version != version) {
        found.push(format!("its scores are of the model {}, and {} scores", short(&origin.model_version), short(version)));
    }
    let path = watch.profile.display();
    (!found.is_empty())
        .then(|| format!("the profile {path} does not fit: {}; make it again with `forebay models profile`", found.join("; ")))
}

/// So much of a hash tells it apart.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn show(shared: &Shared, model: &Model, ended: &Ended) {
    for column in &ended.columns {
        for (metric, value) in
            [(DriftMetric::Psi, column.psi), (DriftMetric::Ks, column.ks), (DriftMetric::MissingRate, Some(column.missing_rate))]
        {
            if let Some(value) = value {
                let labels = [("model", model.name.as_str()), ("column", &column.column), ("metric", metric.name())];
                shared.metrics.set(names::DRIFT, &labels, value);
            }
        }
    }
}

fn described_breach(breach: &Breach) -> String {
    let metric = breach.metric.name();
    match breach.value {
        Some(value) => format!("{} ({metric} {value:.3})", breach.column),
        None => format!("{} ({metric}: values here or in the reference alone)", breach.column),
    }
}

/// Numbers as they are, times as times.
fn shown(described: &Described, kind: Kind) -> Json {
    let one = |value: f64| match kind {
        Kind::Times => json!(EventTime(value as i64).to_string()),
        _ => json!(value),
    };
    let deciles: Vec<Json> = described.deciles.iter().map(|decile| one(*decile)).collect();
    json!({"mean": one(described.mean), "min": one(described.min), "max": one(described.max), "deciles": deciles})
}
