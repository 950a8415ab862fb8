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
    /// Build the state again from the events: those in Parquet, those that wait for it, and the logs
    #[command(after_help = "Examples:\n  forebay rebuild state")]
    State,
    /// Build the event log in Parquet again: what is whole of it, and what is missing from online and the logs
    Offline(OfflineArguments),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay rebuild offline")]
pub(super) struct OfflineArguments {
    /// Build it without events that nothing holds any more
    #[arg(long)]
    give_up: bool,
}

pub(super) fn run(context: &Context, command: &Command) -> Result<Outcome> {
    match command {
        Command::State => state(context),
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
    print(context, "the event log", "offline", &rebuilt)
}

fn state(context: &Context) -> Result<Outcome> {
    let (plan, files) = definitions::in_force_with_files(context)?;
    let mut progress = Progress::new("reading", "events");
    let rebuilt = integrity::rebuild_state(&context.config, context.clock.clone(), |events| progress.at(events, None))?;
    drop(progress);
    // A start over a store without rows builds them.
    let text = definitions::text(&files);
    Engine::start(&context.config, plan, &text, context.clock.clone(), Metrics::new())?.stop()?;
    print(context, "the state", "online", &rebuilt)
}

fn print(context: &Context, what: &str, part: &str, rebuilt: &Rebuilt) -> Result<Outcome> {
    let events = counted(usize::try_from(rebuilt.events).unwrap_or(usize::MAX), "event");
    let mut text = format!("{what} of {events} is built again");
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
