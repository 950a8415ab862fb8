//! One row through the model that ships: a session's call, a row at a time and in batches.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use forebay::model::Session;
use forebay::{DataType, Error, Result};
use hdrhistogram::Histogram;

use crate::figures::Figures;

const ROUNDS: usize = 20_000;

pub fn score(figures: &mut Figures) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../features/fraud/models/fraud.onnx");
    if !path.exists() {
        figures.skip("score", "no trained model; run make train");
        return Ok(());
    }
    let session = Session::open(&path, None)?;
    let width = session.signature().inputs.iter().filter_map(|input| input.shape.last().copied().flatten()).max().unwrap_or(1);
    for rows in [1, 256] {
        let fields: Vec<Field> = (0..width).map(|index| Field::new(format!("f{index}"), DataType::Float.arrow(), true)).collect();
        let column =
            |index: i64| Arc::new(Float64Array::from_iter_values((0..rows).map(|row| (row * 7 + index * 13) as f64 % 50.0))) as ArrayRef;
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), (0..width).map(column).collect())?;
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(|error| Error::internal(error.to_string()))?;
        for _ in 0..ROUNDS / rows as usize + 100 {
            let started = Instant::now();
            session.run(&batch)?;
            histogram.saturating_record(started.elapsed().as_nanos() as u64 / rows.unsigned_abs());
        }
        figures.add(format!("score, batches of {rows}, p50 of a row"), histogram.value_at_quantile(0.5) as f64 / 1e3, "us", "");
    }
    Ok(())
}
