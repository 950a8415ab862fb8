//! `forebay verify`

use clap::Args;
use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::proof::{self, Difference, Verification};

use super::Outcome;
use super::assignment::as_json;
use super::context::Context;
use super::definitions::counted;
use super::in_force::{self, Asked, Choice};
use super::output::cell;
use super::progress::Progress;
use super::{lookup, store};

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay verify\n  forebay verify payment_v1 --samples 1000 --seed 7")]
pub(super) struct Arguments {
    /// Vector [default: all vectors that read features]
    vector: Option<String>,
    /// Number of rows to compute, each in three ways
    #[arg(long, default_value_t = 100)]
    samples: usize,
    /// Seed that selects the rows
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    choice: Choice,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    in_force::refuse_features(arguments.choice)?;
    let asked = arguments.vector.as_deref().map_or(Asked::Vectors, Asked::Vector);
    let plan = in_force::plan(context, arguments.choice, asked)?;
    let names: Vec<String> = match &arguments.vector {
        Some(name) if plan.vector(name).is_none() => {
            return Err(lookup::unknown("vector", name, plan.vectors.iter().map(|vector| &vector.name)));
        }
        Some(name) => vec![name.clone()],
        None => plan.vectors.iter().filter(|vector| !vector.reads.is_empty()).map(|vector| vector.name.clone()).collect(),
    };
    let handle = store::state(context, plan.clone())?;
    let (events, recent) = store::events(context, &plan)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("forebay-verify").build();
    let runtime = runtime.map_err(|error| Error::unavailable(format!("cannot start threads: {error}")))?;
    let mut found = Vec::new();
    let mut progress = Progress::new("comparing", "vectors");
    for (done, name) in names.iter().enumerate() {
        progress.at(done as u64, Some(names.len() as u64));
        found.push(runtime.block_on(proof::verify(&handle, &events, recent.clone(), name, arguments.samples, arguments.seed))?);
    }
    drop(progress);
    let text: String = found.iter().map(text).collect();
    context.print.one(&text, &Json::Array(found.iter().map(object).collect()))?;
    let same = found.iter().all(|verification| verification.differences.is_empty());
    Ok(if same { Outcome::Done } else { Outcome::Differences })
}

fn text(verification: &Verification) -> String {
    let Verification { vector, rows, values, differences } = verification;
    let rows = counted(*rows, "row");
    let mut text = format!("{vector}: {rows}, {values} values online, offline and by naive scan: ");
    if differences.is_empty() {
        return text + "the same bits\n";
    }
    text += &format!("{}\n", counted(differences.len(), "difference"));
    for difference in differences {
        let Difference { column, row, online, offline, naive, events } = difference;
        let [online, offline, naive] = [online, offline, naive].map(|value| cell(&as_json(value)));
        text += &format!("  {column} of {row}: online {online}, offline {offline}, naive {naive}\n");
        for event in events {
            text += &format!("    event {} partition {} offset {}\n", event.time, event.partition.0, event.offset.0);
        }
    }
    text
}

fn object(verification: &Verification) -> Json {
    let event = |event: &crate::Position| json!({"time": event.time.to_string(), "partition": event.partition.0, "offset": event.offset.0});
    let difference = |difference: &Difference| {
        json!({
            "column": difference.column, "row": difference.row,
            "online": as_json(&difference.online), "offline": as_json(&difference.offline), "naive": as_json(&difference.naive),
            "events": difference.events.iter().map(event).collect::<Vec<_>>(),
        })
    };
    json!({
        "vector": verification.vector, "rows": verification.rows, "values": verification.values,
        "differences": verification.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}
