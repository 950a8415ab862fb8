//! Definitions change between starts: what rows lack is built from all events, what they hold is kept, and every value
//! is the one of today's declaration.

use forebay_integration::harness::Project;
use serde_json::{Value as Json, json};

/// Four hundred events over forty days: with a short history the early ones are long forgotten by the online state.
fn events() -> Vec<Json> {
    let event = |n: i64| {
        let (day, hour) = (n / 10, n % 10);
        let (month, day) = (1 + day / 28, 1 + day % 28);
        json!({"k": n % 3, "x": n as f64 / 4.0, "t": format!("2024-{month:02}-{day:02}T{hour:02}:00:00Z")})
    };
    (0..400).map(event).collect()
}

fn declared(history: &str, features: &str) -> String {
    declared_with("", history, features)
}

fn declared_with(ttl: &str, history: &str, features: &str) -> String {
    format!(
        "source s (k bigint, x double, t timestamp) from log 's' event time t lateness '1 hour' history '{history}';
entity e (k bigint);
features v of e from s {ttl} ({features});
vector w (v.*);
"
    )
}

#[test]
fn values_are_those_of_todays_declaration() {
    let project = Project::new(&declared("1 day", "spend = sum(x) over 1d,"));
    let _ = project.push("s", &events()).ok();
    project.catch_up();
    let steps = [
        // The same fold over all events: the forgotten ones count.
        ("1 day", "spend = sum(x) over 1d, total = sum(x) over all,"),
        // Another fold, a longer window.
        ("1 day", "spend = sum(x) over 1d, 20d, most = max(x) over 20d,"),
        // One fold less, and it comes back.
        ("1 day", "spend = sum(x) over 20d,"),
        ("1 day", "spend = sum(x) over 20d, most = max(x) over 20d,"),
        // Runs and last rows of events that are forgotten; more of them; fewer.
        ("1 day", "spend = sum(x) over 20d, visit = count(*) over session 2h,"),
        ("1 day", "spend = sum(x) over 20d, visit = count(*) over session 2h, session 1d, recent = sum(x) over 30 rows,"),
        ("1 day", "spend = sum(x) over 20d, recent = last_n(x, 3) over 40 rows, session 1d limit 50 rows as visited,"),
        ("1 day", "spend = sum(x) over 20d, most = max(x) over 20d, 5d hop 1h, month, 20d limit 7 rows as lately,"),
        // Lookups may ask further back.
        ("30 days", "spend = sum(x) over 20d, most = max(x) over 20d,"),
    ];
    for (history, features) in steps {
        project.write("features/test.bay", declared(history, features));
        project.catch_up();
        let verified = project.run(&["verify", "--samples", "60"]);
        assert_eq!(verified.code, Some(0), "{history}, {features}\n{}\n{}", verified.stdout, verified.stderr);
    }
    project.write("features/test.bay", declared("30 days", "total = sum(x) over all, n = count(*) over all,"));
    project.catch_up();
    let server = project.serve();
    let row = &server.lookup("w", &json!({"keys": [{"k": 0}]}))[0];
    let expected: f64 = (0..400).filter(|n| n % 3 == 0).map(|n| f64::from(n) / 4.0).sum();
    assert_eq!((row["total"].as_f64(), row["n"].as_i64()), (Some(expected), Some(134)));
    assert_eq!(server.stop(), Some(0));
}

/// Orders `from..to`, one a minute, each of one customer and one shop.
fn orders(from: i64, to: i64) -> Vec<Json> {
    let order = |n: i64| json!({"id": n, "k": n % 3, "shop": n % 5, "x": n, "t": format!("2024-03-01T{:02}:{:02}:00Z", n / 60, n % 60)});
    (from..to).map(order).collect()
}

/// What takes every fourth of these orders back. It says nothing of the shop.
fn deletes(from: i64, to: i64) -> Vec<Json> {
    let delete = |mut order: Json| {
        order["gone"] = json!(true);
        order["shop"] = Json::Null;
        order
    };
    orders(from, to).into_iter().step_by(4).map(delete).collect()
}

