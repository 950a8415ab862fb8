//! Events that were taken out again, against states that never saw them.

use proptest::prelude::*;

use super::fixture::{Events, Store, in_chunks, of_long_windows, random, view};
use super::{events, layout, left_out, queries, same, ttl};
use crate::id::{Offset, Position};
use crate::plan::View;
use crate::time::EventTime;
use crate::window::{Inputs, KeyState, Layout};

/// The row of a state that saw these events only, in that order, and nothing of which is in chunks.
fn row_of(layout: &Layout, events: &Events, kept: &[usize], inputs: &Inputs) -> Vec<u8> {
    let mut state = KeyState::new(layout);
    kept.iter().for_each(|row| state.insert(layout, events.positions[*row], inputs, *row));
    Store::default().put(layout, &mut state)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_taken_out_was_never_there(
        events in events(250),
        seeds in prop::collection::vec(any::<u64>(), 3),
        reload in 0u64..3,
        choice in any::<u64>(),
        left_out in left_out(),
        ttl in ttl(),
    ) {
        let view = View { ttl, ..view() };
        let layout = layout(&view, left_out);
        let inputs = events.inputs();
        let mut next = random(choice);
        let (mut state, mut store) = (KeyState::new(&layout), Store::default());
        let mut kept: Vec<usize> = Vec::new();
        for row in 0..events.positions.len() {
            state.insert(&layout, events.positions[row], &inputs, row);
            kept.push(row);
            while !kept.is_empty() && next() % 5 < 2 {
                let gone = kept.swap_remove(next() as usize % kept.len());
                prop_assert!(state.remove(&layout, events.positions[gone], &store).unwrap());
                prop_assert!(!state.remove(&layout, events.positions[gone], &store).unwrap(), "it is gone");
            }
            if reload > 0 && next().is_multiple_of(40) {
                state = store.reload(&layout, state);
            }
        }
        let remaining = events.only(&kept);
        for (q, current) in queries(&remaining, &seeds) {
            same(&view, &layout, &state, &remaining, &store, q, current);
        }
        prop_assert_eq!(state.is_empty(), kept.is_empty());
        prop_assert!(store.chunks.is_empty());
        prop_assert_eq!(store.put(&layout, &mut state), row_of(&layout, &events, &kept, &inputs));
    }
}

#[test]
fn events_are_taken_out_of_chunks() {
    let view = of_long_windows();
    let layout = Layout::new(&view);
    let mut next = random(11);
    let rows = in_chunks(&mut next, 9_000);
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let (mut state, mut store) = (KeyState::new(&layout), Store::default());
    let mut kept: Vec<usize> = Vec::new();
    for row in 0..rows.len() {
        state.insert(&layout, events.positions[row], &inputs, row);
        kept.push(row);
        // Mostly recent events, which wait in the row, and some of any age.
        if next().is_multiple_of(4) {
            let back = if next().is_multiple_of(8) { kept.len() } else { kept.len().min(200) };
            let gone = kept.swap_remove(kept.len() - 1 - next() as usize % back);
            assert!(state.remove(&layout, events.positions[gone], &store).unwrap());
        }
        match row % 1_000 {
            // Stored and kept in memory, and stored and forgotten.
            300 => drop(store.put(&layout, &mut state)),
            600 | 850 => state = store.reload(&layout, state),
            _ => {}
        }
    }
    state = store.reload(&layout, state);
    assert!(store.chunks.len() > 3, "{} chunks", store.chunks.len());
    let check = |state: &KeyState, store: &Store, kept: &[usize]| {
        let remaining = events.only(kept);
        for at in [1, 2, 3].map(|part| remaining.positions[(remaining.positions.len() - 1) * part / 3]) {
            same(&view, &layout, state, &remaining, store, at.time, Some(at));
        }
    };
    check(&state, &store, &kept);

    // Down to what a row holds by itself: no segment stays behind, and the row is that of a state that saw nothing else.
    while kept.len() > 100 {
        let gone = kept.swap_remove(next() as usize % kept.len());
        assert!(state.remove(&layout, events.positions[gone], &store).unwrap());
        if kept.len().is_multiple_of(1_500) {
            state = store.reload(&layout, state);
            check(&state, &store, &kept);
        }
    }
    let row = store.put(&layout, &mut state);
    assert_eq!(store.chunks.len(), 0);
    assert_eq!(row, row_of(&layout, &events, &kept, &inputs));
}

#[test]
fn an_event_that_is_not_there_takes_nothing_out() {
    let events = Events::new(&[(1, 0, 1), (2, 0, 2)]);
    let (layout, inputs) = (Layout::new(&view()), events.inputs());
    let (mut state, store) = (KeyState::new(&layout), Store::default());
    state.insert(&layout, events.positions[0], &inputs, 0);
    let at = events.positions[0];
    for other in [
        events.positions[1],
        Position { time: EventTime(3), ..at },
        Position { partition: crate::Partition(1), ..at },
        Position { offset: Offset(at.offset.0 + 1), ..at },
    ] {
        assert!(!state.remove(&layout, other, &store).unwrap(), "{other:?}");
    }
    assert!(state.remove(&layout, at, &store).unwrap());
    assert!(state.is_empty());
    assert_eq!(state.last_event(), None);
}
