//! The two forms in which metrics are handed out: OpenMetrics, and Prometheus' older text form, which differs in how
//! counters are announced.

use std::fmt::Write;

use prometheus_client::encoding::text;

use super::metrics::Metrics;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Version 1.0.0.
    OpenMetrics,
    /// Version 0.0.4.
    Prometheus,
}

impl Exposition {
    /// The form that a request's `Accept` likes best; Prometheus' older one where it says nothing of either.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let weight = |wanted: &str| {
            let of_range = |range: &str| {
                let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
                let quality = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
                let quality = quality.map_or(1.0, |quality| quality.trim().parse::<f64>().unwrap_or(0.0));
                name.trim().eq_ignore_ascii_case(wanted).then_some(quality)
            };
            accept.split(',').filter_map(of_range).fold(0.0, f64::max)
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Metrics {
    /// All series that there are, in the order of `names`.
    #[must_use]
    pub fn render(&self, form: Exposition) -> String {
        let mut open = String::with_capacity(32 << 10);
        // Writing to a `String` cannot fail.
        let _ = text::encode(&mut open, &self.registry);
        match form {
            Exposition::OpenMetrics => open,
            Exposition::Prometheus => announced_whole(&open),
        }
    }
}

/// OpenMetrics announces a counter without the `_total` that its series end in, the older form with it; and only OpenMetrics
/// has an end.
fn announced_whole(open: &str) -> String {
    let mut text = String::with_capacity(open.len() + 1024);
    let mut lines = open.lines().filter(|line| *line != "# EOF").peekable();
    while let Some(line) = lines.next() {
        let counter = |line: &str| line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter")).map(str::to_owned);
        match line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            Some((name, help)) if lines.peek().is_some_and(|next| counter(next).is_some()) => {
                let _ = writeln!(text, "# HELP {name}_total {help}");
            }
            _ => match counter(line) {
                Some(name) => drop(writeln!(text, "# TYPE {name}_total counter")),
                None => drop(writeln!(text, "{line}")),
            },
        }
    }
    text
}
