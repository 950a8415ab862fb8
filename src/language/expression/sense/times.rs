//! Times: their parts, what clocks of a zone show, and times from numbers. All of it is calendar
//! arithmetic on microseconds since 1970, the same before it and in every year of the calendar (262,000 both ways).

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, DurationMicrosecondType, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMicrosecondType,
};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};
use datafusion::common::{DataFusionError, exec_err, plan_err};

use super::Takes::{Any, Integer, Number, Text, Time};
use super::numbers::{double, integer};
use super::{Sense, each, sense, time, to_char};
use crate::time::{Span, Zone};

/// The parts of a time that are whole numbers.
const WHOLE: [&str; 15] = [
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "hour",
    "isodow",
    "isoyear",
    "microseconds",
    "millennium",
    "minute",
    "month",
    "quarter",
    "week",
    "year",
];
/// Those that have a fraction.
const FRACTIONS: [&str; 4] = ["epoch", "julian", "milliseconds", "second"];
/// What `extract` can be asked for.
pub(in super::super) const FIELDS: [&str; 19] = [
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "epoch",
    "hour",
    "isodow",
    "isoyear",
    "julian",
    "microseconds",
    "millennium",
    "milliseconds",
    "minute",
    "month",
    "quarter",
    "second",
    "week",
    "year",
];
pub(super) static SENSES: &[Sense] = &[
    sense(WHOLE_PART, &[Text, Time], integer, |given| {
        let (field, t) = (given[0].as_string::<i32>(), given[1].as_primitive::<TimestampMicrosecondType>());
        Ok(Arc::new(each(given, |row| whole_part(field.value(row), t.value(row))).collect::<Int64Array>()))
    }),
    sense(FRACTION, &[Text, Time], double, |given| {
        let (field, t) = (given[0].as_string::<i32>(), given[1].as_primitive::<TimestampMicrosecondType>());
        Ok(Arc::new(each(given, |row| fraction(field.value(row), t.value(row))).collect::<Float64Array>()))
    }),
    sense(SECONDS_OF, &[Any], double, seconds_of),
    sense("date_bin", &[Any, Time, Time], moment, binned).optional(1),
    sense("at time zone", &[Time, Text], moment, |given| {
        let (t, zone) = (given[0].as_primitive::<TimestampMicrosecondType>(), given[1].as_string::<i32>());
        let shown = |row| Zone::parse(zone.value(row))?.shows(t.value(row));
        Ok(Arc::new(each(given, shown).collect::<TimestampMicrosecondArray>()))
    }),
    sense("to_timestamp", &[Number], moment, of_seconds),
    sense("to_timestamp_seconds", &[Integer], moment, of_seconds),
    sense("from_unixtime", &[Integer], moment, of_seconds),
    sense("to_timestamp_millis", &[Integer], moment, |given| of_units(given, |n| n.checked_mul(1_000))),
    sense("to_timestamp_micros", &[Integer], moment, |given| of_units(given, Some)),
    sense("to_timestamp_nanos", &[Integer], moment, |given| of_units(given, |n| Some(n.div_euclid(1_000)))),
    sense("to_unixtime", &[Time], integer, |given| {
        let t = given[0].as_primitive::<TimestampMicrosecondType>();
        Ok(Arc::new(each(given, |row| Some(t.value(row).div_euclid(Span::SECOND.0))).collect::<Int64Array>()))
    }),
    sense("date to timestamp", &[Any], moment, |given| {
        let day = given[0].as_primitive::<Date32Type>();
        let time = |row| i64::from(day.value(row)).checked_mul(Span::DAY.0);
        Ok(Arc::new(each(given, time).collect::<TimestampMicrosecondArray>()))
    }),
    sense(
        "date_format",
        &[Time, Text],
        |_| Ok(ArrowType::Utf8),
        |given| {
            let (t, format) = (given[0].as_primitive::<TimestampMicrosecondType>(), given[1].as_string::<i32>());
            let text = |row| {
                let mut text = String::new();
                write!(text, "{}", date_time(t.value(row))?.and_utc().format(format.value(row))).ok().map(|()| text)
            };
            Ok(Arc::new(each(given, text).collect::<StringArray>()))
        },
    ),
    sense(
        "to_char",
        &[Time, Text],
        |_| Ok(ArrowType::Utf8),
        |given| {
            let (t, format) = (given[0].as_primitive::<TimestampMicrosecondType>(), given[1].as_string::<i32>());
            let text = |row| Some(to_char::written(date_time(t.value(row))?, &to_char::format(format.value(row)).ok()?));
            Ok(Arc::new(each(given, text).collect::<StringArray>()))
        },
    ),
];

