//! From the features of entity keys and the columns of a request to a vector's columns: the one way there is, for the
//! stream scorer, lookups and training sets alike. Must never read state: features are handed in.

mod convert;

use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{is_not_null, take};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::{Error, Result};
use crate::plan::{ColumnSource, Expression, Vector, VectorColumn};
use crate::value::Value;

pub use convert::{array_of, value_at};

/// The vector's columns in order, every one nullable.
#[must_use]
pub fn schema(vector: &Vector) -> SchemaRef {
    Arc::clone(&vector.schema)
}

/// How many of the frame's columns are features: those of all reads, one read after another.
#[must_use]
pub fn feature_width(vector: &Vector) -> usize {
    vector.reads.iter().map(|read| read.features.len()).sum()
}

/// Where the features of a read start in the frame.
#[must_use]
pub fn read_offset(vector: &Vector, read: usize) -> usize {
    vector.reads[..read].iter().map(|read| read.features.len()).sum()
}

/// Rows of a vector as plain values. A lookup asks for few, and an array for a value costs several times what the value does.
#[derive(Clone, Debug)]
pub struct Rows {
    /// That of the vector.
    pub schema: SchemaRef,
    pub count: usize,
    /// Row by row.
    values: Vec<Value>,
}

impl Rows {
    /// Each row's values, in the order of the schema.
    pub fn iter(&self) -> impl Iterator<Item = &[Value]> {
        let width = self.schema.fields().len();
        (0..self.count).map(move |row| &self.values[row * width..][..width])
    }

    /// # Errors
    /// `Internal` for a value that is not of its column's type.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        batch_of(&self.schema, convert::arrays_of_rows(types(&self.schema), &self.values, self.count)?, self.count)
    }
}

/// The features of `rows` rows as columns; `values` are row-major, `rows` times `feature_width`.
///
/// # Errors
/// `Internal` for a value that is not of its column's type.
pub fn feature_columns(vector: &Vector, values: &[Value], rows: usize) -> Result<Vec<ArrayRef>> {
    let width = feature_width(vector);
    if values.len() != rows * width {
        return Err(misshapen(vector, values.len(), vector.request.len(), rows));
    }
    convert::arrays_of_rows(types(&vector.frame).take(width), values, rows)
}

/// A vector's columns for `rows` rows, of one array of `rows` values for each feature and for each request column. The
/// answer has `schema(vector)`.
///
/// A derived column that cannot be computed for some row (an overflow, a bad cast) is null there; no row fails alone.
///
/// # Errors
/// `Internal` for columns that are not those of the vector.
pub fn assemble(vector: &Vector, features: &[ArrayRef], request: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
    let frame = frame(vector, features, request, rows)?;
    let column = |column: &VectorColumn| -> Result<ArrayRef> {
        let array = match &column.from {
            ColumnSource::Frame(index) => Arc::clone(frame.column(*index)),
            ColumnSource::Derived(expression) => derived(vector, column, expression, &frame)?,
        };
        match &column.default {
            Some(default) if array.null_count() > 0 => with_default(&array, column, default),
            _ => Ok(array),
        }
    };
    batch_of(&vector.schema, vector.columns.iter().map(column).collect::<Result<_>>()?, rows)
}

/// The same of values and as values, all row-major: `rows` times `feature_width`, and `rows` times the request columns.
/// Arrays are made only for what expressions read.
///
/// # Errors
/// As `assemble`.
pub fn assemble_rows(vector: &Vector, features: &[Value], request: &[Value], rows: usize) -> Result<Rows> {
    let (width, given) = (feature_width(vector), vector.request.len());
    if features.len() != rows * width || request.len() != rows * given {
        return Err(misshapen(vector, features.len(), request.len(), rows));
    }
    let computed = |column: &VectorColumn, frame: &RecordBatch| match &column.from {
        ColumnSource::Frame(_) => Ok(None),
        ColumnSource::Derived(expression) => derived(vector, column, expression, frame).map(Some),
    };
    let computed = if vector.columns.iter().any(|column| matches!(column.from, ColumnSource::Derived(_))) {
        let request = convert::arrays_of_rows(types(&vector.frame).skip(width), request, rows)?;
        let frame = frame(vector, &feature_columns(vector, features, rows)?, &request, rows)?;
        vector.columns.iter().map(|column| computed(column, &frame)).collect::<Result<_>>()?
    } else {
        vec![None; vector.columns.len()]
    };
    let mut values = Vec::with_capacity(rows * vector.columns.len());
    for row in 0..rows {
        for (column, computed) in vector.columns.iter().zip(&computed) {
            let value = match (&column.from, computed) {
                (_, Some(array)) => value_at(array.as_ref(), row),
                (ColumnSource::Frame(index), None) if *index < width => features[row * width + index].clone(),
                (ColumnSource::Frame(index), None) => request[row * given + index - width].clone(),
                (ColumnSource::Derived(_), None) => Value::Null,
            };
            values.push(match &column.default {
                Some(default) if value.is_null() => default.clone(),
                _ => value,
            });
        }
    }
    Ok(Rows { schema: schema(vector), count: rows, values })
}

/// What the expressions of a vector see: its features, then its request columns.
fn frame(vector: &Vector, features: &[ArrayRef], request: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
    if features.len() != feature_width(vector) || request.len() != vector.request.len() {
        return Err(misshapen(vector, features.len(), request.len(), rows));
    }
    batch_of(&vector.frame, features.iter().chain(request).cloned().collect(), rows)
}

fn misshapen(vector: &Vector, features: usize, request: usize, rows: usize) -> Error {
    Error::internal(format!("vector {}: {features} features and {request} of the request for {rows} rows", vector.name))
}

fn types(schema: &SchemaRef) -> impl ExactSizeIterator<Item = &DataType> {
    schema.fields().iter().map(|field| field.data_type())
}

fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn derived(vector: &Vector, column: &VectorColumn, expression: &Expression, frame: &RecordBatch) -> Result<ArrayRef> {
    expression.evaluate(frame).map_err(|error| error.context(format!("vector {}, column {}", vector.name, column.name)))
}

fn with_default(array: &ArrayRef, column: &VectorColumn, default: &Value) -> Result<ArrayRef> {
    let one = array_of(&column.data_type, std::iter::once(default))?;
    let filled = take(&one, &UInt32Array::from(vec![0; array.len()]), None)?;
    Ok(zip(&is_not_null(array)?, array, &filled)?)
}

#[cfg(test)]
mod tests;
