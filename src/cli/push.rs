//! `forebay push`

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value as Json, json};

use crate::config::Config;
use crate::decode::{self, FileFormat, Payload};
use crate::engine::{Appender, TooLate};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Source;
use crate::record::System;
use crate::serve::frames;
use crate::time::Span;

use super::Outcome;
use super::client::{Client, escaped};
use super::context::Context;
use super::definitions;
use super::lookup::unknown;
use super::order::{self, Order};
use super::output;
use super::progress::Progress;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  forebay push payments payments.ndjson\n  forebay push payments payments.ndjson --order time\n  forebay push payments payments.ndjson --from 3\n  forebay push payments - < payments.ndjson"
)]
pub(super) struct Arguments {
    /// Source to append to
    source: String,
    /// File of the records: NDJSON, CSV or Parquet by the file's name (text also as .gz or .zst), or - for NDJSON from standard
    /// input
    file: String,
    /// Number of the first record to push, counted from 1; a push that ended early prints this number
    #[arg(long, value_name = "RECORD", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// Order of the records [default: the file's order if no record would be too late, otherwise event time if that is safe]
    #[arg(long, value_enum, value_name = "ORDER")]
    order: Option<Order>,
}

/// Records and bytes that go in one step, so that memory is bounded.
const STEP_RECORDS: usize = 20_000;
const STEP_BYTES: usize = 8 << 20;
/// Rejects that are shown.
const REJECTS_SHOWN: usize = 5;

/// What became of the records.
struct Pushed {
    /// Of the file, the record that is pushed first, from 1.
    from: u64,
    accepted: u64,
    rejected: u64,
    /// The first few: the record's number in the file from 0, its line or row, and why.
    rejects: Vec<(u64, u64, String)>,
    /// For each partition the offset after its last record.
    positions: BTreeMap<u64, u64>,
    too_late: TooLate,
    warnings: Vec<String>,
}

impl Pushed {
    fn new(from: u64) -> Self {
        let (rejects, positions, warnings) = Default::default();
        Self { from, accepted: 0, rejected: 0, rejects, positions, too_late: TooLate::default(), warnings }
    }

    fn done(&self) -> u64 {
        self.accepted + self.rejected
    }

    /// Of the file, the record that comes next, from 1.
    fn next(&self) -> u64 {
        self.from + self.done()
    }

    fn reject(&mut self, step: &Step, record: u64, message: &str) {
        if self.rejects.len() < REJECTS_SHOWN {
            let place = usize::try_from(record).ok().and_then(|record| step.places.get(record)).copied().unwrap_or_default();
            self.rejects.push((step.first + record, place, message.to_owned()));
        }
    }

    fn warn(&mut self, warning: &str) {
        if self.warnings.is_empty() {
            self.warnings.push(warning.to_owned());
        }
    }
}

/// Records that go together.
#[derive(Default)]
struct Step {
    payloads: Vec<Vec<u8>>,
    /// The line or row of each.
    places: Vec<u64>,
    bytes: usize,
    /// The number of the first in the file, from 0.
    first: u64,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let plan = definitions::current(context)?.0;
    let (_, source) = plan
        .source(&arguments.source)
        .ok_or_else(|| unknown("source", &arguments.source, plan.sources.iter().map(|source| &source.name)))?;
    let path = Path::new(&arguments.file);
    let is_parquet = FileFormat::of(path).is_ok_and(|format| format == FileFormat::Parquet);
    let (payloads, order): (Box<dyn Iterator<Item = Result<Vec<Payload>>>>, Order) = match arguments.file.as_str() {
        "-" if arguments.order == Some(Order::Time) => {
            return Err(Error::input("standard input is pushed as it comes: write it to a file to have it sorted by event time"));
        }
        "-" => (Box::new(decode::stream_to_records(source, "standard input", Box::new(std::io::stdin()))?), Order::File),
        _ => match order::chosen(context, source, path, arguments.order, arguments.from)? {
            Order::File => (Box::new(decode::file_to_records(source, path)?), Order::File),
            Order::Time => (Box::new(order::by_time(context, source, path)?), Order::Time),
        },
    };
    let mut pushed = Pushed::new(arguments.from);
    let is_kafka = source.origin.system == System::Kafka;
    let ended = match Client::of_running(context) {
        Some(server) => steps(&context.config, payloads, &mut pushed, |step, pushed| {
            through(&server, source, step, pushed).map_err(|error| doubted(error, step, is_kafka))
        }),
        None => {
            let mut appender = Appender::open(&context.config, &plan, &source.name, Arc::clone(&context.clock))?;
            steps(&context.config, payloads, &mut pushed, |step, pushed| {
                directly(&mut appender, step, pushed).map_err(|error| doubted(error, step, is_kafka))
            })
        }
    };
    if pushed.done() > 0 {
        print(context, source, if is_parquet { "row" } else { "line" }, &pushed)?;
    }
    ended.map_err(|error| went_on(error, arguments, order, &pushed))?;
    if pushed.done() == 0 {
        return Err(Error::input(format!("{} has fewer than {} records: nothing was pushed", arguments.file, arguments.from)));
    }
    if pushed.accepted == 0 {
        return Err(Error::input(format!("none of the records is an event of {}: mend them and push the file again", source.name)));
    }
    Ok(Outcome::Done)
}

