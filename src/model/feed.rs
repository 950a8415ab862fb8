//! Input tensors that are allocated once and filled from Arrow columns for every call. Numbers are cast, never
//! parsed: what a column may feed is written in the table of `docs/models.md`. Must never run a model.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use ort::session::SessionInputValue;
use ort::value::{DynValue, Tensor};

use super::signature::{ColumnInput, Inputs};
use crate::error::{Error, Result};
use crate::plan::Element;

const SECONDS_PER_MICROSECOND: f64 = 1e-6;

/// The input tensors of calls with one number of rows.
pub struct Feed {
    rows: usize,
    tensors: Vec<SessionInputValue<'static>>,
}

impl Feed {
    /// Tensors of zeros for `rows` rows of `width` columns.
    pub fn new(inputs: &Inputs, rows: usize, width: usize) -> Result<Self> {
        let tensors = match inputs {
            Inputs::Matrix { element, .. } => vec![zeros(*element, vec![rows, width])?],
            Inputs::Columns(columns) => {
                let tensor = |column: &ColumnInput| zeros(column.element, shape(column, rows));
                columns.iter().map(tensor).collect::<Result<_>>()?
            }
        };
        Ok(Self { rows, tensors })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// In the order of the model's inputs.
    pub fn tensors(&self) -> &[SessionInputValue<'static>] {
        &self.tensors
    }

    /// Takes this feed's number of rows of `batch` from row `start` on, of a schema that passed `check`; none of them is
    /// `refused`. `places` has, for each input column (of a matrix: for each of its columns), its place in the batch.
    pub fn fill(&mut self, inputs: &Inputs, batch: &RecordBatch, places: &[usize], start: usize) -> Result<()> {
        let rows = start..start + self.rows;
        match inputs {
            Inputs::Matrix { element, .. } => {
                let tensor = value_mut(&mut self.tensors, 0)?;
                for (offset, &place) in places.iter().enumerate() {
                    let target = Place { start: rows.start, rows: self.rows, stride: places.len(), offset };
                    fill_floats(tensor, *element, batch.column(place), target).map_err(|error| named(&error, batch, place))?;
                }
            }
            Inputs::Columns(columns) => {
                for (index, (column, &place)) in columns.iter().zip(places).enumerate() {
                    let array = batch.column(place);
                    let target = Place { start: rows.start, rows: self.rows, stride: 1, offset: 0 };
                    let filled = match column.element {
                        Element::Float32 | Element::Float64 => {
                            fill_floats(value_mut(&mut self.tensors, index)?, column.element, array, target)
                        }
                        Element::Int32 | Element::Int64 => {
                            fill_integers(value_mut(&mut self.tensors, index)?, column.element, array, target)
                        }
                        Element::Bool => fill_booleans(value_mut(&mut self.tensors, index)?, array, target),
                        Element::Text | Element::Other => {
                            texts(array, target, shape(column, self.rows)).map(|tensor| self.tensors[index] = tensor)
                        }
                    };
                    filled.map_err(|error| named(&error, batch, place))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether the columns at these places have types that feed the model.
///
/// # Errors
/// `Input`, naming the column, when one has not.
pub fn check(inputs: &Inputs, schema: &Schema, places: &[usize]) -> Result<()> {
    let check = |element: Element, place: usize| {
        let field = schema.field(place);
        let (tensor, feeds) = match (element, field.data_type()) {
            (
                Element::Float32 | Element::Float64,
                ArrowType::Float64 | ArrowType::Int64 | ArrowType::Boolean | ArrowType::Timestamp(TimeUnit::Microsecond, _),
            ) => ("a float", true),
            (Element::Float32 | Element::Float64, _) => ("a float", false),
            (Element::Int32 | Element::Int64, ArrowType::Int64 | ArrowType::Boolean | ArrowType::Timestamp(TimeUnit::Microsecond, _)) => {
                ("an integer", true)
            }
            (Element::Int32 | Element::Int64, _) => ("an integer", false),
            (Element::Bool, data_type) => ("a bool", *data_type == ArrowType::Boolean),
            (Element::Text | Element::Other, data_type) => ("a string", *data_type == ArrowType::Utf8),
        };
        match feeds {
            true => Ok(()),
            false => {
                let value = spelled(field.data_type());
                Err(Error::input(format!("column {:?}: a value of {value} cannot feed {tensor} tensor", field.name())))
            }
        }
    };
    match inputs {
        Inputs::Matrix { element, .. } => places.iter().try_for_each(|place| check(*element, *place)),
        Inputs::Columns(columns) => columns.iter().zip(places).try_for_each(|(column, place)| check(column.element, *place)),
    }
}

const NULL: &str =
    "null cannot feed this tensor, only float tensors take it (as NaN); give the column a default, or export the model with a float input";

/// The rows that cannot feed the model, each with the column and why.
pub fn refused(inputs: &Inputs, batch: &RecordBatch, places: &[usize]) -> BTreeMap<usize, Error> {
    let mut refused = BTreeMap::new();
    let Inputs::Columns(columns) = inputs else { return refused };
    for (column, &place) in columns.iter().zip(places) {
        let array = batch.column(place);
        let mut refuse = |row: usize, why: &str| {
            refused.entry(row).or_insert_with(|| named(&Error::input(why), batch, place));
        };
        if !matches!(column.element, Element::Float32 | Element::Float64) && array.null_count() > 0 {
            (0..array.len()).filter(|row| array.is_null(*row)).for_each(|row| refuse(row, NULL));
        }
        match column.element {
            Element::Int32 => {
                let values = integers(array).iter().copied().enumerate();
                values
                    .filter(|(row, value)| i32::try_from(*value).is_err() && array.is_valid(*row))
                    .for_each(|(row, value)| refuse(row, &format!("{value} does not fit the model's int32 tensor")));
            }
            Element::Text => {
                let texts = array.as_string_opt::<i32>().into_iter().flat_map(|texts| texts.iter().enumerate());
                texts
                    .filter(|(_, text)| text.is_some_and(|text| text.contains('\0')))
                    .for_each(|(row, _)| refuse(row, "a text with a NUL character cannot feed a string tensor"));
            }
            _ => {}
        }
    }
    refused
}

/// The numbers of a column of bigints or timestamps (microseconds).
fn integers(array: &ArrayRef) -> &[i64] {
    match array.data_type() {
        ArrowType::Int64 => array.as_primitive::<Int64Type>().values(),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().values(),
        _ => &[],
    }
}

/// Which rows are taken and where their values go.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    rows: usize,
    stride: usize,
    offset: usize,
}

fn named(error: &Error, batch: &RecordBatch, place: usize) -> Error {
    Error::new(error.kind(), format!("column {:?}: {error}", batch.schema_ref().field(place).name()))
}

fn shape(column: &ColumnInput, rows: usize) -> Vec<usize> {
    if column.is_matrix { vec![rows, 1] } else { vec![rows] }
}

fn zeros(element: Element, shape: Vec<usize>) -> Result<SessionInputValue<'static>> {
    let count = shape.iter().product();
    let value = match element {
        Element::Float32 => Tensor::from_array((shape, vec![0_f32; count])).map(Tensor::into_dyn),
        Element::Float64 => Tensor::from_array((shape, vec![0_f64; count])).map(Tensor::into_dyn),
        Element::Int32 => Tensor::from_array((shape, vec![0_i32; count])).map(Tensor::into_dyn),
        Element::Int64 => Tensor::from_array((shape, vec![0_i64; count])).map(Tensor::into_dyn),
        Element::Bool => Tensor::from_array((shape, vec![false; count])).map(Tensor::into_dyn),
        Element::Text | Element::Other => Tensor::from_string_array((shape, &*vec![""; count])).map(Tensor::into_dyn),
    };
    Ok(SessionInputValue::Owned(value.map_err(|error| internal(&error))?))
}

fn internal(error: &ort::Error) -> Error {
    Error::internal(format!("onnx runtime: {}", error.message()))
}

fn unchecked(data_type: &ArrowType) -> Error {
    Error::internal(format!("a column of {} was not checked before it was to feed a model", spelled(data_type)))
}

fn value_mut<'f>(tensors: &'f mut [SessionInputValue<'static>], index: usize) -> Result<&'f mut DynValue> {
    match tensors.get_mut(index) {
        Some(SessionInputValue::Owned(value)) => Ok(value),
        _ => Err(Error::internal("a model's input tensor is not its own")),
    }
}

fn fill_floats(tensor: &mut DynValue, element: Element, array: &ArrayRef, place: Place) -> Result<()> {
    if element == Element::Float32 {
        let (_, out) = tensor.try_extract_tensor_mut::<f32>().map_err(|error| internal(&error))?;
        each_float(array, place, |at, value| out[at] = value as f32)
    } else {
        let (_, out) = tensor.try_extract_tensor_mut::<f64>().map_err(|error| internal(&error))?;
        each_float(array, place, |at, value| out[at] = value)
    }
}

/// Numbers as they are, booleans as 0 and 1, timestamps as seconds since the epoch; null is NaN.
fn each_float(array: &ArrayRef, place: Place, mut put: impl FnMut(usize, f64)) -> Result<()> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let mut each = |value: &dyn Fn(usize) -> f64| {
        for index in 0..place.rows {
            let row = place.start + index;
            let is_null = nulls.is_some_and(|nulls| nulls.is_null(row));
            put(index * place.stride + place.offset, if is_null { f64::NAN } else { value(row) });
        }
    };
    match array.data_type() {
        ArrowType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            each(&|row| values[row]);
        }
        ArrowType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values();
            each(&|row| values[row] as f64);
        }
        ArrowType::Boolean => {
            let values = array.as_boolean().values();
            each(&|row| f64::from(u8::from(values.value(row))));
        }
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = array.as_primitive::<TimestampMicrosecondType>().values();
            each(&|row| values[row] as f64 * SECONDS_PER_MICROSECOND);
        }
        other => return Err(unchecked(other)),
    }
    Ok(())
}

/// Integers and timestamps (microseconds) as they are, booleans as 0 and 1.
fn fill_integers(tensor: &mut DynValue, element: Element, array: &ArrayRef, place: Place) -> Result<()> {
    if element == Element::Int32 {
        let (_, out) = tensor.try_extract_tensor_mut::<i32>().map_err(|error| internal(&error))?;
        each_integer(array, place, |at, value| out[at] = value as i32)
    } else {
        let (_, out) = tensor.try_extract_tensor_mut::<i64>().map_err(|error| internal(&error))?;
        each_integer(array, place, |at, value| out[at] = value)
    }
}

fn each_integer(array: &ArrayRef, place: Place, mut put: impl FnMut(usize, i64)) -> Result<()> {
    let rows = place.start..place.start + place.rows;
    match array.data_type() {
        ArrowType::Int64 | ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            integers(array)[rows].iter().enumerate().for_each(|(at, value)| put(at, *value));
        }
        ArrowType::Boolean => {
            let values = array.as_boolean().values();
            rows.enumerate().for_each(|(at, row)| put(at, i64::from(values.value(row))));
        }
        other => return Err(unchecked(other)),
    }
    Ok(())
}

