//! Casts between types of which one has no one meaning for the other, and what to write instead.

use std::ops::ControlFlow;

use arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, Expr, Spanned, visit_expressions};

use super::Place;
use super::guard::{self, Kind, kind, spelled};
use crate::language::diagnostics::{Diagnostic, codes};

/// What is cast to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Single(Kind),
    Date,
    Interval,
}

/// Reports casts that would have to guess, in all parts of an expression.
pub(super) fn known(expr: &Expr, place: Place<'_>, type_of: &dyn Fn(&Expr) -> Option<ArrowType>, problems: &mut Vec<Diagnostic>) {
    let _: ControlFlow<()> = visit_expressions(expr, |part| {
        let literal = match part {
            Expr::Cast { expr, data_type, .. } => guard::no_value(expr, read_as(data_type), place),
            Expr::TypedString(typed) => guard::no_value(&Expr::Value(typed.value.clone()), read_as(&typed.data_type), place),
            _ => None,
        };
        problems.extend(literal);
        if let Expr::Cast { expr, data_type, .. } = part
            && let Some(from) = type_of(expr)
            && let Some(instead) = without_meaning(&from, data_type)
        {
            let message = format!("there is no cast from {} to {}", called(&from), name_of(data_type));
            problems.push(Diagnostic::error(codes::CAST, place.part(part.span()), message, "has no one meaning").help(instead));
        }
        ControlFlow::Continue(())
    });
}

/// The type of the language that a text is read as.
fn read_as(to: &SqlType) -> &'static str {
    let is_double = matches!(to, SqlType::Double(_) | SqlType::DoublePrecision | SqlType::Float8 | SqlType::Float64);
    match target(to) {
        Some(Target::Single(Kind::Number)) if is_double => "double",
        Some(Target::Single(Kind::Number)) => "bigint",
        Some(Target::Single(Kind::Boolean)) => "boolean",
        Some(Target::Single(Kind::Time)) => "timestamp",
        _ => "text",
    }
}

fn called(from: &ArrowType) -> String {
    match from {
        ArrowType::Duration(_) | ArrowType::Interval(_) => "interval".to_owned(),
        ArrowType::Date32 => "date".to_owned(),
        other => spelled(other),
    }
}

fn name_of(to: &SqlType) -> String {
    match target(to) {
        Some(Target::Interval) => "interval".to_owned(),
        Some(Target::Single(Kind::Number)) if matches!(to, SqlType::Double(_) | SqlType::DoublePrecision) => "double".to_owned(),
        _ => to.to_string().to_lowercase(),
    }
}

/// `None` for lists.
fn target(to: &SqlType) -> Option<Target> {
    Some(match to {
        SqlType::Array(_) => return None,
        SqlType::Boolean | SqlType::Bool => Target::Single(Kind::Boolean),
        SqlType::Text | SqlType::Varchar(_) | SqlType::String(_) | SqlType::CharacterVarying(_) => Target::Single(Kind::Text),
        SqlType::Timestamp(..) => Target::Single(Kind::Time),
        SqlType::Date => Target::Date,
        SqlType::Interval { .. } => Target::Interval,
        _ => Target::Single(Kind::Number),
    })
}

/// What to write instead of a cast that has no one meaning.
fn without_meaning(from: &ArrowType, to: &SqlType) -> Option<&'static str> {
    let Some(target) = target(to) else { return list_to_list(from, to) };
    let is_double = matches!(from, ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64);
    match (from, target) {
        (ArrowType::Null, _) => None,
        (ArrowType::List(_), Target::Single(Kind::Text)) => Some("`array_to_string(list, ',')` writes the elements"),
        (ArrowType::List(_), _) => Some("`list[1]` is one of its elements"),
        // Said of them as of all operands that are no single value.
        (ArrowType::Map(..) | ArrowType::Struct(_), _) => None,
        (ArrowType::Duration(_) | ArrowType::Interval(_), _) => Some("`extract(epoch from interval)` is its length in seconds"),
        (found, Target::Single(Kind::Time) | Target::Date) => match kind(found)? {
            Kind::Number => {
                Some("`to_timestamp(n)` takes seconds since 1970; `to_timestamp_millis(n)` and `to_timestamp_micros(n)` others")
            }
            Kind::Boolean => Some("`case when b then timestamp '2024-01-01' end`"),
            Kind::Text | Kind::Time => None,
        },
        (_, Target::Interval) => Some("an interval is a literal: `interval '1 day'`; `t - u` is one"),
        (found, Target::Single(Kind::Number)) => {
            (kind(found)? == Kind::Time).then_some("`extract(epoch from t)` is its seconds since 1970, as a double")
        }
        (found, Target::Single(Kind::Boolean)) if is_double || kind(found)? == Kind::Time => Some("a condition is a comparison: `x <> 0`"),
        (_, Target::Single(_)) => None,
    }
}

/// Lists are cast where their elements are of one kind, or to texts; fractions are not cut off.
fn list_to_list(from: &ArrowType, to: &SqlType) -> Option<&'static str> {
    use datafusion::sql::sqlparser::ast::ArrayElemTypeDef;
    let SqlType::Array(ArrayElemTypeDef::SquareBracket(item, _)) = to else { return None };
    let found = match from {
        ArrowType::Null => return None,
        ArrowType::List(found) => found.data_type(),
        _ => return Some("`string_to_array(text, ',')` cuts a text; `[x]` is a list of one"),
    };
    let whole = !matches!(item.as_ref(), SqlType::Double(_) | SqlType::DoublePrecision | SqlType::Float8 | SqlType::Float64);
    match (kind(found), target(item)) {
        (Some(Kind::Number), Some(Target::Single(Kind::Number))) if whole && !found.is_integer() => {
            Some("a stream of `unnest(list)` has a row for each element, where `x::bigint` rounds it")
        }
        (Some(found), Some(Target::Single(wanted))) if found == wanted || wanted == Kind::Text => None,
        (None, _) => None,
        _ => Some("a stream of `unnest(list)` has a row for each element, which can be cast"),
    }
}
