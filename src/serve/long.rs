//! The threads for long work: reading large bodies, long lookups, writing large answers. They give way to the threads of sockets
//! and of the engine. Their number and queue are bounded; beyond the bound a request is refused. Must never make a socket's thread
//! wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use axum::http::StatusCode;
use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::telemetry::{Counted, Counter, Gauge, Metrics, names};

use crate::serve::error::Refusal;

/// How many are worked on side by side at most; the others wait.
const THREADS_MAX: usize = 8;
/// How much they give way.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Long {
    jobs: Sender<Job>,
    most: usize,
    /// In work, or waiting for it.
    accepted: Arc<AtomicUsize>,
    running: Gauge,
    waiting: Gauge,
    done: Counter,
}

/// Counts one out when it is over, however it ends.
struct Accepted(Arc<AtomicUsize>);

impl Drop for Accepted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Long {
    /// At most so many at a time. The threads end when this goes.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no threads.
    pub fn new(most: usize, metrics: &Metrics) -> Result<Self> {
        let (jobs, receiver) = bounded(most);
        for index in 0..most.min(THREADS_MAX) {
            let jobs = receiver.clone();
            let started = thread::Builder::new().name(format!("long-{index}")).spawn(move || work(&jobs));
            started.map_err(|error| Error::unavailable(format!("cannot start a thread: {error}")))?;
        }
        let [running, waiting] = ["running", "waiting"].map(|state| metrics.gauge(names::LONG_REQUESTS, &[("state", state)]));
        Ok(Self { jobs, most, accepted: Arc::default(), running, waiting, done: metrics.counter(names::LONG_REQUESTS_DONE, &[]) })
    }

    /// Does it on one of the threads. What nobody waits for any more when its turn comes is left out.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> std::result::Result<T, Refusal> {
        let accepted = self.accepted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now < self.most).then_some(now + 1));
        let most = self.most;
        let full = || {
            let message = format!(
                "{most} long requests are in work or wait already: ask again, ask for fewer rows at once, or raise long_lookups_max"
            );
            Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: "unavailable", field: None, message }
        };
        accepted.map_err(|_| full())?;
        let accepted = Accepted(Arc::clone(&self.accepted));
        let (sender, receiver) = oneshot::channel();
        let (waiting, running, all_done) = (Counted::new(&self.waiting), self.running.clone(), self.done.clone());
        let job = move || {
            drop(waiting);
            if sender.is_closed() {
                return drop(accepted);
            }
            let running = Counted::new(&running);
            let done = catch_unwind(AssertUnwindSafe(work));
            // Who is answered may ask again at once.
            drop((accepted, running));
            all_done.inc();
            match done {
                // Who asked may have gone meanwhile.
                Ok(done) => drop(sender.send(done)),
                Err(_) => tracing::error!("a long request panicked; report it with the message above"),
            }
        };
        self.jobs.try_send(Box::new(job)).map_err(|_| full())?;
        receiver.await.map_err(|_| Error::internal("a long request ended before its answer; see the log").into())
    }
}

fn work(jobs: &Receiver<Job>) {
    // Where the system does not allow it, they compete as equals.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!("long requests keep the priority of others: {error}");
    }
    jobs.iter().for_each(|job| job());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn past_its_bound_it_refuses_and_goes_on_afterwards() {
        let metrics = Metrics::new();
        let long = Long::new(THREADS_MAX + 1, &metrics).unwrap();
        let counted = || ["running", "waiting"].map(|state| metrics.gauge(names::LONG_REQUESTS, &[("state", state)]).get());
        assert_eq!(counted(), [0.0, 0.0]);
        let (hold, held) = bounded::<()>(0);
        let (begins, begun) = bounded(THREADS_MAX + 1);
        let wait = |held: Receiver<()>, begins: Sender<()>| move || begins.send(()).is_ok() && held.recv().is_err();
        let all = futures::future::join_all((0..=THREADS_MAX).map(|_| long.run(wait(held.clone(), begins.clone()))));
        let refused = async {
            // Behind the others, all threads of which are in work.
            (0..THREADS_MAX).for_each(|_| begun.recv().unwrap());
            assert_eq!(counted(), [THREADS_MAX as f64, 1.0]);
            let refused = long.run(|| ()).await.unwrap_err();
            drop(hold);
            refused
        };
        let (all, refused) = tokio::join!(all, refused);
        assert!(all.into_iter().all(|done| done.unwrap()));
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.message.contains("long_lookups_max"), "{}", refused.message);
        assert_eq!(long.run(|| 7).await.unwrap(), 7);
        assert_eq!(counted(), [0.0, 0.0]);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_no_end() {
        let metrics = Metrics::new();
        let long = Long::new(1, &metrics).unwrap();
        let panicked: std::result::Result<(), Refusal> = long.run(|| panic!("as the test wants it")).await;
        assert_eq!(panicked.unwrap_err().code, "internal");
        assert_eq!(metrics.gauge(names::LONG_REQUESTS, &[("state", "running")]).get(), 0.0);
        assert_eq!(long.run(|| 7).await.unwrap(), 7);
    }
}
