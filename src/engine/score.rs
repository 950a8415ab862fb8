//! Scoring the stream: vectors of a work's events, one run of the model for all of them, one prediction record for
//! each event, and what drift counts. A model's failure becomes a prediction that says why.

use std::collections::HashSet;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;

use super::drift::{Drift, Scored};
use super::shard::ReadValues;
use super::shared::{Shared, destination_of};
use super::work::{Segment, Work};
use crate::error::{Error, Result};
use crate::json;
use crate::online::Output;
use crate::plan::{Model, Vector};
use crate::record::NewRecord;
use crate::telemetry::names;
use crate::value::Value;
use crate::vector;

/// Scores works in order, and has the scored rows counted.
pub struct Scorer {
    drift: Drift,
}

impl Scorer {
    pub fn new(shared: &Shared) -> Self {
        Self { drift: Drift::new(shared) }
    }

    /// `reads`: for each shard, what it read of each segment and model, in the same order in every shard.
    pub fn score(&mut self, shared: &Shared, work: &Work, mut reads: Vec<Vec<ReadValues>>) -> Result<Vec<Output>> {
        let mut outputs = Vec::new();
        let count = reads.first().map_or(0, Vec::len);
        for index in 0..count {
            let parts: Vec<ReadValues> = reads.iter_mut().map(|shard| std::mem::replace(&mut shard[index], empty())).collect();
            let (segment, model) = (work.segments[parts[0].segment].events(), parts[0].model);
            self.score_segment(shared, &segment, model, parts, &mut outputs)?;
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
        // A row whose columns cannot be computed (a derived expression that overflows) is scored on its own, so
        // that it does not spoil the others.
        let too_old: HashSet<u32> = parts.iter().flat_map(|part| part.too_old.iter().copied()).collect();
        let forgotten =
            Error::input("the event is before the online history of a source that its vector reads: score it with `forebay score --spine`");
        let features = join(declared, segment.rows.len(), parts);
        let rows = segment.rows.len();
        let request = request_columns(declared, segment)?;
        let features = vector::feature_columns(declared, &features, rows)?;
        let columns = vector::assemble(declared, &features, &request, rows);
        let mut pieces = Vec::new();
        match columns {
            Ok(columns) => pieces.push((0, Ok(columns))),
            Err(_) => {
                for row in 0..rows {
                    let of_row = |columns: &[ArrayRef]| columns.iter().map(|column| column.slice(row, 1)).collect::<Vec<_>>();
                    pieces.push((row, vector::assemble(declared, &of_row(&features), &of_row(&request), 1)));
                }
            }
        }
        for (from, columns) in pieces {
            let (count, scored) = match &columns {
                Ok(columns) => (columns.num_rows(), run(shared, model_index, columns)),
                Err(error) => (1, Err(error.clone())),
            };
            let outcome = if scored.is_ok() { "scored" } else { "failed" };
            shared.metrics.add(names::PREDICTIONS, &[("model", &model.name), ("outcome", outcome)], count as u64);
            let now = shared.clock.now();
            for row in 0..count {
                let place = from + row;
                let result = match &scored {
                    Ok(_) if too_old.contains(&(place as u32)) => Err(&forgotten),
                    scored => scored.as_ref().map(|scores| scores[row]),
                };
                let prediction = Prediction { model, version: version(shared, model_index), source: &source.name, segment, place };
                let record = NewRecord {
                    topic: score.topic.clone(),
                    partition: None,
                    timestamp: Some(now.0),
                    key: Some(prediction.identity().into_bytes()),
                    value: Some(prediction.json(columns.as_ref().ok(), row, result, now.0 - segment.ingest.0)),
                    headers: prediction.headers(),
                };
                outputs.push(Output { destination: destination_of(source), record });
            }
            if let (Ok(columns), Ok(scores)) = (&columns, &scored) {
                // What was forgotten has no score, whatever the model said of the rest of it.
                let rows: Vec<usize> = (0..count).filter(|row| !too_old.contains(&((from + row) as u32))).collect();
                let places: Vec<usize> = rows.iter().map(|row| from + row).collect();
                let kept: Vec<f64> = rows.iter().map(|row| scores[*row]).collect();
                let rows = UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
                let columns = if rows.len() == count { columns.clone() } else { take_record_batch(columns, &rows)? };
                let scored = Scored { model: model_index, segment, places: &places, columns: &columns, scores: &kept };
                self.drift.count(shared, &scored, outputs);
            }
        }
        Ok(())
    }
}

fn empty() -> ReadValues {
    ReadValues { segment: 0, model: 0, cells: Vec::new(), values: Vec::new(), too_old: Vec::new() }
}

pub(super) fn version(shared: &Shared, model: usize) -> &str {
    shared.models[model].as_ref().map_or("", |session| session.version())
}

fn run(shared: &Shared, model: usize, columns: &RecordBatch) -> Result<Vec<f64>> {
    let session = shared.models[model].as_ref().map_err(Clone::clone)?;
    let before = shared.clock.now();
    let scores = session.run(columns)?;
    let rows = columns.num_rows().max(1);
    let seconds = (shared.clock.now().0 - before.0) as f64 / 1e6 / rows as f64;
    shared.metrics.observe(names::MODEL_SECONDS, &[("model", &shared.plan().models[model].name)], seconds);
    Ok(scores)
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
                *cell = values.next().unwrap_or_default();
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

    fn json(&self, columns: Option<&RecordBatch>, row: usize, score: Result<f64, &crate::error::Error>, latency_us: i64) -> Vec<u8> {
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
            Ok(score) => json::write_float(&mut out, score),
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
