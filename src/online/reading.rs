//! What each source was when its records were read. A start compares it with today's declaration. Committed with the progress.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::Identity;
use crate::record::{LastRead, System};
use crate::time::Span;

/// How the records of one source were read so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub log: System,
    /// Offsets, and so the places of all events, are of this topic.
    pub topic: String,
    /// The column that frontiers are of.
    pub event_time: String,
    /// The columns of `dedup by`; none where it is not declared.
    pub dedup: Vec<String>,
    /// How far behind the frontier ids are kept.
    pub ids_kept: Span,
    /// Of a table: what was taken of its files, one for each choice of columns, key and time.
    pub taken: BTreeSet<Identity>,
    pub partitions: BTreeMap<u32, PartitionReading>,
}

/// How the records of one partition were read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReading {
    pub last: Option<LastRead>,
    /// Ids of events up to this time, microseconds, may not be stored: a start learns them from the events.
    pub unlearnt: Option<i64>,
}
