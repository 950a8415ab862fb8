//! Every route of the native HTTP interface: status and body, also when the request is wrong. What changes from run to
//! run is masked; the rest is golden (`BLESS=1`).

use forebay_integration::answers::read_json;
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::golden::{self, mask};
use forebay_integration::harness::{Project, Server};
use serde_json::{Value as Json, json};

const VOLATILE: [&str; 4] = ["staleness_ms", "records_behind", "latency_us", "id"];

fn shop() -> Project {
    let project = Project::new(&std::fs::read_to_string(here("fixtures/shop.bay")).expect("a fixture"));
    let model = std::fs::read(here("fixtures/sum_of_named.onnx")).expect("a fixture");
    project.write("features/sum_of_named.onnx", model);
    project
}

fn order(id: i64, user: i64, x: f64, time: &str) -> Json {
    json!({"order_id": id, "user_id": user, "x": x, "status": "paid", "t": time})
}

/// What was asked and what came back, for a golden file.
struct Transcript<'a> {
    server: &'a Server,
    entries: Vec<Json>,
}

impl Transcript<'_> {
    fn get(&mut self, path: &str) {
        let (status, body) = self.server.get(path);
        self.note(json!({"get": path}), status, read_json(&body));
    }

    fn post(&mut self, path: &str, body: &Json) {
        let (status, answer) = self.server.post(path, body);
        self.note(json!({"post": path, "body": body}), status, answer);
    }

    fn post_text(&mut self, path: &str, body: &str) {
        let answer = self.server.try_post(path, "application/json", body.as_bytes());
        let (status, answer) = answer.expect("an answer");
        self.note(json!({"post": path, "body": body}), status, read_json(&answer));
    }

    fn note(&mut self, asked: Json, status: u16, mut answer: Json) {
        mask(&mut answer, &VOLATILE);
        self.entries.push(json!({"asked": asked, "status": status, "answer": answer}));
    }

    fn check(self, name: &str) {
        golden::check_json(&here("goldens/http").join(format!("{name}.json")), &Json::Array(self.entries));
    }
}

#[test]
fn routes_answer_as_they_did() {
    if !onnx_runtime() {
        return;
    }
    let project = shop();
    let server = project.serve();
    let new = || Transcript { server: &server, entries: Vec::new() };

    let mut health = new();
    health.get("/health/live");
    health.get("/health/ready");
    health.get("/v1/status");
    health.check("health");

    let mut catalog = new();
    catalog.get("/v1/catalog");
    catalog.check("catalog");

    let mut push = new();
    let events = "/v1/sources/orders/events";
    push.post(events, &order(1, 7, 12.5, "2024-05-01T10:00:00Z"));
    push.post(events, &json!([order(2, 7, 0.1, "2024-05-01T10:10:00Z"), order(3, 8, 0.2, "2024-05-01T10:20:00Z")]));
    push.post_text(events, "{\"order_id\":4,\"user_id\":7,\"x\":0.7,\"t\":\"2024-05-01T10:30:00Z\"}\nnot json\n");
    push.post(events, &json!([order(5, 7, -1.0, "2024-05-01T10:30:00Z"), order(1, 7, 12.5, "2024-05-01T10:00:00Z")]));
    push.post_text(events, "");
    push.post_text(events, "[{\"order_id\":6},");
    push.post("/v1/sources/nowhere/events", &order(1, 7, 12.5, "2024-05-01T10:00:00Z"));
    push.check("push");

    let mut lookup = new();
    let path = "/v1/vectors/shop_v1/lookup";
    let after = json!([{"source": "orders", "partition": 0, "offset": 7}]);
    lookup.post(path, &json!({"keys": [{"user_id": 7}], "request": [{"x": 1.0}], "as_of": "2024-05-01T10:30:00Z", "after": after}));
    lookup.post(path, &json!({"keys": [{"user_id": 7}, {"user_id": 8}, {"user_id": 9}], "as_of": "2024-05-01T11:05:00Z"}));
    lookup.post("/v1/vectors/shop_details/lookup", &json!({"keys": [{"user_id": 7}, {"user_id": 9}], "as_of": 1_714_559_400_000_000_i64}));
    lookup.post(path, &json!({"keys": [], "as_of": "2024-05-01T11:05:00Z"}));
    lookup.check("lookup");

    let mut refused = new();
    let as_of = "2024-05-01T10:30:00Z";
    refused.post_text(path, "{\"keys\":");
    refused.post(path, &json!([]));
    refused.post(path, &json!({"as_of": as_of}));
    refused.post(path, &json!({"keys": [{"user_id": null}], "as_of": as_of}));
    refused.post(path, &json!({"keys": [{}], "as_of": as_of}));
    refused.post(path, &json!({"keys": [{"user_id": "seven"}], "as_of": as_of}));
    refused.post(path, &json!({"keys": [{"user_id": 7.5}], "as_of": as_of}));
    refused.post(path, &json!({"keys": [{"user_id": 7, "more": 1}], "as_of": as_of}));
    refused.post(path, &json!({"keys": [{"user_id": 7}], "request": [], "surprise": true}));
    refused.post(path, &json!({"keys": [{"user_id": 7}], "request": [{}, {}]}));
    refused.post(path, &json!({"keys": [{"user_id": 7}], "request": [{"x": "much"}]}));
    refused.post(path, &json!({"keys": [{"user_id": 7}], "as_of": "yesterday"}));
    refused.post(path, &json!({"keys": [{"user_id": 7}], "as_of": "2001-01-01T00:00:00Z"}));
    let missed = json!([{"source": "orders", "partition": 0, "offset": 1_000_000}]);
    refused.post(path, &json!({"keys": [{"user_id": 7}], "after": missed, "wait_ms": 1}));
    refused.post("/v1/vectors/none/lookup", &json!({"keys": [{"user_id": 7}]}));
    refused.check("refused");

    let mut score = new();
    let path = "/v1/models/shop/score";
    score.post(path, &json!({"keys": [{"user_id": 7}, {"user_id": 9}], "request": [{"x": 2.0}, {"x": 0.5}], "as_of": as_of}));
    score.post(path, &json!({"keys": [{"user_id": 7}], "as_of": as_of}));
    score.post("/v1/models/none/score", &json!({"keys": [{"user_id": 7}]}));
    score.check("score");

    let mut lost = new();
    lost.get("/v1/nothing");
    lost.get("/v1/vectors/shop_v1/lookup");
    lost.check("lost");
    assert_eq!(server.stop(), Some(0));
}

