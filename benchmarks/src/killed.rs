//! What a server needs after `kill -9` until it answers: the real binary, killed while it takes events in and when all
//! of them are applied, on the state of so many keys. Counts from the start of the process to its first answered lookup.

use forebay::Result;
use forebay::config::{Config, Layers};
use forebay::engine::{Engine, push_without_engine};
use forebay::language;
use forebay::plan::Plan;
use forebay::telemetry::Metrics;
use forebay_integration::harness::{Project, Server, wait_for};

use crate::curves::{HOUR, START, four};
use crate::figures::Figures;
use crate::ingest::median;
use crate::setting::{Setting, plan_of, timed};

/// Kills of each kind.
const ROUNDS: u64 = 5;
/// Events from kill to kill, more than a server may have to apply again; it is killed when it has taken in half of them.
const BETWEEN: u64 = 1_000_000;
const PUSHED: u64 = 10_000;

/// A data folder with a state of `keys` keys, and what works on it.
pub struct Place {
    pub project: Project,
    pub config: Config,
    pub plan: Plan,
    keys: u64,
}

pub fn killed(figures: &mut Figures, keys: u64) -> Result<()> {
    let place = Place::new(keys)?;
    let mut events = 0;
    place.push(&mut events, keys)?;
    let engine = Engine::start(&place.config, place.plan.clone(), "", Setting::clock(), Metrics::new())?;
    engine.wait_until_caught_up()?;
    engine.stop()?;
    drop(engine);
    let (seconds, server) = place.start()?;
    figures.add(format!("start, {keys} keys, after a clean stop"), seconds * 1e3, "ms", "<= 1000");
    server.stop();
    place.push(&mut events, ROUNDS * BETWEEN)?;
    let (mut server, mut busy, mut still) = (place.start()?.1, Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        server.wait_for_seq((keys + round * BETWEEN + BETWEEN / 2) as usize);
        server.kill();
        let (seconds, next) = place.start()?;
        server = next;
        busy.push(seconds * 1e3);
    }
    for _ in 0..ROUNDS {
        server.wait_for_seq(events as usize);
        server.kill();
        let (seconds, next) = place.start()?;
        server = next;
        still.push(seconds * 1e3);
    }
    server.kill();
    for (when, milliseconds) in [("while it takes events in", busy), ("when all is applied", still)] {
        let most = milliseconds.iter().copied().fold(0.0, f64::max);
        figures.add(format!("start, {keys} keys, killed {when}, median"), median(milliseconds), "ms", "<= 1000");
        figures.add(format!("start, {keys} keys, killed {when}, slowest"), most, "ms", "");
    }
    Ok(())
}

impl Place {
    pub fn new(keys: u64) -> Result<Self> {
        let project = Project::new(&format!(
            "source s (k bigint, x double, t timestamp) from log 's' event time t lateness '10 hours' history '1 day';\n\
             entity e (k bigint);\nfeatures v of e from s (\n{});\nvector w (v.*);\n",
            four(&["1h", "1d", "7d", "30d"])
        ));
        let data = project.data().display().to_string();
        let config = Layers { file: None, environment: Vec::new(), flags: vec![("data", data)] }.config()?;
        let plan = plan_of(&language::load(&project.path("features"))?)?;
        Ok(Self { project, config, plan, keys })
    }

    /// Appends so many events of which `events` were appended before: each key in turn, neighbours far apart.
    pub fn push(&self, events: &mut u64, more: u64) -> Result<()> {
        let step = (60 * 24 * HOUR / self.keys).max(1);
        let all = *events + more;
        while *events < all {
            let next = all.min(*events + PUSHED);
            let payload = |index: u64| {
                // The factor is a prime, so that every key comes once before one comes again.
                let (key, time) = (index.wrapping_mul(2_654_435_761) % self.keys, START + index * step);
                format!(r#"{{"k":{key},"x":{}.25,"t":{time}}}"#, index % 1_000).into_bytes()
            };
            let payloads: Vec<_> = (*events..next).map(payload).collect();
            push_without_engine(&self.config, &self.plan, "s", &payloads, Setting::clock())?;
            *events = next;
        }
        Ok(())
    }

    /// Starts a server; how many seconds its first lookup took to be answered.
    pub fn start(&self) -> Result<(f64, Server)> {
        timed(|| {
            let server = self.project.start(&[]);
            wait_for("a lookup", || {
                let answer = server.try_post("/v1/vectors/w/lookup", "application/json", br#"{"keys":[{"k":1}]}"#)?;
                (answer.0 == 200).then_some(())
            });
            Ok(server)
        })
    }
}