/// The error of a push that ended early, with what is in and how to go on.
fn went_on(error: Error, arguments: &Arguments, order: Order, pushed: &Pushed) -> Error {
    let Arguments { source, file, from, .. } = arguments;
    let next = pushed.next();
    if pushed.done() == 0 {
        return error;
    }
    let (kind, last) = (error.kind(), next - 1);
    let order = if order == Order::Time { " --order time" } else { "" };
    let records = if *from == last { format!("record {last} of it is") } else { format!("records {from} to {last} of it are") };
    Error::new(kind, format!("{error}; {records} in {source}: go on behind with `forebay push {source} {file} --from {next}{order}`"))
}

/// Takes the records in steps of bounded size, from the one that is pushed first.
fn steps(
    config: &Config,
    payloads: impl Iterator<Item = Result<Vec<Payload>>>,
    pushed: &mut Pushed,
    mut push: impl FnMut(&Step, &mut Pushed) -> Result<()>,
) -> Result<()> {
    let mut progress = Progress::new("pushing", "records");
    let mut step = Step { first: pushed.from - 1, ..Step::default() };
    let mut skipped = 0;
    let (records_max, bytes_max) = (STEP_RECORDS.min(config.records_max), STEP_BYTES.min(config.request_bytes_max as usize));
    for batch in payloads {
        // What comes before a fault of the file is pushed, so that it is a number of records that is in.
        let (batch, fault) = match batch {
            Ok(batch) => (batch, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let skip = batch.len().min(usize::try_from(pushed.from - 1 - skipped).unwrap_or(usize::MAX));
        skipped += skip as u64;
        for payload in batch.into_iter().skip(skip) {
            let bytes = payload.bytes.len() + frames::LENGTH_BYTES;
            if !step.payloads.is_empty() && (step.payloads.len() == records_max || step.bytes + bytes > bytes_max) {
                push(&step, pushed)?;
                step = Step { first: pushed.next() - 1, ..Step::default() };
                progress.at(pushed.done(), None);
            }
            step.bytes += bytes;
            step.places.push(payload.place);
            step.payloads.push(payload.bytes);
        }
        if let Some(error) = fault {
            return if step.payloads.is_empty() { Err(error) } else { push(&step, pushed).and(Err(error)) };
        }
    }
    if !step.payloads.is_empty() {
        push(&step, pushed)?;
    }
    Ok(())
}

/// The error of a step. Where some of it may be in all the same, it says so: Kafka takes records one by one, and an answer may
/// be lost.
fn doubted(error: Error, step: &Step, is_kafka: bool) -> Error {
    let kind = error.kind();
    if !is_kafka && !matches!(kind, ErrorKind::Unavailable | ErrorKind::Internal) {
        return error;
    }
    let (first, last) = (step.first + 1, step.first + step.payloads.len() as u64);
    Error::new(kind, format!("{error}; whether records {first} to {last} of it are in is not known: `forebay topics list` counts them"))
}

fn through(server: &Client, source: &Source, step: &Step, pushed: &mut Pushed) -> Result<()> {
    let path = format!("/v1/sources/{}/events", escaped(&source.name));
    let answer = server.send(&path, frames::CONTENT_TYPE, &frames::write(&step.payloads))?;
    let number = |value: &Json| value.as_u64().ok_or_else(|| Error::internal(format!("the server answered a push with {answer}")));
    let (accepted, rejected) = (number(&answer["accepted"])?, number(&answer["rejected"])?);
    for reject in answer["rejects"].as_array().into_iter().flatten() {
        pushed.reject(step, number(&reject["record"])?, reject["message"].as_str().unwrap_or_default());
    }
    for position in answer["positions"].as_array().into_iter().flatten() {
        pushed.positions.insert(number(&position["partition"])?, number(&position["offset"])?);
    }
    if let (Some(events), Some(behind)) = (answer["too_late"]["records"].as_u64(), answer["too_late"]["lateness_wanted_ms"].as_i64()) {
        pushed.too_late.add(&TooLate { events, behind: Span(behind.saturating_mul(1000)) });
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        pushed.warn(warning.as_str().unwrap_or_default());
    }
    pushed.accepted += accepted;
    pushed.rejected += rejected;
    Ok(())
}

/// Appends to the log itself. Records that do not decode are appended as well: the engine sets them aside with their
/// bytes when it reads them.
fn directly(appender: &mut Appender, step: &Step, pushed: &mut Pushed) -> Result<()> {
    let receipt = appender.push(&step.payloads)?;
    pushed.too_late.add(&receipt.too_late);
    for (record, message) in &receipt.rejects {
        pushed.reject(step, *record as u64, message);
    }
    pushed.positions.extend(receipt.positions.iter().map(|(partition, offset)| (u64::from(partition.0), offset.0)));
    receipt.warnings.iter().for_each(|warning| pushed.warn(warning));
    pushed.accepted += receipt.accepted;
    pushed.rejected += receipt.rejected;
    Ok(())
}

fn print(context: &Context, declared: &Source, unit: &str, pushed: &Pushed) -> Result<()> {
    let source = &declared.name;
    let positions: Vec<_> =
        pushed.positions.iter().map(|(partition, offset)| json!({"source": source, "partition": partition, "offset": offset})).collect();
    let mut text = format!("{} accepted, {} rejected\n", pushed.accepted, pushed.rejected);
    for (_, place, message) in &pushed.rejects {
        text.push_str(&format!("  {unit} {place}: {message}\n"));
    }
    if pushed.rejected > 0 {
        text.push_str("rejected records go to the dead-letter topic with their bytes and the reason\n");
    }
    for (partition, offset) in &pushed.positions {
        text.push_str(&format!("{source} partition {partition}: next offset {offset}\n"));
    }
    let reject = |(record, place, message): &(u64, u64, String)| json!({"record": record, unit: place, "message": message});
    let rejects: Vec<_> = pushed.rejects.iter().map(reject).collect();
    let mut object = json!({"accepted": pushed.accepted, "rejected": pushed.rejected, "rejects": rejects, "positions": positions});
    if !pushed.warnings.is_empty() {
        object["warnings"] = json!(pushed.warnings);
    }
    let TooLate { events, behind } = pushed.too_late;
    if events > 0 {
        object["too_late"] = json!({"records": events, "lateness_wanted_ms": behind.0.saturating_add(999) / 1000});
        output::complain(&format!(
            "warning: {events} of the {} accepted records will be set aside as too late, up to {} behind earlier ones (lateness {}): declare \
             lateness '{}', with history at least as long, and put them back with `forebay deadletters replay {source}`\n",
            pushed.accepted,
            behind.roughly(),
            declared.lateness,
            behind.covering()
        ));
    }
    pushed.warnings.iter().for_each(|warning| output::complain(&format!("warning: {warning}\n")));
    context.print.one(&text, &object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_in_all_the_same_is_said() {
        let step = Step { payloads: vec![Vec::new(); 3], first: 20, ..Step::default() };
        let unknown = "away; whether records 21 to 23 of it are in is not known: `forebay topics list` counts them";
        for (error, is_kafka, message) in [
            (Error::unavailable("away"), false, unknown),
            (Error::internal("away"), false, unknown),
            (Error::input("away"), true, unknown),
            (Error::input("away"), false, "away"),
            (Error::conflict("away"), false, "away"),
        ] {
            assert_eq!(doubted(error, &step, is_kafka).to_string(), message);
        }
    }

    #[test]
    fn a_push_that_ended_early_tells_how_to_go_on() {
        let arguments = Arguments { source: "e".into(), file: "e.csv".into(), from: 5, order: None };
        let pushed = |accepted, rejected| Pushed { accepted, rejected, ..Pushed::new(5) };
        for (pushed, message) in [
            (pushed(0, 0), "away"),
            (pushed(1, 0), "away; record 5 of it is in e: go on behind with `forebay push e e.csv --from 6`"),
            (pushed(1, 1), "away; records 5 to 6 of it are in e: go on behind with `forebay push e e.csv --from 7`"),
        ] {
            assert_eq!(went_on(Error::input("away"), &arguments, Order::File, &pushed).to_string(), message);
        }
        // The number of a record is of the order in which records are pushed.
        let said = went_on(Error::input("away"), &arguments, Order::Time, &pushed(1, 1)).to_string();
        assert!(said.ends_with("`forebay push e e.csv --from 7 --order time`"), "{said}");
    }
}
