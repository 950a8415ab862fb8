//! A file of history is taken in whole, or it is said beforehand what would be lost, and what was lost is put back once it is
//! taken: the day of who begins with data that lies around.

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::chance::Chance;
use forebay_integration::harness::{Ended, Project, ndjson, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use forebay_integration::records::read_topic;
use serde_json::{Value as Json, json};

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const HOUR: i64 = 3_600_000_000;

fn definitions(lateness: &str, more: &str) -> String {
    format!(
        "source pays (id bigint, k bigint, x double, t timestamp) from log 'pays' partitions 2 by k
         event time t lateness '{lateness}' history '90 days' {more};
         entity thing (k bigint);
         features f of thing from pays (n = count(*) over 60d, total = sum(x) over 60d, ids = last_n(id, 300) over 60d);
         vector v (f.*);"
    )
}

/// 200 events of 25 days, in no order; ids by time.
fn history() -> Vec<Json> {
    let mut events: Vec<Json> =
        (0..200).map(|id| json!({"id": id, "k": id % 3, "x": id as f64 / 4.0, "t": rfc3339(START + id * 3 * HOUR)})).collect();
    let mut chance = Chance::new(7);
    for at in (1..events.len()).rev() {
        events.swap(at, chance.below(at + 1));
    }
    events
}

fn pushed(project: &Project, more: &[&str]) -> Ended {
    project.run(&[&["push", "pays", "history.ndjson"], more].concat())
}

fn caught_up(project: &Project) -> Json {
    read_json(&project.run(&["serve", "--until-caught-up", "--output", "json"]).ok().stdout)
}

/// Counts and ids of every key, online; `verify` agrees.
fn values(project: &Project) -> Vec<(Json, Json)> {
    let _ = project.run(&["verify", "--samples", "40"]).ok();
    let of_key = |k: i64| {
        let asked = project.run(&["lookup", "v", &format!("k={k}"), "--as-of", "2024-05-27T00:00:00Z", "--output", "json"]).ok();
        let answer = read_json(&asked.stdout);
        (answer["values"][0][0].clone(), answer["values"][0][2].clone())
    };
    (0..3).map(of_key).collect()
}

fn all(k: i64) -> (Json, Json) {
    let ids: Vec<i64> = (0..200).filter(|id| id % 3 == k).collect();
    (json!(ids.len()), json!(ids))
}

#[test]
fn a_file_without_order_is_pushed_by_event_time() {
    let project = Project::new(&definitions("10 minutes", "dedup by id within '1 day'"));
    project.write("history.ndjson", ndjson(&history()));
    let ended = pushed(&project, &[]).ok();
    assert!(ended.stderr.contains("of 200 records would come too late in its own order, up to "), "{ended:?}");
    assert!(ended.stderr.contains("(lateness 10m): pushed by t instead; --order file keeps the file's order"), "{ended:?}");
    assert!(ended.stdout.starts_with("200 accepted, 0 rejected"), "{ended:?}");
    let summary = caught_up(&project);
    assert_eq!((&summary["sources"][0]["accepted"], &summary["sources"][0]["rejected"]), (&json!(200), &json!({})), "{summary}");
    assert_eq!(values(&project), (0..3).map(all).collect::<Vec<_>>());
    // A file in the order of time, or late by less than the lateness, is pushed as it stands.
    let mut ordered = history();
    ordered.sort_by_key(|event| event["id"].as_i64());
    for event in &mut ordered {
        event["t"] = json!(rfc3339(START + 26 * 24 * HOUR + event["id"].as_i64().expect("an id") * HOUR));
    }
    ordered.swap(3, 4);
    project.write("features/test.bay", definitions("2 hours", "dedup by id within '1 day'"));
    project.write("history.ndjson", ndjson(&ordered));
    assert_eq!(pushed(&project, &[]).ok().stderr, "");
}

/// The number of a record is of the order in which records are pushed, and this is the same each time.
#[test]
fn a_sorted_push_goes_on_where_it_ended() {
    let project = Project::new(&definitions("10 minutes", ""));
    let mut events = ndjson(&history());
    events.push_str("no json\n");
    project.write("history.ndjson", &events);
    let _ = pushed(&project, &["--order", "time", "--from", "151"]).ok();
    let times = |project: &Project| {
        let of = |record: &forebay_integration::records::Record| record.value["id"].as_i64();
        let mut found: Vec<i64> = read_topic(project, "pays").iter().filter_map(of).collect();
        found.sort_unstable();
        found
    };
    // The record that is no event stands behind the last one before it in the file.
    assert!(times(&project).len() >= 49 && times(&project)[0] >= 149, "{:?}", times(&project));
    let whole = Project::new(&definitions("10 minutes", ""));
    whole.write("history.ndjson", &events);
    let ended = pushed(&whole, &["--order", "time"]).ok();
    assert!(ended.stdout.contains("200 accepted, 1 rejected") && ended.stdout.contains("line 201: "), "{ended:?}");
}

#[test]
fn what_cannot_be_sorted_is_refused_before_it_starts() {
    let by = |more: &str| Project::new(&definitions("10 minutes", more).replace("x double,", "x double, gone boolean,"));
    let project = by("dedup by id within '1 day' deletes when gone");
    project.write("history.ndjson", ndjson(&history()));
    let refused = pushed(&project, &[]);
    assert!(refused.code == Some(1) && refused.stderr.contains("nothing was pushed: source pays has deletes"), "{refused:?}");
    assert!(!project.data().join("log").exists(), "nothing was");
    let _ = pushed(&project, &["--order", "time"]).ok();
    let project = by("");
    project.write("history.ndjson", ndjson(&history()));
    project.write("forebay.toml", "sort_memory = \"4 kB\"\n");
    let refused = pushed(&project, &[]);
    assert!(refused.code == Some(1) && refused.stderr.contains("nothing was pushed: it is larger than sort_memory"), "{refused:?}");
    assert_eq!(pushed(&project, &["--order", "time"]).code, Some(1));
    project.write("history.json", format!("[{}", history().iter().map(|event| format!("{event},")).collect::<String>()));
    let refused = project.run(&["push", "pays", "history.json"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("cannot be sorted before it is mended"), "{refused:?}");
    // As it is, where that is wanted; then it says what will become of it.
    let ended = pushed(&project, &["--order", "file"]).ok();
    assert!(ended.stderr.contains("of the 200 accepted records will be set aside as too late"), "{ended:?}");
    assert!(ended.stderr.contains("put them back with `forebay deadletters replay pays`"), "{ended:?}");
}

fn replay(project: &Project, more: &[&str]) -> Json {
    read_json(&project.run(&[&["deadletters", "replay", "pays", "--output", "json"], more].concat()).ok().stdout)
}

/// What was too late comes back once the declaration takes it: all of it, once, whoever asks how often.
#[test]
fn what_was_set_aside_is_put_back_once() {
    for served in [false, true] {
        let project = Project::new(&definitions("10 minutes", "expect x >= 0.0 else quarantine"));
        let mut events = history();
        events.push(json!({"id": 900, "k": 1, "x": -1.0, "t": rfc3339(START + 300 * HOUR)}));
        events.push(json!({"id": 901, "k": 1, "x": "much", "t": rfc3339(START + 599 * HOUR)}));
        project.write("history.ndjson", ndjson(&events));
        let ended = pushed(&project, &["--order", "file"]).ok();
        assert!(ended.stderr.contains("will be set aside as too late"), "{ended:?}");
        let caught = project.run(&["serve", "--until-caught-up"]).ok();
        let late = 200 - read_topic(&project, "pays.dead").iter().filter(|record| record.headers["forebay.reason"] == "too_late").count();
        assert!(late < 40, "the history is in no order");
        let said = format!("caught up: {late} events in; pays: 1 expectation, {} too_late, 1 wrong_type; ", 200 - late);
        assert!(caught.stdout.starts_with(&said), "{caught:?}");
        assert!(
            caught.stderr.contains("WARN records were set aside") && caught.stderr.contains("would have kept them; declare it"),
            "{caught:?}"
        );
        let listed = read_json(&project.run(&["deadletters", "list", "--output", "json"]).ok().stdout);
        assert_eq!(
            (&listed[1]["reason"], &listed[1]["records"], &listed[1]["replayed"]),
            (&json!("too_late"), &json!(200 - late), &json!(0))
        );
        let status = project.run(&["status"]).ok().stdout;
        assert!(status.contains(&format!("set aside: {} too_late, 1 expectation, 1 wrong_type (lateness '", 200 - late)), "{status}");

        // As long as the declaration is what it was, nothing would come of it.
        let nothing = replay(&project, &[]);
        assert_eq!((&nothing["replayed"], &nothing["left"]["too_late"]["records"]), (&json!(0), &json!(200 - late)), "{nothing}");
        let wanted = nothing["lateness_wanted_ms"].as_i64().expect("a lateness");
        assert!(wanted > 20 * 24 * 3_600_000, "{nothing}");

        project.write("features/test.bay", definitions(&format!("{wanted} ms"), "expect x >= -5.0 else quarantine"));
        let server = if served { Some(project.serve()) } else { None };
        if server.is_none() {
            project.catch_up();
        }
        let dry = replay(&project, &["--dry-run"]);
        assert_eq!((&dry["replayed"], &dry["left"]["wrong_type"]["records"]), (&json!(201 - late), &json!(1)), "{dry}");
        let part = replay(&project, &["--reason", "expectation"]);
        assert_eq!(part["replayed"], json!(1), "{part}");
        let rest = replay(&project, &[]);
        assert_eq!((&rest["replayed"], &rest["already"]), (&json!(200 - late), &json!(1)), "{rest}");
        let again = replay(&project, &[]);
        assert_eq!((&again["replayed"], &again["already"]), (&json!(0), &json!(201 - late)), "{again}");
        match server {
            Some(server) => {
                wait_for("all events", || (read_json(&server.get("/v1/status").1)["sources"][0]["accepted"] == 201).then_some(()));
                assert_eq!(server.stop(), Some(0));
            }
            None => {
                let answer = caught_up(&project);
                assert_eq!(answer["sources"][0]["accepted"], json!(201 - late), "{answer}");
            }
        }
        let found = values(&project);
        assert_eq!([&found[0], &found[2]], [&all(0), &all(2)]);
        assert_eq!(found[1].0, json!(all(1).0.as_u64().expect("a count") + 1));
        let shown = read_json(&project.run(&["deadletters", "show", "pays", "--reason", "wrong_type", "--output", "json"]).ok().stdout);
        assert_eq!((&shown[0]["replayed"], &shown[0]["from"]["partition"].is_u64()), (&json!(false), &true), "{shown}");
    }
}

/// A replay that is killed at any moment puts back all or nothing, and the next one the rest.
#[test]
fn a_replay_that_is_killed_neither_loses_nor_doubles() {
    let project = Project::new(&definitions("10 minutes", "expect x >= 0.0 else quarantine"));
    let events: Vec<Json> = (0..4_000).map(|id| json!({"id": id, "k": id % 3, "x": -1.0, "t": rfc3339(START + id * 1_000_000)})).collect();
    project.write("history.ndjson", ndjson(&events));
    assert_eq!(pushed(&project, &[]).code, Some(1), "none is an event");
    project.catch_up();
    project.write("features/test.bay", definitions("10 minutes", "expect x >= -5.0 else quarantine"));
    project.catch_up();
    let mut chance = Chance::new(11);
    for _ in 0..6 {
        let mut child = project.command(&["deadletters", "replay", "pays"]).spawn().expect("the binary can be started");
        std::thread::sleep(std::time::Duration::from_millis(40 + chance.below(400) as u64));
        drop(child.kill());
        drop(child.wait());
    }
    let last = replay(&project, &[]);
    let count = |name: &str| last[name].as_u64().expect("a count");
    assert_eq!(count("replayed") + count("already"), 4_000, "{last}");
    assert_eq!(caught_up(&project)["sources"][0]["accepted"], json!(4_000));
    let counts: u64 = values(&project).iter().map(|(n, _)| n.as_u64().expect("a count")).sum();
    assert_eq!(counts, 4_000);
}

/// A push over HTTP says at once what will be too late.
#[test]
fn a_receipt_says_what_will_be_too_late() {
    let project = Project::new(&definitions("10 minutes", ""));
    let server = project.serve();
    let event = |id: i64, hour: i64| json!({"id": id, "k": 1, "x": 1.0, "t": rfc3339(START + hour * HOUR)});
    let receipt = server.push("pays", &[event(1, 5), event(2, 1), event(3, 6)]);
    assert_eq!((&receipt["accepted"], &receipt["too_late"]["records"]), (&json!(3), &json!(1)), "{receipt}");
    assert_eq!(receipt["too_late"]["lateness_wanted_ms"], json!(4 * 3_600_000));
    assert!(receipt["too_late"]["message"].as_str().expect("a message").contains("lateness '4h' would keep them"), "{receipt}");
    server.wait_for_seq(2);
    let receipt = server.push("pays", &[event(4, 0), event(5, 7)]);
    assert_eq!(
        (&receipt["too_late"]["records"], &receipt["too_late"]["lateness_wanted_ms"]),
        (&json!(1), &json!(6 * 3_600_000)),
        "{receipt}"
    );
    assert_eq!(server.push("pays", &[event(6, 8)])["too_late"], Json::Null);
    // The files of the log say the same as the receipts.
    wait_for("all of them", || (read_json(&server.get("/v1/status").1)["sources"][0]["too_late"] == 2).then_some(()));
    assert_eq!(server.stop(), Some(0));
    let dead = read_ndjson(&project.run(&["topics", "read", "pays.dead", "--output", "ndjson"]).ok().stdout);
    assert_eq!(dead.len(), 2);
}
