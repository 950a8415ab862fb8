//! Forebay: a streaming feature store and online scoring engine in one binary.
//!
//! Records come in from logs, become events, fold into the state of entity keys, and are read as feature vectors:
//! by the scorer at an event's own place in the order, by lookups at one cut, by training sets at any time. The
//! rooms below are listed from vocabulary to assembly; each may use only rooms above it (`docs/ARCHITECTURE.md`).

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// What the binaries allocate from.
pub mod allocator;
mod background;

// How many files they may have open.
mod files;

mod failpoint;

// Vocabulary.
mod codec;
mod copying;
mod error;
mod event;
mod id;
mod json;
mod key;
mod mark;
mod never;
mod record;
mod time;
mod value;

// Pure computation.
pub mod aggregate;
pub mod drift;
pub mod window;

// The language and what it means.
pub mod language;
pub mod plan;

// Still pure: from records to events, from state and request to a vector.
pub mod decode;
pub mod vector;

// Adapters: one outside system each.
pub mod log;
pub mod model;
pub mod offline;
pub mod online;

// Assembly.
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod engine;
pub mod folder;
pub mod integrity;
pub mod proof;
pub mod serve;
pub mod telemetry;
pub mod training;

// Made-up payments for the demo, benchmarks and training.
pub mod demo;

pub use error::{Error, ErrorKind, Result};
pub use event::EventBatch;
pub use id::{Identity, Offset, Partition, Places, Position, Seq};
pub use key::{EntityKey, SLOTS, Slot};
pub use record::{LogReader, NewRecord, RecordEntry, RecordRun, Sink};
pub use time::{Clock, EventTime, IngestTime, Span};
pub use value::{DataType, Value};
