//! Stored bytes: snapshots, rows of other sets of features, and bytes that nobody wrote.

use super::fixture::{Events, Store, all_features, narrowed, random, view};
use super::*;
use crate::ErrorKind;

fn state_of(layout: &Layout, events: &Events) -> KeyState {
    let inputs = events.inputs();
    let mut state = KeyState::new(layout);
    (0..events.positions.len()).for_each(|row| state.insert(layout, events.positions[row], &inputs, row));
    state
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn rows_are_what_they_were() {
    let view = narrowed(|feature| ["sum_amount_10", "count_all"].contains(&feature.name.as_str()));
    let layout = Layout::new(&view);
    let events = Events::new(&[(-5, 0, 1), (3, 1, 2), (3, 0, 3)]);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let mut state = KeyState::new(&layout);
    (0..3).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    state.trim(&layout, EventTime(0), &Store::default()).unwrap();
    let row = Store::default().put(&layout, &mut state);
    assert_eq!(hex(&row), INLINE_ROW);

    let Decoded::State(mut earlier, _) = KeyState::decode(&layout, &unhex(INLINE_ROW_PLAIN)).unwrap() else { panic!("a row") };
    assert_eq!(hex(&Store::default().put(&layout, &mut earlier)), INLINE_ROW, "a row of the earlier format is read");
    let mut leaf = leaf::Leaf::default();
    stored::rows::decode_segment(&layout, &unhex(SEGMENT_PLAIN), &mut leaf).unwrap();
    let mut whole = leaf::Leaf::default();
    earlier.root.gather(&layout, &mut whole);
    assert_eq!(leaf.words, whole.words, "so is a segment");

    let rows: Vec<(i64, u32, u64)> = (0..300).map(|row| (row * 1_000, 0, 4)).collect();
    let events = Events::new(&rows);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let mut state = KeyState::new(&layout);
    (0..300).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    let mut store = Store::default();
    let row = store.put(&layout, &mut state);
    assert_eq!(hex(&row), CHUNKED_ROW);
    let (id, segment) = store.chunks.first_key_value().unwrap();
    assert_eq!(format!("{} {} bytes, xxh3 {:016x}", hex(id), segment.len(), xxhash_rust::xxh3::xxh3_64(segment)), SEGMENT);
}

#[test]
fn rows_with_runs_and_last_rows_are_what_they_were() {
    let view = narrowed(|feature| ["sum_n_session", "sum_n_rows", "count_where_ok_session_limit"].contains(&feature.name.as_str()));
    let layout = Layout::new(&view);
    let events = Events::new(&[(-30, 0, 1), (-6, 0, 3), (-1, 1, 2), (3, 0, 3)]);
    let inputs = Inputs::evaluate(&view, &events.batch()).unwrap();
    let mut state = KeyState::new(&layout);
    (0..4).for_each(|row| state.insert(&layout, events.positions[row], &inputs, row));
    state.trim(&layout, EventTime(0), &Store::default()).unwrap();
    assert_eq!(hex(&Store::default().put(&layout, &mut state)), ROW_OF_RUNS);
}

const ROW_OF_RUNS: &str = "040501028de0408132e95281012689367b205c16ce0103000000000000800100ffffffffffffff7f0217782c5ee4a6ac0b01faffffffffffff7fffffffffffffff7f017e6875573bb8bfb8050200020101d0042b95defcc0ec01ffffffffffffff7fffffffffffffff7f013cf709fb76676d0b01010293d7149bd52bfdee03c44b0ecc89d82c470303e2ffffffffffff7f18050100000180897a8292f401fd887a0102040d0601030103000000000000800000869bee02010006";
const INLINE_ROW: &str = "030501038320539a7dd9c71d00010300000000000080010181d8ad25a897213701010302030000000000008000010001849bee0281897a01ff84eb51b81ed55540cdcccccccc7c57c0";
/// The same of the format before powers of ten, and two of its events as a segment.
const INLINE_ROW_PLAIN: &str = "010501038320539a7dd9c71d00010300000000000080010181d8ad25a897213701010302030000000000008000010001849bee0281897a0184eb51b81ed55540cdcccccccc7c57c0";
const SEGMENT_PLAIN: &str = "0101038320539a7dd9c71d0002030000000000008000010001849bee0281897a0184eb51b81ed55540cdcccccccc7c57c0";
const CHUNKED_ROW: &str =
    "030501038320539a7dd9c71d0001f88f04000000008000040281d8ad25a89721374897e02ce8102c150220000000000000000001ac02f88f04000000008000";
const SEGMENT: &str = "0000000000000000200000 3327 bytes, xxh3 f34d84c8c9d8e5eb";

#[test]
fn a_row_serves_fewer_features_and_asks_for_a_rebuild_for_more() {
    let (wide, narrow) =
        (view(), narrowed(|feature| feature.name.starts_with("sum_amount") || feature.name.starts_with("last_n_category")));
    let (wide_layout, narrow_layout) = (Layout::new(&wide), Layout::new(&narrow));
    for count in [3, 200, 1_000, 5_000] {
        let rows: Vec<(i64, u32, u64)> = (0..count).map(|row| (row * 3, 0, row as u64)).collect();
        let events = Events::new(&rows);
        let (mut state, mut store) = (state_of(&wide_layout, &events), Store::default());
        state.trim(&wide_layout, EventTime(1), &Store::default()).unwrap();
        let row = store.put(&wide_layout, &mut state);
        let Decoded::State(narrowed, _) = KeyState::decode(&narrow_layout, &row).unwrap() else {
            panic!("narrower layouts read wider rows")
        };
        let q = EventTime(count * 3 / 2);
        let (mut got, mut expected) = (Vec::new(), Vec::new());
        narrowed.read(&narrow_layout, q, &[], &all_features(&narrow_layout), &store, &mut got).unwrap();
        let same: Vec<usize> =
            narrow.features.iter().map(|feature| wide.features.iter().position(|other| other.name == feature.name).unwrap()).collect();
        state.read(&wide_layout, q, &[], &same, &store, &mut expected).unwrap();
        assert_eq!(got, expected);
        let mut narrow_state = narrowed;
        let row = Store::default().put(&narrow_layout, &mut narrow_state);
        assert!(matches!(KeyState::decode(&wide_layout, &row).unwrap(), Decoded::Incomplete));
    }
}

#[test]
fn another_version_is_named() {
    let layout = Layout::new(&view());
    let Err(error) = KeyState::decode(&layout, &[9]) else { panic!("format 9 is unknown") };
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn wrong_bytes_are_errors_and_never_panics() {
    let layout = Layout::new(&view());
    let mut next = random(3);
    for count in [0, 1, 40, 300, 3_000] {
        let rows: Vec<(i64, u32, u64)> = (0..count).map(|row| ((next() % 5_000) as i64, (row % 2) as u32, next())).collect();
        let (mut state, mut store) = (state_of(&layout, &Events::new(&rows)), Store::default());
        state.trim(&layout, EventTime(200), &Store::default()).unwrap();
        let row = store.put(&layout, &mut state);
        for round in 0..if count > 1_000 { 60 } else { 300 } {
            let mut wrong = row.clone();
            mutate(&mut wrong, &mut next);
            if round % 2 == 1 {
                wrong.clone_from(&row);
                store.chunks.values_mut().for_each(|segment| mutate(segment, &mut next));
            }
            if let Ok(Decoded::State(mut state, _)) = KeyState::decode(&layout, &wrong) {
                let mut out = Vec::new();
                let _ = state.read(&layout, EventTime(2_500), &[], &all_features(&layout), &store, &mut out);
                let _ = state.trim(&layout, EventTime(1_000), &store);
                let _ = state.encode(&layout, Seq(1), &mut |_, _| {});
            }
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, next: &mut impl FnMut() -> u64) {
    for _ in 0..=next() % 3 {
        let at = next() as usize % bytes.len().max(1);
        match next() % 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), next() as u8),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (next() % 8)),
        }
    }
}
