//! How many outputs wait for their topic: their numbers rise by one, so that two of them say it.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Outbox {
    /// The number of the next output that is committed.
    next: AtomicU64,
    /// The number of the first that is not published.
    first: AtomicU64,
}

impl Outbox {
    /// As a start finds it. `first` is the number of the first that the store holds, where it holds one.
    pub fn new(first: Option<u64>, next: u64) -> Self {
        Self { next: next.into(), first: first.unwrap_or(next).into() }
    }

    pub fn committed(&self, next: u64) {
        self.next.fetch_max(next, Ordering::Relaxed);
    }

    pub fn published(&self, first: u64) {
        self.first.fetch_max(first, Ordering::Relaxed);
    }

    pub fn waiting(&self) -> u64 {
        let first = self.first.load(Ordering::Relaxed);
        self.next.load(Ordering::Relaxed).saturating_sub(first)
    }
}
