//! A server left alone: the real binary under a steady load of pushes, lookups and scores, with retention that trims all the
//! while. What must stay flat (memory, open files, disk by part) is looked at every minute, what people wait for is timed from
//! when a request was due, not from when it was sent: `forebay-benchmarks soak [MINUTES [EVENTS A SECOND]]`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forebay::demo::payments::{Generator, Options};
use forebay::{Clock, Error, EventTime, Result};
use forebay_integration::harness::{Project, Server};
use hdrhistogram::Histogram;
use serde_json::json;

use crate::figures::Figures;
use crate::setting::System;

/// Events of one push.
const BATCH: u64 = 100;
const LOOKUPS_A_SECOND: u64 = 100;
/// So long after the start the folder holds what its windows and its retention keep.
const WARM: Duration = Duration::from_mins(10);
const USERS: u32 = 100_000;
/// How long, and how often, the bare disk is asked.
const PROBED: Duration = Duration::from_mins(1);
const PROBE_EVERY: Duration = Duration::from_millis(33);

const DEFINITIONS: &str = "
source payments (payment_id text, user_id bigint, merchant_id text, category text, amount double, status text, event_time timestamp)
from log 'payments' event time event_time lateness '10 seconds' history '1 minute' dedup by payment_id within '1 minute';
entity user (user_id bigint);
entity merchant (merchant_id text);
features of_user of user from payments (n = count(*) over 1m, 5m, s = sum(amount) over 1m, 5m, m = count_distinct(merchant_id) over 5m);
features of_merchant of merchant from payments (n = count(*) over 1m, 5m, a = avg(amount) over 5m);
vector v on payments (of_user.n_1m, of_user.n_5m, of_user.s_1m, of_merchant.a_5m);
model linear from 'linear_4.onnx' takes v score payments into topic 'scores';
";

const SETTINGS: &str = "[retention]\nsources = \"5m\"\npredictions = \"5m\"\n";

/// What one kind of request took, and how often it failed.
struct Waits {
    times: Histogram<u64>,
    failed: u64,
}

impl Waits {
    fn new() -> Result<Self> {
        let times = Histogram::new_with_bounds(1, 600_000_000, 3).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self { times, failed: 0 })
    }

    fn add(self, what: &str, target: &'static str, figures: &mut Figures) {
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let target = if name == "p99.9" { target } else { "" };
            figures.add(format!("{what}, {name}"), self.times.value_at_quantile(share) as f64 / 1e3, "ms", target);
        }
        figures.add(format!("{what}, slowest"), self.times.max() as f64 / 1e3, "ms", "");
        figures.add(format!("{what}, failed"), self.failed as f64, "", "0");
    }
}

/// What is looked at every minute.
struct Sample {
    after: Duration,
    memory: u64,
    files: u64,
    log: u64,
    online: u64,
    offline: u64,
    applied: u64,
}

pub fn soak(figures: &mut Figures, minutes: u64, rate: u64) -> Result<()> {
    let project = Project::new(DEFINITIONS);
    project.write("features/linear_4.onnx", include_bytes!("../../integration/fixtures/linear_4.onnx"));
    project.write("forebay.toml", SETTINGS);
    synced_writes(&project.path("probe"))?.add("bare synced write of 20 kB, before", "", figures);
    let server = project.serve();
    let (over, pushed) = (AtomicBool::new(false), AtomicU64::new(0));
    let length = Duration::from_mins(minutes);
    let (pushes, lookups, health, samples) = thread::scope(|scope| -> Result<_> {
        let pushes = scope.spawn(|| every(BATCH, rate, &over, |from| push(&server, from, &pushed)));
        let lookups = scope.spawn(|| every(1, LOOKUPS_A_SECOND, &over, |number| lookup(&server, number)));
        let health = scope.spawn(|| every(1, 10, &over, |_| server.try_get("/health/ready").is_some_and(|(status, _)| status == 200)));
        let (started, mut samples) = (Instant::now(), Vec::new());
        while started.elapsed() < length {
            thread::sleep(Duration::from_mins(1).min(length.saturating_sub(started.elapsed())));
            let sample = sample(&project, &server, started.elapsed());
            eprintln!(
                "{:>3} min: memory {:>5} MB, {:>4} files, log {:>5} MB, online {:>5} MB, offline {:>5} MB, {:>9} events applied of {}",
                sample.after.as_secs() / 60,
                sample.memory >> 20,
                sample.files,
                sample.log >> 20,
                sample.online >> 20,
                sample.offline >> 20,
                sample.applied,
                pushed.load(Ordering::Relaxed)
            );
            samples.push(sample);
        }
        over.store(true, Ordering::Relaxed);
        let joined = |thread: thread::ScopedJoinHandle<'_, Result<Waits>>| {
            thread.join().unwrap_or_else(|_| Err(Error::internal("a thread of the load panicked")))
        };
        Ok((joined(pushes)?, joined(lookups)?, joined(health)?, samples))
    })?;
    figures.add("soak", minutes as f64, "minutes", "");
    figures.add("events pushed", pushed.load(Ordering::Relaxed) as f64, "", "");
    pushes.add("push of 100 events", "<= 20", figures);
    lookups.add("lookup of one row", "", figures);
    health.add("health", "", figures);
    grown(&samples, figures);
    let status = server.get("/v1/status").1;
    eprintln!("the status at the end: {status}");
    let stopping = Instant::now();
    let code = server.stop();
    figures.add(format!("stop, exit code {code:?}"), stopping.elapsed().as_secs_f64(), "s", "<= 10");
    Ok(())
}

