//! From what a model gives to numbers: which output and which of its numbers is the score, and how they are read. What
//! the runtime gives counts, not what the model declares. Must never run a model.

use std::sync::Arc;

use ort::session::Session;
use ort::value::{DynMapValueType, DynValue, IntoTensorElementType, PrimitiveTensorElementType, TensorElementType, ValueType};

use super::feed::Half;
use super::signature::{Holds, element, holds};
use crate::error::{Error, Result};
use crate::plan::{Element, Fault, Part, Usage};
use crate::value::Value;

/// The names by which an output is taken to hold the score, the first first.
const SCORE_NAMES: [&str; 3] = ["score", "probabilities", "probability"];

/// Every whole number up to this one is a double.
const EXACT_MAX: u64 = 1 << 53;

/// What an output gave: `width` values for each row, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub width: usize,
    /// Null is a whole number that no bigint is; any NaN is the same.
    pub values: Vec<Value>,
    /// Of each value, where the output names them.
    pub labels: Option<Vec<String>>,
}

impl Table {
    pub fn row(&self, row: usize) -> &[Value] {
        &self.values[row * self.width..][..self.width]
    }
}

/// A value as a score; `None` for what a score cannot hold.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Int(number) if number.unsigned_abs() <= EXACT_MAX => Some(*number as f64),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        _ => None,
    }
}

/// The output that holds the score: the declared one, else the evident one.
pub fn chosen(session: &Session, usage: &Usage) -> Result<String, Fault> {
    let outputs: Vec<(&str, Holds)> = session.outputs().iter().map(|output| (output.name(), holds(output))).collect();
    let listed = |outputs: &[&str]| outputs.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if let Some(name) = &usage.output {
        let remedy = |outputs: &[&str]| format!("its outputs with numbers: {}", listed(outputs));
        let numeric: Vec<&str> =
            outputs.iter().filter(|(_, holds)| !matches!(holds, Holds::Texts | Holds::Other)).map(|(name, _)| *name).collect();
        return match outputs.iter().find(|(known, _)| known == name) {
            Some((_, Holds::Texts | Holds::Other)) => {
                Err(Fault::Output { message: format!("output `{name}` holds no numbers, and a score is one"), remedy: remedy(&numeric) })
            }
            Some(_) => Ok(name.clone()),
            None => Err(Fault::Output { message: format!("the model has no output `{name}`"), remedy: remedy(&numeric) }),
        };
    }
    let of = |wanted: &[Holds]| outputs.iter().filter(|(_, holds)| wanted.contains(holds)).map(|(name, _)| *name).collect::<Vec<_>>();
    let (floats, integers) = (of(&[Holds::Floats, Holds::Maps]), of(&[Holds::Integers]));
    if let Some(name) = SCORE_NAMES.iter().find(|name| floats.contains(name)) {
        return Ok((*name).to_owned());
    }
    match if floats.is_empty() { &integers } else { &floats }[..] {
        [name] => Ok(name.to_owned()),
        [] => Err(Fault::Output {
            message: "no output of the model holds numbers, and a score is one".to_owned(),
            remedy: "export it with an output of scores or probabilities".to_owned(),
        }),
        ref several => Err(Fault::Output {
            message: format!("the model gives numbers in several outputs: {}", listed(several)),
            remedy: format!("write which of them is the score: `output '{}'`", several[0]),
        }),
    }
}

/// Which number of the output is the score: the declared one, else the evident one. `width` is how many there are.
pub fn place(output: &str, usage: &Usage, width: usize, labels: Option<&[String]>) -> Result<usize, Fault> {
    let classes = |labels: &[String]| labels.iter().map(|label| format!("'{label}'")).collect::<Vec<_>>().join(", ");
    match (&usage.part, labels) {
        (Some(Part::Column(column)), _) if (1..=width).contains(column) => Ok(column - 1),
        (Some(Part::Column(column)), _) => Err(Fault::Output {
            message: format!("output `{output}` has no column {column}"),
            remedy: format!("it has {}, counted from 1", if width == 1 { "one column".to_owned() } else { format!("{width} columns") }),
        }),
        (Some(Part::Class(class)), Some(labels)) => labels.iter().position(|label| label == class).ok_or_else(|| Fault::Output {
            message: format!("output `{output}` has no class '{class}'"),
            remedy: format!("its classes: {}", classes(labels)),
        }),
        (Some(Part::Class(class)), None) => Err(Fault::Output {
            message: format!("the model does not say which number of output `{output}` is that of class '{class}'"),
            remedy: match width {
                1 => "it gives one number for each row: leave `class` out".to_owned(),
                _ => format!("write its column, from 1 to {width}: `output '{output}' column {width}`"),
            },
        }),
        (None, _) if width == 1 => Ok(0),
        (None, Some(labels)) => positive(labels).ok_or_else(|| Fault::Output {
            message: format!("output `{output}` has {width} numbers for each row, of the classes {}", classes(labels)),
            remedy: format!("write which of them is the score: `output '{output}' class '{}'`", labels[0]),
        }),
        (None, None) => Err(Fault::Output {
            message: format!("output `{output}` has {width} numbers for each row"),
            remedy: format!("write which of them is the score: `output '{output}' column {width}`"),
        }),
    }
}

