//! A row that gets no score says why and costs no other row its own: in the stream, over HTTP, on the command line and in
//! files, whether the model cannot be fed with it, the runtime cannot take it, or its columns cannot be computed.

use std::fs;

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use forebay_integration::records::read_topic;
use serde_json::{Value as Json, json};

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;

const DEFINITIONS: &str = "
source buys (id bigint, user_id bigint, raw text, number bigint, by bigint, note text, t timestamp)
from log 'buys'
event time t
lateness '1 day' history '30 days'
dedup by id within '1 day';
entity user (user_id bigint);
features user_buys of user from buys (n = count(*) over 1h);
vector picked on buys ( place = raw::bigint + 0 * user_buys.n_1h, code = number * by, note );
model picky from 'picky.onnx' takes picked score buys into topic 'picks';
";

fn shop() -> Project {
    let project = Project::new(DEFINITIONS);
    project.write("features/picky.onnx", fs::read(here("fixtures/picky.onnx")).expect("a fixture"));
    project
}

/// What a row holds, and what it is to get: a score, or an error with these words.
struct Row {
    raw: Option<String>,
    code: Option<i64>,
    by: i64,
    note: Option<&'static str>,
    expected: Result<f64, &'static str>,
}

/// Rows that get a score, and at odd places those that do not, of each kind.
fn rows(count: usize) -> Vec<Row> {
    let row = |at: usize| {
        let place = at % 8;
        let (code, note) = (at as i64, if at.is_multiple_of(3) { "a" } else { "b" });
        let score = (place * place) as f64 + code as f64 + if note == "a" { 1000.0 } else { 0.0 };
        let good = Row { raw: Some(place.to_string()), code: Some(code), by: 1, note: Some(note), expected: Ok(score) };
        match at {
            5 => Row { raw: None, expected: Err("column \"place\": null cannot feed"), ..good },
            17 => Row { raw: Some("none".to_owned()), expected: Err("column \"place\": null cannot feed"), ..good },
            40 => Row { raw: Some("8".to_owned()), expected: Err("could not run"), ..good },
            41 => Row { raw: Some("-9".to_owned()), expected: Err("could not run"), ..good },
            99 => Row { by: i64::MAX, expected: Err("column \"code\": null cannot feed"), ..good },
            100 => Row { code: Some(1 << 31), expected: Err("column \"code\": 2147483648 does not fit"), ..good },
            255 => Row { note: None, expected: Err("column \"note\": null cannot feed"), ..good },
            256 => Row { note: Some("a\0b"), expected: Err("column \"note\": a text with a NUL character"), ..good },
            _ => good,
        }
    };
    (0..count).map(row).collect()
}

fn event((at, row): (usize, &Row)) -> Json {
    let time = rfc3339(START + at as i64 * 1_000_000);
    json!({"id": at, "user_id": at % 3, "raw": row.raw, "number": row.code, "by": row.by, "note": row.note, "t": time})
}

/// That a row got what it was to get.
fn check(at: usize, row: &Row, score: &Json, error: &Json) {
    match row.expected {
        Ok(expected) => assert_eq!((score, error), (&json!(expected), &Json::Null), "row {at}"),
        Err(words) => {
            assert!(score.is_null(), "row {at}: {score}");
            assert!(error.as_str().is_some_and(|error| error.contains(words)), "row {at}: {error}");
        }
    }
}

