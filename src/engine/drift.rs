//! Drift over the intervals of event time: the rows that a watched model scored are counted, and each interval that ends
//! becomes a report. Must never see a row without a score.

use std::collections::HashMap;
use std::path::Path;

use arrow::record_batch::RecordBatch;

use super::score::version;
use super::shared::{Shared, destination_of};
use super::work::Segment;
use crate::drift::{Observed, Profile, breaches};
use crate::error::{Error, Result};
use crate::id::Seq;
use crate::online::Output;
use crate::plan::{Model, Watch};
use crate::record::NewRecord;
use crate::telemetry::names;
use crate::time::EventTime;

/// The running intervals of all watched models.
pub struct Drift {
    watches: HashMap<usize, Watching>,
}

/// Rows that a model scored.
pub struct Scored<'a> {
    pub model: usize,
    pub segment: &'a Segment,
    /// For each row its place in the segment.
    pub places: &'a [usize],
    pub columns: &'a RecordBatch,
    pub scores: &'a [f64],
}

/// The running interval of one model.
struct Watching {
    observed: Observed,
    /// The interval's number: event time over its length.
    interval: Option<i64>,
    first: Seq,
    last: Seq,
}

impl Drift {
    /// Loads the profiles of watched models; one that does not load is a problem that the status shows.
    pub fn new(shared: &Shared) -> Self {
        let mut watches = HashMap::new();
        for (index, model) in shared.plan().models.iter().enumerate() {
            let Some(watch) = &model.watch else { continue };
            match load_profile(&watch.profile) {
                Ok(profile) => {
                    let observed = Observed::new(&profile);
                    watches.insert(index, Watching { observed, interval: None, first: Seq(0), last: Seq(0) });
                }
                Err(error) => shared.set_problem(&format!("drift of model {}", model.name), Some(error.to_string())),
            }
        }
        Self { watches }
    }

    /// Counts scored rows; what ends with them goes into `outputs`. A failure ends the watch, and is a problem that the
    /// status shows.
    pub fn count(&mut self, shared: &Shared, scored: &Scored<'_>, outputs: &mut Vec<Output>) {
        let model = &shared.plan().models[scored.model];
        let Some(watch) = &model.watch else { return };
        let context = Context { shared, model, model_index: scored.model, watch, source: &shared.plan().sources[scored.segment.source] };
        let times: Vec<EventTime> = scored.places.iter().map(|place| scored.segment.positions[*place].time).collect();
        let seqs: Vec<u64> = scored.places.iter().map(|place| scored.segment.seqs[*place]).collect();
        if let Err(error) = self.watch(&context, scored.columns, scored.scores, &times, &seqs, outputs) {
            self.watches.remove(&scored.model);
            shared.set_problem(&format!("drift of model {}", model.name), Some(error.to_string()));
        }
    }

    /// Counts scored rows into their intervals and reports each interval that an event beyond it ends.
    fn watch(
        &mut self,
        context: &Context<'_>,
        columns: &RecordBatch,
        scores: &[f64],
        times: &[EventTime],
        seqs: &[u64],
        outputs: &mut Vec<Output>,
    ) -> Result<()> {
        let Some(watching) = self.watches.get_mut(&context.model_index) else { return Ok(()) };
        let mut from = 0;
        while from < times.len() {
            let interval = |time: EventTime| time.0.div_euclid(context.watch.every.0.max(1));
            // A late event counts in the running interval: intervals never go back.
            let current = watching.interval.map_or(interval(times[from]), |running| running.max(interval(times[from])));
            if watching.interval.is_some_and(|running| running < current) {
                outputs.push(watching.report(context));
                watching.observed.reset();
                watching.first = Seq(0);
            }
            watching.interval = Some(current);
            let to = (from..times.len()).find(|row| interval(times[*row]) > current).unwrap_or(times.len());
            if watching.first == Seq(0) {
                watching.first = Seq(seqs[from]);
            }
            watching.last = Seq(seqs[to - 1]);
            watching.observed.observe(&columns.slice(from, to - from), &scores[from..to])?;
            from = to;
        }
        Ok(())
    }
}

struct Context<'a> {
    shared: &'a Shared,
    model: &'a Model,
    model_index: usize,
    watch: &'a Watch,
    source: &'a crate::plan::Source,
}

impl Watching {
    fn report(&self, context: &Context<'_>) -> Output {
        let (model, watch) = (context.model, context.watch);
        let columns = self.observed.report();
        let breaches = breaches(&columns, &watch.alerts);
        for column in &columns {
            for (metric, value) in [("psi", column.psi), ("ks", column.ks), ("missing_rate", Some(column.missing_rate))] {
                if let Some(value) = value {
                    context.shared.metrics.set(
                        names::DRIFT,
                        &[("model", &model.name), ("column", &column.column), ("metric", metric)],
                        value,
                    );
                }
            }
        }
        if !breaches.is_empty() {
            let named: Vec<&str> = breaches.iter().map(|column| column.column.as_str()).collect();
            tracing::warn!(model = model.name, columns = named.join(", "), "drift: columns are beyond their alert");
            context.shared.metrics.add(names::DRIFT_ALERTS, &[("model", &model.name)], 1);
        }
        let every = watch.every.0.max(1);
        let start = self.interval.unwrap_or_default().saturating_mul(every);
        let described: Vec<serde_json::Value> = columns
            .iter()
            .map(|column| {
                serde_json::json!({
                    "column": column.column, "count": column.count, "psi": column.psi, "ks": column.ks,
                    "missing_rate": column.missing_rate, "missing_rate_reference": column.missing_rate_reference,
                    "breach": breaches.iter().any(|breach| breach.column == column.column),
                })
            })
            .collect();
        let report = serde_json::json!({
            "model": model.name, "version": version(context.shared, context.model_index),
            "from": EventTime(start).to_string(), "to": EventTime(start.saturating_add(every)).to_string(),
            "first_seq": self.first.0, "last_seq": self.last.0, "rows": self.observed.count(), "alert": !breaches.is_empty(), "columns": described,
        });
        let record = NewRecord {
            topic: watch.topic.clone(),
            partition: None,
            timestamp: Some(context.shared.clock.now().0),
            key: Some(model.name.clone().into_bytes()),
            value: Some(report.to_string().into_bytes()),
            headers: vec![
                ("forebay.model".into(), model.name.clone().into_bytes()),
                ("forebay.interval".into(), EventTime(start).to_string().into_bytes()),
            ],
        };
        Output { destination: destination_of(context.source), record }
    }
}

fn load_profile(path: &Path) -> Result<Profile> {
    let json = std::fs::read(path)
        .map_err(|error| Error::not_found(format!("no profile in {} ({error}); make one with `forebay models profile`", path.display())))?;
    Profile::parse(&json)
}
