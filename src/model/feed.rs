//! Input tensors that are allocated once and filled from Arrow columns for every call. Numbers are cast, never
//! parsed: what a column may feed is written in the table of `docs/models.md`. Must never run a model.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType as ArrowType, Float16Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor};

use crate::error::{Error, Result};
use crate::plan::{Element, FedColumn, Feeding, InputFeed};

pub type Half = <Float16Type as ArrowPrimitiveType>::Native;

const SECONDS_PER_MICROSECOND: f64 = 1e-6;

/// The input tensors of calls with one number of rows.
pub struct Feed {
    rows: usize,
    tensors: Vec<SessionInputValue<'static>>,
}

impl Feed {
    /// Tensors of zeros for `rows` rows.
    pub fn new(feeding: &Feeding, rows: usize) -> Result<Self> {
        Ok(Self { rows, tensors: feeding.inputs.iter().map(|input| zeros(input.element, shape(input, rows))).collect::<Result<_>>()? })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// In the order of the model's inputs.
    pub fn tensors(&self) -> &[SessionInputValue<'static>] {
        &self.tensors
    }

    /// Takes this feed's number of rows of `batch` from row `start` on; none of them is `refused`.
    pub fn fill(&mut self, feeding: &Feeding, batch: &RecordBatch, start: usize) -> Result<()> {
        for (tensor, input) in self.tensors.iter_mut().zip(&feeding.inputs) {
            let rows = self.rows;
            let target = |offset| Target { start, rows, stride: input.width(), offset };
            if input.element == Element::Text {
                *tensor = texts(input, batch, &target)?;
                continue;
            }
            let SessionInputValue::Owned(tensor) = tensor else { return Err(Error::internal("a model's input tensor is not its own")) };
            let mut offset = 0;
            for column in &input.columns {
                fill(tensor, input.element, &Cells::of(batch, column)?, target(offset))?;
                offset += column.width();
            }
        }
        Ok(())
    }
}

/// The values of a column, of which each row has one, or a list of `items`.
struct Cells<'a> {
    column: &'a ArrayRef,
    /// What the lists are of, or the column itself.
    values: &'a ArrayRef,
    /// Where the list of each row starts in `values`.
    starts: Option<&'a [i32]>,
    items: usize,
}

impl<'a> Cells<'a> {
    fn of(batch: &'a RecordBatch, fed: &FedColumn) -> Result<Self> {
        let column = batch.column(fed.place);
        match (fed.items, column.as_list_opt::<i32>()) {
            (None, None) => Ok(Self { column, values: column, starts: None, items: 1 }),
            (Some(items), Some(lists)) => Ok(Self { column, values: lists.values(), starts: Some(lists.value_offsets()), items }),
            _ => Err(Error::internal(format!(
                "column {:?} is not what the model was opened for",
                batch.schema_ref().field(fed.place).name()
            ))),
        }
    }

    /// Where an item of a row is among the values; `None` for null.
    fn place(&self, row: usize, item: usize) -> Option<usize> {
        let place = match self.starts {
            None => row,
            Some(_) if self.column.is_null(row) => return None,
            Some(starts) => starts[row] as usize + item,
        };
        self.values.is_valid(place).then_some(place)
    }

    /// How long the list of a row is.
    fn length(&self, row: usize) -> usize {
        self.starts.map_or(1, |starts| (starts[row + 1] - starts[row]) as usize)
    }

    /// Hands every value to where it goes in the tensor; null is `None`.
    fn each(&self, target: Target, mut put: impl FnMut(usize, Option<usize>)) {
        for row in 0..target.rows {
            for item in 0..self.items {
                put(row * target.stride + target.offset + item, self.place(target.start + row, item));
            }
        }
    }
}

/// Which rows are taken and where their values go.
#[derive(Clone, Copy)]
struct Target {
    start: usize,
    rows: usize,
    stride: usize,
    offset: usize,
}

const NULL: &str =
    "null cannot feed this tensor, only float tensors take it (as NaN); give the column a default, or export the model with a float input";
const NULL_TEXT: &str = "null cannot feed a tensor of texts; give the column a default";

/// The rows that cannot feed the model, each with the column and why.
pub fn refused(feeding: &Feeding, batch: &RecordBatch) -> Result<BTreeMap<usize, Error>> {
    let mut refused = BTreeMap::new();
    for input in &feeding.inputs {
        for fed in &input.columns {
            let name = batch.schema_ref().field(fed.place).name();
            let mut refuse = |row: usize, why: String| {
                refused.entry(row).or_insert_with(|| Error::input(format!("column {name:?}: {why}")));
            };
            misfits(input, &Cells::of(batch, fed)?, batch.num_rows(), &mut refuse);
        }
    }
    Ok(refused)
}

