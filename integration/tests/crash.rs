//! kill -9 at random moments while events come in and a model scores them. Afterwards nothing is missing and nothing is
//! there twice: not an event, not a prediction; features are those of an engine that was never disturbed; and every
//! prediction's features are what a replay of the recorded order gives. `FOREBAY_CRASH_RUNS` sets how many kills.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::harness::{Project, Server, ndjson, wait_for};
use forebay_integration::records::{Record, parquet_places, read_topic};
use forebay_integration::{answers::read_ndjson, oracle::cell::rfc3339};
use serde_json::{Value as Json, json};

const RUNS_DEFAULT: usize = 25;
const BATCH: usize = 12;
const KEYS: usize = 30;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const SECOND: i64 = 1_000_000;

const DEFINITIONS: &str = "
source events (id bigint, k bigint, m text, x double, t timestamp, gone boolean)
from log 'events' partitions 3 by k
format json
event time t
lateness '1 hour' history '60 days'
dedup by id within '1 hour'
deletes when gone;

entity thing (k bigint);
entity merchant (m text);

features things of thing from events (
  n = count(*) over 10m,
  spend = sum(x) over 1h,
  spread = stddev_pop(x) over all as spread,
  ever = count(*) over all as ever,
  newest = last(id) over all as newest,
  ids = count_distinct(id, 100000) over all as ids,
);

features merchants of merchant from events (
  merchant_n = count(*) over 1h,
);

vector v on events (
  things.n_10m,
  things.spend_1h,
  merchants.merchant_n_1h,
  x,
);

vector everything on events (things.*, merchants.*);

model linear from 'linear_4.onnx' takes v
  score events into topic 'predictions';
";

/// Every record can be made again from its number alone; time moves on by a second, and wavers by minutes. One in six
/// takes one of the five before it back.
fn record(number: usize) -> Json {
    let retracts = number % 6 == 5;
    let id = if retracts { number - 1 - Chance::new(!number as u64).below(5) } else { number };
    let mut chance = Chance::new(id as u64);
    let time = START + id as i64 * SECOND - chance.between(0, 300) * SECOND;
    json!({
        "number": number,
        "gone": retracts,
        "id": id,
        "k": chance.below(KEYS),
        "m": format!("m{}", chance.below(7)),
        "x": chance.between(0, 10_000) as f64 / 100.0,
        "t": rfc3339(time),
    })
}

fn project() -> Project {
    let project = Project::new(DEFINITIONS);
    project.write("features/linear_4.onnx", std::fs::read(here("fixtures/linear_4.onnx")).expect("a fixture"));
    project
}

/// Pushes batch after batch, each again and again until it is acknowledged, whichever server lives.
struct Feeder {
    address: Arc<Mutex<Option<String>>>,
    acknowledged: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Feeder {
    fn start() -> Self {
        let address: Arc<Mutex<Option<String>>> = Arc::default();
        let acknowledged: Arc<AtomicUsize> = Arc::default();
        let enough: Arc<AtomicBool> = Arc::default();
        let (to, count, stop) = (address.clone(), acknowledged.clone(), enough.clone());
        let thread = std::thread::spawn(move || {
            let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(20))).build();
            let agent = ureq::Agent::new_with_config(config);
            while !stop.load(Ordering::SeqCst) {
                let next = count.load(Ordering::SeqCst);
                let batch: Vec<Json> = (next..next + BATCH).map(record).collect();
                let body = ndjson(&batch);
                while !stop.load(Ordering::SeqCst) {
                    let target = to.lock().expect("no poison").clone();
                    let answer = target.and_then(|to| agent.post(format!("http://{to}/v1/sources/events/events")).send(&body).ok());
                    if answer.is_some_and(|answer| answer.status() == 200) {
                        count.store(next + BATCH, Ordering::SeqCst);
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(2)); // nobody is there: leave the machine to the one that starts
                }
            }
        });
        Self { address, acknowledged, enough, thread }
    }

    fn feed(&self, server: Option<&Server>) {
        *self.address.lock().expect("no poison") = server.map(|server| server.address.clone());
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    fn end(self) {
        self.enough.store(true, Ordering::SeqCst);
        self.thread.join().expect("the feeder ends");
    }
}

