//! The state of one key, in process, against the naive oracle: any order of arrival, ties, edges of windows, nulls,
//! extremes, events taken out again, rows written and read back, trimmed history. Thousands of values per run, each equal to the bit.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use forebay::language::{SourceFile, compile};
use forebay::plan::{ModelSignature, Plan};
use forebay::window::{ChunkId, Chunks, Decoded, Inputs, KeyState, Layout, read_empty};
use forebay::{Error, EventTime, Offset, Partition, Places, Position, Result, Seq};
use forebay_integration::batches::{batch, cell};
use forebay_integration::cases::{DAY, Definitions, HOUR, MINUTE, random_definitions, random_events, random_query};
use forebay_integration::chance::Chance;
use forebay_integration::oracle::{Event, Place, cell::rfc3339, compute, living, print_computed};

const DEFINITIONS: usize = 40;
const FEATURES: usize = 24;
const CASES: usize = 30;
const HOT_KEYS: usize = 3;
const QUERIES: usize = 6;

/// Chunks as a store would keep them.
#[derive(Default)]
struct Kept(RefCell<HashMap<ChunkId, Vec<u8>>>);

impl Chunks for Kept {
    fn load(&self, id: ChunkId) -> Result<Vec<u8>> {
        self.0.borrow().get(&id).cloned().ok_or_else(|| Error::corrupt("a chunk that was never put"))
    }
}

fn plan_of(text: &str) -> Plan {
    let files = [SourceFile { path: "test.bay".into(), text: text.to_owned() }];
    let no_models = |_: &Path| -> Result<ModelSignature> { Err(Error::not_found("no models here")) };
    let compiled = compile(&files, &no_models);
    compiled.plan.unwrap_or_else(|| panic!("{:?}\n{text}", compiled.diagnostics))
}

fn position(place: Place) -> Position {
    Position { time: EventTime(place.time), partition: Partition(place.partition), offset: Offset(place.offset) }
}

/// A state that goes through rows and chunks now and then.
struct Subject<'a> {
    layout: &'a Layout,
    state: KeyState,
    kept: Kept,
}

impl Subject<'_> {
    fn write_and_read_back(&mut self) {
        let kept = &self.kept;
        let mut put = |id: ChunkId, bytes: Option<&[u8]>| {
            match bytes {
                Some(bytes) => kept.0.borrow_mut().insert(id, bytes.to_vec()),
                None => kept.0.borrow_mut().remove(&id),
            };
        };
        let row = self.state.encode(self.layout, Seq(7), &mut put);
        let Ok(Decoded::State(state, seq)) = KeyState::decode(self.layout, &row) else { panic!("a row that was just written") };
        assert_eq!(seq, Seq(7));
        self.state = state;
    }

    /// Compares every feature at `q`.
    fn compare(&self, definitions: &Definitions, seen: &[Event], q: i64, current: Option<Place>) {
        self.compare_behind(i64::MIN, definitions, seen, q, current);
    }

    /// Compares every feature whose raw events cannot lie before the horizon.
    fn compare_behind(&self, horizon: i64, definitions: &Definitions, seen: &[Event], q: i64, current: Option<Place>) {
        let reaches = |feature: &usize| q.saturating_sub(definitions.features[*feature].window.reach()) >= horizon;
        let asked: Vec<usize> = (0..definitions.features.len()).filter(reaches).collect();
        let mut values = Vec::new();
        let read = self.state.read(
            self.layout,
            EventTime(q),
            current.map(|place| Places::from(position(place))).as_slice(),
            &asked,
            &self.kept,
            &mut values,
        );
        read.expect("a read of what is kept");
        let living = living(seen, q, definitions.ttl);
        for (feature, value) in asked.iter().map(|feature| &definitions.features[*feature]).zip(&values) {
            let (expected, actual) = (compute(feature, &living, q, current), cell(value));
            assert!(
                expected.same(&actual),
                "{} at {} for {current:?} over {} events: the oracle says {expected}, the state {actual}\n{}",
                definitions.text.lines().find(|line| line.trim_start().starts_with(&format!("{} =", feature.name))).unwrap_or_default(),
                rfc3339(q),
                seen.len(),
                definitions.text,
            );
        }
    }
}

