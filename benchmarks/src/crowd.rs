//! What small lookups, health and pushes take while long lookups and pushes go on without pause: the real binary over HTTP,
//! `forebay-benchmarks crowd [SECONDS]`. Sites are few and busy, so that a distinct count over a day of one is dear; clients
//! share the two cores with the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use forebay::config::{Config, Layers};
use forebay::engine::push_without_engine;
use forebay::{Error, Result};
use forebay_integration::harness::{Project, Server};
use hdrhistogram::Histogram;

use crate::figures::Figures;
use crate::setting::{Setting, plan_of};

const DEFINITIONS: &str = "
source hits (user_id bigint, site_id bigint, device_id bigint, x double, t timestamp) from log 'hits'
  event time t lateness '10 minutes' history '1 day';
entity user (user_id bigint);
entity site (site_id bigint);
features by_user of user from hits (
  n = count(*) over 1h, 1d, 7d, 30d, spend = sum(x) over 1h, 1d, 7d, 30d, mean = avg(x) over 1h, 1d, 7d, 30d, most = max(x) over 1h, 1d, 7d, 30d
);
features by_site of site from hits (devices = count_distinct(device_id) over 1d);
vector users (by_user.*);
vector sites (by_site.*);
vector both (by_user.*, by_site.*);
";
const EVENTS: u64 = 1_000_000;
const USERS: u64 = 100_000;
/// Those that half of all events are of.
const BUSY: u64 = 5;
const ROWS: u64 = 10_000;
const PUSHED: u64 = 1_000;
/// A small lookup on each of two connections every so often, and a look at health.
const SMALL_EVERY: Duration = Duration::from_millis(4);
const HEALTH_EVERY: Duration = Duration::from_millis(20);

