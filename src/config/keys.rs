//! The list of settings, and how their texts are read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Output, ReadyWhen};
use crate::error::{Error, Result};
use crate::record::Retention;
use crate::time::Span;

/// A setting: its key in `forebay.toml`, default and help.
#[derive(Debug)]
pub struct Key {
    /// `kafka.bootstrap` is `bootstrap` in the table `[kafka]`.
    pub name: &'static str,
    pub default: &'static str,
    pub help: &'static str,
    /// A path: relative ones of the file are of the file's folder.
    pub is_path: bool,
}

impl Key {
    /// The variable of the environment: `FOREBAY_KAFKA_BOOTSTRAP`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("FOREBAY_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

const fn key(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, default, help, is_path: false }
}

const fn path(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, default, help, is_path: true }
}

/// Every setting.
pub const KEYS: &[Key] = &[
    path("data", "data", "folder that holds all stored data"),
    path("features", "features", "folder of the definition files (*.bay)"),
    key("listen", "127.0.0.1:8090", "address and port of the HTTP server"),
    key("output", "table", "format of printed results: table, json or ndjson"),
    key("log", "info", "log level, or log directives"),
    key("log_json", "false", "true writes log lines as JSON"),
    key("kafka.bootstrap", "127.0.0.1:9092", "Kafka brokers, separated by commas"),
    key("commit_interval", "10ms", "longest time that a commit waits for more events"),
    key("batch_events_max", "16384", "maximum number of events in one batch"),
    key("shards", "0", "number of threads that hold state; 0 means one per core"),
    key("state_memory", "1GiB", "approximate limit of the memory for key states"),
    key("flush_interval", "1s", "interval at which changed state is written"),
    key("offline_interval", "2s", "interval at which events are written to Parquet"),
    key("intake_memory", "256MiB", "memory for records between their log and the state"),
    key("outbox_max", "1GiB", "bytes of the outbox on disk above which reading pauses"),
    key("retention.sources", "forever", "what the embedded log keeps of each partition of a source"),
    key("retention.predictions", "forever", "what the embedded log keeps of each partition of predictions"),
    key("retention.drift", "forever", "what the embedded log keeps of each partition of drift reports"),
    key("retention.dead_letters", "30d 1GiB", "what the embedded log keeps of each partition of dead letters"),
    key("request_max", "64MiB", "maximum size of a request body"),
    key("ready_when", "caught_up", "when ready: caught_up (log contents at the start applied), or restored"),
    key("long_lookups_max", "64", "maximum number of long lookups that run or wait for a thread"),
    key("waiting_lookups_max", "1000", "maximum number of lookups that wait for positions (after)"),
    key("bodies_max", "256MiB", "memory for the bodies of all requests in progress"),
    key("records_max", "1000000", "maximum number of records in one push over HTTP"),
    key("connections_max", "1024", "maximum number of HTTP connections"),
    key("header_timeout", "10s", "time limit for receiving the head of a request"),
    key("body_timeout", "1m", "time limit for a request body, and for a client that does not read"),
    key("idle_timeout", "2m", "time that a connection may wait for its next request"),
    key("shutdown_delay", "0s", "time from the end of readiness until the port closes, when stopping"),
    key("checkpoint_to", "", "place of the checkpoints: a folder or s3://bucket/prefix"),
    key("checkpoint_every", "never", "interval at which a running server makes a checkpoint"),
    key("checkpoint_keep", "7", "number of newest checkpoints that a running server keeps"),
    key("checkpoint_patience", "1m", "time for which a step of an object store is retried"),
    key("sort_memory", "1GiB", "memory for a file that push sorts by event time"),
];

/// What is taken of the variables `AWS_*`: how to reach an object store, and as whom.
pub const S3: &[&str] = &[
    "access_key_id",
    "secret_access_key",
    "session_token",
    "region",
    "default_region",
    "endpoint_url",
    "endpoint_url_s3",
    "endpoint",
    "allow_http",
    "role_arn",
    "role_session_name",
    "web_identity_token_file",
    "endpoint_url_sts",
    "container_credentials_relative_uri",
    "container_credentials_full_uri",
    "container_authorization_token_file",
    "virtual_hosted_style_request",
    "server_side_encryption",
    "sse_kms_key_id",
];

/// Reads `512MB`, `64 MiB`, `1GiB` or plain bytes.
pub fn bytes(text: &str) -> Result<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor: Option<u64> = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "kib" | "k" => Some(1 << 10),
        "mib" | "m" => Some(1 << 20),
        "gib" | "g" => Some(1 << 30),
        _ => None,
    };
    let number = text[..digits].parse::<u64>().ok();
    number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor)).ok_or_else(|| expected("a size such as 512MiB", text))
}

/// Reads `10ms`, `2 seconds`.
pub fn duration(text: &str) -> Result<Duration> {
    let span = Span::parse(text).ok_or_else(|| expected("a time such as 10ms or 2s", text))?;
    Ok(Duration::from_micros(span.0.unsigned_abs()))
}

/// Reads `6 hours` or `never`.
pub fn interval(text: &str) -> Result<Option<Duration>> {
    match text {
        "never" => Ok(None),
        _ => match duration(text) {
            Ok(every) if every >= Duration::from_secs(1) => Ok(Some(every)),
            _ => Err(expected("a time of at least 1s such as 6h, or never", text)),
        },
    }
}

/// Reads a time in which something can happen.
pub fn timeout(text: &str) -> Result<Duration> {
    duration(text).and_then(|time| if time.is_zero() { Err(expected("a time longer than none", text)) } else { Ok(time) })
}

/// Reads `forever`, `7 days`, `1GiB`, or both such as `30d 1GiB`.
pub fn retention(text: &str) -> Result<Retention> {
    let wrong = || expected("forever, a time, a size, or both, such as 30d 1GiB", text);
    if text.trim() == "forever" {
        return Ok(Retention::FOREVER);
    }
    if let Some(age) = Span::parse(text) {
        return Ok(Retention { age: Some(age), bytes: None });
    }
    // A number alone may be meant as days as well.
    let size = |text: &str| bytes(text).ok().filter(|_| !text.trim().bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(bytes) = size(text) {
        return Ok(Retention { age: None, bytes: Some(bytes) });
    }
    let both = |at: usize| Some((Span::parse(&text[..at])?, size(&text[at + 1..])?));
    let (age, size) = text.match_indices([' ', ',']).find_map(|(at, _)| both(at)).ok_or_else(wrong)?;
    Ok(Retention { age: Some(age), bytes: Some(size) })
}

pub fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| expected("a whole number", text))
}

pub fn boolean(text: &str) -> Result<bool> {
    text.parse().map_err(|_| expected("true or false", text))
}

pub fn output(text: &str) -> Result<Output> {
    match text {
        "table" => Ok(Output::Table),
        "json" => Ok(Output::Json),
        "ndjson" => Ok(Output::Ndjson),
        _ => Err(expected("table, json or ndjson", text)),
    }
}

pub fn ready_when(text: &str) -> Result<ReadyWhen> {
    match text {
        "caught_up" => Ok(ReadyWhen::CaughtUp),
        "restored" => Ok(ReadyWhen::Restored),
        _ => Err(expected("caught_up or restored", text)),
    }
}

/// A path of the file or a default is of `folder`; an absolute one stays as it is.
pub fn resolved(folder: &Path, text: &str) -> PathBuf {
    if folder.as_os_str().is_empty() { PathBuf::from(text) } else { folder.join(text) }
}

fn expected(what: &str, text: &str) -> Error {
    Error::input(format!("expected {what}, found '{text}'"))
}