#[test]
fn nothing_is_lost_or_doubled_by_kills() {
    if !onnx_runtime() {
        return;
    }
    let mut chance = Chance::for_test(21);
    let runs = std::env::var("FOREBAY_CRASH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS_DEFAULT);
    let project = project();
    let feeder = Feeder::start();
    for run in 0..runs {
        let server = project.start(&[]);
        let before = feeder.acknowledged();
        feeder.feed(Some(&server));
        // One in five is killed while it recovers, before it has taken anything.
        if run % 5 != 4 {
            wait_for("a first acknowledged push", || (feeder.acknowledged() > before).then_some(()));
        }
        std::thread::sleep(Duration::from_micros(chance.below(150_000) as u64)); // the random moment
        server.kill();
        feeder.feed(None);
        if run % 8 == 7 {
            readers_see_each_event_once(&project);
        }
    }
    // The last batch may have been cut off: it is sent to the end before counting.
    let server = project.serve();
    let before = feeder.acknowledged();
    feeder.feed(Some(&server));
    wait_for("a push after all kills", || (feeder.acknowledged() > before).then_some(()));
    feeder.end_and_complete(&server);
    assert_eq!(server.stop(), Some(0));
    project.catch_up();

    let log = read_topic(&project, "events");
    let Accepted { events, retractions, remaining, sent } = accepted(&log);
    println!("{runs} kills, {} events, {} taken back, {} records in the log", events.len(), retractions.len(), log.len());
    assert_eq!(sent, (0..sent.len()).collect::<HashSet<_>>(), "every record that was acknowledged is there");
    assert!(events.len() > runs * BATCH / 2, "events came in between the kills");

    counts_are_exact(&project, &events, &retractions, &remaining);
    ledger_is_exact(&project, log.len(), &events, &retractions);
    let predictions = predictions_are_exact(&project, &events);
    features_are_those_of_a_replay(&project, &predictions);
    equals_an_undisturbed_run(&project, &log, sent.len());
}

impl Feeder {
    /// Stops, and sends what it may have been stopped at.
    fn end_and_complete(self, server: &Server) {
        let acknowledged = self.acknowledged.clone();
        self.end();
        let next = acknowledged.load(Ordering::SeqCst);
        let batch: Vec<Json> = (next..next + BATCH).map(record).collect();
        let _ = server.push("events", &batch);
    }
}

/// Between a crash and the next start, what is in Parquet and what is not yet are read as one: no event counts twice.
fn readers_see_each_event_once(project: &Project) {
    let spine: Vec<Json> = (0..KEYS).map(|k| json!({"k": k, "m": "m1", "q": rfc3339(START + 20 * 86_400 * SECOND)})).collect();
    project.write("between.ndjson", ndjson(&spine));
    let _ = project.run(&["training-set", "everything", "--spine", "between.ndjson", "--out", "seen.ndjson", "--time", "q"]).ok();
    for row in read_ndjson(&project.read("seen.ndjson")) {
        assert_eq!(row["ever"], row["ids"], "events of key {} that count twice: {row}", row["k"]);
    }
}

/// What a log means.
#[derive(Default)]
struct Accepted {
    /// All that were ever accepted, by place.
    events: BTreeMap<(u64, u64), Json>,
    /// The places of what took some of them back.
    retractions: BTreeSet<(u64, u64)>,
    /// The events that were not taken back, by id.
    remaining: BTreeMap<u64, Json>,
    /// The numbers of all records.
    sent: HashSet<usize>,
}

/// The first record of each id, until it is taken back.
fn accepted(log: &[Record]) -> Accepted {
    let mut accepted = Accepted::default();
    let mut sorted: Vec<&Record> = log.iter().collect();
    sorted.sort_by_key(|record| record.place());
    for record in sorted {
        let number = |name: &str| record.value[name].as_u64().expect("a number");
        accepted.sent.insert(number("number") as usize);
        if record.value["gone"] == true {
            if accepted.remaining.remove(&number("id")).is_some() {
                accepted.retractions.insert(record.place());
            }
        } else if let Entry::Vacant(free) = accepted.remaining.entry(number("id")) {
            free.insert(record.value.clone());
            accepted.events.insert(record.place(), record.value.clone());
        }
    }
    accepted
}

/// Parquet holds each accepted event once; the order of processing has no gap.
fn counts_are_exact(
    project: &Project,
    events: &BTreeMap<(u64, u64), Json>,
    retractions: &BTreeSet<(u64, u64)>,
    remaining: &BTreeMap<u64, Json>,
) {
    let mut places = parquet_places(&project.data());
    let mut seqs: Vec<u64> = places.iter().map(|(_, seq)| *seq).collect();
    seqs.sort_unstable();
    places.sort_unstable();
    let mut expected: Vec<(u64, u64)> = events.keys().chain(retractions).copied().collect();
    expected.sort_unstable();
    let stored: Vec<(u64, u64)> = places.into_iter().map(|(place, _)| place).collect();
    assert_eq!(stored.len(), expected.len(), "as many events in Parquet as were accepted");
    assert_eq!(stored, expected, "each accepted event is in Parquet once");
    assert_eq!(seqs, (1..=expected.len() as u64).collect::<Vec<_>>(), "seq is dense");

    let server = project.serve();
    let (_, status) = server.get("/v1/status");
    let status = forebay_integration::answers::read_json(&status);
    assert_eq!(status["seq"], json!(expected.len()));
    let mut of_key: HashMap<u64, u64> = HashMap::new();
    for event in remaining.values() {
        *of_key.entry(event["k"].as_u64().expect("a key")).or_default() += 1;
    }
    let keys: Vec<Json> = (0..KEYS).map(|k| json!({"k": k, "m": "m1"})).collect();
    let rows = server.lookup("everything", &json!({"keys": keys, "as_of": end_of_time(events)}));
    for (k, row) in rows.iter().enumerate() {
        assert_eq!(row["ever"], json!(of_key.get(&(k as u64)).copied().unwrap_or(0)), "events of key {k}");
    }
    assert_eq!(server.stop(), Some(0));
}

/// Every record of the log counts once in the ledger, whatever was killed in between.
fn ledger_is_exact(project: &Project, records: usize, events: &BTreeMap<(u64, u64), Json>, retractions: &BTreeSet<(u64, u64)>) {
    let printed = project.run(&["sources", "--output", "json"]).ok();
    let source = &forebay_integration::answers::read_json(&printed.stdout)[0];
    assert_eq!((&source["accepted"], &source["retracted"]), (&json!(events.len()), &json!(retractions.len())));
    let counts = ["accepted", "retracted", "duplicate", "too_late", "too_far_ahead"].map(|name| source[name].as_u64().expect("a count"));
    let rejected = source["rejected"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64());
    assert_eq!(counts.into_iter().chain(rejected).sum::<u64>(), records as u64, "{source}");
}

fn end_of_time(events: &BTreeMap<(u64, u64), Json>) -> String {
    events.values().filter_map(|event| event["t"].as_str()).max().expect("events").to_owned()
}

/// One prediction for each accepted event after dropping equal identities.
fn predictions_are_exact(project: &Project, events: &BTreeMap<(u64, u64), Json>) -> Vec<Record> {
    let all = read_topic(project, "predictions");
    let written = all.len();
    let mut seen = HashSet::new();
    let predictions: Vec<Record> = all.into_iter().filter(|record| seen.insert(record.identity())).collect();
    println!("{} predictions, {} of them repeated", predictions.len(), written - predictions.len());
    let mut places: Vec<(u64, u64)> = predictions.iter().map(Record::event_place).collect();
    places.sort_unstable();
    assert_eq!(places, events.keys().copied().collect::<Vec<_>>(), "every accepted event has one prediction");
    for prediction in &predictions {
        assert!(prediction.value["score"].is_f64(), "{}", prediction.value);
    }
    predictions
}

/// The features that the scorer used are those of a training set at each event's own cut.
fn features_are_those_of_a_replay(project: &Project, predictions: &[Record]) {
    let events: HashMap<(u64, u64), Json> = accepted(&read_topic(project, "events")).events.into_iter().collect();
    let line = |prediction: &Record| {
        let mut line = events[&prediction.event_place()].as_object().expect("an event").clone();
        line.insert("partition".to_owned(), json!(prediction.event_place().0));
        line.insert("offset".to_owned(), json!(prediction.event_place().1));
        Json::Object(line)
    };
    project.write("spine.ndjson", ndjson(&predictions.iter().map(line).collect::<Vec<_>>()));
    let arguments = ["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--event", "events", "--as-known"];
    let _ = project.run(&arguments).ok();
    let rows = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(rows.len(), predictions.len());
    for (row, prediction) in rows.iter().zip(predictions) {
        for (name, used) in prediction.value["features"].as_object().expect("features") {
            let replayed = row.get(name).unwrap_or(&Json::Null);
            assert_eq!(replayed.to_string(), used.to_string(), "{name} of {}", prediction.value);
        }
    }
}

/// The same records in another engine that nobody kills give the same features as of any time.
fn equals_an_undisturbed_run(project: &Project, log: &[Record], sent: usize) {
    let quiet = self::project();
    let mut records: Vec<&Record> = log.iter().collect();
    records.sort_by_key(|record| record.place());
    let _ = quiet.push("events", &records.iter().map(|record| record.value.clone()).collect::<Vec<_>>()).ok();
    quiet.catch_up();
    let (disturbed, undisturbed) = (project.serve(), quiet.serve());
    let mut chance = Chance::new(4);
    let last = START + sent as i64 * SECOND;
    for _ in 0..40 {
        let keys: Vec<Json> = (0..KEYS).map(|k| json!({"k": k, "m": format!("m{}", k % 8)})).collect();
        let request = json!({"keys": keys, "as_of": rfc3339(chance.between(START, last + 3_600 * SECOND))});
        assert_eq!(disturbed.lookup("everything", &request), undisturbed.lookup("everything", &request), "{}", request["as_of"]);
    }
    assert_eq!((disturbed.stop(), undisturbed.stop()), (Some(0), Some(0)));
}
