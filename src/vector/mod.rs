//! From the features of entity keys and the columns of a request to a vector's columns: the one way there is, for the
//! stream scorer, lookups and training sets alike. Must never read state: features are handed in.

mod convert;

use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{is_not_null, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::{Error, Result};
use crate::plan::{ColumnSource, Vector, VectorColumn};
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

/// A vector's columns for `rows` rows.
///
/// `features` are row-major, `rows` times `feature_width`; `request` has one array of `rows` values for each request
/// column. The answer has `schema(vector)`.
///
/// # Errors
/// `Input` when a derived column cannot be computed for some row (an overflow, a bad cast): it names the column.
pub fn assemble(vector: &Vector, features: &[Value], request: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
    let width = feature_width(vector);
    if features.len() != rows * width || request.len() != vector.request.len() {
        return Err(Error::internal(format!(
            "vector {}: {} features and {} request columns for {rows} rows",
            vector.name,
            features.len(),
            request.len()
        )));
    }
    let types = vector.frame.fields()[..width].iter().map(|field| field.data_type());
    let mut frame = convert::arrays_of_rows(types, features, rows)?;
    frame.extend(request.iter().cloned());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let seen = || RecordBatch::try_new_with_options(Arc::clone(&vector.frame), frame.clone(), &options);
    let column = |column: &VectorColumn| -> Result<ArrayRef> {
        let array = match &column.from {
            ColumnSource::Frame(index) => Arc::clone(&frame[*index]),
            ColumnSource::Derived(expression) => {
                expression.evaluate(&seen()?).map_err(|error| error.context(format!("vector {}, column {}", vector.name, column.name)))?
            }
        };
        match &column.default {
            Some(default) if array.null_count() > 0 => with_default(&array, column, default),
            _ => Ok(array),
        }
    };
    let columns = vector.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new_with_options(schema(vector), columns, &options)?)
}

fn with_default(array: &ArrayRef, column: &VectorColumn, default: &Value) -> Result<ArrayRef> {
    let one = array_of(&column.data_type, std::iter::once(default))?;
    let filled = take(&one, &UInt32Array::from(vec![0; array.len()]), None)?;
    Ok(zip(&is_not_null(array)?, array, &filled)?)
}

#[cfg(test)]
mod tests;
