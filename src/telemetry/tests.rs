use std::collections::BTreeSet;
use std::time::Duration;

use super::names::{self, Kind};
use super::{Exposition, Metrics};

#[test]
fn every_name_is_unique_and_follows_the_conventions() {
    let mut seen = BTreeSet::new();
    for metric in names::ALL {
        let name = metric.name;
        assert!(seen.insert(name), "{name} is listed twice");
        assert_eq!(name.ends_with("_total"), matches!(metric.kind, Kind::Counter | Kind::Seconds), "{name}");
        assert!(!matches!(metric.kind, Kind::Histogram) || name.ends_with("_seconds"), "{name}");
        assert!(name.starts_with("forebay_") || name.starts_with("process_"), "{name}");
        assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}");
    }
}

#[test]
fn handles_of_equal_labels_share_a_series() {
    let metrics = Metrics::new();
    let first = metrics.counter(names::EVENTS_ACCEPTED, &[("source", "payments")]);
    metrics.add(names::EVENTS_ACCEPTED, &[("source", "payments")], 2);
    first.inc_by(3);
    metrics.add(names::EVENTS_ACCEPTED, &[("source", "refunds")], 7);
    assert_eq!(first.get(), 5);
    metrics.reach(names::EVENTS_ACCEPTED, &[("source", "payments")], 4);
    assert_eq!(first.get(), 5, "a counter never goes back");
    metrics.reach(names::EVENTS_ACCEPTED, &[("source", "payments")], 9);
    assert_eq!(first.get(), 9);
}

fn some() -> std::sync::Arc<Metrics> {
    let metrics = Metrics::new();
    metrics.add(names::EVENTS_REJECTED, &[("source", "pay\"ments"), ("reason", "late\\\n")], 4);
    metrics.set(names::COMMITTED_SEQ, &[], 12.5);
    metrics.reach_seconds(names::PROCESS_CPU, 0.25);
    metrics.reach_seconds(names::PROCESS_CPU, 0.125);
    metrics
}

#[test]
fn both_forms_are_as_their_readers_expect() {
    let rejected = names::ALL.iter().find(|metric| metric.name == names::EVENTS_REJECTED).unwrap().help;
    let (cpu, seq) = ("user and system cpu time of the process", "the last committed seq");
    let series = [
        "forebay_events_rejected_total{source=\"pay\\\"ments\",reason=\"late\\\\\\n\"} 4",
        "forebay_committed_seq 12.5",
        "process_cpu_seconds_total 0.25",
    ];
    let expected = |ending: &str| {
        format!(
            "# HELP forebay_events_rejected{ending} {rejected}.\n# TYPE forebay_events_rejected{ending} counter\n{}\n\
             # HELP forebay_committed_seq {seq}.\n# TYPE forebay_committed_seq gauge\n{}\n\
             # HELP process_cpu_seconds{ending} {cpu}.\n# TYPE process_cpu_seconds{ending} counter\n{}\n",
            series[0], series[1], series[2]
        )
    };
    assert_eq!(some().render(Exposition::Prometheus), expected("_total"));
    assert_eq!(some().render(Exposition::OpenMetrics), expected("") + "# EOF\n");
}

#[test]
fn the_form_is_what_the_request_likes_best() {
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Exposition::accepted(prometheus), Exposition::OpenMetrics);
    for accept in
        ["", "*/*", "text/plain", "text/html", "text/plain, application/openmetrics-text;q=0.5", "application/openmetrics-text;q=0"]
    {
        assert_eq!(Exposition::accepted(accept), Exposition::Prometheus, "{accept}");
    }
}

#[test]
fn recordings_of_all_threads_are_counted_in_their_buckets() {
    let metrics = Metrics::new();
    let histogram = metrics.histogram(names::COMMIT_SECONDS, &[]);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let histogram = histogram.clone();
            scope.spawn(move || (0..125).for_each(|i| histogram.record(Duration::from_micros(thread * 125 + i + 1))));
        }
    });
    histogram.record(Duration::from_secs(40));
    assert_eq!(histogram.count(), 1001);
    assert!((histogram.sum() - 40.5005).abs() < 1e-9, "{}", histogram.sum());
    let text = metrics.render(Exposition::Prometheus);
    for (bound, count) in
        [("0.0000025", 2), ("0.0001", 100), ("0.00025", 250), ("0.0005", 500), ("0.001", 1000), ("30.0", 1000), ("+Inf", 1001)]
    {
        let line = format!("forebay_commit_seconds_bucket{{le=\"{bound}\"}} {count}");
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("forebay_commit_seconds_count 1001\n"));
}
