//! `forebay state` counts what is stored: every key and event, each window's share, and the heaviest key first. What fell
//! silent is not stored for ever.

use forebay_integration::answers::read_json;
use forebay_integration::harness::Project;
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const MINUTE: i64 = 60_000_000;

#[test]
fn what_the_state_takes() {
    let project = Project::new(
        "source s (k bigint, x double, t timestamp) from log 's' event time t lateness '1 day' history '30 days';
entity e (k bigint);
features v of e from s ( n = count(*) over 1h, 1d, total = sum(x) over all );
vector w (v.*);
",
    );
    let unknown = project.run(&["state"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("forebay serve"), "{}", unknown.stderr);
    let hot = (0..3_000).map(|minute| json!({"k": 1, "x": 0.5, "t": rfc3339(START + minute * MINUTE)}));
    let cold = (2..12).map(|k| json!({"k": k, "x": 1.0, "t": rfc3339(START)}));
    let _ = project.push("s", &cold.chain(hot).collect::<Vec<_>>()).ok();
    project.catch_up();
    let state = read_json(&project.run(&["state", "v", "--top", "2", "--output", "json"]).ok().stdout);
    let view = &state[0];
    assert_eq!((&view["keys"], &view["events"]), (&json!(11), &json!(3_010)));
    let (rows, chunks) = (view["bytes"]["rows"].as_u64().expect("bytes"), view["bytes"]["chunks"].as_u64().expect("bytes"));
    assert!(rows > 0 && chunks > 3_000, "{view}");
    assert!(view["tiles"].as_array().is_some_and(|tiles| tiles.iter().all(|tile| tile["bytes"].as_u64() > Some(0))), "{view}");
    let windows: Vec<_> = view["windows"].as_array().expect("windows").iter().map(|window| window["window"].clone()).collect();
    assert_eq!(windows, ["1h", "1d", "all"].map(|name| json!(name)));
    assert_eq!(view["windows"][2]["events"], json!(3_010));
    let heaviest = view["heaviest"].as_array().expect("keys");
    assert_eq!((heaviest.len(), &heaviest[0]["key"], &heaviest[0]["events"]), (2, &json!({"k": 1}), &json!(3_000)));
    assert!(heaviest[0]["bytes"].as_u64() > heaviest[1]["bytes"].as_u64());
    let table = project.run(&["state"]).ok().stdout;
    assert!(table.contains("heaviest keys") && table.contains("{\"k\":1}"), "{table}");
}

const SILENT: &str = "
source events (id bigint, k bigint, x double, t timestamp)
from log 'events' event time t lateness '1 hour' history '2 hours';

entity thing (k bigint);

features brief of thing from events ttl '6 hours' (
  n = count(*) over 1h,
  ever = sum(x),
  lately = last_n(x, 3) over session 10m,
  ratio = ever / nullif(n_1h, 0) default -1,
);
features lasting of thing from events (total = count(*));

vector v (brief.*, lasting.*);
";

/// Rows of keys that fell silent for longer than their view's `ttl` leave the store, a key with chunks too, and no value
/// changes by that.
#[test]
fn rows_of_silent_keys_go() {
    let project = Project::new(SILENT);
    let event = |id: i64, k: i64, time: i64| json!({"id": id, "k": k, "x": id as f64, "t": rfc3339(time)});
    // One key with thousands of events, 700 with one each; and ten that never fall silent.
    let mut first: Vec<Json> = (0..6_000).map(|id| event(id, 0, START + id * MINUTE / 100)).collect();
    first.extend((1..=700).map(|k| event(10_000 + k, k, START + 60 * MINUTE)));
    let _ = project.push("events", &first).ok();
    project.catch_up();
    let held = |project: &Project, view: usize| {
        let found = read_json(&project.run(&["state", "--output", "json"]).ok().stdout)[view].clone();
        (found["keys"].as_u64(), found["bytes"]["chunks"].as_u64() > Some(0))
    };
    assert_eq!((held(&project, 0), held(&project, 1)), ((Some(701), true), (Some(701), true)));

    let mut id = 20_000;
    let mut now = START + 60 * MINUTE;
    for round in 0..12 {
        // Two hours are kept, windows reach one further, and six are the time to live: nobody is silent for that long yet,
        // then all but ten are.
        now += if round < 4 { 100 * MINUTE } else { 200 * MINUTE };
        let live: Vec<Json> = (1..=10).map(|k| event(id + k, k, now + k)).collect();
        id += 10;
        let server = project.serve();
        let _ = server.push("events", &live);
        server.wait_for_seq(6_700 + 10 * (round + 1));
        if round % 3 == 0 {
            server.kill();
        } else {
            assert_eq!(server.stop(), Some(0));
        }
        if round < 3 {
            assert_eq!(held(&project, 0), (Some(701), true), "round {round}");
        }
        let verified = project.run(&["verify", "--samples", "300"]);
        assert_eq!(verified.code, Some(0), "round {round}: {}\n{}", verified.stdout, verified.stderr);
    }
    assert_eq!((held(&project, 0), held(&project, 1).0), ((Some(10), false), Some(701)));

    // A key whose row is gone begins anew.
    let _ = project.push("events", &[event(id + 99, 0, now + MINUTE)]).ok();
    project.catch_up();
    let server = project.serve();
    let rows = server.lookup("v", &json!({"keys": [{"k": 0}, {"k": 700}], "as_of": rfc3339(now + MINUTE)}));
    assert_eq!(server.stop(), Some(0));
    let of = |row: &Json| (row["n_1h"].as_u64(), row["ever"].as_f64(), row["total"].as_u64());
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), [(Some(1), Some((id + 99) as f64), Some(6_001)), (Some(0), None, Some(1))]);
}

