//! Parses the bodies of lookups and scores, checks them against the vector, and makes the request of the engine. Every fault is
//! refused with its place. Must never guess or skip anything.

use std::time::Duration;

use sonic_rs::{JsonContainerTrait, JsonType, JsonValueTrait, LazyValue, Value as Json};

use crate::decode::value;
use crate::engine::{LookupRequest, LookupRow, WAIT_MAX};
use crate::error::{Error, ErrorKind};
use crate::id::{Offset, Partition};
use crate::plan::{Field, Vector};
use crate::time::EventTime;
use crate::value::{DataType, Value};

use crate::serve::depth::{self, Shape};
use crate::serve::error::Refusal;
use crate::serve::native::exact;

/// The most rows of one request.
pub(in crate::serve) const ROWS_MAX: usize = 10_000;
/// The most positions that one waits for.
const AFTER_MAX: usize = 10_000;
/// How long a request waits for the positions of `after`, where it does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// The fields of a request.
const FIELDS: &str = "keys, request, as_of, after, wait_ms";

/// What a request without a value for a request column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Absent {
    /// Null: a lookup may be about the other columns.
    Null,
    /// A fault: a model would take the null for a value.
    Fault,
}

/// Reads the body of a lookup of `vector`, which has that place in the plan.
pub(in crate::serve) fn lookup(place: usize, vector: &Vector, body: &[u8], absent: Absent) -> Result<LookupRequest, Refusal> {
    depth::check(body, shape(vector))?;
    let json: Json = sonic_rs::from_slice(body)
        .map_err(|error| Refusal::bad("invalid_json", None, format!("the body is no json document: {}", first_line(&error.to_string()))))?;
    let object = json.as_object().ok_or_else(|| wrong_type("", "an object", &json))?;
    let mut keys = None;
    let mut request = None;
    let mut read = LookupRequest { vector: place, rows: Vec::new(), as_of: None, after: Vec::new(), wait: WAIT_DEFAULT };
    for (index, (name, value)) in object.iter().enumerate() {
        if object.iter().take(index).any(|(other, _)| other == name) {
            return Err(repeated(name.to_owned()));
        }
        match name {
            "keys" => keys = Some(array("keys", value)?),
            "request" if value.is_null() => {}
            "request" => request = Some(array("request", value)?),
            "as_of" => read.as_of = as_of(value)?,
            "after" => read.after = after(value)?,
            "wait_ms" => read.wait = wait(value)?,
            _ => {
                return Err(Refusal::bad("unknown_field", name.to_owned(), format!("a request has no field '{name}'; there are {FIELDS}")));
            }
        }
    }
    let keys = keys.ok_or_else(|| Refusal::bad("missing_field", "keys".to_owned(), "send keys: one object for each row"))?;
    if keys.len() > ROWS_MAX {
        let message = format!("{} rows are too many: send at most {ROWS_MAX} in one request", keys.len());
        return Err(Refusal::bad("too_many_rows", "keys".to_owned(), message));
    }
    let is_given = request.is_some();
    let request = request.unwrap_or(&[]);
    if is_given && request.len() != keys.len() {
        let message = format!("send as many objects in request as in keys: there are {} and {}", request.len(), keys.len());
        return Err(Refusal::bad("length_mismatch", "request".to_owned(), message));
    }
    read.rows.reserve(keys.len());
    for (row, key) in keys.iter().enumerate() {
        read.rows.push(LookupRow { keys: row_keys(vector, row, key)?, request: row_request(vector, row, request.get(row), absent)? });
    }
    if exact::has_minus_zero(body) {
        for (row, text) in read.rows.iter_mut().zip(exact::rows_of(body, "keys")) {
            restore_signs(vector.keys.iter().zip(&mut row.keys), &text);
        }
        for (row, text) in read.rows.iter_mut().zip(exact::rows_of(body, "request")) {
            let values = vector.request.iter().zip(&mut row.request);
            restore_signs(values.filter_map(|(column, value)| Some((&column.field, value.as_mut()?))), &text);
        }
    }
    Ok(read)
}

/// What a request of a vector is of at most: rows of keys and request columns, positions, and what stands around them. Lists
/// have as many elements as the body has room for.
fn shape(vector: &Vector) -> Shape {
    let fields = || vector.keys.iter().chain(vector.request.iter().map(|column| &column.field));
    let lists = fields().filter(|field| matches!(field.data_type, DataType::List(_))).count();
    let around = 3 * AFTER_MAX + 16;
    Shape {
        containers_max: ROWS_MAX * (2 + lists) + around,
        commas_max: if lists > 0 { usize::MAX } else { ROWS_MAX * (2 + fields().count()) + around },
    }
}

