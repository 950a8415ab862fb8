//! Identities: hashes of normalised meanings. Each is made of the parts that change values or what is stored, and of
//! nothing else: not of files, formatting, the order of declarations, or (but for sources, whose events are stored under
//! it, and views, whose rows are) names. The texts that are hashed must never change, or every state is rebuilt.

use std::fmt::Write;

use super::{Dedup, Field, Origin, Window, WindowBounds};
use crate::aggregate::MapLimit;
use crate::id::Identity;
use crate::time::Span;
use crate::value::{DataType, Value};

/// Collects named parts; lengths keep parts from running into one another.
struct Meaning(String);

impl Meaning {
    fn of(kind: &str) -> Self {
        Self(format!("forebay {kind} 1"))
    }

    fn part(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let value = value.to_string();
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\n{name} {}:{value}", value.len());
        self
    }

    fn identity(&self) -> Identity {
        Identity::of(&self.0)
    }
}

/// Of what stored events mean: name, topic, event time, what dropped duplicates and what retracts events. Columns come and
/// go, and later bounds on lateness, expectations and units of times do not change what was accepted.
pub(crate) fn source(
    name: &str,
    origin: &Origin,
    event_time: &Field,
    dedup: Option<&Dedup>,
    deletes: Option<&str>,
    tombstones: bool,
    fields: &[Field],
) -> Identity {
    let mut meaning =
        Meaning::of("source").part("name", name).part(origin.system.name(), &origin.topic).part("event time", &event_time.name);
    for column in dedup.iter().flat_map(|dedup| &dedup.columns) {
        meaning = meaning.part("dedup", &fields[*column].name);
    }
    if let Some(dedup) = dedup {
        meaning = meaning.part("within", dedup.within.0);
    }
    if let Some(deletes) = deletes {
        meaning = meaning.part("deletes", deletes);
    }
    if tombstones {
        meaning = meaning.part("deletes on", "tombstone");
    }
    meaning.identity()
}

/// What identifies one `select` of a stream: what it reads, the name and meaning of each column, and the filter's meaning.
pub(crate) struct Select {
    pub from: Identity,
    pub columns: Vec<(String, String)>,
    pub filter: Option<String>,
}

/// Of the rows of a stream; its name is not.
pub(crate) fn stream(selects: &[Select]) -> Identity {
    let mut meaning = Meaning::of("stream");
    for select in selects {
        meaning = meaning.part("from", select.from);
        for (name, column) in &select.columns {
            meaning = meaning.part("name", name).part("column", column);
        }
        meaning = meaning.part("filter", select.filter.as_deref().unwrap_or_default());
    }
    meaning.identity()
}

/// Of what a view's keys are, its name apart.
pub(crate) fn keys(source: Identity, columns: &[Field], entity: &str, ttl: Option<Span>) -> Identity {
    let mut meaning = Meaning::of("keys").part("source", source).part("entity", entity);
    for column in columns {
        meaning = meaning.part("key", format!("{} {}", column.name, column.data_type));
    }
    meaning.part("ttl", ttl.map_or(0, |ttl| ttl.0)).identity()
}

/// Of a view's state rows: its keys and its name, since two views may have the same keys.
pub(crate) fn view(keys: Identity, name: &str) -> Identity {
    Meaning::of("view").part("keys", keys).part("name", name).identity()
}

/// Of an aggregate, the meanings of its inputs, and that of its filter.
pub(crate) fn fold(aggregate: &str, inputs: &[String], filter: Option<&str>) -> Identity {
    let mut meaning = Meaning::of("fold").part("aggregate", aggregate);
    for input in inputs {
        meaning = meaning.part("input", input);
    }
    meaning.part("filter", filter.unwrap_or_default()).identity()
}

/// Of everything that makes a feature's values; its name is not.
pub(crate) fn feature(
    keys: Identity,
    fold: Identity,
    window: &Window,
    keep: MapLimit,
    default: Option<&Value>,
    data_type: &DataType,
) -> Identity {
    let frame = match &window.frame {
        WindowBounds::Range { length, open } => format!("{} {open}", length.0),
        WindowBounds::Hop { length, hop } => format!("hop {} {}", length.0, hop.0),
        WindowBounds::Calendar { unit, zone } => format!("calendar {} {}", unit.name(), zone.name()),
        WindowBounds::Last { unit, zone } => format!("last {} {}", unit.name(), zone.name()),
        WindowBounds::Session { gap } => format!("session {}", gap.0),
        WindowBounds::All => "0 false".to_owned(),
    };
    let limit = window.limit.map(|rows| format!(" limit {rows}")).unwrap_or_default();
    let window = format!("{frame} {} {} {}{limit}", window.before, window.excluding_current, window.offset.0);
    let default = default.map_or_else(String::new, literal);
    let meaning = Meaning::of("feature")
        .part("keys", keys)
        .part("fold", fold)
        .part("window", window)
        .part("default", default)
        .part("type", data_type);
    match data_type {
        DataType::Map(_) => meaning.part("keep", keep).identity(),
        _ => meaning.identity(),
    }
}

/// Of an expression over features, in which identities stand for their names; its name is not.
pub(crate) fn derived(expression: &str, default: Option<&Value>, data_type: &DataType) -> Identity {
    Meaning::of("derived feature")
        .part("expression", expression)
        .part("default", default.map_or_else(String::new, literal))
        .part("type", data_type)
        .identity()
}

/// Of the vector's columns: name, meaning and default of each, in order, and of the source it is on.
pub(crate) fn vector(on: Option<Identity>, columns: &[(String, String, Option<Value>)]) -> Identity {
    let mut meaning = Meaning::of("vector").part("on", on.map_or_else(String::new, |on| on.to_string()));
    for (name, column, default) in columns {
        meaning = meaning.part("name", name).part("column", column).part("default", default.as_ref().map_or_else(String::new, literal));
    }
    meaning.identity()
}

/// A value with its type, exactly.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("boolean {value}"),
        Value::Int(value) => format!("bigint {value}"),
        Value::Float(value) => format!("double {:016x}", value.to_bits()),
        Value::Text(value) => format!("text {value}"),
        Value::Timestamp(value) => format!("timestamp {value}"),
        Value::List(items) => format!("list {:?}", items.iter().map(literal).collect::<Vec<_>>()),
        Value::Struct(entries) => format!("struct {:?}", entries.iter().map(|(name, value)| (name, literal(value))).collect::<Vec<_>>()),
        Value::Map(entries) => format!("map {:?}", entries.iter().map(|(key, value)| (key, literal(value))).collect::<Vec<_>>()),
    }
}
