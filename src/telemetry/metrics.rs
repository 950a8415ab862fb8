//! The registry: every series, and the handles that change them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::summary::Histogram;

/// All metrics of a process. Shared as `Arc<Metrics>`.
#[derive(Default)]
pub struct Metrics {
    pub(super) series: RwLock<BTreeMap<Key, Series>>,
}

/// What identifies a series: a name of `names`, and its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub name: &'static str,
    pub labels: Vec<(String, String)>,
}

#[derive(Clone)]
pub(super) enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Summary(Histogram),
}

/// A number that only rises. Cloning gives another handle to the same number.
#[derive(Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that moves both ways. Cloning gives another handle to the same number.
#[derive(Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The counter of that name and labels, made when it is first asked for.
    #[must_use]
    pub fn counter(&self, name: &'static str, labels: &[(&str, &str)]) -> Counter {
        match self.series(name, labels, || Series::Counter(Counter::default())) {
            Series::Counter(counter) => counter,
            _ => Counter::default(),
        }
    }

    /// The gauge of that name and labels, made when it is first asked for.
    #[must_use]
    pub fn gauge(&self, name: &'static str, labels: &[(&str, &str)]) -> Gauge {
        match self.series(name, labels, || Series::Gauge(Gauge::default())) {
            Series::Gauge(gauge) => gauge,
            _ => Gauge::default(),
        }
    }

    /// The summary of that name and labels, made when it is first asked for.
    #[must_use]
    pub fn histogram(&self, name: &'static str, labels: &[(&str, &str)]) -> Histogram {
        match self.series(name, labels, || Series::Summary(Histogram::default())) {
            Series::Summary(histogram) => histogram,
            _ => Histogram::default(),
        }
    }

    /// Adds to a counter by name; hot paths keep its handle instead.
    pub fn add(&self, name: &'static str, labels: &[(&str, &str)], n: u64) {
        self.counter(name, labels).add(n);
    }

    /// Sets a gauge by name; hot paths keep its handle instead.
    pub fn set(&self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        self.gauge(name, labels).set(value);
    }

    /// Records seconds by name; hot paths keep the handle instead.
    pub fn observe(&self, name: &'static str, labels: &[(&str, &str)], seconds: f64) {
        self.histogram(name, labels).observe(seconds);
    }

    /// Lets quantiles forget what is older than the call before this one. Called by a timer, twice a minute.
    pub fn rotate(&self) {
        for series in self.series.read().values() {
            if let Series::Summary(histogram) = series {
                histogram.rotate();
            }
        }
    }

    /// The series of that key. A name that was registered as another kind keeps its kind, and the caller of the
    /// wrong kind gets a handle that nobody reads; a test of `names` excludes that.
    fn series(&self, name: &'static str, labels: &[(&str, &str)], make: impl FnOnce() -> Series) -> Series {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        let key = Key { name, labels };
        if let Some(series) = self.series.read().get(&key) {
            return series.clone();
        }
        self.series.write().entry(key).or_insert_with(make).clone()
    }
}
