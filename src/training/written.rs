//! Columns of CSV and NDJSON as they were written: text with a mark, so that what is handed through comes out as it went
//! in. A type is found where one is needed: the one that the column is used as, else the narrowest that loses nothing.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType as ArrowType, Field};

use super::cast;
use crate::decode::elements;
use crate::decode::value::{self, cell};
use crate::error::{Error, Result};
use crate::json::{write_text, write_value};
use crate::time::Epoch;
use crate::value::{DataType, Value};

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Cells of CSV, without quotes.
    Cell,
    /// JSON values.
    Json,
}

const FORM: &str = "forebay.written";
const TYPE: &str = "forebay.type";

/// A column of texts of that form.
pub fn field(name: &str, form: Form) -> Field {
    let form = if form == Form::Cell { "cell" } else { "json" };
    Field::new(name, ArrowType::Utf8, true).with_metadata(HashMap::from([(FORM.to_owned(), form.to_owned())]))
}

/// `None` for a column of values.
pub fn form(field: &Field) -> Option<Form> {
    match field.metadata().get(FORM)?.as_str() {
        "cell" => Some(Form::Cell),
        _ => Some(Form::Json),
    }
}

/// The column with the type of its values noted: what it is used as, where it can be, else the narrowest; and what its
/// integers count that stand for times.
pub fn with_type(field: &Field, array: &ArrayRef, used: Option<&DataType>, epoch: Epoch) -> Result<Field> {
    let Some(form) = form(field) else { return Ok(field.clone()) };
    let used = used.filter(|used| used.is_single() || form == Form::Json && matches!(used, DataType::List(_)));
    let found = used.cloned().unwrap_or_else(|| narrowest(array.as_string(), form));
    let mut metadata = field.metadata().clone();
    let noted = serde_json::to_string(&(found, epoch)).map_err(|error| Error::internal(error.to_string()))?;
    metadata.insert(TYPE.to_owned(), noted);
    Ok(field.clone().with_metadata(metadata))
}

/// What `with_type` noted of a column of texts.
pub fn noted(field: &Field) -> Option<(DataType, Epoch)> {
    serde_json::from_str(field.metadata().get(TYPE)?).ok()
}

/// The column as values of its noted type; one of values stays.
pub fn typed(field: &Field, array: &ArrayRef) -> Result<(Field, ArrayRef)> {
    let (Some(form), Some((to, epoch))) = (form(field), noted(field)) else { return Ok((field.clone(), array.clone())) };
    let array = match (form, &to) {
        (Form::Json, DataType::Text) => Arc::new(as_cells(array.as_string())),
        _ => cast::to_type(array, field, &to, epoch, &format!("column {}", field.name()))?,
    };
    Ok((Field::new(field.name(), to.arrow(), true), array))
}

/// JSON values as cells: texts without their quotes, anything else as it is.
pub fn as_cells(texts: &StringArray) -> StringArray {
    texts.iter().map(|text| text.map(|text| unquoted(text).unwrap_or_else(|| text.to_owned()))).collect()
}

fn unquoted(json: &str) -> Option<String> {
    json.starts_with('"').then(|| serde_json::from_str(json).ok()).flatten()
}

/// Appends a cell of a column of that noted type as JSON: a number as it is written, where JSON writes it so.
pub fn write_cell(out: &mut Vec<u8>, text: &str, to: &DataType) {
    let number = matches!(to, DataType::Int | DataType::Float) || *to == DataType::Timestamp && text.parse::<i64>().is_ok();
    if number && serde_json::from_str::<serde_json::Number>(text).is_ok() {
        return out.extend(text.bytes());
    }
    match cell(text, to) {
        Ok(Some(value)) if number || *to == DataType::Bool => write_value(out, &Value::from(value)),
        _ => write_text(out, text),
    }
}

/// The narrowest type that holds every text as it is written: bigint, double, boolean, timestamp, a list of one of them,
/// else text.
fn narrowest(texts: &StringArray, form: Form) -> DataType {
    match form {
        Form::Cell => {
            let types = [DataType::Int, DataType::Float, DataType::Bool, DataType::Timestamp];
            let holds = |to: &&DataType| texts.null_count() < texts.len() && texts.iter().flatten().all(|text| holds(text, to));
            types.iter().find(holds).cloned().unwrap_or(DataType::Text)
        }
        Form::Json => of_json(texts.iter().flatten().map(ToOwned::to_owned)).unwrap_or(DataType::Text),
    }
}

/// Whether a cell is of that type as it is written.
fn holds(text: &str, to: &DataType) -> bool {
    match to {
        DataType::Int => text.parse::<i64>().is_ok_and(|number| number.to_string() == text),
        DataType::Float => is_exact(text) || matches!(text, "NaN" | "Infinity" | "-Infinity"),
        DataType::Bool => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
        _ => value::text(text, to).is_ok(),
    }
}

/// Whether a number is written with no more digits than its double gives back. One with a leading zero is an identifier.
fn is_exact(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let identifier = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if !digits.starts_with(|first: char| first.is_ascii_digit()) || identifier {
        return false;
    }
    text.parse::<f64>().is_ok_and(|value| value.is_finite() && significant(text) == significant(&format!("{value:e}")))
}

/// The digits of a number from its first that is not zero to its last, and the power of ten of the last.
fn significant(text: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa.trim_start_matches('-'), ""));
    let digits = format!("{whole}{fraction}");
    let cut = digits.trim_end_matches('0');
    let exponent = exponent.parse::<i64>().ok()? - fraction.len() as i64 + (digits.len() - cut.len()) as i64;
    let cut = cut.trim_start_matches('0');
    Some(if cut.is_empty() { (String::new(), 0) } else { (cut.to_owned(), exponent) })
}

/// The type of JSON values that are all of one kind; `None` for others, and where there is none.
fn of_json(values: impl Iterator<Item = String>) -> Option<DataType> {
    let values: Vec<String> = values.filter(|value| value != "null").collect();
    let first = values.first()?.as_bytes()[0];
    let kind = |first: u8| match first {
        b'-' | b'0'..=b'9' => b'0',
        b't' | b'f' => b't',
        other => other,
    };
    if !values.iter().all(|value| kind(value.as_bytes()[0]) == kind(first)) {
        return None;
    }
    match kind(first) {
        b'"' => Some(DataType::Text),
        b't' => Some(DataType::Bool),
        b'0' if values.iter().all(|value| value.parse::<i64>().is_ok()) => Some(DataType::Int),
        b'0' if values.iter().all(|value| is_exact(value)) => Some(DataType::Float),
        b'[' => {
            let items: Option<Vec<Vec<String>>> = values.iter().map(|value| elements(value)).collect();
            let items: Vec<String> = items?.into_iter().flatten().filter(|item| item != "null").collect();
            let item = if items.is_empty() { DataType::Text } else { of_json(items.into_iter())? };
            item.is_single().then(|| DataType::List(Box::new(item)))
        }
        _ => None,
    }
}
