//! What an event costs as things grow, in steps of ten: window length, features, keys, late events, history of a key; and
//! what a lookup costs as the history of its key grows. Each step is a data folder of its own; ingest from the embedded
//! log to durable state and a written event log. The steps of a curve take turns; medians.

use std::path::PathBuf;

use forebay::config::Layers;
use forebay::engine::{Engine, LookupRequest, LookupRow, push_without_engine};
use forebay::language::SourceFile;
use forebay::telemetry::Metrics;
use forebay::{Error, Result, Value};

use crate::figures::Figures;
use crate::ingest::{ROUNDS, median};
use crate::lookup::{frontier, timed_lookups};
use crate::setting::{Setting, plan_of, timed};

const EVENTS: u64 = 1_000_000;
const LOOKUPS: u64 = 20_000;
/// 2020-01-01T00:00:00Z
pub const START: u64 = 1_577_836_800_000_000;
pub const HOUR: u64 = 3_600_000_000;

/// One step: what is declared, and the events.
struct Step {
    /// `count = count(*) over 1h, ..`
    features: String,
    events: u64,
    keys: u64,
    /// Hours over which the events are spread.
    hours: u64,
    /// Percent of events that come up to nine hours late.
    late: u64,
}

impl Default for Step {
    fn default() -> Self {
        Self { features: four(&["1h", "1d", "7d", "30d"]), events: EVENTS, keys: 100_000, hours: 60 * 24, late: 0 }
    }
}

/// Four aggregates of one input over these windows.
pub fn four(windows: &[&str]) -> String {
    let windows = windows.join(", ");
    ["n = count(*)", "spend = sum(x)", "mean = avg(x)", "most = max(x)"].map(|call| format!("{call} over {windows},\n")).concat()
}

pub fn curves(figures: &mut Figures) -> Result<()> {
    curve(
        figures,
        "windows of",
        ["1h", "10h", "100h", "1000h", "8760h"]
            .map(|length| (length.to_owned(), Step { features: four(&[length]), hours: 2 * 8760, keys: 1_000, ..Step::default() })),
    )?;
    curve(
        figures,
        "features:",
        [1_usize, 5, 50].map(|windows| {
            let lengths: Vec<String> = (1..=windows).map(|index| format!("{}h", 12 * index)).collect();
            let lengths: Vec<&str> = lengths.iter().map(String::as_str).collect();
            (format!("{}", 4 * windows), Step { features: four(&lengths), ..Step::default() })
        }),
    )?;
    curve(figures, "late, percent:", [0, 5, 50].map(|late| (late.to_string(), Step { late, keys: 10_000, ..Step::default() })))?;
    curve(
        figures,
        "events of a key:",
        [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000].map(|history: u64| {
            let events = history.max(EVENTS);
            (history.to_string(), Step { keys: events / history, events, ..Step::default() })
        }),
    )?;
    curve(
        figures,
        "keys:",
        [10_000, 100_000, 1_000_000, 10_000_000]
            .map(|keys: u64| (keys.to_string(), Step { keys, events: keys.max(EVENTS), ..Step::default() })),
    )
}

fn curve<const N: usize>(figures: &mut Figures, what: &str, steps: [(String, Step); N]) -> Result<()> {
    let mut costs = [const { Vec::new() }; N];
    for round in 0..ROUNDS {
        for step in (0..N).map(|step| (step + round) % N) {
            costs[step].push(steps[step].1.run()?);
        }
    }
    for ((name, _), costs) in steps.iter().zip(&costs) {
        let middle = |of: fn(&Cost) -> f64| median(costs.iter().map(of).collect());
        figures.add(format!("ingest, {what} {name}"), middle(|cost| cost.rate), "events/s", "<= 10% less a step");
        if what == "events of a key:" {
            figures.add(format!("lookup, 16 features, {what} {name}, p50"), middle(|cost| cost.lookup), "us", "<= 10");
        }
        if what == "keys:" {
            figures.add(format!("start, {what} {name}"), middle(|cost| cost.start), "ms", "<= 1000");
        }
    }
    Ok(())
}

/// What a step costs.
struct Cost {
    /// Events per second.
    rate: f64,
    /// Microseconds of a lookup of the first key at the last event, in process: the median.
    lookup: f64,
    /// Milliseconds of a start on that state.
    start: f64,
}

impl Step {
    fn run(&self) -> Result<Cost> {
        let folder = tempfile::tempdir().map_err(|error| Error::unavailable(format!("no temporary folder: {error}")))?;
        let data = folder.path().join("data").display().to_string();
        let config = Layers { file: None, environment: Vec::new(), flags: vec![("data", data)] }.config()?;
        let text = format!(
            "source s (k bigint, x double, t timestamp) from log 's' event time t lateness '10 hours' history '1 day';\n\
             entity e (k bigint);\nfeatures v of e from s (\n{});\nvector w (v.*);\n",
            self.features
        );
        let files = [SourceFile { path: PathBuf::from("curve.bay"), text }];
        let plan = plan_of(&files)?;
        let payloads = self.payloads();
        payloads
            .chunks(10_000)
            .try_for_each(|payloads| push_without_engine(&config, &plan, "s", payloads, Setting::clock()).map(|_| ()))?;
        drop(payloads);
        let (seconds, engine) = timed(|| {
            let engine = Engine::start(&config, plan.clone(), "", Setting::clock(), Metrics::new())?;
            engine.wait_until_caught_up()?;
            Ok(engine)
        })?;
        let taken = engine.handle().status().seq.0;
        let request = LookupRequest {
            vector: plan.vectors.iter().position(|vector| vector.name == "w").unwrap_or_default(),
            rows: vec![LookupRow { keys: vec![Value::Int(0)], request: Vec::new() }],
            as_of: Some(frontier(&engine)),
            ..LookupRequest::default()
        };
        let lookup = timed_lookups(&engine, &request, LOOKUPS)?.value_at_quantile(0.5) as f64 / 1e3;
        engine.stop()?;
        drop(engine);
        if taken != self.events {
            return Err(Error::internal(format!("{taken} of {} events", self.events)));
        }
        let (start, engine) = timed(|| Engine::start(&config, plan, "", Setting::clock(), Metrics::new()))?;
        engine.stop()?;
        Ok(Cost { rate: self.events as f64 / seconds, lookup, start: start * 1e3 })
    }

    fn payloads(&self) -> Vec<Vec<u8>> {
        let mut bits = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move |below: u64| {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            ((u128::from(bits) * u128::from(below)) >> 64) as u64
        };
        let step = (self.hours * HOUR / self.events).max(1);
        (0..self.events)
            .map(|index| {
                let late = if next(100) < self.late { next(9 * HOUR) } else { 0 };
                let (time, cents) = (START + index * step - late, 1 + next(100_000));
                format!(r#"{{"k":{},"x":{}.{:02},"t":{time}}}"#, next(self.keys), cents / 100, cents % 100).into_bytes()
            })
            .collect()
    }
}
