//! `forebay push`

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value as Json, json};

use crate::decode::{self, FileFormat, Payloads};
use crate::engine::push_without_engine;
use crate::error::{Error, Result};
use crate::plan::{Plan, Source};

use super::Outcome;
use super::client::{Client, escaped};
use super::context::Context;
use super::definitions;
use super::lookup::unknown;
use super::progress::Progress;

#[derive(Args)]
pub(super) struct Arguments {
    /// The source
    source: String,
    /// The records: NDJSON, CSV or Parquet by the file's name; - is NDJSON from standard input
    file: String,
}

/// Records and bytes that go in one step, so that memory is bounded.
const STEP_RECORDS: usize = 20_000;
const STEP_BYTES: usize = 8 << 20;
/// Rejects that are shown.
const REJECTS_SHOWN: usize = 5;

/// What became of the records.
#[derive(Default)]
struct Pushed {
    accepted: u64,
    rejected: u64,
    /// The first few: the record's place in the file, and why.
    rejects: Vec<(u64, String)>,
    /// For each partition the offset after its last record.
    positions: BTreeMap<u64, u64>,
}

impl Pushed {
    fn done(&self) -> u64 {
        self.accepted + self.rejected
    }

    fn reject(&mut self, record: u64, message: &str) {
        if self.rejects.len() < REJECTS_SHOWN {
            self.rejects.push((record, message.to_owned()));
        }
    }
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let plan = definitions::current(context)?.0;
    let (_, source) = plan
        .source(&arguments.source)
        .ok_or_else(|| unknown("source", &arguments.source, plan.sources.iter().map(|source| &source.name)))?;
    let mut payloads = match arguments.file.as_str() {
        "-" => decode::reader_to_records(source, FileFormat::Ndjson, "standard input", Box::new(std::io::stdin()))?,
        path => decode::file_to_records(source, Path::new(path))?,
    };
    let mut pushed = Pushed::default();
    match Client::of_running(context) {
        Some(server) => steps(&mut payloads, &mut pushed, |step, pushed| through(&server, source, step, pushed))?,
        None => steps(&mut payloads, &mut pushed, |step, pushed| directly(context, &plan, source, step, pushed))?,
    }
    print(context, &source.name, &pushed)?;
    Ok(Outcome::Done)
}

/// Takes the records in steps of bounded size.
fn steps(payloads: &mut Payloads, pushed: &mut Pushed, mut push: impl FnMut(&[Vec<u8>], &mut Pushed) -> Result<()>) -> Result<()> {
    let mut progress = Progress::new();
    let mut step: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    for batch in payloads {
        let batch = batch?;
        bytes += batch.iter().map(Vec::len).sum::<usize>();
        step.extend(batch);
        if step.len() >= STEP_RECORDS || bytes >= STEP_BYTES {
            push(&step, pushed)?;
            step.clear();
            bytes = 0;
            progress.at(pushed.done(), "records");
        }
    }
    if !step.is_empty() {
        push(&step, pushed)?;
    }
    Ok(())
}

fn through(server: &Client, source: &Source, step: &[Vec<u8>], pushed: &mut Pushed) -> Result<()> {
    let first = pushed.done();
    let mut body = step.join(&b'\n');
    body.push(b'\n');
    let answer = server.send(&format!("/v1/sources/{}/events", escaped(&source.name)), "application/x-ndjson", &body)?;
    let number = |value: &Json| value.as_u64().ok_or_else(|| Error::internal(format!("the server answered a push with {answer}")));
    pushed.accepted += number(&answer["accepted"])?;
    pushed.rejected += number(&answer["rejected"])?;
    for reject in answer["rejects"].as_array().into_iter().flatten() {
        pushed.reject(first + number(&reject["record"])?, reject["message"].as_str().unwrap_or_default());
    }
    for position in answer["positions"].as_array().into_iter().flatten() {
        pushed.positions.insert(number(&position["partition"])?, number(&position["offset"])?);
    }
    Ok(())
}

/// Appends to the log itself. Records that do not decode are appended as well: the engine sets them aside with their
/// bytes when it reads them.
fn directly(context: &Context, plan: &Plan, source: &Source, step: &[Vec<u8>], pushed: &mut Pushed) -> Result<()> {
    let first = pushed.done();
    let receipt = push_without_engine(&context.config, plan, &source.name, step, Arc::clone(&context.clock))?;
    pushed.accepted += receipt.accepted;
    pushed.rejected += receipt.rejected;
    for (record, message) in &receipt.rejects {
        pushed.reject(first + *record as u64, message);
    }
    pushed.positions.extend(receipt.positions.iter().map(|(partition, offset)| (u64::from(partition.0), offset.0)));
    Ok(())
}

fn print(context: &Context, source: &str, pushed: &Pushed) -> Result<()> {
    let positions: Vec<_> =
        pushed.positions.iter().map(|(partition, offset)| json!({"source": source, "partition": partition, "offset": offset})).collect();
    let mut text = match pushed.done() {
        0 => "there were no records\n".to_owned(),
        _ => format!("{} accepted, {} rejected\n", pushed.accepted, pushed.rejected),
    };
    for (record, message) in &pushed.rejects {
        text.push_str(&format!("  record {}: {message}\n", record + 1));
    }
    if pushed.rejected > 0 {
        text.push_str("rejected records go to the dead-letter topic with their bytes and the reason\n");
    }
    for (partition, offset) in &pushed.positions {
        text.push_str(&format!("{source} partition {partition}: next offset {offset}\n"));
    }
    let rejects: Vec<_> = pushed.rejects.iter().map(|(record, message)| json!({"record": record, "message": message})).collect();
    let object = json!({"accepted": pushed.accepted, "rejected": pushed.rejected, "rejects": rejects, "positions": positions});
    context.print.one(&text, &object)
}
