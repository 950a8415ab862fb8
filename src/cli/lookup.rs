//! `forebay lookup`

use std::time::Duration;

use clap::Args;
use serde_json::{Value as Json, json};

use crate::engine::{LookupRequest, LookupRow};
use crate::error::{Error, Result};
use crate::plan::{Plan, Vector};
use crate::serve::{self, read_exact};
use crate::time::EventTime;

use super::Outcome;
use super::assignment::{self, Assignment};
use super::client::{Client, escaped};
use super::context::Context;
use super::in_force::{self, Asked, Choice};
use super::{answer, store};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  forebay lookup payment_v1 user_id=7 --request amount=20 --as-of 2026-01-31T12:30:00Z\n  forebay lookup payment_v1 user_id=7 --as-of 2026-01-31T12:30:00Z --output json"
)]
pub(super) struct Arguments {
    /// Vector to look up
    vector: String,
    /// Keys of the vector; a vector that has only request columns takes no keys
    #[arg(value_name = "KEY=VALUE")]
    keys: Vec<Assignment>,
    #[command(flatten)]
    row: Row,
    #[command(flatten)]
    choice: Choice,
}

/// What belongs to a row beside its keys.
#[derive(Args)]
pub(super) struct Row {
    /// Values of the request columns, which the caller supplies
    #[arg(long, value_name = "NAME=VALUE", num_args = 1..)]
    pub request: Vec<Assignment>,
    /// Query time, such as 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub as_of: Option<EventTime>,
}

pub(super) fn time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).ok_or_else(|| "expected a time such as 2026-01-31T12:00:00Z".to_owned())
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let asked = Asked::Vector(&arguments.vector);
    let plan = in_force::plan(context, arguments.choice, asked)?;
    let place = plan
        .vectors
        .iter()
        .position(|vector| vector.name == arguments.vector)
        .ok_or_else(|| unknown("vector", &arguments.vector, plan.vectors.iter().map(|vector| &vector.name)))?;
    let (vector, request) = (&plan.vectors[place], request(&plan, place, &arguments.keys, &arguments.row)?);
    let answered = match Client::of_running(context) {
        Some(server) => {
            in_force::check_server(context, &server, &plan, asked)?;
            server.post(&format!("/v1/vectors/{}/lookup", escaped(&vector.name)), &body(vector, &request))?
        }
        None => stored(context, plan.clone(), request)?,
    };
    answer::print(context, &answered)?;
    Ok(Outcome::Done)
}

/// One row, for the engine or for `body`.
pub(super) fn request(plan: &Plan, place: usize, keys: &[Assignment], row: &Row) -> Result<LookupRequest> {
    let vector = &plan.vectors[place];
    let row_of = LookupRow::named(vector, &assignment::keys(&vector.keys, keys)?, &assignment::request(vector, &row.request)?)?;
    Ok(LookupRequest { vector: place, rows: vec![row_of], as_of: row.as_of, after: Vec::new(), wait: Duration::ZERO })
}

/// As the server takes it.
pub(super) fn body(vector: &Vector, request: &LookupRequest) -> Json {
    let keys = |row: &LookupRow| assignment::object(vector.keys.iter().map(|key| &key.name).zip(&row.keys));
    let sent = |row: &LookupRow| {
        let values = vector.request.iter().zip(&row.request);
        assignment::object(values.filter_map(|(column, value)| Some((&column.field.name, value.as_ref()?))))
    };
    json!({
        "keys": request.rows.iter().map(keys).collect::<Vec<_>>(),
        "request": request.rows.iter().map(sent).collect::<Vec<_>>(),
        "as_of": request.as_of.map(|time| time.to_string()),
    })
}

/// The answer of the store, as the server would give it.
fn stored(context: &Context, plan: Plan, request: LookupRequest) -> Result<Json> {
    let name = plan.vectors[request.vector].name.clone();
    let answer = store::lookup(context, plan, &request)?;
    let body = serve::lookup_answer(&name, &answer);
    read_exact(&body)
}

pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<_> = known.map(String::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Error::not_found(format!("there is no {what} {name}; there are: {known}"))
}