/// Gives zeros the signs of their texts.
fn restore_signs<'a>(values: impl Iterator<Item = (&'a Field, &'a mut Value)>, row: &LazyValue<'_>) {
    let mut zeros = values.filter(|(_, value)| exact::has_zero(value)).peekable();
    if zeros.peek().is_some()
        && let Ok(texts) = serde_json::from_str::<serde_json::Value>(row.as_raw_str())
    {
        zeros.for_each(|(field, value)| *value = exact::signed(std::mem::take(value), texts.get(&field.name)));
    }
}

/// The refusal of a lookup, with the place of what is at fault where it is the time.
pub(in crate::serve) fn placed(error: Error, as_of: Option<EventTime>, earliest: impl FnOnce() -> EventTime) -> Refusal {
    if error.kind() == ErrorKind::Input && as_of.is_some_and(|as_of| as_of < earliest()) {
        return Refusal::bad("as_of_too_old", "as_of".to_owned(), error.to_string());
    }
    error.into()
}

fn row_keys(vector: &Vector, row: usize, json: &Json) -> Result<Vec<Value>, Refusal> {
    let place = |name: &str| format!("keys[{row}].{name}");
    let object = json.as_object().ok_or_else(|| wrong_type(&format!("keys[{row}]"), "an object", json))?;
    let mut values = Vec::with_capacity(vector.keys.len());
    for key in &vector.keys {
        let value = object.get(&key.name.as_str());
        let value = value.ok_or_else(|| {
            let message = format!(
                "key '{}' ({}) is missing: vector {} is looked up by {}",
                key.name,
                key.data_type,
                vector.name,
                listed(&vector.keys)
            );
            Refusal::bad("missing_key", place(&key.name), message)
        })?;
        if value.is_null() {
            let message = format!("key '{}' is null: a null key belongs to no entity; leave the row out", key.name);
            return Err(Refusal::bad("null_key", place(&key.name), message));
        }
        values.push(typed(&key.data_type, value).ok_or_else(|| mismatch(&place(&key.name), key, value))?);
    }
    if object.len() != values.len() {
        let unknown = object.iter().find(|(name, _)| !vector.keys.iter().any(|key| key.name == *name));
        return Err(match unknown {
            Some((name, _)) => {
                let message = format!("vector {} has no key '{name}': it is looked up by {}", vector.name, listed(&vector.keys));
                Refusal::bad("unknown_field", place(name), message)
            }
            None => repeated(format!("keys[{row}]")),
        });
    }
    Ok(values)
}

fn row_request(vector: &Vector, row: usize, json: Option<&Json>, absent: Absent) -> Result<Vec<Option<Value>>, Refusal> {
    let place = |name: &str| format!("request[{row}].{name}");
    let object = match json {
        Some(json) => Some(json.as_object().ok_or_else(|| wrong_type(&format!("request[{row}]"), "an object", json))?),
        None => None,
    };
    let mut values = Vec::with_capacity(vector.request.len());
    for column in &vector.request {
        let field = &column.field;
        match object.and_then(|object| object.get(&field.name.as_str())) {
            Some(value) if value.is_null() => values.push(Some(Value::Null)),
            Some(value) => {
                values.push(Some(typed(&field.data_type, value).ok_or_else(|| mismatch(&place(&field.name), field, value))?));
            }
            // The engine puts the query time, the key of that name or null in its place.
            None if column.is_event_time || absent == Absent::Null || vector.keys.iter().any(|key| key.name == field.name) => {
                values.push(None);
            }
            None => {
                let message =
                    format!("request column '{}' ({}) is missing: send a value, or null where there is none", field.name, field.data_type);
                return Err(Refusal::bad("missing_request", place(&field.name), message));
            }
        }
    }
    let sent = object.filter(|object| object.len() != values.iter().flatten().count());
    for (name, _) in sent.into_iter().flat_map(|object| object.iter()) {
        if !vector.request.iter().any(|column| column.field.name == name) {
            let fields: Vec<_> = vector.request.iter().map(|column| column.field.clone()).collect();
            let columns = if fields.is_empty() { "none".to_owned() } else { listed(&fields) };
            let message = format!("vector {} has no request column '{name}'; there are: {columns}", vector.name);
            return Err(Refusal::bad("unknown_field", place(name), message));
        }
    }
    if sent.is_some() { Err(repeated(format!("request[{row}]"))) } else { Ok(values) }
}

