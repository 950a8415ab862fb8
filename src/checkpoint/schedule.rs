//! A checkpoint every so often, made beside a running engine. A target that is away, slow or full is a problem in the status
//! and is tried again; the engine does not wait for it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::alongside::Alongside;
use super::make::{Made, Maker};
use super::manifest::name_of;
use super::target::{Options, Watch, open};
use super::turn::Turn;
use crate::engine::Handle;
use crate::error::{Error, Result};
use crate::telemetry::names;
use crate::time::{Clock, EventTime};

/// How long after a failure it is tried again, at most.
const AGAIN: Duration = Duration::from_mins(1);
/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// What the settings say.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub to: String,
    pub every: Duration,
    pub keep: usize,
    pub options: Options,
}

/// The thread that makes them; it ends when this is dropped, and what it was at with it.
pub struct Running {
    thread: Option<JoinHandle<()>>,
    watch: Watch,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watch.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that makes checkpoints panicked");
        }
    }
}

/// Begins. `alongside` is asked for each time: files of models change.
///
/// # Errors
/// `Input` when the target is none.
pub fn start(
    schedule: Schedule,
    handle: Handle,
    clock: Arc<dyn Clock>,
    alongside: impl Fn() -> Alongside + Send + 'static,
) -> Result<Running> {
    let watch = Watch::default();
    drop(open(&schedule.to, &schedule.options, &watch)?);
    let stop = watch.clone();
    let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
        let mut maker = Maker::default();
        let last = last(&schedule, &stop);
        note(&handle, last);
        let mut next = first(schedule.every, last, clock.as_ref());
        while wait(next, &stop) {
            let made = make(&mut maker, &schedule, &handle, clock.as_ref(), &alongside(), &stop);
            if stop.is_stopped() {
                return;
            }
            next = match made {
                Ok(made) => {
                    let unswept = made.unswept.as_ref();
                    handle.set_checkpoint_problem(unswept.map(|error| format!("it is made, and older ones cannot be removed: {error}")));
                    let manifest = &made.manifest;
                    note(&handle, EventTime::parse(&manifest.made_at));
                    manifest.warnings.iter().for_each(|warning| tracing::warn!("checkpoint {}: {warning}", name_of(manifest.number)));
                    tracing::info!(
                        "checkpoint {} of {} bytes is made, {} of them new",
                        name_of(manifest.number),
                        manifest.bytes(),
                        made.moved
                    );
                    schedule.every
                }
                Err(error) => {
                    handle.set_checkpoint_problem(Some(format!("{error}; it is tried again")));
                    schedule.every.min(AGAIN)
                }
            };
        }
    });
    let thread = thread.map_err(|error| Error::unavailable(format!("cannot start a thread: {error}")))?;
    Ok(Running { thread: Some(thread), watch })
}

/// When the newest was made; `None` where there is none, or none that can be read: one is made at once then, which also says
/// what is wrong with the target.
fn last(schedule: &Schedule, watch: &Watch) -> Option<EventTime> {
    let target = open(&schedule.to, &schedule.options, watch).ok()?;
    let last = target.numbers().ok()?.pop()?;
    EventTime::parse(&target.manifest(last).ok()?.made_at)
}

fn note(handle: &Handle, made: Option<EventTime>) {
    if let Some(made) = made {
        handle.metrics().set(names::CHECKPOINT_TIME, &[], made.0 as f64 / 1e6);
    }
}

/// How long until the first: so long after the last one, however often the process was started since.
fn first(every: Duration, last: Option<EventTime>, clock: &dyn Clock) -> Duration {
    let since = |last: EventTime| Duration::from_micros(u64::try_from(clock.now().0.saturating_sub(last.0)).unwrap_or_default());
    last.map_or(Duration::ZERO, |last| every.saturating_sub(since(last)))
}

/// Whether the time has come, and not the end.
#[expect(clippy::disallowed_methods, reason = "waits by the clock that does not jump")]
fn wait(long: Duration, watch: &Watch) -> bool {
    let started = Instant::now();
    while !watch.is_stopped() {
        let left = long.saturating_sub(started.elapsed());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK));
    }
    false
}

fn make(maker: &mut Maker, schedule: &Schedule, handle: &Handle, clock: &dyn Clock, alongside: &Alongside, stop: &Watch) -> Result<Made> {
    let data = handle.data().ok_or_else(|| Error::internal("checkpoints of an engine that only reads"))?;
    let watch = stop.of_another();
    let target = open(&schedule.to, &schedule.options, &watch)?;
    let turn = Turn::take(data)?;
    turn.begin()?;
    let now = clock.now();
    handle.copy_into(turn.staging())?;
    maker.make(turn.staging(), alongside, now, target.as_ref(), Some(schedule.keep), &watch)
}
