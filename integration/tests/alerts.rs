//! The alert rules of `docs/alerts.yml`: each fires when it should and has its section in `docs/alerts.md`, every metric that
//! they name is one of a running server from its start, and Prometheus itself takes both.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_integration::answers::read_json;
use forebay_integration::folders::{here, onnx_runtime, watching, workspace};
use forebay_integration::harness::{Project, ndjson, wait_for};
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
    source events (id bigint, user_id bigint, a double, b double, at timestamp)
      from log 'events' format json event time at lateness '1 day';
    entity user (user_id bigint);
    features activity of user from events (n = count(*) over 1h);
    vector v on events (a, b);
    model m from 'linear_2.onnx' takes v score events into topic 'predictions'
      watch drift every '1 day' against '../m.profile' alert when psi > 0.2 into topic 'drift';";

fn rules() -> String {
    fs::read_to_string(workspace().join("docs/alerts.yml")).expect("the rules")
}

/// The words that follow `after` in the lines of a text.
fn named<'a>(text: &'a str, after: &'a str) -> Vec<&'a str> {
    let word = |line: &'a str| line.trim_start().strip_prefix(after)?.split_whitespace().next();
    text.lines().filter_map(word).collect()
}

fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new(watching("promtool")?);
    command.args(arguments).current_dir(here("alerts")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
    Some(said)
}

#[test]
fn every_rule_fires_and_says_what_to_do() {
    let (rules, page) = (rules(), fs::read_to_string(workspace().join("docs/alerts.md")).expect("the page"));
    let tests = fs::read_to_string(here("alerts/tests.yml")).expect("the tests");
    let alerts = named(&rules, "- alert:");
    assert!(alerts.len() > 20, "{alerts:?}");
    assert_eq!(alerts, named(&page, "###"), "one section for each alert, in the order of the rules");
    let tested = named(&tests, "- alertname:");
    assert_eq!(alerts, tested, "one case for each alert that fires");
    let silent: Vec<&str> = named(&tests, "- {alertname:").into_iter().map(|name| name.trim_end_matches(',')).collect();
    assert_eq!(alerts, silent, "and each is silent where all is well");
    let _ = promtool(&["check", "rules", "../../docs/alerts.yml"], "");
    let _ = promtool(&["test", "rules", "tests.yml"], "");
}

/// A server that has done nothing yet.
fn project() -> Project {
    let project = Project::new(DEFINITIONS);
    project.write("features/linear_2.onnx", fs::read(here("fixtures/linear_2.onnx")).expect("a fixture"));
    let reference: Vec<Json> = (0..500).map(|row| json!({"a": f64::from(row % 7), "b": f64::from(row % 11)})).collect();
    project.write("reference.ndjson", ndjson(&reference));
    let _ = project.run(&["models", "profile", "m", "--training-set", "reference.ndjson", "--out", "m.profile"]).ok();
    project
}

fn event(id: i64) -> Json {
    json!({"id": id, "user_id": id % 7, "a": 1.0, "b": 2.0, "at": "2026-01-01T00:00:00Z"})
}

/// What a rule's expressions call metrics.
fn metrics_of(rules: &str) -> BTreeSet<&str> {
    let expressions = rules.lines().filter(|line| !line.trim_start().starts_with('#') && !line.contains("summary:"));
    let words = expressions.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.filter(|word| word.starts_with("forebay_") || word.starts_with("process_")).collect()
}

