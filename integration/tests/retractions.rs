//! Deletes at the edge of what the state still knows: histories so short that most events are forgotten, windows of every
//! kind, stops and kills in between. Whatever is retracted or refused, online, offline and a naive scan agree.

use std::thread::sleep;
use std::time::Duration;

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::chance::Chance;
use forebay_integration::harness::Project;
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source events (id bigint, k bigint, m text, x double, gone boolean, t timestamp)
from log 'events' partitions {partitions} by k event time t
lateness '20 minutes' history '40 minutes'
dedup by id within '5 minutes' deletes when gone;

entity thing (k bigint);
entity merchant (m text);

features things of thing from events (
  n = count(*) over 10m, 1h, 2h hop 15m, day,
  ever = count(*) over all as ever,
  spend = sum(x) where x > 50 over all as spend,
  largest = max(x) over all as largest,
  newest = last(id) over all as newest,
  ten = avg(x) over 10 rows,
  few = sum(x) where x > 20 over 2h limit 5 rows,
  visit = count(*) over session 3m,
  visit_first = first(id) over session 3m,
  others = count(*) over 1h excluding current as others,
);

features visits of thing from events ttl '5 minutes' (
  visit_length = count(*) over all as visit_length,
  visit_spend = sum(x) over 1h as visit_spend,
  visit_last = last_n(id, 4) over 6 rows as visit_last,
);

features merchants of merchant from events (
  spend = sum(x) over 30m,
  ids = last_n(id, 20) over all as ids,
  fall = drawdown(x) over 1h,
  calm = ewma(x, '10m') over all as calm,
  shops = count(*) by k limit 4 over 1h,
);

vector v on events (things.*, visits.*, merchants.*);
";

const EVENTS: usize = 3_000;
const STEPS: usize = 6;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const SECOND: i64 = 1_000_000;

fn event(id: usize) -> Json {
    let mut chance = Chance::new(id as u64);
    let late = if chance.once_in(6) { chance.between(0, 1_300) } else { 0 };
    json!({
        "id": id,
        "k": chance.below(12),
        "m": format!("m{}", chance.below(5)),
        "x": chance.between(0, 10_000) as f64 / 100.0,
        "t": rfc3339(START + (id as i64 * 20 - late) * SECOND),
    })
}

/// Events in order, and among them records that take back an event of up to an hour before, and some that send it again.
fn records(chance: &mut Chance) -> Vec<Json> {
    let mut records = Vec::new();
    for id in 0..EVENTS {
        records.push(event(id));
        if chance.once_in(4) {
            let mut delete = event(id - chance.below(id.min(180) + 1));
            delete["gone"] = json!(true);
            delete["x"] = Json::Null;
            records.push(delete.clone());
            if chance.once_in(5) {
                records.push(event(delete["id"].as_u64().expect("an id") as usize));
            }
        }
    }
    records
}

fn project(partitions: usize) -> Project {
    Project::new(&DEFINITIONS.replace("{partitions}", &partitions.to_string()))
}

/// What is refused follows from the order in one partition: a replay refuses the same.
#[test]
fn nothing_differs_at_the_edge_of_what_is_known() {
    let project = project(1);
    disturbed(&project, Chance::for_test(31));
    as_undisturbed(&project);
}

/// What is refused depends on how partitions were read as well, but the log says what was.
#[test]
fn nothing_differs_where_one_partition_is_behind() {
    disturbed(&project(2), Chance::for_test(32));
}

/// Pushes the records to servers that are stopped and killed, and verifies in between.
fn disturbed(project: &Project, mut chance: Chance) {
    let records = records(&mut chance);
    for part in records.chunks(records.len().div_ceil(STEPS)) {
        let server = project.serve();
        for pushed in part.chunks(80) {
            let _ = server.push("events", pushed);
            // State is written behind, and forgets, while events come in.
            sleep(Duration::from_millis(60));
        }
        if chance.once_in(2) {
            server.kill();
        } else {
            assert_eq!(server.stop(), Some(0));
        }
        let verified = project.run(&["verify", "--samples", "60", "--seed", &chance.below(1_000).to_string()]);
        assert_eq!(verified.code, Some(0), "{}\n{}", verified.stdout, verified.stderr);
    }
    project.catch_up();
    let source = read_json(&project.run(&["sources", "--output", "json"]).ok().stdout)[0].clone();
    assert!(source["retracted"].as_u64() > Some(200) && source["rejected"]["retracts_forgotten"].as_u64() > Some(30), "{source}");
    let verified = project.run(&["verify", "--samples", "2000"]);
    assert_eq!(verified.code, Some(0), "{}\n{}", verified.stdout, verified.stderr);
}

