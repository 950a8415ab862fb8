//! Values by a scan over all events, one feature at a time, without tiles, summaries or the rows of states.

use std::sync::Arc;

use num_bigint::BigInt;

use super::fixture::Events;
use crate::aggregate::MapLimit;
use crate::id::Position;
use crate::plan::{View, WindowBounds};
use crate::time::EventTime;
use crate::value::{DataType, Value};

pub(super) fn value(view: &View, events: &Events, feature: usize, q: EventTime, current: Option<Position>) -> Value {
    let feature = &view.features[feature];
    let (fold, window) = (&view.folds[feature.fold], &feature.window);
    let now = i128::from(q.0);
    let q = now - i128::from(window.offset.0);
    let life = view.ttl.map(|ttl| life(events, now, ttl.0));
    let lives = |row: &usize| life.is_none_or(|life| i128::from(events.positions[*row].time.0) >= life);
    let mut rows: Vec<(Position, &[Value; 5])> = (0..events.positions.len())
        .filter(lives)
        .filter(|row| {
            let at = events.positions[*row];
            let time = i128::from(at.time.0);
            let starts = match &window.frame {
                WindowBounds::Range { length, open: true } => time > q - i128::from(length.0),
                WindowBounds::Range { length, open: false } => time >= q - i128::from(length.0),
                WindowBounds::Hop { length, hop } => time >= floor(q - i128::from(length.0), i128::from(hop.0)),
                WindowBounds::Calendar { unit, zone } => {
                    let start = i64::try_from(q).ok().and_then(|q| unit.start(q, *zone));
                    start.is_none_or(|start| time >= i128::from(start))
                }
                WindowBounds::Last { unit, zone } => {
                    let end = i64::try_from(q).ok().and_then(|q| unit.start(q, *zone));
                    let start = end.and_then(|end| unit.start(end - 1, *zone));
                    start.zip(end).is_some_and(|(start, end)| time >= i128::from(start) && time < i128::from(end))
                }
                WindowBounds::Session { .. } | WindowBounds::All => true,
            };
            starts && time <= q && !(window.before && time == q) && !(window.excluding_current && current == Some(at))
        })
        .map(|row| (events.positions[row], &events.values[row]))
        .filter(|(_, values)| fold.filter.is_none() || values[3] == Value::Bool(true))
        .collect();
    rows.sort_by_key(|row| row.0);
    if let WindowBounds::Session { gap } = window.frame {
        let times: Vec<i128> = rows.iter().map(|row| i128::from(row.0.time.0)).chain([q]).collect();
        let breaks = (0..rows.len()).filter(|row| times[row + 1] - times[*row] > i128::from(gap.0));
        rows.drain(..breaks.max().map_or(0, |last| last + 1));
    }
    if let Some(limit) = window.limit {
        rows.drain(..rows.len().saturating_sub(limit as usize));
    }
    rows.retain(|(_, values)| fold.aggregate.text() == "latest" || fold.inputs.iter().all(|input| !values[*input].is_null()));
    let inputs: Vec<Vec<Value>> =
        rows.into_iter().map(|(_, values)| fold.inputs.iter().map(|input| values[*input].clone()).collect()).collect();
    let name = fold.aggregate.text();
    let result = match fold.aggregate.result_type() {
        DataType::Map(result) => map(name.trim_end_matches(" by"), result, feature.keep, &inputs),
        result => aggregate(&name, result, &inputs),
    };
    match result {
        Value::Null => feature.default.clone().unwrap_or_default(),
        value => value,
    }
}

/// When the events begin that are at most `ttl` apart, up to `now`.
fn life(events: &Events, now: i128, ttl: i64) -> i128 {
    let mut times: Vec<i128> = events.positions.iter().map(|at| i128::from(at.time.0)).filter(|time| *time <= now).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.into_iter().fold(now, |first, time| if first - time <= i128::from(ttl) { time } else { first })
}

