//! `forebay explain`

use clap::Args;
use serde_json::json;

use crate::EventTime;
use crate::error::{Error, Result};
use crate::proof::{self, Explanation};

use super::Outcome;
use super::assignment::{self, Assignment, as_json};
use super::context::Context;
use super::in_force::{self, Asked, Choice};
use super::lookup::{self, Row};
use super::output::cell;
use super::store;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  forebay explain payment_v1.spend_1h user_id=7 --as-of 2026-01-31T12:30:00Z\n  forebay explain payment_v1.decline_rate user_id=7 --as-of 2026-01-31T12:30:00Z --output json"
)]
pub(super) struct Arguments {
    /// Vector and column of the value
    #[arg(value_name = "VECTOR.FEATURE")]
    feature: String,
    /// Keys of the vector; a vector that has only request columns takes no keys
    #[arg(value_name = "KEY=VALUE")]
    keys: Vec<Assignment>,
    #[command(flatten)]
    row: Row,
    #[command(flatten)]
    choice: Choice,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let (vector, column) = arguments
        .feature
        .split_once('.')
        .ok_or_else(|| Error::input(format!("{} is no VECTOR.FEATURE, such as fraud_v1.txn_count_1h", arguments.feature)))?;
    let plan = in_force::plan(context, arguments.choice, Asked::Vector(vector))?;
    let place = plan.vectors.iter().position(|declared| declared.name == vector);
    let place = place.ok_or_else(|| lookup::unknown("vector", vector, plan.vectors.iter().map(|vector| &vector.name)))?;
    let request = lookup::request(&plan, place, &arguments.keys, &arguments.row)?;
    let handle = store::state(context, plan.clone())?;
    let (events, recent) = store::events(context, &plan)?;
    let as_of = request.as_of.unwrap_or(EventTime(context.clock.now().0));
    let row = request.rows.into_iter().next().unwrap_or_default();
    let explanation = proof::explain(&handle, &events, &recent, vector, column, row, as_of)?;
    context.print.one(&text(&explanation), &object(&explanation))?;
    Ok(Outcome::Done)
}

fn text(explanation: &Explanation) -> String {
    let value = |value| cell(&as_json(value));
    let mut text = format!("{} = {}\n{}\n", explanation.column, value(&explanation.value), explanation.meaning);
    for (name, input) in &explanation.inputs {
        text += &format!("  {name} = {}\n", value(input));
    }
    for event in &explanation.events {
        let inputs: Vec<String> = event.inputs.iter().map(value).collect();
        let counted = if event.counted { "" } else { "  (its where does not hold)" };
        let at = event.position;
        let numbered = [("part", event.part), ("element", event.element)].into_iter();
        let row: String = numbered.filter_map(|(what, number)| Some(format!("  ({what} {})", number?))).collect();
        let (source, inputs) = (&event.source, inputs.join(", "));
        text += &format!("  {} {source} partition {} offset {}{row}  {inputs}{counted}\n", at.time, at.partition.0, at.offset.0);
    }
    text
}

fn object(explanation: &Explanation) -> serde_json::Value {
    let event = |event: &proof::UsedEvent| {
        json!({
            "source": event.source, "time": event.position.time.to_string(), "partition": event.position.partition.0, "offset": event.position.offset.0,
            "part": event.part, "element": event.element, "inputs": event.inputs.iter().map(as_json).collect::<Vec<_>>(), "counted": event.counted,
        })
    };
    json!({
        "column": explanation.column, "value": as_json(&explanation.value), "meaning": explanation.meaning,
        "as_of": explanation.as_of.to_string(), "inputs": assignment::object(explanation.inputs.iter().map(|(name, value)| (name, value))),
        "events": explanation.events.iter().map(event).collect::<Vec<_>>(),
    })
}
