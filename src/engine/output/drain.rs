//! The drain: writes committed blocks to Parquet, and merges small files. A failure is a problem in the status; the blocks stay
//! until Parquet contains them. Must never delete a block.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::engine::commit::recent::Recent;
use crate::engine::handle::problems::Kind;
use crate::engine::output::retention;
use crate::engine::shared::Shared;
use crate::error::Result;
use crate::event::EventBatch;
use crate::failpoint::failpoint;
use crate::id::Seq;
use crate::offline::Store;
use crate::online;
use crate::telemetry::names;

/// Events, and bytes of them, that one round takes at most, so that its memory is bounded.
const ROUND_EVENTS_MAX: usize = 250_000;
const ROUND_BYTES_MAX: usize = 128 << 20;
/// So many events do not wait for the interval: a backlog is written while it is read, not after it.
const EVENTS_ENOUGH: u64 = 100_000;
/// How often a backlog is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// Intervals between two compactions.
const COMPACT_EVERY: u32 = 16;

/// Drains every `interval`, or as soon as there is enough, until `stop` is closed, and once more then, as far as there is time.
pub fn drain(shared: &Arc<Shared>, offline: &Store, interval: Duration, stop: &Receiver<()>) {
    let mut tidied_at = Instant::now();
    shared.measures.tidied.set(shared.clock.now().0 as f64 / 1e6);
    shared.measures.offline_bytes.set(offline.bytes() as f64);
    tell_faults(shared, offline);
    let mut tidy = Tidy::default();
    loop {
        let ended = wait(shared, interval, stop);
        match drain_all(shared, offline) {
            Ok(()) => shared.set_problem(Kind::Offline, "the Parquet log", None),
            Err(error) => {
                shared.measures.offline_errors.inc();
                shared.set_problem(Kind::Offline, "the Parquet log", Some(error.to_string()));
            }
        }
        if ended {
            return;
        }
        tell_damage(shared);
        if tidied_at.elapsed() >= interval * COMPACT_EVERY {
            tidied_at = Instant::now();
            tidy.run(shared, offline);
        }
    }
}

/// What compactions have met keeps nobody from writing.
fn tell_damage(shared: &Shared) {
    for (about, met) in [("the online store", shared.store.damage()), ("the log", shared.logs.embedded.damage())] {
        if let Some(damage) = met.unwrap_or_else(Some) {
            shared.set_problem(Kind::State, about, Some(damage.to_string()));
        }
    }
}

/// Files that are not there any more keep nobody from serving: they are a problem until they are built again.
fn tell_faults(shared: &Shared, offline: &Store) {
    let faults = offline.snapshot().faults();
    if let Some(first) = faults.first() {
        shared.set_problem(
            Kind::Offline,
            "files of the Parquet log",
            Some(format!("{} of them cannot be read, first: {first}", faults.len())),
        );
    }
}

/// Until there is something to drain; whether the engine stops.
fn wait(shared: &Shared, interval: Duration, stop: &Receiver<()>) -> bool {
    let started = Instant::now();
    loop {
        let left = interval.saturating_sub(started.elapsed());
        // Whoever finds that nothing can be written any more ends the engine; this one looks where nobody else does.
        let _ = shared.check();
        if matches!(stop.recv_timeout(left.min(LOOK)), Err(RecvTimeoutError::Disconnected)) {
            return true;
        }
        let pending = shared.applied_seq().0.saturating_sub(shared.offline_upto.load(Ordering::Acquire));
        if left <= LOOK || pending >= EVENTS_ENOUGH {
            return false;
        }
    }
}

/// What is done behind everything else. Each part's failure is a problem of its own, and keeps no other part from being done.
#[derive(Default)]
struct Tidy {
    /// The topics and the files that have a problem.
    topics: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Tidy {
    /// Joins small files, and lets the embedded log forget what its retention does not keep.
    fn run(&mut self, shared: &Shared, offline: &Store) {
        let now = shared.clock.now();
        let compacted = offline.compact(now, &|| !shared.is_stopping());
        shared.set_problem(Kind::Offline, "joining Parquet files", compacted.err().map(|error| error.to_string()));
        let unreadable = offline.unreadable();
        for (file, problem) in &unreadable {
            shared.set_problem(Kind::Offline, file, Some(problem.clone()));
        }
        for file in self.files.iter().filter(|file| !unreadable.contains_key(*file)) {
            shared.set_problem(Kind::Offline, file, None);
        }
        self.files = unreadable.into_keys().collect();
        retention::keep(shared, &mut self.topics);
        shared.measures.tidied.set(now.0 as f64 / 1e6);
    }
}

/// Writes all blocks that Parquet lacks, a bounded round at a time. What an engine that stops has no time for stays in blocks.
pub fn drain_all(shared: &Shared, offline: &Store) -> Result<()> {
    while !shared.is_out_of_time() && drain_round(shared, offline)? {}
    Ok(())
}

/// Whether there is more.
fn drain_round(shared: &Shared, offline: &Store) -> Result<bool> {
    let (batches, more) = match write_recent(&shared.recent, offline)? {
        Some(batches) => (batches, true),
        None => write_round(&shared.store, offline)?,
    };
    for batch in &batches {
        shared.metrics.add(names::OFFLINE_EVENTS, &[("source", &batch.source)], batch.len() as u64);
    }
    shared.offline_upto.store(offline.upto().0, Ordering::Release);
    shared.measures.offline_bytes.set(offline.bytes() as f64);
    Ok(more)
}

/// Writes blocks that Parquet lacks and that are still in memory, up to a bound: their events. `None` if the next block is not.
fn write_recent(recent: &Recent, offline: &Store) -> Result<Option<Vec<EventBatch>>> {
    let mut last = offline.upto();
    let mut round = Round::default();
    while round.has_room()
        && let Some((upto, block)) = recent.take_after(last)
    {
        last = upto;
        round.add(block);
    }
    if round.batches.is_empty() {
        return Ok(None);
    }
    failpoint!("drain::write");
    offline.write(&round.batches, last)?;
    failpoint!("drain::written");
    Ok(Some(round.batches))
}

/// The events of one round, bounded.
#[derive(Default)]
struct Round {
    batches: Vec<EventBatch>,
    events: usize,
    bytes: usize,
}

impl Round {
    fn has_room(&self) -> bool {
        self.events < ROUND_EVENTS_MAX && self.bytes < ROUND_BYTES_MAX
    }

    fn add(&mut self, block: Vec<EventBatch>) {
        for batch in block {
            self.events += batch.len();
            self.bytes += batch.rows.get_array_memory_size();
            self.batches.push(batch);
        }
    }
}

/// Writes all blocks that Parquet lacks, where no engine runs yet.
pub fn drain_store(store: &online::Store, offline: &Store) -> Result<()> {
    while write_round(store, offline)?.1 {}
    Ok(())
}

/// Writes blocks that Parquet lacks, up to a bound: their events, and whether there are more.
fn write_round(store: &online::Store, offline: &Store) -> Result<(Vec<EventBatch>, bool)> {
    let after = offline.upto();
    let mut last = after;
    let mut round = Round::default();
    let mut more = false;
    store.blocks_after(after, |_, block| {
        if !round.has_room() {
            more = true;
            return Ok(false);
        }
        for batch in &block {
            if let Some(seq) = batch.seqs()?.values().last() {
                last = last.max(Seq(*seq));
            }
        }
        round.add(block);
        Ok(true)
    })?;
    if last <= after {
        return Ok((Vec::new(), more));
    }
    offline.write(&round.batches, last)?;
    Ok((round.batches, more))
}
