//! Drift reports are of their intervals: whatever partitions are read first, however often the engine is started or killed
//! in between, a report counts the rows of its interval, all of them and nothing else. And what a profile is made of.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use forebay_integration::records::read_topic;
use serde_json::{Value as Json, json};

/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000_000;
const DAY: i64 = 86_400_000_000;
const DAYS: i64 = 8;
/// The day whose values are others.
const SHIFTED: i64 = 4;

fn definitions(partitions: u32) -> String {
    format!(
        "source events (id bigint, user_id bigint, a double, b double, at timestamp)
         from log 'events' partitions {partitions} by user_id format json event time at lateness '1 day';
         vector v on events (a, b);
         model m from 'linear_2.onnx' takes v score events into topic 'predictions'
           watch drift every '1 day' against '../m.profile'
           alert when psi > 0.2 or missing_rate > 0.1 into topic 'drift';"
    )
}

/// A project with a profile of days as they mostly are.
fn project(definitions: &str) -> Project {
    let project = Project::new(definitions);
    project.write("features/linear_2.onnx", fs::read(here("fixtures/linear_2.onnx")).expect("a fixture"));
    let mut chance = Chance::new(1);
    let reference: Vec<Json> = (0..5_000).map(|_| json!({"a": value(&mut chance, 0), "b": value(&mut chance, 0)})).collect();
    project.write("reference.ndjson", ndjson(&reference));
    let _ = profile(&project, "reference.ndjson").ok();
    project
}

fn profile(project: &Project, file: &str) -> forebay_integration::harness::Ended {
    project.run(&["models", "profile", "m", "--training-set", file, "--out", "m.profile"])
}

/// Roughly bell shaped.
fn value(chance: &mut Chance, day: i64) -> f64 {
    let sum: i64 = (0..6).map(|_| chance.between(0, 1_000)).sum();
    sum as f64 / 1_000.0 + if day == SHIFTED { 1.0 } else { 0.0 }
}

/// The events of each day in the order in which they come; `waver`: how far out of order, in microseconds. Users lie
/// unevenly in partitions, so that the days of partitions are read at different speeds.
fn events(rows: i64, waver: i64) -> Vec<Vec<Json>> {
    let mut chance = Chance::new(7);
    let mut day = |day: i64| {
        let mut event = |row: i64| {
            let time = START + day * DAY + row * (DAY / rows) - chance.between(0, waver);
            let user = [0, 0, 0, 0, 1, 2, 3, 4][chance.below(8)];
            json!({"id": day * rows + row, "user_id": user, "a": value(&mut chance, day), "b": value(&mut chance, 0), "at": rfc3339(time)})
        };
        (0..rows).map(&mut event).collect()
    };
    (0..DAYS).map(&mut day).collect()
}

fn day_of(event: &Json) -> String {
    event["at"].as_str().expect("a time")[..10].to_owned()
}

fn reports(project: &Project) -> Vec<Json> {
    read_topic(project, "drift").into_iter().map(|record| record.value).collect()
}

fn push(project: &Project, events: &[Json]) {
    let _ = project.push("events", events).ok();
}

/// Rows of each day, but for the last, which nothing ends.
fn rows_of_days(events: &[Vec<Json>]) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for event in events.iter().flatten() {
        *rows.entry(day_of(event)).or_default() += 1;
    }
    rows.pop_last();
    rows
}

/// The last report of each interval, without what depends on which partition was read first.
fn last_of_each(reports: &[Json]) -> BTreeMap<String, Json> {
    let mut last = BTreeMap::new();
    for report in reports {
        let mut report = report.clone();
        for name in ["first_seq", "last_seq", "revision"] {
            report.as_object_mut().expect("a report").remove(name);
        }
        last.insert(report["from"].as_str().expect("a time").to_owned(), report);
    }
    last
}

#[test]
fn a_report_of_a_day_counts_that_day() {
    if !onnx_runtime() {
        return;
    }
    let project = project(&definitions(4));
    let events = events(600, 0);
    push(&project, &events.concat());
    project.catch_up();
    let reports = reports(&project);
    let rows: BTreeMap<String, u64> = reports
        .iter()
        .map(|report| (report["from"].as_str().expect("a time")[..10].to_owned(), report["rows"].as_u64().expect("rows")))
        .collect();
    assert_eq!(rows, rows_of_days(&events));
    assert_eq!(reports.len(), rows.len(), "each once: {reports:?}");
    for report in &reports {
        let is_shifted = report["from"] == format!("{}Z", rfc3339(START + SHIFTED * DAY).split('.').next().expect("a time"));
        assert_eq!((&report["alert"], &report["revision"], &report["complete"]), (&json!(is_shifted), &json!(1), &json!(true)), "{report}");
        assert_eq!(report["rows_too_late"], 0);
        let a = &report["columns"][0];
        assert_eq!((&a["column"], &a["count"]), (&json!("a"), &report["rows"]));
        assert_eq!(a["psi"].as_f64().expect("a number") > 0.5, is_shifted, "{a}");
        let mean = a["mean"].as_f64().expect("a number");
        assert!((mean - if is_shifted { 4.0 } else { 3.0 }).abs() < 0.1, "{a}");
        assert!(
            (a["reference"]["mean"].as_f64().expect("a number") - 3.0).abs() < 0.05 && a["deciles"].as_array().expect("nine").len() == 9
        );
        assert_eq!(a["ks_p_value"].as_f64().expect("a number") < 1e-6, is_shifted, "{a}");
    }
}

