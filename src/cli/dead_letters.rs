//! `forebay deadletters`

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::engine::{DeadLetter, DeadLetters, ReplayRequest};
use crate::error::{Error, Result};
use crate::log::embedded::Mode;
use crate::plan::{Plan, Source};
use crate::serve::{replay_answer, replay_body, replay_ends};
use crate::time::{EventTime, Span};

use super::Outcome;
use super::client::{Client, escaped};
use super::context::Context;
use super::definitions::counted;
use super::in_force::{self, Asked, Choice};
use super::lookup::{time, unknown};
use super::progress::Progress;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Count the dead letters by source and reason
    #[command(after_help = "Examples:\n  forebay deadletters list\n  forebay deadletters list payments --output json")]
    List {
        /// Source [default: all sources]
        source: Option<String>,
    },
    /// Print dead letters, each with its reason
    #[command(after_help = "Examples:\n  forebay deadletters show payments --max 3\n  forebay deadletters show payments --reason too_late")]
    Show {
        /// Source of the dead letters
        source: String,
        #[command(flatten)]
        which: Which,
        /// Maximum number of records to print
        #[arg(long, default_value_t = 10, value_name = "RECORDS")]
        max: usize,
    },
    /// Put dead letters back into the log of their source, each one once. Only records that are events by the definitions in
    /// force are put back
    #[command(
        after_help = "New definitions are in force once `forebay serve` has started with them.\n\nExamples:\n  forebay deadletters replay payments --dry-run\n  forebay deadletters replay payments --reason too_late\n  forebay deadletters replay payments --since 2026-01-31T00:00:00Z"
    )]
    Replay {
        /// Source of the dead letters
        source: String,
        #[command(flatten)]
        which: Which,
        /// Print what the replay would do, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Of which dead letters.
#[derive(Args)]
pub(super) struct Which {
    /// Reason of the dead letters, such as too_late [default: all reasons]
    #[arg(long)]
    reason: Option<String>,
    /// Lower bound of the records' log timestamps, inclusive
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<EventTime>,
    /// Upper bound of the records' log timestamps, exclusive
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<EventTime>,
}

impl Which {
    fn request(&self, dry_run: bool) -> ReplayRequest {
        ReplayRequest { reason: self.reason.clone(), since: self.since, until: self.until, before: None, dry_run }
    }
}

pub(super) fn run(context: &Context, command: &Command) -> Result<Outcome> {
    let plan = in_force::plan(context, Choice::default(), Asked::Stored)?;
    match command {
        Command::List { source } => list(context, &plan, source.as_deref())?,
        Command::Show { source, which, max } => show(context, &plan, declared(&plan, source)?, which, *max)?,
        Command::Replay { source, which, dry_run } => replay(context, &plan, declared(&plan, source)?, which.request(*dry_run))?,
    }
    Ok(Outcome::Done)
}

fn declared<'a>(plan: &'a Plan, name: &str) -> Result<&'a Source> {
    let found = plan.source(name).map(|(_, source)| source);
    found.ok_or_else(|| unknown("source", name, plan.sources.iter().map(|source| &source.name)))
}

fn open(context: &Context, plan: &Plan, mode: Mode) -> Result<DeadLetters> {
    DeadLetters::open(&context.config, plan, mode, Arc::clone(&context.clock))
}

/// Dead letters of one reason.
#[derive(Default)]
struct Counted {
    records: u64,
    replayed: u64,
    again: u64,
    newest: i64,
    example: String,
}

fn list(context: &Context, plan: &Plan, only: Option<&str>) -> Result<()> {
    let sources: Vec<&Source> = match only {
        Some(name) => vec![declared(plan, name)?],
        None => plan.sources.iter().collect(),
    };
    let letters = open(context, plan, Mode::ReadOnly)?;
    let mut rows = Vec::new();
    for source in sources {
        let mut reasons: BTreeMap<String, Counted> = BTreeMap::new();
        letters.each(source, |letter, is_done| {
            let counted = reasons.entry(letter.reason).or_default();
            counted.records += 1;
            counted.replayed += u64::from(is_done);
            counted.again += u64::from(letter.again);
            counted.newest = counted.newest.max(letter.timestamp);
            counted.example = letter.message;
            Ok(())
        })?;
        for (reason, Counted { records, replayed, again, newest, example }) in reasons {
            let newest = EventTime(newest - newest.rem_euclid(Span::SECOND.0)).to_string();
            rows.push(vec![
                json!(source.name),
                json!(reason),
                json!(records),
                json!(replayed),
                json!(again),
                json!(newest),
                json!(example),
            ]);
        }
    }
    if rows.is_empty() && context.print.for_people() {
        return context.print.one("nothing was set aside", &Json::Null);
    }
    context.print.rows(&["source", "reason", "records", "replayed", "again", "newest", "latest says"], rows)
}

