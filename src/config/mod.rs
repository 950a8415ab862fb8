//! Settings: defaults, then `forebay.toml`, then `FOREBAY_*`, then flags; each remembers where it came from.
//! Must never read the environment or the command line itself: both are handed in.

mod keys;
mod layers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::record::Retention;

pub use keys::{KEYS, Key, bytes};
pub use layers::{Layers, Origin, Setting};

/// All settings in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of everything that the engine stores.
    pub data: PathBuf,
    /// The folder of the definitions (`*.bay`).
    pub features: PathBuf,
    /// Where HTTP is served. Loopback unless set otherwise.
    pub listen: SocketAddr,
    pub output: Output,
    /// What is logged to standard error: a level or directives.
    pub log: String,
    pub log_json: bool,
    pub kafka: Kafka,
    /// How long a commit may wait for more events.
    pub commit_interval: Duration,
    /// The most events of one batch.
    pub batch_events_max: usize,
    /// Threads that hold state; 0 takes one per core.
    pub shards: usize,
    /// What key states may take in memory, approximately.
    pub state_memory_bytes: u64,
    /// How often changed state is written behind the commits.
    pub flush_interval: Duration,
    /// How often committed events are written to Parquet.
    pub offline_interval: Duration,
    /// What records may take in memory from their log to the state, approximately.
    pub intake_bytes: u64,
    /// What may wait on disk for its topic before reading waits.
    pub outbox_bytes_max: u64,
    /// What the embedded log keeps.
    pub retention: Retentions,
    /// The largest body of a request.
    pub request_bytes_max: u64,
    pub ready_when: ReadyWhen,
    /// Long lookups that may be in work or wait for it.
    pub long_lookups_max: usize,
    /// Lookups that may wait for positions.
    pub waiting_lookups_max: usize,
    /// What the bodies of all requests in flight may take.
    pub bodies_bytes_max: u64,
    /// The most records of one push over HTTP.
    pub records_max: usize,
    pub connections_max: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    /// How long the port stays open once readiness is gone, when stopping.
    pub shutdown_delay: Duration,
    pub checkpoint: Checkpoint,
    /// How an object store is reached: `[s3]` in the file over the variables `AWS_*`, by the names of these in lower case and
    /// without that prefix.
    pub s3: BTreeMap<String, String>,
    /// What `push` may hold of a file to sort it.
    pub sort_memory_bytes: u64,
    /// All settings as text, with their origins, in the order of `KEYS`.
    pub settings: Vec<Setting>,
}

/// How Kafka is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// Passed on to librdkafka as they are: `[kafka.options]` in the file.
    pub options: BTreeMap<String, String>,
}

/// When a server says that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyWhen {
    /// What the logs held at the start is applied.
    CaughtUp,
    /// State is restored as of the last commit.
    Restored,
}

/// Copies of the data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// A folder or `s3://bucket/prefix`; empty where none is set.
    pub to: String,
    /// How often a running server makes one; `None` is never.
    pub every: Option<Duration>,
    /// How many of these stay.
    pub keep: usize,
    /// How long a step of an object store is tried again.
    pub patience: Duration,
}

/// What the embedded log keeps of each partition, by what a topic is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retentions {
    pub sources: Retention,
    pub predictions: Retention,
    pub drift: Retention,
    pub dead_letters: Retention,
    /// `[retention.topics]` in the file: by a topic's name, in which `*` stands for anything. Over all others.
    pub topics: BTreeMap<String, Retention>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
}
