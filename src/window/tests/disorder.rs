//! Events that come after later ones were forgotten: a value is right, or said to be unknown.

use proptest::prelude::*;

use super::fixture::{Events, Store, all_features, narrowed, view};
use super::{events, layout, left_out, scan, ttl};
use crate::plan::View;
use crate::time::EventTime;
use crate::window::{Inputs, KeyState, Known, Layout};

/// Reads one feature, and holds it to a naive scan of all events where it is said to be known.
fn right_or_unknown(view: &View, layout: &Layout, state: &KeyState, events: &Events, store: &Store, q: EventTime, feature: usize) -> Known {
    let mut values = Vec::new();
    let known = state.read(layout, q, &[], &[feature], store, &mut values).unwrap();
    match known {
        Known::All => assert_eq!(values[0], scan::value(view, events, feature, q, None), "{} at {}", view.features[feature].name, q.0),
        Known::NotInOrder => assert!(state.is_disordered()),
    }
    known
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_came_too_late_for_its_order_is_never_a_plausible_value(events in events(300), horizon in -100..300i64, left_out in left_out(), ttl in ttl()) {
        let view = View { ttl, ..view() };
        let layout = layout(&view, left_out);
        let inputs = events.inputs();
        let (mut state, mut store) = (KeyState::new(&layout), Store::default());
        let half = events.positions.len() / 2;
        (0..half).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
        state.trim(&layout, EventTime(horizon), &store).unwrap();
        (half..events.positions.len()).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
        for _ in 0..2 {
            for q in [1_007, 1_050].map(|after| EventTime(horizon + after)) {
                let reaches = |feature: &usize| q.minus(view.features[*feature].window.reach()) >= EventTime(horizon);
                for feature in all_features(&layout).into_iter().filter(reaches) {
                    right_or_unknown(&view, &layout, &state, &events, &store, q, feature);
                }
            }
            state = store.reload(&layout, state);
            state.trim(&layout, EventTime(horizon), &store).unwrap();
        }
    }
}

/// Which features lose what: those that fold in order over forgotten events, and no others.
#[test]
fn only_what_depends_on_the_order_of_forgotten_events_is_unknown() {
    let named = ["count_all", "sum_amount_all", "first_amount_all", "last_n_amount_all", "count_10", "count_session", "count_session_wide"];
    let view = narrowed(|feature| named.contains(&feature.name.as_str()));
    let layout = Layout::new(&view);
    // A run of 100 events, forgotten up to 80; then one from far before them.
    let rows: Vec<(i64, u32, u64)> = (0..100).map(|row| (row, 0, row as u64)).chain([(-5_000, 1, 7)]).collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let (mut state, mut store) = (KeyState::new(&layout), Store::default());
    (0..100).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    state.trim(&layout, EventTime(80), &store).unwrap();
    assert!(!state.is_disordered());
    state.insert(&layout, events.positions[100], &inputs, 100);
    state = store.reload(&layout, state);
    assert!(state.is_disordered(), "the row says so");
    for feature in all_features(&layout) {
        let known = right_or_unknown(&view, &layout, &state, &events, &store, EventTime(99), feature);
        let expected = if view.features[feature].name.contains("session") { Known::NotInOrder } else { Known::All };
        assert_eq!(known, expected, "{}", view.features[feature].name);
        // Beyond the gap of either session nothing forgotten counts.
        assert_eq!(right_or_unknown(&view, &layout, &state, &events, &store, EventTime(5_000), feature), Known::All);
    }
}
