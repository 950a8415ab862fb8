//! `forebay state` counts what is stored: every key and event, each window's share, and the heaviest key first.

use forebay_integration::answers::read_json;
use forebay_integration::harness::Project;
use forebay_integration::oracle::cell::rfc3339;
use serde_json::json;

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
