//! How many outputs wait for their topic, and their bytes: reading waits while these are too many. Numbers of outputs rise by one,
//! so that two of them say how many there are.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Outbox {
    /// The number of the next output that is committed.
    next: AtomicU64,
    /// The number of the first that is not published.
    first: AtomicU64,
    /// Below zero for a moment where outputs are published before their commit has told of them.
    bytes: AtomicI64,
    bytes_max: u64,
}

impl Outbox {
    /// As a start finds it. `first` is the number of the first that the store holds, where it holds one.
    pub fn new(first: Option<u64>, next: u64, bytes_max: u64) -> Self {
        Self { next: next.into(), first: first.unwrap_or(next).into(), bytes: AtomicI64::new(0), bytes_max }
    }

    /// More was committed, up to before `next`.
    pub fn committed(&self, next: u64, bytes: u64) {
        self.next.fetch_max(next, Ordering::Relaxed);
        self.bytes.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
    }

    /// What comes before `first` was published, some of it now.
    pub fn published(&self, first: u64, bytes: u64) {
        self.first.fetch_max(first, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes.cast_signed(), Ordering::Relaxed);
    }

    pub fn waiting(&self) -> u64 {
        let first = self.first.load(Ordering::Relaxed);
        self.next.load(Ordering::Relaxed).saturating_sub(first)
    }

    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether so much waits that nothing more is to be read.
    pub fn is_full(&self) -> bool {
        self.bytes() > self.bytes_max
    }
}
