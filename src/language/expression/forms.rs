//! What of SQL's grammar the language has. What does not stand here is refused by name, so that no form comes in whose
//! meaning nobody compared with PostgreSQL's (`docs/functions.md`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Spanned, Subscript, TimezoneInfo, UnaryOperator, Value, visit_expressions,
};

use super::{Place, literal, sense};
use crate::language::diagnostics::{Code, Diagnostic, codes};

/// A form that the language does not have, and what to write instead.
struct Refused {
    code: Code,
    what: String,
    instead: &'static str,
}

fn refused(what: impl Into<String>, instead: &'static str) -> Option<Refused> {
    Some(Refused { code: codes::NOT_IN_LANGUAGE, what: what.into(), instead })
}

/// Reports the first part of an expression that the language does not have.
pub(super) fn known(expr: &Expr, place: Place<'_>, problems: &mut Vec<Diagnostic>) -> bool {
    let found = visit_expressions(expr, |part| match unknown(part) {
        Some(Refused { code, what, instead }) => {
            let at = place.part(part.span());
            ControlFlow::Break(Diagnostic::error(code, at, what, "not in the language").help(instead))
        }
        None => ControlFlow::Continue(()),
    });
    let found = found.break_value();
    let known = found.is_none();
    problems.extend(found);
    known
}

fn unknown(part: &Expr) -> Option<Refused> {
    let has_not = |what: &str, instead| refused(format!("the language has no {what}"), instead);
    match part {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Nested(_)
        | Expr::Interval(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::Case { .. }
        | Expr::Extract { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Overlay { .. }
        | Expr::Function(_)
        | Expr::Array(_)
        | Expr::SimilarTo { .. }
        // Said by name where names are resolved.
        | Expr::Subquery(_)
        | Expr::InSubquery { .. }
        | Expr::Exists { .. } => None,
        Expr::Value(value) => match &value.value {
            Value::Number(..) | Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_) | Value::Boolean(_) | Value::Null => None,
            other => has_not(&format!("literal `{other}`"), "a text stands in single quotes"),
        },
        Expr::TypedString(typed) => cast_to(&typed.data_type),
        Expr::Like { any: false, escape_char: Some(escape), .. } | Expr::ILike { any: false, escape_char: Some(escape), .. }
            if matches!(&escape.value, Value::SingleQuotedString(letters) if letters.chars().count() > 1) =>
        {
            refused(format!("`escape {escape}` is more than one letter"), "write one letter, which takes the meaning of the one behind it")
        }
        Expr::Like { any: false, pattern, escape_char, .. } | Expr::ILike { any: false, pattern, escape_char, .. } => {
            let readable = escape_char.is_none() || matches!(pattern.as_ref(), Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)));
            if readable { None } else { has_not("`escape` beside a pattern that is no literal", "a backslash takes the meaning of `%` and `_`") }
        }
        Expr::Like { .. } | Expr::ILike { .. } => has_not("`like any`", "write each pattern: `s like 'a%' or s like 'b%'`"),
        Expr::AnyOp { compare_op, .. } if *compare_op != BinaryOperator::Eq => {
            has_not(&format!("`{compare_op} any`"), "`n > array_min(list)` is true where n is above one of them")
        }
        Expr::AnyOp { compare_op, right, .. } | Expr::AllOp { compare_op, right, .. } => {
            let compares = matches!(
                compare_op,
                BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq
            );
            if compares && !matches!(right.as_ref(), Expr::Subquery(_)) { None } else { has_not(&format!("`{part}`"), "`x = any(list)` compares") }
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } if matches!(expr.as_ref(), Expr::BinaryOp { op: BinaryOperator::BitwiseXor, .. }) => {
            refused(format!("`{part}` reads differently in PostgreSQL, where the sign comes first"), "put brackets around what comes first: `-(x ^ 2)` or `(-x) ^ 2`")
        }
        Expr::UnaryOp { op, .. } => match op {
            UnaryOperator::Minus | UnaryOperator::Plus | UnaryOperator::Not => None,
            UnaryOperator::BitwiseNot => has_not("operator `~`", "`-n - 1` turns every bit of n"),
            other => has_not(&format!("operator `{other}`"), "`docs/functions.md` lists all operators"),
        },
        Expr::BinaryOp { op, .. } => operator(op),
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, format: None, array: false, .. } => cast_to(data_type),
        Expr::Cast { kind: CastKind::TryCast | CastKind::SafeCast, .. } => {
            has_not("`try_cast`", "`x::bigint` is null where it cannot be computed")
        }
        Expr::Cast { .. } => has_not("such a cast", "`x::bigint` casts"),
        Expr::AtTimeZone { timestamp, time_zone } => at_time_zone(timestamp, time_zone),
        Expr::CompoundFieldAccess { access_chain, .. } => access_chain.iter().find_map(|access| match access {
            AccessExpr::Subscript(Subscript::Index { index }) => match literal(index) {
                Some(crate::value::Value::Int(place)) if place < 0 => refused(
                    format!("`[{place}]` is null in PostgreSQL: elements are not counted from the end"),
                    "`list[array_length(list)]` is the last element",
                ),
                _ => None,
            },
            AccessExpr::Subscript(Subscript::Slice { stride: Some(_), .. }) => has_not("slice with a stride", "`list[1:3]` is a slice"),
            _ => None,
        }),
        other => has_not(&format!("`{other}`"), "`docs/functions.md` lists what expressions are made of"),
    }
}

