use std::collections::BTreeSet;
use std::time::Duration;

use super::names::{self, Kind};
use super::{Histogram, Metrics};

#[test]
fn every_name_is_unique_and_follows_the_conventions() {
    let mut seen = BTreeSet::new();
    for (name, kind, help) in names::ALL {
        assert!(seen.insert(name), "{name} is listed twice");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(*kind != Kind::Summary || name.ends_with("_seconds"), "{name}");
        assert!(!help.is_empty(), "{name}");
    }
}

#[test]
fn handles_of_equal_labels_share_a_series() {
    let metrics = Metrics::new();
    let first = metrics.counter(names::EVENTS_ACCEPTED, &[("source", "payments")]);
    metrics.add(names::EVENTS_ACCEPTED, &[("source", "payments")], 2);
    first.add(3);
    metrics.add(names::EVENTS_ACCEPTED, &[("source", "refunds")], 7);
    assert_eq!(first.get(), 5);
}

#[test]
fn the_text_form_is_what_prometheus_reads() {
    let metrics = Metrics::new();
    metrics.add(names::EVENTS_REJECTED, &[("source", "pay\"ments"), ("reason", "late")], 4);
    metrics.set(names::COMMITTED_SEQ, &[], 12.5);
    metrics.observe(names::COMMIT_SECONDS, &[], 0.25);
    let expected = "\
# HELP forebay_commit_seconds time of one durable commit
# TYPE forebay_commit_seconds summary
forebay_commit_seconds{quantile=\"0.5\"} 0.25
forebay_commit_seconds{quantile=\"0.9\"} 0.25
forebay_commit_seconds{quantile=\"0.99\"} 0.25
forebay_commit_seconds{quantile=\"0.999\"} 0.25
forebay_commit_seconds_sum 0.25
forebay_commit_seconds_count 1
# HELP forebay_committed_seq the last committed seq
# TYPE forebay_committed_seq gauge
forebay_committed_seq 12.5
# HELP forebay_events_rejected_total records sent to the dead-letter topic, by reason
# TYPE forebay_events_rejected_total counter
forebay_events_rejected_total{source=\"pay\\\"ments\",reason=\"late\"} 4
";
    let rendered = metrics.render();
    let rounded: Vec<String> = rendered.lines().map(rounded).collect();
    assert_eq!(rounded, expected.lines().collect::<Vec<_>>());
}

/// The line with a value of a quantile rounded to two digits, as exact as quantiles are.
fn rounded(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((series, value)) if series.contains("quantile") => {
            format!("{series} {}", (value.parse::<f64>().unwrap() * 100.0).round() / 100.0)
        }
        _ => line.to_owned(),
    }
}

#[test]
fn quantiles_are_of_all_threads_and_forget() {
    let histogram = Histogram::default();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let histogram = histogram.clone();
            scope.spawn(move || {
                for i in 0..125 {
                    histogram.record(Duration::from_micros(thread * 125 + i + 1));
                }
            });
        }
    });
    let seen = histogram.snapshot();
    assert_eq!(seen.count, 1000);
    assert!((seen.sum - 0.5005).abs() < 1e-9, "{}", seen.sum);
    for (quantile, expected) in seen.quantiles.iter().zip([500e-6, 900e-6, 990e-6, 999e-6]) {
        assert!((quantile / expected - 1.0).abs() < 0.01, "{quantile} for {expected}");
    }
    histogram.rotate();
    assert_eq!(histogram.snapshot(), seen);
    histogram.rotate();
    let forgotten = histogram.snapshot();
    assert!(forgotten.quantiles.iter().all(|quantile| quantile.is_nan()));
    assert_eq!(forgotten.count, 1000);
    histogram.observe(-1.0);
    assert_eq!(histogram.snapshot().count, 1001);
}