const REACHED: &str = "
source events (id bigint, k bigint, x double, t timestamp, gone boolean)
from log 'events' event time t lateness '1 hour' history '2 hours'
dedup by id within '1 hour'
deletes when gone;

entity thing (k bigint);

features windows of thing from events (
  n = count(*) over 1h,
  lately = last_n(x, 3) over 2h,
  oldest = first(x) over 1h offset 30m,
  gap = seconds_since_last() over 2h default -1,
);
features lasting of thing from events (total = count(*), newest = last(x));
features visits of thing from events (visit = count(*) over session 10m);

vector v (windows.*, lasting.*, visits.*);
";

/// Rows that no window of any lookup reaches leave the store, and no value changes by that: not of lookups, not after a restart,
/// a retraction, or another event of the key. Views that need something of every key keep theirs, and `plan` says so.
#[test]
fn rows_that_no_window_reaches_go() {
    let project = Project::new(REACHED);
    let ended = project.run(&["plan"]);
    let planned = format!("{}{}", ended.stdout, ended.stderr);
    let endless = |view: &str| planned.contains(&format!("{view}: keeps something of every key for ever"));
    assert_eq!([endless("windows"), endless("lasting"), endless("visits")], [false, true, true], "{planned}");
    let event = |id: i64, k: i64, time: i64| json!({"id": id, "k": k, "x": id as f64, "t": rfc3339(time), "gone": false});
    // One key with thousands of events, and 700 with one each.
    let mut first: Vec<Json> = (0..6_000).map(|id| event(id, 0, START + id * MINUTE / 100)).collect();
    first.extend((1..=700).map(|k| event(10_000 + k, k, START + 60 * MINUTE)));
    let _ = project.push("events", &first).ok();
    project.catch_up();
    let held = |project: &Project| -> Vec<u64> {
        let found = read_json(&project.run(&["state", "--output", "json"]).ok().stdout);
        found.as_array().expect("views").iter().map(|view| view["keys"].as_u64().expect("keys")).collect()
    };
    assert_eq!(held(&project), [701, 701, 701]);
    let (mut id, mut seq, mut now) = (20_000, 6_700, START + 60 * MINUTE);
    for round in 0..4 {
        now += 100 * MINUTE;
        let server = project.serve();
        // Two hours are kept and windows reach two further: from the third round on all but ten are out of reach.
        for push in 0..80 {
            let live: Vec<Json> = (1..=10).map(|k| event(id + k, k, now + push * 1_000 + k)).collect();
            (id, seq) = (id + 10, seq + 10);
            let _ = server.push("events", &live);
            server.wait_for_seq(seq);
        }
        // An event of a key that is silent otherwise comes and is taken back.
        let mut back = event(id + 1, 300, now + MINUTE);
        let _ = server.push("events", &[back.clone()]);
        back["gone"] = json!(true);
        let _ = server.push("events", &[back]);
        (id, seq) = (id + 10, seq + 2);
        server.wait_for_seq(seq);
        if round % 2 == 0 {
            server.kill();
        } else {
            assert_eq!(server.stop(), Some(0));
        }
        let verified = project.run(&["verify", "--samples", "300"]);
        assert_eq!(verified.code, Some(0), "round {round}: {}\n{}", verified.stdout, verified.stderr);
    }
    project.catch_up();
    let keys = held(&project);
    assert!((10..=11).contains(&keys[0]), "{keys:?}");
    assert_eq!(keys[1..], [701, 701]);
    let bytes = &read_json(&project.run(&["state", "windows", "--output", "json"]).ok().stdout)[0]["bytes"];
    assert_eq!(bytes["chunks"].as_u64(), Some(0), "{bytes}");

    // A key whose row is gone begins anew where only windows count.
    let _ = project.push("events", &[event(id + 99, 0, now + 2 * MINUTE)]).ok();
    project.catch_up();
    let server = project.serve();
    let rows = server.lookup("v", &json!({"keys": [{"k": 0}, {"k": 700}], "as_of": rfc3339(now + 2 * MINUTE)}));
    assert_eq!(server.stop(), Some(0));
    let of = |row: &Json| (row["n_1h"].as_u64(), row["lately_2h"].clone(), row["total"].as_u64());
    let expected = [(Some(1), json!([(id + 99) as f64]), Some(6_001)), (Some(0), Json::Null, Some(1))];
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), expected);
}
