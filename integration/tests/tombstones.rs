//! Tombstones of a real Kafka topic: records with a key and nothing else take events back, also after stops, kills and
//! changes of the declared keys. What remains is what a map of the events that are left says. Skipped, with a line that
//! says so, where Java or Kafka's jars are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forebay::log::kafka::Kafka;
use forebay::{NewRecord, Offset, Partition};
use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::harness::{Project, wait_for};
use forebay_integration::kafka::Broker;
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

const PARTITIONS: u32 = 2;
const CUSTOMERS: u64 = 9;
const SHOPS: u64 = 4;
const TAGS: u64 = 3;
const WAVES: usize = 4;
const RECORDS: usize = 700;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;

const SOURCE: &str = "
source orders (id text, customer bigint, shop text, tags text[], total double, gone boolean, t timestamp)
from kafka topic 'orders' format json event time t
lateness '1 day' history '30 days'
dedup by id within '1 hour'
deletes when gone
deletes on tombstone;

entity customer (customer bigint);
features spending of customer from orders (
  n = count(*) over all as n,
  spent = sum(total) over all as spent,
  recent = last_n(id, 5) over 20 rows as recent,
);
vector c (spending.*);
";

/// Keys that the events of before were not asked for.
const MORE: &str = "
entity shop (shop text);
features sales of shop from orders (sold = count(*) over all as sold);
vector s (sales.*);

stream tagged as select unnest(tags) as tag, total, t from orders;
entity tag (tag text);
features tags of tag from tagged (uses = count(*) over all as uses);
vector g (tags.*);
";

fn order(id: usize) -> Json {
    let mut chance = Chance::new(id as u64);
    let tags: Vec<String> = (0..chance.below(4)).map(|_| format!("t{}", chance.below(TAGS as usize))).collect();
    json!({
        "id": format!("o{id}"),
        "customer": chance.below(CUSTOMERS as usize),
        "shop": format!("s{}", chance.below(SHOPS as usize)),
        "tags": tags,
        "total": chance.between(0, 1_000) as f64 / 4.0,
        "t": rfc3339(START + id as i64 * 1_000_000 - chance.between(0, 5_000_000)),
    })
}

/// What the records so far leave behind, and what became of them.
#[derive(Default)]
struct Expected {
    alive: BTreeSet<usize>,
    dead: BTreeSet<usize>,
    accepted: u64,
    retracted: u64,
    duplicates: u64,
    rejected: BTreeMap<&'static str, u64>,
}

impl Expected {
    fn order(&mut self, id: usize) {
        self.dead.remove(&id);
        let count = if self.alive.insert(id) { &mut self.accepted } else { &mut self.duplicates };
        *count += 1;
    }

    /// A retraction; `repeated` is what becomes of one whose event was retracted already.
    fn retract(&mut self, id: usize, repeated: impl FnOnce(&mut Self)) {
        if self.alive.remove(&id) {
            self.dead.insert(id);
            self.retracted += 1;
        } else if self.dead.contains(&id) {
            repeated(self);
        } else {
            self.reject("retracts_unknown");
        }
    }

    fn reject(&mut self, reason: &'static str) {
        *self.rejected.entry(reason).or_default() += 1;
    }

    fn seq(&self) -> usize {
        usize::try_from(self.accepted + self.retracted).expect("a count")
    }
}

