//! The registry: a family of series for every metric of `names`, and the handles that change them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::histogram::Histogram;
use super::names::{ALL, Kind};

/// A number that only rises. Cloning gives another handle to the same number.
pub type Counter = prometheus_client::metrics::counter::Counter<u64, AtomicU64>;
/// Seconds that only rise.
type Seconds = prometheus_client::metrics::counter::Counter<f64, AtomicU64>;
/// A number that moves both ways. Cloning gives another handle to the same number.
pub type Gauge = prometheus_client::metrics::gauge::Gauge<f64, AtomicU64>;

/// Counts in a gauge for as long as it is there, however it ends.
pub struct Counted(Gauge);

impl Counted {
    #[must_use]
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// All metrics of a process. Shared as `Arc<Metrics>`.
pub struct Metrics {
    families: BTreeMap<&'static str, Family>,
    pub(super) registry: Registry,
}

/// The series of one metric, by its kind.
enum Family {
    Counter(Series<Counter>),
    Seconds(Series<Seconds>),
    Gauge(Series<Gauge>),
    Histogram(Series<Histogram>),
}

/// The value of each label, escaped as expositions ask.
type Labels = Vec<(&'static str, String)>;

/// The series of one metric by their labels, shown in their order.
struct Series<M> {
    kind: MetricType,
    labels: &'static [&'static str],
    by_labels: Arc<RwLock<BTreeMap<Labels, M>>>,
}

impl Metrics {
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::default();
        let mut families = BTreeMap::new();
        for metric in ALL {
            // The registry puts the ending of counters there.
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            let family = match metric.kind {
                Kind::Counter => Family::Counter(series(&mut registry, name, metric.help, MetricType::Counter, metric.labels)),
                Kind::Seconds => Family::Seconds(series(&mut registry, name, metric.help, MetricType::Counter, metric.labels)),
                Kind::Gauge => Family::Gauge(series(&mut registry, name, metric.help, MetricType::Gauge, metric.labels)),
                Kind::Histogram => Family::Histogram(series(&mut registry, name, metric.help, MetricType::Histogram, metric.labels)),
            };
            families.insert(metric.name, family);
        }
        Arc::new(Self { families, registry })
    }

    /// The counter of that name and labels, made at 0 when it is first asked for. Paths of events keep the handle.
    #[must_use]
    pub fn counter(&self, name: &'static str, labels: &[(&str, &str)]) -> Counter {
        match self.families.get(name) {
            Some(Family::Counter(series)) => series.of(labels),
            _ => unlisted(name),
        }
    }

    /// The gauge of that name and labels, made at 0 when it is first asked for.
    #[must_use]
    pub fn gauge(&self, name: &'static str, labels: &[(&str, &str)]) -> Gauge {
        match self.families.get(name) {
            Some(Family::Gauge(series)) => series.of(labels),
            _ => unlisted(name),
        }
    }

    /// The histogram of that name and labels, made empty when it is first asked for.
    #[must_use]
    pub fn histogram(&self, name: &'static str, labels: &[(&str, &str)]) -> Histogram {
        match self.families.get(name) {
            Some(Family::Histogram(series)) => series.of(labels),
            _ => unlisted(name),
        }
    }

    /// Adds to a counter by name, where that is rare; other paths keep its handle.
    pub fn add(&self, name: &'static str, labels: &[(&str, &str)], n: u64) {
        self.counter(name, labels).inc_by(n);
    }

    /// Brings a counter by name up to what is counted elsewhere.
    pub fn reach(&self, name: &'static str, labels: &[(&str, &str)], total: u64) {
        self.counter(name, labels).inner().fetch_max(total, Ordering::Relaxed);
    }

    /// Brings a counter of seconds up to what is counted elsewhere.
    pub fn reach_seconds(&self, name: &'static str, total: f64) {
        let counter = match self.families.get(name) {
            Some(Family::Seconds(series)) => series.of(&[]),
            _ => unlisted::<Seconds>(name),
        };
        // The bits of doubles that are not negative are in their order.
        counter.inner().fetch_max(total.max(0.0).to_bits(), Ordering::Relaxed);
    }

    /// Sets a gauge by name; paths of events keep its handle.
    pub fn set(&self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        self.gauge(name, labels).set(value);
    }
}

/// A handle that nobody reads: of a name that is not listed as that kind, which is a fault of this program.
fn unlisted<M: Default>(name: &str) -> M {
    debug_assert!(false, "{name} is not listed as that kind of metric");
    M::default()
}

fn series<M: EncodeMetric + Send + Sync + 'static>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
) -> Series<M> {
    let series = Series { kind, labels, by_labels: Arc::default() };
    registry.register(name, help, Series { kind, labels, by_labels: Arc::clone(&series.by_labels) });
    series
}

impl<M: Clone + Default> Series<M> {
    fn of(&self, labels: &[(&str, &str)]) -> M {
        debug_assert!(labels.iter().map(|(name, _)| *name).eq(self.labels.iter().copied()), "{labels:?} are not {:?}", self.labels);
        let labels: Labels = self.labels.iter().copied().zip(labels.iter().map(|(_, value)| escaped(value))).collect();
        if let Some(found) = self.by_labels.read().get(&labels) {
            return found.clone();
        }
        self.by_labels.write().entry(labels).or_default().clone()
    }
}

impl<M: EncodeMetric> EncodeMetric for Series<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, metric) in self.by_labels.read().iter() {
            if labels.is_empty() {
                return metric.encode(encoder);
            }
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }

    fn is_empty(&self) -> bool {
        self.by_labels.read().is_empty()
    }
}

impl<M> fmt::Debug for Series<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "series by {:?}", self.labels)
    }
}

/// A label's value, with backslash, quote and line end as expositions write them.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
