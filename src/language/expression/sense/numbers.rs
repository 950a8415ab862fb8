//! Numbers: powers, roundings and logarithms. Doubles are rounded half to even, decimals half away from zero. What has no
//! value (a root or logarithm of a negative number) is null.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type};
use datafusion::common::DataFusionError;

use super::Takes::{Double, Integer, Number};
use super::{Sense, each, sense};

pub(super) static SENSES: &[Sense] = &[
    sense("power", &[Double, Double], double, |given| binary(given, power)),
    sense("round", &[Double, Integer], double, |given| digits(given, f64::round_ties_even, half_away)).optional(1),
    sense("trunc", &[Double, Integer], double, |given| digits(given, f64::trunc, towards_zero)).optional(1),
    sense("ceil", &[Double], double, |given| unary(given, |x| Some(f64::ceil(x)))),
    sense("floor", &[Double], double, |given| unary(given, |x| Some(f64::floor(x)))),
    sense("signum", &[Double], double, |given| unary(given, |x| Some(sign(x)))),
    sense("ln", &[Double], double, |given| unary(given, |x| positive(x).map(f64::ln))),
    sense("log10", &[Double], double, |given| unary(given, |x| positive(x).map(f64::log10))),
    sense("log2", &[Double], double, |given| unary(given, |x| positive(x).map(f64::log2))),
    sense("log", &[Double, Double], double, logarithm).optional(1),
    // By the radians of a degree, as PostgreSQL does.
    sense("degrees", &[Double], double, |given| unary(given, |x| Some(x / (std::f64::consts::PI / 180.0)))),
    sense("acos", &[Double], double, |given| unary(given, |x| within(x, 1.0).map(f64::acos))),
    sense("asin", &[Double], double, |given| unary(given, |x| within(x, 1.0).map(f64::asin))),
    sense("atanh", &[Double], double, |given| unary(given, |x| within(x, 1.0).map(f64::atanh))),
    sense("acosh", &[Double], double, |given| unary(given, |x| (x.is_nan() || x >= 1.0).then(|| x.acosh()))),
    sense("sin", &[Double], double, |given| unary(given, |x| finite(x).map(f64::sin))),
    sense("cos", &[Double], double, |given| unary(given, |x| finite(x).map(f64::cos))),
    sense("tan", &[Double], double, |given| unary(given, |x| finite(x).map(f64::tan))),
    sense("cot", &[Double], double, |given| unary(given, |x| finite(x).map(|x| 1.0 / x.tan()))),
    sense("gcd", &[Integer, Integer], integer, |given| whole(given, gcd)),
    sense("lcm", &[Integer, Integer], integer, |given| whole(given, lcm)),
    sense(
        "isnan",
        &[Double],
        |_| Ok(ArrowType::Boolean),
        |given| {
            Ok(Arc::new(given[0].as_primitive::<Float64Type>().iter().map(|x| x.map(f64::is_nan)).collect::<arrow::array::BooleanArray>()))
        },
    ),
    sense(
        "iszero",
        &[Double],
        |_| Ok(ArrowType::Boolean),
        |given| {
            Ok(Arc::new(given[0].as_primitive::<Float64Type>().iter().map(|x| x.map(|x| x == 0.0)).collect::<arrow::array::BooleanArray>()))
        },
    ),
    sense("abs", &[Number], |given| Ok(given[0].clone()), absolute),
];

pub(super) fn double(_: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
    Ok(ArrowType::Float64)
}

pub(super) fn integer(_: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
    Ok(ArrowType::Int64)
}

fn unary(given: &[ArrayRef], value: impl Fn(f64) -> Option<f64>) -> Result<ArrayRef, DataFusionError> {
    let x = given[0].as_primitive::<Float64Type>();
    Ok(Arc::new(each(given, |row| value(x.value(row))).collect::<Float64Array>()))
}

fn binary(given: &[ArrayRef], value: impl Fn(f64, f64) -> Option<f64>) -> Result<ArrayRef, DataFusionError> {
    let (x, y) = (given[0].as_primitive::<Float64Type>(), given[1].as_primitive::<Float64Type>());
    Ok(Arc::new(each(given, |row| value(x.value(row), y.value(row))).collect::<Float64Array>()))
}

