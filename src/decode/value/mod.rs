//! One conversion for every way in: a value as it was written, in whatever form, becomes one of a declared type, or it is
//! said why not. Payloads, cells of CSV, columns of Parquet, tables and spines all come through here; the rules are the
//! table in `docs/formats.md`. Must never guess a unit, and never lose a digit of a whole number.

mod stored;

use std::borrow::Cow;
use std::fmt;

use super::{odd_times, reason, time};
use crate::time::{Epoch, EventTime};
use crate::value::{DataType, Value};

pub(crate) use stored::{as_found, becomes, item, quoted, stored, unpacked};

/// A value of a type that is no list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Single<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// Microseconds since the epoch.
    Timestamp(i64),
}

impl From<Single<'_>> for Value {
    fn from(single: Single<'_>) -> Self {
        match single {
            Single::Bool(value) => Self::Bool(value),
            Single::Int(value) => Self::Int(value),
            Single::Float(value) => Self::Float(value),
            Single::Text(value) => Self::Text(value.into()),
            Single::Timestamp(value) => Self::Timestamp(value),
        }
    }
}

/// Why a value is none of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// One of `reason`.
    pub reason: &'static str,
    /// What there is instead: "got the text "seven"".
    pub message: String,
}

type Converted<'a> = Result<Single<'a>, Mismatch>;

#[cold]
fn wrong<'a>(what: fmt::Arguments<'_>) -> Converted<'a> {
    Err(Mismatch { reason: reason::WRONG_TYPE, message: what.to_string() })
}

#[cold]
fn bad_time<'a>(what: fmt::Arguments<'_>) -> Converted<'a> {
    Err(Mismatch { reason: reason::BAD_TIME, message: what.to_string() })
}

#[inline]
pub(crate) fn boolean<'a>(value: bool, to: &DataType) -> Converted<'a> {
    match to {
        DataType::Bool => Ok(Single::Bool(value)),
        _ => wrong(format_args!("got {value}")),
    }
}

/// A whole number.
#[inline]
pub(crate) fn whole<'a>(value: i64, to: &DataType) -> Converted<'a> {
    match to {
        DataType::Int => Ok(Single::Int(value)),
        DataType::Float => Ok(Single::Float(value as f64)),
        DataType::Timestamp => counted(value, Epoch::default(), to),
        _ => wrong(format_args!("got the number {value}")),
    }
}

/// A whole number, which for a time counts what is declared.
#[inline]
pub(crate) fn counted<'a>(value: i64, epoch: Epoch, to: &DataType) -> Converted<'a> {
    if *to != DataType::Timestamp {
        return whole(value, to);
    }
    match epoch.micros(value).filter(|micros| time::in_range(*micros)) {
        Some(micros) => Ok(Single::Timestamp(micros)),
        None => out_of_years(value, epoch, odd_times::remedy(value, "").as_deref()),
    }
}

#[cold]
fn out_of_years<'a>(number: impl fmt::Display, epoch: Epoch, remedy: Option<&str>) -> Converted<'a> {
    let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
    bad_time(format_args!("{number} {epoch} since 1970 lie outside the years -9999 to 9999{remedy}"))
}

/// A number of JSON that is beyond the largest double.
pub(crate) fn beyond_doubles<'a>(number: &str) -> Converted<'a> {
    wrong(format_args!("got the number {}, which is beyond the largest double", Clipped(number)))
}

/// A whole number without a sign.
pub(crate) fn unsigned<'a>(value: u64, to: &DataType) -> Converted<'a> {
    match (i64::try_from(value), to) {
        (Ok(value), _) => whole(value, to),
        (Err(_), DataType::Float) => Ok(Single::Float(value as f64)),
        (Err(_), DataType::Timestamp) => out_of_years(value, Epoch::default(), None),
        (Err(_), _) => wrong(format_args!("got the number {value}, which does not fit into 64 bits with a sign")),
    }
}