/// Exactly: reports are compared as they are, in one partition with their places in the order.
#[test]
fn a_run_every_night_reports_what_one_run_does() {
    if !onnx_runtime() {
        return;
    }
    // Two hours late at most: some of a day come after the next has begun.
    for (partitions, waver) in [(1, 0), (1, 2 * 3_600_000_000), (4, 0), (4, 2 * 3_600_000_000)] {
        let (once, nightly) = (project(&definitions(partitions)), project(&definitions(partitions)));
        let events = events(300, waver);
        for day in &events {
            push(&once, day);
            push(&nightly, day);
            nightly.catch_up();
        }
        once.catch_up();
        let (of_one, of_many) = (reports(&once), reports(&nightly));
        assert_eq!(of_many.last().expect("reports")["rows_too_late"], 0);
        if partitions == 1 {
            assert_eq!(of_many, of_one, "waver {waver}");
        }
        let (mut last, mut last_of_one) = (last_of_each(&of_many), last_of_each(&of_one));
        let mut expected = rows_of_days(&events);
        if waver > 0 {
            // What of the last but one came late is told with the day that nothing ends.
            for map in [&mut last, &mut last_of_one] {
                map.pop_last();
            }
            expected.pop_last();
        }
        assert_eq!(last, last_of_one, "{partitions} partitions, waver {waver}");
        for (day, rows) in expected {
            assert_eq!(last[&format!("{day}T00:00:00Z")]["rows"], rows, "{day}");
        }
        if waver > 0 {
            assert!(of_many.iter().any(|report| report["revision"] == 2), "some came late");
        }
    }
}

/// Far out of order, killed wherever the engine is: the reports are those of a run that nothing disturbed.
#[test]
fn kills_change_no_report() {
    if !onnx_runtime() {
        return;
    }
    let (expected, found) = disturbed(1);
    assert!(expected.len() > 2 * (DAYS as usize - 1) - 2, "{}", expected.len());
    assert_eq!(found, expected);
    let (expected, found) = disturbed(4);
    let (mut expected, mut found) = (last_of_each(&expected), last_of_each(&found));
    assert_eq!(expected.len(), DAYS as usize);
    // What came late for the last day that ended is told with the next, which nothing ends.
    let ends = (expected.pop_last(), found.pop_last());
    assert_eq!(ends.0.map(|(from, _)| from), ends.1.map(|(from, _)| from));
    assert_eq!(found, expected);
}

/// The reports of a run that nothing disturbs, and of one that is killed again and again.
fn disturbed(partitions: u32) -> (Vec<Json>, Vec<Json>) {
    let (calm, killed) = (project(&definitions(partitions)), project(&definitions(partitions)));
    let events = events(4_000, 6 * 3_600_000_000);
    let mut chance = Chance::for_test(41);
    let mut kills = 0;
    for (day, of_day) in events.iter().enumerate() {
        push(&calm, of_day);
        push(&killed, of_day);
        for _ in 0..2 {
            let server = killed.start(&[]);
            std::thread::sleep(Duration::from_micros(chance.below(200_000) as u64)); // the random moment
            server.kill();
            kills += 1;
        }
        if day % 3 == 2 {
            killed.catch_up();
        }
    }
    calm.catch_up();
    killed.catch_up();
    let (expected, found) = (reports(&calm), reports(&killed));
    println!("{kills} kills, {} reports", found.len());
    assert_eq!(read_topic(&killed, "predictions").len(), events.concat().len());
    (expected, found)
}

/// Of four partitions one falls silent and one never has an event: neither keeps days from ending.
#[test]
fn silent_partitions_do_not_hold_reports_back() {
    if !onnx_runtime() {
        return;
    }
    let project = project(&definitions(8));
    let events = events(300, 0);
    for (day, of_day) in events.iter().enumerate() {
        let of_day: Vec<Json> = of_day.iter().filter(|event| day < 2 || event["user_id"] != 3).cloned().collect();
        push(&project, &of_day);
        project.catch_up();
    }
    let last = reports(&project).pop().expect("a report");
    // A partition is waited for as long as its events may come late: a day.
    assert_eq!(last["from"], rfc3339(START + (DAYS - 2) * DAY).replace(".000000", ""), "{last}");
}

