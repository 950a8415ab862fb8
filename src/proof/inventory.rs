//! What the stored state takes: by view, by window, by the span of tiles, and the heaviest keys. Reads every stored row.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::error::Result;
use crate::online::Store;
use crate::plan::{Plan, View};
use crate::time::{EventTime, Span};
use crate::window::{Layout, Sizes};

/// What one view's keys take, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub view: String,
    pub keys: u64,
    /// Raw events.
    pub events: u64,
    pub rows: u64,
    pub chunks: u64,
    /// Of `rows`: what is kept of forgotten events.
    pub base: u64,
    /// Of `rows`, by the span of their intervals: how many tiles, and their bytes.
    pub tiles: BTreeMap<Span, (u64, u64)>,
    /// Each window of the view, the shortest reach first.
    pub windows: Vec<WindowShare>,
    /// The keys with the most bytes, the heaviest first.
    pub heaviest: Vec<Heavy>,
}

/// Raw events that a window reaches at the latest event that is stored.
#[derive(Clone, Debug)]
pub struct WindowShare {
    /// In the words of the language.
    pub window: String,
    pub features: usize,
    /// `None` where the window has no bound in time.
    pub reach: Option<Span>,
    pub events: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heavy {
    pub bytes: u64,
    pub events: u64,
    pub key: Vec<u8>,
}

/// Takes stock of a view as of the store's last commit.
///
/// # Errors
/// Those of the store, and `Corrupt` for rows that cannot be read.
pub fn inventory(store: &Store, plan: &Plan, view: usize, most: usize) -> Result<Inventory> {
    let view = &plan.views[view];
    let layout = Layout::new(view);
    let mut found = Inventory { view: view.name.clone(), ..Inventory::default() };
    let mut heaviest: BinaryHeap<Reverse<Heavy>> = BinaryHeap::new();
    let mut by_time: BTreeMap<EventTime, u64> = BTreeMap::new();
    store.rows(view.id, |key, row| {
        let chunks = store.chunk_bytes(view.id, key)?;
        found.keys += 1;
        found.rows += row.len() as u64;
        found.chunks += chunks;
        let sizes = Sizes::of(&layout, row)?.unwrap_or_default();
        found.events += sizes.events;
        found.base += sizes.base;
        for (span, (number, bytes)) in sizes.tiles {
            let tiles = found.tiles.entry(span).or_default();
            tiles.0 += number;
            tiles.1 += bytes;
        }
        // By the minute: as fine as anybody reads it, and bounded.
        sizes.times.iter().for_each(|(time, events)| *by_time.entry(minute(*time)).or_default() += events);
        heaviest.push(Reverse(Heavy { bytes: row.len() as u64 + chunks, events: sizes.events, key: key.to_vec() }));
        if heaviest.len() > most {
            heaviest.pop();
        }
        Ok(())
    })?;
    found.windows = windows(view, &by_time);
    found.heaviest = heaviest.into_sorted_vec().into_iter().map(|Reverse(heavy)| heavy).collect();
    Ok(found)
}

fn minute(time: EventTime) -> EventTime {
    EventTime(time.0 - time.0.rem_euclid(Span::MINUTE.0))
}

fn windows(view: &View, by_time: &BTreeMap<EventTime, u64>) -> Vec<WindowShare> {
    let mut windows: BTreeMap<(Option<Span>, String), usize> = BTreeMap::new();
    for feature in &view.features {
        let bounded = feature.window.earliest(EventTime::MAX) > EventTime::MIN;
        let reach = bounded.then(|| feature.window.reach());
        *windows.entry((reach, feature.window.to_string())).or_default() += 1;
    }
    let latest = by_time.keys().next_back().copied().unwrap_or(EventTime::MIN);
    let mut shares: Vec<WindowShare> = windows
        .into_iter()
        .map(|((reach, window), features)| {
            let from = reach.map_or(EventTime::MIN, |reach| latest.minus(reach));
            WindowShare { window, features, reach, events: by_time.range(from..).map(|(_, events)| events).sum() }
        })
        .collect();
    shares.sort_by_key(|share| share.reach.unwrap_or(Span(i64::MAX)));
    shares
}
