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
    let status = match Client::of_running(context) {
        Some(server) => server.get("/v1/status")?,
        None => stored(context)?,
    };
    let sources = status["sources"].as_array().cloned().unwrap_or_default();
    if context.print.for_people() {
        context.print.rows(&COLUMNS, sources.iter().map(row).collect())?;
    } else {
        context.print.items(sources)?;
    }
    Ok(Outcome::Done)
}

/// The status of the store, as a server would give it.
fn stored(context: &Context) -> Result<Json> {
    let handle = store::state(context, in_force::plan(context, Choice::default(), Asked::Stored)?)?;
    read_exact(&serve::status_answer(&handle.status(), &handle.sources()?))
}

fn row(source: &Json) -> Vec<Json> {
    let count = |name: &str| source[name].clone();
    let span = |milliseconds: &Json| milliseconds.as_i64().filter(|span| *span > 0).map_or(Json::Null, |span| json!(legible(span)));
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

/// A span of so many milliseconds, rounded up to whole units of which there are at least ten: what `lateness` can be set to.
fn legible(milliseconds: i64) -> String {
    let us = milliseconds.saturating_mul(1000);
    let units = [Span::DAY, Span::HOUR, Span::MINUTE, Span::SECOND];
    let unit = units.into_iter().find(|unit| us % unit.0 == 0 || us >= 10 * unit.0).map_or(1000, |unit| unit.0);
    Span(us.saturating_add(unit - 1) / unit * unit).to_string()
}

#[cfg(test)]
mod tests {
    use super::legible;

    #[test]
    fn spans_are_rounded_up_to_units_that_a_person_reads() {
        let cases = [
            (1, "1ms"),
            (1_500, "1500ms"),
            (60_000, "1m"),
            (90_000, "90s"),
            (90_001, "91s"),
            (3_600_000, "1h"),
            (3_601_000, "61m"),
            (86_400_000, "1d"),
            (36_000_001, "11h"),
            (1_000_000_000, "12d"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(legible(milliseconds), expected, "{milliseconds}");
        }
    }
}
