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
    RECORDS_READ Counter "forebay_records_read_total" ["source"] "records read from the log of a source"
    RECORD_BYTES_READ Counter "forebay_record_bytes_read_total" ["source"] "bytes of the records read from the log of a source"
    EVENTS_ACCEPTED Counter "forebay_events_accepted_total" ["source"] "events accepted and committed. This and the other event counts of a source begin when the data folder is created"
    EVENTS_LATE Counter "forebay_events_late_total" ["source"] "late events that were accepted: their event time was behind the frontier of their partition"
    EVENTS_RETRACTED Counter "forebay_events_retracted_total" ["source"] "events deleted by a retraction of their source"
    EVENTS_REJECTED Counter "forebay_events_rejected_total" ["source" "reason"] "records sent to the dead-letter topic"
    EVENTS_DUPLICATE Counter "forebay_events_duplicate_total" ["source"] "duplicate events, found by dedup by"
    EVENTS_WITHOUT_KEY Counter "forebay_events_without_key_total" ["view"] "events that a view skipped because a key column was null"
    LATENESS_MAX Gauge "forebay_lateness_max_seconds" ["source" "outcome"] "longest time that an event was behind the frontier of its partition, for accepted events and for events that were too late"
    LATENESS_WANTED Gauge "forebay_lateness_wanted_seconds" ["source" "share"] "lateness that would have accepted this share of the events that were too late"
    LOG_ERRORS Counter "forebay_log_errors_total" ["source"] "errors of the log of a source, such as an unreachable or unreadable log"
    // What waits.
    LAG_RECORDS Gauge "forebay_lag_records" ["source"] "records in the log that lookups do not see yet"
    STALENESS Gauge "forebay_staleness_seconds" ["source"] "time by which the highest event time of a source is behind the clock"
    UNAPPLIED_EVENTS Gauge "forebay_unapplied_events" [] "events that are committed and not yet applied"
    UNSCORED_EVENTS Gauge "forebay_unscored_events" [] "committed events whose predictions are not committed yet"
    OUTBOX_RECORDS Gauge "forebay_outbox_records" [] "output records in the outbox, committed and not yet published"
    OUTBOX_BYTES Gauge "forebay_outbox_bytes" [] "bytes of the output records in the outbox. Reading pauses while the outbox is larger than the setting outbox_max"
    INTAKE_BYTES Gauge "forebay_intake_bytes" [] "memory of the records between their log and the state, bounded by the setting intake_memory"
    OFFLINE_PENDING Gauge "forebay_offline_pending_events" [] "committed events that are not in Parquet yet"
    // Commits and state.
    COMMITS Counter "forebay_commits_total" [] "durable commits"
    COMMIT_SECONDS Histogram "forebay_commit_seconds" [] "duration of one durable commit"
    APPLY_SECONDS Histogram "forebay_apply_seconds" [] "time from the commit of a batch until all shards have applied the batch"
    COMMITTED_SEQ Gauge "forebay_committed_seq" [] "the last committed seq"
    STATE_BYTES Gauge "forebay_state_bytes" ["shard"] "approximate memory of key states"
    STATE_KEYS Gauge "forebay_state_keys" ["shard"] "key states in memory"
    STATE_LOADS Counter "forebay_state_loads_total" [] "key states read from the store because they were not in memory"
    STATE_FLUSHES Counter "forebay_state_flushed_rows_total" [] "key states written to the store after the commits of their events"
    // Answers.
    LOOKUP_SECONDS Histogram "forebay_lookup_seconds" ["vector"] "time of one lookup in the engine, without the time spent waiting for positions"
    LOOKUP_ROWS Counter "forebay_lookup_rows_total" ["vector"] "rows of all lookups"
    LOOKUP_ERRORS Counter "forebay_lookup_errors_total" ["vector" "code"] "lookups that were refused or failed. The vector label is unknown for a vector that is not declared"
    SCORE_ERRORS Counter "forebay_score_errors_total" ["model" "code"] "score requests that were refused or failed. The model label is unknown for a model that is not declared"
    HTTP_REQUESTS Counter "forebay_http_requests_total" ["route" "status"] "responses over HTTP. The route label is unknown for a route that does not exist"
    HTTP_ERRORS Counter "forebay_http_errors_total" ["route" "code"] "refused and failed requests by the error code of the response"
    HTTP_SECONDS Histogram "forebay_http_request_seconds" ["route"] "time from a complete request until the response is ready to be sent. The time in which a slow body arrives is excluded"
    HTTP_CONNECTIONS Gauge "forebay_http_connections" [] "open HTTP connections, at most the setting connections_max"
    HTTP_IN_FLIGHT Gauge "forebay_http_requests_in_flight" [] "requests that are being answered. A request whose body has not arrived yet is not counted"
    LONG_REQUESTS Gauge "forebay_long_requests" ["state"] "long lookups, scores and bodies that run or wait for a thread. The setting long_lookups_max limits the sum of both"
    LONG_REQUESTS_DONE Counter "forebay_long_requests_done_total" [] "long lookups, scores and bodies that were completed"
    WAITING_LOOKUPS Gauge "forebay_waiting_lookups" [] "lookups that wait for the positions of their after, at most the setting waiting_lookups_max"
    // Models.
    PREDICTIONS Counter "forebay_predictions_total" ["model" "outcome"] "predictions for events of a source, scored or failed"
    MODEL_SECONDS Histogram "forebay_model_row_seconds" ["model"] "time of one run of a model over rows of a source, divided by the number of rows"
    OUTPUTS_PUBLISHED Counter "forebay_outputs_published_total" ["topic"] "output records published"
    DRIFT Gauge "forebay_drift_ratio" ["model" "column" "metric"] "drift of the last finished interval: psi, ks or missing_rate"
    DRIFT_ALERTS Counter "forebay_drift_alerts_total" ["model"] "intervals that breached an alert that the model declares"
    DRIFT_LATE_ROWS Counter "forebay_drift_late_rows_total" ["model"] "scored rows that no drift report counts, because their interval was no longer kept"
    // Disk.
    OFFLINE_EVENTS Counter "forebay_offline_events_total" ["source"] "events written to Parquet"
    OFFLINE_ERRORS Counter "forebay_offline_errors_total" [] "failed attempts to write events to Parquet. The pending events stay in the store and are written later"
    TIDIED Gauge "forebay_tidied_timestamp_seconds" [] "time at which small Parquet files were last joined and retention was last applied, in seconds since 1970. Before the first time, the start of the engine"
    DATA_BYTES Gauge "forebay_data_bytes" ["part"] "bytes of each part of the data folder: log, online, offline"
    TOPIC_BYTES Gauge "forebay_topic_bytes" ["topic"] "stored bytes of a topic of the embedded log"
    TOPIC_RECORDS Gauge "forebay_topic_records" ["topic"] "stored records of a topic of the embedded log"
    VIEW_BYTES Gauge "forebay_view_bytes" ["view"] "approximate bytes of the state of a view on disk, at most one minute old"
    CHECKPOINT_TIME Gauge "forebay_checkpoint_timestamp_seconds" [] "time of the newest scheduled checkpoint, in seconds since 1970. Absent before the first checkpoint"
    DISK_FREE Gauge "forebay_disk_free_bytes" [] "free bytes that the file system of the data folder has left for this user"
    DISK_SIZE Gauge "forebay_disk_size_bytes" [] "size in bytes of the file system of the data folder"
    // Condition.
    READY Gauge "forebay_ready" [] "1 while the server is ready for lookups, otherwise 0"
    PROBLEMS Gauge "forebay_problems" ["kind"] "current problems, as the status lists them"
    EVENT_TIME_AHEAD Gauge "forebay_event_time_ahead_seconds" ["source"] "latest event time of the last batch minus the clock. A value above 0 is an event time in the future"
    CLOCK_STEP Gauge "forebay_clock_step_seconds" [] "time by which the clock was set in the last hour, or by which the clock was before the last commit at the start. A value below 0 is a step back"
    CLOCK_STEPS Counter "forebay_clock_steps_total" ["direction"] "steps of the clock by more than five seconds while this process ran, ahead or back"
    BUILD_INFO Gauge "forebay_build_info" ["version" "commit" "profile"] "always 1. The labels identify the running program"
    PROCESS_START Gauge "process_start_time_seconds" [] "start time of the process, in seconds since 1970"
    PROCESS_MEMORY Gauge "process_resident_memory_bytes" [] "resident memory of the process"
    PROCESS_CPU Seconds "process_cpu_seconds_total" [] "user and system cpu time of the process"
    PROCESS_FILES Gauge "process_open_fds" [] "open files and sockets of the process"
    PROCESS_FILES_MAX Gauge "process_max_fds" [] "maximum number of files and sockets that the process may have open"
}