fn show(context: &Context, plan: &Plan, source: &Source, which: &Which, max: usize) -> Result<()> {
    let (mut found, request) = (Vec::new(), which.request(false));
    open(context, plan, Mode::ReadOnly)?.each(source, |letter, is_done| {
        if found.len() < max && request.takes(&letter) {
            found.push((letter, is_done));
        }
        Ok(())
    })?;
    if !context.print.for_people() {
        return context.print.items(found.iter().map(|(letter, is_done)| object(letter, *is_done)).collect());
    }
    let text: String = found.iter().map(|(letter, is_done)| text(source, letter, *is_done)).collect();
    context.print.one(if text.is_empty() { "there are none of these" } else { &text }, &Json::Null)
}

fn legible(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| bytes.escape_ascii().to_string())
}

fn text(source: &Source, letter: &DeadLetter, is_done: bool) -> String {
    let (at, time) = (format!("{}:{}", letter.partition.0, letter.offset.0), EventTime(letter.timestamp));
    let from = letter.from.map(|(partition, offset)| format!(", read at {}:{}", partition.0, offset.0)).unwrap_or_default();
    let done = if is_done { ", put back" } else { "" };
    let value = letter.value.as_deref().map_or_else(|| "(no value)".to_owned(), legible);
    format!("{} {at}  {}  {time}{from}{done}\n  {}\n  {value}\n", source.dead_letter_topic(), letter.reason, letter.message)
}

fn object(letter: &DeadLetter, is_done: bool) -> Json {
    json!({
        "partition": letter.partition.0, "offset": letter.offset.0, "timestamp": EventTime(letter.timestamp).to_string(),
        "reason": letter.reason, "message": letter.message, "replayed": is_done, "again": letter.again,
        "from": letter.from.map(|(partition, offset)| json!({"partition": partition.0, "offset": offset.0})),
        "key": letter.key.as_deref().map(legible), "value": letter.value.as_deref().map(legible),
    })
}

/// Through the server where one runs, in calls of bounded size; else the folder is opened here.
fn replay(context: &Context, plan: &Plan, source: &Source, mut request: ReplayRequest) -> Result<()> {
    let server = Client::of_running(context);
    let letters = match &server {
        Some(_) => None,
        // What writes has the folder to itself: two at once would put the same records back, into Kafka too.
        None => Some(open(context, plan, if request.dry_run { Mode::ReadOnly } else { Mode::ReadWrite })?),
    };
    let mut progress = Progress::new("putting back", "records");
    let (mut replayed, mut answer) = (0, Json::Null);
    loop {
        let next = match (&server, &letters) {
            (Some(server), _) => {
                let path = format!("/v1/sources/{}/deadletters/replay", escaped(&source.name));
                server.post(&path, &replay_body(&request)).map_err(|error| stopped(error, replayed))?
            }
            (None, Some(letters)) => {
                replay_answer(&source.name, &letters.replay(source, &request).map_err(|error| stopped(error, replayed))?)
            }
            (None, None) => return Err(Error::internal("no log to put records back into")),
        };
        replayed += next["replayed"].as_u64().unwrap_or_default();
        progress.at(replayed, None);
        request.before = Some(replay_ends(&next));
        let more = next["more"] == true && !request.dry_run;
        // What was put back in an earlier call of this run is not what was there before.
        let already = if answer.is_null() { next["already"].clone() } else { answer["already"].take() };
        answer = next;
        answer["already"] = already;
        if !more {
            break;
        }
    }
    drop(progress);
    answer["replayed"] = json!(replayed);
    answer["dry_run"] = json!(request.dry_run);
    context.print.one(&said(source, &answer, server.is_some()), &answer)
}

fn stopped(error: Error, replayed: u64) -> Error {
    match replayed {
        0 => error,
        _ => error.context(format!("{} were put back and are remembered; ask again for the others", counted(replayed as usize, "record"))),
    }
}

fn said(source: &Source, answer: &Json, served: bool) -> String {
    let number = |value: &Json| usize::try_from(value.as_u64().unwrap_or_default()).unwrap_or(usize::MAX);
    let records = number(&answer["replayed"]);
    let more = if answer["more"] == true { "at least " } else { "" };
    let mut text = match answer["dry_run"] == true {
        true => format!("{more}{} would be put back into {}", counted(records, "record"), source.topic()),
        false => format!("{} put back into {}, in the order of their event times", counted(records, "record"), source.topic()),
    };
    text += &format!("; {} before\n", number(&answer["already"]));
    for (reason, left) in answer["left"].as_object().into_iter().flatten() {
        let first = left["first"].as_str().unwrap_or_default();
        text += &format!("  {} left, {reason}: {first}\n", number(&left["records"]));
    }
    if let Some(wanted) = answer["lateness_wanted_ms"].as_i64() {
        let wanted = Span(wanted.saturating_mul(1000)).covering();
        text += &format!(
            "declare lateness '{wanted}', with history at least as long, and start `forebay serve` with it to take those that are too late\n"
        );
    }
    if records > 0 && answer["dry_run"] != true {
        text += if served { "`forebay sources` says what became of them\n" } else { "`forebay serve` takes them in\n" };
    }
    text
}