/// A map of the aggregate over the rows of each key, which is the last input.
fn map(name: &str, result: &DataType, keep: MapLimit, rows: &[Vec<Value>]) -> Value {
    let mut groups: Vec<(Value, Vec<Vec<Value>>)> = Vec::new();
    for row in rows {
        let (key, inputs) = row.split_last().unwrap();
        match groups.iter_mut().find(|(known, _)| known == key) {
            Some((_, rows)) => rows.push(inputs.to_vec()),
            None => groups.push((key.clone(), vec![inputs.to_vec()])),
        }
    }
    let of = |rows: &[Vec<Value>]| aggregate(name, result, rows);
    groups.sort_by(|(a, more), (b, rows)| {
        let by = match (of(rows), of(more)) {
            _ if !keep.by_value => rows.len().cmp(&more.len()),
            (Value::Null, other) | (other, Value::Null) if other.is_null() => std::cmp::Ordering::Equal,
            (Value::Null, _) => std::cmp::Ordering::Less,
            (_, Value::Null) => std::cmp::Ordering::Greater,
            (x, y) => compare(&x, &y),
        };
        by.then_with(|| compare(a, b))
    });
    let rest = groups.split_off(groups.len().min(keep.limit as usize));
    let mut entries: Vec<(Arc<str>, Value)> = groups.iter().map(|(key, rows)| (text(key), of(rows))).collect();
    if !rest.is_empty() {
        let merged = rows.iter().filter(|row| rest.iter().any(|(key, _)| row.last() == Some(key)));
        let merged: Vec<Vec<Value>> = merged.map(|row| row[..row.len() - 1].to_vec()).collect();
        entries.push(("__other".into(), of(&merged)));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    if entries.is_empty() { Value::Null } else { Value::Map(entries.into()) }
}

fn text(key: &Value) -> Arc<str> {
    match key {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string().into(),
        Value::Bool(value) => value.to_string().into(),
        Value::Timestamp(time) => EventTime(*time).to_string().into(),
        other => panic!("{other:?} is no key"),
    }
}

/// The greatest multiple of `step` up to `time`.
fn floor(time: i128, step: i128) -> i128 {
    let multiple = time / step * step;
    if multiple > time { multiple - step } else { multiple }
}

fn aggregate(name: &str, result: &DataType, rows: &[Vec<Value>]) -> Value {
    let x = || rows.iter().map(|row| row[0].clone());
    if name == "count" {
        return Value::Int(rows.len() as i64);
    }
    if let Some(limit) = name.strip_prefix("count_distinct(") {
        let mut distinct: Vec<Value> = x().map(plain_zero).collect();
        distinct.sort_by(compare);
        distinct.dedup();
        return Value::Int((distinct.len() as i64).min(limit.trim_end_matches(')').parse().unwrap()));
    }
    let Some(last) = rows.last() else { return Value::Null };
    match name {
        "sum" if *result == DataType::Int => i64::try_from(x().map(int).sum::<i128>()).map_or(Value::Null, Value::Int),
        "sum" => Value::Float(sum(&x().collect::<Vec<_>>())),
        "avg" => Value::Float(sum(&x().collect::<Vec<_>>()) / rows.len() as f64),
        "min" => plain_zero(x().min_by(compare).unwrap()),
        "max" => plain_zero(x().max_by(compare).unwrap()),
        "first" => rows[0][0].clone(),
        "last" | "latest" => last[0].clone(),
        "last_n(3)" => Value::List(rows[rows.len().saturating_sub(3)..].iter().map(|row| row[0].clone()).collect()),
        "last_n(100)" => Value::List(rows[rows.len().saturating_sub(100)..].iter().map(|row| row[0].clone()).collect()),
        // Of equal ones `min_by` of iterators gives the first and `max_by` the last.
        "min_by" => rows.iter().min_by(|a, b| compare(&a[1], &b[1])).unwrap()[0].clone(),
        "max_by" => rows.iter().rev().max_by(|a, b| compare(&a[1], &b[1])).unwrap()[0].clone(),
        "bool_and" => Value::Bool(x().all(|value| value == Value::Bool(true))),
        "bool_or" => Value::Bool(x().any(|value| value == Value::Bool(true))),
        "var_pop" => variance(rows, 0).map_or(Value::Null, Value::Float),
        "var_samp" => variance(rows, 1).map_or(Value::Null, Value::Float),
        "stddev_pop" => variance(rows, 0).map_or(Value::Null, |variance| Value::Float(variance.sqrt())),
        "stddev_samp" => variance(rows, 1).map_or(Value::Null, |variance| Value::Float(variance.sqrt())),
        other => panic!("no scan for {other}"),
    }
}

fn int(value: Value) -> i128 {
    if let Value::Int(value) = value { i128::from(value) } else { panic!("{value:?} is no integer") }
}

/// Zeros are one, and so are NaNs.
fn plain_zero(value: Value) -> Value {
    match value {
        Value::Float(0.0) => Value::Float(0.0),
        Value::Float(value) if value.is_nan() => Value::Float(f64::NAN),
        value => value,
    }
}

fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
        (Value::Int(a), Value::Int(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => panic!("{a:?} and {b:?} do not compare"),
    }
}

/// Numbers in units of 2^-1074; `None` where one is not finite, with the double that their sum then is.
fn units(values: &[Value]) -> Result<Vec<BigInt>, f64> {
    let float = |value: &Value| if let Value::Float(value) = value { *value } else { 0.0 };
    let odd: f64 = values.iter().map(float).filter(|value| !value.is_finite()).sum();
    if values.iter().any(|value| !float(value).is_finite()) {
        return Err(if odd.is_nan() { f64::NAN } else { odd });
    }
    Ok(values
        .iter()
        .map(|value| match value {
            Value::Int(value) => BigInt::from(*value) << 1074,
            value => {
                let bits = float(value).to_bits();
                let (biased, fraction) = (bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
                let magnitude = if biased == 0 { BigInt::from(fraction) } else { BigInt::from(fraction | 1 << 52) << (biased - 1) };
                if bits >> 63 == 1 { -magnitude } else { magnitude }
            }
        })
        .collect())
}

fn sum(values: &[Value]) -> f64 {
    match units(values) {
        Ok(units) => nearest(&units.iter().sum(), &BigInt::from(1), 1074),
        Err(odd) => odd,
    }
}

fn variance(rows: &[Vec<Value>], freedom: usize) -> Option<f64> {
    let n = rows.len();
    if n <= freedom {
        return None;
    }
    let Ok(units) = units(&rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>()) else { return Some(f64::NAN) };
    let (sum, squares): (BigInt, BigInt) = (units.iter().sum(), units.iter().map(|x| x * x).sum());
    Some(nearest(&(squares * n - &sum * &sum), &BigInt::from(n * (n - freedom)), 2 * 1074))
}

/// The double nearest to `numerator / denominator * 2^-scale`, ties to even.
fn nearest(numerator: &BigInt, denominator: &BigInt, scale: i64) -> f64 {
    if *numerator < BigInt::ZERO {
        return -nearest(&-numerator, denominator, scale);
    }
    if *numerator == BigInt::ZERO {
        return 0.0;
    }
    // A quotient of 80 or 81 bits, and whether something is left below it.
    let shift = 80 - (numerator.bits() as i64 - denominator.bits() as i64);
    let (numerator, denominator) =
        if shift >= 0 { (numerator << shift, denominator.clone()) } else { (numerator.clone(), denominator << -shift) };
    let quotient = u128::try_from(&numerator / &denominator).unwrap();
    let rest = &numerator % &denominator != BigInt::ZERO;
    let length = 128 - i64::from(quotient.leading_zeros());
    let exponent = -scale - shift;
    let mantissa_bits = (exponent + length + 1074).min(53);
    if mantissa_bits < 0 {
        return 0.0;
    }
    let dropped = length - mantissa_bits;
    let (kept, low) = (quotient >> dropped, quotient & ((1 << dropped) - 1));
    let half = 1u128 << (dropped - 1);
    let up = low > half || low == half && (rest || kept & 1 == 1);
    let power = exponent + dropped;
    // Two exact steps: one power of two may be too small or too large for a double.
    (kept + u128::from(up)) as f64 * 2f64.powi((power / 2) as i32) * 2f64.powi((power - power / 2) as i32)
}