#[test]
fn rules_name_what_a_server_shows_from_its_start() {
    if !onnx_runtime() {
        return;
    }
    let project = project();
    let server = project.serve();
    let _ = server.get("/nowhere");
    let (_, text) = server.get("/metrics");
    let shown: BTreeSet<&str> = text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let rules = rules();
    let missing: Vec<&str> = metrics_of(&rules).into_iter().filter(|metric| !shown.contains(metric)).collect();
    assert_eq!(missing, ["forebay_staleness_seconds"], "all but what needs an event:\n{text}");
    let page = fs::read_to_string(workspace().join("docs/alerts.md")).expect("the page");
    let kinds = text.lines().filter_map(|line| line.strip_prefix("forebay_problems{kind=\"")?.split('"').next());
    let unexplained: Vec<&str> = kinds.filter(|kind| !page.contains(&format!("`{kind}`"))).collect();
    assert!(unexplained.is_empty(), "kinds of problems that docs/alerts.md does not explain: {unexplained:?}");
    let zero = [
        "forebay_drift_alerts_total{model=\"m\"} 0",
        "forebay_events_rejected_total{source=\"events\",reason=\"too_late\"} 0",
        "forebay_http_requests_total{route=\"unknown\",status=\"404\"} 1",
        "forebay_http_errors_total{route=\"unknown\",code=\"unknown_route\"} 1",
        "forebay_long_requests_done_total 0",
        "forebay_long_requests{state=\"running\"} 0.0",
        "forebay_long_requests{state=\"waiting\"} 0.0",
        "forebay_lookup_rows_total{vector=\"v\"} 0",
        "forebay_offline_pending_events 0.0",
        "forebay_outputs_published_total{topic=\"events.dead\"} 0",
        "forebay_predictions_total{model=\"m\",outcome=\"failed\"} 0",
        "forebay_problems{kind=\"clock\"} 0.0",
        "forebay_ready 1.0",
        "forebay_waiting_lookups 0.0",
    ];
    for line in zero {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
    for (name, having) in [
        ("process_open_fds", ""),
        ("process_max_fds", ""),
        ("process_start_time_seconds", ""),
        ("process_resident_memory_bytes", ""),
        ("forebay_disk_free_bytes", ""),
        ("forebay_disk_size_bytes", ""),
        ("forebay_data_bytes", "log"),
        ("forebay_data_bytes", "online"),
        ("forebay_build_info", "profile"),
    ] {
        assert!(server.metric(name, having) > 0.0, "{name} {having} in\n{text}");
    }
    let _ = server.push("events", &[event(1)]);
    wait_for("an event's age", || (server.metric("forebay_staleness_seconds", "events") > 0.0).then_some(()));
    let said = promtool(&["check", "metrics"], &server.get("/metrics").1).unwrap_or_default();
    assert_eq!(said, "", "promtool finds fault with the metrics");
}

/// Backlogs are what waits, and errors are counted by what was asked for.
#[test]
fn what_waits_and_what_fails_is_counted() {
    if !onnx_runtime() {
        return;
    }
    let mut project = project();
    // Nothing is written to Parquet before the end.
    project.set("FOREBAY_OFFLINE_INTERVAL", "1h");
    let server = project.serve();
    let _ = server.push("events", &(0..500).map(event).collect::<Vec<_>>());
    server.wait_for_seq(500);
    wait_for("predictions", || (server.metric("forebay_outputs_published_total", "predictions") == 500.0).then_some(()));
    assert_eq!(server.metric("forebay_offline_pending_events", ""), 500.0);
    for (name, having) in [
        ("forebay_outbox_records", ""),
        ("forebay_lag_records", "events"),
        ("forebay_unapplied_events", ""),
        ("forebay_unscored_events", ""),
    ] {
        wait_for(name, || (server.metric(name, having) == 0.0).then_some(()));
    }
    assert!(server.metric("forebay_apply_seconds_count", "") > 0.0 && server.metric("forebay_commit_seconds_count", "") > 0.0);
    assert!(server.metric("forebay_state_keys", "") >= 7.0);
    for topic in ["topic=\"events\"", "topic=\"predictions\""] {
        assert_eq!(server.metric("forebay_topic_records", topic), 500.0);
        assert!(server.metric("forebay_topic_bytes", topic) > 1_000.0);
    }
    let wrong = |path: &str, count: usize| (0..count).for_each(|_| assert!(server.post(path, &json!({"keys": [{"nothing": 1}]})).0 >= 400));
    wrong("/v1/vectors/v/lookup", 2);
    wrong("/v1/vectors/made_up_by_a_caller/lookup", 3);
    wrong("/v1/models/none/score", 1);
    assert_eq!(server.metric("forebay_lookup_errors_total", "vector=\"v\""), 2.0);
    assert_eq!(server.metric("forebay_lookup_errors_total", "vector=\"unknown\",code=\"unknown_vector\""), 3.0);
    assert_eq!(server.metric("forebay_score_errors_total", "model=\"unknown\",code=\"unknown_model\""), 1.0);
    assert_eq!(server.metric("forebay_http_errors_total", "code=\"unknown_vector\""), 3.0);
    assert_eq!(server.try_post("/v1/status", "application/json", b"{}").expect("an answer").0, 405);
    assert_eq!(server.metric("forebay_http_errors_total", "route=\"/v1/status\",code=\"method_not_allowed\""), 1.0);
    let (_, text) = server.get("/metrics");
    assert!(!text.contains("made_up"), "a caller makes no labels:\n{text}");
    assert_eq!(server.metric("forebay_http_requests_in_flight", ""), 1.0, "the request for metrics itself");
}

/// A Prometheus of one test; it is killed when dropped.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn prometheus_takes_the_metrics_and_the_rules() {
    let Some(prometheus) = watching("prometheus") else { return };
    if !onnx_runtime() {
        return;
    }
    let project = project();
    let server = project.serve();
    let config = json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [workspace().join("docs/alerts.yml")],
        "scrape_configs": [{"job_name": "forebay", "static_configs": [{"targets": [server.address]}]}],
    });
    // YAML is a superset of JSON.
    let config = project.write("prometheus.yml", config.to_string());
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    let mut command = Command::new(prometheus);
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", project.path("tsdb").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let _running = Prometheus(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("prometheus starts"));
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).proxy(None).build().into();
    let get = |path: &str| {
        let body = agent.get(format!("http://127.0.0.1:{port}{path}")).call().ok()?.body_mut().read_to_string().ok()?;
        Some(read_json(&body)["data"].clone())
    };
    let target = wait_for("a scrape", || {
        let target = get("/api/v1/targets")?["activeTargets"].get(0)?.clone();
        (target["health"] != "unknown").then_some(target)
    });
    assert_eq!((&target["health"], &target["lastError"]), (&json!("up"), &json!("")), "{target}");
    let value = |query: &str| wait_for(query, || Some(get(&format!("/api/v1/query?query={query}"))?["result"].get(0)?["value"][1].clone()));
    assert_eq!(value("forebay_ready"), "1");
    assert_eq!(value("forebay_predictions_total"), "0", "a counter keeps its ending");
    assert_eq!(value("forebay_commit_seconds_bucket{le=%22%2BInf%22}"), value("forebay_commit_seconds_count"));
    wait_for("the rules", || {
        let groups = get("/api/v1/rules")?["groups"].as_array()?.clone();
        let rules: Vec<&Json> = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
        if rules.iter().any(|rule| rule["health"] == "unknown") {
            return None;
        }
        rules.iter().for_each(|rule| assert_eq!(rule["health"], "ok", "{rule}"));
        (rules.len() > 20).then_some(())
    });
}
