//! Times and intervals in microseconds. DataFusion compares and casts times in nanoseconds, which reach from 1677 to 2262,
//! and compares intervals part by part. Must never change what a value is where these have one that is right.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable, TryCast, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::time::Span;

/// The expression, with its operands converted to one another's types, in microseconds.
pub(super) fn times(state: &SessionState, expr: Expr, names: &DFSchema) -> Result<Expr, DataFusionError> {
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(names.clone())).build());
    let coarser = simplifier.coerce(expr, names)?.transform_up(|part| in_micros(state, part, names))?;
    let spans = coarser.data.transform_up(|part| spans_in_micros(part, names))?;
    // Where one operand of two was in nanoseconds, both are not.
    simplifier.coerce(spans.data, names)
}

/// A cast to nanoseconds as one to microseconds, and what comes in nanoseconds cast to these.
fn in_micros(state: &SessionState, part: Expr, names: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    let Some(micros) = part.get_type(names).ok().and_then(|found| micros(&found)) else { return Ok(Transformed::no(part)) };
    let meant = match part {
        Expr::Cast(Cast { expr, .. }) if is_no_number(&expr, names) => Expr::Cast(Cast::new(expr, micros)),
        Expr::TryCast(TryCast { expr, .. }) if is_no_number(&expr, names) => Expr::TryCast(TryCast::new(expr, micros)),
        Expr::ScalarFunction(call) => Expr::Cast(Cast::new(Box::new(read_in_micros(state, call, names)?), micros)),
        other => Expr::Cast(Cast::new(Box::new(other), micros)),
    };
    Ok(Transformed::yes(meant))
}

/// The type in microseconds of times, and lists of times, in nanoseconds.
fn micros(found: &ArrowType) -> Option<ArrowType> {
    match found {
        ArrowType::Timestamp(TimeUnit::Nanosecond, zone) => Some(ArrowType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        ArrowType::List(item) => {
            let coarser = item.as_ref().clone().with_data_type(micros(item.data_type())?);
            Some(ArrowType::List(Arc::new(coarser)))
        }
        _ => None,
    }
}

/// A number counts nanoseconds where it is cast to them.
fn is_no_number(expr: &Expr, names: &DFSchema) -> bool {
    expr.get_type(names).is_ok_and(|found| !found.is_numeric())
}

/// `to_timestamp` of a text, and of whole seconds, without the detour over nanoseconds.
fn read_in_micros(state: &SessionState, call: ScalarFunction, names: &DFSchema) -> Result<Expr, DataFusionError> {
    let reads = call.func.name() == "to_timestamp" && call.args.len() == 1;
    let first = call.args.first().filter(|_| reads).map(|first| first.get_type(names)).transpose()?;
    Ok(match (first, call.args.first(), state.scalar_functions().get("to_timestamp_seconds")) {
        (Some(ArrowType::Utf8), Some(text), _) => Expr::Cast(Cast::new(Box::new(text.clone()), MICROS)),
        (Some(number), _, Some(seconds)) if number.is_integer() => {
            Expr::ScalarFunction(ScalarFunction { func: Arc::clone(seconds), args: call.args })
        }
        _ => Expr::ScalarFunction(call),
    })
}

const MICROS: ArrowType = ArrowType::Timestamp(TimeUnit::Microsecond, None);

/// Comparisons of intervals as ones of microseconds, a month being 30 days as in PostgreSQL: DataFusion compares months, then
/// days, then what is left, so that 40 days that are the difference of two times are less than an interval of 30. And the
/// seconds of a difference, which it counts in nanoseconds.
fn spans_in_micros(part: Expr, names: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    let is = |expr: &Expr, wanted: fn(&ArrowType) -> bool| expr.get_type(names).is_ok_and(|found| wanted(&found));
    let is_interval = |expr: &Expr| is(expr, |found| matches!(found, ArrowType::Interval(_)));
    let meant = match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() && is_interval(&left) && is_interval(&right) => {
            let [left, right] = [left, right].map(|side| span(*side, names));
            Expr::BinaryExpr(BinaryExpr::new(Box::new(left?), op, Box::new(right?)))
        }
        Expr::Between(Between { expr, negated, low, high }) if is_interval(&expr) => {
            let [expr, low, high] = [expr, low, high].map(|side| span(*side, names).map(Box::new));
            Expr::Between(Between::new(expr?, negated, low?, high?))
        }
        Expr::InList(InList { expr, list, negated }) if is_interval(&expr) => {
            let list = list.into_iter().map(|item| span(item, names)).collect::<Result<_, _>>()?;
            Expr::InList(InList::new(Box::new(span(*expr, names)?), list, negated))
        }
        Expr::ScalarFunction(call) if is_epoch(&call) && is(&call.args[1], |found| matches!(found, ArrowType::Duration(_))) => {
            let micros = span(call.args[1].clone(), names)?;
            Expr::Cast(Cast::new(Box::new(micros), ArrowType::Float64)) / lit(1e6)
        }
        other => return Ok(Transformed::no(other)),
    };
    Ok(Transformed::yes(meant))
}

fn is_epoch(call: &ScalarFunction) -> bool {
    let field = call.args.first().and_then(|field| if let Expr::Literal(field, _) = field { field.try_as_str().flatten() } else { None });
    call.func.name() == "date_part" && call.args.len() == 2 && field.is_some_and(|field| field.eq_ignore_ascii_case("epoch"))
}

/// The microseconds of a difference of two times, or of an interval that is a literal.
fn span(expr: Expr, names: &DFSchema) -> Result<Expr, DataFusionError> {
    if let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) = &expr {
        let days = i128::from(interval.months) * 30 + i128::from(interval.days);
        let micros = days * i128::from(Span::DAY.0) + i128::from(interval.nanoseconds.div_euclid(1_000));
        return i64::try_from(micros).map(lit).map_err(|_| plan_datafusion_err!("the interval {expr} is longer than time is counted"));
    }
    let inner = match expr {
        Expr::Cast(Cast { expr, .. }) => *expr,
        other => other,
    };
    match inner.get_type(names)? {
        ArrowType::Duration(_) => {
            let micros = Expr::Cast(Cast::new(Box::new(inner), ArrowType::Duration(TimeUnit::Microsecond)));
            Ok(Expr::Cast(Cast::new(Box::new(micros), ArrowType::Int64)))
        }
        _ => plan_err!("an interval is compared with the difference of two times: write `a > b + interval '1 day'`"),
    }
}
