//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::Write;

use super::metrics::{Key, Metrics, Series};
use super::names::{Kind, help};
use super::summary::{QUANTILES, Snapshot};

impl Metrics {
    /// All series, families sorted by name. Serve with content type `text/plain; version=0.0.4`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        let mut family = "";
        for (key, series) in self.series.read().iter() {
            if key.name != family {
                family = key.name;
                let kind = match series {
                    Series::Counter(_) => Kind::Counter,
                    Series::Gauge(_) => Kind::Gauge,
                    Series::Summary(_) => Kind::Summary,
                };
                push(&mut text, format_args!("# HELP {family} {}\n# TYPE {family} {}\n", help(family), kind.word()));
            }
            match series {
                Series::Counter(counter) => line(&mut text, key, "", None, counter.get() as f64),
                Series::Gauge(gauge) => line(&mut text, key, "", None, gauge.get()),
                Series::Summary(histogram) => summary(&mut text, key, &histogram.snapshot()),
            }
        }
        text
    }
}

fn summary(text: &mut String, key: &Key, snapshot: &Snapshot) {
    for (quantile, value) in QUANTILES.iter().zip(snapshot.quantiles) {
        line(text, key, "", Some(*quantile), value);
    }
    line(text, key, "_sum", None, snapshot.sum);
    line(text, key, "_count", None, snapshot.count as f64);
}

fn line(text: &mut String, key: &Key, suffix: &str, quantile: Option<f64>, value: f64) {
    text.push_str(key.name);
    text.push_str(suffix);
    let quantile = quantile.map(|quantile| ("quantile", quantile.to_string()));
    let labels = key.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let labels = labels.chain(quantile.iter().map(|(name, value)| (*name, value.as_str())));
    let mut opened = false;
    for (name, value) in labels {
        text.push(if opened { ',' } else { '{' });
        opened = true;
        push(text, format_args!("{name}=\"{}\"", escape(value)));
    }
    if opened {
        text.push('}');
    }
    match value {
        _ if value == f64::INFINITY => text.push_str(" +Inf\n"),
        _ if value == f64::NEG_INFINITY => text.push_str(" -Inf\n"),
        _ => push(text, format_args!(" {value}\n")),
    }
}

/// A label's value, with backslash, quote and line end escaped as the format asks.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Writing to a `String` cannot fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}
