//! A model's score is the same number from the stream, over HTTP, from the command line and for a spine; a model that
//! fails when it is run stops nothing, and its events' predictions say why.

use std::fs;

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use forebay_integration::records::read_topic;
use serde_json::{Value as Json, json};

const EVENTS: i64 = 60;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;

fn shop(definitions: &str) -> Project {
    let project = Project::new(definitions);
    for model in ["sum_of_named.onnx", "fails_when_run.onnx"] {
        project.write(&format!("features/{model}"), fs::read(here("fixtures").join(model)).expect("a fixture"));
    }
    project
}

fn shop_definitions() -> String {
    fs::read_to_string(here("fixtures/shop.bay")).expect("a fixture")
}

/// Orders in the order of their times, so that what was known at each is what is known of its time now.
fn order(id: i64) -> Json {
    let time = rfc3339(START + id * 97_000_000);
    json!({"order_id": id, "user_id": id % 5, "x": (id * 37 % 101) as f64 / 7.0, "status": "paid", "t": time})
}

#[test]
fn one_number_wherever_it_is_asked_for() {
    if !onnx_runtime() {
        return;
    }
    let project = shop(&shop_definitions());
    let orders: Vec<Json> = (0..EVENTS).map(order).collect();
    let _ = project.push("orders", &orders).ok();
    project.catch_up();
    let predictions = read_topic(&project, "order-scores");
    assert_eq!(predictions.len(), orders.len());

    project.write("spine.ndjson", ndjson(&orders));
    let spine = ["score", "shop", "--spine", "spine.ndjson", "--out", "scores.ndjson", "--event", "orders"];
    let _ = project.run(&spine).ok();
    let scored = read_ndjson(&project.read("scores.ndjson"));
    assert_eq!(scored.len(), orders.len());

    let stored = on_the_command_line(&project, &orders[10]);
    let server = project.serve();
    assert_eq!(on_the_command_line(&project, &orders[10]), stored, "with a server and without one");
    for (order, row) in orders.iter().zip(&scored) {
        let prediction = predictions.iter().find(|prediction| prediction.value["event_time"] == short(&order["t"])).expect("a prediction");
        let score = &prediction.value["score"];
        let body = json!({"keys": [{"user_id": order["user_id"]}], "request": [{"x": order["x"]}], "as_of": order["t"]});
        let (status, answer) = server.post("/v1/models/shop/score", &body);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["scores"][0].to_string(), score.to_string(), "over HTTP: {order}");
        assert_eq!(answer["version"], prediction.value["version"]);
        let of_row = row.get("score").or_else(|| row.get("shop")).unwrap_or_else(|| panic!("no score in {row}"));
        assert_eq!(of_row.to_string(), score.to_string(), "for a spine: {order}");
    }
    assert_eq!(server.stop(), Some(0));
    let of_ten = predictions.iter().find(|prediction| prediction.value["event_time"] == short(&orders[10]["t"])).expect("a prediction");
    assert_eq!(stored.to_string(), of_ten.value["score"].to_string(), "on the command line");
}

/// A time as the engine prints it: no fraction where there is none.
fn short(time: &Json) -> Json {
    json!(time.as_str().expect("a time").replace(".000000Z", "Z"))
}

fn on_the_command_line(project: &Project, order: &Json) -> Json {
    let (key, x) = (format!("user_id={}", order["user_id"]), format!("x={}", order["x"]));
    let time = order["t"].as_str().expect("a time");
    let ended = project.run(&["score", "shop", &key, "--request", &x, "--as-of", time, "--output", "json"]).ok();
    let answer = read_json(&ended.stdout);
    answer["scores"][0].clone()
}

