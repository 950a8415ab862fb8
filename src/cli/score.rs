//! `forebay score`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use clap::Args;
use serde_json::Value as Json;

use crate::engine::{LookupRequest, ScoreAnswer};
use crate::error::{Error, Result};
use crate::model::{Given, Session};
use crate::plan::{Model, Plan, Vector};
use crate::serve::{self, read_exact};
use crate::training;
use crate::value::{DataType as Kind, Value};
use crate::vector::array_of;

use super::Outcome;
use super::assignment::Assignment;
use super::client::{Client, escaped};
use super::context::Context;
use super::in_force::{self, Asked, Choice};
use super::lookup::{Row, body, request, unknown};
use super::models::vector_columns;
use super::training_set::{self, SpineArguments};
use super::{answer, store};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  forebay score fraud user_id=7 --request amount=20\n  forebay score fraud --spine spine.csv --out scores.parquet"
)]
pub(super) struct Arguments {
    /// Model to score with
    model: String,
    /// Keys of one row
    #[arg(value_name = "KEY=VALUE", conflicts_with = "spine")]
    keys: Vec<Assignment>,
    #[command(flatten)]
    row: Row,
    /// Spine to score instead of one row: a file of keys and times, Parquet, CSV or NDJSON by the file's name
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with_all = ["request", "as_of"])]
    spine: Option<PathBuf>,
    /// Output file of the scored rows: Parquet, CSV or NDJSON by the file's name
    #[arg(long, value_name = "FILE", requires = "spine")]
    out: Option<PathBuf>,
    /// Spine column of the query times [default: a column named like the event time of a source, event_time or time]
    #[arg(long, value_name = "COLUMN", requires = "spine")]
    time: Option<String>,
    /// Source whose events are the rows of the spine
    #[arg(long, value_name = "SOURCE", requires = "spine")]
    event: Option<String>,
    /// Use only the events that were known at each row's cut, instead of all events that are known now
    #[arg(long, requires = "spine")]
    as_known: bool,
    #[command(flatten)]
    choice: Choice,
}

/// The column of scores in a scored spine.
const SCORE: &str = "score";
/// The column that says why a row has none.
const SCORE_ERROR: &str = "score_error";

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let Arguments { model, time, event, as_known, .. } = arguments;
    match (arguments.spine.clone(), arguments.out.clone()) {
        (Some(spine), Some(out)) => {
            let (time, event, as_known) = (time.clone(), event.clone(), *as_known);
            let plan = in_force::plan(context, arguments.choice, Asked::Model(model))?;
            scored_spine(context, &plan, model, &SpineArguments { spine, out, time, event, as_known })
        }
        _ => scored_keys(context, arguments).map(|()| Outcome::Done),
    }
}

fn model<'a>(plan: &'a Plan, name: &str) -> Result<(&'a Model, &'a Vector)> {
    let model = plan.model(name).ok_or_else(|| unknown("model", name, plan.models.iter().map(|model| &model.name)))?;
    Ok((model, &plan.vectors[model.vector]))
}

fn scored_keys(context: &Context, arguments: &Arguments) -> Result<()> {
    let asked = Asked::Model(&arguments.model);
    let plan = in_force::plan(context, arguments.choice, asked)?;
    let (model, vector) = model(&plan, &arguments.model)?;
    let request = request(&plan, model.vector, &arguments.keys, &arguments.row)?;
    let answered = match Client::of_running(context) {
        Some(server) => {
            in_force::check_server(context, &server, &plan, asked)?;
            server.post(&format!("/v1/models/{}/score", escaped(&model.name)), &body(vector, &request))?
        }
        None => stored(context, &plan, model, request)?,
    };
    answer::print(context, &answered)
}

/// The answer of the store, as the server would give it.
fn stored(context: &Context, plan: &Plan, model: &Model, request: LookupRequest) -> Result<Json> {
    let vector = &plan.vectors[model.vector];
    let is_missing = |place: &usize| !vector.request[*place].is_event_time && request.rows.iter().any(|row| row.request[*place].is_none());
    if let Some(missing) = (0..vector.request.len()).find(is_missing).map(|place| &vector.request[place]) {
        let name = &missing.field.name;
        return Err(Error::input(format!("request column {name} ({}) is missing: give --request {name}=VALUE", missing.field.data_type)));
    }
    let session = opened(model, vector)?;
    let lookup = store::lookup(context, plan.clone(), &request)?;
    let scores = session.run_whole(&lookup.rows.to_batch()?)?;
    let answer = ScoreAnswer::new(scores, session.version().to_owned(), lookup)?;
    let body = serve::score_answer(&model.name, &answer);
    read_exact(&body)
}

