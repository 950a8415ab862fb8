//! Literals: defaults and the parameters of aggregates.

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator, Value as SqlValue};

use crate::time::EventTime;
use crate::value::{DataType, Value};

/// The value of a literal; `None` when the expression is none.
pub(crate) fn literal(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Value(value) => match &value.value {
            SqlValue::Number(text, _) => number(text),
            SqlValue::SingleQuotedString(text) => Some(Value::Text(text.as_str().into())),
            SqlValue::Boolean(value) => Some(Value::Bool(*value)),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => match &value.value {
                // Read with its sign, so that the smallest bigint can be written.
                SqlValue::Number(text, _) => number(&format!("-{text}")),
                _ => None,
            },
            _ => None,
        },
        Expr::TypedString(text) => EventTime::parse(text.value.clone().into_string()?.as_str()).map(|time| Value::Timestamp(time.0)),
        _ => None,
    }
}

fn number(text: &str) -> Option<Value> {
    let double = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float);
    text.parse().ok().map(Value::Int).or_else(double)
}

/// The value as one of `data_type`: integers are doubles where those are asked for, texts are timestamps.
pub(crate) fn fit(value: &Value, data_type: &DataType) -> Option<Value> {
    match (value, data_type) {
        (Value::Int(number), DataType::Float) => Some(Value::Float(*number as f64)),
        (Value::Text(text), DataType::Timestamp) => EventTime::parse(text).map(|time| Value::Timestamp(time.0)),
        (Value::Int(_), DataType::Int)
        | (Value::Float(_), DataType::Float)
        | (Value::Text(_), DataType::Text)
        | (Value::Bool(_), DataType::Bool)
        | (Value::Timestamp(_), DataType::Timestamp) => Some(value.clone()),
        _ => None,
    }
}
