//! What was cut out of a state, read while the state goes on: it is what it was, whatever is inserted, taken out, stored
//! anew and forgotten since.

use super::fixture::{Events, Store, in_chunks, of_long_windows, random};
use super::{queries, same};
use crate::time::EventTime;
use crate::window::{Inputs, KeyState, Layout};

struct Cut {
    state: KeyState,
    /// The chunks as they were.
    store: Store,
    kept: Vec<usize>,
}

fn copy(store: &Store) -> Store {
    Store { chunks: store.chunks.clone(), written: 0 }
}

#[test]
fn a_cut_stays_what_it_was() {
    let view = of_long_windows();
    let layout = Layout::new(&view);
    for seed in [3, 5] {
        let mut next = random(seed);
        let rows = in_chunks(&mut next, 4_000);
        let events = Events::new(&rows);
        let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
        let (mut state, mut store) = (KeyState::new(&layout), Store::default());
        // What the latest rows were put over: until they are durable, that is what is read.
        let mut before = copy(&store);
        let (mut kept, mut cuts): (Vec<usize>, Vec<Cut>) = Default::default();
        for row in 0..rows.len() {
            state.insert(&layout, events.positions[row], &inputs, row);
            kept.push(row);
            if next().is_multiple_of(5) {
                let back = if next().is_multiple_of(8) { kept.len() } else { kept.len().min(200) };
                let gone = kept.swap_remove(kept.len() - 1 - next() as usize % back);
                assert!(state.remove(&layout, events.positions[gone], &store).unwrap());
            }
            if next().is_multiple_of(300) {
                before = copy(&store);
                state.compact(&layout, &store).unwrap();
                let stored = store.put(&layout, &mut state);
                if next().is_multiple_of(3) {
                    state = match KeyState::decode(&layout, &stored).unwrap() {
                        crate::window::Decoded::State(state, _) => state,
                        crate::window::Decoded::Incomplete => panic!("the same layout must read its own rows"),
                    };
                    // It left memory: its rows are durable.
                    before = copy(&store);
                }
            }
            if next().is_multiple_of(300) {
                let store = copy(if next().is_multiple_of(2) { &store } else { &before });
                cuts.push(Cut { state: state.cut(), store, kept: kept.clone() });
            }
        }
        // Nothing is read of a cut before the state has gone on, and forgotten.
        before.chunks.clear();
        state.trim(&layout, EventTime(rows[rows.len() - 1].0 / 2), &store).unwrap();
        store.put(&layout, &mut state);
        assert!(cuts.len() > 5, "{}", cuts.len());
        for Cut { state, store, kept } in cuts {
            let known = events.only(&kept);
            for (q, current) in queries(&known, &[next(), next()]) {
                same(&view, &layout, &state, &known, &store, q, current);
            }
        }
    }
}