/// What goes on beside small lookups and health.
struct Beside {
    name: &'static str,
    pushes: bool,
    /// The vector and the rows that are asked for without pause, on two connections.
    long: Option<(&'static str, String)>,
}

pub fn crowd(figures: &mut Figures, seconds: u64) -> Result<()> {
    let project = Project::new(DEFINITIONS);
    let data = project.data().display().to_string();
    let config = Layers { file: None, environment: Vec::new(), flags: vec![("data", data)] }.config()?;
    fill(&project, &config)?;
    let server = project.serve();
    server.wait_until_ready();
    let of_sites = |row: u64| format!(r#"{{"site_id":{}}}"#, row % BUSY);
    let of_users = |row: u64| format!(r#"{{"user_id":{},"site_id":{}}}"#, row * 7 % USERS, row % BUSY);
    let rows = |row: &dyn Fn(u64) -> String| format!(r#"{{"keys":[{}]}}"#, (0..ROWS).map(row).collect::<Vec<_>>().join(","));
    let pushed = AtomicU64::new(EVENTS);
    for beside in [
        Beside { name: "nothing", pushes: false, long: None },
        Beside { name: "pushes", pushes: true, long: None },
        Beside { name: "pushes and 10,000 rows of five sites", pushes: true, long: Some(("sites", rows(&of_sites))) },
        Beside { name: "pushes and 10,000 rows of users and sites", pushes: true, long: Some(("both", rows(&of_users))) },
    ] {
        measure(&server, figures, &beside, Duration::from_secs(seconds), &pushed)?;
    }
    Ok(())
}

fn fill(project: &Project, config: &Config) -> Result<()> {
    let plan = plan_of(&forebay::language::load(&project.path("features"))?)?;
    let day = 23 * 3_600 * 1_000_000;
    for from in (0..EVENTS).step_by(10_000) {
        // Spread over the day before now.
        let time = |index: u64| now() - day + index * (day / EVENTS);
        let payloads: Vec<Vec<u8>> = (from..from + 10_000).map(|index| hit(index, time(index)).into_bytes()).collect();
        push_without_engine(config, &plan, "hits", &payloads, Setting::clock())?;
    }
    Ok(())
}

fn hit(index: u64, time: u64) -> String {
    let mixed = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let site = if mixed.is_multiple_of(2) { mixed / 2 % BUSY } else { mixed % 1_000 };
    format!(
        r#"{{"user_id":{},"site_id":{site},"device_id":{},"x":{}.25,"t":{time}}}"#,
        mixed / 7 % USERS,
        mixed / 11 % 50_000,
        mixed % 1_000
    )
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

fn measure(server: &Server, figures: &mut Figures, beside: &Beside, time: Duration, pushed: &AtomicU64) -> Result<()> {
    let over = AtomicBool::new(false);
    let before = pushed.load(Ordering::SeqCst);
    let small = |user: u64| format!(r#"{{"keys":[{{"user_id":{}}}]}}"#, user * 31 % USERS);
    let (lookups, health, pushes, long) = thread::scope(|scope| {
        let over = &over;
        let lookups: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| asked(over, SMALL_EVERY, |round| posted(server, "/v1/vectors/users/lookup", &small(round)))))
            .collect();
        let health = scope.spawn(|| asked(over, HEALTH_EVERY, |_| server.try_get("/health/live").is_some_and(|(status, _)| status == 200)));
        let pushes = beside.pushes.then(|| {
            scope.spawn(|| {
                asked(over, Duration::ZERO, |_| {
                    let from = pushed.fetch_add(PUSHED, Ordering::SeqCst);
                    let lines: Vec<String> = (from..from + PUSHED).map(|index| hit(index, now())).collect();
                    posted(server, "/v1/sources/hits/events", &format!("[{}]", lines.join(",")))
                })
            })
        });
        let long: Vec<_> = beside.long.iter().flat_map(|long| [long, long]).collect();
        let long: Vec<_> = long
            .into_iter()
            .map(|(vector, body)| {
                scope.spawn(move || asked(over, Duration::ZERO, |_| posted(server, &format!("/v1/vectors/{vector}/lookup"), body)))
            })
            .collect();
        thread::sleep(time);
        over.store(true, Ordering::SeqCst);
        (joined(lookups), joined(vec![health]), joined(pushes.into_iter().collect()), joined(long))
    });
    let name = beside.name;
    add(figures, &format!("beside {name}: small lookup"), &lookups?, "<= 3");
    add(figures, &format!("beside {name}: health"), &health?, "<= 5");
    let (pushes, long) = (pushes?, long?);
    if !pushes.is_empty() {
        let events = (pushed.load(Ordering::SeqCst) - before) as f64 / time.as_secs_f64();
        figures.add(format!("beside {name}: events pushed"), events, "events/s", "");
        add(figures, &format!("beside {name}: push of {PUSHED}"), &pushes, "");
    }
    if !long.is_empty() {
        figures.add(format!("beside {name}: long lookups"), long.len() as f64 / time.as_secs_f64(), "requests/s", "");
        add(figures, &format!("beside {name}: long lookup"), &long, "");
    }
    Ok(())
}

fn posted(server: &Server, path: &str, body: &str) -> bool {
    server.try_post(path, "application/json", body.as_bytes()).is_some_and(|(status, _)| status == 200)
}

/// Asks until it is over, at most every so often; what each answer took, in microseconds.
fn asked(over: &AtomicBool, every: Duration, ask: impl Fn(u64) -> bool) -> Result<Histogram<u64>> {
    let mut took = histogram()?;
    for round in 0.. {
        let started = Instant::now();
        if !ask(round) {
            return Err(Error::internal("a request of the benchmark was not answered with 200"));
        }
        took.saturating_record(started.elapsed().as_micros() as u64);
        if over.load(Ordering::SeqCst) {
            break;
        }
        thread::sleep(every.saturating_sub(started.elapsed()));
    }
    Ok(took)
}

fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 600_000_000, 3).map_err(|error| Error::internal(error.to_string()))
}

fn joined(threads: Vec<thread::ScopedJoinHandle<'_, Result<Histogram<u64>>>>) -> Result<Histogram<u64>> {
    let mut all = histogram()?;
    for thread in threads {
        all += thread.join().map_err(|_| Error::internal("a client of the benchmark panicked"))??;
    }
    Ok(all)
}

fn add(figures: &mut Figures, what: &str, took: &Histogram<u64>, target: &'static str) {
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let target = if name == "p99" { target } else { "" };
        figures.add(format!("{what}, {name}"), took.value_at_quantile(quantile) as f64 / 1e3, "ms", target);
    }
}
