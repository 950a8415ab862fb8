//! Windows against a naive scan, before and after storage and trimming; stored bytes against snapshots and mutations.

mod bytes;
mod cut;
mod disorder;
mod fixture;
mod remove;
mod scan;

use proptest::prelude::*;

use self::fixture::{Events, Store, all_features, layout, narrowed, of_long_windows, random, view};
use super::*;
use crate::aggregate::Partial;
use crate::id::Places;
use crate::plan::View;

/// Times with many ties, at the edges of windows, far apart and extreme.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0..300i64, 2 => -50_000..50_000i64, 1 => any::<i64>(), 1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1])]
}

fn events(most: usize) -> impl Strategy<Value = Events> {
    prop::collection::vec((time(), 0..3u32, any::<u64>()), 0..most).prop_map(|rows| Events::new(&rows))
}

/// Query times: those of events, window edges away from them, and any.
fn queries(events: &Events, seeds: &[u64]) -> Vec<(EventTime, Option<Position>)> {
    let near = [0, 1, -1, 7, 10, 11, 17, 100, 107, 1000, 1007];
    let mut queries: Vec<_> = [i64::MIN, 0, i64::MAX].map(|q| (EventTime(q), None)).into();
    for seed in seeds {
        let Some(at) = events.positions.get(*seed as usize % events.positions.len().max(1)) else { continue };
        queries.push((at.time, Some(*at)));
        queries.push((at.time.plus(Span(near[(seed >> 32) as usize % near.len()])), Some(*at)));
    }
    queries
}

fn same(view: &View, layout: &Layout, state: &KeyState, events: &Events, store: &Store, q: EventTime, current: Option<Position>) {
    let features = all_features(layout);
    let mut values = Vec::new();
    state.read(layout, q, current.map(Places::from).as_slice(), &features, store, &mut values).unwrap();
    for (feature, value) in features.iter().zip(&values) {
        let expected = scan::value(view, events, *feature, q, current);
        assert_eq!(*value, expected, "{} at {} without {current:?}", view.features[*feature].name, q.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_equal_a_naive_scan(events in events(300), seeds in prop::collection::vec(any::<u64>(), 4), left_out in left_out(), ttl in ttl()) {
        let view = View { ttl, ..view() };
        let layout = layout(&view, left_out);
        let inputs = events.inputs();
        let mut state = KeyState::new(&layout);
        (0..events.positions.len()).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
        prop_assert_eq!(state.last_event(), events.positions.iter().map(|at| at.time).max());
        for (q, current) in queries(&events, &seeds) {
            same(&view, &layout, &state, &events, &Store::default(), q, current);
        }
    }

    #[test]
    fn storage_changes_nothing(events in events(500), seeds in prop::collection::vec(any::<u64>(), 3), first in 0usize..500, load in any::<bool>(), left_out in left_out(), ttl in ttl()) {
        let view = View { ttl, ..view() };
        let layout = layout(&view, left_out);
        let inputs = events.inputs();
        let mut state = KeyState::new(&layout);
        let mut store = Store::default();
        let cut = first.min(events.positions.len());
        (0..cut).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
        state = store.reload(&layout, state);
        if load {
            same(&view, &layout, &state, &events.first(cut), &store, EventTime(150), None);
        }
        (cut..events.positions.len()).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
        for (q, current) in queries(&events, &seeds) {
            same(&view, &layout, &state, &events, &store, q, current);
        }
        outgrow(&mut state.root, &mut random(seed_of(&events)));
        state = store.reload(&layout, state);
        for (q, current) in queries(&events, &seeds) {
            same(&view, &layout, &state, &events, &store, q, current);
        }
    }

    #[test]
    fn trimming_changes_no_window_after_the_horizon(events in events(400), horizon in -100..300i64, back in 0..40i64, reload in any::<bool>(), left_out in left_out(), ttl in ttl(), drop_tiles in any::<bool>()) {
        let view = View { ttl, ..view() };
        let layout = layout(&view, left_out);
        let inputs = events.inputs();
        let (mut state, mut store) = (KeyState::new(&layout), Store::default());
        let half = events.positions.len() / 2;
        (0..half).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
        if reload {
            state = store.reload(&layout, state);
        }
        if drop_tiles {
            outgrow(&mut state.root, &mut random(seed_of(&events)));
        }
        for horizon in [horizon - back, horizon] {
            state.trim(&layout, EventTime(horizon), &store).unwrap();
        }
        // What comes late but after the horizon still counts; what comes before it is the engine's to refuse.
        let kept: Vec<usize> = (0..events.positions.len()).filter(|row| *row < half || events.positions[*row].time.0 >= horizon).collect();
        kept.iter().filter(|row| **row >= half).for_each(|row| state.insert(&layout, events.positions[*row], &inputs, *row));
        let known = events.only(&kept);
        let near = (0..12).map(|step| EventTime(horizon + 7 + step * step));
        let asked: Vec<_> = (0..12).map(|step| EventTime(horizon + 1_007 + 13 * step)).chain(near).collect();
        for _ in 0..2 {
            asked.iter().for_each(|q| same_behind(&view, &layout, &state, &known, &store, horizon, *q));
            state = store.reload(&layout, state);
        }
    }
}

/// Of a view: often none.
fn ttl() -> impl Strategy<Value = Option<Span>> {
    prop_oneof![3 => Just(None), 2 => (0..20i64).prop_map(|ttl| Some(Span(ttl))), 1 => (20..2_000i64).prop_map(|ttl| Some(Span(ttl)))]
}

/// Bits of parts that tiles leave out: often none.
fn left_out() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]
}

