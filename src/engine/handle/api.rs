//! The requests and answers of the engine. Domain types; must never contain a wire type.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::id::{Offset, Partition, Seq};
use crate::model::Given;
use crate::online::Ledger;
use crate::plan::{Field, Vector};
use crate::time::{EventTime, Span};
use crate::value::{DataType, Value};
use crate::vector::Rows;

/// Asks for one vector of some rows, all at one cut.
#[derive(Clone, Debug, Default)]
pub struct LookupRequest {
    /// The place of the vector among those of the plan.
    pub vector: usize,
    pub rows: Vec<LookupRow>,
    /// The query time; `None` is now.
    pub as_of: Option<EventTime>,
    /// Waits until these sources are applied up to before these offsets: what a push returned.
    pub after: Vec<(String, Partition, Offset)>,
    /// How long to wait for `after`; past it the answer is an `Unavailable` error.
    pub wait: Duration,
}

/// One row. Whoever makes it has checked the values against the vector: `LookupRow::named` does, and so do protocols.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookupRow {
    /// One value for each of the vector's keys, in their order.
    pub keys: Vec<Value>,
    /// One for each of the vector's request columns, in their order. `None` stands for the query time if the column is the event
    /// time of the vector's source, else for the value of the key of that name, else for null.
    pub request: Vec<Option<Value>>,
}

impl LookupRow {
    /// A row of values by name.
    ///
    /// # Errors
    /// `Input` for a missing key, a name that the vector does not have, and a value of another type.
    pub fn named(vector: &Vector, keys: &[(String, Value)], request: &[(String, Value)]) -> Result<Self> {
        known(vector, "key", keys, vector.keys.iter())?;
        known(vector, "request column", request, vector.request.iter().map(|request| &request.field))?;
        let of = |given: &[(String, Value)], field: &Field| {
            let value = given.iter().find(|(name, _)| *name == field.name).map(|(_, value)| value);
            value.map(|value| typed(vector, field, value).map(|()| value.clone())).transpose()
        };
        let key =
            |field| of(keys, field)?.ok_or_else(|| Error::input(format!("vector {}: the key {} is missing", vector.name, field.name)));
        let keys = vector.keys.iter().map(key).collect::<Result<_>>()?;
        let request = vector.request.iter().map(|column| of(request, &column.field)).collect::<Result<_>>()?;
        Ok(Self { keys, request })
    }
}

/// Refuses names that the vector does not have.
fn known<'a>(vector: &Vector, kind: &str, given: &[(String, Value)], fields: impl Iterator<Item = &'a Field> + Clone) -> Result<()> {
    match given.iter().find(|(name, _)| fields.clone().all(|field| field.name != *name)) {
        Some((name, _)) => {
            let known: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
            Err(Error::input(format!("vector {} has no {kind} {name}; it has: {}", vector.name, known.join(", "))))
        }
        None => Ok(()),
    }
}

fn typed(vector: &Vector, field: &Field, value: &Value) -> Result<()> {
    if is_of(&field.data_type, value) {
        return Ok(());
    }
    Err(Error::input(format!("vector {}: {} is {}, which this value is not", vector.name, field.name, field.data_type)))
}

/// Whether a value may stand in a column of that type.
pub(in crate::engine) fn is_of(data_type: &DataType, value: &Value) -> bool {
    matches!(
        (data_type, value),
        (_, Value::Null)
            | (DataType::Bool, Value::Bool(_))
            | (DataType::Int, Value::Int(_))
            | (DataType::Float, Value::Float(_))
            | (DataType::Text, Value::Text(_))
            | (DataType::Timestamp, Value::Timestamp(_))
            | (DataType::List(_), Value::List(_))
            | (DataType::Map(_), Value::Map(_))
            | (DataType::Struct(_), Value::Struct(_))
    )
}

