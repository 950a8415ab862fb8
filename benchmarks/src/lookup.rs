//! Lookups of twenty features: in process, of the hottest keys and of keys whose events all lie in their rows, and over
//! HTTP with `wrk` from another process.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use forebay::demo::payments::{Generator, Options};
use forebay::engine::{Engine, LookupRequest, LookupRow};
use forebay::serve::{self, Limits, Listener};
use forebay::{Error, EventTime, Result, Value};
use hdrhistogram::Histogram;

use crate::figures::Figures;
use crate::setting::Setting;

const VECTOR: &str = "payment_20";
const ROUNDS: u64 = 100_000;
/// Payments of keys whose windows are read from their rows alone: enough that windows have edges in them, and fewer than
/// a row holds before chunks lie beside it.
const IN_ROW: std::ops::RangeInclusive<u32> = 16..=100;

/// These keys, at the last event.
fn request(engine: &Engine, user: u32, merchant: String) -> LookupRequest {
    let handle = engine.handle();
    let plan = handle.plan();
    let vector = plan.vectors.iter().position(|vector| vector.name == VECTOR).unwrap_or_default();
    let keys = [("user_id".to_owned(), Value::Int(user.into())), ("merchant_id".to_owned(), Value::Text(merchant.into()))];
    LookupRequest {
        vector,
        rows: LookupRow::named(&plan.vectors[vector], &keys, &[]).into_iter().collect(),
        as_of: Some(frontier(engine)),
        ..LookupRequest::default()
    }
}

/// The keys that the most payments have.
fn hottest(engine: &Engine) -> LookupRequest {
    request(engine, 1, "m00001".to_owned())
}

/// The user and the merchant with the most payments that a row still holds.
fn in_row(engine: &Engine, events: u64) -> Option<LookupRequest> {
    let (mut users, mut merchants) = (BTreeMap::<u32, u32>::new(), BTreeMap::<u32, u32>::new());
    for payment in Generator::new(Options { events, ..Options::default() }) {
        *users.entry(payment.user).or_default() += 1;
        *merchants.entry(payment.merchant).or_default() += 1;
    }
    let most = |counts: BTreeMap<u32, u32>| {
        let in_row = counts.into_iter().filter(|(_, count)| IN_ROW.contains(count));
        in_row.max_by_key(|(key, count)| (*count, Reverse(*key))).map(|(key, _)| key)
    };
    Some(request(engine, most(users)?, format!("m{:05}", most(merchants)?)))
}

pub fn frontier(engine: &Engine) -> EventTime {
    engine.handle().status().sources.first().and_then(|source| source.frontier).unwrap_or(EventTime(0))
}

/// Nanoseconds of so many lookups, after a tenth more that are not counted.
pub fn timed_lookups(engine: &Engine, request: &LookupRequest, rounds: u64) -> Result<Histogram<u64>> {
    let handle = engine.handle();
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(|error| Error::internal(error.to_string()))?;
    for round in 0..rounds + rounds / 10 {
        let started = Instant::now();
        handle.lookup(request)?;
        if round >= rounds / 10 {
            histogram.saturating_record(started.elapsed().as_nanos() as u64);
        }
    }
    Ok(histogram)
}

pub fn in_process(setting: &Setting, engine: &Engine, figures: &mut Figures) -> Result<()> {
    let mut measure = |what: &str, request: &LookupRequest, target: &'static str| -> Result<()> {
        let histogram = timed_lookups(engine, request, ROUNDS)?;
        figures.add(format!("lookup in process, 20 features, {what}, p50"), histogram.value_at_quantile(0.5) as f64 / 1e3, "us", target);
        figures.add(format!("lookup in process, 20 features, {what}, p99"), histogram.value_at_quantile(0.99) as f64 / 1e3, "us", "<= 20");
        Ok(())
    };
    measure("the hottest keys", &hottest(engine), "<= 10")?;
    match in_row(engine, setting.payloads.len() as u64) {
        Some(request) => measure("events in the row", &request, "<= 3")?,
        None => figures.skip("lookup of keys whose events are in the row", "no key has 16 to 100 payments; run with more"),
    }
    Ok(())
}

pub fn http(setting: &Setting, engine: &Engine, figures: &mut Figures) -> Result<()> {
    if Command::new("wrk").arg("--version").output().is_err() {
        figures.skip("lookup over HTTP", "no wrk; run make bench");
        return Ok(());
    }
    let as_of = frontier(engine);
    let script = setting.folder.path().join("lookup.lua");
    let body = format!(r#"{{"keys":[{{"user_id":1,"merchant_id":"m00001"}}],"as_of":"{as_of}"}}"#);
    let lua = format!("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = '{body}'\n");
    std::fs::write(&script, lua).map_err(|error| Error::unavailable(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::unavailable(error.to_string()))?;
    let listener = runtime.block_on(Listener::bind(([127, 0, 0, 1], 0).into()))?;
    let address = listener.address()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let limits = Limits::of(&setting.config)?;
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
