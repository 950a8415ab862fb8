//! What an expression means, written with functions that give it: casts, comparisons of doubles, parts of times and other
//! things that DataFusion has in another sense than PostgreSQL (`sense`), and functions that have no code of their own:
//! `coalesce` is a `case`. Must never rewrite what runs as it stands: a simplified expression could round otherwise.

use std::sync::Arc;

use arrow::datatypes::DataType as ArrowType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Case, Expr, ExprSchemable, Operator, binary_expr, lit, when};

use super::sense;

/// Functions that take a null list for an empty one where no row beside it has elements, and for null otherwise.
const BLIND_TO_NULLS: [&str; 2] = ["array_has_all", "array_has_any"];

/// DataFusion's functions of lists that compare elements, by their first names.
const COMPARING: [&str; 10] = [
    "array_distinct",
    "array_except",
    "array_has_all",
    "array_has_any",
    "array_intersect",
    "array_max",
    "array_min",
    "array_position",
    "array_positions",
    "array_union",
];

/// What an expression means.
pub(super) struct Meant {
    pub expr: Expr,
    /// Whether that is another thing than DataFusion takes it for, so that it is another expression than it was before.
    pub in_our_sense: bool,
}

pub(super) fn meant(expr: Expr, names: &DFSchema) -> Result<Meant, DataFusionError> {
    let mut in_our_sense = false;
    let rewritten = expr.transform_up(|part| {
        let sensed = in_sense(part, names)?;
        in_our_sense |= sensed.transformed;
        sensed.transform_data(runnable)
    })?;
    Ok(Meant { expr: rewritten.data, in_our_sense })
}