/// The positive one of two classes, where their labels say so.
fn positive(labels: &[String]) -> Option<usize> {
    let lower: Vec<String> = labels.iter().map(|label| label.to_lowercase()).collect();
    let [one, other] = lower.as_slice() else { return None };
    [("0", "1"), ("false", "true")].into_iter().find_map(|(negative, positive)| match (one.as_str(), other.as_str()) {
        (a, b) if (a, b) == (negative, positive) => Some(1),
        (a, b) if (a, b) == (positive, negative) => Some(0),
        _ => None,
    })
}

/// All values of an output. An `Input` error says what they are instead of values of `rows` rows.
pub fn table(output: &DynValue, rows: usize) -> Result<Table> {
    if !output.dtype().is_tensor() {
        return maps(output, rows);
    }
    let (width, values): (usize, Vec<Value>) = if let Ok((shape, texts)) = output.try_extract_strings() {
        (width(shape, texts.len(), rows)?, texts.into_iter().map(|text| Value::Text(text.into())).collect())
    } else if let Ok((shape, flags)) = output.try_extract_tensor::<bool>() {
        (width(shape, flags.len(), rows)?, flags.iter().map(|flag| Value::Bool(*flag)).collect())
    } else if let Ok((shape, numbers)) = output.try_extract_tensor::<i64>() {
        (width(shape, numbers.len(), rows)?, numbers.iter().map(|number| Value::Int(*number)).collect())
    } else if let Ok((shape, numbers)) = output.try_extract_tensor::<u64>() {
        let whole = |number: &u64| i64::try_from(*number).map_or(Value::Null, Value::Int);
        (width(shape, numbers.len(), rows)?, numbers.iter().map(whole).collect())
    } else {
        let (is_float, mut values) = (is_float(output), Vec::new());
        let of = |number: f64| if is_float { float(number) } else { Value::Int(number as i64) };
        let width = numbers(output, rows, |width, value| values.extend((0..width * rows).map(|place| of(value(place)))))?;
        (width, values)
    };
    Ok(Table { width, values, labels: None })
}

fn float(number: f64) -> Value {
    Value::Float(if number.is_nan() { f64::NAN } else { number })
}

/// Appends the number at `place` of each row; nothing at an error. Returns how many each row has.
pub fn column(output: &DynValue, rows: usize, place: usize, scores: &mut Vec<Result<f64>>) -> Result<usize> {
    if !output.dtype().is_tensor() {
        let table = maps(output, rows)?;
        let found: Vec<f64> = table.values.chunks_exact(table.width.max(1)).filter_map(|row| row.get(place).and_then(number)).collect();
        scores.extend(found.into_iter().map(Ok));
        return Ok(table.width);
    }
    let float = is_float(output);
    numbers(output, rows, |width, value| {
        if place < width {
            let score = |row| Some(value(row * width + place)).filter(|value| float || !value.is_infinite()).ok_or_else(inexact);
            scores.extend((0..rows).map(score));
        }
    })
}

/// Whole numbers that no double is are read as infinite.
fn inexact() -> Error {
    Error::input("the model gave a whole number beyond 2^53, which a score cannot hold")
}

fn is_float(output: &DynValue) -> bool {
    matches!(output.dtype(), ValueType::Tensor { ty, .. } if matches!(element(*ty), Element::Float16 | Element::Float32 | Element::Float64))
}

/// Hands the width and a reader of the numbers, row by row, to `take`; returns the width.
fn numbers(output: &DynValue, rows: usize, take: impl FnOnce(usize, &dyn Fn(usize) -> f64)) -> Result<usize> {
    fn of<T: PrimitiveTensorElementType + Copy>(
        output: &DynValue,
        rows: usize,
        wide: impl Fn(T) -> f64,
        take: impl FnOnce(usize, &dyn Fn(usize) -> f64),
    ) -> Result<usize> {
        let (shape, values) = output.try_extract_tensor::<T>().map_err(|error| unreadable(&error))?;
        let width = width(shape, values.len(), rows)?;
        take(width, &|index| wide(values[index]));
        Ok(width)
    }
    let whole = |value: i64| if value.unsigned_abs() <= EXACT_MAX { value as f64 } else { f64::INFINITY };
    let ValueType::Tensor { ty, .. } = output.dtype() else { return Err(Error::input("the model gave no tensor")) };
    match element(*ty) {
        Element::Float16 => of(output, rows, |value: Half| value.to_f64(), take),
        Element::Float32 => of(output, rows, |value: f32| f64::from(value), take),
        Element::Float64 => of(output, rows, |value: f64| value, take),
        Element::Int8 => of(output, rows, |value: i8| f64::from(value), take),
        Element::Int16 => of(output, rows, |value: i16| f64::from(value), take),
        Element::Int32 => of(output, rows, |value: i32| f64::from(value), take),
        Element::Int64 => of(output, rows, whole, take),
        Element::UInt8 => of(output, rows, |value: u8| f64::from(value), take),
        Element::UInt16 => of(output, rows, |value: u16| f64::from(value), take),
        Element::UInt32 => of(output, rows, |value: u32| f64::from(value), take),
        Element::UInt64 => of(output, rows, |value: u64| if value <= EXACT_MAX { value as f64 } else { f64::INFINITY }, take),
        Element::Bool => of(output, rows, |value: bool| f64::from(u8::from(value)), take),
        Element::Text | Element::Other => Err(Error::input("the model gave no numbers")),
    }
}