/// What the disk takes for a synced append, with nothing else running: the floor of a push, which waits for one.
fn synced_writes(path: &Path) -> Result<Waits> {
    let failed = |error: std::io::Error| Error::unavailable(format!("{}: {error}", path.display()));
    let mut file = fs::File::create(path).map_err(failed)?;
    let (bytes, mut waits, started) = (vec![7; 20_000], Waits::new()?, Instant::now());
    while started.elapsed() < PROBED {
        let begun = Instant::now();
        file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(failed)?;
        waits.times.saturating_record(begun.elapsed().as_micros() as u64);
        thread::sleep(PROBE_EVERY.saturating_sub(begun.elapsed()));
    }
    drop(file);
    fs::remove_file(path).map_err(failed)?;
    Ok(waits)
}

/// The first sample that the folder was warm in beside the last.
fn grown(samples: &[Sample], figures: &mut Figures) {
    let warm = samples.iter().find(|sample| sample.after >= WARM).or(samples.first());
    let (Some(warm), Some(last)) = (warm, samples.last()) else { return };
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let minutes = warm.after.as_secs() / 60;
    for (what, of) in [
        ("memory", (|sample| sample.memory) as fn(&Sample) -> u64),
        ("log", |sample| sample.log),
        ("online", |sample| sample.online),
        ("offline", |sample| sample.offline),
    ] {
        figures.add(format!("{what}, after {minutes} minutes"), megabytes(of(warm)), "MB", "");
        figures.add(format!("{what}, at the end"), megabytes(of(last)), "MB", "");
        let most = samples.iter().filter(|sample| sample.after >= warm.after).map(of).max().unwrap_or(0);
        figures.add(format!("{what}, most between"), megabytes(most), "MB", "");
    }
    figures.add(format!("open files, after {minutes} minutes"), warm.files as f64, "", "");
    figures.add("open files, at the end", last.files as f64, "", "");
}

/// Asks so often a second, `step` units a request, until it is over; a request waits from when it was due.
fn every(step: u64, rate: u64, over: &AtomicBool, mut ask: impl FnMut(u64) -> bool) -> Result<Waits> {
    let (mut waits, started) = (Waits::new()?, Instant::now());
    for number in 0.. {
        let due = Duration::from_micros(number * step * 1_000_000 / rate);
        thread::sleep(due.saturating_sub(started.elapsed()));
        if over.load(Ordering::Relaxed) {
            break;
        }
        if !ask(number * step) {
            waits.failed += 1;
        }
        waits.times.saturating_record((started.elapsed().saturating_sub(due)).as_micros() as u64);
    }
    Ok(waits)
}

/// Payments as of now.
fn push(server: &Server, from: u64, pushed: &AtomicU64) -> bool {
    let options = Options { seed: from, events: BATCH, users: USERS, ..Options::default() };
    let (now, mut body) = (System.now().0, Vec::new());
    for (index, mut payment) in (from..).zip(Generator::new(options)) {
        (payment.number, payment.event_time) = (index, EventTime(now));
        payment.to_json(&mut body);
        body.push(b'\n');
    }
    let taken = server.try_post("/v1/sources/payments/events", "application/x-ndjson", &body).is_some_and(|(status, _)| status == 200);
    pushed.fetch_add(if taken { BATCH } else { 0 }, Ordering::Relaxed);
    taken
}

fn lookup(server: &Server, number: u64) -> bool {
    let body = json!({"keys": [{"user_id": number % u64::from(USERS), "merchant_id": format!("m{:05}", number % 10_000)}]}).to_string();
    server.try_post("/v1/vectors/v/lookup", "application/json", body.as_bytes()).is_some_and(|(status, _)| status == 200)
}

fn sample(project: &Project, server: &Server, after: Duration) -> Sample {
    const PAGE: u64 = 4096;
    let process = Path::new("/proc").join(server.pid().to_string());
    let resident = fs::read_to_string(process.join("statm")).unwrap_or_default();
    let pages = resident.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    let files = fs::read_dir(process.join("fd")).map_or(0, |entries| entries.count() as u64);
    let status: serde_json::Value = server.try_get("/v1/status").and_then(|(_, body)| serde_json::from_str(&body).ok()).unwrap_or_default();
    Sample {
        after,
        memory: pages * PAGE,
        files,
        log: bytes_below(&project.data().join("log")),
        online: bytes_below(&project.data().join("online")),
        offline: bytes_below(&project.data().join("offline")),
        applied: status["seq"].as_u64().unwrap_or(0),
    }
}

/// Bytes of all files below a folder, as the disk counts them; what goes meanwhile counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of_entry = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of_entry).sum()
}
