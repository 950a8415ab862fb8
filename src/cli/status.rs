//! `forebay status`

use clap::Args;
use serde_json::Value as Json;

use crate::error::Result;
use crate::folder::Folder;
use crate::time::Span;

use super::Outcome;
use super::context::Context;
use super::output::cell;
use super::sources;

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay status\n  forebay status --output json")]
pub(super) struct Arguments {}

pub(super) fn run(context: &Context, _: &Arguments) -> Result<Outcome> {
    let (status, served) = sources::status(context)?;
    let is_written = Folder::open_read_only(&context.config.data).is_ok_and(|folder| folder.is_written());
    context.print.one(&text(&status, served, is_written), &status)?;
    Ok(Outcome::Done)
}

fn text(status: &Json, served: bool, is_written: bool) -> String {
    let ready = match (served, status["state"].as_str().unwrap_or_default()) {
        (true, _) if status["ready"] == true => "the server answers lookups",
        (true, "catching_up") => "the server is not ready: it takes in what its logs held at the start",
        (true, "stopping") => "the server was asked to stop",
        (true, _) => "the server is not ready: see its problems below",
        (false, _) if is_written => "a server starts or stops, or a command writes: this is the stored state",
        (false, _) => "no server runs: this is the stored state",
    };
    let mut text = format!("{ready}; seq {}", cell(&status["seq"]));
    if served {
        text += &format!(", {} records to read", cell(&status["lag_events"]));
    }
    text.push('\n');
    for source in status["sources"].as_array().into_iter().flatten() {
        text += &format!("{}: {}\n", cell(&source["source"]), of_source(source));
    }
    for problem in status["problems"].as_array().into_iter().flatten() {
        text += &format!("problem: {}\n", cell(problem));
    }
    text
}

fn of_source(source: &Json) -> String {
    let mut said = match (source["frontier"].as_str(), source["staleness_ms"].as_i64()) {
        (Some(frontier), Some(staleness)) => {
            format!("up to {frontier}, {} behind the clock", Span(staleness.saturating_mul(1000)).roughly())
        }
        _ => "no events yet".to_owned(),
    };
    said += &format!("; {} accepted", cell(&source["accepted"]));
    let aside: Vec<String> = sources::set_aside(source).into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if !aside.is_empty() {
        said += &format!("; set aside: {}", aside.join(", "));
    }
    if let Some(wanted) = source["lateness_wanted_ms"]["1"].as_i64() {
        let wanted = Span(wanted.saturating_mul(1000)).covering();
        said += &format!(" (lateness '{wanted}' would have kept those that were too late)");
    }
    said
}