fn operator(op: &BinaryOperator) -> Option<Refused> {
    use BinaryOperator as Op;
    let instead = match op {
        Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::StringConcat | Op::And | Op::Or => return None,
        Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Eq | Op::NotEq => return None,
        // The power.
        Op::BitwiseXor | Op::BitwiseOr | Op::BitwiseAnd | Op::PGBitwiseShiftLeft | Op::PGBitwiseShiftRight => return None,
        Op::PGRegexMatch | Op::PGRegexIMatch | Op::PGRegexNotMatch | Op::PGRegexNotIMatch => return None,
        Op::AtArrow | Op::ArrowAt | Op::PGOverlap => return None,
        Op::Xor => "`a <> b` of booleans is true where one of them is",
        Op::Spaceship => "`a is not distinct from b` takes two nulls for equal",
        Op::DuckIntegerDivide | Op::MyIntegerDivide => "`trunc(a::double / b)` is the whole part of a quotient",
        Op::PGLikeMatch | Op::PGILikeMatch | Op::PGNotLikeMatch | Op::PGNotILikeMatch => "`s like 'a%'`, `s ilike 'a%'`",
        Op::Arrow | Op::LongArrow | Op::HashArrow | Op::HashLongArrow => "`json_get(text, 'path')` reads JSON",
        _ => "`docs/functions.md` lists all operators",
    };
    refused(format!("the language has no operator `{op}`"), instead)
}

/// The types that values are cast to.
fn cast_to(data_type: &SqlType) -> Option<Refused> {
    use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, ExactNumberInfo};
    let instead = match data_type {
        SqlType::Boolean | SqlType::Bool | SqlType::BigInt(None) | SqlType::Int8(None) | SqlType::Int64 => return None,
        SqlType::Int(None) | SqlType::Integer(None) | SqlType::Int4(None) | SqlType::SmallInt(None) | SqlType::Int2(None) => return None,
        SqlType::Double(ExactNumberInfo::None) | SqlType::DoublePrecision | SqlType::Float8 | SqlType::Float64 => return None,
        SqlType::Text | SqlType::Varchar(None) | SqlType::String(None) | SqlType::CharacterVarying(None) => return None,
        SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) | SqlType::Date => return None,
        SqlType::Interval { .. } => return None,
        SqlType::Array(ArrayElemTypeDef::SquareBracket(item, None)) => return cast_to(item),
        SqlType::Timestamp(..) | SqlType::TimestampNtz(..) => "`::timestamp`: a moment, in microseconds",
        SqlType::Float(_) | SqlType::Real | SqlType::Float4 | SqlType::Float32 => "`::double` has all digits",
        SqlType::Numeric(_) | SqlType::Decimal(_) | SqlType::Dec(_) => "`::double`, or `::bigint` of the smallest unit",
        SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Character(_) | SqlType::CharacterVarying(_) => "`left(s, 3)` cuts a text",
        SqlType::Time(..) => "`extract(hour from t)` is a bigint",
        _ => "`boolean`, `bigint`, `double`, `text`, `timestamp`, `date` and lists of them are cast to",
    };
    refused(format!("the language does not cast to {data_type}"), instead)
}

