//! What sparse keys take in the store: `forebay-benchmarks bytes`. 100,000 users with 1, 5 and 16 payments each, sixteen
//! features or one; bytes do not depend on the machine.

use forebay::config::Layers;
use forebay::engine::{Engine, push_without_engine};
use forebay::language::SourceFile;
use forebay::online::Store;
use forebay::proof::inventory;
use forebay::telemetry::Metrics;
use forebay::{Error, Result};

use crate::figures::Figures;
use crate::setting::{Setting, plan_of};

const KEYS: u64 = 100_000;
const CACHE_BYTES: usize = 64 << 20;
/// Of a key in the store beside the entity key's own: slot and view.
const PREFIX: u64 = 17;
/// An entity key of one bigint.
const KEY: u64 = 9;
/// 2026-01-01T00:00:00Z
const START: u64 = 1_767_225_600_000_000;
const DAY: u64 = 86_400_000_000;
const WINDOWS: [(&str, &str); 2] = [
    (
        "16 features",
        "n = count(*) over 1h, 1d, 7d, 30d,\nspend = sum(x) over 1h, 1d, 7d, 30d,\nmean = avg(x) over 1h, 1d, 7d, 30d,\nmost = max(x) over 1h, 1d, 7d, 30d",
    ),
    ("1 feature", "spend = sum(x) over 1h"),
];

pub fn bytes(figures: &mut Figures) -> Result<()> {
    for (name, features) in WINDOWS {
        for (events, target) in [(1, "<= 162"), (5, "<= 210"), (16, "<= 342")] {
            figures.add(format!("state of a key, {name}, {events} events, row and key"), measure(features, events)?, "bytes", target);
        }
    }
    Ok(())
}

/// Bytes of a key as written, before RocksDB compresses them.
fn measure(features: &str, events: u64) -> Result<f64> {
    let folder = tempfile::tempdir().map_err(|error| Error::unavailable(format!("no temporary folder: {error}")))?;
    let data = folder.path().join("data").display().to_string();
    let config = Layers { file: None, environment: Vec::new(), flags: vec![("data", data)] }.config()?;
    // Nothing is forgotten: every event counts.
    let text = format!(
        "source s (k bigint, x double, t timestamp) from log 's' event time t lateness '60 days' history '90 days';\n\
         entity e (k bigint);\nfeatures v of e from s (\n{features}\n);\n"
    );
    let plan = plan_of(&[SourceFile { path: "bytes.bay".into(), text }])?;
    let payloads = payloads(events);
    payloads.chunks(10_000).try_for_each(|payloads| push_without_engine(&config, &plan, "s", payloads, Setting::clock()).map(|_| ()))?;
    let engine = Engine::start(&config, plan.clone(), "", Setting::clock(), Metrics::new())?;
    engine.wait_until_caught_up()?;
    engine.stop()?;
    drop(engine);
    let store = Store::open_read_only(&config.data.join("online"), CACHE_BYTES)?;
    let found = inventory(&store, &plan, 0, 0)?;
    if (found.keys, found.events) != (KEYS, KEYS * events) {
        return Err(Error::internal(format!("{} keys with {} events", found.keys, found.events)));
    }
    let written = found.rows + found.chunks + KEYS * (PREFIX + KEY);
    Ok(written as f64 / KEYS as f64)
}

/// Every key in turn, over 60 days.
fn payloads(events: u64) -> Vec<Vec<u8>> {
    let step = 60 * DAY / (KEYS * events);
    let payload = |index: u64| {
        // A prime that shares nothing with the number of keys: neighbours in the log are none in the store.
        let (key, cents) = (index * 7_919 % KEYS, 100 + index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 50_000);
        format!(r#"{{"k":{key},"x":{}.{:02},"t":{}}}"#, cents / 100, cents % 100, START + index * step).into_bytes()
    };
    (0..KEYS * events).map(payload).collect()
}
