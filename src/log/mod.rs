//! Logs of records: the sources and sinks of everything the engine does. One module per system, all behind
//! `Topics`, `LogReader` and `Sink` of `record`. Must never look into a payload, and must never skip a record silently.

pub mod embedded;
pub mod kafka;