/// A wave of records: orders, deletes and tombstones of these and earlier ones, orders that come again, useless keys.
fn wave(number: usize, chance: &mut Chance, expected: &mut Expected) -> Vec<NewRecord> {
    let mut records = Vec::new();
    let mut put = |id: usize, key: Option<String>, value: Option<Json>| {
        let partition = order(id)["customer"].as_u64().map(|customer| Partition(customer as u32 % PARTITIONS));
        let (key, value) = (key.map(String::into_bytes), value.map(|value| value.to_string().into_bytes()));
        records.push(NewRecord { topic: "orders".into(), partition, key, value, ..NewRecord::default() });
    };
    for id in number * RECORDS..(number + 1) * RECORDS {
        put(id, None, Some(order(id)));
        expected.order(id);
        let other = chance.below(id + 1).max(id.saturating_sub(1_500));
        let name = order(other)["id"].as_str().expect("an id").to_owned();
        match chance.below(12) {
            0 => put(other, Some(name), None),
            1 => put(other, Some(json!({"id": name, "more": 1}).to_string()), None),
            2 => put(other, Some(json!(name).to_string()), None),
            3 => {
                let mut gone = order(other);
                gone["gone"] = json!(true);
                put(other, Some(name.clone()), Some(gone));
                expected.retract(other, |expected| expected.reject("retracts_again"));
                put(other, Some(name), None);
            }
            4 => {
                put(other, Some(name), Some(order(other)));
                expected.order(other);
                continue;
            }
            5 => {
                let key = [None, Some("{}".to_owned()), Some("{\"id\": 7}".to_owned())][chance.below(3)].clone();
                put(other, key, None);
                expected.reject("bad_key");
                continue;
            }
            6 => {
                put(other, Some("nobody".to_owned()), None);
                expected.reject("retracts_unknown");
                continue;
            }
            _ => continue,
        }
        expected.retract(other, |expected| expected.duplicates += 1);
    }
    records
}

fn counted(alive: &BTreeSet<usize>, counts: impl Fn(&Json) -> u64) -> u64 {
    alive.iter().map(|id| counts(&order(*id))).sum()
}

#[test]
fn records_with_a_key_and_nothing_else_take_events_back() {
    let Some(broker) = Broker::start() else { return };
    let kafka = Kafka::new(&broker.bootstrap(), []);
    a_tombstone_after_a_delete_asks_for_no_more(&broker, &kafka);
    a_useless_key_of_any_length_is_a_dead_letter(&broker, &kafka);
    kafka.create_topic("orders", PARTITIONS).expect("a topic");
    let project = Project::new(SOURCE);
    project.write("forebay.toml", format!("[kafka]\nbootstrap = \"{}\"\n", broker.bootstrap()));
    let (mut chance, mut expected) = (Chance::for_test(41), Expected::default());
    for number in 0..WAVES {
        if number == 2 {
            project.write("features/test.bay", format!("{SOURCE}{MORE}"));
        }
        let records = wave(number, &mut chance, &mut expected);
        let server = project.serve();
        for part in records.chunks(150) {
            kafka.sink("test").expect("a writer").append(part, 0).expect("an append");
        }
        if number.is_multiple_of(2) {
            wait_for("some events", || (server.metric("forebay_committed_seq", "") > (number * RECORDS) as f64).then_some(()));
            server.kill(); // somewhere within the wave
        } else {
            server.wait_for_seq(expected.seq());
            assert_eq!(server.stop(), Some(0));
        }
    }

    let server = project.serve();
    server.wait_for_seq(expected.seq());
    let q = rfc3339(START + 86_400_000_000);
    for customer in 0..CUSTOMERS {
        let row = &server.lookup("c", &json!({"keys": [{"customer": customer}], "as_of": q}))[0];
        let own = |order: &Json| order["customer"] == customer;
        assert_eq!(row["n"], counted(&expected.alive, |order| u64::from(own(order))), "{row}");
        // Quarters add up exactly.
        let quarters = counted(&expected.alive, |order| if own(order) { (order["total"].as_f64().unwrap_or(0.0) * 4.0) as u64 } else { 0 });
        assert_eq!(row["spent"], quarters as f64 / 4.0, "{row}");
    }
    for shop in (0..SHOPS).map(|shop| format!("s{shop}")) {
        let row = &server.lookup("s", &json!({"keys": [{"shop": shop}], "as_of": q}))[0];
        assert_eq!(row["sold"], counted(&expected.alive, |order| u64::from(order["shop"] == shop)), "{shop}");
    }
    for tag in (0..TAGS).map(|tag| format!("t{tag}")) {
        let row = &server.lookup("g", &json!({"keys": [{"tag": tag}], "as_of": q}))[0];
        let uses = |order: &Json| order["tags"].as_array().into_iter().flatten().filter(|found| **found == tag).count() as u64;
        assert_eq!(row["uses"], counted(&expected.alive, uses), "{tag}");
    }
    assert_eq!(server.stop(), Some(0));

    let source = read_json(&project.run(&["sources", "--output", "json"]).ok().stdout)[0].clone();
    let found = ["accepted", "retracted", "duplicate"].map(|name| source[name].as_u64());
    assert_eq!(found, [expected.accepted, expected.retracted, expected.duplicates].map(Some), "{source}");
    assert_eq!(source["rejected"], json!(expected.rejected), "{source}");
    assert!(expected.retracted > 400 && expected.duplicates > 100, "{source}");
    let verified = project.run(&["verify", "--samples", "1500"]);
    assert_eq!(verified.code, Some(0), "{}\n{}", verified.stdout, verified.stderr);
}

