//! `forebay plan`

use std::path::Path;

use clap::Args;
use serde_json::{Value as Json, json};

use crate::error::Result;
use crate::offline;
use crate::plan::{self, Difference, Frame, Plan, Retyped, Scan};

use super::Outcome;
use super::context::Context;
use super::definitions::{self, Applied};
use super::output::complain;

#[derive(Args)]
pub(super) struct Arguments {}

pub(super) fn run(context: &Context, _: &Arguments) -> Result<Outcome> {
    let (new, _) = definitions::current(context)?;
    let (difference, _) = against_applied(context, &new)?;
    // Nothing is rebuilt of columns that stored events have as another type.
    let costs = if difference.columns_retyped.is_empty() { costs(&context.offline_folder(), &new, &difference)? } else { Vec::new() };
    let mut text = difference.to_string();
    for cost in &costs {
        text.push_str(&format!("  {}: {} events to read, about {} of state\n", cost.view, cost.events, size(cost.state_bytes)));
    }
    let scans = scans(&new, &difference);
    for (feature, scan) in &scans {
        text.push_str(&format!("  {feature}: {scan}\n"));
    }
    let costs: Vec<_> =
        costs.iter().map(|cost| json!({"view": cost.view, "events": cost.events, "state_bytes": cost.state_bytes})).collect();
    let mut object = as_json(&difference);
    object["cost"] = Json::Array(costs);
    object["scans"] = scans.iter().map(|(feature, scan)| json!({"feature": feature, "events_of": scan.name()})).collect();
    context.print.one(&text, &object)?;
    Ok(if difference.is_empty() { Outcome::Done } else { Outcome::Differences })
}

/// What the new plan would change, and whether anything was applied before.
pub(super) fn against_applied(context: &Context, new: &Plan) -> Result<(Difference, bool)> {
    let applied = Applied::load(context)?;
    let was_applied = applied.is_some();
    let old = match applied.map(|applied| applied.plan()) {
        None => Plan::default(),
        Some(Some(plan)) => plan,
        Some(None) => {
            complain("warning: the applied definitions no longer compile (a model's file may be gone), so everything is shown as new\n");
            Plan::default()
        }
    };
    Ok((plan::diff(&old, new), was_applied))
}

pub(super) fn as_json(difference: &Difference) -> Json {
    json!({
        "features_added": difference.features_added,
        "features_changed": difference.features_changed,
        "features_removed": difference.features_removed,
        "features_renamed": difference.features_renamed.iter().map(|(from, to)| json!({"from": from, "to": to})).collect::<Vec<_>>(),
        "views_reused": difference.views_reused,
        "views_rebuilt": difference.views_rebuilt,
        "views_removed": difference.views_removed,
        "vectors_changed": difference.vectors_changed,
        "models_touched": difference.models_touched,
        "model_files_changed": difference.model_files_changed,
        "columns_retyped": difference.columns_retyped.iter().map(|Retyped { column, old, new }| {
            json!({"column": column, "from": old.to_string(), "to": new.to_string()})
        }).collect::<Vec<_>>(),
    })
}

/// What rebuilding a view takes.
struct Cost {
    view: String,
    /// Stored events of its sources.
    events: u64,
    /// Of the events within the longest window and the history.
    state_bytes: u64,
}

/// Bytes of state for an event that a window may still ask for.
const EVENT_BYTES: u64 = 12;

fn costs(folder: &Path, plan: &Plan, difference: &Difference) -> Result<Vec<Cost>> {
    let rebuilt = plan.views.iter().filter(|view| difference.views_rebuilt.contains(&view.name));
    let store = offline::Store::open_read_only(folder)?.snapshot();
    let cost = |view: &plan::View| {
        let lifetime = view.features.iter().any(|feature| feature.window.frame == Frame::All && feature.window.limit.is_none());
        let mut cost = Cost { view: view.name.clone(), events: 0, state_bytes: 0 };
        for source in view.rows.sources() {
            let source = &plan.sources[source];
            let files = store.files(source)?;
            cost.events += files.iter().map(|file| file.rows).sum::<u64>();
            let last = files.iter().map(|file| file.time_max).max();
            let reach = plan::View::window_max(view).0.saturating_add(source.history.0);
            let kept = |file: &&&offline::FileEntry| lifetime || last.is_some_and(|last| file.time_max.0 >= last.0.saturating_sub(reach));
            cost.state_bytes += files.iter().filter(kept).map(|file| file.rows).sum::<u64>() * EVENT_BYTES;
        }
        Ok(cost)
    };
    rebuilt.map(cost).collect()
}

/// The new and changed features that are read event by event.
fn scans(plan: &Plan, difference: &Difference) -> Vec<(String, Scan)> {
    let named = |view: &plan::View, feature: &plan::Feature| {
        let name = format!("{}.{}", view.name, feature.name);
        let is_new = difference.features_added.contains(&name) || difference.features_changed.contains(&name);
        Some((name, Scan::of(view, feature)?)).filter(|_| is_new)
    };
    let mut scans: Vec<_> = plan.views.iter().flat_map(|view| view.features.iter().filter_map(|feature| named(view, feature))).collect();
    scans.sort_by(|a, b| a.0.cmp(&b.0));
    scans
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
