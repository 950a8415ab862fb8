//! The names of all metrics, with their kind and help. Base units; counters end in `_total`.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Moves both ways.
    Gauge,
    /// Recordings in seconds, shown as quantiles of the last half to whole minute, with their sum and count since the start.
    Summary,
}

impl Kind {
    /// Prometheus' word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
        }
    }
}

/// Records read from a source's log. Labels: `source`.
pub const RECORDS_READ: &str = "forebay_records_read_total";
/// Bytes of the records read from a source's log. Labels: `source`.
pub const RECORD_BYTES_READ: &str = "forebay_record_bytes_read_total";
/// Events accepted and committed since the data folder began, as are the other counts of events of a source. Labels: `source`.
pub const EVENTS_ACCEPTED: &str = "forebay_events_accepted_total";
/// Events accepted although they were behind the frontier of their partition. Labels: `source`.
pub const EVENTS_LATE: &str = "forebay_events_late_total";
/// The furthest that an event was behind its partition's frontier. Labels: `source`, `outcome` (`accepted` or `too_late`).
pub const LATENESS_MAX: &str = "forebay_lateness_max_seconds";
/// What `lateness` would have accepted that share of the events that were too late. Labels: `source`, `share` (`0.999` or `1`).
pub const LATENESS_WANTED: &str = "forebay_lateness_wanted_seconds";
/// Events that a record of their source took back. Labels: `source`.
pub const EVENTS_RETRACTED: &str = "forebay_events_retracted_total";
/// Records sent to the dead-letter topic. Labels: `source`, `reason`.
pub const EVENTS_REJECTED: &str = "forebay_events_rejected_total";
/// Events that `dedup by` found to be there already. Labels: `source`.
pub const EVENTS_DUPLICATE: &str = "forebay_events_duplicate_total";
/// Events skipped by a view because a key column was null. Labels: `view`.
pub const EVENTS_WITHOUT_KEY: &str = "forebay_events_without_key_total";
/// Records in the log that are not read yet. Labels: `source`.
pub const LAG_RECORDS: &str = "forebay_lag_records";
/// How far a source's frontier (its highest event time) lies behind the clock. Labels: `source`.
pub const STALENESS: &str = "forebay_staleness_seconds";
/// Errors of a source's log: unreachable, unreadable. Labels: `source`.
pub const LOG_ERRORS: &str = "forebay_log_errors_total";
/// Commits.
pub const COMMITS: &str = "forebay_commits_total";
/// Time of one durable commit.
pub const COMMIT_SECONDS: &str = "forebay_commit_seconds";
/// From a batch's arrival at the dispatcher until all shards have applied it.
pub const APPLY_SECONDS: &str = "forebay_apply_seconds";
/// The last committed `seq`.
pub const COMMITTED_SEQ: &str = "forebay_committed_seq";
/// Time of one lookup in the engine, waiting for `after` excluded. Labels: `vector`.
pub const LOOKUP_SECONDS: &str = "forebay_lookup_seconds";
/// Rows of all lookups. Labels: `vector`.
pub const LOOKUP_ROWS: &str = "forebay_lookup_rows_total";
/// Approximate memory of key states. Labels: `shard`.
pub const STATE_BYTES: &str = "forebay_state_bytes";
/// Key states in memory. Labels: `shard`.
pub const STATE_KEYS: &str = "forebay_state_keys";
/// Key states read back from the store because they were not in memory.
pub const STATE_LOADS: &str = "forebay_state_loads_total";
/// Key states written behind the commits.
pub const STATE_FLUSHES: &str = "forebay_state_flushed_rows_total";
/// Output records committed and not yet published.
pub const OUTBOX_RECORDS: &str = "forebay_outbox_records";
/// Output records published. Labels: `topic`.
pub const OUTPUTS_PUBLISHED: &str = "forebay_outputs_published_total";
/// Predictions made for events of a source. Labels: `model`, `outcome` (`scored` or `failed`).
pub const PREDICTIONS: &str = "forebay_predictions_total";
/// Time of one run of a model, divided by its rows. Labels: `model`.
pub const MODEL_SECONDS: &str = "forebay_model_row_seconds";
/// Drift of the last finished interval. Labels: `model`, `column`, `metric` (`psi`, `ks`, `missing_rate`).
pub const DRIFT: &str = "forebay_drift_ratio";
/// Breaches of `alert when`. Labels: `model`.
pub const DRIFT_ALERTS: &str = "forebay_drift_alerts_total";
/// Scored rows that no report counts, because they came after their interval was forgotten. Labels: `model`.
pub const DRIFT_LATE_ROWS: &str = "forebay_drift_late_rows_total";
/// Events written to Parquet. Labels: `source`.
pub const OFFLINE_EVENTS: &str = "forebay_offline_events_total";
/// Committed events that Parquet does not hold yet.
pub const OFFLINE_PENDING: &str = "forebay_offline_pending_events";
/// Failures to write Parquet; the events stay in the store and are written later.
pub const OFFLINE_ERRORS: &str = "forebay_offline_errors_total";
/// Answers over HTTP. Labels: `route`, `status`.
pub const HTTP_REQUESTS: &str = "forebay_http_requests_total";
/// From a parsed head to an answer that is ready to be sent. Labels: `route`.
pub const HTTP_SECONDS: &str = "forebay_http_request_seconds";
/// Always 1. Labels: `version`.
pub const BUILD_INFO: &str = "forebay_build_info";
/// Resident memory of the process.
pub const PROCESS_MEMORY: &str = "process_resident_memory_bytes";
/// User and system CPU time of the process.
pub const PROCESS_CPU: &str = "process_cpu_seconds_total";