/// Null where a list is null.
fn runnable(expr: Expr) -> Result<Transformed<Expr>, DataFusionError> {
    match expr {
        Expr::ScalarFunction(call) if BLIND_TO_NULLS.contains(&call.func.name()) => {
            let nulls = call.args.iter().cloned().map(Expr::is_null).reduce(Expr::or).unwrap_or_else(|| lit(false));
            Ok(Transformed::yes(when(nulls, lit(ScalarValue::Boolean(None))).otherwise(Expr::ScalarFunction(call))?))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// A part of an expression in PostgreSQL's sense; its own parts are already.
fn in_sense(expr: Expr, names: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    match expr {
        Expr::ScalarFunction(call) => function(call, names),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            one_form(vec![*left, *right], names, |sides| Ok(binary(sides, op)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_regex(op) => {
            Ok(Transformed::yes(binary_expr(*left, op, over_lines(*right)?)))
        }
        Expr::Between(Between { expr, negated, low, high }) => one_form(vec![*expr, *low, *high], names, |mut sides| {
            let (high, low, expr) = (sides.pop(), sides.pop(), sides.pop());
            match (expr, low, high) {
                (Some(expr), Some(low), Some(high)) => {
                    Ok(Expr::Between(Between::new(Box::new(expr), negated, Box::new(low), Box::new(high))))
                }
                _ => plan_err!("`between` has two bounds"),
            }
        }),
        Expr::InList(InList { expr, list, negated }) => one_form(std::iter::once(*expr).chain(list).collect(), names, |mut sides| {
            let list = sides.split_off(1);
            Ok(Expr::InList(InList::new(Box::new(sides.remove(0)), list, negated)))
        }),
        Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr }) => {
            let (whens, thens): (Vec<_>, Vec<_>) = when_then_expr.into_iter().unzip();
            one_form(std::iter::once(*expr).chain(whens.into_iter().map(|when| *when)).collect(), names, |mut sides| {
                let whens = sides.split_off(1).into_iter().map(Box::new);
                Ok(Expr::Case(Case::new(Some(Box::new(sides.remove(0))), whens.zip(thens).collect(), else_expr)))
            })
        }
        Expr::SimilarTo(Like { negated, expr, pattern, escape_char, case_insensitive: _ }) => {
            let escape = lit(escape_char.unwrap_or('\\').to_string());
            let similar = sense::call("similar to", vec![*expr, *pattern, escape])?;
            Ok(Transformed::yes(if negated { !similar } else { similar }))
        }
        Expr::Cast(Cast { expr, field }) => cast(*expr, field.data_type(), names),
        other => Ok(Transformed::no(other)),
    }
}

fn function(mut call: ScalarFunction, names: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    match (call.func.name(), call.args.as_slice()) {
        ("date_part", [field, of]) => {
            if let Expr::Literal(ScalarValue::Utf8(Some(field)), _) = field {
                return part_of_time(&field.to_lowercase(), of, names);
            }
            plan_err!("`date_part` takes the name of a part as a literal, such as 'hour'")
        }
        ("get_field", [map, key]) if matches!(map.get_type(names)?, ArrowType::Map(..)) => {
            Ok(Transformed::yes(sense::call("value of key", vec![map.clone(), key.clone()])?))
        }
        // SQL's list[from:to], whose stride is one.
        ("array_slice", [_, _, _, _]) => {
            call.args.truncate(3);
            Ok(Transformed::yes(sense::call("array_slice", call.args)?))
        }
        ("nullif", [value, other]) => {
            let value = value.clone();
            let equal = one_form(vec![value.clone(), other.clone()], names, |sides| Ok(binary(sides, Operator::Eq)))?;
            let null = ScalarValue::try_from(&value.get_type(names)?)?;
            Ok(Transformed::yes(when(equal.data, lit(null)).otherwise(value)?))
        }
        // A `nvl` is a `coalesce` of two.
        ("coalesce" | "nvl", [_, ..]) => first_value(alike(call.args, names)?).map(Transformed::no),
        ("nvl2", [_, _, _]) => {
            let mut results = alike(call.args.split_off(1), names)?;
            match (call.args.pop(), results.pop(), results.pop()) {
                (Some(value), Some(null), Some(other)) => Ok(Transformed::no(when(value.is_not_null(), other).otherwise(null)?)),
                _ => plan_err!("`nvl2` takes three values"),
            }
        }
        ("regexp_like" | "regexp_replace" | "regexp_count" | "regexp_instr", [_, ..]) => {
            call.args[1] = over_lines(call.args[1].clone())?;
            if let ("regexp_replace", Some(Expr::Literal(ScalarValue::Utf8(Some(text)), _))) = (call.func.name(), call.args.get(2)) {
                call.args[2] = lit(replacement(text));
            }
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        ("array_to_string", [list, ..]) => match list.get_type(names)? {
            ArrowType::List(item) if matches!(item.data_type(), ArrowType::Float64 | ArrowType::Boolean | ArrowType::Timestamp(..)) => {
                call.args[0] = sense::call("words of list", vec![list.clone()])?;
                Ok(Transformed::yes(Expr::ScalarFunction(call)))
            }
            _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
        },
        (name, _) => match sense::of(name) {
            Some(ours) => Ok(Transformed::yes(ours.call(call.args))),
            None if COMPARING.contains(&name) => {
                let func = Arc::clone(&call.func);
                one_form(call.args, names, |args| Ok(Expr::ScalarFunction(ScalarFunction { func, args })))
            }
            None => Ok(Transformed::no(Expr::ScalarFunction(call))),
        },
    }
}

/// Values of which one is given, as of one type.
fn alike(values: Vec<Expr>, names: &DFSchema) -> Result<Vec<Expr>, DataFusionError> {
    let types = values.iter().map(|value| value.get_type(names)).collect::<Result<Vec<_>, _>>()?;
    let common = sense::common(&types)?;
    let cast =
        |(value, found): (Expr, ArrowType)| if found == common { value } else { Expr::Cast(Cast::new(Box::new(value), common.clone())) };
    Ok(values.into_iter().zip(types).map(cast).collect())
}

/// The first value that is not null.
fn first_value(mut values: Vec<Expr>) -> Result<Expr, DataFusionError> {
    let Some(mut rest) = values.pop() else { return plan_err!("`coalesce` takes a value") };
    while let Some(value) = values.pop() {
        rest = when(value.clone().is_not_null(), value).otherwise(rest)?;
    }
    Ok(rest)
}

/// `extract(field from of)`.
fn part_of_time(field: &str, of: &Expr, names: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    match of.get_type(names)? {
        ArrowType::Duration(_) | ArrowType::Interval(_) if field == "epoch" => {
            Ok(Transformed::yes(sense::call(sense::SECONDS_OF, vec![of.clone()])?))
        }
        ArrowType::Duration(_) | ArrowType::Interval(_) => {
            plan_err!("of an interval there is `epoch` alone: its seconds")
        }
        _ => match sense::part(field) {
            Some(function) => Ok(Transformed::yes(sense::call(function, vec![lit(field), of.clone()])?)),
            None => plan_err!("`{field}` is no part of a time: there are {}", sense::FIELDS.join(", ")),
        },
    }
}

/// Expressions that are compared: doubles in one form, intervals by their length, texts beside times as times.
fn one_form(
    sides: Vec<Expr>,
    names: &DFSchema,
    whole: impl FnOnce(Vec<Expr>) -> Result<Expr, DataFusionError>,
) -> Result<Transformed<Expr>, DataFusionError> {
    let types = sides.iter().map(|side| side.get_type(names)).collect::<Result<Vec<_>, _>>()?;
    let times = types.iter().any(|found| matches!(found, ArrowType::Timestamp(..)))
        || types.contains(&ArrowType::Date32) && types.contains(&ArrowType::Utf8);
    let form = |side: &Expr, found: &ArrowType| match found {
        ArrowType::Duration(_) | ArrowType::Interval(_) => Some(sense::LENGTH),
        ArrowType::Utf8 if times => Some("text to timestamp"),
        ArrowType::Date32 if times => Some("date to timestamp"),
        found if sense::has_doubles(found) => {
            let ordinary = matches!(side, Expr::Literal(ScalarValue::Float64(Some(x)), _) if *x != 0.0 && !x.is_nan());
            (!ordinary).then_some(sense::ONE_FORM)
        }
        _ => None,
    };
    let forms: Vec<_> = sides.iter().zip(&types).map(|(side, found)| form(side, found)).collect();
    let changed = forms.iter().any(Option::is_some);
    let formed = sides.into_iter().zip(forms).map(|(side, form)| form.map_or(Ok(side.clone()), |form| sense::call(form, vec![side])));
    let whole = whole(formed.collect::<Result<_, _>>()?)?;
    Ok(if changed { Transformed::yes(whole) } else { Transformed::no(whole) })
}

fn binary(mut sides: Vec<Expr>, op: Operator) -> Expr {
    let right = sides.pop().unwrap_or_else(|| lit(ScalarValue::Null));
    let left = sides.pop().unwrap_or_else(|| lit(ScalarValue::Null));
    binary_expr(left, op, right)
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_regex(op: Operator) -> bool {
    matches!(op, Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch)
}

/// A pattern whose dot is also the end of a line; null where it has signs of Rust's alone.
fn over_lines(pattern: Expr) -> Result<Expr, DataFusionError> {
    Ok(match pattern {
        Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) => lit(format!("(?s){pattern}")),
        other => binary_expr(lit("(?s)"), Operator::StringConcat, sense::call(sense::PLAIN, vec![other])?),
    })
}

/// What takes the place of a match, as Rust's `regex` has it: `\1` to `\9` are groups, `\&` the whole, and `$` is a dollar.
fn replacement(text: &str) -> String {
    let (mut written, mut letters) = (String::new(), text.chars().peekable());
    while let Some(letter) = letters.next() {
        match (letter, letters.peek().copied()) {
            ('$', _) => written.push_str("$$"),
            ('\\', Some(group)) if group.is_ascii_digit() && group != '0' || group == '&' => {
                written.push_str(&format!("${{{}}}", if group == '&' { '0' } else { group }));
                letters.next();
            }
            ('\\', next) => {
                if next == Some('\\') {
                    letters.next();
                }
                // An empty group, so that no digit behind a backslash makes it one.
                written.push_str("\\${99}");
            }
            (letter, _) => written.push(letter),
        }
    }
    written
}

fn cast(expr: Expr, to: &ArrowType, names: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    let from = expr.get_type(names)?;
    let as_it_is = |expr: Expr| Expr::Cast(Cast::new(Box::new(expr), to.clone()));
    let by = |name: &str, expr: Expr| sense::call(name, vec![expr]).map(Transformed::yes);
    let text = |found: &ArrowType| matches!(found, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View);
    match (&from, to) {
        (_, ArrowType::Timestamp(_, Some(zone))) => Ok(Transformed::yes(sense::call("at time zone", vec![expr, lit(zone.to_string())])?)),
        (ArrowType::Float64, integer) if integer.is_integer() => Ok(by("double to bigint", expr)?.update_data(as_it_is)),
        (found, integer) if text(found) && integer.is_integer() => Ok(by("text to bigint", expr)?.update_data(as_it_is)),
        (found, ArrowType::Float64) if text(found) => by("text to double", expr),
        (found, ArrowType::Boolean) if text(found) => by("text to boolean", expr),
        (found, ArrowType::Timestamp(..)) if text(found) => by("text to timestamp", expr),
        // Microseconds, whatever SQL's `timestamp` is to DataFusion.
        (ArrowType::Timestamp(..), ArrowType::Timestamp(..)) => Ok(Transformed::no(expr)),
        (ArrowType::Date32, ArrowType::Timestamp(..)) => by("date to timestamp", expr),
        (found, ArrowType::Boolean) if found.is_integer() => by("bigint to boolean", expr),
        (ArrowType::Timestamp(..), found) if text(found) => by("timestamp to text", expr),
        (ArrowType::Float64, found) if text(found) => by("to text", expr),
        (ArrowType::List(item), ArrowType::List(other)) if !text(item.data_type()) && text(other.data_type()) => by("texts of list", expr),
        _ => Ok(Transformed::no(as_it_is(expr))),
    }
}
