//! A partition that gets its first events when others are far ahead brings some that are earlier than what the online state
//! has forgotten. No value may be a plausible wrong one: what depends on the order is refused by name, in lookups, in
//! predictions and in the proof, until a start has built the state anew.

use std::fs;

use forebay_integration::answers::read_ndjson;
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::harness::Project;
use forebay_integration::records::read_topic;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source ev (user_id bigint, shop text, x double, at timestamp)
from log 'ev' partitions 2 by user_id format json event time at lateness '1 hour' history '2 hours';
entity shop (shop text);
features f of shop from ev (
  n = count(*), total = sum(x), first = first(x), weighted = time_weighted_avg(x), fading = ewma(x, '1d'),
  visit = count(*) over session 2d, up = streak(x > 0), recent = sum(x) over 3d,
);
vector plain on ev (f.n, f.total, f.first, f.recent_3d);
vector ordered on ev (f.*);
vector fed on ev (f.weighted, f.fading);
model m from 'linear_2.onnx' takes fed score ev into topic 'scores';
";

fn event(user: i64, x: f64, day: u32) -> Json {
    json!({"user_id": user, "shop": "z", "x": x, "at": format!("2024-01-{day:02}T00:00:00Z")})
}

/// Whether a push went to partition 1.
fn is_of_the_other_partition(stdout: &str) -> bool {
    stdout.contains("partition 1")
}

#[test]
fn what_lost_its_order_is_refused_until_the_next_start() {
    let project = Project::new(DEFINITIONS);
    project.write("features/linear_2.onnx", fs::read(here("fixtures/linear_2.onnx")).expect("a fixture"));
    let days: Vec<Json> = (1..20).map(|day| event(1, f64::from(day), day)).collect();
    let first = project.push("ev", &days).ok();
    assert!(!is_of_the_other_partition(&first.stdout), "{}", first.stdout);
    project.catch_up();

    let server = project.serve();
    let late = |user: i64| vec![event(user, -1.0, 2), event(user, -2.0, 4)];
    let other = (2..20).find(|user| is_of_the_other_partition(&project.push("ev", &late(*user)).ok().stdout)).expect("one of them");
    // One more of the first partition, whose features read what was forgotten.
    let _ = project.push("ev", &[event(1, 20.0, 20)]).ok();
    server.wait_for_seq(22);
    let ask = |vector: &str| {
        server.post(&format!("/v1/vectors/{vector}/lookup"), &json!({"keys": [{"shop": "z"}], "as_of": "2024-01-20T12:00:00Z"}))
    };
    let (status, refusal) = ask("ordered");
    assert_eq!(status, 503, "{refusal}");
    assert_eq!(refusal["error"]["code"], "unavailable");
    let message = refusal["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("view f") && message.contains("the next start"), "{message}");
    // It costs no other row its values or its score.
    let rows = json!({"keys": [{"shop": "z"}, {"shop": "y"}], "as_of": "2024-01-20T12:00:00Z"});
    let (status, both) = server.post("/v1/vectors/ordered/lookup", &rows);
    assert_eq!((status, &both["values"][0], &both["values"][1][0]), (200, &Json::Null, &json!(0)), "{both}");
    assert!(both["errors"][0].as_str().is_some_and(|error| error.contains("the next start")) && both["errors"][1].is_null(), "{both}");
    if onnx_runtime() {
        let (status, both) = server.post("/v1/models/m/score", &rows);
        assert_eq!((status, &both["scores"][0], &both["values"][0]), (200, &Json::Null, &Json::Null), "{both}");
        assert!(both["errors"][0].as_str().is_some_and(|error| error.contains("the next start")) && both["errors"][1].is_null(), "{both}");
        assert_eq!(both["values"][1], json!([null, null]));
    }
    let (status, known) = ask("plain");
    assert_eq!(status, 200, "{known}");
    assert_eq!(known["values"][0], json!([22, 187.0 + 20.0, 1.0, 18.0 + 19.0 + 20.0]), "what needs no order is known");
    let (_, condition) = server.get("/v1/status");
    assert!(condition.contains("view f"), "{condition}");
    assert_eq!(server.stop(), Some(0));

    if onnx_runtime() {
        let predictions = read_topic(&project, "scores");
        let of_day_20 =
            predictions.iter().find(|prediction| prediction.value["event_time"] == "2024-01-20T00:00:00Z").expect("a prediction");
        assert_eq!(of_day_20.value["score"], Json::Null);
        assert!(of_day_20.value["error"].as_str().unwrap_or_default().contains("their order"), "{:?}", of_day_20.value);
    }

    // The start builds the view from all events in their order.
    let server = project.serve();
    let row = &server.lookup("ordered", &json!({"keys": [{"shop": "z"}], "as_of": "2024-01-20T12:00:00Z"}))[0];
    project.write("spine.ndjson", "{\"shop\":\"z\",\"at\":\"2024-01-20T12:00:00Z\",\"user_id\":1}\n");
    let _ = project.run(&["training-set", "ordered", "--spine", "spine.ndjson", "--out", "out.ndjson", "--time", "at"]).ok();
    let trained = &read_ndjson(&project.read("out.ndjson"))[0];
    for (name, value) in row.as_object().expect("a row") {
        assert_eq!(&trained[name], value, "{name}, user {other}");
    }
    assert_eq!(server.stop(), Some(0));
    let _ = project.run(&["verify", "--samples", "60"]).ok();
}