/// The records of the log in an engine that nobody stops give the same values.
fn as_undisturbed(project: &Project) {
    let read = project.run(&["topics", "read", "events", "--from", "start", "--output", "ndjson"]).ok();
    let records: Vec<Json> = read_ndjson(&read.stdout).into_iter().map(|record| record["value"].clone()).collect();
    let quiet = self::project(1);
    let _ = quiet.push("events", &records).ok();
    quiet.catch_up();
    let (disturbed, undisturbed) = (project.serve(), quiet.serve());
    let keys: Vec<Json> = (0..12).map(|k| json!({"k": k, "m": format!("m{}", k % 5)})).collect();
    for back in 0..30 {
        let request = json!({"keys": keys, "as_of": rfc3339(START + (EVENTS as i64 * 20 - back * 77) * SECOND)});
        assert_eq!(disturbed.lookup("v", &request), undisturbed.lookup("v", &request), "{}", request["as_of"]);
    }
    assert_eq!((disturbed.stop(), undisturbed.stop()), (Some(0), Some(0)));
}

/// A backlog is read partition by partition: what was not read yet holds back what deletes may name.
#[test]
fn a_backlog_of_two_partitions_loses_no_delete() {
    let project = Project::new(
        "source p (id text, u bigint, gone boolean, t timestamp) from log 'p' partitions 2 by u format json event time t
lateness '1h' max ahead '4000d' dedup by id within '1h' deletes when gone;
entity user (u bigint);
features f of user from p (c = count(*) over all);
vector v on p (f.c);
",
    );
    let mut records = Vec::new();
    for hour in 0..240 {
        for event in 0..60 {
            for u in [1, 2] {
                let record = |gone: bool| json!({"id": format!("{u}-{hour}-{event}"), "u": u, "gone": gone, "t": rfc3339(START + hour * 3600 * SECOND)});
                records.push(record(false));
                if event == 0 {
                    records.push(record(true));
                }
            }
        }
    }
    let _ = project.push("p", &records).ok();
    project.catch_up();
    let source = read_json(&project.run(&["sources", "--output", "json"]).ok().stdout)[0].clone();
    assert_eq!(source["retracted"], json!(480), "{source}");
    let server = project.serve();
    let rows = server.lookup("v", &json!({"keys": [{"u": 1}, {"u": 2}]}));
    assert_eq!(rows, [json!({"c": 14_160}), json!({"c": 14_160})]);
    assert_eq!(server.stop(), Some(0));
}

/// What ids, times and places are made of may change between an event and its retraction.
#[test]
fn a_source_that_is_declared_anew_knows_its_events() {
    const SOURCE: &str = "source a (id bigint, other bigint, k bigint, gone boolean, t timestamp, u timestamp)
from log 'a' event time t lateness '30 days' history '30 days' dedup by id within '1 hour' deletes when gone;
entity thing (k bigint);
features things of thing from a (n = count(*) over all as n);
vector v (things.*);
";
    let event = |id: i64, other: i64| json!({"id": id, "other": other, "k": 1, "t": "2024-05-01T00:00:00Z", "u": "2024-05-03T00:00:00Z"});
    let delete = |id: i64, other: i64| {
        let mut delete = event(id, other);
        delete["gone"] = json!(true);
        delete
    };
    let no_delete = SOURCE.replace(" deletes when gone", "");
    let of_u = SOURCE.replace("event time t", "event time u");
    let by_other = SOURCE.replace("dedup by id", "dedup by other");
    // For each: what is declared, a record, and how many events there are then.
    let stories: [&[(&str, Json, i64)]; 3] = [
        &[(SOURCE, event(1, 1), 1), (&of_u, event(2, 2), 2), (&of_u, delete(1, 1), 1), (SOURCE, delete(2, 2), 0)],
        &[(SOURCE, event(1, 1), 1), (SOURCE, delete(1, 1), 0), (&no_delete, event(1, 1), 1), (SOURCE, delete(1, 1), 0)],
        &[
            (SOURCE, event(5, 1), 1),
            (&by_other, event(9, 5), 2),
            (&by_other, event(7, 1), 2),
            (&by_other, delete(9, 5), 1),
            (SOURCE, delete(5, 1), 0),
        ],
    ];
    for (number, story) in stories.into_iter().enumerate() {
        let project = Project::new(SOURCE);
        for (step, (declared, record, expected)) in story.iter().enumerate() {
            project.write("features/test.bay", declared);
            let _ = project.push("a", std::slice::from_ref(record)).ok();
            project.catch_up();
            let server = project.serve();
            let rows = server.lookup("v", &json!({"keys": [{"k": 1}], "as_of": "2024-05-04T00:00:00Z"}));
            assert_eq!(server.stop(), Some(0));
            assert_eq!(rows, [json!({"n": expected})], "story {number}, step {step}");
            if *expected > 0 {
                let verified = project.run(&["verify"]);
                assert_eq!(verified.code, Some(0), "story {number}, step {step}: {}{}", verified.stdout, verified.stderr);
            }
        }
    }
}
