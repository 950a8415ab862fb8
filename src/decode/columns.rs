//! Arrow columns that grow row by row: a row is appended whole or not at all, so that columns never get out of step.

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListArray, NullBufferBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use std::sync::Arc;

use super::json::{Fields, Row, Slot};
use crate::error::{Error, Result};
use crate::value::DataType;

pub(super) struct Columns(Vec<Column>);

enum Column {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    List { items: Box<Column>, lengths: Vec<usize>, valid: NullBufferBuilder },
}

impl Columns {
    /// Empty columns for so many rows. Input error when a field has a type that no record can hold.
    pub fn new(fields: &Fields, rows: usize) -> Result<Self> {
        let column = |(name, data_type): (&str, &DataType)| {
            let unread = || Error::input(format!("field {name}: type {data_type} is not read from records; declare another type"));
            Column::of(data_type, rows).ok_or_else(unread)
        };
        fields.iter().map(column).collect::<Result<_>>().map(Self)
    }

    pub fn push(&mut self, row: &Row) {
        for (column, slot) in self.0.iter_mut().zip(&row.slots) {
            column.push(slot, row);
        }
    }

    pub fn finish(self) -> Vec<ArrayRef> {
        self.0.into_iter().map(Column::finish).collect()
    }
}

impl Column {
    /// `None` for a type that no record can hold.
    fn of(data_type: &DataType, rows: usize) -> Option<Self> {
        Some(match data_type {
            DataType::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            DataType::Int => Self::Int(Int64Builder::with_capacity(rows)),
            DataType::Float => Self::Float(Float64Builder::with_capacity(rows)),
            DataType::Text => Self::Text(StringBuilder::with_capacity(rows, 16 * rows)),
            DataType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows)),
            DataType::List(item) => {
                Self::List { items: Box::new(Self::of(item, 0)?), lengths: Vec::with_capacity(rows), valid: NullBufferBuilder::new(rows) }
            }
            DataType::Map(_) | DataType::Struct(_) => return None,
        })
    }

    fn push(&mut self, slot: &Slot, row: &Row) {
        match (self, slot) {
            (Self::Bool(column), Slot::Bool(value)) => column.append_value(*value),
            (Self::Int(column), Slot::Int(value)) => column.append_value(*value),
            (Self::Float(column), Slot::Float(value)) => column.append_value(*value),
            (Self::Text(column), Slot::Text(range)) => column.append_value(&row.text[range.clone()]),
            (Self::Timestamp(column), Slot::Timestamp(value)) => column.append_value(*value),
            (Self::List { items, lengths, valid }, Slot::List(range)) => {
                row.items[range.clone()].iter().for_each(|item| items.push(item, row));
                lengths.push(range.len());
                valid.append_non_null();
            }
            (column, _) => column.push_null(),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Bool(column) => column.append_null(),
            Self::Int(column) => column.append_null(),
            Self::Float(column) => column.append_null(),
            Self::Text(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
            Self::List { lengths, valid, .. } => {
                lengths.push(0);
                valid.append_null();
            }
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Bool(mut column) => Arc::new(column.finish()),
            Self::Int(mut column) => Arc::new(column.finish()),
            Self::Float(mut column) => Arc::new(column.finish()),
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Timestamp(mut column) => Arc::new(column.finish()),
            Self::List { items, lengths, mut valid } => {
                let items = items.finish();
                let field = Arc::new(Field::new("item", items.data_type().clone(), true));
                Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, valid.finish()))
            }
        }
    }
}
