//! Operands that SQL would convert silently, and what is asked of their types instead.

use std::ops::ControlFlow;

use arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Ident, Spanned, Subscript, UnaryOperator, Value, ValueWithSpan, visit_expressions,
};

use super::compose::renamed;
use super::functions::given;
use super::{Place, samples, sense};
use crate::language::diagnostics::{Diagnostic, codes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
                intervals(part, op, [left, right], place, type_of, problems);
                same_kind(part, left, right, place, type_of, problems);
                if calculates(op)
                    && let Some(date) = [left, right].into_iter().find(|side| matches!(type_of(side), Some(ArrowType::Date32)))
                {
                    let message = format!("`{}` is a date, and `{op}` takes timestamps", written(date));
                    let problem = Diagnostic::error(codes::EXPRESSION_TYPE, place.part(part.span()), message, "with a date");
                    problems.push(problem.help(format!("cast it: `({})::timestamp`", written(date))));
                }
                if matches!(op, BinaryOperator::Divide) {
                    division(part, left, right, place, type_of, problems);
                }
            }
            Expr::BinaryOp { left, op, right } if takes_texts(op) => {
                texts(part, &op.to_string(), [left, right], place, type_of, problems);
                regular(right, place, problems);
            }
            Expr::Substring { substring_from: Some(from), expr, .. } if type_of(from).as_ref().and_then(kind) == Some(Kind::Text) => {
                let message = format!("`substring` takes the place of a letter, and `{}` is a text", written(from));
                let problem = Diagnostic::error(codes::EXPRESSION_TYPE, place.part(part.span()), message, "from a text");
                problems.push(problem.help(format!("`regexp_match({}, {})[1]` is what a pattern matches", written(expr), written(from))));
            }
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
                let is_list = |side: &Expr| matches!(type_of(side), Some(ArrowType::List(_)));
                if !is_list(left) && !is_list(right) {
                    texts(part, "||", [left, right], place, type_of, problems);
                }
            }
            Expr::CompoundFieldAccess { root, access_chain }
                if matches!(access_chain.first(), Some(AccessExpr::Subscript(_))) && type_of(root).as_ref().and_then(kind).is_some() =>
            {
                if let Some(found) = type_of(root) {
                    let message = format!("`{}` is {}, and has no elements", written(root), spelled(&found));
                    let problem = Diagnostic::error(codes::EXPRESSION_TYPE, place.part(part.span()), message, "of a single value");
                    problems.push(problem.help("`substr(text, 1, 1)` is a letter of a text"));
                }
            }
            Expr::CompoundFieldAccess { root, access_chain } if matches!(type_of(root), Some(ArrowType::Map(..))) => {
                if let Some(AccessExpr::Subscript(Subscript::Index { index })) = access_chain.first()
                    && let Some(found) = type_of(index)
                    && kind(&found).is_some_and(|kind| kind != Kind::Text)
                {
                    let message = format!("`{}` is {}, and the keys of a map are texts", written(index), spelled(&found));
                    let problem = Diagnostic::error(codes::MIXED_TYPES, place.part(part.span()), message, "with a key of another type");
                    problems.push(problem.help(format!("cast it: `{}::text`; keys are written as in JSON", written(index))));
                }
            }
            Expr::SimilarTo { pattern, escape_char, .. } if !is_pattern(pattern, escape_char.as_ref()) => {
                let message = format!("{pattern} is no pattern of `similar to`");
                let problem = Diagnostic::error(codes::NO_PATTERN, place.part(pattern.span()), message, "cannot be read");
                problems.push(
                    problem.help("it matches the whole text: `%` any letters, `_` one, `| * + ? () [] {}` as in regular expressions"),
                );
            }
            Expr::Like { expr, pattern, .. } => texts(part, "like", [expr, pattern], place, type_of, problems),
            Expr::ILike { expr, pattern, .. } => texts(part, "ilike", [expr, pattern], place, type_of, problems),
            Expr::SimilarTo { expr, pattern, .. } => texts(part, "similar to", [expr, pattern], place, type_of, problems),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                same_kind(part, left, right, place, type_of, problems);
            }
            Expr::Case { operand, conditions: whens, else_result, .. } => {
                if operand.is_none() {
                    let whens: Vec<&Expr> = whens.iter().map(|when| &when.condition).collect();
                    conditions(part, "case", &whens, place, type_of, problems);
                }
                if let Some(operand) = operand {
                    whens.iter().for_each(|when| same_kind(part, operand, &when.condition, place, type_of, problems));
                }
                let results: Vec<&Expr> = whens.iter().map(|when| &when.result).chain(else_result.as_deref()).collect();
                one_kind(part, &results, place, type_of, problems);
            }
            Expr::BinaryOp { left, op, right } if is_of_bits(op) => {
                let other = |side: &&Expr| type_of(side).is_some_and(|found| kind(&found).is_some() && !found.is_integer());
                if let Some(side) = [left.as_ref(), right.as_ref()].into_iter().find(other) {
                    let found = type_of(side).map(|found| spelled(&found)).unwrap_or_default();
                    let message = format!("`{op}` takes bigints, and `{}` is {found}", written(side));
                    let problem = Diagnostic::error(codes::MIXED_TYPES, place.part(part.span()), message, "with another type");
                    problems.push(problem.help(format!("cast it: `{}::bigint`", written(side))));
                }
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => conditions(part, "not", &[expr], place, type_of, problems),
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                conditions(part, &op.to_string().to_lowercase(), &[left, right], place, type_of, problems);
            }
            Expr::IsTrue(expr) | Expr::IsNotTrue(expr) => conditions(part, "is true", &[expr], place, type_of, problems),
            Expr::IsFalse(expr) | Expr::IsNotFalse(expr) => conditions(part, "is false", &[expr], place, type_of, problems),
            Expr::IsUnknown(expr) | Expr::IsNotUnknown(expr) => conditions(part, "is unknown", &[expr], place, type_of, problems),
            Expr::Array(array) => one_kind(part, &array.elem.iter().collect::<Vec<_>>(), place, type_of, problems),
            Expr::Function(call) => {
                let name = call.name.to_string();
                let given = given(&call.args).unwrap_or_default();
                match name.as_str() {
                    "regexp_count" | "regexp_instr" | "regexp_like" | "regexp_match" | "regexp_replace" => {
                        given.get(1).into_iter().for_each(|pattern| regular(pattern, place, problems));
                    }
                    "nullif" if given.len() == 2 => same_kind(part, given[0], given[1], place, type_of, problems),
                    "nvl2" if given.len() == 3 => one_kind(part, &given[1..], place, type_of, problems),
                    "coalesce" | "greatest" | "ifnull" | "least" | "make_array" | "make_list" | "nvl" => {
                        one_kind(part, &given, place, type_of, problems);
                    }
                    _ => {}
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

/// Reports the first of several values, of which one is given, that is of another kind than one before it.
fn one_kind(whole: &Expr, parts: &[&Expr], place: Place<'_>, type_of: &dyn Fn(&Expr) -> Option<ArrowType>, problems: &mut Vec<Diagnostic>) {
    let kinds = parts.iter().filter_map(|part| Some((*part, kind(&type_of(part)?)?)));
    let kinds: Vec<(&Expr, Kind)> = kinds.collect();
    if let Some((other, _)) = kinds.iter().find(|(_, kind)| *kind != kinds[0].1) {
        let (first, other_is) = (kinds[0].0, type_of(other).map(|found| spelled(&found)).unwrap_or_default());
        let first_is = type_of(first).map(|found| spelled(&found)).unwrap_or_default();
        let message = format!("`{}` is {first_is} and `{}` is {other_is}", written(first), written(other));
        let problem = Diagnostic::error(codes::MIXED_TYPES, place.part(whole.span()), message, "values of different kinds");
        problems.push(match (kinds[0].1, is_text_literal(other)) {
            (Kind::Time, true) => problem.help(format!("write it as a time: `timestamp {other}`")),
            _ => problem.help(format!("cast one of them: `{}::{first_is}`", written(other))),
        });
    }
}

/// Reports an operand that is no condition.
fn conditions(
    whole: &Expr,
    op: &str,
    operands: &[&Expr],
    place: Place<'_>,
    type_of: &dyn Fn(&Expr) -> Option<ArrowType>,
    problems: &mut Vec<Diagnostic>,
) {
    let other = |operand: &&&Expr| type_of(operand).as_ref().and_then(kind).is_some_and(|kind| kind != Kind::Boolean);
    if let Some(operand) = operands.iter().find(other) {
        let found = type_of(operand).map(|found| spelled(&found)).unwrap_or_default();
        let message = format!("`{op}` takes conditions, and `{}` is {found}", written(operand));
        let problem = Diagnostic::error(codes::MIXED_TYPES, place.part(whole.span()), message, "with another type");
        problems.push(problem.help(format!("compare it: `{} <> 0`, `{} is not null`", written(operand), written(operand))));
    }
}

/// Reports an operand that is no text.
fn texts(
    whole: &Expr,
    op: &str,
    sides: [&Expr; 2],
    place: Place<'_>,
    type_of: &dyn Fn(&Expr) -> Option<ArrowType>,
    problems: &mut Vec<Diagnostic>,
) {
    for side in sides {
        if let Some(found) = type_of(side)
            && kind(&found).is_some_and(|kind| kind != Kind::Text)
        {
            let message = format!("`{op}` takes texts, and `{}` is {}", written(side), spelled(&found));
            let problem = Diagnostic::error(codes::MIXED_TYPES, place.part(whole.span()), message, "with another type");
            problems.push(problem.help(format!("cast it: `{}::text`", written(side))));
            return;
        }
    }
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
    for (literal, kind, other) in [(left, left_kind, right_kind), (right, right_kind, left_kind)] {
        if readable(kind, literal, other) {
            problems.extend(no_value(literal, "timestamp", place));
        }
    }
    if left_kind == right_kind || readable(left_kind, left, right_kind) || readable(right_kind, right, left_kind) {
        return;
    }
    let (left_name, right_name) = (spelled(&left_type), spelled(&right_type));
    let message = format!("`{left}` is {left_name} and `{right}` is {right_name}");
    let problem = Diagnostic::error(codes::MIXED_TYPES, place.part(whole.span()), message, "operands of different kinds");
    let problem = match (left_kind, right_kind) {
        (Kind::Time, Kind::Number) | (Kind::Number, Kind::Time) => problem.help(
            "`t + interval '1 day'` moves a time; `extract(epoch from t)` and `to_timestamp(n)` take seconds since 1970 for one another",
        ),
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
        let found = type_of(side);
        let Some((what, one)) = found.as_ref().and_then(|found| several(found, &written(side))) else { continue };
        if !calculates(op) && !matches!(found, Some(ArrowType::Map(..))) {
            continue;
        }
        let message = format!("`{}` is {what}, and `{op}` takes single values", written(side));
        let problem = Diagnostic::error(codes::EXPRESSION_TYPE, place.part(whole.span()), message, format!("with {what}"));
        problems.push(problem.help(format!("take one value of it: `{one}`")));
        return;
    }
}

/// Whether a function is one of maps, or of lists, so that something else is wrong with its call.
fn is_made_for(function: &str, what: &str) -> bool {
    match what {
        "a map" => function.starts_with("map_"),
        "a list" => ["array_", "list_"].iter().any(|start| function.starts_with(start)),
        _ => false,
    }
}

/// What is said of a call, a cast or an operator that cannot be planned and has more than a single value among its operands; `None` where
/// there is none.
pub(super) fn of_several(expr: &Expr, place: Place<'_>, type_of: &dyn Fn(&Expr) -> Option<ArrowType>) -> Option<Diagnostic> {
    let found = visit_expressions(expr, |part| {
        let (by, operands) = match part {
            Expr::Function(call) if type_of(part).is_none() => (call.name.to_string(), given(&call.args).unwrap_or_default()),
            Expr::Extract { expr, .. } if type_of(part).is_none() => ("extract".to_owned(), vec![expr.as_ref()]),
            Expr::UnaryOp { op, expr } => (op.to_string().to_lowercase(), vec![expr.as_ref()]),
            Expr::BinaryOp { left, op, right } if type_of(part).is_none() => (op.to_string().to_lowercase(), vec![left.as_ref(), right]),
            // The planner gives these a type and fails when they are run.
            Expr::Cast { expr, .. } if !matches!(type_of(expr), Some(ArrowType::List(_))) => ("::".to_owned(), vec![expr.as_ref()]),
            Expr::Between { expr, low, high, .. } => ("between".to_owned(), vec![expr.as_ref(), low, high]),
            Expr::InList { expr, list, .. } => ("in".to_owned(), std::iter::once(expr.as_ref()).chain(list).collect()),
            Expr::Case { conditions, else_result, .. } => {
                let results: Vec<&Expr> = conditions.iter().map(|when| &when.result).chain(else_result.as_deref()).collect();
                if results.windows(2).all(|pair| type_of(pair[0]) == type_of(pair[1])) {
                    return ControlFlow::Continue(());
                }
                ("case".to_owned(), results)
            }
            _ => return ControlFlow::Continue(()),
        };
        let types: Option<Vec<ArrowType>> = operands.iter().map(|operand| type_of(operand)).collect();
        // Where the type of an operand is not known, it is what cannot be planned.
        let mut typed = operands.iter().zip(types.unwrap_or_default());
        let found = typed.find_map(|(operand, found)| several(&found, &written(operand)).map(|(what, one)| (operand, what, one)));
        let found = found.filter(|(_, what, _)| !is_made_for(&by, what));
        let Some((operand, what, one)) = found else { return ControlFlow::Continue(()) };
        let message = format!("`{}` is {what}, which `{by}` cannot take here", written(operand));
        let problem = Diagnostic::error(codes::EXPRESSION_TYPE, place.part(part.span()), message, format!("with {what}"));
        ControlFlow::Break(problem.help(format!("take one value of it: `{one}`")))
    });
    found.break_value()
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

pub(super) fn compares(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq
    )
}

fn calculates(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo)
}

/// Reports what is done with an interval that is not done with one.
fn intervals(
    whole: &Expr,
    op: &BinaryOperator,
    sides: [&Expr; 2],
    place: Place<'_>,
    type_of: &dyn Fn(&Expr) -> Option<ArrowType>,
    problems: &mut Vec<Diagnostic>,
) {
    let is_interval = |side: &&Expr| matches!(type_of(side), Some(ArrowType::Duration(_) | ArrowType::Interval(_)));
    let Some(interval) = sides.into_iter().find(is_interval) else { return };
    let text = sides.into_iter().find(|side| is_text_literal(side));
    let (message, help) = match (op, text) {
        (BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo, _) => (
            format!("`{}` is an interval, and `{op}` takes numbers", written(interval)),
            "`extract(epoch from ..)` is its seconds, `to_timestamp(extract(epoch from t) + n * 86400.0)` moves a time by n days"
                .to_owned(),
        ),
        (op, Some(text)) if compares(op) => {
            (format!("`{}` is an interval and `{text}` is text", written(interval)), format!("write it as an interval: `interval {text}`"))
        }
        _ => return,
    };
    problems.push(Diagnostic::error(codes::MIXED_TYPES, place.part(whole.span()), message, "with an interval").help(help));
}

/// Reports a regular expression with signs that PostgreSQL reads in another way.
fn regular(pattern: &Expr, place: Place<'_>, problems: &mut Vec<Diagnostic>) {
    let Expr::Value(literal) = pattern else { return };
    let (Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text)) = &literal.value else { return };
    if let Some(sign) = sense::foreign(text) {
        let message = format!("`{sign}` in the pattern {pattern} is not what it is in PostgreSQL");
        let problem = Diagnostic::error(codes::NO_PATTERN, place.part(literal.span), message, "means another thing here and there");
        problems.push(problem.help(
            "a backslash takes the meaning of a sign; there are no classes within classes but `[:alpha:]` and its like, no `&&`, `--` and `~~` in them, no names of groups, one quantifier behind a part, `$` for the end and `\\b` for the edge of a word",
        ));
    }
}

