//! Definitions that change under a data folder: what is added is there for all of the past, what stays keeps its
//! values, and a store that nobody serves is read by the command line.

use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::harness::{Project, Server, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const EVENTS: i64 = 3_000;
const KEYS: i64 = 7;

const SOURCE: &str = "
source events (id bigint, k bigint, x double, s text, t timestamp)
from log 'events' partitions 2 by k
event time t
lateness '1 day' history '30 days';

entity thing (k bigint);
";

const BEFORE: &str = "
features things of thing from events (
  n = count(*) over 1h,
  spend = sum(x) over 1h,
);
vector v (things.*);
";

/// Other windows of what there was, other folds, another filter, another view; `spend` is gone.
const AFTER: &str = "
features things of thing from events (
  n = count(*) over 1h, 1d, all,
  spread = var_samp(x) where s = 'a' over 2h,
  names = last_n(s, 3) over all,
);
features sorts of sort from events (
  sort_n = count(*) over 1d,
);
entity sort (s text);
vector v (things.*, sorts.*);
";

fn events() -> Vec<Json> {
    let mut chance = Chance::new(8);
    let event = |id: i64| {
        let time = START + id * 20_000_000 - chance.between(0, 900) * 1_000_000;
        let s = *chance.pick(&["a", "b", "c"]);
        json!({"id": id, "k": chance.between(1, KEYS), "x": chance.unit() * 100.0, "s": s, "t": rfc3339(time)})
    };
    (0..EVENTS).map(event).collect()
}

fn answers(server: &Server, times: &[String]) -> Vec<Json> {
    let keys: Vec<Json> = (1..=KEYS).map(|k| json!({"k": k, "s": "b"})).collect();
    times.iter().flat_map(|time| server.lookup("v", &json!({"keys": keys, "as_of": time}))).collect()
}

#[test]
fn features_come_and_go_over_the_same_events() {
    let events = events();
    let times: Vec<String> = [500, 1_500, 2_999].iter().map(|id| rfc3339(START + id * 20_000_000)).collect();
    let changed = Project::new(&format!("{SOURCE}{BEFORE}"));
    let _ = changed.push("events", &events[..2_000]).ok();
    changed.catch_up();
    changed.write("features/test.bay", format!("{SOURCE}{AFTER}"));
    let server = changed.serve();
    let receipt = server.push("events", &events[2_000..]);
    let after = json!({"keys": [], "after": receipt["positions"]});
    assert!(server.lookup("v", &after).is_empty());
    let now = answers(&server, &times);
    assert_eq!(server.stop(), Some(0));

    let fresh = Project::new(&format!("{SOURCE}{AFTER}"));
    let _ = fresh.push("events", &events).ok();
    fresh.catch_up();
    let server = fresh.serve();
    let expected = answers(&server, &times);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(now.len(), expected.len());
    for (now, expected) in now.iter().zip(&expected) {
        assert_eq!(now, expected);
    }

    // And without a server, and once more after another start.
    let key = ["lookup", "v", "k=3", "s=b", "--as-of", &times[1], "--output", "json"];
    let stored = read_json(&changed.run(&key).ok().stdout);
    assert_eq!(stored["values"][0], Json::Array(expected[9].as_object().expect("a row").values().cloned().collect()));
    let server = changed.serve();
    assert_eq!(answers(&server, &times), expected);
    assert_eq!(read_json(&changed.run(&key).ok().stdout)["values"], stored["values"]);
    assert_eq!(server.stop(), Some(0));
}

/// A source whose declaration goes while events of it are committed and not yet in Parquet or state: the server starts
/// without it, and brings it back with nothing lost when it is declared again.
#[test]
fn a_source_goes_and_comes_back() {
    let more = "
source others (k bigint, t timestamp) from log 'others' event time t lateness '1 day' history '30 days';
features of_others of thing from others ( seen = count(*) over all );
vector w (of_others.*);
";
    let project = Project::new(&format!("{SOURCE}{BEFORE}{more}"));
    let _ = project.push("events", &events()).ok();
    let others: Vec<Json> = (0..500).map(|id| json!({"k": id % KEYS, "t": rfc3339(START + id * 1_000_000)})).collect();
    let _ = project.push("others", &others).ok();
    let server = project.serve();
    wait_for("the first events", || (server.metric("forebay_committed_seq", "") > 0.0).then_some(()));
    server.kill();
    project.write("features/test.bay", format!("{SOURCE}{BEFORE}"));
    project.catch_up();
    project.write("features/test.bay", format!("{SOURCE}{BEFORE}{more}"));
    project.catch_up();
    let server = project.serve();
    let keys: Vec<Json> = (0..KEYS).map(|k| json!({"k": k})).collect();
    let seen: i64 = server.lookup("w", &json!({"keys": keys})).iter().filter_map(|row| row["seen"].as_i64()).sum();
    assert_eq!(seen, 500);
    assert_eq!(server.stop(), Some(0));
}

/// What each reading of a feature goes through event by event, `forebay plan` says for features that are new or changed.
#[test]
fn a_plan_says_what_costs_more_with_more_events() {
    let features = "features things of thing from events (
  n = count(*) over 1h, session 30m,
  middle = median(x) over 1d,
  spread = ewma(x, '1h') over all, 5 rows,
);
";
    let project = Project::new(&format!("{SOURCE}{features}"));
    let said = |project: &Project, output: &str| project.run(&["plan", "--output", output]).stdout;
    let table = said(&project, "table");
    let lines: Vec<&str> = table.lines().filter(|line| line.contains(": each reading ")).collect();
    assert_eq!(
        lines,
        [
            "  things.middle_1d: each reading folds the events of its window one by one, so that it costs more the more there are",
            "  things.n_session_30m: each reading goes back through the events of the session, so that it costs more the more there are",
            "  things.spread: each reading folds the events within the history one by one, so that it costs more the more there are",
            "  things.spread_5rows: each reading folds the events of its window one by one, so that it costs more the more there are",
        ]
    );
    let scans = json!([
        {"feature": "things.middle_1d", "events_of": "window"},
        {"feature": "things.n_session_30m", "events_of": "session"},
        {"feature": "things.spread", "events_of": "history"},
        {"feature": "things.spread_5rows", "events_of": "window"},
    ]);
    assert_eq!(read_json(&said(&project, "json"))["scans"], scans);
    let _ = project.run(&["apply"]).ok();
    assert_eq!(read_json(&said(&project, "json"))["scans"], json!([]), "nothing is new any more");
}