fn seed_of(events: &Events) -> u64 {
    events.positions.iter().map(|at| at.offset.0).sum()
}

/// Makes partials of some tiles absent, as those are that outgrew their tile.
fn outgrow(node: &mut tree::Node, next: &mut impl FnMut() -> u64) {
    let tree::Node::Inner(inner) = node else { return };
    let inner = Arc::make_mut(inner);
    for slot in 0..4 {
        if !inner.children[slot].is_empty() {
            inner.partials_mut(slot).iter_mut().filter(|_| next().is_multiple_of(3)).for_each(|partial| *partial = Partial::Absent);
        }
        outgrow(&mut inner.children[slot], next);
    }
}

/// Compares all windows whose raw events cannot lie before the horizon.
fn same_behind(view: &View, layout: &Layout, state: &KeyState, events: &Events, store: &Store, horizon: i64, q: EventTime) {
    let reaches = |feature: &usize| q.minus(view.features[*feature].window.reach()) >= EventTime(horizon);
    let features: Vec<usize> = all_features(layout).into_iter().filter(reaches).collect();
    let mut values = Vec::new();
    state.read(layout, q, &[], &features, store, &mut values).unwrap();
    for (feature, value) in features.iter().zip(&values) {
        assert_eq!(*value, scan::value(view, events, *feature, q, None), "{} at {}", view.features[*feature].name, q.0);
    }
}

#[test]
fn a_map_of_very_many_keys_costs_little_beside_its_events() {
    const NAME: &str = "max_by_amount_at_1000_open";
    let narrow = narrowed(|feature| feature.name == NAME);
    let layout = Layout::new(&narrow);
    // Nearly every event has a key of its own.
    let rows: Vec<(i64, u32, u64)> = (0..20_000).map(|row| (row, 0, row as u64)).collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&narrow, &events.batch()).unwrap();
    let mut state = KeyState::new(&layout);
    (0..rows.len()).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    assert!(state.root.bytes() < 400 * rows.len(), "{} bytes for an event", state.root.bytes() / rows.len());
    let mut store = Store::default();
    let row = store.put(&layout, &mut state);
    assert!(row.len() < 20_000, "{} bytes of a row", row.len());
    let (q, mut found) = (events.positions[19_900].time, Vec::new());
    state.read(&layout, q, &[], &[0], &store, &mut found).unwrap();
    let wide = view();
    let feature = wide.features.iter().position(|feature| feature.name == NAME).unwrap();
    assert_eq!(found, [scan::value(&wide, &events, feature, q, None)]);
}

#[test]
fn a_long_history_survives_chunks_splits_and_trims() {
    long_history(0, None);
}

#[test]
fn a_long_history_survives_where_keys_fall_silent() {
    long_history(0, Some(Span(2_500)));
}

#[test]
fn a_long_history_survives_where_tiles_leave_parts_out() {
    long_history(0x5555_5555_5555_5555, None);
}

fn long_history(left_out: u64, ttl: Option<Span>) {
    let view = of_long_windows();
    let view = View { ttl, ..view };
    let layout = layout(&view, left_out);
    let mut next = random(7);
    // Mostly rising times with late ones, bursts of ties, and gaps.
    let mut now = 0;
    let rows: Vec<(i64, u32, u64)> = (0..9_000)
        .map(|_| {
            now += if next().is_multiple_of(50) { 3_000 } else { (next() % 4) as i64 };
            let late = if next().is_multiple_of(10) { (next() % 2_000) as i64 } else { 0 };
            (now - late, (next() % 3) as u32, next())
        })
        .collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let (mut state, mut store) = (KeyState::new(&layout), Store::default());
    for row in 0..rows.len() {
        state.insert(&layout, events.positions[row], &inputs, row);
        match row % 1_000 {
            // Stored and kept in memory, stored and forgotten, and read in between.
            300 => drop(store.put(&layout, &mut state)),
            600 | 850 => state = store.reload(&layout, state),
            700 if row > 5_000 => {
                same(&view, &layout, &state, &events.first(row + 1), &store, events.positions[row].time, Some(events.positions[row]))
            }
            _ => {}
        }
    }
    state = store.reload(&layout, state);
    assert!(store.chunks.len() > 4, "{} chunks", store.chunks.len());
    for row in [4_000, 8_999] {
        same(&view, &layout, &state, &events, &store, events.positions[row].time, Some(events.positions[row]));
    }
    let horizon = now / 2;
    state.trim(&layout, EventTime(horizon), &store).unwrap();
    let before = store.chunks.len();
    state = store.reload(&layout, state);
    assert!(store.chunks.len() < before, "trimming deletes chunks");
    for q in [horizon + 1_007, now] {
        same_behind(&view, &layout, &state, &events, &store, horizon, EventTime(q));
    }
}

