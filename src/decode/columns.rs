//! Arrow columns that grow row by row: a row is appended whole or not at all, so that columns never get out of step.

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
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
}

impl Columns {
    /// Empty columns for so many rows. Input error when a field has a type that no record can hold.
    pub fn new(fields: &Fields, rows: usize) -> Result<Self> {
        let column = |(name, data_type): (&str, &DataType)| match data_type {
            DataType::Bool => Ok(Column::Bool(BooleanBuilder::with_capacity(rows))),
            DataType::Int => Ok(Column::Int(Int64Builder::with_capacity(rows))),
            DataType::Float => Ok(Column::Float(Float64Builder::with_capacity(rows))),
            DataType::Text => Ok(Column::Text(StringBuilder::with_capacity(rows, 16 * rows))),
            DataType::Timestamp => Ok(Column::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows))),
            DataType::List(_) | DataType::Map(_) => {
                Err(Error::input(format!("field {name}: type {data_type} is not read from records; declare a scalar type")))
            }
        };
        fields.iter().map(column).collect::<Result<_>>().map(Self)
    }

    pub fn push(&mut self, row: &Row) {
        for (column, slot) in self.0.iter_mut().zip(&row.slots) {
            match (column, slot) {
                (Column::Bool(column), Slot::Bool(value)) => column.append_value(*value),
                (Column::Int(column), Slot::Int(value)) => column.append_value(*value),
                (Column::Float(column), Slot::Float(value)) => column.append_value(*value),
                (Column::Text(column), Slot::Text(range)) => column.append_value(&row.text[range.clone()]),
                (Column::Timestamp(column), Slot::Timestamp(value)) => column.append_value(*value),
                (column, _) => column.push_null(),
            }
        }
    }

    pub fn finish(self) -> Vec<ArrayRef> {
        self.0.into_iter().map(Column::finish).collect()
    }
}

impl Column {
    fn push_null(&mut self) {
        match self {
            Self::Bool(column) => column.append_null(),
            Self::Int(column) => column.append_null(),
            Self::Float(column) => column.append_null(),
            Self::Text(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Bool(mut column) => Arc::new(column.finish()),
            Self::Int(mut column) => Arc::new(column.finish()),
            Self::Float(mut column) => Arc::new(column.finish()),
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Timestamp(mut column) => Arc::new(column.finish()),
        }
    }
}
