//! Sample rows, and parts of an expression that fail on all of them: what has a value for no row is an error where it is
//! written. Must never refuse what some row may have a value for: different failures are of values, not of the expression.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, LambdaExpr};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::sql::sqlparser::ast::{Expr, Spanned, UnaryOperator, Value, ValueWithSpan, visit_expressions};

use super::evaluate::evaluated;
use super::{Place, guard, reason};
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::source::At;

/// As many as each type has values; prime, so that two columns agree in one row at most.
const ROWS: usize = 13;
const DAY: i64 = 86_400_000_000;

const NUMBERS: [i64; ROWS] = [1, 2, 0, -1, 3, 7, 10, 12, 24, 60, 100, 1_000, 1_700_000_000];
const DOUBLES: [f64; ROWS] = [1.0, 0.5, 0.0, -1.0, 2.5, 10.0, 45.0, 100.0, 1e3, 1e6, -0.25, 3.0, 7.0];
/// Whatever texts may hold that is read as something else.
const TEXTS: [&str; ROWS] =
    ["a", "1", "", "2024-01-02", "2024-01-02T03:04:05Z", "03:04:05", "1.5", "true", "{\"a\":1}", "[1]", "1 day", "00ff", "Europe/Berlin"];
/// Days since 1970: up to the year 9999, and before the epoch.
const DAYS: [i64; ROWS] = [0, 1, 19_724, 19_782, 20_000, -1, -400, 365, 376_200, 2_932_896, 59, 10_957, -25_567];

/// A part of an expression, and how it fails.
pub(super) struct Hopeless {
    pub part: Expr,
    pub error: DataFusionError,
}

/// Rows of ordinary values; of nulls in columns of types that have none here.
fn rows(schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().enumerate().map(|(column, field)| values(field.data_type(), column)).collect::<Result<_, _>>()?;
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &RecordBatchOptions::new().with_row_count(Some(ROWS)))
}

/// The values of one type in an order that no other column near it has.
fn values(data_type: &ArrowType, column: usize) -> Result<ArrayRef, ArrowError> {
    let (start, step) = (column, 1 + column % (ROWS - 1));
    let order = (0..ROWS).map(|row| (start + row * step) % ROWS);
    Ok(match data_type {
        ArrowType::Boolean => Arc::new(order.map(|at| Some(at % 2 == 0)).collect::<BooleanArray>()),
        ArrowType::Int64 => Arc::new(Int64Array::from_iter_values(order.map(|at| NUMBERS[at]))),
        ArrowType::Float64 => Arc::new(Float64Array::from_iter_values(order.map(|at| DOUBLES[at]))),
        ArrowType::Utf8 => Arc::new(StringArray::from_iter_values(order.map(|at| TEXTS[at]))),
        ArrowType::Timestamp(..) => {
            Arc::new(TimestampMicrosecondArray::from_iter_values(order.map(|at| DAYS[at] * DAY + at as i64 * 3_661_000_001)))
        }
        ArrowType::List(item) if !item.data_type().is_nested() => {
            // From no element to three.
            let items = [values(item.data_type(), column)?, values(item.data_type(), column + 1)?];
            let items = concat(&[items[0].as_ref(), items[1].as_ref()])?;
            let lengths: Vec<usize> = (0..ROWS).map(|row| row % 4).collect();
            let held = lengths.iter().sum();
            Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), items.slice(0, held), None)?)
        }
        other => new_null_array(other, ROWS),
    })
}

/// The innermost part of an expression that has a value for no row, where there is one. `whole` is what the expression was
/// planned to, `planned` plans its parts.
pub(super) fn hopeless(
    expr: &Expr,
    whole: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    planned: &dyn Fn(&Expr) -> Option<Arc<dyn PhysicalExpr>>,
) -> Option<Hopeless> {
    let rows = rows(schema).ok()?;
    if evaluated(whole, &rows).is_ok() && !chooses(whole) {
        return None;
    }
    fails_within(whole, &rows)?;
    let mut found = None;
    let _: ControlFlow<()> = visit_expressions(expr, |part| {
        // What is looked at later is further in, or beside it.
        if !matches!(part, Expr::Identifier(_) | Expr::Value(_) | Expr::Nested(_))
            && let Some(planned) = planned(part)
            && let Some(error) = fails_within(&planned, &rows)
        {
            found = Some(Hopeless { part: part.clone(), error });
        }
        ControlFlow::Continue(())
    });
    found
}

/// Whether some of its parts are evaluated for some rows only.
fn chooses(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let is_choice = |part: &Arc<dyn PhysicalExpr>| {
        let lazy = |binary: &BinaryExpr| matches!(binary.op(), Operator::And | Operator::Or);
        part.is::<CaseExpr>() || part.downcast_ref::<BinaryExpr>().is_some_and(lazy)
    };
    expr.exists(|part| Ok(is_choice(part))).unwrap_or(true)
}

