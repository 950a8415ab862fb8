//! `NAME=VALUE` on the command line, read by the type of what it names.

use std::str::FromStr;

use serde_json::Value as Json;

use crate::decode::value;
use crate::error::{Error, Result};
use crate::plan::{Field, Vector};
use crate::serve::read_exact;
use crate::value::{DataType, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub name: String,
    pub value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("expected NAME=VALUE, such as user_id=7")?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// The values of keys: each field is given once, and nothing else is.
pub(super) fn keys(fields: &[Field], given: &[Assignment]) -> Result<Vec<(String, Value)>> {
    let values = some_of(fields, given, "key")?;
    match fields.iter().find(|field| !values.iter().any(|(name, _)| *name == field.name)) {
        Some(missing) => Err(Error::input(format!("key {} ({}) is missing: give {}=VALUE", missing.name, missing.data_type, missing.name))),
        None => Ok(values),
    }
}

/// The values of request columns; those that are not given are left out.
pub(super) fn request(vector: &Vector, given: &[Assignment]) -> Result<Vec<(String, Value)>> {
    let fields: Vec<_> = vector.request.iter().map(|column| column.field.clone()).collect();
    some_of(&fields, given, "request column")
}

fn some_of(fields: &[Field], given: &[Assignment], what: &str) -> Result<Vec<(String, Value)>> {
    let mut values: Vec<(String, Value)> = Vec::with_capacity(given.len());
    for Assignment { name, value } in given {
        let field = fields.iter().find(|field| field.name == *name).ok_or_else(|| {
            let known: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::input(format!("there is no {what} {name}; there are: {known}"))
        })?;
        if values.iter().any(|(given, _)| given == name) {
            return Err(Error::input(format!("{what} {name} is given twice")));
        }
        let read = typed(&field.data_type, value);
        let read =
            read.ok_or_else(|| Error::input(format!("{what} {name}: expected a value of type {}, found '{value}'", field.data_type)))?;
        values.push((name.clone(), read));
    }
    Ok(values)
}

fn typed(data_type: &DataType, text: &str) -> Option<Value> {
    match data_type {
        // A JSON array, whose texts stand in quotes.
        DataType::List(item) => {
            let Ok(Json::Array(items)) = read_exact(text.as_bytes()) else { return None };
            let item_of = |json: Json| match json {
                Json::Null => Some(Value::Null),
                Json::String(text) if **item != DataType::Bool && **item != DataType::Int => typed(item, &text),
                Json::Bool(_) | Json::Number(_) if **item != DataType::Text && **item != DataType::Timestamp => {
                    typed(item, &json.to_string())
                }
                _ => None,
            };
            items.into_iter().map(item_of).collect::<Option<Vec<_>>>().map(|items| Value::List(items.into()))
        }
        DataType::Text => Some(Value::Text(text.into())),
        // As a cell of CSV.
        _ => value::cell(text, data_type).ok().flatten().map(Value::from),
    }
}

/// As JSON, in the spelling of the wire.
pub(super) fn as_json(value: &Value) -> Json {
    let mut text = Vec::new();
    crate::json::write_value(&mut text, value);
    read_exact(&text).unwrap_or(Json::Null)
}

/// As an object of JSON.
pub(super) fn object<'a>(values: impl Iterator<Item = (&'a String, &'a Value)>) -> Json {
    Json::Object(values.map(|(name, value)| (name.clone(), as_json(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<Field> {
        let field = |name: &str, data_type| Field { name: name.to_owned(), data_type };
        vec![field("user_id", DataType::Int), field("merchant_id", DataType::Text)]
    }

    fn given(texts: &[&str]) -> Vec<Assignment> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn keys_are_read_by_type_and_must_be_complete() {
        let read = keys(&fields(), &given(&["merchant_id=7=8", "user_id=-9007199254740993"])).unwrap();
        let named = |name: &str, value| (name.to_owned(), value);
        assert_eq!(read, [named("merchant_id", Value::Text("7=8".into())), named("user_id", Value::Int(-9_007_199_254_740_993))]);
        let message = |texts: &[&str]| keys(&fields(), &given(texts)).unwrap_err().to_string();
        assert_eq!(message(&["user_id=1"]), "key merchant_id (text) is missing: give merchant_id=VALUE");
        assert_eq!(message(&["user_id=x", "merchant_id=1"]), "key user_id: expected a value of type bigint, found 'x'");
        assert_eq!(message(&["user=1"]), "there is no key user; there are: user_id, merchant_id");
        assert_eq!(message(&["user_id=1", "user_id=1"]), "key user_id is given twice");
        assert!("user_id".parse::<Assignment>().is_err());
        let list = |item: DataType, text: &str| typed(&DataType::List(Box::new(item)), text).map(|value| as_json(&value).to_string());
        assert_eq!(list(DataType::Float, "[1, -0.0, null, \"NaN\"]").as_deref(), Some(r#"[1.0,-0.0,null,"NaN"]"#));
        assert_eq!(list(DataType::Text, r#"["1", "é"]"#).as_deref(), Some(r#"["1","é"]"#));
        for (item, text) in [(DataType::Float, "1"), (DataType::Float, "[[1]]"), (DataType::Int, "[1.5]"), (DataType::Text, "[1]")] {
            assert_eq!(list(item, text), None, "{text}");
        }
    }
}
