//! The real binary against the naive oracle: random definitions and events (out of order, at equal times, on the edges
//! of windows, twice, with nulls and extremes, taken back and sent again) go in through a push; every feature asked online
//! and offline must equal the oracle to the bit, before and after a restart. `FOREBAY_SEED` repeats a run.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

use forebay_integration::answers::{agrees, read_ndjson};
use forebay_integration::cases::{
    Definitions, FIELDS, aggregate_names, definitions_of_doubles, key_of, payload, put_odd, random_cells, random_definitions, random_query,
    retraction, time_of,
};
use forebay_integration::chance::Chance;
use forebay_integration::folders::workspace;
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::{Cell, Event, Place, cell::rfc3339, compute, living, print_computed};
use forebay_integration::records::parquet_places;
use serde_json::{Value as Json, json};

const FEATURES: usize = 48;
const EVENTS: usize = 300;
const KEYS: i64 = 5;
const QUERIES: usize = 40;
const PARTITIONS: usize = 3;

#[test]
fn one_seed() {
    let mut chance = Chance::for_test(11);
    let definitions = random_definitions(&mut chance, FEATURES, PARTITIONS);
    let sent = sent(&mut chance);
    run(&mut chance, &definitions, &sent);
}

#[test]
fn another_seed() {
    let mut chance = Chance::for_test(12);
    let definitions = random_definitions(&mut chance, FEATURES, PARTITIONS);
    let sent = sent(&mut chance);
    run(&mut chance, &definitions, &sent);
}

/// Each aggregate of doubles, of which every third is NaN or infinite.
#[test]
fn nan_in_every_aggregate() {
    let mut chance = Chance::for_test(13);
    let definitions = definitions_of_doubles(&mut chance, PARTITIONS);
    let mut sent = sent(&mut chance);
    sent.iter_mut().step_by(3).for_each(|cells| put_odd(&mut chance, cells));
    run(&mut chance, &definitions, &sent);
}

/// What is not among the cases is tested by none of these.
#[test]
fn every_aggregate_is_a_case() {
    let page = fs::read_to_string(workspace().join("docs/aggregates.md")).expect("the page of the aggregates");
    let documented: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(aggregate_names(), documented);
}

fn sent(chance: &mut Chance) -> Vec<Vec<Cell>> {
    (0..EVENTS).map(|id| random_cells(chance, id as i64, KEYS, true)).collect()
}

fn run(chance: &mut Chance, definitions: &Definitions, sent: &[Vec<Cell>]) {
    let project = Project::new(&definitions.text);
    // One event in eight is sent again, and one in four is taken back, wherever the shuffle puts that: equal ids are one
    // event until it is taken back.
    let mut records: Vec<(usize, bool)> = (0..EVENTS).map(|id| (id, false)).collect();
    records.extend((0..EVENTS / 8).map(|_| (chance.below(EVENTS), false)));
    records.extend((0..EVENTS / 4).map(|_| (chance.below(EVENTS), true)));
    chance.shuffle(&mut records);
    let payloads: Vec<Json> =
        records.iter().map(|(id, retracts)| if *retracts { retraction(chance, &sent[*id], KEYS) } else { payload(&sent[*id]) }).collect();

    // A third is there before the engine starts, a third comes in while it runs, and a third after a restart.
    let (first, rest) = payloads.split_at(payloads.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let _ = project.push("events", first).ok();
    let server = project.serve();
    let _ = server.push("events", second);
    assert_eq!(server.stop(), Some(0));
    let server = project.serve();
    let receipt = server.push("events", third);
    let log = Placed::read(&project, sent);
    let events = log.remaining();
    assert!(log.events.len() >= EVENTS && events.len() < EVENTS && events.len() > EVENTS / 2, "{} of {}", events.len(), log.events.len());

    let queries: Vec<i64> = (0..QUERIES).map(|_| random_query(chance, &events)).collect();
    for (index, q) in queries.iter().enumerate() {
        let keys: Vec<Json> = (1..=KEYS + 1).map(|key| json!({"k": key})).collect();
        let mut request = json!({"keys": keys, "as_of": rfc3339(*q)});
        if index == 0 {
            request["after"] = receipt["positions"].clone();
        }
        let rows = server.lookup("v", &request);
        for (row, key) in rows.iter().zip(1..) {
            compare(definitions, &events, row, (key, *q), None, "online");
        }
    }
    assert_eq!(server.stop(), Some(0));

    offline(&project, definitions, &events, &queries);
    current(&project, definitions, &events);
    as_known(&project, definitions, &log);
    print_computed();
}

/// What the log holds, by the rules of acceptance.
struct Placed {
    /// All events that were ever accepted.
    events: Vec<Event>,
    /// The place of the retraction that took an event back.
    taken_back: HashMap<Place, Place>,
}

impl Placed {
    /// Reads the log itself: the first record of each id is its event, until a retraction frees the id.
    fn read(project: &Project, sent: &[Vec<Cell>]) -> Self {
        let read = project.run(&["topics", "read", "events", "--from", "start", "--output", "ndjson"]).ok();
        let mut records: Vec<(Place, usize, bool)> = Vec::new();
        for record in read_ndjson(&read.stdout) {
            let number = |name: &str| record[name].as_u64().unwrap_or_else(|| panic!("no {name} in {record}"));
            let id = record["value"]["id"].as_u64().unwrap_or_else(|| panic!("no id in {record}"));
            let id = usize::try_from(id).expect("a small id");
            let partition = u32::try_from(number("partition")).expect("few partitions");
            let place = Place { time: time_of(&sent[id]), partition, offset: number("offset") };
            records.push((place, id, record["value"]["d"] == true));
        }
        records.sort_unstable_by_key(|(place, ..)| (place.partition, place.offset));
        let mut placed = Self { events: Vec::new(), taken_back: HashMap::new() };
        let mut live: HashMap<usize, Place> = HashMap::new();
        for (place, id, retracts) in records {
            if retracts {
                placed.taken_back.extend(live.remove(&id).map(|event| (event, place)));
            } else if let Entry::Vacant(free) = live.entry(id) {
                free.insert(place);
                placed.events.push(Event { place, cells: sent[id].clone() });
            }
        }
        placed
    }

    fn remaining(&self) -> Vec<Event> {
        self.events.iter().filter(|event| !self.taken_back.contains_key(&event.place)).cloned().collect()
    }
}

fn offline(project: &Project, definitions: &Definitions, events: &[Event], queries: &[i64]) {
    let asked: Vec<(i64, i64)> = queries.iter().flat_map(|q| (1..=KEYS + 1).map(move |key| (key, *q))).collect();
    let spine: Vec<Json> = asked.iter().map(|(key, q)| json!({"k": key, "q": rfc3339(*q)})).collect();
    project.write("spine.ndjson", ndjson(&spine));
    let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]).ok();
    let rows = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(rows.len(), asked.len());
    for (row, asked) in rows.iter().zip(asked) {
        compare(definitions, events, row, asked, None, "offline");
    }
}