/// Change streams send a delete, and then a tombstone for the log's compaction: an earlier event of the id stays.
fn a_tombstone_after_a_delete_asks_for_no_more(broker: &Broker, kafka: &Kafka) {
    kafka.create_topic("twice", 1).expect("a topic");
    let project = Project::new(
        "source twice (id double, k bigint, gone boolean, t timestamp) from kafka topic 'twice' event time t
         lateness '10 days' history '30 days' dedup by id within '1 hour' deletes when gone deletes on tombstone;
         entity thing (k bigint);
         features things of thing from twice (n = count(*) over all as n);
         vector v (things.*);",
    );
    project.write("forebay.toml", format!("[kafka]\nbootstrap = \"{}\"\n", broker.bootstrap()));
    // An id of which a reader that is off by the last bit would make another.
    let id = "0.062744140625000014";
    let record = |value: Option<String>| NewRecord {
        topic: "twice".into(),
        partition: Some(Partition(0)),
        key: Some(id.into()),
        value: value.map(String::into_bytes),
        ..NewRecord::default()
    };
    let event = |day: u32, gone: bool| record(Some(format!(r#"{{"id":{id},"k":1,"gone":{gone},"t":"2024-05-{day:02}"}}"#)));
    let records =
        [record(None), event(1, false), event(2, false), event(2, true), record(None), record(None), event(3, false), record(None)];
    kafka.sink("test").expect("a writer").append(&records, 0).expect("an append");
    project.catch_up();
    let source = read_json(&project.run(&["sources", "--output", "json"]).ok().stdout)[0].clone();
    let found = ["accepted", "retracted", "duplicate"].map(|name| source[name].as_u64());
    assert_eq!((found, &source["rejected"]), ([3, 2, 2].map(Some), &json!({"retracts_unknown": 1})), "{source}");
    let server = project.serve();
    let rows = server.lookup("v", &json!({"keys": [{"k": 1}], "as_of": "2024-05-04T00:00:00Z"}));
    assert_eq!((rows, server.stop()), (vec![json!({"n": 1})], Some(0)));
    assert_eq!(project.run(&["verify"]).code, Some(0));
}

/// A dead letter repeats its record and adds headers: of a record as large as its topic takes, it goes with the front of
/// what is large.
fn a_useless_key_of_any_length_is_a_dead_letter(broker: &Broker, kafka: &Kafka) {
    kafka.create_topic("long", 1).expect("a topic");
    let project = Project::new(
        "source long (id double, k bigint, t timestamp) from kafka topic 'long' event time t
         lateness '10 days' history '30 days' dedup by id within '1 hour' deletes on tombstone;
         entity thing (k bigint);
         features things of thing from long (n = count(*) over all as n);
         vector v (things.*);",
    );
    project.write("forebay.toml", format!("[kafka]\nbootstrap = \"{}\"\n", broker.bootstrap()));
    let lengths = [999_700, 1_048_300];
    for length in lengths {
        let key = Some("x".repeat(length).into_bytes());
        let record = NewRecord { topic: "long".into(), partition: Some(Partition(0)), key, ..NewRecord::default() };
        kafka.sink("test").expect("a writer").append(&[record], 0).expect("an append");
    }
    project.catch_up();
    let mut reader = kafka.reader("long.dead").expect("a reader");
    reader.seek(Partition(0), Offset(0)).expect("a seek");
    let mut found = Vec::new();
    let found = wait_for("two dead letters", || {
        for run in reader.poll(10, Duration::from_millis(200)).expect("a poll") {
            found.extend(run.records.iter().map(|record| record.key.as_ref().map_or(0, |key| key.len())));
        }
        // Outputs are in Kafka at least once: what went with one that was refused goes again.
        found.dedup();
        Some(found.clone()).filter(|found| found.len() >= lengths.len())
    });
    assert_eq!(found, [999_700, 64 << 10]);
}