fn misfits(input: &InputFeed, cells: &Cells<'_>, rows: usize, refuse: &mut impl FnMut(usize, String)) {
    if cells.starts.is_some() {
        for row in (0..rows).filter(|row| cells.column.is_valid(*row) && cells.length(*row) != cells.items) {
            refuse(
                row,
                format!("a list of {} cannot feed input `{}`, which takes lists of {}", cells.length(row), input.name, cells.items),
            );
        }
    }
    // Lists of another length were refused.
    let all = || (0..rows).filter(|row| cells.starts.is_none() || cells.column.is_null(*row) || cells.length(*row) == cells.items);
    let items = |row: usize| (0..cells.items).map(move |item| cells.place(row, item));
    if is_float(input.element) {
        let (doubles, integers) = (cells.values.as_primitive_opt::<Float64Type>(), cells.values.as_primitive_opt::<Int64Type>());
        let is_any = doubles.is_some_and(|doubles| doubles.values().iter().any(|value| overflows(input.element, *value)))
            || integers.is_some_and(|integers| integers.values().iter().any(|value| overflows(input.element, *value as f64)));
        for row in all().filter(|_| is_any) {
            let shown = |place: usize| match (doubles, integers) {
                (Some(doubles), _) => overflows(input.element, doubles.value(place)).then(|| format!("{:?}", doubles.value(place))),
                (_, Some(integers)) => overflows(input.element, integers.value(place) as f64).then(|| integers.value(place).to_string()),
                _ => None,
            };
            if let Some(value) = items(row).flatten().find_map(shown) {
                refuse(row, format!("{value} is too large for the model's {} tensor", spelled(input.element)));
            }
        }
        return;
    }
    let null = if input.element == Element::Text { NULL_TEXT } else { NULL };
    if cells.column.null_count() > 0 || cells.values.null_count() > 0 {
        all().filter(|row| items(*row).any(|place| place.is_none())).for_each(|row| refuse(row, null.to_owned()));
    }
    if let (Some((least, most)), Some(values)) = (bounds(input.element), integers(cells.values)) {
        for row in all() {
            if let Some(value) = items(row).flatten().map(|place| values[place]).find(|value| !(least..=most).contains(value)) {
                refuse(row, format!("{value} does not fit the model's {} tensor", spelled(input.element)));
            }
        }
    }
    if let (Element::Text, Some(texts)) = (input.element, cells.values.as_string_opt::<i32>()) {
        for row in all().filter(|row| items(*row).flatten().any(|place| texts.value(place).contains('\0'))) {
            refuse(row, "a text with a NUL character cannot feed a string tensor".to_owned());
        }
    }
}

/// Whether a finite number would be infinite in floats of this size.
fn overflows(element: Element, value: f64) -> bool {
    match element {
        Element::Float16 => value.is_finite() && Half::from_f64(value).is_infinite(),
        Element::Float32 => value.is_finite() && (value as f32).is_infinite(),
        _ => false,
    }
}

fn is_float(element: Element) -> bool {
    matches!(element, Element::Float16 | Element::Float32 | Element::Float64)
}

/// What fits an integer tensor, where not every bigint does.
fn bounds(element: Element) -> Option<(i64, i64)> {
    match element {
        Element::Int8 => Some((i8::MIN.into(), i8::MAX.into())),
        Element::Int16 => Some((i16::MIN.into(), i16::MAX.into())),
        Element::Int32 => Some((i32::MIN.into(), i32::MAX.into())),
        Element::UInt8 => Some((0, u8::MAX.into())),
        Element::UInt16 => Some((0, u16::MAX.into())),
        Element::UInt32 => Some((0, u32::MAX.into())),
        Element::UInt64 => Some((0, i64::MAX)),
        _ => None,
    }
}

fn spelled(element: Element) -> &'static str {
    match element {
        Element::Float16 => "float16",
        Element::Float32 => "float32",
        Element::Int8 => "int8",
        Element::Int16 => "int16",
        Element::Int32 => "int32",
        Element::UInt8 => "uint8",
        Element::UInt16 => "uint16",
        Element::UInt32 => "uint32",
        _ => "uint64",
    }
}

/// The numbers of a column of bigints or timestamps (microseconds).
fn integers(array: &ArrayRef) -> Option<&[i64]> {
    match array.data_type() {
        ArrowType::Int64 => Some(array.as_primitive::<Int64Type>().values()),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => Some(array.as_primitive::<TimestampMicrosecondType>().values()),
        _ => None,
    }
}

fn shape(input: &InputFeed, rows: usize) -> Vec<usize> {
    if input.is_flat { vec![rows] } else { vec![rows, input.width()] }
}

fn zeros(element: Element, shape: Vec<usize>) -> Result<SessionInputValue<'static>> {
    fn of<T: PrimitiveTensorElementType + Clone + Default + std::fmt::Debug + 'static>(shape: Vec<usize>) -> ort::Result<DynValue> {
        let count = shape.iter().product();
        Tensor::from_array((shape, vec![T::default(); count])).map(Tensor::into_dyn)
    }
    let value = match element {
        Element::Float16 => of::<Half>(shape),
        Element::Float32 => of::<f32>(shape),
        Element::Float64 => of::<f64>(shape),
        Element::Int8 => of::<i8>(shape),
        Element::Int16 => of::<i16>(shape),
        Element::Int32 => of::<i32>(shape),
        Element::Int64 => of::<i64>(shape),
        Element::UInt8 => of::<u8>(shape),
        Element::UInt16 => of::<u16>(shape),
        Element::UInt32 => of::<u32>(shape),
        Element::UInt64 => of::<u64>(shape),
        Element::Bool => of::<bool>(shape),
        Element::Text | Element::Other => {
            let count = shape.iter().product();
            Tensor::from_string_array((shape, &*vec![""; count])).map(Tensor::into_dyn)
        }
    };
    Ok(SessionInputValue::Owned(value.map_err(|error| internal(&error))?))
}