fn at_time_zone(timestamp: &Expr, zone: &Expr) -> Option<Refused> {
    let inner = visit_expressions(timestamp, |part| match part {
        Expr::AtTimeZone { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    match literal(zone) {
        _ if inner.is_break() => refused(
            "`at time zone` stands around another, where PostgreSQL takes clocks back to a moment",
            "a timestamp is a moment already: write one `at time zone`",
        ),
        Some(crate::value::Value::Text(name)) if sense::is_winter_time(&name) => Some(Refused {
            code: codes::UNKNOWN_ZONE,
            what: format!("`{name}` is winter time all year in PostgreSQL, and a zone with summer time elsewhere"),
            instead: "name the place: 'Europe/Paris', 'Europe/Athens', 'Europe/Lisbon'",
        }),
        Some(crate::value::Value::Text(name)) if sense::zone(&name) => None,
        Some(crate::value::Value::Text(name)) => Some(Refused {
            code: codes::UNKNOWN_ZONE,
            what: format!("there is no time zone `{name}`"),
            instead: "zones are called 'Europe/Berlin', 'UTC'",
        }),
        _ => refused("a time zone is a literal", "`t at time zone 'Europe/Berlin'`"),
    }
}

/// Writes a form by others that mean the same: the power as `power`, `&&` as `array_has_any`, a slice with both of its ends, a
/// pattern with backslashes in the place of its own letter.
pub(super) fn spelled_out(part: &mut Expr) {
    match part {
        Expr::BinaryOp { left, op: BinaryOperator::BitwiseXor, right } => {
            *part = call("power", [left.as_ref().clone(), right.as_ref().clone()]);
        }
        Expr::BinaryOp { left, op: BinaryOperator::PGOverlap, right } => {
            *part = call("array_has_any", [left.as_ref().clone(), right.as_ref().clone()]);
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            if let (Expr::Value(pattern), Some(escape)) = (pattern.as_mut(), escape_char.take())
                && let (Value::SingleQuotedString(text), Value::SingleQuotedString(escape)) = (&mut pattern.value, escape.value)
            {
                *text = with_backslashes(text, escape.chars().next());
            }
        }
        Expr::CompoundFieldAccess { access_chain, .. } => {
            for access in access_chain {
                if let AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) = access {
                    let number = |text: &str| Expr::Value(Value::Number(text.to_owned(), false).into());
                    lower_bound.get_or_insert_with(|| number("1"));
                    upper_bound.get_or_insert_with(|| number("9223372036854775807"));
                }
            }
        }
        _ => {}
    }
}

/// A pattern of `like` in which `escape` takes the meaning of the letter behind it.
fn with_backslashes(pattern: &str, escape: Option<char>) -> String {
    let (mut text, mut letters) = (String::new(), pattern.chars());
    while let Some(letter) = letters.next() {
        match letter {
            letter if Some(letter) == escape => {
                text.push('\\');
                text.extend(letters.next());
            }
            '\\' => text.push_str("\\\\"),
            letter => text.push(letter),
        }
    }
    text
}

fn call(name: &str, arguments: [Expr; 2]) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
