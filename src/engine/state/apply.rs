//! The applier: hands each committed batch to the shards, scores what they read, and returns the results. One batch at a time; one
//! worker thread for each shard. While lookups arrive, shards keep the previous states of keys, and the applier takes the write
//! guard only to switch to the next cut. Otherwise it holds the guard for the whole batch, which costs less.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::engine::intake::batch::ApplyBatch;
use crate::engine::output::score::Scorer;
use crate::engine::shared::{Applied, Shared};
use crate::engine::state::shard::ShardOutcome;
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::id::Seq;
use crate::online::{DriftRow, Output, StateRow};

/// A work for the applier, with what is true once it is applied.
pub struct Task {
    pub work: Arc<ApplyBatch>,
    pub applied: Applied,
    /// When it was handed over.
    pub committed: Instant,
}

/// What came of a work: to be made durable with the next commit.
pub struct ApplyResult {
    pub number: u64,
    pub last: Seq,
    pub outputs: Vec<Output>,
    pub rows: Vec<StateRow>,
    pub drift: Vec<DriftRow>,
    /// Rows hold every event up to here, once `rows` are written.
    pub flushed: Seq,
    /// Views of which some states lost an order that they need: the next start builds them anew.
    pub disordered: BTreeSet<usize>,
}

type Reply = Result<ShardOutcome>;

/// Starts the shards' threads and the applier's. They end when `tasks` is closed.
pub fn start(shared: &Arc<Shared>, tasks: Receiver<Task>, done: Sender<Result<ApplyResult>>) -> Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    let mut workers = Vec::new();
    for index in 0..shared.shards.len() {
        let (work_sender, work_receiver) = bounded::<(Arc<ApplyBatch>, bool)>(1);
        let (reply_sender, reply_receiver) = bounded::<Reply>(1);
        workers.push((work_sender, reply_receiver));
        let owned = Arc::clone(shared);
        threads.push(spawn(shared, format!("shard-{index}"), move || {
            let shared = owned;
            for (work, keeps) in work_receiver {
                let shard = &shared.shards[index];
                let outcome = shard.apply(&shared.definitions, &shared.store, &work, keeps);
                shared.measures.shards[index].bytes.set(shard.bytes() as f64);
                shared.measures.shards[index].keys.set(shard.keys() as f64);
                if reply_sender.send(outcome).is_err() {
                    return;
                }
            }
        })?);
    }
    let owned = Arc::clone(shared);
    let mut scorer = Scorer::new(shared)?;
    threads.push(spawn(shared, "applier".to_owned(), move || {
        let shared = owned;
        for task in tasks {
            let came = apply(&shared, &workers, &mut scorer, task);
            let failed = came.is_err();
            if done.send(came).is_err() || failed {
                return;
            }
        }
    })?);
    Ok(threads)
}

/// Applies a work in the caller's thread, where no engine runs.
pub fn apply_here(shared: &Shared, work: &ApplyBatch) -> Result<()> {
    for shard in &shared.shards {
        shard.apply(&shared.definitions, &shared.store, work, false)?;
    }
    Ok(())
}

/// Where cores are short, who asks comes before who takes in: how much, in the system's measure of 0 to 19.
const NICENESS: i32 = 5;

/// Starts a thread of the engine. Its panic ends the engine with an error: nobody would notice that it is gone.
pub fn spawn(shared: &Arc<Shared>, name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let (owned, told) = (Arc::clone(shared), name.clone());
    let watched = move || {
        // Where the system refuses it, answers only wait a little longer.
        let _ = rustix::process::nice(NICENESS);
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            owned.fail(Error::internal(format!("the thread {told} panicked; report it with the message above")));
        }
    };
    thread::Builder::new().name(name).spawn(watched).map_err(|error| Error::unavailable(format!("cannot start a thread: {error}")))
}

fn apply(
    shared: &Shared,
    workers: &[(Sender<(Arc<ApplyBatch>, bool)>, Receiver<Reply>)],
    scorer: &mut Scorer,
    task: Task,
) -> Result<ApplyResult> {
    let Task { work, applied, committed } = task;
    failpoint!("apply::begin");
    let outcomes = {
        let keeps = shared.lookups_come();
        let whole = (!keeps).then(|| shared.epoch.write());
        let outcomes = by_shards(workers, &work, keeps);
        let _next = whole.unwrap_or_else(|| shared.epoch.write());
        match &outcomes {
            Ok(_) => shared.publish_applied(applied),
            // Before anybody reads what is applied by half.
            Err(error) => shared.fail(error.clone()),
        }
        outcomes?
    };
    shared.measures.apply_seconds.record(committed.elapsed());
    let flushed = outcomes.iter().map(|outcome| outcome.flushed).min().unwrap_or(work.last);
    let loads = outcomes.iter().map(|outcome| outcome.loads).sum();
    let mut rows = Vec::new();
    let mut reads = Vec::with_capacity(outcomes.len());
    let mut disordered = BTreeSet::new();
    for outcome in outcomes {
        rows.extend(outcome.rows);
        reads.push(outcome.reads);
        disordered.extend(outcome.disordered);
    }
    shared.measures.state_loads.inc_by(loads);
    failpoint!("apply::folded");
    let outputs = scorer.score(shared, &work, reads)?;
    let drift = scorer.drift_rows(shared)?;
    Ok(ApplyResult { number: work.number, last: work.last, outputs, rows, drift, flushed, disordered })
}

/// What each shard makes of a work; an error once all have ended with it.
fn by_shards(
    workers: &[(Sender<(Arc<ApplyBatch>, bool)>, Receiver<Reply>)],
    work: &Arc<ApplyBatch>,
    keeps: bool,
) -> Result<Vec<ShardOutcome>> {
    let gone = || Error::internal("a shard's thread has ended; see the log for its panic");
    for (sender, _) in workers {
        sender.send((Arc::clone(work), keeps)).map_err(|_| gone())?;
    }
    let replies: Vec<Reply> = workers.iter().map(|(_, replies)| replies.recv().unwrap_or_else(|_| Err(gone()))).collect();
    replies.into_iter().collect()
}
