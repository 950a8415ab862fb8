//! The one list of metrics: name, kind, labels and help. Base units; counters end in `_total`. A label takes few values, all
//! known from the plan or from this program: never a key, a path or what a caller sent.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Only rises, in fractions of a second.
    Seconds,
    /// Moves both ways.
    Gauge,
    /// Recordings in seconds, counted in the buckets of `histogram::BOUNDS`.
    Histogram,
}

/// What is said of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal [$($label:literal)*] $help:literal)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*
        /// Every metric, in the order in which they are shown.
        pub const ALL: &[Metric] =
            &[$(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help }),*];
    };
}

metrics! {
    // Records in.
    RECORDS_READ Counter "forebay_records_read_total" ["source"] "records read from a source's log"
    RECORD_BYTES_READ Counter "forebay_record_bytes_read_total" ["source"] "bytes of the records read from a source's log"
    EVENTS_ACCEPTED Counter "forebay_events_accepted_total" ["source"] "events accepted and committed since the data folder began, as are the other counts of events of a source"
    EVENTS_LATE Counter "forebay_events_late_total" ["source"] "events accepted although they were behind their partition's frontier"
    EVENTS_RETRACTED Counter "forebay_events_retracted_total" ["source"] "events that a record of their source took back"
    EVENTS_REJECTED Counter "forebay_events_rejected_total" ["source" "reason"] "records sent to the dead-letter topic"
    EVENTS_DUPLICATE Counter "forebay_events_duplicate_total" ["source"] "events that dedup by found to be there already"
    EVENTS_WITHOUT_KEY Counter "forebay_events_without_key_total" ["view"] "events skipped by a view because a key column was null"
    LATENESS_MAX Gauge "forebay_lateness_max_seconds" ["source" "outcome"] "the furthest that an event was behind its partition's frontier, of those accepted and of those too late"
    LATENESS_WANTED Gauge "forebay_lateness_wanted_seconds" ["source" "share"] "the lateness that would have accepted that share of the events that were too late"
    LOG_ERRORS Counter "forebay_log_errors_total" ["source"] "errors of a source's log: unreachable, unreadable"
    // What waits.
    LAG_RECORDS Gauge "forebay_lag_records" ["source"] "records in the log that lookups do not see yet"
    STALENESS Gauge "forebay_staleness_seconds" ["source"] "how far the highest event time of a source lies behind the clock"
    UNAPPLIED_EVENTS Gauge "forebay_unapplied_events" [] "events committed and not applied yet"
    UNSCORED_EVENTS Gauge "forebay_unscored_events" [] "events committed whose predictions are not committed yet"
    OUTBOX_RECORDS Gauge "forebay_outbox_records" [] "output records committed and not published yet"
    OUTBOX_BYTES Gauge "forebay_outbox_bytes" [] "bytes of these; reading waits while they are more than the setting outbox_max"
    INTAKE_BYTES Gauge "forebay_intake_bytes" [] "memory of records on their way from their log to the state, bounded by the setting intake_memory"
    OFFLINE_PENDING Gauge "forebay_offline_pending_events" [] "events committed that parquet does not hold yet"
    // Commits and state.
    COMMITS Counter "forebay_commits_total" [] "durable commits"
    COMMIT_SECONDS Histogram "forebay_commit_seconds" [] "time of one durable commit"
    APPLY_SECONDS Histogram "forebay_apply_seconds" [] "from a batch's commit until all shards have applied it"
    COMMITTED_SEQ Gauge "forebay_committed_seq" [] "the last committed seq"
    STATE_BYTES Gauge "forebay_state_bytes" ["shard"] "approximate memory of key states"
    STATE_KEYS Gauge "forebay_state_keys" ["shard"] "key states in memory"
    STATE_LOADS Counter "forebay_state_loads_total" [] "key states read back from the store because they were not in memory"
    STATE_FLUSHES Counter "forebay_state_flushed_rows_total" [] "key states written behind the commits"
    // Answers.
    LOOKUP_SECONDS Histogram "forebay_lookup_seconds" ["vector"] "time of one lookup in the engine, waiting for positions excluded"
    LOOKUP_ROWS Counter "forebay_lookup_rows_total" ["vector"] "rows of all lookups"
    LOOKUP_ERRORS Counter "forebay_lookup_errors_total" ["vector" "code"] "lookups that were refused or failed; of a vector that is not declared as unknown"
    SCORE_ERRORS Counter "forebay_score_errors_total" ["model" "code"] "score requests that were refused or failed; of a model that is not declared as unknown"
    HTTP_REQUESTS Counter "forebay_http_requests_total" ["route" "status"] "answers over http; of a route that does not exist as unknown"
    HTTP_ERRORS Counter "forebay_http_errors_total" ["route" "code"] "refused and failed requests by the code of their answer"
    HTTP_SECONDS Histogram "forebay_http_request_seconds" ["route"] "from a whole request to an answer that is ready to be sent: what a slow body takes to come is not in it"
    HTTP_CONNECTIONS Gauge "forebay_http_connections" [] "open connections, at most the setting connections_max"
    HTTP_IN_FLIGHT Gauge "forebay_http_requests_in_flight" [] "requests that are being answered: those whose body is still to come are not"
    LONG_REQUESTS Gauge "forebay_long_requests" ["state"] "long lookups, scores and bodies that are running, or waiting for a thread; both together at most the setting long_lookups_max"
    LONG_REQUESTS_DONE Counter "forebay_long_requests_done_total" [] "long lookups, scores and bodies that were worked off"
    WAITING_LOOKUPS Gauge "forebay_waiting_lookups" [] "lookups that wait for the positions of their after, at most the setting waiting_lookups_max"
    // Models.
    PREDICTIONS Counter "forebay_predictions_total" ["model" "outcome"] "predictions made for events of a source, scored or failed"
    MODEL_SECONDS Histogram "forebay_model_row_seconds" ["model"] "time of one run of a model over rows of a source, divided by its rows"
    OUTPUTS_PUBLISHED Counter "forebay_outputs_published_total" ["topic"] "output records published"
    DRIFT Gauge "forebay_drift_ratio" ["model" "column" "metric"] "drift of the last finished interval: psi, ks or missing_rate"
    DRIFT_ALERTS Counter "forebay_drift_alerts_total" ["model"] "intervals that breached an alert of the model's declaration"
    DRIFT_LATE_ROWS Counter "forebay_drift_late_rows_total" ["model"] "scored rows that no report counts, because their interval was forgotten"
    // Disk.
    OFFLINE_EVENTS Counter "forebay_offline_events_total" ["source"] "events written to parquet"
    OFFLINE_ERRORS Counter "forebay_offline_errors_total" [] "failures to write parquet or to trim; what is pending stays in the store and is written later"
    TIDIED Gauge "forebay_tidied_timestamp_seconds" [] "when small parquet files were last joined and retention last applied, since 1970; the start before the first time"
    DATA_BYTES Gauge "forebay_data_bytes" ["part"] "bytes of the data folder: log, online, offline"
    TOPIC_BYTES Gauge "forebay_topic_bytes" ["topic"] "stored bytes of a topic of the embedded log"
    TOPIC_RECORDS Gauge "forebay_topic_records" ["topic"] "records that a topic of the embedded log keeps"
    VIEW_BYTES Gauge "forebay_view_bytes" ["view"] "approximate bytes of a view's state on disk, as of the last minute"
    CHECKPOINT_TIME Gauge "forebay_checkpoint_timestamp_seconds" [] "when the newest checkpoint of the schedule was made, seconds since the epoch; none before the first"
    DISK_FREE Gauge "forebay_disk_free_bytes" [] "what the file system of the data folder has left for this user"
    DISK_SIZE Gauge "forebay_disk_size_bytes" [] "the size of the file system of the data folder"
    // Condition.
    READY Gauge "forebay_ready" [] "1 while lookups are answered, else 0"
    PROBLEMS Gauge "forebay_problems" ["kind"] "what does not work now, as the status lists it"
    EVENT_TIME_AHEAD Gauge "forebay_event_time_ahead_seconds" ["source"] "the latest event time of the last batch less the clock: above 0 it lies in the future"
    CLOCK_STEP Gauge "forebay_clock_step_seconds" [] "by how much the clock was set in the last hour, or before the last commit at the start: below 0 is back"
    CLOCK_STEPS Counter "forebay_clock_steps_total" ["direction"] "how often the clock was set by more than a few seconds while this process ran: ahead or back"
    BUILD_INFO Gauge "forebay_build_info" ["version" "commit" "profile"] "always 1; the labels say what runs"
    PROCESS_START Gauge "process_start_time_seconds" [] "when this process began, since 1970"
    PROCESS_MEMORY Gauge "process_resident_memory_bytes" [] "resident memory of the process"
    PROCESS_CPU Seconds "process_cpu_seconds_total" [] "user and system cpu time of the process"
    PROCESS_FILES Gauge "process_open_fds" [] "open files and sockets of the process"
    PROCESS_FILES_MAX Gauge "process_max_fds" [] "the most files and sockets that the process may have open"
}