/// A node that keeps one chunk becomes that chunk, which need not be in memory: what the tile over it keeps must stay.
#[test]
fn a_chunk_that_is_left_alone_still_counts() {
    let view = narrowed(|feature| ["count_all", "sum_amount_all", "last_n_amount_all"].contains(&feature.name.as_str()));
    let layout = Layout::new(&view);
    let mut next = random(20_060);
    let mut now = 0;
    let mut time = || {
        now += if next().is_multiple_of(1_000) { 4_000 } else { (next() % 3) as i64 };
        (now, 0, next())
    };
    let rows: Vec<(i64, u32, u64)> = (0..12_000).map(|_| time()).collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let (last, count) = (events.positions[rows.len() - 1].time, [0]);
    assert_eq!(view.features[count[0]].name, "count_all");
    for removes in [false, true] {
        let (mut state, mut store) = (KeyState::new(&layout), Store::default());
        (0..rows.len()).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
        for first in (0..rows.len()).step_by(300) {
            state = store.reload(&layout, state);
            let end = first + 300;
            if !removes {
                state.trim(&layout, events.positions[end - 1].time, &store).unwrap();
                same(&view, &layout, &state, &events, &store, last, None);
                continue;
            }
            for row in first..end {
                assert!(state.remove(&layout, events.positions[row], &store).unwrap());
                let mut counted = Vec::new();
                state.read(&layout, last, &[], &count, &store, &mut counted).unwrap();
                assert_eq!(counted, [Value::Int((rows.len() - row - 1) as i64)]);
            }
            let remaining = events.only(&(end..rows.len()).collect::<Vec<_>>());
            same(&view, &layout, &state, &remaining, &store, last, None);
        }
    }
}

#[test]
fn what_comes_after_later_events_were_forgotten_still_counts() {
    let view = narrowed(|feature| ["sum_amount_rows", "last_n_amount_rows_many", "sum_amount_all"].contains(&feature.name.as_str()));
    let layout = Layout::new(&view);
    let rows: Vec<(i64, u32, u64)> = (0..200).map(|row| ((row * 37) % 200, 0, row as u64)).collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let (mut state, mut store) = (KeyState::new(&layout), Store::default());
    (0..60).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    state.trim(&layout, EventTime(190), &store).unwrap();
    state = store.reload(&layout, state);
    (60..200).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    state = store.reload(&layout, state);
    for q in [199, 1_000] {
        same(&view, &layout, &state, &events, &store, EventTime(q), None);
    }
}

#[test]
fn only_what_changed_is_stored_again() {
    let view = narrowed(|feature| ["sum_amount_10", "max_amount_10", "count_10"].contains(&feature.name.as_str()));
    let layout = Layout::new(&view);
    let rows: Vec<(i64, u32, u64)> = (0..8_200).map(|row| (row * 5, 0, row as u64)).collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let (mut state, mut store) = (KeyState::new(&layout), Store::default());
    (0..8_000).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    store.put(&layout, &mut state);
    let written = store.written;
    assert!(written / 8_000 < 14, "{} bytes per event of one double", written / 8_000);
    (8_000..8_100).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    let row = store.put(&layout, &mut state);
    assert_eq!(store.written, written, "a hundred events wait in the row");
    assert!(row.len() < 6_000, "{}", row.len());
    (8_100..8_200).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    store.put(&layout, &mut state);
    assert!(store.written - written < 3_000, "two hundred events are one segment: {}", store.written - written);
    let state = store.reload(&layout, state);
    let mut out = Vec::new();
    state.read(&layout, EventTime(41_000), &[], &all_features(&layout), &store, &mut out).unwrap();
    assert_eq!(out[0], Value::Int(2), "the events at 40990 and 40995");
}