#[test]
fn a_model_that_fails_stops_nothing() {
    if !onnx_runtime() {
        return;
    }
    let definitions = shop_definitions().replace("sum_of_named.onnx", "fails_when_run.onnx");
    let project = shop(&definitions);
    let orders: Vec<Json> = (0..EVENTS).map(order).collect();
    let _ = project.push("orders", &orders).ok();
    project.catch_up();
    let predictions = read_topic(&project, "order-scores");
    assert_eq!(predictions.len(), orders.len());
    for prediction in &predictions {
        assert!(prediction.value["score"].is_null(), "{}", prediction.value);
        assert!(prediction.value["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", prediction.value);
        assert!(prediction.value["features"]["n_1h"].is_i64(), "the features are there: {}", prediction.value);
    }
    let server = project.serve();
    let row = &server.lookup("shop_v1", &json!({"keys": [{"user_id": 1}], "as_of": order(EVENTS - 1)["t"]}))[0];
    assert!(row["n_1h"].as_i64().is_some_and(|n| n > 0), "{row}");
    let body = json!({"keys": [{"user_id": 1}], "request": [{"x": 1.0}], "as_of": order(EVENTS - 1)["t"]});
    let (status, answer) = server.post("/v1/models/shop/score", &body);
    assert!(status >= 400 && answer["error"]["message"].is_string(), "{status} {answer}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn verify_finds_no_difference() {
    if !onnx_runtime() {
        return;
    }
    let project = shop(&shop_definitions());
    let _ = project.push("orders", &(0..EVENTS).map(order).collect::<Vec<_>>()).ok();
    project.catch_up();
    let ended = project.run(&["verify", "--samples", "200"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let time = order(EVENTS - 1)["t"].as_str().expect("a time").to_owned();
    let explained = project.run(&["explain", "shop_v1.n_1h", "user_id=1", "--as-of", &time]).ok();
    assert!(!explained.stdout.is_empty());
}

/// A vector may read a view of another source, whose state forgets by that source's own time.
#[test]
fn an_event_from_before_what_another_source_still_knows() {
    if !onnx_runtime() {
        return;
    }
    let definitions = shop_definitions()
        + "
source visits (user_id bigint, t timestamp) from log 'visits' event time t lateness '1 hour' history '2 hours';
features user_visits of user from visits ( visits = count(*) over 1h );
vector both on orders ( user_orders.n_1h, spend_1h = user_visits.visits_1h::double, x );
model late from 'sum_of_named.onnx' takes both score orders into topic 'late-scores';
";
    let project = shop(&definitions);
    let visit = |hour: i64| json!({"user_id": 1, "t": rfc3339(START + hour * 3_600_000_000)});
    let _ = project.push("visits", &(0..48).map(visit).collect::<Vec<_>>()).ok();
    project.catch_up();
    let _ = project.push("orders", &[order(1)]).ok();
    project.catch_up();
    let predictions = read_topic(&project, "late-scores");
    let error = predictions[0].value["error"].as_str().unwrap_or_default();
    assert!(predictions[0].value["score"].is_null() && error.contains("forebay score --spine"), "{}", predictions[0].value);
}

/// An event may stand in a key's rows twice, by two parts of a stream: neither is seen when it is scored.
#[test]
fn the_scored_event_is_left_out_of_every_part_of_a_stream() {
    if !onnx_runtime() {
        return;
    }
    let definitions = shop_definitions()
        + "
source visits (user_id bigint, t timestamp) from log 'visits' event time t;
stream moves as
  select user_id, x, t from orders
  union all
  select (order_id * 3) % 5, -x, t from orders where order_id % 2 = 0
  union all
  select user_id, 0.25, t from visits;
features user_moves of user from moves (
  n = count(*) over 1h excluding current as n_1h,
  spend = sum(x) over 1h excluding current as spend_1h default 0,
);
vector moved on orders ( user_moves.*, x );
model moved from 'sum_of_named.onnx' takes moved score orders into topic 'moved-scores';
";
    let project = shop(&definitions);
    let orders: Vec<Json> = (0..EVENTS).map(order).collect();
    let visits: Vec<Json> = orders.iter().map(|order| json!({"user_id": 0, "t": order["t"]})).collect();
    // Two runs of the engine: the second goes on with the first one's states.
    for half in [0..30, 30..60] {
        let _ = project.push("orders", &orders[half.clone()]).ok();
        let _ = project.push("visits", &visits[half]).ok();
        project.catch_up();
    }
    project.write("spine.ndjson", ndjson(&orders));
    let asked = |out: &str, more: &[&str]| {
        let mut arguments = vec!["training-set", "moved", "--spine", "spine.ndjson", "--out", out, "--event", "orders"];
        arguments.extend(more);
        let _ = project.run(&arguments).ok();
        read_ndjson(&project.read(out))
    };
    let (known, as_of) = (asked("known.ndjson", &["--as-known"]), asked("as_of.ndjson", &[]));
    let predictions = read_topic(&project, "moved-scores");
    assert_eq!(predictions.len(), orders.len());
    for (id, order) in (0..).zip(&orders) {
        let prediction = predictions.iter().find(|prediction| prediction.value["event_time"] == short(&order["t"])).expect("a prediction");
        for name in ["n_1h", "spend_1h"] {
            let row = &known[usize::try_from(id).expect("small")];
            assert_eq!(prediction.value["features"][name].to_string(), row[name].to_string(), "{name} of {order}");
        }
        let within = |other: &i64| (id - other) * 97 <= 3600 && *other <= id;
        let own = (0..EVENTS)
            .filter(within)
            .filter(|other| *other != id)
            .map(|other| i64::from(other % 5 == id % 5) + i64::from(other % 2 == 0 && (other * 3) % 5 == id % 5));
        let visits = if id % 5 == 0 { (0..EVENTS).filter(within).count() as i64 } else { 0 };
        assert_eq!(as_of[usize::try_from(id).expect("small")]["n_1h"], json!(own.sum::<i64>() + visits), "as of {order}");
    }
}

const CARTS: &str = "
source carts (cart_id bigint, user_id bigint, x double, amounts double[], t timestamp)
from log 'carts'
event time t
lateness '1 day' history '30 days'
dedup by cart_id within '1 day';
entity user (user_id bigint);
stream pieces as
  select user_id, unnest(amounts) as amount, t from carts
  union all
  select user_id, x, t from carts where x < 3;
features user_pieces of user from pieces (
  n = count(*) over 1h excluding current as n_1h,
  spend = sum(amount) over 1h excluding current as spend_1h default 0,
  all = count(*) over 1h,
);
vector pieced on carts ( user_pieces.n_1h, user_pieces.spend_1h, x );
vector whole on carts ( user_pieces.all_1h );
model pieced from 'sum_of_named.onnx' takes pieced score carts into topic 'piece-scores';
";

/// All rows that an event is unnested into are left out when it is scored, and no other's, also those of its time.
#[test]
fn the_scored_event_is_left_out_with_all_its_elements() {
    if !onnx_runtime() {
        return;
    }
    let project = shop(CARTS);
    // Two carts of every user at each time; some have no amounts.
    let amounts = |id: i64| (0..id % 4).map(|at| (id * 7 + at) as f64 / 4.0).collect::<Vec<_>>();
    let (user, second) = (|id: i64| id / 2 % 3, |id: i64| id / 6 * 300);
    let time = |id: i64| rfc3339(START + second(id) * 1_000_000);
    let cart = |id| json!({"cart_id": id, "user_id": user(id), "x": (id % 5) as f64, "amounts": amounts(id), "t": time(id)});
    let carts: Vec<Json> = (0..EVENTS).map(cart).collect();
    for half in [0..31, 31..60] {
        let _ = project.push("carts", &carts[half]).ok();
        project.catch_up();
    }
    let predictions = read_topic(&project, "piece-scores");
    assert_eq!(predictions.len(), carts.len());
    project.write("spine.ndjson", ndjson(&carts));
    let asked = |arguments: &[&str]| {
        let _ = project.run(&[arguments, &["--spine", "spine.ndjson", "--out", "out.ndjson", "--event", "carts"]].concat()).ok();
        read_ndjson(&project.read("out.ndjson"))
    };
    let known = asked(&["training-set", "pieced", "--as-known"]);
    let (as_of, scores) = (asked(&["training-set", "pieced"]), asked(&["score", "pieced", "--as-known"]));
    for (id, row) in (0..EVENTS).zip(0..) {
        let rows = |other: i64| amounts(other).into_iter().chain((other % 5 < 3).then_some((other % 5) as f64));
        let others = |seen: fn(i64, i64) -> bool| {
            let same = move |other: &i64| user(*other) == user(id) && (0..=3600).contains(&(second(id) - second(*other)));
            let rows: Vec<f64> = (0..EVENTS).filter(same).filter(|other| *other != id && seen(*other, id)).flat_map(rows).collect();
            (json!(rows.len()), json!(rows.iter().sum::<f64>() + 0.0))
        };
        let prediction = predictions.iter().find(|prediction| prediction.value["offset"] == id).expect("a prediction");
        let features = &prediction.value["features"];
        assert_eq!((features["n_1h"].clone(), features["spend_1h"].clone()), others(|other, id| other < id), "scored {id}");
        for name in ["n_1h", "spend_1h"] {
            assert_eq!(known[row][name].to_string(), features[name].to_string(), "{name} of {id} as known");
        }
        assert_eq!(scores[row]["score"].to_string(), prediction.value["score"].to_string(), "the score of {id}");
        assert_eq!((as_of[row]["n_1h"].clone(), as_of[row]["spend_1h"].clone()), others(|_, _| true), "{id} as of its time");
    }

    // Each row says of which element it is: 7 has three, and is no row of the other part; 11 has three and is one.
    let explained =
        |arguments: &[&str]| project.run(&[&["explain", "whole.all_1h", "user_id=2", "--as-of", &time(11)], arguments].concat()).ok();
    let events = read_json(&explained(&["--output", "json"]).stdout)["events"].clone();
    let of_eleven: Vec<_> = events
        .as_array()
        .expect("events")
        .iter()
        .filter(|event| event["offset"] == 11)
        .map(|event| (event["part"].as_u64(), event["element"].as_u64()))
        .collect();
    assert_eq!(of_eleven, [(Some(1), Some(1)), (Some(1), Some(2)), (Some(1), Some(3)), (Some(2), None)]);
    assert!(explained(&[]).stdout.contains("offset 11  (part 1)  (element 3)  "), "{}", explained(&[]).stdout);
}

/// A list with too many elements is one dead letter: nothing of its event counts, and what comes with it is taken.
#[test]
fn an_event_with_too_many_elements_is_set_aside() {
    let definitions = CARTS.split("model pieced").next().expect("what stands before the model");
    let project = Project::new(definitions);
    let cart = |id: i64, count: usize| json!({"cart_id": id, "user_id": 1, "x": 9, "amounts": vec![1; count], "t": rfc3339(START + id)});
    let _ = project.push("carts", &[cart(0, 3), cart(1, 65_537), cart(2, 65_536), cart(3, 2)]).ok();
    project.catch_up();
    let dead = read_topic(&project, "carts.dead");
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((dead[0].value["cart_id"].as_i64(), dead[0].value["amounts"].as_array().map(Vec::len)), (Some(1), Some(65_537)));
    let said = serde_json::to_string(&dead[0].headers).expect("headers");
    assert!(said.contains("unnest(amounts) makes 65537 rows of one event, at most 65536 can be; send it in parts"), "{said}");
    let server = project.serve();
    let (online, time) = (server.lookup("whole", &json!({"keys": [{"user_id": 1}], "as_of": rfc3339(START + 3)})), rfc3339(START + 3));
    assert_eq!(online, [json!({"all_1h": 3 + 65_536 + 2})]);
    assert_eq!(server.stop(), Some(0));
    project.write("spine.ndjson", ndjson(&[json!({"user_id": 1, "t": time})]));
    let _ = project.run(&["training-set", "whole", "--spine", "spine.ndjson", "--out", "out.ndjson", "--time", "t"]).ok();
    assert_eq!(read_ndjson(&project.read("out.ndjson"))[0]["all_1h"], online[0]["all_1h"]);
}

/// What becomes of a batch need not fit into one: the engine takes it in parts, also where it builds state anew.
#[test]
fn events_that_are_too_much_together_are_taken_in_parts() {
    let definitions = "
source notes (id bigint, items bigint[], note text, t timestamp) from log 'notes' event time t;
stream noted as select unnest(items) as item, note, t from notes;
entity item (item bigint);
features items of item from noted (n = count(*) over all as n);
vector v (items.*);
";
    const NOTES: i64 = 150;
    const ITEMS: i64 = 1_000;
    let project = Project::new(definitions);
    // Each row repeats the note: together more than the 2 GiB that a column of texts holds.
    let note = "n".repeat(16_000);
    let notes: Vec<Json> =
        (0..NOTES).map(|id| json!({"id": id, "items": (0..ITEMS).collect::<Vec<_>>(), "note": note, "t": rfc3339(START + id)})).collect();
    assert!(NOTES * ITEMS * note.len() as i64 > 1 << 31);
    let counted = |name: &str| {
        project.catch_up();
        let server = project.serve();
        let keys = json!({"keys": [{"item": 0}, {"item": ITEMS - 1}, {"item": ITEMS}], "as_of": rfc3339(START + NOTES)});
        let rows = server.lookup("v", &keys);
        assert_eq!(server.stop(), Some(0));
        rows.iter().map(|row| row[name].as_i64()).collect::<Vec<_>>()
    };
    let _ = project.push("notes", &notes).ok();
    assert_eq!(counted("n"), [Some(NOTES), Some(NOTES), Some(0)]);
    project.write("features/test.bay", definitions.replace("as n)", "as n, noted = sum(item + 1) over all as noted)"));
    assert_eq!(counted("noted"), [Some(NOTES), Some(NOTES * ITEMS), None]);
}