#[derive(Clone, Debug)]
pub struct LookupAnswer {
    /// The vector of each row asked for, in order.
    pub rows: Rows,
    /// By their places, the rows that could not be read, and why: what `rows` holds of them means nothing. Never all of them.
    pub unread: BTreeMap<usize, Error>,
    /// The cut: every event up to this one is in, and none after it.
    pub seq: Seq,
    pub as_of: EventTime,
    /// One for each source behind the vector.
    pub sources: Vec<Freshness>,
}

/// A position of `after` that can never come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// Which of them.
    pub index: usize,
    /// `source`, `partition` or `offset`.
    pub part: &'static str,
    pub message: String,
}

/// Whether lookups may be sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    pub ready: bool,
    /// `restoring`, `catching_up`, `caught_up`, `damaged` or `failed`; of a server that was asked to stop, `stopping`.
    pub state: &'static str,
    /// What ended the engine, or what is damaged.
    pub problem: Option<String>,
    /// Sources of which not all is applied that their logs held at the start.
    pub waiting: Vec<Waiting>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub source: String,
    /// `None` while the log was not reached yet.
    pub records: Option<u64>,
}

/// How far a source has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    pub source: String,
    /// The lowest of its partitions' frontiers; `None` before its first event.
    pub frontier: Option<EventTime>,
    /// Milliseconds from the frontier to the engine's present; never negative.
    pub staleness_ms: Option<i64>,
    /// Records of its log that are not applied, as last known.
    pub records_behind: u64,
}

#[derive(Clone, Debug)]
pub struct ScoreAnswer {
    /// One per row, or why it has none.
    pub scores: Vec<Result<Given>>,
    /// SHA-256 of the model file, hexadecimal.
    pub model_version: String,
    pub lookup: LookupAnswer,
}

impl ScoreAnswer {
    /// # Errors
    /// Why the first row has no score, when no row has one.
    pub fn new(scores: Vec<Result<Given>>, model_version: String, lookup: LookupAnswer) -> Result<Self> {
        match scores.first() {
            Some(Err(error)) if scores.iter().all(Result::is_err) => Err(match scores.len() {
                1 => error.clone(),
                rows => error.clone().context(format_args!("none of {rows} rows could be scored, the first because")),
            }),
            _ => Ok(Self { scores, model_version, lookup }),
        }
    }
}

/// What became of pushed records: all are in the source's log, durably.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushReceipt {
    /// Records that decode as events of the source. The engine may still find them late or duplicate.
    pub accepted: u64,
    /// Records that will be dead-lettered.
    pub rejected: u64,
    /// The first few rejects: index in what was pushed, and why.
    pub rejects: Vec<(usize, String)>,
    /// For each partition written, the offset after the last record: what a lookup's `after` takes.
    pub positions: Vec<(Partition, Offset)>,
    /// Of the accepted ones those that the engine will set aside as too late, as far as that is known by what it has applied.
    pub too_late: TooLate,
    /// What is probably not meant.
    pub warnings: Vec<String>,
}

/// Events that are further behind their partition's frontier than `lateness`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TooLate {
    pub events: u64,
    /// How far the furthest is behind.
    pub behind: Span,
}

impl TooLate {
    pub fn record(&mut self, behind: Span) {
        self.events += 1;
        self.behind = self.behind.max(behind);
    }

    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.behind = self.behind.max(other.behind);
    }
}

/// How far a source has come, and what became of its records since the data folder began.
#[derive(Clone, Debug)]
pub struct SourceReport {
    pub freshness: Freshness,
    /// As declared.
    pub lateness: Span,
    pub ledger: Ledger,
}

/// The engine's condition.
#[derive(Clone, Debug)]
pub struct Status {
    /// The last commit.
    pub seq: Seq,
    /// Records in the logs that are not committed yet, as last known.
    pub lag_events: u64,
    pub sources: Vec<Freshness>,
    /// What does not work now, such as an unreachable broker or a model that does not load.
    pub problems: Vec<String>,
}
