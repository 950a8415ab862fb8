//! The Kafka path against a real broker: JSON payments in, predictions and drift out, while forebay is killed and the
//! broker goes away and comes back. Offsets live in the data folder; a reader who drops equal identities sees each
//! prediction once. Skipped, with a line that says so, where Java or Kafka's jars are missing.

use std::collections::{BTreeMap, HashSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use forebay::log::kafka::Kafka;
use forebay::{NewRecord, Offset, Partition};
use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::harness::{Project, Server, ndjson, wait_for};
use forebay_integration::kafka::Broker;
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

const PARTITIONS: u32 = 3;
const WAVE: usize = 1_500;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;

const DEFINITIONS: &str = "
source payments (id bigint, k bigint, x double, t timestamp)
from kafka topic 'payments' format json
event time t
lateness '1 day' history '30 days'
dedup by id within '1 day';

entity thing (k bigint);

features things of thing from payments (
  n = count(*) over 1h,
  spend = sum(x) default 0 over 1h,
);

vector v on payments (things.n_1h, things.spend_1h, x);

model shop from 'sum_of_named.onnx' takes v
  score payments into topic 'scores'
  watch drift every '10 minutes' against 'shop.profile' alert when psi > 0.2 into topic 'drift';
";

fn payment(id: usize) -> Json {
    json!({"id": id, "k": id % 17, "x": (id % 101) as f64 / 10.0, "t": rfc3339(START + id as i64 * 1_000_000)})
}

/// Writes a wave of payments; one record in fifty is sent twice, and one is no payment.
fn send(kafka: &Kafka, wave: usize) {
    let mut records = Vec::new();
    for id in wave * WAVE..(wave + 1) * WAVE {
        let partition = Some(Partition((id % 17) as u32 % PARTITIONS));
        let record =
            NewRecord { topic: "payments".into(), partition, value: Some(payment(id).to_string().into_bytes()), ..NewRecord::default() };
        if id % 50 == 0 {
            records.push(record.clone());
        }
        records.push(record);
    }
    let rubbish =
        NewRecord { topic: "payments".into(), partition: Some(Partition(0)), value: Some(b"rubbish".to_vec()), ..NewRecord::default() };
    records.push(rubbish);
    let mut writer = kafka.sink("test").expect("a writer");
    writer.append(&records, 0).expect("an append");
}

/// All records of a topic: headers and payload.
fn read(kafka: &Kafka, topic: &str) -> Vec<(BTreeMap<String, String>, Json)> {
    let mut reader = kafka.reader(topic).expect("a reader");
    let Ok(ends) = reader.ends() else { return Vec::new() };
    for (partition, _) in &ends {
        reader.seek(*partition, Offset(0)).expect("a seek");
    }
    let count: u64 = ends.iter().map(|(_, end)| end.0).sum();
    let mut records = Vec::new();
    while (records.len() as u64) < count {
        for run in reader.poll(10_000, Duration::from_millis(200)).expect("a poll") {
            for (index, record) in run.records.iter().enumerate() {
                let headers = record.headers.iter().flat_map(|headers| headers.iter());
                let headers = headers.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect();
                let text = String::from_utf8_lossy(run.value(index).unwrap_or_default()).into_owned();
                let value = if text.starts_with('{') { read_json(&text) } else { Json::String(text) };
                records.push((headers, value));
            }
        }
    }
    records
}

fn identity(headers: &BTreeMap<String, String>) -> Vec<String> {
    ["forebay.source", "forebay.partition", "forebay.offset", "forebay.model"].iter().map(|name| headers[*name].clone()).collect()
}

/// A project whose reference profile was made from rows that look otherwise than the stream.
fn with_profile() -> Project {
    let (before_watch, _) = DEFINITIONS.split_once("\n  watch").expect("a watch clause");
    let project = Project::new(&format!("{before_watch};\n"));
    project.write("features/sum_of_named.onnx", std::fs::read(here("fixtures/sum_of_named.onnx")).expect("a fixture"));
    let rows: Vec<Json> = (0..500).map(|row| json!({"n_1h": row % 10, "spend_1h": row as f64, "x": (row % 40) as f64})).collect();
    project.write("reference.ndjson", ndjson(&rows));
    let _ = project.run(&["models", "profile", "shop", "--training-set", "reference.ndjson", "--out", "features/shop.profile"]).ok();
    project.write("features/test.bay", DEFINITIONS);
    project
}

#[test]
fn payments_in_predictions_and_drift_out() {
    if !onnx_runtime() {
        return;
    }
    let Some(mut broker) = Broker::start() else { return };
    let kafka = Kafka::new(&broker.bootstrap(), []);
    kafka.create_topic("payments", PARTITIONS).expect("a topic");
    let project = with_profile();
    project.write("forebay.toml", format!("[kafka]\nbootstrap = \"{}\"\n", broker.bootstrap()));

    send(&kafka, 0);
    let server = project.serve();
    wait_for("the first events", || (server.metric("forebay_committed_seq", "") > 0.0).then_some(()));
    server.kill(); // somewhere within the first wave

    send(&kafka, 1);
    let server = project.serve();
    server.wait_for_seq(2 * WAVE);
    broker.stop();
    let keys = json!({"keys": [{"k": 1}], "request": [{"x": 1.0}], "as_of": rfc3339(START + 600_000_000)});
    assert_eq!(server.lookup("v", &keys)[0]["n_1h"], 36, "lookups are served without a broker");
    broker.restart();
    send(&kafka, 2);
    server.wait_for_seq(3 * WAVE);
    let total = 3 * WAVE;

    // Publishing is at least once: equal identities are dropped by the reader.
    let predictions = wait_for("every prediction", || {
        let mut seen = HashSet::new();
        let found: Vec<_> = read(&kafka, "scores").into_iter().filter(|(headers, _)| seen.insert(identity(headers))).collect();
        (found.len() >= total).then_some(found)
    });
    assert_eq!(predictions.len(), total);
    let mut seqs: Vec<u64> = predictions.iter().filter_map(|(_, value)| value["seq"].as_u64()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=total as u64).collect::<Vec<_>>());
    for (_, value) in &predictions {
        let features = &value["features"];
        let sum = ["n_1h", "spend_1h", "x"].iter().map(|name| features[*name].as_f64().expect("a number") as f32).fold(0.0, |a, b| a + b);
        assert_eq!(value["score"].as_f64(), Some(f64::from(sum)), "{value}");
    }
    let dead = wait_for("three dead letters", || Some(read(&kafka, "payments.dead")).filter(|dead| dead.len() >= 3));
    assert!(
        dead.iter().all(|(headers, value)| value == "rubbish" && headers.contains_key("__connect.errors.exception.message")),
        "{dead:?}"
    );
    let drift = wait_for("drift", || Some(read(&kafka, "drift")).filter(|drift| drift.len() >= 5));
    assert!(drift.iter().all(|(headers, value)| value["model"] == "shop" && headers.contains_key("forebay.interval")), "{drift:?}");
    assert!(drift.iter().any(|(_, value)| value["alert"] == true), "{drift:?}");

    // A partition that is added while forebay runs is read from its start.
    kafka.create_topic("payments", PARTITIONS + 1).expect("a partition more");
    let to_the_last = |id: usize| {
        let value = Some(payment(id).to_string().into_bytes());
        let record = NewRecord { topic: "payments".into(), partition: Some(Partition(PARTITIONS)), value, ..NewRecord::default() };
        kafka.sink("test").expect("a writer").append(&[record], 0).expect("an append");
    };
    to_the_last(total);
    server.wait_for_seq(total + 1);
    assert_eq!(server.stop(), Some(0));

    // Nothing is read again: offsets are in the store.
    project.catch_up();
    let server = project.serve();
    assert_eq!(read_json(&server.get("/v1/status").1)["seq"], json!(total + 1));
    assert_eq!(server.stop(), Some(0));

    replayed(&project, &predictions);
    dead_letters_are_put_back_once(&kafka, &broker);
    a_topic_that_accepts_nothing_delays_no_other(&kafka, &broker);

    // Another topic of that name, with more records than were read: nothing of it is taken for what comes next.
    broker.delete_topic("payments");
    kafka.create_topic("payments", PARTITIONS + 1).expect("a topic");
    (10..15).for_each(|wave| send(&kafka, wave));
    (0..2).for_each(|more| to_the_last(15 * WAVE + more));
    let refused = project.run(&["serve", "--until-caught-up", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("is not the one that was read there"), "{refused:?}");
    assert!(refused.stderr.contains("give the source a new name"), "{refused:?}");
}

/// The features that were used are those of a training set as known at each event.
fn replayed(project: &Project, predictions: &[(BTreeMap<String, String>, Json)]) {
    let line = |value: &Json| {
        let micros = forebay::EventTime::parse(value["event_time"].as_str().expect("a time")).expect("a time").0;
        let id = usize::try_from((micros - START) / 1_000_000).expect("an id");
        let mut line = payment(id).as_object().expect("a payment").clone();
        line.insert("partition".to_owned(), value["partition"].clone());
        line.insert("offset".to_owned(), value["offset"].clone());
        Json::Object(line)
    };
    project.write("spine.ndjson", ndjson(&predictions.iter().map(|(_, value)| line(value)).collect::<Vec<_>>()));
    let arguments = ["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--event", "payments", "--as-known"];
    let _ = project.run(&arguments).ok();
    let rows = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(rows.len(), predictions.len());
    for (row, (_, prediction)) in rows.iter().zip(predictions) {
        for name in ["n_1h", "spend_1h"] {
            assert_eq!(row[name].to_string(), prediction["features"][name].to_string(), "{name} of {prediction}");
        }
    }
}

/// So many payments come too late, of the topic `late`.
const LATE: usize = 300;

/// Dead letters of a topic of Kafka, put back by commands that are killed, and by the server: each once, in the order of their
/// times.
fn dead_letters_are_put_back_once(kafka: &Kafka, broker: &Broker) {
    kafka.create_topic("late", 2).expect("a topic");
    let definitions = |lateness: &str| {
        let source = "source late (id bigint, k bigint, x double, t timestamp) from kafka topic 'late' format json event time t";
        let features = "entity thing (k bigint);\nfeatures things of thing from late (n = count(*) over 1h, spend = sum(x) over 1h);";
        format!("{source} lateness '{lateness}' history '30 days';\n{features}\nvector v on late (things.*);\n")
    };
    let project = Project::new(&definitions("1 minute"));
    project.write("forebay.toml", format!("[kafka]\nbootstrap = \"{}\"\n", broker.bootstrap()));
    let record = |value: Vec<u8>, partition| NewRecord {
        topic: "late".into(),
        partition: Some(Partition(partition)),
        value: Some(value),
        ..NewRecord::default()
    };
    // The newest of each partition first, then what is too late for it, in no order, and what is no event by any declaration.
    let mut records: Vec<_> = (0..2).map(|at| record(payment(3_000 + at as usize).to_string().into_bytes(), at)).collect();
    records.extend((0..LATE).map(|id| record(payment(id * 7 % LATE).to_string().into_bytes(), (id * 7 % LATE % 2) as u32)));
    records.push(record(b"rubbish".to_vec(), 1));
    kafka.sink("test").expect("a writer").append(&records, 0).expect("an append");
    project.catch_up();
    let letters = wait_for("every dead letter", || Some(read(kafka, "late.dead")).filter(|dead| dead.len() > LATE));
    assert_eq!(letters.len(), LATE + 1);

    let listed = read_json(&project.run(&["deadletters", "list", "late", "--output", "json"]).ok().stdout);
    let counts: Vec<_> = listed.as_array().expect("rows").iter().map(|row| (row["reason"].clone(), row["records"].clone())).collect();
    assert_eq!(counts, [(json!("malformed"), json!(1)), (json!("too_late"), json!(LATE))]);
    let replay = |more: &[&str]| {
        let ended = project.run(&[&["deadletters", "replay", "late", "--output", "json"], more].concat()).ok();
        read_json(&ended.stdout)
    };
    let refused = replay(&["--dry-run"]);
    assert_eq!((&refused["replayed"], &refused["left"]["too_late"]["records"]), (&json!(0), &json!(LATE)), "{refused}");
    project.write("features/test.bay", definitions("1 day"));
    project.catch_up();
    let would = replay(&["--dry-run"]);
    assert_eq!((&would["replayed"], &would["left"]["malformed"]["records"]), (&json!(LATE), &json!(1)), "{would}");
    assert!(read(kafka, "late.dead.replayed").is_empty() && read(kafka, "late").len() == records.len(), "nothing was written");

    let mut chance = Chance::for_test(31);
    let start = Instant::now();
    replay(&["--dry-run"]);
    let whole_run = usize::try_from(start.elapsed().as_millis()).expect("a short time") + 300;
    for _ in 0..6 {
        // Two at once: one of them is refused, as the other has the folder.
        let children: Vec<_> = (0..2)
            .map(|_| {
                let mut command = project.command(&["deadletters", "replay", "late", "--reason", "too_late"]);
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
            })
            .collect();
        std::thread::sleep(Duration::from_millis(chance.below(whole_run) as u64));
        for mut child in children {
            child.kill().expect("its own child");
            child.wait().expect("its own child");
        }
    }
    let server = project.serve();
    let done = replay(&[]);
    assert_eq!(done["replayed"].as_u64().zip(done["already"].as_u64()).map(|(now, before)| now + before), Some(LATE as u64), "{done}");
    let again = replay(&[]);
    assert_eq!((&again["replayed"], &again["already"]), (&json!(0), &json!(LATE)), "{again}");
    server.wait_for_seq(LATE + 2);
    let back = read(kafka, "late").into_iter().filter(|(headers, _)| headers.contains_key("forebay.replayed"));
    let mut ids: Vec<u64> = back.map(|(_, value)| value["id"].as_u64().expect("an id")).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..LATE as u64).collect::<Vec<_>>(), "each once");
    let keys: Vec<Json> = (0..17).map(|k| json!({"k": k})).collect();
    let counted = server.lookup("v", &json!({"keys": keys, "as_of": rfc3339(START + LATE as i64 * 1_000_000)}));
    let total: u64 = counted.iter().map(|row| row["n_1h"].as_u64().expect("a count")).sum();
    assert_eq!(total, LATE as u64);
    assert_eq!(server.stop(), Some(0));
}