fn whole(given: &[ArrayRef], value: impl Fn(i64, i64) -> Option<i64>) -> Result<ArrayRef, DataFusionError> {
    let (n, m) = (given[0].as_primitive::<Int64Type>(), given[1].as_primitive::<Int64Type>());
    Ok(Arc::new(each(given, |row| value(n.value(row), m.value(row))).collect::<Int64Array>()))
}

fn absolute(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    if *given[0].data_type() == ArrowType::Float64 {
        return unary(given, |x| Some(x.abs()));
    }
    let n = given[0].as_primitive::<Int64Type>();
    Ok(Arc::new(each(given, |row| n.value(row).checked_abs()).collect::<Int64Array>()))
}

/// Zero to a negative power, and a negative number to a fraction, have no value.
fn power(x: f64, y: f64) -> Option<f64> {
    let none = x == 0.0 && y < 0.0 || x < 0.0 && y.is_finite() && y.fract() != 0.0;
    (!none).then(|| x.powf(y))
}

fn sign(x: f64) -> f64 {
    match x {
        x if x > 0.0 => 1.0,
        x if x < 0.0 => -1.0,
        _ => 0.0,
    }
}

fn positive(x: f64) -> Option<f64> {
    (x.is_nan() || x > 0.0).then_some(x)
}

fn within(x: f64, bound: f64) -> Option<f64> {
    (x.is_nan() || x.abs() <= bound).then_some(x)
}

fn finite(x: f64) -> Option<f64> {
    (!x.is_infinite()).then_some(x)
}

/// To base 10, or to the first of two.
fn logarithm(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    if given.len() == 1 {
        return unary(given, |x| positive(x).map(f64::log10));
    }
    binary(given, |base, x| {
        let (base, x) = (positive(base)?, positive(x)?);
        let exact = |base: f64| {
            if base == 2.0 {
                x.log2()
            } else if base == 10.0 {
                x.log10()
            } else {
                x.ln() / base.ln()
            }
        };
        (base != 1.0).then(|| exact(base))
    })
}

fn gcd(n: i64, m: i64) -> Option<i64> {
    let (mut n, mut m) = (n.unsigned_abs(), m.unsigned_abs());
    while m != 0 {
        (n, m) = (m, n % m);
    }
    i64::try_from(n).ok()
}

fn lcm(n: i64, m: i64) -> Option<i64> {
    if n == 0 || m == 0 {
        return Some(0);
    }
    let product = (i128::from(n) / i128::from(gcd(n, m)?)) * i128::from(m);
    i64::try_from(product.abs()).ok()
}

/// `f(x)`, or `f(x, n)` of the decimal digits of x.
fn digits(given: &[ArrayRef], whole: fn(f64) -> f64, cut: fn(&[u8], usize) -> bool) -> Result<ArrayRef, DataFusionError> {
    if given.len() == 1 {
        return unary(given, |x| Some(whole(x)));
    }
    let (x, n) = (given[0].as_primitive::<Float64Type>(), given[1].as_primitive::<Int64Type>());
    Ok(Arc::new(each(given, |row| Some(to_digits(x.value(row), n.value(row), cut))).collect::<Float64Array>()))
}

/// The shortest digits of x, those behind the n-th place left out; the last is raised where `up` says so.
fn to_digits(x: f64, n: i64, up: fn(&[u8], usize) -> bool) -> f64 {
    if !x.is_finite() || x == 0.0 {
        return x;
    }
    let text = format!("{:e}", x.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    let exponent: i64 = exponent.parse().unwrap_or(0);
    // How many digits stay: those before the point are `exponent + 1`.
    let kept = (exponent + 1).saturating_add(n);
    if kept >= digits.len() as i64 {
        return x;
    }
    if kept < 0 {
        return 0.0;
    }
    let kept = kept as usize;
    let mut left: Vec<u8> = std::iter::once(0).chain(digits[..kept].iter().copied()).collect();
    if up(&digits, kept) {
        for digit in left.iter_mut().rev() {
            *digit += 1;
            if *digit < 10 {
                break;
            }
            *digit = 0;
        }
    }
    let text: String = left.iter().map(|digit| char::from(b'0' + digit)).collect();
    let value: f64 = format!("{text}e{}", exponent + 1 - kept as i64).parse().unwrap_or(f64::NAN);
    if value == 0.0 { 0.0 } else { value.copysign(x) }
}

fn half_away(digits: &[u8], kept: usize) -> bool {
    digits[kept] >= 5
}

fn towards_zero(_: &[u8], _: usize) -> bool {
    false
}
