//! `forebay models`

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::drift::{Origin, Profile};
use crate::error::{Error, Result};
use crate::model::Session;
use crate::plan::Vector;
use crate::time::Epoch;
use crate::training;

use super::Outcome;
use super::client::Client;
use super::context::Context;
use super::definitions::{self, counted};
use super::lookup::unknown;
use super::output::complain;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the declared models and their inputs
    #[command(after_help = "Examples:\n  forebay models list")]
    List,
    /// Create the reference profile that drift is measured against
    #[command(after_help = "Examples:\n  forebay models profile fraud --training-set train.parquet --out features/fraud.profile")]
    Profile(ProfileArguments),
}

#[derive(Args)]
pub(super) struct ProfileArguments {
    /// Model to profile
    model: String,
    /// Training set of the model's vector: Parquet, CSV or NDJSON by the file's name
    #[arg(long, value_name = "FILE")]
    training_set: PathBuf,
    /// Output file of the profile
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(context: &Context, command: &Command) -> Result<Outcome> {
    match command {
        Command::List => list(context)?,
        Command::Profile(arguments) => profile(context, arguments)?,
    }
    Ok(Outcome::Done)
}

fn list(context: &Context) -> Result<()> {
    let plan = definitions::current(context)?.0;
    let served = match Client::of_running(context) {
        Some(server) => server.get("/v1/catalog")?["models"].take(),
        None => Json::Null,
    };
    let mut rows = Vec::new();
    for model in &plan.models {
        let session = Session::open(model, &plan.vectors[model.vector])?;
        let inputs: Vec<_> = session.signature().inputs.iter().map(|input| input.name.as_str()).collect();
        rows.push(vec![
            json!(model.name),
            json!(plan.vectors[model.vector].name),
            json!(model.score.as_ref().map(|score| format!("{} into {}", plan.sources[score.source].name, score.topic))),
            json!(model.path),
            json!(session.version()),
            served
                .as_array()
                .into_iter()
                .flatten()
                .find(|served| served["name"] == model.name.as_str())
                .map_or(Json::Null, |served| served["version"].clone()),
            json!(inputs.join(", ")),
        ]);
    }
    context.print.rows(&["model", "vector", "scores", "file", "version", "served", "inputs"], rows)
}

fn profile(context: &Context, arguments: &ProfileArguments) -> Result<()> {
    let plan = definitions::current(context)?.0;
    let model =
        plan.model(&arguments.model).ok_or_else(|| unknown("model", &arguments.model, plan.models.iter().map(|model| &model.name)))?;
    let vector = &plan.vectors[model.vector];
    let session = Session::open(model, vector)?;
    let file = &arguments.training_set;
    let types: Vec<_> = vector.columns.iter().map(|column| (column.name.as_str(), &column.data_type)).collect();
    let columns = vector_columns(vector, &training::read_spine(file)?.table(&types)?, file)?;
    let bytes = fs::read(file).map_err(|error| Error::unavailable(format!("cannot read {}: {error}", file.display())))?;
    let scores = session.run(&columns)?;
    let scored: BooleanArray = scores.iter().map(|score| Some(score.is_ok())).collect();
    let failed = scores.iter().filter_map(|score| score.as_ref().err());
    if let (Some(error), unscored) = (failed.clone().next(), failed.count()) {
        let rows = counted(unscored, "row");
        complain(&format!("warning: the profile leaves out {rows} of {} without a score, the first because: {error}\n", scores.len()));
    }
    let columns = filter_record_batch(&columns, &scored)?;
    let scores: Vec<f64> = scores.into_iter().flatten().collect();
    let origin = Origin {
        model: model.name.clone(),
        model_version: session.version().to_owned(),
        vector: vector.name.clone(),
        vector_identity: vector.id.to_string(),
        training_set: file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        training_set_sha256: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let profile = Profile::of(origin, &vector.columns, &[columns], &scores)?;
    fs::write(&arguments.out, profile.to_json()?)
        .map_err(|error| Error::unavailable(format!("cannot write {}: {error}", arguments.out.display())))?;
    let summary = format!("profile of {} from {} in {}", model.name, counted(scores.len(), "row"), arguments.out.display());
    context.print.one(&summary, &json!({"model": model.name, "rows": scores.len(), "out": arguments.out}))
}

/// The vector's columns of a training set, in its order and of its types.
pub(super) fn vector_columns(vector: &Vector, batch: &RecordBatch, file: &Path) -> Result<RecordBatch> {
    let schema = crate::vector::schema(vector);
    let mut columns = Vec::with_capacity(vector.columns.len());
    for column in &vector.columns {
        let missing = || {
            let message = format!("{} has no column {}: make it with forebay training-set {}", file.display(), column.name, vector.name);
            Error::input(message)
        };
        let (place, field) = batch.schema_ref().column_with_name(&column.name).ok_or_else(missing)?;
        let what = format!("column {} of {}", column.name, file.display());
        columns.push(training::to_type(batch.column(place), field, &column.data_type, Epoch::default(), &what)?);
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}
