//! Any bytes as the stored state of a key: a state or an error; and a state can be read, trimmed, stored and read again.

use std::collections::BTreeMap;
use std::fs;

use forebay::plan::View;
use forebay::window::{ChunkId, Chunks, Decoded, Inputs, KeyState, Layout};
use forebay::{Error, EventTime, Offset, Partition, Position, Result, Seq};

use super::{Target, plan_of};
use crate::batches::batch;
use crate::cases::random_events;
use crate::chance::Chance;
use crate::folders::here;

/// Definitions that `cases` once drew, as files: kept inputs go on meaning what they meant.
const STATES: usize = 4;
/// Of the seeds of each state; more than 256 are stored in chunks.
const EVENTS: [usize; 4] = [0, 5, 40, 300];
/// Segments of a chunk that a disk gives back; the others are lost.
const SEGMENTS: u16 = 3;
const MIDDLE: i64 = 1_709_251_200_000_000;

/// The only segment that there is, for every chunk that asks.
struct Segment<'a>(&'a [u8]);

impl Chunks for Segment<'_> {
    fn load(&self, id: ChunkId) -> Result<Vec<u8>> {
        let [.., high, low] = id.to_be_bytes();
        if u16::from_be_bytes([high, low]) < SEGMENTS { Ok(self.0.to_vec()) } else { Err(Error::corrupt("a chunk that is not there")) }
    }
}

/// An input is the number of a state, the length of a row (2 bytes), the row, and the bytes of each of its segments.
#[must_use]
pub fn state() -> Target {
    let mut chance = Chance::new(32);
    let (mut layouts, mut seeds) = (Vec::new(), Vec::new());
    for number in 0..STATES {
        let path = here("fuzz/states").join(format!("{number}.bay"));
        let plan = plan_of(&fs::read_to_string(path).expect("definitions of a state"));
        let view = &plan.views[0];
        let layout = Layout::new(view);
        for count in EVENTS {
            let events = random_events(&mut chance, count, 2, false);
            let inputs = Inputs::evaluate(view, &batch(&plan.sources[0].schema, &events)).expect("inputs that cannot fail");
            let mut state = KeyState::new(&layout);
            for (row, event) in events.iter().enumerate() {
                let place = &event.place;
                let at = Position { time: EventTime(place.time), partition: Partition(place.partition), offset: Offset(place.offset) };
                state.insert(&layout, at, &inputs, row);
            }
            if let Some(middle) = events.get(count / 2) {
                state.trim(&layout, EventTime(middle.place.time), &Segment(&[])).expect("a state in memory");
            }
            seeds.push(seed(number, &layout, &mut state));
        }
        layouts.push((layout, all_features(view)));
    }
    let attempt = move |input: &[u8]| {
        let Some((number, rest)) = input.split_first() else { return };
        let (layout, features) = &layouts[usize::from(*number) % layouts.len()];
        let Some((length, rest)) = rest.split_at_checked(2) else { return };
        let length = usize::from(u16::from_le_bytes(length.try_into().expect("two bytes")));
        let (row, segment) = rest.split_at(length.min(rest.len()));
        attempt(layout, features, row, &Segment(segment));
    };
    Target { name: "state", seeds, attempt: Box::new(attempt) }
}

fn all_features(view: &View) -> Vec<usize> {
    (0..view.features.len()).collect()
}

fn seed(number: usize, layout: &Layout, state: &mut KeyState) -> Vec<u8> {
    let mut segments = BTreeMap::new();
    let row = state.encode(layout, Seq(9), &mut |id, bytes| drop(segments.insert(id, bytes.map(<[u8]>::to_vec))));
    let mut input = vec![number as u8];
    input.extend((row.len() as u16).to_le_bytes());
    input.extend(row);
    input.extend(segments.into_values().flatten().next().unwrap_or_default());
    input
}

fn attempt(layout: &Layout, features: &[usize], row: &[u8], segment: &Segment<'_>) {
    let Ok(Decoded::State(mut state, _)) = KeyState::decode(layout, row) else { return };
    let mut values = Vec::new();
    for q in [i64::MIN, 0, MIDDLE, i64::MAX] {
        values.clear();
        let _ = state.read(layout, EventTime(q), &[], features, segment, &mut values);
    }
    let _ = state.trim(layout, EventTime(MIDDLE), segment);
    let again = state.encode(layout, Seq(10), &mut |_, _| {});
    assert!(matches!(KeyState::decode(layout, &again), Ok(Decoded::State(_, Seq(10)))), "what was read is stored so that it can be read");
}