/// Readers differ in which of two values they take: none is guessed.
fn repeated(place: String) -> Refusal {
    let message = format!("{place}: a name stands there twice; send each once");
    Refusal::bad("repeated_field", place, message)
}

/// A JSON value as that type, by the rules of payloads; `None` when it is not of it. Never null.
fn typed(data_type: &DataType, json: &Json) -> Option<Value> {
    if let DataType::List(item) = data_type {
        let items = json.as_array()?;
        let item_of = |json: &Json| if json.is_null() { Some(Value::Null) } else { typed(item, json) };
        return items.iter().map(item_of).collect::<Option<Vec<_>>>().map(|items| Value::List(items.into()));
    }
    let read = if let Some(flag) = json.as_bool() {
        value::boolean(flag, data_type)
    } else if let Some(text) = json.as_str() {
        value::text(text, data_type)
    } else if let Some(number) = json.as_i64() {
        value::whole(number, data_type)
    } else if let Some(number) = json.as_u64() {
        value::unsigned(number, data_type)
    } else {
        value::float(json.as_f64()?, data_type)
    };
    read.ok().map(Value::from)
}

/// RFC 3339, or microseconds since the epoch.
fn time(json: &Json) -> Option<EventTime> {
    match json.as_str() {
        Some(text) => EventTime::parse(text),
        None => json.as_i64().map(EventTime),
    }
}

fn as_of(json: &Json) -> Result<Option<EventTime>, Refusal> {
    if json.is_null() {
        return Ok(None);
    }
    time(json).map(Some).ok_or_else(|| wrong_type("as_of", "a time such as \"2026-01-31T12:00:00Z\", or microseconds since 1970", json))
}

fn after(json: &Json) -> Result<Vec<(String, Partition, Offset)>, Refusal> {
    if json.is_null() {
        return Ok(Vec::new());
    }
    let expected = "the positions that a push returned: {\"source\",\"partition\",\"offset\"}";
    let position = |(index, json): (usize, &Json)| {
        let place = |part: &str| format!("after[{index}].{part}");
        let object = json.as_object().ok_or_else(|| wrong_type(&format!("after[{index}]"), expected, json))?;
        let part = |name: &'static str| {
            let message = format!("after[{index}] has no {name}: send what a push returned");
            object.get(&name).ok_or_else(|| Refusal::bad("missing_field", place(name), message))
        };
        let (source, partition, offset) = (part("source")?, part("partition")?, part("offset")?);
        let number = |name: &str, json: &Json| json.as_u64().ok_or_else(|| wrong_type(&place(name), "a whole number from 0 on", json));
        let (partition_number, offset) = (number("partition", partition)?, number("offset", offset)?);
        let source = source.as_str().ok_or_else(|| wrong_type(&place("source"), "the name of a source", source))?;
        let number = u32::try_from(partition_number).map_err(|_| wrong_type(&place("partition"), "a number of 32 bits", partition))?;
        Ok((source.to_owned(), Partition(number), Offset(offset)))
    };
    let positions = json.as_array().ok_or_else(|| wrong_type("after", expected, json))?;
    if positions.len() > AFTER_MAX {
        let message = format!("{} positions are too many: send at most {AFTER_MAX}, the last of each partition", positions.len());
        return Err(Refusal::bad("too_many_positions", "after".to_owned(), message));
    }
    positions.iter().enumerate().map(position).collect()
}

fn wait(json: &Json) -> Result<Duration, Refusal> {
    let wait = json.as_u64().map(Duration::from_millis).filter(|wait| *wait <= WAIT_MAX);
    wait.ok_or_else(|| wrong_type("wait_ms", &format!("milliseconds from 0 to {}", WAIT_MAX.as_millis()), json))
}

fn array<'a>(name: &str, json: &'a Json) -> Result<&'a [Json], Refusal> {
    json.as_array().map(|array| array.as_slice()).ok_or_else(|| wrong_type(name, "an array of objects", json))
}

fn mismatch(place: &str, field: &Field, json: &Json) -> Refusal {
    let expected = match field.data_type {
        DataType::Int => "a whole number within 64 bits (bigint)".to_owned(),
        DataType::Timestamp => "a time such as \"2026-01-31T12:00:00Z\", or microseconds since 1970".to_owned(),
        DataType::List(ref item) => format!("an array whose every element is {item} or null"),
        ref other => format!("a value of type {other}"),
    };
    wrong_type(place, &expected, json)
}