/// The document that the server serves names every route that it answers, and no other.
#[test]
fn the_openapi_document_is_true() {
    if !onnx_runtime() {
        return;
    }
    let server = shop().serve();
    let (status, text) = server.get("/openapi.json");
    assert_eq!(status, 200);
    let document = read_json(&text);
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 8, "{text}");
    for (path, methods) in paths {
        let real = path.replace("{vector}", "shop_v1").replace("{model}", "shop").replace("{source}", "orders");
        for method in methods.as_object().expect("methods").keys() {
            let status = match method.as_str() {
                "get" => server.get(&real).0,
                "post" => server.try_post(&real, "application/json", b"{}").expect("an answer").0,
                other => panic!("{path}: {other}"),
            };
            assert!(status != 404 && status != 405, "{method} {path} answers {status}");
        }
    }
}

/// Counters and histograms that an operator needs are there, and never name an entity key.
#[test]
fn metrics_are_legible_to_prometheus() {
    if !onnx_runtime() {
        return;
    }
    let project = shop();
    let server = project.serve();
    let receipt = server.push("orders", &[order(1, 4_711, 1.0, "2024-05-01T10:00:00Z")]);
    let request = json!({"keys": [{"user_id": 4_711}], "as_of": "2024-05-01T10:00:00Z", "after": receipt["positions"]});
    let _ = server.lookup("shop_v1", &request);
    let (status, text) = server.get("/metrics");
    assert_eq!(status, 200);
    let mut typed = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge", "histogram", "summary"].contains(&kind), "{line}");
            assert!(name.starts_with("forebay_") || name.starts_with("process_"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            typed.insert(name.to_owned());
        } else if !line.starts_with('#') && !line.is_empty() {
            let name: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let base = ["_sum", "_count", "_bucket"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
            assert!(typed.contains(base) || typed.contains(&name), "{line} has no type");
            assert!(line.rsplit(' ').next().is_some_and(|value| value.parse::<f64>().is_ok()), "{line}");
        }
    }
    assert!(!text.contains("4711"), "an entity key is no label:\n{text}");
}