/// Two sources whose records are all dead letters. The dead-letter topic of one accepts nothing until it is mended, while that of
/// the other goes on; nothing is lost, and every topic has its records in order.
fn a_topic_that_accepts_nothing_delays_no_other(kafka: &Kafka, broker: &Broker) {
    const LETTERS: usize = 500;
    let source = |name: &str| {
        format!(
            "source {name} (id bigint, t timestamp) from kafka topic '{name}' format json event time t lateness '1 minute' history '1 day';\n"
        )
    };
    let project = Project::new(&format!("{}{}", source("sick"), source("well")));
    project.write("forebay.toml", format!("[kafka]\nbootstrap = \"{}\"\n", broker.bootstrap()));
    for topic in ["sick", "well", "sick.dead", "well.dead"] {
        kafka.create_topic(topic, 1).expect("a topic");
    }
    // No record is as small as this, not even one that was cut short.
    broker.set_topic("sick.dead", "max.message.bytes", "10");
    let send = |topic: &str, from: usize| {
        let record = |number: usize| NewRecord {
            topic: topic.into(),
            value: Some(format!("\"rubbish {number}\"").into_bytes()),
            ..NewRecord::default()
        };
        kafka.sink("test").expect("a sink").append(&(from..from + LETTERS).map(record).collect::<Vec<_>>(), 0).expect("an append");
    };
    let expected = |count: usize| (0..count).map(|number| json!(format!("\"rubbish {number}\""))).collect::<Vec<_>>();
    let letters = |topic: &str| read(kafka, topic).into_iter().map(|(_, value)| value).collect::<Vec<_>>();

    let server = project.serve();
    let said = |server: &Server| server.get("/v1/status").1;
    send("sick", 0);
    wait_for("the topic that accepts nothing", || said(&server).contains("publishing to kafka topic sick.dead").then_some(()));
    send("well", 0);
    wait_for("the letters of the other", || (letters("well.dead").len() == LETTERS).then_some(()));
    assert!(!said(&server).contains("kafka topic well.dead"), "{}", said(&server));
    server.kill();

    let server = project.serve();
    send("well", LETTERS);
    send("sick", LETTERS);
    wait_for("more of the other", || (letters("well.dead").len() == 2 * LETTERS).then_some(()));
    assert_eq!((letters("sick.dead"), letters("well.dead")), (Vec::new(), expected(2 * LETTERS)));
    broker.set_topic("sick.dead", "max.message.bytes", "1000000");
    wait_for("the letters that waited", || (letters("sick.dead").len() >= 2 * LETTERS).then_some(()));
    wait_for("an end of the problem", || (!said(&server).contains("sick.dead")).then_some(()));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(letters("sick.dead"), expected(2 * LETTERS), "none lost, none twice, in order");
}