/// Whether a pattern of `similar to` is one, or is not known before there is a row.
fn is_pattern(pattern: &Expr, escape: Option<&ValueWithSpan>) -> bool {
    let text = |value: &Value| if let Value::SingleQuotedString(text) = value { Some(text.clone()) } else { None };
    let Expr::Value(pattern) = pattern else { return true };
    let escape = escape.and_then(|escape| text(&escape.value)?.chars().next()).unwrap_or('\\');
    text(&pattern.value).is_none_or(|pattern| sense::is_pattern(&pattern, escape))
}

fn is_of_bits(op: &BinaryOperator) -> bool {
    use BinaryOperator::{BitwiseAnd, BitwiseOr, PGBitwiseShiftLeft, PGBitwiseShiftRight};
    matches!(op, BitwiseAnd | BitwiseOr | PGBitwiseShiftLeft | PGBitwiseShiftRight)
}

fn takes_texts(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::PGRegexMatch | BinaryOperator::PGRegexIMatch | BinaryOperator::PGRegexNotMatch | BinaryOperator::PGRegexNotIMatch
    )
}

/// The kinds that are not mixed; intervals, lists and nulls are left to the planner.
pub(super) fn kind(data_type: &ArrowType) -> Option<Kind> {
    match data_type {
        ArrowType::Boolean => Some(Kind::Boolean),
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => Some(Kind::Text),
        ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64 => Some(Kind::Time),
        number if number.is_numeric() => Some(Kind::Number),
        _ => None,
    }
}

