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