fn shop_orders(clause: &str, views: &str) -> String {
    format!(
        "source s (id bigint, k bigint, shop bigint, x bigint, gone boolean, t timestamp) from log 's' event time t
  lateness '1 hour' history '2 days' dedup by id within '1 minute' {clause};
entity customer (k bigint);
entity shop (shop bigint);
features customers of customer from s (total = sum(x) over all as total, n = count(*) over 2h);
{views}"
    )
}

const BY_CUSTOMER: &str = "vector w (customers.*);";
const BY_SHOP_TOO: &str = "features shops of shop from s (largest = max(x) over all as largest, ids = last_n(id, 100) over 1d as ids);
vector w (customers.*);
vector by_shop (shops.*);";

#[test]
fn what_was_taken_back_stays_so_under_other_definitions() {
    let project = Project::new(&shop_orders("", BY_CUSTOMER));
    let _ = project.push("s", &orders(0, 200)).ok();
    project.catch_up();

    // The ids of events of before are remembered without their places: the start learns them.
    project.write("features/test.bay", shop_orders("deletes when gone", BY_CUSTOMER));
    let _ = project.push("s", &deletes(0, 200)).ok();
    let _ = project.push("s", &orders(200, 300)).ok();
    project.catch_up();
    verified(&project);
    total_is(&project, 200);

    // Another view, of keys that no delete names; what is committed is not applied when the definitions change.
    let server = project.serve();
    let _ = server.push("s", &[deletes(200, 260), orders(300, 400)].concat());
    let _ = server.push("s", &deletes(300, 340));
    server.wait_for_seq(200 + 50 + 100 + 15 + 100 + 10);
    server.kill();
    project.write("features/test.bay", shop_orders("deletes when gone", BY_SHOP_TOO));
    project.catch_up();
    verified(&project);
    let gone = |n: &i64| n % 4 == 0 && (*n < 260 || (300..340).contains(n));
    let server = project.serve();
    let rows = server
        .lookup("by_shop", &json!({"keys": (0..5).map(|shop| json!({"shop": shop})).collect::<Vec<_>>(), "as_of": "2024-03-01T06:39:00Z"}));
    for (shop, row) in (0..5).zip(rows) {
        let ids: Vec<i64> = (0..400).filter(|n| n % 5 == shop && !gone(n)).collect();
        assert_eq!((&row["largest"], &row["ids"]), (&json!(ids.iter().max()), &json!(ids)), "shop {shop}");
    }
    // From now on a delete must name the shop, also of an event of before.
    let _ = server.push("s", &deletes(340, 360));
    let _ = server.push(
        "s",
        &orders(340, 360)
            .into_iter()
            .step_by(4)
            .map(|mut order| {
                order["gone"] = json!(true);
                order
            })
            .collect::<Vec<_>>(),
    );
    server.wait_for_seq(200 + 50 + 100 + 15 + 100 + 10 + 5);
    assert_eq!(server.stop(), Some(0));
    project.catch_up();
    verified(&project);
    let dead = project.run(&["topics", "read", "s.dead", "--from", "start", "--output", "ndjson"]).ok();
    assert_eq!(dead.stdout.matches("retracts_other_key").count(), 2 * 5, "a reason in two headers each:\n{}", dead.stdout);
}

fn verified(project: &Project) {
    let verified = project.run(&["verify", "--samples", "80"]);
    assert_eq!(verified.code, Some(0), "{}\n{}", verified.stdout, verified.stderr);
}

