//! Operands that SQL would convert silently, and what is asked of their types instead.

use std::ops::ControlFlow;

use arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Spanned, Value, visit_expressions};

use super::Place;
use crate::language::diagnostics::{Diagnostic, codes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Boolean,
    Time,
}

/// Reports operands of different kinds and divisions of integers in all parts of an expression.
pub(super) fn operands(expr: &Expr, place: Place<'_>, type_of: &dyn Fn(&Expr) -> Option<ArrowType>, problems: &mut Vec<Diagnostic>) {
    let _: ControlFlow<()> = visit_expressions(expr, |part| {
        match part {
            Expr::BinaryOp { left, op, right } if compares(op) || calculates(op) => {
                single_values(part, op, [left, right], place, type_of, problems);
                same_kind(part, left, right, place, type_of, problems);
                if matches!(op, BinaryOperator::Divide) {
                    division(part, left, right, place, type_of, problems);
                }
            }
            Expr::InList { expr, list, .. } => list.iter().for_each(|item| same_kind(part, expr, item, place, type_of, problems)),
            Expr::Between { expr, low, high, .. } => {
                same_kind(part, expr, low, place, type_of, problems);
                same_kind(part, expr, high, place, type_of, problems);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
}

fn same_kind(
    whole: &Expr,
    left: &Expr,
    right: &Expr,
    place: Place<'_>,
    type_of: &dyn Fn(&Expr) -> Option<ArrowType>,
    problems: &mut Vec<Diagnostic>,
) {
    let (Some(left_type), Some(right_type)) = (type_of(left), type_of(right)) else { return };
    let (Some(left_kind), Some(right_kind)) = (kind(&left_type), kind(&right_type)) else { return };
    let readable = |text: Kind, expr: &Expr, other: Kind| text == Kind::Text && other == Kind::Time && is_text_literal(expr);
    if left_kind == right_kind || readable(left_kind, left, right_kind) || readable(right_kind, right, left_kind) {
        return;
    }
    let (left_name, right_name) = (spelled(&left_type), spelled(&right_type));
    let message = format!("`{left}` is {left_name} and `{right}` is {right_name}");
    let problem = Diagnostic::error(codes::MIXED_TYPES, place.part(whole.span()), message, "operands of different kinds");
    let problem = match (left_kind, right_kind) {
        (Kind::Text, Kind::Number) if matches!(right, Expr::Value(_)) => {
            problem.help(format!("write '{right}' if text is meant, or cast: `{left}::{right_name}`"))
        }
        (Kind::Number, Kind::Text) if is_text_literal(right) => {
            problem.help(format!("write the number without quotes, or cast: `{left}::text`"))
        }
        (Kind::Text, _) => problem.help(format!("cast one of them: `{left}::{right_name}`")),
        _ => problem.help(format!("cast one of them: `{right}::{left_name}`")),
    };
    problems.push(problem);
}

/// Reports operands that are maps, and lists that are calculated with.
fn single_values(
    whole: &Expr,
    op: &BinaryOperator,
    sides: [&Expr; 2],
    place: Place<'_>,
    type_of: &dyn Fn(&Expr) -> Option<ArrowType>,
    problems: &mut Vec<Diagnostic>,
) {
    for side in sides {
        let (what, item) = match type_of(side) {
            Some(ArrowType::Map(..)) => ("a map", format!("{side}['key']")),
            Some(ArrowType::List(_) | ArrowType::LargeList(_)) if calculates(op) => ("a list", format!("{side}[1]")),
            _ => continue,
        };
        let message = format!("`{side}` is {what}, and `{op}` takes single values");
        let problem = Diagnostic::error(codes::EXPRESSION_TYPE, place.part(whole.span()), message, format!("with {what}"));
        problems.push(problem.help(format!("take one value of it: `{item}`")));
        return;
    }
}

fn division(
    whole: &Expr,
    left: &Expr,
    right: &Expr,
    place: Place<'_>,
    type_of: &dyn Fn(&Expr) -> Option<ArrowType>,
    problems: &mut Vec<Diagnostic>,
) {
    let integers = [left, right].into_iter().all(|side| type_of(side).is_some_and(|found| found.is_integer()));
    if integers {
        let problem = Diagnostic::error(
            codes::INTEGER_DIVISION,
            place.part(whole.span()),
            format!("`{left}` and `{right}` are integers: their quotient drops the fraction"),
            "integer / integer",
        );
        problems.push(problem.help(format!("write `{left}::double / {right}`; `trunc(..)` around it gives the whole part")));
    }
}

fn compares(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq
    )
}

fn calculates(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo)
}

/// The kinds that are not mixed; intervals, lists and nulls are left to the planner.
fn kind(data_type: &ArrowType) -> Option<Kind> {
    match data_type {
        ArrowType::Boolean => Some(Kind::Boolean),
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => Some(Kind::Text),
        ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64 => Some(Kind::Time),
        number if number.is_numeric() => Some(Kind::Number),
        _ => None,
    }
}

/// A type as the language spells it, or Arrow where the language has none.
pub(super) fn spelled(data_type: &ArrowType) -> String {
    super::language_type(data_type).map_or_else(|| data_type.to_string().to_lowercase(), |found| found.to_string())
}

fn is_text_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}