/// A derived feature is one of its view to all commands, and has no state that a change could rebuild.
#[test]
fn a_derived_feature_changes_without_a_rebuild() {
    let features = |expression: &str| {
        format!(
            "{SOURCE}
features things of thing from events ttl '3 hours' (
  n = count(*) over 1h,
  spend = sum(x) over 1h,
  mean = {expression},
  far = mean > 60 default false,
);
vector v (things.mean, things.far);
"
        )
    };
    let project = Project::new(&features("spend_1h / nullif(n_1h, 0) default 0"));
    let _ = project.run(&["apply"]).ok();
    let _ = project.push("events", &events()).ok();
    project.catch_up();
    let verified = project.run(&["verify", "--samples", "60"]);
    assert_eq!(verified.code, Some(0), "{}\n{}", verified.stdout, verified.stderr);

    let time = rfc3339(START + 40_000_000_000);
    let explained = |column: &str| {
        let explained = project.run(&["explain", column, "k=1", "--as-of", &time, "--output", "json"]).ok();
        read_json(&explained.stdout)
    };
    let mean = explained("v.mean");
    let (n, spend) = (mean["inputs"]["things.n_1h"].as_f64(), mean["inputs"]["things.spend_1h"].as_f64());
    assert_eq!(mean["inputs"].as_object().map(serde_json::Map::len), Some(2), "{mean}");
    assert!(n > Some(1.0) && mean["value"].as_f64() == spend.zip(n).map(|(spend, n)| spend / n), "{mean}");
    let far = explained("v.far");
    assert_eq!(
        (&far["inputs"], far["meaning"].as_str()),
        (&mean["inputs"], Some("(\"things.spend_1h\" / nullif(\"things.n_1h\", 0) default 0.0) > 60 default false"))
    );

    let server = project.serve();
    let catalog = server.get("/v1/catalog").1;
    let listed = read_json(&catalog)["views"][0]["features"].clone();
    let names: Vec<&str> = listed.as_array().expect("features").iter().filter_map(|feature| feature["name"].as_str()).collect();
    assert_eq!(names, ["n_1h", "spend_1h", "mean", "far"]);
    assert_eq!((&listed[2]["expression"], &listed[2]["type"]), (&json!("spend_1h / nullif(n_1h, 0)"), &json!("double")));
    assert_eq!(server.stop(), Some(0));

    project.write("features/test.bay", features("2 * spend_1h / nullif(n_1h, 0) default 0"));
    let plan = read_json(&project.run(&["plan", "--output", "json"]).stdout);
    let changed = [&plan["features_changed"], &plan["views_reused"], &plan["views_rebuilt"], &plan["vectors_changed"]];
    assert_eq!(changed, [&json!(["things.far", "things.mean"]), &json!(["things"]), &json!([]), &json!(["v"])]);
    let _ = project.run(&["apply"]).ok();
    assert_eq!(explained("v.mean")["value"].as_f64(), spend.zip(n).map(|(spend, n)| 2.0 * spend / n));
}

/// Rows are drawn of every source: one without events does not keep the others from being looked at.
#[test]
fn verify_looks_at_every_source_and_view() {
    let definitions = "
source silent (k bigint, t timestamp) from log 'silent' event time t;
source events (id bigint, k bigint, x double, s text, t timestamp) from log 'events' event time t lateness '1 day' history '30 days';
entity thing (k bigint);
entity sort (s text);
stream both as
  select k, 0.5 as x, t from silent
  union all
  select k, x, t from events where x < 50
  union all
  select -k, x, t from events;
features quiet of thing from silent (n = count(*) over 1h);
features sorts of sort from events ttl '1 minute' (sort_n = count(*) over 1d);
features things of thing from both (total = sum(x) over 1d);
vector v (quiet.*, sorts.*, things.*);
";
    let project = Project::new(definitions);
    let _ = project.push("events", &events()).ok();
    project.catch_up();
    let verified = project.run(&["verify", "--samples", "50", "--output", "json"]).ok();
    // Of five draws those of the silent source and of its part of the stream have no events.
    assert_eq!(read_json(&verified.stdout)[0]["rows"], 30, "{}", verified.stdout);

    let time = rfc3339(START + 40_000_000_000);
    let explained = |column: &str, key: &str| {
        let explained = project.run(&["explain", column, key, "s=b", "--as-of", &time, "--output", "json"]).ok();
        read_json(&explained.stdout)
    };
    let parts = |key: &str| {
        let events = explained("v.total_1d", key)["events"].clone();
        let parts: std::collections::BTreeSet<u64> =
            events.as_array().expect("events").iter().filter_map(|event| event["part"].as_u64()).collect();
        parts.into_iter().collect::<Vec<_>>()
    };
    assert_eq!((parts("k=1"), parts("k=-1")), (vec![2], vec![3]));
    let meaning = explained("v.sort_n_1d", "k=1")["meaning"].as_str().expect("a meaning").to_owned();
    assert!(meaning.ends_with(", after the last silence of its key of more than 1m (ttl)"), "{meaning}");
}
