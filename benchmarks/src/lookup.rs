//! Lookups of twenty features of a hot key: in process, and over HTTP with `wrk` from another process.

use std::process::Command;
use std::time::Instant;

use forebay::engine::{Engine, LookupRequest, LookupRow};
use forebay::serve::{self, Limits, Listener};
use forebay::{Error, EventTime, Result, Value};
use hdrhistogram::Histogram;

use crate::figures::Figures;
use crate::setting::Setting;

const VECTOR: &str = "payment_20";
const ROUNDS: u64 = 100_000;

/// The key that the most payments have, at the last event.
fn request(engine: &Engine) -> LookupRequest {
    let frontier = engine.handle().status().sources.first().and_then(|source| source.frontier).unwrap_or(EventTime(0));
    let keys = vec![("user_id".to_owned(), Value::Int(1)), ("merchant_id".to_owned(), Value::Text("m00001".into()))];
    LookupRequest {
        vector: VECTOR.to_owned(),
        rows: vec![LookupRow { keys, request: Vec::new() }],
        as_of: Some(frontier),
        ..LookupRequest::default()
    }
}

pub fn in_process(_: &Setting, engine: &Engine, figures: &mut Figures) -> Result<()> {
    let handle = engine.handle();
    let request = request(engine);
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(|error| Error::internal(error.to_string()))?;
    for round in 0..ROUNDS + ROUNDS / 10 {
        let started = Instant::now();
        handle.lookup(&request)?;
        if round >= ROUNDS / 10 {
            histogram.saturating_record(started.elapsed().as_nanos() as u64);
        }
    }
    figures.add("lookup in process, 20 features, p50", histogram.value_at_quantile(0.5) as f64 / 1e3, "us", "<= 10");
    figures.add("lookup in process, 20 features, p99", histogram.value_at_quantile(0.99) as f64 / 1e3, "us", "");
    Ok(())
}

pub fn http(setting: &Setting, engine: &Engine, figures: &mut Figures) -> Result<()> {
    if Command::new("wrk").arg("--version").output().is_err() {
        figures.skip("lookup over HTTP", "no wrk; run make bench");
        return Ok(());
    }
    let as_of = request(engine).as_of.unwrap_or(EventTime(0));
    let script = setting.folder.path().join("lookup.lua");
    let body = format!(r#"{{"keys":[{{"user_id":1,"merchant_id":"m00001"}}],"as_of":"{as_of}"}}"#);
    let lua = format!("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = '{body}'\n");
    std::fs::write(&script, lua).map_err(|error| Error::unavailable(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::unavailable(error.to_string()))?;
    let listener = runtime.block_on(Listener::bind(([127, 0, 0, 1], 0).into()))?;
    let address = listener.address()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let limits = Limits { body_bytes_max: usize::try_from(setting.config.request_bytes_max).unwrap_or(usize::MAX) };
    let server = runtime.spawn(serve::run(engine.handle(), listener, limits, async {
        // The sender is dropped or sends: both mean the end.
        let _ = stopped.await;
    }));
    for connections in [8, 32] {
        let output = Command::new("wrk")
            .args(["-t1", &format!("-c{connections}"), "-d5s", "--latency", "-s"])
            .arg(&script)
            .arg(format!("http://{address}/v1/vectors/{VECTOR}/lookup"))
            .output()
            .map_err(|error| Error::unavailable(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains("Non-2xx") {
            return Err(Error::internal(format!("lookups failed:\n{text}")));
        }
        let after = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name).map(|rest| rest.trim().to_owned()));
        let rate = after("Requests/sec:").and_then(|text| text.parse().ok()).unwrap_or(0.0);
        let p99 = after("99%").map_or(0.0, |text| milliseconds(&text));
        let (rate_target, p99_target) = if connections == 8 { (">= 25,000", "<= 5") } else { ("", "") };
        figures.add(format!("lookup over HTTP, {connections} connections"), rate, "requests/s", rate_target);
        figures.add(format!("lookup over HTTP, {connections} connections, p99"), p99, "ms", p99_target);
    }
    drop(stop);
    runtime.block_on(server).map_err(|error| Error::internal(error.to_string()))?
}

/// `1.25ms`, `310.00us`, `1.02s`
fn milliseconds(text: &str) -> f64 {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().unwrap_or(0.0);
    match unit {
        "us" => number / 1e3,
        "s" => number * 1e3,
        _ => number,
    }
}
