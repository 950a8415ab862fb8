//! The ledger of a source: every record of its log counts once, in one column, whatever ended the process; and what it
//! says of lateness would have been right.

use forebay_integration::answers::read_json;
use forebay_integration::folders::here;
use forebay_integration::golden;
use forebay_integration::harness::{Project, Server};
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source events (id bigint, k bigint, x bigint, gone boolean, t timestamp)
from log 'events' event time t lateness '1 hour' history '2 days'
dedup by id within '1 hour' deletes when gone
expect x >= 0 else quarantine;
entity thing (k bigint);
features things of thing from events (n = count(*) over 1d);
vector v (things.*);
";

/// An event of `minute` minutes after noon.
fn event(id: usize, minute: i64) -> Json {
    let time = 1_714_564_800_000_000 + minute * 60_000_000;
    json!({"id": id, "k": 1, "x": id, "t": time})
}

fn with(mut event: Json, name: &str, value: impl Into<Json>) -> Json {
    event[name] = value.into();
    event
}

/// One batch of everything; ids from `first` on, times from noon and `minute` minutes on.
fn everything(first: usize, minute: i64) -> Vec<Json> {
    let at = |id: usize, behind: i64| event(first + id, minute + 300 - behind);
    vec![
        at(0, 0),
        at(1, 20),                                   // late
        at(1, 20),                                   // a duplicate
        at(2, 60),                                   // late, at the very edge
        at(3, 61),                                   // too late
        at(4, 240),                                  // too late
        with(at(5, 0), "t", "2999-01-01T00:00:00Z"), // too far ahead
        with(at(6, 0), "x", -1),                     // quarantined
        with(at(7, 0), "x", "text"),                 // of a wrong type
        with(at(1, 20), "gone", true),               // takes the first late one back
        with(at(1, 20), "gone", true),               // is there no more
        json!({"id": first + 8, "k": 1, "x": 1}),    // without a time
    ]
}

fn of_server(server: &Server) -> Json {
    let (status, body) = server.get("/v1/status");
    assert_eq!(status, 200, "{body}");
    read_json(&body)["sources"][0].clone()
}

/// The source by the command line, from the server where one runs.
fn of_command(project: &Project) -> Json {
    read_json(&project.run(&["sources", "--output", "json"]).ok().stdout)[0].clone()
}

fn unchanging(mut source: Json) -> Json {
    for changing in ["staleness_ms", "records_behind"] {
        source.as_object_mut().expect("a source").remove(changing);
    }
    source
}

#[test]
fn every_record_counts_once() {
    let project = Project::new(DEFINITIONS);
    let none = project.run(&["sources"]);
    assert_eq!(none.code, Some(1), "{none:?}");

    let server = project.serve();
    let _ = server.push("events", &everything(0, 0));
    server.wait_for_seq(4);
    let minutes = |minutes: i64| json!(minutes * 60_000);
    let expected = json!({
        "source": "events",
        "frontier": "2024-05-01T17:00:00Z",
        "accepted": 3, "late": 2, "too_late": 2, "too_far_ahead": 1, "duplicate": 1, "retracted": 1,
        "lateness_ms": minutes(60), "late_max_ms": minutes(60), "too_late_max_ms": minutes(240),
        "lateness_wanted_ms": {"0.999": minutes(240), "1": minutes(240)},
        "rejected": {"expectation": 1, "no_event_time": 1, "retracts_again": 1, "wrong_type": 1},
    });
    assert_eq!(unchanging(of_server(&server)), expected);
    assert_eq!(unchanging(of_command(&project)), expected);
    for (name, having, value) in [
        ("forebay_events_accepted_total", "", 3.0),
        ("forebay_events_late_total", "", 2.0),
        ("forebay_events_duplicate_total", "", 1.0),
        ("forebay_events_retracted_total", "", 1.0),
        ("forebay_events_rejected_total", "reason=\"too_late\"", 2.0),
        ("forebay_events_rejected_total", "reason=\"retracts_again\"", 1.0),
        ("forebay_lateness_max_seconds", "outcome=\"accepted\"", 3600.0),
        ("forebay_lateness_max_seconds", "outcome=\"too_late\"", 14_400.0),
        ("forebay_lateness_wanted_seconds", "share=\"1\"", 14_400.0),
    ] {
        assert_eq!(server.metric(name, having), value, "{name} {having}");
    }

    // What was committed is counted after a kill, and nothing twice.
    server.kill();
    assert_eq!(unchanging(of_command(&project)), expected);
    golden::check(&here("goldens/sources").join("table.txt"), &project.run(&["sources"]).ok().stdout);
    // A terminal that is narrower than the table gets a block for each source.
    let narrow = project.command(&["sources"]).env("COLUMNS", "80").output().expect("it can be started");
    let narrow = String::from_utf8(narrow.stdout).expect("text");
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    assert!(narrow.contains("source          events\n") && narrow.contains("latest_refused  4h\n"), "{narrow}");
    let server = project.serve();
    let _ = server.push("events", &everything(100, 600));
    server.wait_for_seq(8);
    let after = of_server(&server);
    let twice = |name: &str| json!(2 * expected[name].as_u64().expect("a count"));
    for name in ["accepted", "late", "too_late", "too_far_ahead", "duplicate", "retracted"] {
        assert_eq!(after[name], twice(name), "{name}");
    }
    assert_eq!(server.metric("forebay_events_accepted_total", ""), 6.0, "counted since the data folder began");
    assert_eq!(server.stop(), Some(0));

    // With the lateness that it names, the same records lose nothing to lateness.
    let roomy = Project::new(&DEFINITIONS.replace("'1 hour' history", "'4 hours' history"));
    let _ = roomy.push("events", &everything(0, 0));
    roomy.catch_up();
    let source = of_command(&roomy);
    assert_eq!((&source["too_late"], &source["accepted"], &source["late"]), (&json!(0), &json!(5), &json!(4)));
    assert_eq!(source["lateness_wanted_ms"], json!({"0.999": null, "1": null}));
}