/// How a part of it fails, where one has a value for no row.
fn fails_within(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Option<DataFusionError> {
    let mut found = None;
    let walked = expr.apply(|part| {
        // A lambda has no value of its own, and its parts have none outside of it.
        if part.is::<LambdaExpr>() {
            return Ok(TreeNodeRecursion::Jump);
        }
        found = fails_alike(part, rows);
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.ok().and(found)
}

/// How it fails, where it does for every row for which its operands that are made of columns have values, each time in the
/// same words.
fn fails_alike(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Option<DataFusionError> {
    if evaluated(expr, rows).is_ok() {
        return None;
    }
    let of_rows: Vec<_> = expr.children().into_iter().filter(|operand| !collect_columns(operand).is_empty()).collect();
    let mut same: Option<(String, DataFusionError)> = None;
    for row in 0..rows.num_rows() {
        let row = rows.slice(row, 1);
        if of_rows.iter().any(|operand| evaluated(operand, &row).is_err()) {
            continue;
        }
        let error = evaluated(expr, &row).err()?;
        let words = words(&error);
        if same.as_ref().is_some_and(|(known, _)| *known != words) {
            return None;
        }
        same.get_or_insert((words, error));
    }
    same.map(|(_, error)| error)
}

/// What an error says, whatever numbers it is about.
fn words(error: &DataFusionError) -> String {
    error.strip_backtrace().chars().filter(|letter| !letter.is_ascii_digit() && !".-".contains(*letter)).collect()
}

impl Hopeless {
    /// What is said of it: of a literal, where it is one that fails.
    pub(super) fn diagnostic(&self, place: Place<'_>) -> Diagnostic {
        let Self { part, error } = self;
        let text = error.strip_backtrace();
        if let Some((literal, wanted)) = literals(part).into_iter().find_map(|literal| {
            let wanted = conversion(&text, &literal)?;
            Some((literal, wanted))
        }) {
            return bad_literal(&literal, wanted, place);
        }
        let why = match text.split_once("\nerror: ") {
            // A pattern's error is drawn over several lines.
            Some((_, why)) => format!("the pattern does not compile: {}", why.lines().next().unwrap_or_default()),
            None => reason(error),
        };
        let message = format!("`{}` has a value for no row: {why}", guard::written(part));
        let problem = Diagnostic::error(codes::FAILS_ALWAYS, place.part(part.span()), message, "fails whatever the row is");
        problem.help("the feature or condition would be null for ever: write what the function takes, or `null` if that is meant")
    }
}

/// What is said of a text that is no value of the type that it should be of.
pub(super) fn bad_literal(literal: &ValueWithSpan, wanted: &str, place: Place<'_>) -> Diagnostic {
    let written = text_of(&literal.value).unwrap_or_default();
    let message = format!("`'{written}'` is no {wanted}");
    let problem = Diagnostic::error(codes::BAD_LITERAL, place.part(literal.span), message, format!("not a {wanted}"));
    problem.help(format!("write {}", example(wanted)))
}

/// The texts that stand in an expression as literals.
fn literals(expr: &Expr) -> Vec<ValueWithSpan> {
    let mut found = Vec::new();
    let _: ControlFlow<()> = visit_expressions(expr, |part| {
        match part {
            Expr::Value(value) => found.push(value.clone()),
            Expr::TypedString(typed) => found.push(typed.value.clone()),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    found
}

/// Reports numbers that no double can hold, and whole ones that no bigint can, where they are not compared.
pub(super) fn numbers(expr: &Expr, place: Place<'_>, problems: &mut Vec<Diagnostic>) {
    let mut compared = Vec::new();
    let _: ControlFlow<()> = visit_expressions(expr, |part| {
        // A part is seen before its own parts.
        match part {
            Expr::BinaryOp { left, op, right } if guard::compares(op) => compared.extend([left.span(), right.span()]),
            Expr::Between { expr, low, high, .. } => compared.extend([expr.span(), low.span(), high.span()]),
            Expr::InList { expr, list, .. } => compared.extend(std::iter::once(expr.as_ref()).chain(list).map(Spanned::span)),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: number } => {
                let least = matches!(number.as_ref(), Expr::Value(value) if matches!(&value.value, Value::Number(text, _) if text == "9223372036854775808"));
                if least || compared.contains(&part.span()) {
                    compared.push(number.span());
                }
            }
            Expr::Value(literal) => {
                if let Value::Number(text, _) = &literal.value {
                    problems.extend(out_of_range(text, compared.contains(&part.span()), place.part(literal.span)));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
}

fn out_of_range(text: &str, is_compared: bool, at: At) -> Option<Diagnostic> {
    if text.parse::<f64>().is_ok_and(f64::is_infinite) {
        let message = format!("`{text}` is beyond the range of doubles");
        let problem = Diagnostic::error(codes::BAD_LITERAL, at, message, "would be infinite");
        return Some(problem.help(format!("the largest is {:e}; a value is compared with infinity as `x = 'inf'::double`", f64::MAX)));
    }
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
    (is_whole && !is_compared && text.parse::<i64>().is_err()).then(|| {
        let message = format!("`{text}` is beyond the range of bigints");
        let problem = Diagnostic::error(codes::BAD_LITERAL, at, message, "no bigint");
        problem.help(format!("the largest is {}; with a point it is a double: `{text}.0`", i64::MAX))
    })
}

fn text_of(value: &Value) -> Option<&str> {
    if let Value::SingleQuotedString(text) = value { Some(text) } else { None }
}

/// What a text was to be converted to, by the error of the conversion that failed for it.
fn conversion(error: &str, literal: &ValueWithSpan) -> Option<&'static str> {
    let text = text_of(&literal.value)?;
    error.contains(&format!("Cannot cast string '{text}' to value of Date32 type")).then_some("date")
}

fn example(data_type: &str) -> &'static str {
    match data_type {
        "timestamp" => "a day of the calendar and a time of day: '2024-02-29', '2024-02-29T12:30:00Z', '2024-02-29 12:30:00+01:00'",
        "date" => "a day of the calendar: '2024-02-29'",
        "boolean" => "true or false",
        _ => "a number",
    }
}
