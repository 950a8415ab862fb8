//! `forebay sources`

use clap::Args;
use serde_json::{Value as Json, json};

use crate::error::Result;
use crate::serve::{self, read_exact};
use crate::time::Span;

use super::Outcome;
use super::client::Client;
use super::context::Context;
use super::in_force::{self, Asked, Choice};
use super::store;

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay sources\n  forebay sources --output json")]
pub(super) struct Arguments {}

/// What people read of a source.
const COLUMNS: [&str; 13] = [
    "source",
    "accepted",
    "late",
    "latest",
    "too_late",
    "latest_refused",
    "too_far_ahead",
    "duplicate",
    "retracted",
    "rejected",
    "lateness",
    "for_99.9%",
    "for_all",
];

pub(super) fn run(context: &Context, _: &Arguments) -> Result<Outcome> {
    let (status, _) = status(context)?;
    let sources = status["sources"].as_array().cloned().unwrap_or_default();
    if context.print.for_people() {
        context.print.rows(&COLUMNS, sources.iter().map(row).collect())?;
    } else {
        context.print.items(sources)?;
    }
    Ok(Outcome::Done)
}

/// The status, and whether it is of a server.
pub(super) fn status(context: &Context) -> Result<(Json, bool)> {
    match Client::of_running(context) {
        Some(server) => Ok((server.get("/v1/status")?, true)),
        None => Ok((stored(context)?, false)),
    }
}

/// What of a source's records is no event, by reason.
pub(super) fn set_aside(source: &Json) -> Vec<(String, u64)> {
    let named = ["too_late", "too_far_ahead"].into_iter().filter_map(|reason| Some((reason.to_owned(), source[reason].as_u64()?)));
    let others = source["rejected"].as_object().into_iter().flatten();
    let others = others.filter_map(|(reason, count)| Some((reason.clone(), count.as_u64()?)));
    named.chain(others).filter(|(_, count)| *count > 0).collect()
}

/// The status of the store, as a server would give it.
fn stored(context: &Context) -> Result<Json> {
    let handle = store::state(context, in_force::plan(context, Choice::default(), Asked::Stored)?)?;
    read_exact(&serve::status_answer(&handle.readiness(), &handle.status(), &handle.sources()?))
}

fn row(source: &Json) -> Vec<Json> {
    let count = |name: &str| source[name].clone();
    let span = |milliseconds: &Json| {
        milliseconds
            .as_i64()
            .filter(|span| *span > 0)
            .map_or(Json::Null, |span| json!(Span(span.saturating_mul(1000)).covering().to_string()))
    };
    let rejected: u64 = source["rejected"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    let wanted = &source["lateness_wanted_ms"];
    vec![
        count("source"),
        count("accepted"),
        count("late"),
        span(&source["late_max_ms"]),
        count("too_late"),
        span(&source["too_late_max_ms"]),
        count("too_far_ahead"),
        count("duplicate"),
        count("retracted"),
        json!(rejected),
        span(&source["lateness_ms"]),
        span(&wanted["0.999"]),
        span(&wanted["1"]),
    ]
}