#[test]
fn a_row_without_a_score_costs_no_other_its_own() {
    if !onnx_runtime() {
        return;
    }
    let project = shop();
    let rows = rows(600);
    let events: Vec<Json> = rows.iter().enumerate().map(event).collect();
    let _ = project.push("buys", &events).ok();
    project.catch_up();

    let predictions = read_topic(&project, "picks");
    assert_eq!(predictions.len(), rows.len());
    for prediction in &predictions {
        let at = prediction.value["offset"].as_u64().expect("an offset") as usize;
        check(at, &rows[at], &prediction.value["score"], &prediction.value["error"]);
        assert!(prediction.value["features"].get("place").is_some(), "{}", prediction.value);
    }

    project.write("spine.ndjson", ndjson(&events));
    for out in ["out.ndjson", "out.csv", "out.parquet"] {
        let ended = project.run(&["score", "picky", "--spine", "spine.ndjson", "--out", out, "--event", "buys", "--output", "json"]);
        assert_eq!(ended.code, Some(1), "{out}: {ended:?}");
        assert_eq!(read_json(&ended.stdout)["unscored"], 8, "{out}: {ended:?}");
    }
    for (at, (row, scored)) in rows.iter().zip(read_ndjson(&project.read("out.ndjson"))).enumerate() {
        check(at, row, &scored["score"], &scored["score_error"]);
    }
    let ended = project.run(&["score", "picky", "--spine", "spine.ndjson", "--out", "out.csv", "--event", "buys"]);
    assert!(ended.stdout.contains("8 rows without a score: the column score_error says why"), "{ended:?}");
    let csv = project.read("out.csv");
    assert_eq!(csv.lines().filter(|line| line.contains("null cannot feed")).count(), 4, "{csv}");

    let server = project.serve();
    let (keys, request): (Vec<Json>, Vec<Json>) = events
        .iter()
        .map(|event| {
            let mut request = event.clone();
            let members = request.as_object_mut().expect("an object");
            let key = members.remove("user_id");
            members.retain(|name, _| ["raw", "number", "by", "note"].contains(&name.as_str()));
            (json!({"user_id": key}), request)
        })
        .unzip();
    let (status, answer) = server.post("/v1/models/picky/score", &json!({"keys": keys, "request": request}));
    assert_eq!(status, 200, "{answer}");
    for (at, row) in rows.iter().enumerate() {
        check(at, row, &answer["scores"][at], &answer["errors"][at]);
    }
    // Where every row has a score nothing is said of errors; where none has, the request is refused with the reason.
    let (status, answer) = server.post("/v1/models/picky/score", &json!({"keys": keys[..2], "request": request[..2]}));
    assert_eq!((status, answer.get("errors")), (200, None), "{answer}");
    let (status, answer) = server.post("/v1/models/picky/score", &json!({"keys": [keys[5]], "request": [request[5]]}));
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("column \"place\": null")), "{answer}");
    let (_, answer) = server.post("/v1/models/picky/score", &json!({"keys": keys[40..42], "request": request[40..42]}));
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("none of 2 rows could be scored")), "{answer}");
    assert_eq!(server.stop(), Some(0));

    let asked = |raw: &str| {
        project.run(&["score", "picky", "user_id=1", "--request", raw, "--request", "number=3", "--request", "by=1", "--request", "note=a"])
    };
    assert_eq!(asked("raw=2").code, Some(0));
    let ended = asked("raw=9");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("could not run"), "{ended:?}");
}

/// A model that scored none of its last rows is a problem of the server, until it scores one again.
#[test]
fn a_model_that_scores_no_row_is_a_problem() {
    if !onnx_runtime() {
        return;
    }
    let project = shop();
    let server = project.serve();
    let pushed = std::cell::Cell::new(0);
    let problems = |count: usize, good: bool| {
        let raw = if good { "1" } else { "none" };
        let row = |_| Row { raw: Some(raw.to_owned()), code: Some(1), by: 1, note: Some("b"), expected: Ok(0.0) };
        let events: Vec<Json> = (pushed.get()..pushed.get() + count).map(|at| event((at, &row(at)))).collect();
        pushed.set(pushed.get() + count);
        let after = &server.push("buys", &events)["positions"];
        let wait = json!({"keys": [{"user_id": 0}], "request": [{"raw": "1", "number": 1, "by": 1, "note": "b"}], "after": after});
        assert_eq!(server.post("/v1/models/picky/score", &wait).0, 200);
        let status = read_json(&server.get("/v1/status").1);
        status["problems"]
            .as_array()
            .expect("problems")
            .iter()
            .map(|problem| problem.as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let shown = |wanted: bool, count: usize, good: bool| {
        let mut last = problems(count, good);
        for _ in 0..100 {
            if last.iter().any(|problem| problem.contains("scores of model picky")) == wanted {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
            last =
                read_json(&server.get("/v1/status").1)["problems"].as_array().expect("problems").iter().map(ToString::to_string).collect();
        }
        panic!("{last:?} after {count} rows");
    };
    shown(true, 1, false);
    shown(false, 1, true);
    shown(true, 30, false);
    shown(false, 1, true);
    assert_eq!(server.stop(), Some(0));
}

/// A model that takes long, and a quick one of the same vector.
fn slow_and_quick() -> Project {
    let definitions = fs::read_to_string(here("fixtures/shop.bay"))
        .expect("a fixture")
        .replace("model shop from 'sum_of_named.onnx'", "model shop from 'slow.onnx'")
        + "model quick from 'sum_of_named.onnx' takes shop_v1;";
    let project = Project::new(&definitions);
    for model in ["slow.onnx", "sum_of_named.onnx"] {
        project.write(&format!("features/{model}"), fs::read(here("fixtures").join(model)).expect("a fixture"));
    }
    project
}

fn order(id: usize) -> Json {
    json!({"order_id": id, "user_id": 1, "x": 1.0, "status": "paid", "t": rfc3339(START + id as i64 * 1_000_000)})
}

/// Requests of a slow model, however many, leave threads for others; a request does not wait for the stream.
#[test]
fn models_do_not_wait_for_one_another() {
    if !onnx_runtime() {
        return;
    }
    let project = slow_and_quick();
    let server = project.serve();
    let body = json!({"keys": [{"user_id": 1}], "request": [{"x": 2.0}]});
    let asked = |model: &str| assert_eq!(server.post(&format!("/v1/models/{model}/score"), &body).0, 200);
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..32).map(|_| scope.spawn(|| asked("shop"))).collect();
        (0..20).for_each(|_| asked("quick"));
        assert!(slow.iter().any(|request| !request.is_finished()), "quick requests waited for slow ones");
    });
    let orders: Vec<Json> = (0..80).map(order).collect();
    let _ = server.push("orders", &orders);
    asked("shop");
    let topics = project.run(&["topics", "list"]).ok().stdout;
    assert!(!topics.contains("order-scores"), "the request waited for the stream, whose scores are out: {topics}");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(read_topic(&project, "order-scores").len(), orders.len());
}

