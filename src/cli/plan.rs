//! `forebay plan`

use std::fmt;
use std::path::Path;

use arrow::array::Array;
use clap::Args;
use serde_json::{Value as Json, json};

use crate::engine;
use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::id::Seq;
use crate::offline;
use crate::plan::{self, Change, Difference, Kind, Plan, Scan, Source, WindowBounds};
use crate::window::Layout;

use super::Outcome;
use super::context::Context;
use super::definitions::{self, Applied};
use super::output::complain;
use super::store;

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay plan\n  forebay plan --output json")]
pub(super) struct Arguments {}

pub(super) fn run(context: &Context, _: &Arguments) -> Result<Outcome> {
    let (new, _) = definitions::current(context)?;
    let compared = against_applied(context, &new)?;
    let Compared { difference, refused, .. } = &compared;
    // Nothing is computed over stored events that do not go together with the definitions.
    let (costs, untimed) = match refused.is_empty() {
        true => (costs(&context.offline_folder(), &new, difference)?, untimed(context, &new, difference)?),
        false => Default::default(),
    };
    let mut text = compared.to_string();
    for Untimed { source, column, events, without } in &untimed {
        text.push_str(&format!("  {source}: {without} of {events} stored events have no {column}\n"));
    }
    for cost in &costs {
        text.push_str(&format!("  {}: {} events to read, about {} of state\n", cost.view, cost.events, size(cost.state_bytes)));
    }
    let scans = scans(&new, difference);
    for (feature, scan) in &scans {
        text.push_str(&format!("  {feature}: {scan}\n"));
    }
    let endless = keep_every_key(&new, difference);
    for view in &endless {
        text.push_str(&format!(
            "  {view}: keeps something of every key for ever; `ttl '90 days'` after its source drops those that are silent for longer\n"
        ));
    }
    let costs: Vec<_> =
        costs.iter().map(|cost| json!({"view": cost.view, "events": cost.events, "state_bytes": cost.state_bytes})).collect();
    let mut object = as_json(&compared);
    object["cost"] = Json::Array(costs);
    object["scans"] = scans.iter().map(|(feature, scan)| json!({"feature": feature, "events_of": scan.name()})).collect();
    object["keep_every_key"] = json!(endless);
    let without = |untimed: &Untimed| json!({"source": untimed.source, "column": untimed.column, "events": untimed.events, "without": untimed.without});
    object["events_without_time"] = untimed.iter().map(without).collect();
    context.print.one(&text, &object)?;
    Ok(if difference.is_empty() && refused.is_empty() { Outcome::Done } else { Outcome::Differences })
}

/// What definitions would change.
pub(super) struct Compared {
    pub difference: Difference,
    /// Why a start over what is stored would refuse them, each with the way out.
    pub refused: Vec<String>,
    /// Whether anything was applied before.
    pub was_applied: bool,
}

/// The difference, and a line with `!` for each reason why it cannot be.
impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.difference)?;
        self.refused.iter().try_for_each(|refused| writeln!(f, "! {refused}"))
    }
}

impl Compared {
    /// # Errors
    /// `Input` where a start would refuse the definitions.
    pub fn possible(&self) -> Result<()> {
        if self.refused.is_empty() { Ok(()) } else { Err(Error::input(self.refused.join("; "))) }
    }
}

/// Compares the new plan with what was applied and with what is stored.
pub(super) fn against_applied(context: &Context, new: &Plan) -> Result<Compared> {
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
    let refused = engine::objections(&context.config, new, Some(&old))?;
    Ok(Compared { difference: plan::diff(&old, new), refused, was_applied })
}

pub(super) fn as_json(Compared { difference, refused, was_applied: _ }: &Compared) -> Json {
    let Difference {
        added,
        removed,
        streams_renamed,
        clauses_changed,
        features_added,
        features_changed,
        features_removed,
        features_renamed,
        views_reused,
        views_rebuilt,
        views_added,
        views_removed,
        vectors_changed,
        models_touched,
        model_files_changed,
    } = difference;
    let renamed = |names: &[(String, String)]| names.iter().map(|(from, to)| json!({"from": from, "to": to})).collect::<Vec<_>>();
    let changed = |change: &Change| {
        let (kind, name, clause) = (change.kind.name(), &change.name, &change.clause);
        json!({"what": kind, "name": name, "clause": clause, "from": change.old, "to": change.new, "effect": change.effect()})
    };
    json!({
        "added": added,
        "removed": removed,
        "streams_renamed": renamed(streams_renamed),
        "clauses_changed": clauses_changed.iter().map(changed).collect::<Vec<_>>(),
        "features_added": features_added,
        "features_changed": features_changed,
        "features_removed": features_removed,
        "features_renamed": renamed(features_renamed),
        "views_reused": views_reused,
        "views_rebuilt": views_rebuilt,
        "views_added": views_added,
        "views_removed": views_removed,
        "vectors_changed": vectors_changed,
        "models_touched": models_touched,
        "model_files_changed": model_files_changed,
        "refused": refused,
    })
}

/// How many stored events of a source have no event time by the column that becomes it.
struct Untimed {
    source: String,
    column: String,
    events: usize,
    without: usize,
}

fn untimed(context: &Context, plan: &Plan, difference: &Difference) -> Result<Vec<Untimed>> {
    let is_retimed = |change: &&Change| change.kind == Kind::Source && change.clause == "event time";
    let retimed = difference.clauses_changed.iter().filter(is_retimed).filter_map(|change| plan.source(&change.name));
    let retimed: Vec<&Source> = retimed.map(|(_, source)| source).collect();
    if retimed.is_empty() {
        return Ok(Vec::new());
    }
    let (store, recent) = store::events(context, plan)?;
    store.reload()?;
    let snapshot = store.snapshot();
    let count = |source: &&Source| {
        let column = source.fields[source.event_time].name.clone();
        let mut found = Untimed { source: source.name.clone(), column, events: 0, without: 0 };
        let mut add = |batch: &EventBatch| -> Result<()> {
            let times = batch.times(source.event_time)?;
            for (row, _) in batch.retractions()?.enumerate().filter(|(_, retracted)| retracted.is_none()) {
                found.events += 1;
                found.without += usize::from(times.is_null(row));
            }
            Ok(())
        };
        for file in snapshot.files(source)? {
            add(&EventBatch { source: source.name.clone(), rows: snapshot.read(file, source)? })?;
        }
        for batch in recent.iter().filter(|batch| batch.source == source.name) {
            add(&batch.between(snapshot.upto(), Seq::MAX)?)?;
        }
        Ok(found)
    };
    retimed.iter().map(count).collect()
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
        let lifetime = view.features.iter().any(|feature| feature.window.frame == WindowBounds::All && feature.window.limit.is_none());
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

/// The new views whose silent keys never go, because no window that reaches them is bounded in time. Those of tables are meant to
/// keep each key's attributes.
fn keep_every_key(plan: &Plan, difference: &Difference) -> Vec<String> {
    let is_new = |view: &&plan::View| difference.views_added.contains(&view.name);
    let is_table = |view: &plan::View| view.rows.sources().any(|source| plan.sources[source].files.is_some());
    let endless = |view: &&plan::View| view.ttl.is_none() && !is_table(view) && !Layout::new(view).forgets_all();
    plan.views.iter().filter(is_new).filter(endless).map(|view| view.name.clone()).collect()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