#[test]
fn values_equal_the_oracle_in_any_order_of_arrival() {
    let mut chance = Chance::for_test(1);
    for index in 0..DEFINITIONS {
        let definitions = random_definitions(&mut chance, FEATURES, 3);
        let plan = plan_of(&definitions.text);
        let view = &plan.views[0];
        let layout = Layout::new(view);
        for case in 0..CASES {
            // A few keys are hot enough for their history to lie in chunks.
            let hot = index < HOT_KEYS && case == 0;
            let count = if hot { 8_000 } else { chance.below(if case == 0 { 400 } else { 40 }) };
            let events = random_events(&mut chance, count, 3, case % 3 == 0);
            let inputs = Inputs::evaluate(view, &batch(&plan.sources[0].schema, &events)).expect("inputs that cannot fail");
            let mut order: Vec<usize> = (0..events.len()).collect();
            chance.shuffle(&mut order);
            let mut subject = Subject { layout: &layout, state: KeyState::new(&layout), kept: Kept::default() };
            let mut seen: Vec<Event> = Vec::new();
            for (arrived, row) in order.into_iter().enumerate() {
                subject.state.insert(&layout, position(events[row].place), &inputs, row);
                seen.push(events[row].clone());
                if chance.once_in(6) {
                    let gone = seen.swap_remove(chance.below(seen.len()));
                    let removed = subject.state.remove(&layout, position(gone.place), &subject.kept);
                    assert!(removed.expect("chunks that are kept"), "an event that was inserted");
                }
                if arrived > 0 && chance.once_in(if hot { 1_000 } else { 40 }) {
                    subject.write_and_read_back();
                }
                if chance.once_in(if hot { 2_000 } else { 30 })
                    && let Some(current) = seen.last().map(|event| event.place)
                {
                    subject.compare(&definitions, &seen, current.time, Some(current));
                }
            }
            if chance.once_in(2) {
                subject.write_and_read_back();
            }
            for _ in 0..QUERIES {
                let q = random_query(&mut chance, &events);
                subject.compare(&definitions, &seen, q, None);
            }
            trimmed(&mut chance, &mut subject, &definitions, &mut seen);
        }
    }
    print_computed();
}

/// After trimming, queries whose windows start behind the horizon are as before; `over all` still knows everything.
fn trimmed(chance: &mut Chance, subject: &mut Subject<'_>, definitions: &Definitions, events: &mut [Event]) {
    events.sort_by_key(|event| event.place);
    let Some(last) = events.last().map(|event| event.place.time) else { return };
    let horizon = chance.pick(events).place.time;
    subject.state.trim(subject.layout, EventTime(horizon), &subject.kept).expect("a trim of what is kept");
    if chance.once_in(2) {
        subject.write_and_read_back();
    }
    for _ in 0..QUERIES {
        let reach = *chance.pick(&[0, MINUTE, HOUR, DAY, 14 * DAY, 380 * DAY]);
        let q = horizon + reach + chance.between(0, (last - horizon).max(1));
        subject.compare_behind(horizon, definitions, events, q, None);
    }
}

#[test]
fn a_key_that_was_never_seen_reads_as_no_events() {
    let mut chance = Chance::for_test(2);
    let definitions = random_definitions(&mut chance, 60, 1);
    let plan = plan_of(&definitions.text);
    let layout = Layout::new(&plan.views[0]);
    let all: Vec<usize> = (0..definitions.features.len()).collect();
    let mut values = Vec::new();
    read_empty(&layout, EventTime(0), &all, &mut values);
    for (feature, value) in definitions.features.iter().zip(&values) {
        let (expected, actual) = (compute(feature, &[], 0, None), cell(value));
        assert!(expected.same(&actual), "{feature:?}: the oracle says {expected}, the state {actual}");
    }
}
