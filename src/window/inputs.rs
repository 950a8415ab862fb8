//! The inputs and filters of a batch, evaluated once and laid out as the rows of states, for all keys that it touches.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use smallvec::SmallVec;

use super::layout::{Layout, RowShape};
use crate::aggregate::{Kind, META, PACKED_MAX, Rows, biased, pack};
use crate::error::{Error, Result};
use crate::id::Position;
use crate::plan::{Expression, View};
use crate::value::DataType;

/// All inputs and filters of a batch: one row of words per event, without its place.
pub struct Inputs {
    /// Words per event: a row of the view's shape from its flags on.
    width: usize,
    words: Vec<u64>,
    /// The columns of inputs that are text, or lists as text, in the order of inputs.
    texts: Vec<StringArray>,
    /// For each filter, where it is among an event's words.
    filters: Box<[(usize, u64)]>,
}

/// One event as a row; its texts are its own.
pub(super) struct Event {
    words: SmallVec<[u64; 12]>,
    texts: SmallVec<[Arc<str>; 1]>,
}

impl Inputs {
    /// Evaluates the view's inputs and filters on a batch of its source's own columns. An `Input` error says which
    /// expression could not be computed.
    pub fn evaluate(view: &View, own: &RecordBatch) -> Result<Self> {
        let shape = RowShape::of(view);
        let width = shape.stride - META;
        let flag = |filter: usize| {
            let (word, flag) = shape.filter_flag(filter);
            (word - META, flag)
        };
        let filters = (0..view.filters.len()).map(flag).collect();
        let mut inputs = Self { width, words: vec![0; own.num_rows() * width], texts: Vec::new(), filters };
        for (index, input) in view.inputs.iter().enumerate() {
            let column = column(input, own)?;
            let (flag_word, flag) = RowShape::input_flag(index);
            inputs.put_column(&column, shape.kinds[index], shape.inputs_at + index - META, flag_word - META, flag, input)?;
        }
        for (index, filter) in view.filters.iter().enumerate() {
            let column = column(filter, own)?;
            let holds = column.as_boolean_opt().ok_or_else(|| wrong_type(filter, &column))?;
            let (flag_word, flag) = shape.filter_flag(index);
            for (row, words) in inputs.words.chunks_exact_mut(width).enumerate() {
                if holds.is_valid(row) && holds.value(row) {
                    words[flag_word - META] |= flag;
                }
            }
        }
        Ok(inputs)
    }

    fn put_column(&mut self, column: &ArrayRef, kind: Kind, at: usize, flag_at: usize, flag: u64, input: &Expression) -> Result<()> {
        let wrong = || wrong_type(input, column);
        match kind {
            Kind::Bool => {
                let values = column.as_boolean_opt().ok_or_else(wrong)?;
                self.put_words(column, at, flag_at, flag, |row| u64::from(values.value(row)));
            }
            Kind::Int => {
                let values = column.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
                self.put_words(column, at, flag_at, flag, |row| values.value(row) as u64);
            }
            Kind::Float => {
                let values = column.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
                self.put_words(column, at, flag_at, flag, |row| values.value(row).to_bits());
            }
            Kind::Timestamp => {
                let values = column.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
                self.put_words(column, at, flag_at, flag, |row| values.value(row) as u64);
            }
            Kind::Text => {
                let texts = match &input.data_type {
                    DataType::List(item) => packed(column, Kind::of(item), input)?,
                    _ => column.as_string_opt::<i32>().cloned(),
                };
                self.put_words(column, at, flag_at, flag, |_| 0);
                self.texts.push(texts.ok_or_else(wrong)?);
            }
        }
        Ok(())
    }

    fn put_words(&mut self, column: &ArrayRef, at: usize, flag_at: usize, flag: u64, word: impl Fn(usize) -> u64) {
        for (row, words) in self.words.chunks_exact_mut(self.width).enumerate() {
            if column.is_valid(row) {
                words[at] = word(row);
                words[flag_at] |= flag;
            }
        }
    }

    /// Whether a filter of the view holds for the event in that row of the batch.
    #[must_use]
    pub fn passes(&self, filter: usize, row: usize) -> bool {
        let (word, flag) = self.filters[filter];
        self.words[row * self.width + word] & flag != 0
    }

    /// The event in that row of the batch.
    #[inline]
    pub(super) fn event(&self, layout: &Layout, at: Position, row: usize) -> Event {
        let tail = &self.words[row * self.width..(row + 1) * self.width];
        let mut words = SmallVec::new();
        words.extend_from_slice(&[biased(at.time.0), at.offset.0]);
        words.extend_from_slice(tail);
        words[META] |= u64::from(at.partition.0) << 32;
        let mut texts = SmallVec::new();
        for ((word, _), column) in layout.texts.iter().zip(&self.texts) {
            if column.is_valid(row) {
                words[*word] = texts.len() as u64;
                texts.push(Arc::from(column.value(row)));
            }
        }
        Event { words, texts }
    }
}

impl Event {
    #[inline]
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows { words: &self.words, stride: self.words.len(), texts: &self.texts }
    }
}

fn column(expression: &Expression, own: &RecordBatch) -> Result<ArrayRef> {
    let column = expression.evaluate(own).map_err(|error| error.context(format!("computing {}", expression.text)))?;
    if column.len() == own.num_rows() {
        return Ok(column);
    }
    Err(Error::internal(format!("{}: {} values for {} rows", expression.text, column.len(), own.num_rows())))
}

/// Lists of numbers as the texts that rows hold; `None` where the column has none. Input error where the batch is too large
/// for a column of them.
fn packed(column: &ArrayRef, kind: Kind, expression: &Expression) -> Result<Option<StringArray>> {
    let Some(lists) = column.as_list_opt::<i32>() else { return Ok(None) };
    let elements: usize = (0..lists.len()).map(|row| lists.value_length(row) as usize).sum();
    if elements > PACKED_MAX {
        return Err(Error::input(format!(
            "{} has {elements} elements in one batch, at most {PACKED_MAX} can be folded at once",
            expression.text
        )));
    }
    let (doubles, integers) = (lists.values().as_primitive_opt::<Float64Type>(), lists.values().as_primitive_opt::<Int64Type>());
    let word = |element: usize| match (kind, doubles, integers) {
        (Kind::Float, Some(doubles), _) => Some(doubles.value(element).to_bits()),
        (Kind::Int, _, Some(integers)) => Some(integers.value(element) as u64),
        _ => None,
    };
    let text = |row: usize| {
        let mut text = String::new();
        let (from, to) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
        for element in from..to {
            pack(&mut text, if lists.values().is_valid(element) { word(element) } else { None });
        }
        text
    };
    Ok(Some((0..lists.len()).map(|row| lists.is_valid(row).then(|| text(row))).collect()))
}

fn wrong_type(expression: &Expression, column: &ArrayRef) -> Error {
    Error::internal(format!("{expression:?} gave values of type {}", column.data_type()))
}
