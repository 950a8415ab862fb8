//! A training set: 100,000 rows of 16 features over all events.

use std::sync::Arc;

use arrow::array::{Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use forebay::demo::payments::{Generator, Options};
use forebay::engine;
use forebay::training::{Request, Spine, training_set as make};
use forebay::{DataType, Error, Result};

use crate::figures::Figures;
use crate::setting::{Setting, timed};

const ROWS: usize = 100_000;

pub fn training_set(setting: &Setting, figures: &mut Figures) -> Result<()> {
    let plan = setting.plan()?;
    let step = (setting.payloads.len() / ROWS).max(1);
    let options = Options { events: setting.payloads.len() as u64, ..Options::default() };
    let rows: Vec<_> = Generator::new(options).step_by(step).take(ROWS).collect();
    let users = Int64Array::from_iter_values(rows.iter().map(|payment| i64::from(payment.user)));
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|payment| payment.event_time.0));
    let fields = [("user_id", DataType::Int), ("event_time", DataType::Timestamp)];
    let schema = Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type.arrow(), true)).to_vec()));
    let spine = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(users), Arc::new(times)])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::unavailable(error.to_string()))?;
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let (seconds, made) = timed(|| {
            let (store, recent) = engine::events(&setting.config, &plan)?;
            let spine = Spine::new(Arc::clone(&schema), vec![spine.clone()]);
            let request = Request { vector: "user_16".to_owned(), spine, time: None, event: None, as_known: false };
            runtime.block_on(make(&plan, &store, recent, request))
        })?;
        let rows: usize = made.batches.iter().map(RecordBatch::num_rows).sum();
        if rows != ROWS.min(setting.payloads.len()) {
            return Err(Error::internal(format!("a training set of {rows} rows")));
        }
        fastest = fastest.min(seconds);
    }
    figures.add(format!("training set, {} events, {ROWS} rows, 16 features", setting.payloads.len()), fastest, "s", "<= 5");
    Ok(())
}
