//! The phase of a connection: what it waits for, and since when. The connection, its bytes and its request write it; the crowd and
//! the timer of the connection read it. One word, so that writing it costs one store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Phase {
    /// Its first byte.
    New,
    /// The next request.
    Idle,
    /// The rest of a request's head.
    Head,
    /// The rest of a request's body.
    Body,
    /// Our answer.
    Answer,
    /// That its client takes the answer.
    Write,
}

const PHASES: [Phase; 6] = [Phase::New, Phase::Idle, Phase::Head, Phase::Body, Phase::Answer, Phase::Write];

/// What a connection is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    Stay,
    /// End after the request in hand.
    Finish,
    /// Make room for another.
    Yield,
    /// End now: the server stops.
    Cut,
}

const ORDERS: [Order; 4] = [Order::Stay, Order::Finish, Order::Yield, Order::Cut];

/// Shared by all that have to do with one connection.
#[derive(Clone, Default)]
pub(in crate::serve) struct Course(Arc<Inner>);

struct Inner {
    epoch: Instant,
    /// Milliseconds since the epoch, and in the low three bits the phase.
    now: AtomicU64,
    order: AtomicU8,
    told: Notify,
    /// Bytes of a refused body may still come.
    unread: AtomicBool,
}

impl Default for Inner {
    fn default() -> Self {
        Self { epoch: Instant::now(), now: AtomicU64::new(0), order: AtomicU8::new(0), told: Notify::new(), unread: AtomicBool::new(false) }
    }
}

impl Course {
    /// Of a new connection. All of one crowd count from the same epoch.
    pub(super) fn new(epoch: Instant) -> Self {
        let course = Self(Arc::new(Inner { epoch, ..Inner::default() }));
        course.enter(Phase::New);
        course
    }

    pub(super) fn enter(&self, phase: Phase) {
        let millis = self.0.epoch.elapsed().as_millis() as u64;
        self.0.now.store(millis << 3 | phase as u64, Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        PHASES.get((self.0.now.load(Ordering::Relaxed) & 7) as usize).copied().unwrap_or(Phase::Answer)
    }

    /// What it waits for, and how long it does.
    pub(super) fn waits(&self) -> (Phase, Duration) {
        let now = self.0.now.load(Ordering::Relaxed);
        let phase = PHASES.get((now & 7) as usize).copied().unwrap_or(Phase::Answer);
        (phase, self.0.epoch.elapsed().saturating_sub(Duration::from_millis(now >> 3)))
    }

    /// Bytes came. Those of a head do not prolong it.
    pub(super) fn received(&self) {
        match self.phase() {
            Phase::New | Phase::Idle => self.enter(Phase::Head),
            Phase::Body => self.enter(Phase::Body),
            Phase::Head | Phase::Answer | Phase::Write => {}
        }
    }

    /// The request's body is awaited.
    pub(in crate::serve) fn reads_body(&self) {
        self.enter(Phase::Body);
    }

    /// The request is in hand.
    pub(in crate::serve) fn answers(&self) {
        self.enter(Phase::Answer);
    }

    /// The request is refused before its body was read.
    pub(in crate::serve) fn leave_unread(&self) {
        self.0.unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_unread(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed)
    }

    pub(super) fn tell(&self, order: Order) {
        self.0.order.fetch_max(order as u8, Ordering::Relaxed);
        self.0.told.notify_one();
    }

    pub(super) fn order(&self) -> Order {
        ORDERS.get(usize::from(self.0.order.load(Ordering::Relaxed))).copied().unwrap_or(Order::Cut)
    }

    /// Waits for an order.
    pub(super) async fn told(&self) {
        self.0.told.notified().await;
    }
}
