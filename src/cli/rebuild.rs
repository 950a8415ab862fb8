//! `forebay rebuild`

use clap::{Args, Subcommand};
use serde_json::json;

use crate::engine::Engine;
use crate::error::Result;
use crate::integrity::{self, Rebuilt};
use crate::telemetry::Metrics;

use super::Outcome;
use super::context::Context;
use super::definitions::{self, counted};
use super::progress::Progress;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Rebuild the state from the events: those in Parquet, those that wait for Parquet, and the logs
    #[command(after_help = "Examples:\n  forebay rebuild state")]
    State,
    /// Rebuild the log without the data that cannot be read, and report that data. No other part holds a copy of the log
    Log(LogArguments),
    /// Rebuild the event log in Parquet: whole files stay, and missing events come from the online store and the logs
    Offline(OfflineArguments),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay rebuild offline")]
pub(super) struct OfflineArguments {
    /// Rebuild the event log without the events that no part holds any more
    #[arg(long)]
    give_up: bool,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay rebuild log")]
pub(super) struct LogArguments {
    /// Drop the data that cannot be read; without this option, the command only reports this data
    #[arg(long)]
    give_up: bool,
}

pub(super) fn run(context: &Context, command: &Command) -> Result<Outcome> {
    context.existing_data()?;
    match command {
        Command::State => state(context),
        Command::Log(arguments) => log(context, arguments.give_up),
        Command::Offline(arguments) => offline(context, arguments.give_up),
    }
}

fn offline(context: &Context, gives_up: bool) -> Result<Outcome> {
    let plan = definitions::in_force_with_files(context)?.0;
    let mut progress = Progress::new("reading", "bytes");
    let mut read = 0;
    let rebuilt = integrity::rebuild_offline(&context.config, &plan, context.clock.clone(), gives_up, |bytes| {
        read += bytes;
        progress.at(read, None);
    })?;
    drop(progress);
    print(context, &again("the event log", &rebuilt), "offline", &rebuilt)
}

fn log(context: &Context, gives_up: bool) -> Result<Outcome> {
    let rebuilt = integrity::rebuild_log(&context.config, context.clock.clone(), gives_up)?;
    if rebuilt.lost.is_empty() && rebuilt.kept.is_none() {
        context.print.one("all of the log can be read: nothing was changed", &json!({"rebuilt": null}))?;
        return Ok(Outcome::Done);
    }
    print(context, "the log is made again", "log", &rebuilt)
}

fn state(context: &Context) -> Result<Outcome> {
    let (plan, files) = definitions::in_force_with_files(context)?;
    let mut progress = Progress::new("reading", "events");
    let rebuilt = integrity::rebuild_state(&context.config, context.clock.clone(), |events| progress.at(events, None))?;
    drop(progress);
    // A start over a store without rows builds them.
    let text = definitions::text(&files);
    Engine::start(&context.config, plan, &text, context.clock.clone(), Metrics::new())?.stop()?;
    print(context, &again("the state", &rebuilt), "online", &rebuilt)
}

fn again(what: &str, rebuilt: &Rebuilt) -> String {
    match rebuilt.events {
        Some(events) => format!("{what} of {} is built again", counted(usize::try_from(events).unwrap_or(usize::MAX), "event")),
        None => format!("{what} was built by a run that was ended before it was in its place, where it is now"),
    }
}

fn print(context: &Context, done: &str, part: &str, rebuilt: &Rebuilt) -> Result<Outcome> {
    let mut text = done.to_owned();
    for lost in &rebuilt.lost {
        text += &format!("\n{}: {}", lost.what, lost.meaning);
    }
    if let Some(kept) = &rebuilt.kept {
        text += &format!("\nwhat was there is in {}: delete it when nobody wants to look into it", kept.display());
    }
    let lost: Vec<_> = rebuilt.lost.iter().map(|lost| json!({"what": lost.what, "meaning": lost.meaning})).collect();
    context.print.one(&text, &json!({"rebuilt": part, "events": rebuilt.events, "lost": lost, "kept": rebuilt.kept}))?;
    Ok(Outcome::Done)
}
