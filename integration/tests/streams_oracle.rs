//! Streams against the naive oracle: random parts over two sources, of which one stands in two parts, random features over
//! their rows, one for each element of a list or one for each event, events at equal times, sent twice and taken back, with restarts in between. Every feature asked online and
//! offline must equal the oracle to the bit. `FOREBAY_SEED` repeats a run.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use forebay_integration::answers::{agrees, read_ndjson};
use forebay_integration::cases::{
    Definitions, FIELDS, Row, key_of, payload, random_cells, random_query, random_stream_definitions, retraction, time_of,
};
use forebay_integration::chance::Chance;
use forebay_integration::harness::{Project, Server, ndjson};
use forebay_integration::oracle::{Cell, Event, Place, cell::rfc3339, compute, living, print_computed};
use serde_json::{Value as Json, json};

const FEATURES: usize = 48;
const EVENTS: usize = 300;
const KEYS: i64 = 5;
const QUERIES: usize = 40;
const PARTITIONS: usize = 3;

#[test]
fn a_stream() {
    run(13, false);
}

#[test]
fn another_stream() {
    run(14, false);
}

#[test]
fn a_stream_of_elements() {
    run(15, true);
}

#[test]
fn another_stream_of_elements() {
    run(16, true);
}

fn run(seed: u64, unnests: bool) {
    let mut chance = Chance::for_test(seed);
    let definitions = random_stream_definitions(&mut chance, FEATURES, PARTITIONS, unnests);
    let project = Project::new(&definitions.text);
    let sources = definitions.sources();
    let sent: Vec<Vec<Cell>> = (0..EVENTS).map(|id| random_cells(&mut chance, id as i64, KEYS, true)).collect();
    // Half of the events are there before the engine starts, half come in while it runs, in two runs of it.
    let mut later = Vec::new();
    for source in &sources {
        // Events are dealt to the sources; one in eight is sent again, and one in four is taken back, wherever the shuffle
        // puts that: equal ids are one event until it is taken back.
        let own: Vec<usize> = (0..EVENTS).filter(|id| sources[id % sources.len()] == *source).collect();
        let mut records: Vec<Json> = own.iter().map(|id| payload(&sent[*id])).collect();
        records.extend((0..own.len() / 8).map(|_| payload(&sent[*chance.pick(&own)])));
        for _ in 0..own.len() / 4 {
            let cells = &sent[*chance.pick(&own)];
            let mut record = retraction(&mut chance, cells, KEYS);
            // One part takes another column for the key, and some may take lists.
            for same in ["i", "xs", "ns"] {
                record[same] = payload(cells)[same].clone();
            }
            records.push(record);
        }
        chance.shuffle(&mut records);
        let (before, after) = records.split_at(records.len() / 2);
        let _ = project.push(source, before).ok();
        later.push((*source, after.to_vec()));
    }
    let first = project.serve();
    for (source, after) in &later {
        let _ = first.push(source, &after[..after.len() / 2]);
    }
    assert_eq!(first.stop(), Some(0));
    let server = project.serve();
    let mut positions = Vec::new();
    for (source, after) in &later {
        let receipt = server.push(source, &after[after.len() / 2..]);
        positions.extend(receipt["positions"].as_array().expect("positions").clone());
    }
    let placed: Vec<(&str, Vec<Event>)> = sources.iter().map(|source| (*source, placed(&project, source, &sent))).collect();
    let count = placed.iter().map(|(_, events)| events.len()).sum::<usize>();
    assert!(count < EVENTS && count > EVENTS / 2, "{count} events are left");
    let events = definitions.rows(&placed);
    let times: Vec<Event> = events.iter().map(|row| row.event.clone()).collect();

    let queries: Vec<i64> = (0..QUERIES).map(|_| random_query(&mut chance, &times)).collect();
    online(&server, &definitions, &events, &queries, &positions);
    assert_eq!(server.stop(), Some(0));

    offline(&project, &definitions, &events, &queries);
    let scored = placed.iter().find(|(source, _)| *source == "events").expect("events");
    current(&project, &definitions, &events, &scored.1);
    let _ = project.run(&["verify", "v"]).ok();

    // A view of another name is built anew, of all events there were.
    let renamed = definitions.text.replace("features things of", "features anew of").replace("(things.*)", "(anew.*)");
    project.write("features/test.bay", renamed);
    let _ = project.run(&["apply"]).ok();
    let server = project.serve();
    online(&server, &definitions, &events, &queries, &[]);
    assert_eq!(server.stop(), Some(0));
    print_computed();
}

/// Lookups of all keys, the first once these positions are in.
fn online(server: &Server, definitions: &Definitions, events: &[Row], queries: &[i64], positions: &[Json]) {
    for (index, q) in queries.iter().enumerate() {
        let keys: Vec<Json> = (1..=KEYS + 1).map(|key| json!({"k": key})).collect();
        let mut request = json!({"keys": keys, "as_of": rfc3339(*q)});
        if index == 0 {
            request["after"] = Json::from(positions.to_vec());
        }
        let rows = server.lookup("v", &request);
        for (row, key) in rows.iter().zip(1..) {
            compare(definitions, events, row, (key, *q), None, "online");
        }
    }
}

/// The events of a source that are left, with their places, read from the log itself: the first record of each id is its
/// event, until a retraction frees the id.
fn placed(project: &Project, source: &str, sent: &[Vec<Cell>]) -> Vec<Event> {
    let read = project.run(&["topics", "read", source, "--from", "start", "--output", "ndjson"]).ok();
    let mut records: Vec<(u64, u64, usize, bool)> = Vec::new();
    for record in read_ndjson(&read.stdout) {
        let number = |name: &str| record[name].as_u64().unwrap_or_else(|| panic!("no {name} in {record}"));
        let id = record["value"]["id"].as_u64().unwrap_or_else(|| panic!("no id in {record}"));
        records.push((number("partition"), number("offset"), usize::try_from(id).expect("a small id"), record["value"]["d"] == true));
    }
    records.sort_unstable();
    let mut live: HashMap<usize, Event> = HashMap::new();
    for (partition, offset, id, retracts) in records {
        if retracts {
            live.remove(&id);
        } else if let Entry::Vacant(free) = live.entry(id) {
            let partition = u32::try_from(partition).expect("few partitions");
            free.insert(Event { place: Place { time: time_of(&sent[id]), partition, offset }, cells: sent[id].clone() });
        }
    }
    live.into_values().collect()
}

fn offline(project: &Project, definitions: &Definitions, events: &[Row], queries: &[i64]) {
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
fn current(project: &Project, definitions: &Definitions, events: &[Row], scored: &[Event]) {
    let with_key: Vec<&Event> = scored.iter().filter(|event| key_of(event).is_some()).collect();
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

fn compare(definitions: &Definitions, events: &[Row], row: &Json, (key, q): (i64, i64), current: Option<Place>, side: &str) {
    let rows: Vec<&Row> = events.iter().filter(|row| key_of(&row.event) == Some(key)).collect();
    let of_key: Vec<Event> = rows.iter().map(|row| row.event.clone()).collect();
    let living = living(&of_key, q, definitions.ttl);
    // The current event has a row in each part of a stream that it is in.
    let own = rows.iter().filter(|row| current.is_some_and(|place| row.of == ("events", place)));
    let own: Vec<Place> = own.map(|row| row.event.place).collect();
    for feature in &definitions.features {
        let is_left_out = |event: &Event| feature.window.excluding_current && own.contains(&event.place);
        let counted: Vec<Event> = living.iter().filter(|event| !is_left_out(event)).cloned().collect();
        let expected = compute(feature, &counted, q, None);
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
