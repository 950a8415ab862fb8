//! Between the oracle's cells and the engine's columns and values.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};
use forebay::Value;

use crate::oracle::{Cell, Event};

/// The events' cells as a batch of this schema.
///
/// # Panics
/// When a cell is not of its column's type.
#[must_use]
pub fn batch(schema: &SchemaRef, events: &[Event]) -> RecordBatch {
    let column = |index: usize, data_type: &DataType| -> ArrayRef {
        let cells = events.iter().map(|event| &event.cells[index]);
        match data_type {
            DataType::Boolean => {
                Arc::new(cells.map(|cell| if let Cell::Bool(v) = cell { Some(*v) } else { None }).collect::<BooleanArray>())
            }
            DataType::Int64 => Arc::new(cells.map(|cell| if let Cell::Int(v) = cell { Some(*v) } else { None }).collect::<Int64Array>()),
            DataType::Float64 => {
                Arc::new(cells.map(|cell| if let Cell::Float(v) = cell { Some(*v) } else { None }).collect::<Float64Array>())
            }
            DataType::Utf8 => {
                Arc::new(cells.map(|cell| if let Cell::Text(v) = cell { Some(v.as_str()) } else { None }).collect::<StringArray>())
            }
            DataType::Timestamp(..) => {
                Arc::new(cells.map(|cell| if let Cell::Time(v) = cell { Some(*v) } else { None }).collect::<TimestampMicrosecondArray>())
            }
            DataType::List(item) if *item.data_type() == DataType::Float64 => {
                let number = |cell: &Cell| if let Cell::Float(v) = cell { Some(*v) } else { None };
                Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(cells.map(|cell| elements(cell, number))))
            }
            DataType::List(item) if *item.data_type() == DataType::Int64 => {
                let number = |cell: &Cell| if let Cell::Int(v) = cell { Some(*v) } else { None };
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(cells.map(|cell| elements(cell, number))))
            }
            other => panic!("no cells of type {other}"),
        }
    };
    let columns = schema.fields().iter().enumerate().map(|(index, field)| column(index, field.data_type())).collect();
    RecordBatch::try_new(schema.clone(), columns).expect("columns of the schema's types")
}

/// The elements of a list; `None` where the cell is null.
fn elements<T>(cell: &Cell, number: impl Fn(&Cell) -> Option<T>) -> Option<Vec<Option<T>>> {
    if let Cell::List(items) = cell { Some(items.iter().map(number).collect()) } else { None }
}

/// A value of the engine as the oracle writes it.
#[must_use]
pub fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(v) => Cell::Bool(*v),
        Value::Int(v) => Cell::Int(*v),
        Value::Float(v) => Cell::Float(*v),
        Value::Text(v) => Cell::Text(v.to_string()),
        Value::Timestamp(v) => Cell::Time(*v),
        Value::List(items) => Cell::List(items.iter().map(cell).collect()),
        Value::Struct(fields) => Cell::Struct(fields.iter().map(|(name, value)| (name.to_string(), cell(value))).collect()),
        Value::Map(entries) => Cell::Map(entries.iter().map(|(key, value)| (key.to_string(), cell(value))).collect()),
    }
}