fn internal(error: &ort::Error) -> Error {
    Error::internal(format!("onnx runtime: {}", error.message()))
}

fn unmatched(array: &ArrayRef) -> Error {
    Error::internal(format!("a column of {} was not matched with what it feeds", array.data_type()))
}

fn fill(tensor: &mut DynValue, element: Element, cells: &Cells<'_>, target: Target) -> Result<()> {
    match element {
        Element::Float16 => floats(tensor, cells, target, Half::from_f64),
        Element::Float32 => floats(tensor, cells, target, |value| value as f32),
        Element::Float64 => floats(tensor, cells, target, |value| value),
        Element::Int8 => whole(tensor, cells, target, |value| value as i8),
        Element::Int16 => whole(tensor, cells, target, |value| value as i16),
        Element::Int32 => whole(tensor, cells, target, |value| value as i32),
        Element::Int64 => whole(tensor, cells, target, |value| value),
        Element::UInt8 => whole(tensor, cells, target, |value| value as u8),
        Element::UInt16 => whole(tensor, cells, target, |value| value as u16),
        Element::UInt32 => whole(tensor, cells, target, |value| value as u32),
        Element::UInt64 => whole(tensor, cells, target, |value| value as u64),
        Element::Bool => {
            let values = cells.values.as_boolean_opt().ok_or_else(|| unmatched(cells.values))?;
            let (_, out) = tensor.try_extract_tensor_mut::<bool>().map_err(|error| internal(&error))?;
            cells.each(target, |at, place| out[at] = place.is_some_and(|place| values.value(place)));
            Ok(())
        }
        Element::Text | Element::Other => Err(Error::internal("a tensor of texts is made anew for each call")),
    }
}

/// Numbers as they are, booleans as 0 and 1, timestamps as seconds since the epoch; null is NaN.
fn floats<T: PrimitiveTensorElementType>(
    tensor: &mut DynValue,
    cells: &Cells<'_>,
    target: Target,
    narrow: impl Fn(f64) -> T,
) -> Result<()> {
    let (_, out) = tensor.try_extract_tensor_mut::<T>().map_err(|error| internal(&error))?;
    let mut each = |value: &dyn Fn(usize) -> f64| cells.each(target, |at, place| out[at] = narrow(place.map_or(f64::NAN, value)));
    match cells.values.data_type() {
        ArrowType::Float64 => {
            let values = cells.values.as_primitive::<Float64Type>().values();
            each(&|place| values[place]);
        }
        ArrowType::Int64 => {
            let values = cells.values.as_primitive::<Int64Type>().values();
            each(&|place| values[place] as f64);
        }
        ArrowType::Boolean => {
            let values = cells.values.as_boolean();
            each(&|place| f64::from(u8::from(values.value(place))));
        }
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = cells.values.as_primitive::<TimestampMicrosecondType>().values();
            each(&|place| values[place] as f64 * SECONDS_PER_MICROSECOND);
        }
        _ => return Err(unmatched(cells.values)),
    }
    Ok(())
}

/// Integers and timestamps (microseconds) as they are, booleans as 0 and 1; what does not fit was refused.
fn whole<T: PrimitiveTensorElementType>(tensor: &mut DynValue, cells: &Cells<'_>, target: Target, narrow: impl Fn(i64) -> T) -> Result<()> {
    let (_, out) = tensor.try_extract_tensor_mut::<T>().map_err(|error| internal(&error))?;
    match (integers(cells.values), cells.values.as_boolean_opt()) {
        (Some(values), _) => cells.each(target, |at, place| out[at] = narrow(place.map_or(0, |place| values[place]))),
        (_, Some(values)) => cells.each(target, |at, place| out[at] = narrow(place.map_or(0, |place| i64::from(values.value(place))))),
        _ => return Err(unmatched(cells.values)),
    }
    Ok(())
}

/// String tensors cannot be refilled in place: a new one.
fn texts(input: &InputFeed, batch: &RecordBatch, target: &dyn Fn(usize) -> Target) -> Result<SessionInputValue<'static>> {
    let mut texts = vec![String::new(); target(0).rows * input.width()];
    let mut offset = 0;
    for column in &input.columns {
        let cells = Cells::of(batch, column)?;
        let values: &StringArray = cells.values.as_string_opt::<i32>().ok_or_else(|| unmatched(cells.values))?;
        cells.each(target(offset), |at, place| {
            if let Some(place) = place {
                values.value(place).clone_into(&mut texts[at]);
            }
        });
        offset += column.width();
    }
    let tensor = Tensor::from_string_array((shape(input, target(0).rows), &texts[..])).map_err(|error| internal(&error))?;
    Ok(SessionInputValue::Owned(tensor.into_dyn()))
}