pub(in super::super) const WHOLE_PART: &str = "whole part of time";
pub(in super::super) const FRACTION: &str = "fraction of time";
/// Of an interval.
pub(in super::super) const SECONDS_OF: &str = "seconds of interval";

/// Which function gives a part of a time; `None` where there is no such part.
pub(in super::super) fn part(field: &str) -> Option<&'static str> {
    if WHOLE.contains(&field) { Some(WHOLE_PART) } else { FRACTIONS.contains(&field).then_some(FRACTION) }
}

fn moment(_: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
    Ok(time())
}

fn date_time(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc())
}

/// As PostgreSQL writes a `timestamp`: years before the first are counted back from it.
pub(super) fn written(time: i64) -> Option<String> {
    let moment = date_time(time)?;
    let (year, before) = if moment.year() > 0 { (moment.year(), "") } else { (1 - moment.year(), " BC") };
    let fraction = moment.and_utc().timestamp_subsec_micros();
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}").trim_end_matches('0').to_owned() };
    Some(format!("{year:04}-{:02}-{:02} {}{fraction}{before}", moment.month(), moment.day(), moment.format("%H:%M:%S")))
}

fn whole_part(field: &str, time: i64) -> Option<i64> {
    let moment = date_time(time)?;
    let year = i64::from(moment.year());
    // There is no year 0, no century 0 and no millennium 0.
    let counted = |years: i64| if year > 0 { (year + years - 1) / years } else { -((years - year) / years) };
    Some(match field {
        "microseconds" => time.rem_euclid(Span::MINUTE.0),
        "minute" => i64::from(moment.minute()),
        "hour" => i64::from(moment.hour()),
        "day" => i64::from(moment.day()),
        "month" => i64::from(moment.month()),
        "quarter" => i64::from(moment.month0() / 3 + 1),
        "year" => named(year),
        "decade" => year.div_euclid(10),
        "century" => counted(100),
        "millennium" => counted(1000),
        "week" => i64::from(moment.iso_week().week()),
        "isoyear" => named(i64::from(moment.iso_week().year())),
        "dow" => i64::from(moment.weekday().num_days_from_sunday()),
        "isodow" => i64::from(moment.weekday().number_from_monday()),
        "doy" => i64::from(moment.ordinal()),
        _ => return None,
    })
}