/// Name, kind and help of every metric, sorted as declared.
pub const ALL: &[(&str, Kind, &str)] = &[
    (RECORDS_READ, Kind::Counter, "records read from a source's log"),
    (RECORD_BYTES_READ, Kind::Counter, "bytes of the records read from a source's log"),
    (EVENTS_ACCEPTED, Kind::Counter, "events accepted and committed since the data folder began"),
    (EVENTS_LATE, Kind::Counter, "events accepted although they were behind their partition's frontier"),
    (LATENESS_MAX, Kind::Gauge, "the furthest that an event was behind its partition's frontier"),
    (LATENESS_WANTED, Kind::Gauge, "what lateness would have accepted that share of the events that were too late"),
    (EVENTS_RETRACTED, Kind::Counter, "events that a delete took back"),
    (EVENTS_REJECTED, Kind::Counter, "records sent to the dead-letter topic, by reason"),
    (EVENTS_DUPLICATE, Kind::Counter, "events that dedup found to be there already"),
    (EVENTS_WITHOUT_KEY, Kind::Counter, "events skipped by a view because a key column was null"),
    (LAG_RECORDS, Kind::Gauge, "records in the log that are not read yet"),
    (STALENESS, Kind::Gauge, "how far the highest event time of a source lies behind the clock"),
    (LOG_ERRORS, Kind::Counter, "errors of a source's log"),
    (COMMITS, Kind::Counter, "durable commits"),
    (COMMIT_SECONDS, Kind::Summary, "time of one durable commit"),
    (APPLY_SECONDS, Kind::Summary, "from a batch's arrival until all shards have applied it"),
    (COMMITTED_SEQ, Kind::Gauge, "the last committed seq"),
    (LOOKUP_SECONDS, Kind::Summary, "time of one lookup in the engine, waiting for positions excluded"),
    (LOOKUP_ROWS, Kind::Counter, "rows of all lookups"),
    (STATE_BYTES, Kind::Gauge, "approximate memory of key states"),
    (STATE_KEYS, Kind::Gauge, "key states in memory"),
    (STATE_LOADS, Kind::Counter, "key states read back from the store"),
    (STATE_FLUSHES, Kind::Counter, "key states written behind the commits"),
    (OUTBOX_RECORDS, Kind::Gauge, "output records committed and not yet published"),
    (OUTPUTS_PUBLISHED, Kind::Counter, "output records published"),
    (PREDICTIONS, Kind::Counter, "predictions made for events of a source"),
    (MODEL_SECONDS, Kind::Summary, "time of one run of a model divided by its rows"),
    (DRIFT, Kind::Gauge, "drift of the last finished interval, by column and metric"),
    (DRIFT_ALERTS, Kind::Counter, "breaches of an alert"),
    (DRIFT_LATE_ROWS, Kind::Counter, "scored rows that came after their drift interval was forgotten"),
    (OFFLINE_EVENTS, Kind::Counter, "events written to parquet"),
    (OFFLINE_PENDING, Kind::Gauge, "committed events that parquet does not hold yet"),
    (OFFLINE_ERRORS, Kind::Counter, "failures to write parquet"),
    (HTTP_REQUESTS, Kind::Counter, "answers over http, by route and status"),
    (HTTP_SECONDS, Kind::Summary, "time to answer a request"),
    (BUILD_INFO, Kind::Gauge, "always 1; the label names the version"),
    (PROCESS_MEMORY, Kind::Gauge, "resident memory of the process"),
    (PROCESS_CPU, Kind::Counter, "user and system cpu time of the process"),
];

/// The help of a metric; of one that is not listed, that it is not.
#[must_use]
pub fn help(name: &str) -> &'static str {
    ALL.iter().find(|(listed, ..)| *listed == name).map_or("not listed in telemetry::names", |(_, _, help)| help)
}