/// How many values each row has. A single row may lack the dimension of rows.
fn width(shape: &[i64], count: usize, rows: usize) -> Result<usize> {
    let of_rows = shape.first().is_some_and(|&first| usize::try_from(first) == Ok(rows));
    if count > 0 && (of_rows || rows == 1) {
        return Ok(count / rows);
    }
    Err(Error::input(format!("the model gave values of shape {shape:?} for {rows} rows; export it with an output of shape [N] or [N, 1]")))
}

fn unreadable(error: &ort::Error) -> Error {
    Error::input(format!("what the model gave could not be read: {}", error.message()))
}

/// A sequence of maps from labels to numbers, one for each row. Every map has the same labels.
fn maps(output: &DynValue, rows: usize) -> Result<Table> {
    let maps = output.try_extract_sequence::<DynMapValueType>().map_err(|error| unreadable(&error))?;
    let (mut labels, mut values) = (None, Vec::new());
    for map in &maps {
        let (mut keys, numbers): (Vec<String>, Vec<f64>) = match map.dtype() {
            ValueType::Map { key: TensorElementType::Int64, value: TensorElementType::Float64 } => entries::<i64, f64>(map)?,
            ValueType::Map { key: TensorElementType::Int64, .. } => entries::<i64, f32>(map)?,
            ValueType::Map { value: TensorElementType::Float64, .. } => entries::<String, f64>(map)?,
            _ => entries::<String, f32>(map)?,
        };
        values.extend(numbers.into_iter().map(float));
        match &labels {
            None => labels = Some(std::mem::take(&mut keys)),
            Some(labels) if *labels == keys => {}
            Some(_) => return Err(Error::input("the model gave maps of different classes for different rows")),
        }
    }
    let width = labels.as_ref().map_or(0, Vec::len);
    if maps.len() != rows || width == 0 {
        return Err(Error::input(format!("the model gave {} maps of {width} classes for {rows} rows", maps.len())));
    }
    Ok(Table { width, values, labels })
}

fn entries<K, V>(map: &ort::value::Value<DynMapValueType>) -> Result<(Vec<String>, Vec<f64>)>
where
    K: IntoTensorElementType + Clone + std::hash::Hash + Eq + ToString,
    V: PrimitiveTensorElementType + Copy + Into<f64>,
{
    let entries = map.try_extract_key_values::<K, V>().map_err(|error| unreadable(&error))?;
    Ok(entries.into_iter().map(|(key, value)| (key.to_string(), value.into())).unzip())
}

/// What an output holds for each row, as it is: one value; or several by their labels, or as a list where they have none.
pub fn values(output: &DynValue, rows: usize, labels: Option<&[String]>) -> Result<Vec<Value>> {
    let Table { width, values, labels: own } = table(output, rows)?;
    if values.iter().any(Value::is_null) {
        return Err(Error::input("the model gave a whole number beyond 2^63, which a bigint cannot hold"));
    }
    let labels: Option<Vec<Arc<str>>> = own
        .as_deref()
        .or(labels)
        .filter(|labels| labels.len() == width && width > 1)
        .map(|labels| labels.iter().map(|label| label.as_str().into()).collect());
    let of_row = |row: &[Value]| match (row, &labels) {
        ([one], _) => one.clone(),
        (row, Some(labels)) => Value::Struct(labels.iter().cloned().zip(row.iter().cloned()).collect()),
        (row, None) => Value::List(row.into()),
    };
    Ok(values.chunks_exact(width).map(of_row).collect())
}

/// Whether the outputs that are to be handed on are there, and hold what can be.
pub fn handed_on(session: &Session, usage: &Usage) -> Result<(), Fault> {
    for name in &usage.also {
        let known: Vec<_> =
            session.outputs().iter().filter(|output| holds(output) != Holds::Other).map(|output| format!("`{}`", output.name())).collect();
        if !known.contains(&format!("`{name}`")) {
            let message = format!("the model has no output `{name}` that could be handed on");
            return Err(Fault::Output { message, remedy: format!("its outputs: {}", known.join(", ")) });
        }
    }
    Ok(())
}

/// What an output names for a single row, where that is one text or whole number.
pub fn named(output: &DynValue) -> Option<String> {
    match table(output, 1).ok()?.values.as_slice() {
        [Value::Text(text)] => Some(text.to_string()),
        [value] => number(value).map(|number| number.to_string()),
        _ => None,
    }
}
