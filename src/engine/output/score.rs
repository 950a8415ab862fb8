//! Scores the stream: computes the vectors of the events of a batch, runs the model, makes one prediction for each event, and hands
//! the rows to drift. A row without a score has a prediction that says why. Must never let one row's failure cost another row its
//! score.

use std::collections::HashMap;
use std::time::Instant;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;

use crate::engine::handle::problems::Kind;
use crate::engine::intake::batch::{ApplyBatch, Segment};
use crate::engine::output::drift::{Drift, Scored};
use crate::engine::output::models::only;
use crate::engine::shared::Shared;
use crate::engine::state::shard::{ReadValues, Unread};
use crate::error::{Error, Result};
use crate::json;
use crate::model::Given;
use crate::never::OrNever;
use crate::online::{DriftRow, Output};
use crate::plan::{Model, Vector};
use crate::record::NewRecord;
use crate::value::Value;
use crate::vector;

/// Rows whose columns are made at once: what bounds the memory of vectors with long texts and lists.
const ROWS_AT_ONCE: usize = 1024;
/// So many rows in a row without a score are a problem of a model that has scored rows before.
const FAILED_MAX: u64 = 10;

/// Scores works in order, and has the scored rows counted.
pub struct Scorer {
    drift: Drift,
    /// One for each model.
    streaks: Vec<Streak>,
}

/// How the last rows of a model went.
#[derive(Clone, Debug, Default)]
struct Streak {
    has_scored: bool,
    /// Rows that failed since the last one that was scored.
    failed: u64,
    /// Why the first of them did.
    error: String,
}

impl Scorer {
    pub fn new(shared: &Shared) -> Result<Self> {
        Ok(Self { drift: Drift::new(shared)?, streaks: vec![Streak::default(); shared.plan().models.len()] })
    }

    /// What drift has to store with the outputs.
    pub fn drift_rows(&mut self, shared: &Shared) -> Result<Vec<DriftRow>> {
        self.drift.rows(shared)
    }

    /// `reads`: for each shard, what it read of each segment and model, in the same order in every shard.
    pub fn score(&mut self, shared: &Shared, work: &ApplyBatch, mut reads: Vec<Vec<ReadValues>>) -> Result<Vec<Output>> {
        let mut outputs = Vec::new();
        self.drift.begin(work);
        let count = reads.first().map_or(0, Vec::len);
        for index in 0..count {
            let parts: Vec<ReadValues> = reads.iter_mut().map(|shard| std::mem::replace(&mut shard[index], empty())).collect();
            let (segment, model) = (work.segments[parts[0].segment].events(), parts[0].model);
            self.score_segment(shared, &segment, model, parts, &mut outputs)?;
            self.drift.pass(shared, model, &segment, &mut outputs)?;
        }
        if work.score {
            self.drift.finish(shared, &mut outputs)?;
        }
        Ok(outputs)
    }

    fn score_segment(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        model_index: usize,
        parts: Vec<ReadValues>,
        outputs: &mut Vec<Output>,
    ) -> Result<()> {
        let plan = shared.plan();
        let model = &plan.models[model_index];
        let Some(score) = &model.score else { return Ok(()) };
        let declared = &plan.vectors[model.vector];
        let source = &plan.sources[segment.source];
        let unread: HashMap<u32, Unread> = parts.iter().flat_map(|part| part.unread.iter().copied()).collect();
        let values = join(declared, segment.rows.len(), parts);
        let request = request_columns(declared, segment)?;
        let width = vector::feature_width(declared);
        for from in (0..segment.rows.len()).step_by(ROWS_AT_ONCE) {
            let count = ROWS_AT_ONCE.min(segment.rows.len() - from);
            let features = vector::feature_columns(declared, &values[from * width..(from + count) * width], count)?;
            let request: Vec<ArrayRef> = request.iter().map(|column| column.slice(from, count)).collect();
            let unread: Vec<Option<Unread>> = (from..from + count).map(|place| unread.get(&(place as u32)).copied()).collect();
            let columns = vector::assemble(declared, &features, &request, count);
            let scores = match &columns {
                Ok(columns) => scores(shared, model_index, columns, &unread),
                Err(error) => vec![Err(error.clone()); count],
            };
            self.tell(shared, model_index, &scores, &unread);
            let now = shared.clock.now();
            for (row, result) in scores.iter().enumerate() {
                let place = from + row;
                let prediction = Prediction { model, version: version(shared, model_index), source: &source.name, segment, place };
                let shown = columns.as_ref().ok().filter(|_| unread[row].is_none());
                let record = NewRecord {
                    topic: score.topic.clone(),
                    partition: None,
                    timestamp: Some(now.0),
                    key: Some(prediction.identity().into_bytes()),
                    value: Some(prediction.json(shown, row, result.as_ref(), now.0 - segment.ingest.0)),
                    headers: prediction.headers(),
                };
                outputs.push(Output { system: source.origin.system, record });
            }
            if let (Ok(columns), Some(_)) = (&columns, &model.watch) {
                let of_row = |(place, score): (usize, &Result<Given>)| Some((place, score.as_ref().ok()?.score));
                let (places, kept): (Vec<usize>, Vec<f64>) = (from..).zip(&scores).filter_map(of_row).unzip();
                let columns = only(columns, scores.iter().map(Result::is_ok))?;
                let scored = Scored { model: model_index, segment, places: &places, columns: &columns, scores: &kept };
                self.drift.count(shared, &scored, outputs)?;
            }
        }
        Ok(())
    }

