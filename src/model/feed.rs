//! Input tensors that are allocated once and filled from Arrow columns for every call. Numbers are cast, never
//! parsed: what a column may feed is written in the table of `docs/language.md` under models. Must never run a model.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
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

    /// Takes this feed's number of rows of `batch` from row `start` on. `places` has, for each input column (of a
    /// matrix: for each of its columns), its place in the batch. An `Input` error names the column.
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
        other => return Err(Error::input(format!("a value of {} cannot feed a float tensor", spelled(other)))),
    }
    Ok(())
}

/// Integers and timestamps (microseconds) as they are, booleans as 0 and 1.
fn fill_integers(tensor: &mut DynValue, element: Element, array: &ArrayRef, place: Place) -> Result<()> {
    refuse_nulls(array, place)?;
    let value = |row: usize| match array.data_type() {
        ArrowType::Int64 => Ok(array.as_primitive::<Int64Type>().value(row)),
        ArrowType::Boolean => Ok(i64::from(array.as_boolean().value(row))),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => Ok(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        other => Err(Error::input(format!("a value of {} cannot feed an integer tensor", spelled(other)))),
    };
    if element == Element::Int32 {
        let (_, out) = tensor.try_extract_tensor_mut::<i32>().map_err(|error| internal(&error))?;
        for (index, out) in out.iter_mut().take(place.rows).enumerate() {
            let wide = value(place.start + index)?;
            *out = i32::try_from(wide).map_err(|_| Error::input(format!("{wide} does not fit the model's int32 tensor")))?;
        }
    } else {
        let (_, out) = tensor.try_extract_tensor_mut::<i64>().map_err(|error| internal(&error))?;
        for (index, out) in out.iter_mut().take(place.rows).enumerate() {
            *out = value(place.start + index)?;
        }
    }
    Ok(())
}

fn fill_booleans(tensor: &mut DynValue, array: &ArrayRef, place: Place) -> Result<()> {
    refuse_nulls(array, place)?;
    let Some(values) = array.as_boolean_opt() else {
        return Err(Error::input(format!("a value of {} cannot feed a bool tensor", spelled(array.data_type()))));
    };
    let (_, out) = tensor.try_extract_tensor_mut::<bool>().map_err(|error| internal(&error))?;
    for (index, out) in out.iter_mut().take(place.rows).enumerate() {
        *out = values.value(place.start + index);
    }
    Ok(())
}

/// String tensors cannot be refilled in place: a new one.
fn texts(array: &ArrayRef, place: Place, shape: Vec<usize>) -> Result<SessionInputValue<'static>> {
    refuse_nulls(array, place)?;
    let Some(values): Option<&StringArray> = array.as_string_opt::<i32>() else {
        return Err(Error::input(format!("a value of {} cannot feed a string tensor", spelled(array.data_type()))));
    };
    let texts: Vec<String> = (place.start..place.start + place.rows).map(|row| values.value(row).to_owned()).collect();
    let tensor = Tensor::from_string_array((shape, &texts[..]))
        .map_err(|error| Error::input(format!("a text cannot feed a string tensor: {}", error.message())))?;
    Ok(SessionInputValue::Owned(tensor.into_dyn()))
}

fn refuse_nulls(array: &ArrayRef, place: Place) -> Result<()> {
    let is_null = |row: usize| array.is_null(row);
    if array.null_count() > 0 && (place.start..place.start + place.rows).any(is_null) {
        return Err(Error::input(
            "null cannot feed this tensor, only float tensors take it (as NaN); give the column a default, or export the model with a float input",
        ));
    }
    Ok(())
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
