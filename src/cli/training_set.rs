//! `forebay training-set`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::engine;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::training::{self, Output, Request};

use super::Outcome;
use super::context::Context;
use super::definitions::counted;
use super::in_force::{self, Asked, Choice};
use super::output::complain;
use super::progress::Progress;
use super::store;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  forebay training-set payment_v1 --spine spine.csv --out train.parquet\n  forebay training-set payment_v1 --spine spine.csv --out train.csv --as-known\n  forebay training-set payment_v1 --spine spine.csv --out train.parquet --definitions features"
)]
pub(super) struct Arguments {
    /// Vector of the training set
    vector: String,
    #[command(flatten)]
    spine: SpineArguments,
    #[command(flatten)]
    choice: Choice,
}

/// Which rows, at which times, and where the result goes.
#[derive(Args)]
pub(super) struct SpineArguments {
    /// Spine, a file of keys and times: Parquet, CSV or NDJSON by the file's name
    #[arg(long, value_name = "FILE")]
    pub spine: PathBuf,
    /// Output file: Parquet, CSV or NDJSON by the file's name
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Spine column of the query times [default: a column named like the event time of a source, event_time or time]
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// Source whose events are the rows of the spine
    #[arg(long, value_name = "SOURCE")]
    pub event: Option<String>,
    /// Use only the events that were known at each row's cut, instead of all events that are known now
    #[arg(long)]
    pub as_known: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let plan = in_force::plan(context, arguments.choice, Asked::Vector(&arguments.vector))?;
    let output = made(context, &plan, &arguments.vector, &arguments.spine)?;
    training::write_table(&arguments.spine.out, &output.batches)?;
    print(context, &arguments.spine, &output, 0)?;
    Ok(Outcome::Done)
}

/// The training set of a spine.
pub(super) fn made(context: &Context, plan: &Plan, vector: &str, arguments: &SpineArguments) -> Result<Output> {
    let spine = training::read_spine(&arguments.spine)?;
    for index in &spine.left_out {
        let file = arguments.spine.display();
        complain(&format!("{file}: {index} is an index of pandas without a name, and is left out: name it, to have it handed through\n"));
    }
    if let Some(vector) = plan.vector(vector) {
        let event = arguments.event.as_deref().and_then(|name| plan.source(name)).map(|(index, _)| index);
        engine::check_read(&context.config, plan, vector, event)?;
    }
    let (events, recent) = store::events(context, plan)?;
    let request = Request {
        vector: vector.to_owned(),
        spine,
        time: arguments.time.clone(),
        event: arguments.event.clone(),
        as_known: arguments.as_known,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("forebay-training").build();
    let runtime = runtime.map_err(|error| Error::unavailable(format!("cannot start threads: {error}")))?;
    let mut progress = Progress::new("computing the training set", "rows");
    runtime.block_on(async {
        let made = training::training_set(plan, &events, recent, request);
        let watching = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                progress.at(0, None);
            }
        };
        tokio::select! {
            made = made => made,
            () = watching => Err(Error::internal("nobody waits any more")),
        }
    })
}

/// `unscored`: how many rows were to get a score and got none.
pub(super) fn print(context: &Context, arguments: &SpineArguments, output: &Output, unscored: usize) -> Result<()> {
    let report = &output.report;
    let (out, matched) = (arguments.out.display(), report.matched);
    let events = counted(usize::try_from(report.events).unwrap_or(usize::MAX), "event");
    let matched_text = if arguments.event.is_some() { format!(", {matched} rows are events") } else { String::new() };
    let unscored_text = match unscored {
        0 => String::new(),
        _ => format!(", {} without a score: the column score_error says why", counted(unscored, "row")),
    };
    let text = format!(
        "{} from {events} in {out}{matched_text}{unscored_text}",
        counted(usize::try_from(report.rows).unwrap_or(usize::MAX), "row")
    );
    let seconds = |stage: &training::Stage| (stage.name.to_owned(), json!(stage.time.as_secs_f64()));
    let stages: serde_json::Map<_, _> = report.stages.iter().map(seconds).collect();
    let mut object =
        json!({"rows": report.rows, "events": report.events, "matched": matched, "out": arguments.out, "stage_seconds": stages});
    if unscored > 0 {
        object["unscored"] = json!(unscored);
    }
    context.print.one(&text, &object)
}