#[test]
fn a_profile_that_does_not_fit_is_said_everywhere() {
    if !onnx_runtime() {
        return;
    }
    let project = project(&definitions(1));
    let checked = project.run(&["check"]).ok();
    assert!(!checked.stderr.contains("FB07"), "{checked:?}");
    // The vector has another column in the place of one.
    let now = definitions(1).replace("vector v on events (a, b);", "vector v on events (a, c = b + 1);");
    project.write("features/test.bay", now);
    let checked = project.run(&["check"]).ok();
    let said = "it lacks the column `c`; its column `b` is none of the vector";
    assert!(checked.stderr.contains("FB0740") && checked.stderr.contains("it lacks the column `c`"), "{checked:?}");
    // And the model is another.
    let mut model = fs::read(here("fixtures/linear_2.onnx")).expect("a fixture");
    model.extend([0x32, 0x01, b'x']); // a field of the message that changes no score: its documentation
    project.write("features/linear_2.onnx", &model);
    let checked = project.run(&["check"]).ok();
    assert!(checked.stderr.contains("FB0743"), "{checked:?}");
    push(&project, &events(300, 0).concat());
    let server = project.serve();
    let status = read_json(&server.get("/v1/status").1);
    let problems = status["problems"].to_string();
    assert!(problems.contains(said) && problems.contains("its scores are of the model"), "{problems}");
    assert_eq!(server.stop(), Some(0));
    project.catch_up();
    let report = reports(&project).remove(0);
    assert_eq!(report["unwatched"], json!(["b", "c", "score"]), "{report}");
    let score = report["columns"].as_array().and_then(|columns| columns.last()).expect("the score");
    assert!(score["psi"].is_null() && score["breach"] == false && score["count"] == report["rows"], "{score}");
    assert_ne!(report["version"], report["profile_model"]);
}

/// A number that is no bigint is not made one, from whatever file; what CSV holds as text stays that.
#[test]
fn a_profile_is_of_the_values_of_its_training_set() {
    if !onnx_runtime() {
        return;
    }
    let definitions = definitions(1).replace("a double", "a bigint");
    let project = Project::new(&definitions);
    project.write("features/linear_2.onnx", fs::read(here("fixtures/linear_2.onnx")).expect("a fixture"));
    project.write("set.csv", "a,b\n1,2.5\n2.5,3\n");
    project.write("set.ndjson", "{\"a\": 1, \"b\": 2.5}\n{\"a\": 2.5, \"b\": 3}\n");
    for file in ["set.csv", "set.ndjson"] {
        let ended = profile(&project, file);
        assert!(ended.code != Some(0) && ended.stderr.contains("column a") && ended.stderr.contains("row 2"), "{ended:?}");
    }
    project.write("set.csv", "a,b\n1,2.5\n3,0.5\n");
    let _ = profile(&project, "set.csv").ok();
    let made = read_json(&project.read("m.profile"));
    assert_eq!((&made["version"], &made["rows"], &made["origin"]["model"]), (&json!(2), &json!(2), &json!("m")));
    assert_eq!((&made["origin"]["vector"], &made["origin"]["training_set"]), (&json!("v"), &json!("set.csv")));
    let lengths = ["model_version", "vector_identity", "training_set_sha256"].map(|name| made["origin"][name].as_str().map(str::len));
    assert_eq!(lengths, [Some(64), Some(32), Some(64)]);
    let (a, b) = (&made["columns"][0], &made["columns"][1]);
    assert_eq!((&a["type"], &a["described"]["mean"], &b["described"]["mean"]), (&json!("bigint"), &json!(2.0), &json!(1.5)));
}

/// A time in the vector has moved on in every interval, and alerts nobody; a column that was never there does.
#[test]
fn alerts_are_of_what_can_drift() {
    if !onnx_runtime() {
        return;
    }
    let definitions = definitions(1)
        .replace("vector v on events (a, b);", "vector v on events (b, at);")
        .replace("alert when psi > 0.2 or missing_rate > 0.1", "alert when psi > 0.2 or ks > 0.2 except (at) unless rows < 100");
    let project = Project::new(&definitions);
    project.write("features/linear_2.onnx", fs::read(here("fixtures/linear_2.onnx")).expect("a fixture"));
    let events = events(300, 0);
    let reference: Vec<Json> = events[0].iter().map(|event| json!({"b": null, "at": event["at"]})).collect();
    project.write("reference.ndjson", ndjson(&reference));
    let _ = profile(&project, "reference.ndjson").ok();
    assert!(!project.run(&["check"]).ok().stderr.contains("FB074"));
    let _ = project.run(&["fmt"]).ok();
    let clause = "alert when psi > 0.2 or ks > 0.2 except (at) unless rows < 100 into topic 'drift'";
    assert!(project.read("features/test.bay").contains(clause), "{}", project.read("features/test.bay"));
    push(&project, &events.concat());
    project.catch_up();
    let reports = reports(&project);
    assert_eq!(reports.len(), DAYS as usize - 1);
    for report in &reports[1..] {
        let (b, at) = (&report["columns"][0], &report["columns"][1]);
        assert!(at["psi"].as_f64().expect("a number") > 1.0 && at["breach"] == false, "{at}");
        assert!(at["min"].as_str().expect("a time").starts_with(&report["from"].as_str().expect("a time")[..10]), "{at}");
        assert_eq!(
            b["breaches"],
            json!([
                {"metric": "psi", "value": null, "threshold": 0.2},
                {"metric": "ks", "value": null, "threshold": 0.2},
            ])
        );
    }
}