/// A year of the calendar as it is called: the one before 1 is -1.
fn named(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

fn fraction(field: &str, time: i64) -> Option<f64> {
    Some(match field {
        "epoch" => seconds(time),
        // 1970 is day 2,440,588.
        "julian" => (time.div_euclid(Span::DAY.0) + 2_440_588) as f64 + time.rem_euclid(Span::DAY.0) as f64 / Span::DAY.0 as f64,
        "second" => time.rem_euclid(Span::MINUTE.0) as f64 / 1e6,
        "milliseconds" => time.rem_euclid(Span::MINUTE.0) as f64 / 1e3,
        _ => return None,
    })
}

/// The nearest double.
fn seconds(micros: i64) -> f64 {
    // Doubles hold whole numbers up to 2^53.
    if micros.unsigned_abs() >> 53 == 0 {
        return micros as f64 / 1e6;
    }
    micros.div_euclid(Span::SECOND.0) as f64 + micros.rem_euclid(Span::SECOND.0) as f64 / 1e6
}

/// A month has 30 days, a year 365.25, where an interval is measured in seconds.
fn seconds_of(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let seconds: Float64Array = match given[0].data_type() {
        ArrowType::Duration(TimeUnit::Microsecond) => {
            let span = given[0].as_primitive::<DurationMicrosecondType>();
            each(given, |row| Some(seconds(span.value(row)))).collect()
        }
        ArrowType::Interval(IntervalUnit::MonthDayNano) => {
            let span = given[0].as_primitive::<IntervalMonthDayNanoType>();
            let length = |row| {
                let span = span.value(row);
                let days = f64::from(span.months / 12) * 365.25 + f64::from(span.months % 12) * 30.0 + f64::from(span.days);
                Some(days * 86_400.0 + span.nanoseconds as f64 / 1e9)
            };
            each(given, length).collect()
        }
        other => return exec_err!("a {other} is no interval"),
    };
    Ok(Arc::new(seconds))
}

/// The start of the bin of so much time that holds a time; one of them starts at the origin, or in 1970.
fn binned(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    if *given[0].data_type() != ArrowType::Interval(IntervalUnit::MonthDayNano) {
        return plan_err!("`date_bin` takes an interval");
    }
    let (span, t) = (given[0].as_primitive::<IntervalMonthDayNanoType>(), given[1].as_primitive::<TimestampMicrosecondType>());
    let origin = given.get(2).map(|origin| origin.as_primitive::<TimestampMicrosecondType>());
    let micros = |row| {
        let span = span.value(row);
        let micros = i64::from(span.days).checked_mul(Span::DAY.0)?.checked_add(span.nanoseconds / 1_000)?;
        (span.months == 0 && micros > 0).then_some(micros)
    };
    if (0..span.len()).any(|row| span.is_valid(row) && micros(row).is_none()) {
        return exec_err!("`date_bin` takes an interval above zero, of days and parts of days");
    }
    let start = |row| {
        let micros = micros(row)?;
        let from = origin.map_or(0, |origin| origin.value(row));
        t.value(row).checked_sub(t.value(row).checked_sub(from)?.rem_euclid(micros))
    };
    Ok(Arc::new(each(given, start).collect::<TimestampMicrosecondArray>()))
}

fn of_units(given: &[ArrayRef], micros: impl Fn(i64) -> Option<i64>) -> Result<ArrayRef, DataFusionError> {
    let n = given[0].as_primitive::<Int64Type>();
    let time = |row| micros(n.value(row)).filter(|time| date_time(*time).is_some());
    Ok(Arc::new(each(given, time).collect::<TimestampMicrosecondArray>()))
}

/// Seconds since 1970, to the nearest microsecond.
fn of_seconds(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    if *given[0].data_type() == ArrowType::Int64 {
        return of_units(given, |n| n.checked_mul(Span::SECOND.0));
    }
    let x = given[0].as_primitive::<Float64Type>();
    let time = |row| {
        let micros = (x.value(row) * 1e6).round_ties_even();
        (micros.abs() < 9.2e18).then_some(micros as i64).filter(|time| date_time(*time).is_some())
    };
    Ok(Arc::new(each(given, time).collect::<TimestampMicrosecondArray>()))
}

/// Whether there is a zone of that name, as `at time zone` takes it.
pub(in super::super) fn zone(name: &str) -> bool {
    Zone::parse(name).is_some() && !is_winter_time(name)
}

/// Zones with summer time whose names PostgreSQL takes for abbreviations of winter time.
pub(in super::super) fn is_winter_time(name: &str) -> bool {
    ["CET", "EET", "MET", "WET"].iter().any(|zone| name.eq_ignore_ascii_case(zone))
}