/// What a model's file holds is a part of what is declared: another one is a change, and who scores with the former says so.
#[test]
fn a_model_file_that_was_written_again_is_a_change() {
    if !onnx_runtime() {
        return;
    }
    let definitions = fs::read_to_string(here("fixtures/shop.bay")).expect("a fixture");
    let project = Project::new(&definitions);
    let write = |model: &str| project.write("features/sum_of_named.onnx", fs::read(here("fixtures").join(model)).expect("a fixture"));
    write("sum_of_named.onnx");
    let _ = project.run(&["apply"]).ok();
    assert_eq!(project.run(&["plan"]).code, Some(0));
    let body = json!({"keys": [{"user_id": 1}], "request": [{"x": 2.0}]});
    let problems = |server: &forebay_integration::harness::Server| {
        read_json(&server.get("/v1/status").1)["problems"].as_array().expect("problems").iter().map(ToString::to_string).collect::<String>()
    };
    let server = project.serve();
    assert_eq!(problems(&server), "");
    let former = server.post("/v1/models/shop/score", &body).1;

    write("twice_the_sum.onnx");
    let planned = project.run(&["plan"]);
    assert_eq!(planned.code, Some(2), "{planned:?}");
    assert!(planned.stdout.contains("~ model shop: its file changed"), "{planned:?}");
    let said = problems(&server);
    assert!(said.contains("model shop: its file has changed since it was loaded"), "{said}");
    let listed = read_json(&project.run(&["models", "list", "--output", "json"]).ok().stdout)[0].clone();
    let answer = server.post("/v1/models/shop/score", &body).1;
    assert_eq!((&answer["version"], &answer["scores"]), (&former["version"], &former["scores"]), "the one that was loaded scores");
    assert_eq!(listed["served"], former["version"], "{listed}");
    assert!(listed["version"] != listed["served"] && said.contains(listed["version"].as_str().expect("a hash")), "{listed}: {said}");
    assert_eq!(server.stop(), Some(0));

    // Without a server it is the file that would score, which is not what was applied: that is scored with where it is asked for.
    let score = |choice: &[&str]| project.run(&[&["score", "shop", "user_id=1", "--request", "x=2.0"], choice].concat());
    let refused = score(&[]);
    assert!(refused.code == Some(1) && refused.stderr.contains("the file of model shop holds another model"), "{refused:?}");
    let refused = score(&["--definitions", "applied"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("another model than the one that was applied"), "{refused:?}");
    let asked = score(&["--definitions", "features"]).ok();
    assert!(asked.stdout.contains("4.0") && asked.stderr.starts_with("definitions: features (not applied)"), "{asked:?}");

    let server = project.serve();
    assert_eq!(problems(&server), "");
    assert_eq!(project.run(&["plan"]).code, Some(0));
    let answer = server.post("/v1/models/shop/score", &body).1;
    assert_eq!((&answer["version"], &answer["scores"]), (&listed["version"], &json!([4.0])));
    // One that takes other columns is a change too, where it is written for them.
    write("linear_2.onnx");
    project.write(
        "features/test.bay",
        definitions.replace("takes shop_v1", "takes pair") + "vector pair on orders ( user_orders.spend_1h, x );",
    );
    let planned = project.run(&["plan"]);
    assert!(planned.code == Some(2) && !planned.stderr.contains("no longer compile"), "{planned:?}");
    assert!(planned.stdout.contains("~ model shop: its file changed"), "{planned:?}");
    // A file that is gone is said as well.
    fs::remove_file(project.path("features/sum_of_named.onnx")).expect("it was there");
    assert!(problems(&server).contains("there is no model file"), "{}", problems(&server));
    assert_eq!(server.stop(), Some(0));
}
