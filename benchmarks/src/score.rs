//! One row through the model that ships: Forebay's call beside the runtime's own on the same numbers, taken in turns,
//! and Forebay's in batches. Both must give the same score before anything is timed.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{Field as ArrowField, Schema};
use arrow::record_batch::RecordBatch;
use forebay::drift::{Measure, Origin, Profile};
use forebay::model::Session;
use forebay::plan::{ColumnSource, Field, Usage, VectorColumn};
use forebay::{DataType, Error, Result};
use hdrhistogram::Histogram;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{OutputSelector, RunOptions};
use ort::value::Tensor;

use crate::figures::Figures;

const ROUNDS: usize = 20_000;

pub fn score(figures: &mut Figures) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../features/fraud/models/fraud.onnx");
    if !path.exists() {
        figures.skip("score", "no trained model; run make train");
        return Ok(());
    }
    let mut raw = raw(&path)?;
    let shape = raw.inputs()[0].dtype().tensor_shape().cloned();
    let width = shape.and_then(|shape| shape.last().copied()).unwrap_or(1);
    let columns: Vec<_> = (0..width).map(|index| Field { name: format!("c{index}"), data_type: DataType::Float }).collect();
    let session = Session::open_for(&path, None, &Usage::default(), &columns)?;
    single(figures, &session, &mut raw, width)?;
    let batch = numbers(width, 256)?;
    let mut times = histogram()?;
    for _ in 0..ROUNDS / 256 + 100 {
        let started = Instant::now();
        session.run(&batch)?;
        times.saturating_record(started.elapsed().as_nanos() as u64 / 256);
    }
    figures.add("score, batches of 256, p50 of a row", median(&times), "us", "");
    drift(figures, &session, &batch, median(&times))
}

/// Counting the same rows for drift. `score_us`: what the model takes for one of them.
fn drift(figures: &mut Figures, session: &Session, batch: &RecordBatch, score_us: f64) -> Result<()> {
    let column = |(place, field): (usize, &Arc<ArrowField>)| VectorColumn {
        name: field.name().clone(),
        data_type: DataType::Float,
        from: ColumnSource::Frame(place),
        default: None,
    };
    let columns: Vec<VectorColumn> = batch.schema().fields().iter().enumerate().map(column).collect();
    let scores = session.run(batch)?.into_iter().collect::<Result<Vec<f64>>>()?;
    let origin = Origin {
        model: "fraud".to_owned(),
        model_version: session.version().to_owned(),
        vector: String::new(),
        vector_identity: String::new(),
        training_set: String::new(),
        training_set_sha256: String::new(),
    };
    let profile = Profile::of(origin, &columns, std::slice::from_ref(batch), &scores)?;
    let measure = Measure::new(&profile, &columns);
    let mut counts = measure.empty();
    let mut times = histogram()?;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        measure.count(&mut counts, batch, &scores);
        times.saturating_record(started.elapsed().as_nanos() as u64);
    }
    let row_us = median(&times) / scores.len() as f64;
    figures.add("drift, counting a value, p50", row_us * 1e3 / (columns.len() + 1) as f64, "ns", "<= 20");
    figures.add("the same over scoring it", row_us / score_us * 100.0, "%", "<= 10");
    Ok(())
}

/// The model as the runtime runs it by itself.
fn raw(path: &Path) -> Result<ort::session::Session> {
    let failed = |error: ort::Error| Error::internal(error.message());
    let builder = SessionBuilder::new(&forebay::model::environment()?).map_err(failed)?;
    let builder = builder.with_intra_threads(1).map_err(|error| Error::internal(error.message()))?;
    let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|error| Error::internal(error.message()));
    builder?.commit_from_file(path).map_err(failed)
}

/// A row at a time: the runtime's call and Forebay's in turns.
fn single(figures: &mut Figures, session: &Session, raw: &mut ort::session::Session, width: i64) -> Result<()> {
    let batch = numbers(width, 1)?;
    let row: Vec<f32> = (0..width).map(|index| number(0, index) as f32).collect();
    let failed = |error: ort::Error| Error::internal(error.message());
    let (input, output) =
        (raw.inputs()[0].name().to_owned(), raw.outputs().last().map(|output| output.name().to_owned()).unwrap_or_default());
    let options = RunOptions::new().map_err(failed)?.with_outputs(OutputSelector::no_default().with(&output));
    let tensor = Tensor::from_array(([1, width as usize], row)).map_err(failed)?;
    let (mut raw_times, mut own_times) = (histogram()?, histogram()?);
    for round in 0..ROUNDS {
        let started = Instant::now();
        let answer = raw.run_with_options(ort::inputs![input.as_str() => &tensor], &options).map_err(failed)?;
        raw_times.saturating_record(started.elapsed().as_nanos() as u64);
        let expected = answer[output.as_str()].try_extract_tensor::<f32>().map_err(failed)?.1.last().copied();
        drop(answer);
        let started = Instant::now();
        let scores = session.run(&batch)?;
        own_times.saturating_record(started.elapsed().as_nanos() as u64);
        if round == 0 && expected.map(f64::from) != scores.first().and_then(|score| score.as_ref().ok().copied()) {
            return Err(Error::internal(format!("the runtime says {expected:?} and Forebay {scores:?}")));
        }
    }
    figures.add("score, the runtime's own call, p50 of a row", median(&raw_times), "us", "ceiling");
    figures.add("score, a row at a time, p50 of a row", median(&own_times), "us", "");
    figures.add("the same over the runtime's call", median(&own_times) / median(&raw_times), "", "<= 1.25");
    Ok(())
}

fn number(row: i64, column: i64) -> f64 {
    (row * 7 + column * 13) as f64 % 50.0
}

fn numbers(width: i64, rows: i64) -> Result<RecordBatch> {
    let fields: Vec<_> = (0..width).map(|index| ArrowField::new(format!("f{index}"), DataType::Float.arrow(), true)).collect();
    let column = |index| Arc::new(Float64Array::from_iter_values((0..rows).map(|row| number(row, index)))) as ArrayRef;
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), (0..width).map(column).collect())?)
}

fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(|error| Error::internal(error.to_string()))
}

/// In microseconds, of nanoseconds.
fn median(times: &Histogram<u64>) -> f64 {
    times.value_at_quantile(0.5) as f64 / 1e3
}