fn fill_booleans(tensor: &mut DynValue, array: &ArrayRef, place: Place) -> Result<()> {
    let values = array.as_boolean_opt().ok_or_else(|| unchecked(array.data_type()))?;
    let (_, out) = tensor.try_extract_tensor_mut::<bool>().map_err(|error| internal(&error))?;
    for (index, out) in out.iter_mut().take(place.rows).enumerate() {
        *out = values.value(place.start + index);
    }
    Ok(())
}

/// String tensors cannot be refilled in place: a new one.
fn texts(array: &ArrayRef, place: Place, shape: Vec<usize>) -> Result<SessionInputValue<'static>> {
    let values: &StringArray = array.as_string_opt::<i32>().ok_or_else(|| unchecked(array.data_type()))?;
    let texts: Vec<String> = (place.start..place.start + place.rows).map(|row| values.value(row).to_owned()).collect();
    let tensor = Tensor::from_string_array((shape, &texts[..])).map_err(|error| internal(&error))?;
    Ok(SessionInputValue::Owned(tensor.into_dyn()))
}

/// The language's word for an Arrow type.
fn spelled(data_type: &ArrowType) -> String {
    match data_type {
        ArrowType::Boolean => "boolean".to_owned(),
        ArrowType::Int64 => "bigint".to_owned(),
        ArrowType::Float64 => "double".to_owned(),
        ArrowType::Utf8 => "text".to_owned(),
        ArrowType::Timestamp(..) => "timestamp".to_owned(),
        ArrowType::List(item) => format!("{}[]", spelled(item.data_type())),
        ArrowType::Map(..) => "a map".to_owned(),
        ArrowType::Struct(_) => "struct".to_owned(),
        other => other.to_string(),
    }
}
