//! What checkpoints of a server's folder cost: links, copies to another file system, an object store, the second of each,
//! and the way back. The real binary, with a state of so many keys.

use forebay::Result;
use forebay::engine::Engine;
use forebay::telemetry::Metrics;
use forebay_integration::buckets::Buckets;
use serde_json::Value as Json;

use crate::figures::Figures;
use crate::killed::Place;
use crate::setting::{Setting, timed};

/// Events between a first checkpoint and a second one.
const BETWEEN: u64 = 50_000;

pub fn checkpoint(figures: &mut Figures, keys: u64) -> Result<()> {
    let place = Place::new(keys)?;
    let mut events = 0;
    place.push(&mut events, keys)?;
    let engine = Engine::start(&place.config, place.plan.clone(), "", Setting::clock(), Metrics::new())?;
    engine.wait_until_caught_up()?;
    engine.stop()?;
    drop(engine);
    let memory = tempfile::tempdir_in("/dev/shm").ok().map(|folder| (folder.path().display().to_string(), folder));
    let store = Buckets::start();
    let mut targets = vec![("links".to_owned(), "backup".to_owned())];
    match &memory {
        Some((path, _)) => targets.push(("another file system".to_owned(), path.clone())),
        None => figures.skip("another file system", "there is no /dev/shm"),
    }
    targets.extend(store.iter().map(|store| ("object store".to_owned(), store.place("bench"))));
    let environment = store.as_ref().map(Buckets::environment).unwrap_or_default();
    let run = |arguments: &[&str]| -> Result<(f64, Json)> {
        let output = timed(|| Ok(place.project.command(arguments).envs(environment.iter().map(|(name, value)| (*name, value))).output()));
        let (seconds, output) = output?;
        let output = output.expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok((seconds, serde_json::from_slice(&output.stdout).expect("json")))
    };
    for which in ["first", "second"] {
        let server = place.start()?.1;
        for (name, to) in &targets {
            let (seconds, made) = run(&["checkpoint", to, "--output", "json"])?;
            let number = |field: &str| made[field].as_f64().unwrap_or_default();
            figures.add(format!("checkpoint, {name}, {which}"), seconds, "s", "");
            figures.add(format!("checkpoint, {name}, {which}, new"), number("new_bytes") / 1e6, "MB", "");
            figures.add(format!("checkpoint, {name}, {which}, of"), number("bytes") / 1e6, "MB", "");
            figures.add(format!("checkpoint, {name}, {which}, writers wait"), number("paused_ms"), "ms", "");
        }
        server.stop();
        place.push(&mut events, BETWEEN)?;
    }
    for (name, from) in &targets {
        let (seconds, _) = run(&["restore", from, "restored", "--output", "json"])?;
        figures.add(format!("restore, {name}"), seconds, "s", "");
        std::fs::remove_dir_all(place.project.path("restored")).expect("the folder that was restored");
    }
    Ok(())
}