/// Every event as a row of the spine: `excluding current` leaves out just that one.
fn current(project: &Project, definitions: &Definitions, events: &[Event]) {
    let with_key: Vec<&Event> = events.iter().filter(|event| key_of(event).is_some()).collect();
    let line = |event: &&Event| {
        let (time, key) = (rfc3339(event.place.time), key_of(event));
        json!({"k": key, "t": time, "partition": event.place.partition, "offset": event.place.offset})
    };
    project.write("spine.ndjson", ndjson(&with_key.iter().map(line).collect::<Vec<_>>()));
    let arguments = ["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--event", "events"];
    let _ = project.run(&arguments).ok();
    let rows = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(rows.len(), with_key.len());
    for (row, event) in rows.iter().zip(with_key) {
        compare(definitions, events, row, (key_of(event).expect("a key"), event.place.time), Some(event.place), "offline");
    }
}

/// Every event that was ever accepted, at its own place in the order of processing, which Parquet has.
fn as_known(project: &Project, definitions: &Definitions, log: &Placed) {
    let seqs: HashMap<(u64, u64), u64> = parquet_places(&project.data()).into_iter().collect();
    let seq = |place: Place| seqs[&(u64::from(place.partition), place.offset)];
    assert_eq!(seqs.len(), log.events.len() + log.taken_back.len(), "Parquet has events and retractions, and nothing else");
    let with_key: Vec<&Event> = log.events.iter().filter(|event| key_of(event).is_some()).collect();
    let line = |event: &&Event| {
        let (time, key) = (rfc3339(event.place.time), key_of(event));
        json!({"k": key, "t": time, "partition": event.place.partition, "offset": event.place.offset})
    };
    project.write("spine.ndjson", ndjson(&with_key.iter().map(line).collect::<Vec<_>>()));
    let arguments = ["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--event", "events", "--as-known"];
    let _ = project.run(&arguments).ok();
    let rows = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(rows.len(), with_key.len());
    for (row, event) in rows.iter().zip(with_key) {
        let cut = seq(event.place);
        let is_known = |other: &&Event| seq(other.place) <= cut && log.taken_back.get(&other.place).is_none_or(|by| seq(*by) > cut);
        let known: Vec<Event> = log.events.iter().filter(is_known).cloned().collect();
        compare(definitions, &known, row, (key_of(event).expect("a key"), event.place.time), Some(event.place), "as known");
    }
    // By event time, what was taken back is no event.
    let refused = project.run(&arguments[..arguments.len() - 1]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("with --as-known only"), "{}", refused.stderr);
}

fn compare(definitions: &Definitions, events: &[Event], row: &Json, (key, q): (i64, i64), current: Option<Place>, side: &str) {
    let of_key: Vec<Event> = events.iter().filter(|event| key_of(event) == Some(key)).cloned().collect();
    let living = living(&of_key, q, definitions.ttl);
    for feature in &definitions.features {
        let expected = compute(feature, &living, q, current);
        let actual = row.get(&feature.name).unwrap_or(&Json::Null);
        if !agrees(&expected, actual) {
            let shown: BTreeMap<Place, Json> = of_key.iter().map(|event| (event.place, payload(&event.cells))).collect();
            let line = definitions.text.lines().find(|line| line.trim_start().starts_with(&format!("{} =", feature.name)));
            panic!(
                "{side}, key {key}, q {} ({current:?}): {}\n  oracle: {expected}\n  engine: {actual}\n  events ({FIELDS:?}): {shown:#?}",
                rfc3339(q),
                line.unwrap_or_default(),
            );
        }
    }
}