fn wrong_type(place: &str, expected: &str, found: &Json) -> Refusal {
    let kind = match found.get_type() {
        JsonType::Null => "null",
        JsonType::Boolean => "a boolean",
        JsonType::Number => "the number",
        JsonType::String => "the text",
        JsonType::Object => "an object",
        JsonType::Array => "an array",
    };
    let shown = match found.get_type() {
        JsonType::Number | JsonType::String => format!("{kind} {}", shortened(&sonic_rs::to_string(found).unwrap_or_default())),
        _ => kind.to_owned(),
    };
    let field = (!place.is_empty()).then(|| place.to_owned());
    let of = if place.is_empty() { "the body".to_owned() } else { place.to_owned() };
    Refusal::bad("wrong_type", field, format!("{of}: expected {expected}, found {shown}"))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end_matches('.')
}

fn listed(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("{} ({})", field.name, field.data_type)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;
    use crate::id::Identity;
    use crate::plan::RequestColumn;

    fn vector() -> Vector {
        let field = |name: &str, data_type| Field { name: name.to_owned(), data_type };
        let column =
            |name: &str, data_type, is_event_time| RequestColumn { field: field(name, data_type), source_column: None, is_event_time };
        Vector {
            name: "fraud".to_owned(),
            id: Identity::default(),
            on: None,
            keys: vec![field("user_id", DataType::Int), field("merchant_id", DataType::Text)],
            key_columns: Vec::new(),
            request: vec![column("amount", DataType::Float, false), column("event_time", DataType::Timestamp, true)],
            reads: Vec::new(),
            frame: Arc::new(Schema::empty()),
            columns: Vec::new(),
            schema: Arc::new(Schema::empty()),
        }
    }

    fn read(body: &str) -> Result<LookupRequest, Refusal> {
        lookup(0, &vector(), body.as_bytes(), Absent::Null)
    }

    /// The code and the field of a refusal.
    fn refused(body: &str) -> (&'static str, String) {
        let refusal = read(body).unwrap_err();
        assert!(!refusal.message.is_empty());
        (refusal.code, refusal.field.unwrap_or_default())
    }

    #[test]
    fn a_whole_request_is_read_exactly() {
        let body = r#"{"keys":[{"merchant_id":"m\"1","user_id":9007199254740993}],"request":[{"amount":12,"event_time":"2026-01-31T12:00:00Z"}],
            "as_of":1500000,"after":[{"source":"payments","partition":2,"offset":7}],"wait_ms":20}"#;
        let read = read(body).unwrap();
        let row = &read.rows[0];
        assert_eq!(row.keys, [Value::Int(9_007_199_254_740_993), Value::Text("m\"1".into())]);
        assert_eq!(row.request, [Some(Value::Float(12.0)), Some(Value::Timestamp(1_769_860_800_000_000))]);
        assert_eq!(read.as_of, Some(EventTime(1_500_000)));
        assert_eq!(read.after, [("payments".to_owned(), Partition(2), Offset(7))]);
        assert_eq!(read.wait, Duration::from_millis(20));
    }

    #[test]
    fn what_is_absent_is_null_for_a_lookup_and_a_fault_for_a_score() {
        let body = r#"{"keys":[{"user_id":1,"merchant_id":"a"}]}"#;
        assert_eq!(read(body).unwrap().rows[0].request, [None, None]);
        let refusal = lookup(0, &vector(), body.as_bytes(), Absent::Fault).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_deref()), ("missing_request", Some("request[0].amount")));
        let given = r#"{"keys":[{"user_id":1,"merchant_id":"a"}],"request":[{"amount":"NaN"}]}"#;
        let read = lookup(0, &vector(), given.as_bytes(), Absent::Fault).unwrap();
        assert!(matches!(read.rows[0].request[0], Some(Value::Float(nan)) if nan.is_nan()));
        let minus = lookup(0, &vector(), given.replace("\"NaN\"", "-0.0").as_bytes(), Absent::Fault).unwrap();
        assert_eq!(minus.rows[0].request[0], Some(Value::Float(-0.0)));
    }

    #[test]
    fn every_fault_is_refused_with_its_place() {
        let key = r#""merchant_id":"a""#;
        let keyed = |user: &str| format!(r#"{{"keys":[{{"user_id":{user},{key}}}]}}"#);
        for (body, code, field) in [
            ("", "invalid_json", ""),
            ("{", "invalid_json", ""),
            ("\u{1}", "invalid_json", ""),
            ("[]", "wrong_type", ""),
            ("{}", "missing_field", "keys"),
            (r#"{"keys":{}}"#, "wrong_type", "keys"),
            (r#"{"keys":[7]}"#, "wrong_type", "keys[0]"),
            (r#"{"keys":[{"user_id":1}]}"#, "missing_key", "keys[0].merchant_id"),
            (&keyed("null"), "null_key", "keys[0].user_id"),
            (&keyed("\"7\""), "wrong_type", "keys[0].user_id"),
            (&keyed("7.5"), "wrong_type", "keys[0].user_id"),
            (&keyed("9223372036854775808"), "wrong_type", "keys[0].user_id"),
            (&keyed("1,\"user\":2"), "unknown_field", "keys[0].user"),
            (&keyed("1,\"user_id\":2"), "repeated_field", "keys[0]"),
            (r#"{"keys":[],"keys":[]}"#, "repeated_field", "keys"),
            (r#"{"keys":[{"user_id":1,"merchant_id":"a"}],"request":[{"amount":1,"amount":2}]}"#, "repeated_field", "request[0]"),
            (r#"{"keys":[],"request":[{}]}"#, "length_mismatch", "request"),
            (r#"{"keys":[{"user_id":1,"merchant_id":"a"}],"request":[]}"#, "length_mismatch", "request"),
            (r#"{"keys":[],"key":1}"#, "unknown_field", "key"),
            (r#"{"keys":[],"as_of":"soon"}"#, "wrong_type", "as_of"),
            (r#"{"keys":[],"after":[{"source":"a","partition":-1,"offset":0}]}"#, "wrong_type", "after[0].partition"),
            (r#"{"keys":[],"after":[{"source":"a","partition":0,"offset":-1}]}"#, "wrong_type", "after[0].offset"),
            (r#"{"keys":[],"after":[{"source":"a","partition":4294967296,"offset":0}]}"#, "wrong_type", "after[0].partition"),
            (r#"{"keys":[],"after":[{"source":"a","offset":0}]}"#, "missing_field", "after[0].partition"),
            (r#"{"keys":[],"after":[7]}"#, "wrong_type", "after[0]"),
            (r#"{"keys":[],"after":{}}"#, "wrong_type", "after"),
            (r#"{"keys":[],"wait_ms":60001}"#, "wrong_type", "wait_ms"),
            (r#"{"keys":[{"user_id":1,"merchant_id":"a"}],"request":[{"amount":true}]}"#, "wrong_type", "request[0].amount"),
            (r#"{"keys":[{"user_id":1,"merchant_id":"a"}],"request":[{"amuont":1}]}"#, "unknown_field", "request[0].amuont"),
        ] {
            assert_eq!(refused(body), (code, field.to_owned()), "{body}");
        }
        let many = format!("{{\"keys\":[{}]}}", vec!["{}"; ROWS_MAX + 1].join(","));
        assert_eq!(refused(&many), ("too_many_rows", "keys".to_owned()));
        for many in ["{},", "0,"] {
            assert_eq!(refused(&format!("{{\"keys\":[{}0]}}", many.repeat(100_000))).0, "too_many_values");
        }
    }

    #[test]
    fn a_wrong_type_is_shown_with_what_was_expected() {
        let refusal = read(r#"{"keys":[{"user_id":"seven","merchant_id":"a"}]}"#).unwrap_err();
        assert_eq!(refusal.message, "keys[0].user_id: expected a whole number within 64 bits (bigint), found the text \"seven\"");
    }

    #[test]
    fn depth_and_bad_bytes_do_no_harm() {
        for body in ["[".repeat(200_000), format!("{{\"keys\":{}", "[{\"a\":".repeat(100_000))] {
            assert!(read(&body).is_err());
        }
        let deep = format!("{{\"keys\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(&deep).is_err());
        let in_text = format!(r#"{{"keys":[{{"user_id":1,"merchant_id":"{}\"["}}]}}"#, "[".repeat(1000));
        assert!(read(&in_text).is_ok(), "brackets in a text nest nothing");
        assert_eq!(lookup(0, &vector(), b"{\"keys\":\"\xff\xfe\"}", Absent::Null).unwrap_err().code, "invalid_json");
    }
}
