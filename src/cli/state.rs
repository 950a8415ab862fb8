//! `forebay state`

use clap::Args;
use serde_json::{Value as Json, json};

use crate::engine;
use crate::error::Result;
use crate::key::values_of;
use crate::plan::{Plan, View};
use crate::proof::{Inventory, inventory};

use super::Outcome;
use super::assignment::object;
use super::context::Context;
use super::in_force::{self, Asked, Choice};
use super::lookup::unknown;
use super::output::table;

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay state\n  forebay state user_payments --top 10")]
pub(super) struct Arguments {
    /// View [default: all views]
    view: Option<String>,
    /// Number of the heaviest keys to show for each view
    #[arg(long, default_value_t = 5, value_name = "KEYS")]
    top: usize,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let plan = in_force::plan(context, Choice::default(), Asked::Stored)?;
    if let Some(name) = &arguments.view
        && !plan.views.iter().any(|view| view.name == *name)
    {
        return Err(unknown("view", name, plan.views.iter().map(|view| &view.name)));
    }
    let store = engine::open_rows(&context.config, &plan)?.store;
    let mut found = Vec::new();
    for (index, view) in plan.views.iter().enumerate() {
        if arguments.view.as_ref().is_none_or(|name| view.name == *name) {
            found.push((view, inventory(&store, &plan, index, arguments.top)?));
        }
    }
    context.print.one(&text(&plan, &found), &Json::Array(found.iter().map(|(view, found)| as_object(&plan, view, found)).collect()))?;
    Ok(Outcome::Done)
}

fn text(plan: &Plan, found: &[(&View, Inventory)]) -> String {
    let mut text = String::new();
    let mut section = |columns: &[&str], rows: Vec<Vec<Json>>| {
        if !rows.is_empty() {
            let blank = if text.is_empty() { "" } else { "\n" };
            text += &format!("{blank}{}", table(columns, &rows));
        }
    };
    let views = found.iter().map(|(_, view)| {
        let bytes = view.rows + view.chunks;
        vec![
            json!(view.view),
            json!(view.keys),
            json!(view.events),
            json!(bytes),
            json!(bytes.checked_div(view.keys)),
            json!(view.rows),
            json!(view.chunks),
            json!(tile_bytes(view)),
            json!(view.base),
        ]
    });
    section(&["view", "keys", "events", "bytes", "bytes/key", "rows", "chunks", "tiles", "base"], views.collect());
    let windows = found.iter().flat_map(|(_, view)| {
        view.windows.iter().map(|share| vec![json!(view.view), json!(share.window), json!(share.features), json!(share.events)])
    });
    section(&["view", "window", "features", "events"], windows.collect());
    let tiles = found.iter().flat_map(|(_, view)| {
        view.tiles.iter().map(|(span, (number, bytes))| vec![json!(view.view), json!(span.roughly()), json!(number), json!(bytes)])
    });
    section(&["view", "tiles of", "number", "bytes"], tiles.collect());
    let keys = found.iter().flat_map(|(view, found)| {
        let heavy = |heavy: &crate::proof::Heavy| {
            let key = key_object(plan, view, &heavy.key).to_string();
            vec![json!(found.view), json!(key), json!(heavy.events), json!(heavy.bytes)]
        };
        found.heaviest.iter().map(heavy).collect::<Vec<_>>()
    });
    section(&["view", "heaviest keys", "events", "bytes"], keys.collect());
    text
}

fn as_object(plan: &Plan, view: &View, found: &Inventory) -> Json {
    json!({
        "view": found.view,
        "keys": found.keys,
        "events": found.events,
        "bytes": {"rows": found.rows, "chunks": found.chunks, "tiles": tile_bytes(found), "base": found.base},
        "windows": found.windows.iter().map(|share| json!({
            "window": share.window, "features": share.features, "events": share.events,
        })).collect::<Vec<_>>(),
        "tiles": found.tiles.iter().map(|(span, (number, bytes))| json!({
            "span_us": span.0, "number": number, "bytes": bytes,
        })).collect::<Vec<_>>(),
        "heaviest": found.heaviest.iter().map(|heavy| json!({
            "key": key_object(plan, view, &heavy.key), "events": heavy.events, "bytes": heavy.bytes,
        })).collect::<Vec<_>>(),
    })
}

fn tile_bytes(found: &Inventory) -> u64 {
    found.tiles.values().map(|(_, bytes)| bytes).sum()
}

/// A key by its columns' names; its bytes where they are none of a key.
fn key_object(plan: &Plan, view: &View, key: &[u8]) -> Json {
    let names = plan.entities[view.entity].keys.iter().map(|field| &field.name);
    match values_of(key) {
        Some(values) => object(names.zip(&values)),
        None => json!(format!("{key:02x?}")),
    }
}
