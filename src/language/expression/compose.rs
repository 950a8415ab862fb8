//! Expressions over columns of which some are expressions themselves. Each part is evaluated by itself, so that what has
//! no value (null) or a default is the same wherever it is used.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, Scalar, StringArray, TimestampMicrosecondArray};
use arrow::compute::{is_not_null, kernels::zip::zip};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::sql::sqlparser::ast::{Expr, Ident, visit_expressions_mut};

use crate::error::{Error, Result};
use crate::plan::{Evaluate, Expression};
use crate::value::Value;

/// A column that an expression is over, made of a batch.
pub(in crate::language) enum Part {
    /// The batch's column in this place.
    Column(usize),
    Computed(Expression),
}

struct Composed {
    parts: Vec<Part>,
    /// Of the parts, as the expression knows them.
    schema: SchemaRef,
    expression: Expression,
    default: Option<Value>,
}

/// `expression`, which is over columns of `schema`, as one over the batches that its `parts` are made of. `text` is how it
/// reads there. A default takes the place of null; lists and maps have none.
pub(in crate::language) fn compose(
    text: String,
    parts: Vec<Part>,
    schema: SchemaRef,
    expression: Expression,
    default: Option<Value>,
) -> Expression {
    let data_type = expression.data_type.clone();
    Expression { text: text.into(), data_type, evaluator: Arc::new(Composed { parts, schema, expression, default }) }
}

impl Evaluate for Composed {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let part = |part: &Part| match part {
            Part::Column(index) => Ok(Arc::clone(batch.column(*index))),
            Part::Computed(expression) => expression.evaluate(batch),
        };
        let parts = self.parts.iter().map(part).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let array = self.expression.evaluate(&RecordBatch::try_new_with_options(Arc::clone(&self.schema), parts, &options)?)?;
        match &self.default {
            Some(default) if array.null_count() > 0 => Ok(zip(&is_not_null(&array)?, &array, &Scalar::new(one(default)?))?),
            _ => Ok(array),
        }
    }
}

/// The expression with other names for the columns that have one.
pub(in crate::language) fn renamed(expr: &Expr, name: impl Fn(&str) -> Option<Ident>) -> Expr {
    let mut expr = expr.clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        if let Expr::Identifier(column) = part
            && let Some(other) = name(&column.value)
        {
            *column = other;
        }
        ControlFlow::Continue(())
    });
    expr
}

/// An array of one value that a default can have.
fn one(value: &Value) -> Result<ArrayRef> {
    Ok(match value {
        Value::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
        Value::Int(value) => Arc::new(Int64Array::from(vec![*value])),
        Value::Float(value) => Arc::new(Float64Array::from(vec![*value])),
        Value::Text(value) => Arc::new(StringArray::from(vec![value.as_ref()])),
        Value::Timestamp(value) => Arc::new(TimestampMicrosecondArray::from(vec![*value])),
        Value::Null | Value::List(_) | Value::Struct(_) | Value::Map(_) => return Err(Error::internal(format!("{value:?} is no default"))),
    })
}