/// The model that the plan means: its file may hold another one by now.
fn opened(model: &Model, vector: &Vector) -> Result<Session> {
    let session = Session::open(model, vector)?;
    if session.version() == model.version {
        return Ok(session);
    }
    Err(Error::conflict(format!(
        "model {}: its file holds another model than the one that was applied, which is not kept: bring that back to {}, or score with \
         this one by --definitions features",
        model.name,
        model.path.display()
    )))
}

fn scored_spine(context: &Context, plan: &Plan, name: &str, arguments: &SpineArguments) -> Result<Outcome> {
    let (model, vector) = model(plan, name)?;
    let session = opened(model, vector)?;
    let mut output = training_set::made(context, plan, &vector.name, arguments)?;
    let mut scores = Vec::with_capacity(output.batches.len());
    for batch in &output.batches {
        scores.push(session.run_whole(&vector_columns(vector, batch, Path::new("the training set"))?)?);
    }
    let outputs = places(scores.iter().flatten().flatten());
    let failed = scores.iter().flatten().filter(|score| score.is_err()).count();
    for (batch, scores) in output.batches.iter_mut().zip(scores) {
        *batch = with_scores(batch, &scores, &outputs, failed > 0)?;
    }
    training::write_table(&arguments.out, &output.batches)?;
    training_set::print(context, arguments, &output, failed)?;
    Ok(if failed > 0 { Outcome::Incomplete } else { Outcome::Done })
}

/// With the column of scores, and where some row of the table has none, the one that says why.
fn with_scores(batch: &RecordBatch, scores: &[Result<Given>], outputs: &[(String, Place)], some_failed: bool) -> Result<RecordBatch> {
    let mut fields = batch.schema_ref().fields().to_vec();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    let mut add = |name: &str, data_type: DataType, column: ArrayRef| {
        if fields.iter().any(|field| field.name() == name) {
            return Err(Error::input(format!("the spine has a column '{name}' already, which the scores would take: rename it")));
        }
        fields.push(Arc::new(Field::new(name, data_type, true)));
        columns.push(column);
        Ok(())
    };
    let values: Float64Array = scores.iter().map(|score| score.as_ref().ok().map(|scored| scored.score)).collect();
    add(SCORE, DataType::Float64, Arc::new(values))?;
    for (name, place) in outputs {
        let values: Vec<Value> =
            scores.iter().map(|score| score.as_ref().map_or(Value::Null, |scored| place.value(&scored.outputs))).collect();
        add(name, place.data_type.arrow(), array_of(&place.data_type, values.iter())?)?;
    }
    if some_failed {
        let reasons: StringArray = scores.iter().map(|score| score.as_ref().err().map(ToString::to_string)).collect();
        add(SCORE_ERROR, DataType::Utf8, Arc::new(reasons))?;
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Where the value of a column lies in what a model hands on: a field, and an item of it where it has several.
struct Place {
    field: usize,
    item: Option<usize>,
    data_type: Kind,
}

impl Place {
    fn value(&self, outputs: &Value) -> Value {
        let Value::Struct(fields) = outputs else { return Value::Null };
        match (fields.get(self.field).map(|(_, value)| value), self.item) {
            (Some(value), None) => value.clone(),
            (Some(Value::Struct(items)), Some(item)) => items.get(item).map_or(Value::Null, |(_, value)| value.clone()),
            (Some(Value::List(items)), Some(item)) => items.get(item).cloned().unwrap_or_default(),
            _ => Value::Null,
        }
    }
}

/// A column for each single value that the model hands on: `label`, `probabilities_fraud`, `distances_1`. Every row has the
/// same, so that the first one tells them.
fn places<'a>(mut scored: impl Iterator<Item = &'a Given>) -> Vec<(String, Place)> {
    let Some(Given { outputs: Value::Struct(fields), .. }) = scored.next() else { return Vec::new() };
    let mut places = Vec::new();
    for (field, (name, value)) in fields.iter().enumerate() {
        let mut add =
            |name: String, item: Option<usize>, value: &Value| places.push((name, Place { field, item, data_type: type_of(value) }));
        match value {
            Value::Struct(items) => {
                items.iter().enumerate().for_each(|(at, (label, value))| add(format!("{name}_{label}"), Some(at), value))
            }
            Value::List(items) => items.iter().enumerate().for_each(|(at, value)| add(format!("{name}_{}", at + 1), Some(at), value)),
            single => add(name.to_string(), None, single),
        }
    }
    places
}

fn type_of(value: &Value) -> Kind {
    match value {
        Value::Bool(_) => Kind::Bool,
        Value::Int(_) => Kind::Int,
        Value::Text(_) => Kind::Text,
        _ => Kind::Float,
    }
}