/// An expression as it stands in the definitions, where features are `view.feature` and keep their keys apart.
pub(super) fn written(expr: &Expr) -> String {
    let feature = |name: &str| name.contains('.').then(|| Ident::new(name.split(" for ").next().unwrap_or(name)));
    renamed(expr, feature).to_string()
}

/// What a type of several values is called, and how one of those is taken; `None` for types of single values.
pub(super) fn several(data_type: &ArrowType, text: &str) -> Option<(&'static str, String)> {
    match data_type {
        ArrowType::Map(..) => Some(("a map", format!("{text}['key']"))),
        ArrowType::Struct(fields) => Some(("a struct", format!("{text}['{}']", fields.first()?.name()))),
        ArrowType::List(item) | ArrowType::LargeList(item) => {
            let first = format!("{text}[1]");
            Some(("a list", several(item.data_type(), &first).map_or(first, |(_, one)| one)))
        }
        _ => None,
    }
}

/// A type as the language spells it, or Arrow where the language has none.
pub(super) fn spelled(data_type: &ArrowType) -> String {
    match data_type {
        ArrowType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|field| format!("{} {}", field.name(), spelled(field.data_type()))).collect();
            format!("struct({})", fields.join(", "))
        }
        ArrowType::List(item) | ArrowType::LargeList(item) => format!("{}[]", spelled(item.data_type())),
        other => super::language_type(other).map_or_else(|| other.to_string().to_lowercase(), |found| found.to_string()),
    }
}

/// What is said of a literal text that is no value of a type.
pub(super) fn no_value(expr: &Expr, data_type: &str, place: Place<'_>) -> Option<Diagnostic> {
    let Expr::Value(literal) = expr else { return None };
    let Value::SingleQuotedString(text) = &literal.value else { return None };
    (!sense::is_value(text, data_type)).then(|| samples::bad_literal(literal, data_type, place))
}

fn is_text_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}