/// A number with a fraction or an exponent, or a double. From 2^53 on doubles do not hold every whole number, so that one
/// may be another than the one that was meant.
#[inline]
pub(crate) fn float<'a>(value: f64, to: &DataType) -> Converted<'a> {
    match to {
        DataType::Float => Ok(Single::Float(value)),
        DataType::Int if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => Ok(Single::Int(value as i64)),
        DataType::Int => wrong(format_args!("got the number {value}, which is not written as a whole number of 64 bits")),
        DataType::Timestamp if value.fract() == 0.0 && value.abs() >= 9.2e18 => out_of_years(value, Epoch::default(), None),
        _ => wrong(format_args!("got the number {value}")),
    }
}

/// Text of a format that has types.
#[inline]
pub(crate) fn text<'a>(value: &'a str, to: &DataType) -> Converted<'a> {
    match (to, value) {
        (DataType::Text, _) => Ok(Single::Text(Cow::Borrowed(value))),
        (DataType::Float, "NaN") => Ok(Single::Float(f64::NAN)),
        (DataType::Float, "Infinity") => Ok(Single::Float(f64::INFINITY)),
        (DataType::Float, "-Infinity") => Ok(Single::Float(f64::NEG_INFINITY)),
        (DataType::Timestamp, _) => match time::parse(value) {
            Some(micros) => Ok(Single::Timestamp(micros)),
            None => bad_time(format_args!("got {:?}, which is no RFC 3339 time of the years -9999 to 9999", Clipped(value))),
        },
        _ => wrong(format_args!("got the text {:?}", Clipped(value))),
    }
}

/// A cell of a format that has no types, such as CSV: what it is depends on what is wanted. An empty one is null.
pub(crate) fn cell<'a>(text: &'a str, to: &DataType) -> Result<Option<Single<'a>>, Mismatch> {
    if text.is_empty() {
        return Ok(None);
    }
    if *to == DataType::Text {
        return Ok(Some(Single::Text(Cow::Borrowed(text))));
    }
    let trimmed = text.trim();
    let is = |words: [&str; 2]| words.iter().any(|word| trimmed.eq_ignore_ascii_case(word));
    match to {
        DataType::Bool if is(["true", "t"]) => boolean(true, to),
        DataType::Bool if is(["false", "f"]) => boolean(false, to),
        DataType::Int | DataType::Float | DataType::Timestamp => match (trimmed.parse::<i64>(), trimmed.parse::<f64>()) {
            (Ok(number), _) if *to != DataType::Float => whole(number, to),
            (_, Ok(number)) if number.is_infinite() && trimmed.contains(|c: char| c.is_ascii_digit()) => beyond_doubles(trimmed),
            (_, Ok(number)) if *to != DataType::Timestamp => float(number, to),
            _ => self::text(trimmed, to),
        },
        _ => self::text(trimmed, to),
    }
    .map(Some)
}

/// A time: microseconds since the epoch.
pub(crate) fn micros<'a>(value: i64, to: &DataType) -> Converted<'a> {
    match to {
        _ if !time::in_range(value) => out_of_years(value, Epoch::default(), None),
        DataType::Timestamp => Ok(Single::Timestamp(value)),
        DataType::Text => Ok(Single::Text(Cow::Owned(EventTime(value).to_string()))),
        _ => wrong(format_args!("got the time {}", EventTime(value))),
    }
}

/// Text that may not be UTF-8.
pub(crate) fn bytes<'a>(value: &'a [u8], to: &DataType) -> Converted<'a> {
    match std::str::from_utf8(value) {
        Ok(value) => text(value, to),
        Err(error) => Err(Mismatch {
            reason: reason::INVALID_UTF8,
            message: format!("got bytes that are no UTF-8 text from byte {} on", error.valid_up_to()),
        }),
    }
}

/// The beginning of a text, for messages.
pub(crate) struct Clipped<'a>(pub &'a str);

impl fmt::Display for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(60) {
            Some((end, _)) => write!(f, "{}...", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

impl fmt::Debug for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(60) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => fmt::Debug::fmt(self.0, f),
        }
    }
}
