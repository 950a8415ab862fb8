//! Recordings of durations, as quantiles. Must never allocate or wait long while recording.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram as Hdr;
use parking_lot::Mutex;

/// Recording threads are spread over so many parts, so that they seldom meet.
const PARTS: usize = 4;
/// The finest difference that is kept, in nanoseconds.
const FINEST_NS: u64 = 64;
/// Recordings above an hour count as an hour.
const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Quantiles are exact to two digits.
const DIGITS: u8 = 2;

/// The quantiles that are shown.
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// Durations recorded by any number of threads. Cloning gives another handle to the same recordings.
#[derive(Clone)]
pub struct Histogram(Arc<[Mutex<Part>; PARTS]>);

/// What the threads of one part recorded.
struct Part {
    current: Option<Hdr<u32>>,
    previous: Option<Hdr<u32>>,
    count: u64,
    sum_ns: u128,
}

/// All recordings at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// In the order of `QUANTILES`, seconds; NaN where nothing was recorded lately.
    pub quantiles: [f64; 4],
    /// Since the start.
    pub count: u64,
    /// Since the start, seconds.
    pub sum: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Mutex::new(Part { current: None, previous: None, count: 0, sum_ns: 0 }))))
    }
}

impl Histogram {
    /// Records one duration: tens of nanoseconds where no other thread records in the same part.
    pub fn record(&self, duration: Duration) {
        self.record_n(duration, 1);
    }

    /// Records the same duration `n` times.
    pub fn record_n(&self, duration: Duration, n: u32) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(HIGHEST_NS);
        let mut part = self.0[part_of_thread()].lock();
        part.count += u64::from(n);
        part.sum_ns += u128::from(ns) * u128::from(n);
        if part.current.is_none() {
            part.current = Hdr::new_with_bounds(FINEST_NS, HIGHEST_NS, DIGITS).ok();
        }
        if let Some(current) = &mut part.current {
            current.saturating_record_n(ns, n);
        }
    }

    /// Records seconds; negative and NaN count as 0.
    pub fn observe(&self, seconds: f64) {
        self.record(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::from_nanos(HIGHEST_NS)));
    }

    /// Forgets, for the quantiles, what was recorded before the last call. The server calls it twice a minute.
    pub fn rotate(&self) {
        for part in self.0.iter() {
            let mut part = part.lock();
            let Part { current, previous, .. } = &mut *part;
            std::mem::swap(current, previous);
            if let Some(current) = current {
                current.reset();
            }
        }
    }

    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut all: Option<Hdr<u32>> = None;
        let (mut count, mut sum_ns) = (0, 0);
        for part in self.0.iter() {
            let part = part.lock();
            count += part.count;
            sum_ns += part.sum_ns;
            for recent in [&part.current, &part.previous].into_iter().flatten() {
                match &mut all {
                    None => all = Some(recent.clone()),
                    // Bounds are equal, so adding cannot fail.
                    Some(all) => drop(all.add(recent)),
                }
            }
        }
        let quantile = |q| match &all {
            Some(all) if !all.is_empty() => all.value_at_quantile(q) as f64 / 1e9,
            _ => f64::NAN,
        };
        Snapshot { quantiles: QUANTILES.map(quantile), count, sum: sum_ns as f64 / 1e9 }
    }
}

/// Threads take parts in turn, and keep them.
fn part_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % PARTS);
        }
        mine.get()
    })
}