#[test]
fn a_chunk_that_is_never_read_does_not_grow_without_end() {
    let view = narrowed(|feature| ["sum_amount_1000_open", "count_all"].contains(&feature.name.as_str()));
    let layout = Layout::new(&view);
    let rows: Vec<(i64, u32, u64)> = (0..30_000).map(|row| (row, 0, row as u64)).collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let (mut state, mut store) = (KeyState::new(&layout), Store::default());
    (0..500).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    state = store.reload(&layout, state);
    for first in (500..30_000).step_by(250) {
        (first..first + 250).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
        state.compact(&layout, &store).unwrap();
        store.put(&layout, &mut state);
        let segments = store.chunks.keys().map(|id| ChunkId::from_be_bytes(*id).segment).max();
        assert!(segments <= Some(24), "{segments:?}");
    }
    assert!(store.written < 30_000 * 40, "{} bytes written for an event", store.written / 30_000);
    state = store.reload(&layout, state);
    same(&view, &layout, &state, &events, &store, EventTime(29_000), None);
}

#[test]
fn what_was_encoded_is_read_before_it_is_stored() {
    let view = narrowed(|feature| ["sum_amount_1000_open", "count_10"].contains(&feature.name.as_str()));
    let layout = Layout::new(&view);
    let rows: Vec<(i64, u32, u64)> = (0..900).map(|row| (row, 0, row as u64)).collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let mut store = Store::default();
    let mut state = KeyState::new(&layout);
    (0..500).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    state = store.reload(&layout, state);
    (500..900).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    let mut uncommitted = Vec::new();
    state.encode(&layout, Seq(1), &mut |id, _| uncommitted.push(id));
    assert_eq!(uncommitted.len(), 1, "the new events are a segment of their own");
    let mut out = Vec::new();
    state.read(&layout, EventTime(800), &[], &[all_features(&layout)[0]], &store, &mut out).unwrap();
    assert_eq!(out, [Value::Int(11)]);
}

#[test]
fn windows_are_named_by_their_edges() {
    let rows: Vec<(i64, u32, u64)> = [0, 10, 20, 20, 30].into_iter().map(|time| (time, 0, 0)).collect();
    let events = Events::new(&rows);
    let (layout, inputs) = (Layout::new(&view()), events.inputs());
    let mut state = KeyState::new(&layout);
    (0..5).rev().for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    let count = |name: &str, q: i64, current: Option<usize>| {
        let feature = view().features.iter().position(|feature| feature.name == format!("count_{name}")).unwrap();
        let mut out = Vec::new();
        let current = current.map(|row| events.positions[row]);
        state.read(&layout, EventTime(q), current.map(Places::from).as_slice(), &[feature], &Store::default(), &mut out).unwrap();
        out.remove(0)
    };
    assert_eq!(count("10", 20, None), Value::Int(3), "closed: 10, 20, 20");
    assert_eq!(count("10_open", 20, None), Value::Int(2), "open: 20, 20");
    assert_eq!(count("10_before", 20, None), Value::Int(1), "before: 10");
    assert_eq!(count("10_excluding", 20, Some(2)), Value::Int(2), "its tie stays in");
    assert_eq!(count("10_excluding", 20, None), Value::Int(3), "a lookup leaves nothing out");
    assert_eq!(count("10_offset", 27, None), Value::Int(3), "as 10 at 20");
    assert_eq!(count("all", 20, None), Value::Int(4));
    assert_eq!(count("10", 1_000, None), Value::Int(0), "windows empty by themselves");
    assert_eq!(count("all", -1, None), Value::Int(0), "events after q never count");
}

#[test]
fn a_key_never_seen_has_defaults() {
    let layout = Layout::new(&view());
    let (mut empty, mut read) = (Vec::new(), Vec::new());
    read_empty(&layout, EventTime(0), &all_features(&layout), &mut empty);
    KeyState::new(&layout).read(&layout, EventTime(0), &[], &all_features(&layout), &Store::default(), &mut read).unwrap();
    assert_eq!(empty, read);
    assert!(
        view().features.iter().zip(&empty).any(|(feature, value)| feature.default.is_some() && feature.default.as_ref() == Some(value))
    );
}

#[test]
fn sums_averages_and_counts_share_one_part() {
    let view = view();
    let layout = Layout::new(&view);
    assert!(layout.parts.len() < view.folds.len(), "{} parts for {} folds", layout.parts.len(), view.folds.len());
}

#[test]
fn a_sparse_key_is_small() {
    let events = Events::new(&[(1, 0, 1), (2, 0, 2)]);
    let (layout, inputs) = (Layout::new(&view()), events.inputs());
    let mut state = KeyState::new(&layout);
    (0..2).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    assert!(state.bytes() < 500, "{}", state.bytes());
    assert!(size_of::<KeyState>() <= 144, "{}", size_of::<KeyState>());
}
