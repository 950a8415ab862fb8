//! `json_get(text, path)` and its typed forms: one value out of JSON text. What is not there, JSON null, a value of
//! another type, and text that is no JSON are null. The path is a literal.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType as ArrowType;
use datafusion::common::{DataFusionError, ScalarValue, exec_err};
use datafusion::logical_expr::ColumnarValue;
use serde::de::IgnoredAny;
use sonic_rs::{JsonValueTrait, LazyValue};

use super::{Argument, Function, column, literal};

const ARGUMENTS: &[Argument] = &[Argument::Text, Argument::Path];

/// How deep a text may nest; one that nests deeper is read as if it were no JSON.
const DEPTH_MAX: usize = 64;

/// A string gives its text; a number, a boolean, an object and an array the text that they are written as.
pub(super) const JSON_GET: Function = Function {
    name: "json_get",
    form: "json_get(text, path)",
    arguments: ARGUMENTS,
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Utf8,
    compute: |arguments, rows| Ok(Arc::new(StringArray::from(each(arguments, rows, text)?))),
};

/// A number that is written without fraction and exponent and fits into 64 bits.
pub(super) const JSON_GET_BIGINT: Function = Function {
    name: "json_get_bigint",
    form: "json_get_bigint(text, path)",
    arguments: ARGUMENTS,
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Int64,
    compute: |arguments, rows| Ok(Arc::new(Int64Array::from(each(arguments, rows, |value| number(value)?.parse().ok())?))),
};

pub(super) const JSON_GET_BOOL: Function = Function {
    name: "json_get_bool",
    form: "json_get_bool(text, path)",
    arguments: ARGUMENTS,
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Boolean,
    compute: |arguments, rows| Ok(Arc::new(BooleanArray::from(each(arguments, rows, |value| value.as_bool())?))),
};

/// A number, rounded to the nearest double; infinite beyond their range.
pub(super) const JSON_GET_DOUBLE: Function = Function {
    name: "json_get_double",
    form: "json_get_double(text, path)",
    arguments: ARGUMENTS,
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Float64,
    compute: |arguments, rows| Ok(Arc::new(Float64Array::from(each(arguments, rows, |value| number(value)?.parse().ok())?))),
};

/// One step into a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    /// Counted from 0.
    Item(usize),
}

/// Reads `user.tags[0]`; a name with other letters stands in brackets and double quotes: `["a.b"].c`. `None` for
/// anything else.
pub(super) fn path(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = match inside.strip_prefix('"') {
                Some(quoted) => quoted.split_once("\"]").map(|(name, after)| (Step::Member(name.to_owned()), after))?,
                None => inside.split_once(']').and_then(|(index, after)| Some((Step::Item(index.parse().ok()?), after)))?,
            };
            steps.push(step);
            rest = after;
        } else {
            let name = if steps.is_empty() { rest } else { rest.strip_prefix('.')? };
            let end = name.find(['.', '[', ']', '"']).unwrap_or(name.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Member(name[..end].to_owned()));
            rest = &name[end..];
        }
    }
    (!steps.is_empty()).then_some(steps)
}

/// What `read` makes of the value in each row.
fn each<T>(
    arguments: &[ColumnarValue],
    rows: usize,
    read: impl Fn(&LazyValue<'_>) -> Option<T>,
) -> Result<Vec<Option<T>>, DataFusionError> {
    let steps = match literal(&arguments[1])? {
        ScalarValue::Utf8(Some(text)) => path(text),
        _ => None,
    };
    let Some(steps) = steps else { return exec_err!("a path was expected") };
    let column = column(&arguments[0], rows)?;
    Ok(column.as_string::<i32>().iter().map(|text| read(&find(text?, &steps)?)).collect())
}

/// Of equal names the last counts, as in events.
fn find<'a>(text: &'a str, path: &[Step]) -> Option<LazyValue<'a>> {
    // The steps read what they pass over loosely: first the whole text is known to be JSON, and no deeper than the stack.
    if depth(text) > DEPTH_MAX || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return None;
    }
    let mut value: LazyValue<'a> = sonic_rs::get(text, std::iter::empty::<&str>()).ok()?;
    for step in path {
        value = match step {
            Step::Member(name) => value.into_object_iter()?.flatten().filter(|(found, _)| found == name.as_str()).last()?.1,
            Step::Item(index) => value.into_array_iter()?.flatten().nth(*index)?,
        };
    }
    (!value.is_null()).then_some(value)
}

/// How many brackets are open at once, outside of strings.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !quoted => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn text(value: &LazyValue<'_>) -> Option<String> {
    if value.is_str() { value.as_str().map(str::to_owned) } else { Some(value.as_raw_str().to_owned()) }
}

/// The digits of a number.
fn number<'a>(value: &'a LazyValue<'_>) -> Option<&'a str> {
    value.is_number().then(|| value.as_raw_str())
}