/// The totals of all orders up to 300, of which the first `taken` lost every fourth.
fn total_is(project: &Project, taken: i64) {
    let server = project.serve();
    let rows = server.lookup("w", &json!({"keys": [{"k": 0}, {"k": 1}, {"k": 2}], "as_of": "2024-03-01T04:59:00Z"}));
    for (k, row) in (0..3).zip(rows) {
        let total: i64 = (0..300).filter(|n| n % 3 == k && !(n % 4 == 0 && *n < taken)).sum();
        assert_eq!(row["total"], json!(total), "customer {k}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn silent_keys_begin_anew_after_a_restart_too() {
    let features = "spend = sum(x) over 20d, total = sum(x), recent = last_n(x, 3) over 40 rows, visit = count(*) over session 2d,";
    let project = Project::new(&declared_with("ttl '12 hours'", "1 day", features));
    let _ = project.push("s", &events()).ok();
    for ttl in ["ttl '12 hours'", "ttl '30 days'", "", "ttl '3 hours'"] {
        project.write("features/test.bay", declared_with(ttl, "1 day", features));
        project.catch_up();
        let verified = project.run(&["verify", "--samples", "60"]);
        assert_eq!(verified.code, Some(0), "{ttl}\n{}\n{}", verified.stdout, verified.stderr);
    }
    let server = project.serve();
    let row = &server.lookup("w", &json!({"keys": [{"k": 0}]}))[0];
    assert_eq!((row["total"].as_f64(), row["visit_session_2d"].as_i64()), (None, Some(0)), "silent for years");
    assert_eq!(server.stop(), Some(0));
}

fn streamed(history: &str, stream: &str) -> String {
    format!(
        "source s (k bigint, x double, t timestamp) from log 's' event time t lateness '1 hour' history '1 day';
source r (k bigint, y double, at timestamp) from log 'r' event time at lateness '1 hour' history '{history}';
entity e (k bigint);
stream m as {stream};
features v of e from m (n = count(*), total = sum(x) over all, spend = sum(x) over 1d, newest = last_n(x, 3) over 20d);
vector w (v.*);
"
    )
}

#[test]
fn values_of_a_stream_are_those_of_todays_declaration() {
    let both = "select k, x, t from s union all select k, -y, at from r where y > 3.0";
    let project = Project::new(&streamed("1 day", both));
    let _ = project.push("s", &events()).ok();
    let refunds: Vec<Json> = events().iter().map(|event| json!({"k": event["k"], "y": event["x"], "at": event["t"]})).collect();
    let _ = project.push("r", &refunds).ok();
    project.catch_up();
    let steps = [
        ("1 day", both),
        // Another filter, another order of parts, one source twice, one alone.
        ("1 day", "select k, x, t from s union all select k, -y, at from r where y > 4.0"),
        ("1 day", "select k, -y as x, at as t from r where y > 4.0 union all select k, x, t from s"),
        ("1 day", "select k, x, t from s union all select 2 - k, x, t from s where k < 2"),
        ("1 day", "select k, x, t from s where x > 2.0"),
        ("1 day", both),
        // Lookups may ask further back, into what the other source's history alone would have kept.
        ("30 days", both),
        ("2 hours", both),
    ];
    for (history, stream) in steps {
        project.write("features/test.bay", streamed(history, stream));
        project.catch_up();
        let verified = project.run(&["verify", "--samples", "60"]);
        assert_eq!(verified.code, Some(0), "{history}, {stream}\n{}\n{}", verified.stdout, verified.stderr);
    }
    let server = project.serve();
    let row = &server.lookup("w", &json!({"keys": [{"k": 0}]}))[0];
    let amounts: Vec<f64> = (0..400).filter(|n| n % 3 == 0).map(|n| f64::from(n) / 4.0).collect();
    let refunded = amounts.iter().filter(|amount| **amount > 3.0);
    let n = amounts.len() + refunded.clone().count();
    let total = amounts.iter().sum::<f64>() - refunded.sum::<f64>();
    assert_eq!((row["total"].as_f64(), row["n"].as_u64()), (Some(total), Some(n as u64)));
    let explained = project.run(&["explain", "w.total", "k=0"]).ok();
    assert!(explained.stdout.contains(" s partition 0 ") && explained.stdout.contains(" r partition 0 "), "{}", explained.stdout);
    assert_eq!(server.stop(), Some(0));
}