    /// Counts what became of rows, and says in the status when the model takes none any more.
    fn tell(&mut self, shared: &Shared, model: usize, scores: &[Result<Given>], unread: &[Option<Unread>]) {
        let name = &shared.plan().models[model].name;
        let failed = scores.iter().filter(|score| score.is_err()).count();
        shared.measures.models[model].scored.inc_by((scores.len() - failed) as u64);
        shared.measures.models[model].failed.inc_by(failed as u64);
        let streak = &mut self.streaks[model];
        // A row that could not be read says nothing about the model.
        for (score, _) in scores.iter().zip(unread).filter(|(_, unread)| unread.is_none()) {
            match score {
                Ok(_) => *streak = Streak { has_scored: true, ..Streak::default() },
                Err(error) => {
                    if streak.failed == 0 {
                        streak.error = error.to_string();
                    }
                    streak.failed += 1;
                }
            }
        }
        let all_failed = streak.failed >= if streak.has_scored { FAILED_MAX } else { 1 };
        // One that is not loaded is a problem already.
        if shared.models[model].is_ok() {
            let problem = || format!("none of its last rows got a score, from this on: {}", streak.error);
            shared.set_problem(Kind::Scores, &format!("scores of model {name}"), all_failed.then(problem));
        }
    }
}

fn empty() -> ReadValues {
    ReadValues { segment: 0, model: 0, cells: Vec::new(), values: Vec::new(), unread: Vec::new() }
}

pub(in crate::engine) fn version(shared: &Shared, model: usize) -> &str {
    shared.models[model].as_ref().map_or("", |loaded| loaded.version())
}

/// For each row its score, or why it has none: `unread` says of which rows the columns could not be read.
fn scores(shared: &Shared, model: usize, columns: &RecordBatch, unread: &[Option<Unread>]) -> Vec<Result<Given>> {
    let started = Instant::now();
    let unread = |row: usize| unread[row].map(Unread::error);
    let ran = shared.models[model].as_ref().map_err(Clone::clone).and_then(|loaded| loaded.score_stream(columns, &unread));
    if ran.is_ok() {
        let rows = u32::try_from(columns.num_rows()).unwrap_or(u32::MAX).max(1);
        shared.measures.models[model].row_seconds.record(started.elapsed() / rows);
    }
    let all = |error: Error| (0..columns.num_rows()).map(|row| Err(unread(row).unwrap_or_else(|| error.clone()))).collect();
    ran.unwrap_or_else(all)
}

/// Puts what the shards read into rows of the vector's frame.
fn join(vector: &Vector, rows: usize, parts: Vec<ReadValues>) -> Vec<Value> {
    let width = vector::feature_width(vector);
    let offsets: Vec<usize> = (0..vector.reads.len()).map(|read| vector::read_offset(vector, read)).collect();
    let mut features = vec![Value::Null; rows * width];
    for part in parts {
        let mut values = part.values.into_iter();
        for (row, read) in part.cells {
            let start = row as usize * width + offsets[read as usize];
            for cell in &mut features[start..start + vector.reads[read as usize].features.len()] {
                *cell = values.next().or_never("a feature that a shard read");
            }
        }
    }
    features
}

fn request_columns(vector: &Vector, segment: &Segment) -> Result<Vec<ArrayRef>> {
    let column = |request: &crate::plan::RequestColumn| match request.source_column {
        Some(column) => segment.column(column),
        None => vector::array_of(&request.field.data_type, std::iter::repeat_n(&Value::Null, segment.rows.len())),
    };
    vector.request.iter().map(column).collect()
}

/// One prediction record.
struct Prediction<'a> {
    model: &'a Model,
    version: &'a str,
    source: &'a str,
    segment: &'a Segment,
    place: usize,
}

impl Prediction<'_> {
    /// What is equal for equal predictions, however often they are published.
    fn identity(&self) -> String {
        let position = self.segment.positions[self.place];
        format!("{}/{}/{}/{}", self.model.name, self.source, position.partition.0, position.offset.0)
    }

    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let position = self.segment.positions[self.place];
        let header = |name: &str, value: String| (format!("forebay.{name}"), value.into_bytes());
        vec![
            header("source", self.source.to_owned()),
            header("partition", position.partition.0.to_string()),
            header("offset", position.offset.0.to_string()),
            header("model", self.model.name.clone()),
        ]
    }

    fn json(&self, columns: Option<&RecordBatch>, row: usize, score: Result<&Given, &Error>, latency_us: i64) -> Vec<u8> {
        let position = self.segment.positions[self.place];
        let mut out = Vec::with_capacity(512);
        let mut text = |name: &str, value: &str| {
            out.extend(if out.is_empty() { b"{\"" } else { b",\"" });
            out.extend(name.as_bytes());
            out.extend(b"\":");
            json::write_text(&mut out, value);
        };
        text("model", &self.model.name);
        text("version", self.version);
        text("source", self.source);
        text("event_time", &position.time.to_string());
        let numbers =
            [("partition", u64::from(position.partition.0)), ("offset", position.offset.0), ("seq", self.segment.seqs[self.place])];
        for (name, value) in numbers {
            out.extend(format!(",\"{name}\":{value}").into_bytes());
        }
        out.extend(format!(",\"latency_us\":{},\"score\":", latency_us.max(0)).into_bytes());
        match score {
            Ok(scored) => {
                json::write_float(&mut out, scored.score);
                if !scored.outputs.is_null() {
                    out.extend(b",\"outputs\":");
                    json::write_value(&mut out, &scored.outputs);
                }
            }
            Err(error) => {
                out.extend(b"null,\"error\":");
                json::write_text(&mut out, &error.to_string());
            }
        }
        out.extend(b",\"features\":{");
        if let Some(columns) = columns {
            for (index, field) in columns.schema().fields().iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json::write_text(&mut out, field.name());
                out.push(b':');
                json::write_value(&mut out, &vector::value_at(columns.column(index).as_ref(), row));
            }
        }
        out.extend(b"}}");
        out
    }
}
