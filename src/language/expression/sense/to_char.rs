//! The formats of `to_char`: PostgreSQL's patterns for times, such as `YYYY-MM-DD HH24:MI:SS`. What is no pattern and no
//! letter stands for itself, as does what stands in double quotes; letters that are no pattern are refused.

use chrono::{Datelike, NaiveDateTime, Timelike};

/// A part of a format.
#[derive(Debug)]
pub(in super::super) enum Piece {
    Text(String),
    /// The pattern, and whether `FM` before it leaves out what fills it up.
    Pattern(&'static str, bool),
}

/// Longer patterns stand before those that they begin with.
const PATTERNS: [&str; 41] = [
    "HH24", "HH12", "HH", "MI", "MS", "US", "SSSSS", "SSSS", "SS", "YYYY", "YYY", "YY", "IYYY", "IYY", "IY", "IDDD", "ID", "IW", "MONTH",
    "Month", "month", "MON", "Mon", "mon", "MM", "DAY", "Day", "day", "DY", "Dy", "dy", "DDD", "DD", "D", "WW", "W", "Q", "J", "CC", "AM",
    "PM",
];
const HALVES: [&str; 2] = ["am", "pm"];

/// The pieces of a format.
///
/// # Errors
/// The letters that are no pattern.
pub(in super::super) fn format(text: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest, mut bare) = (Vec::new(), text, false);
    while let Some(letter) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            pieces.push(Piece::Text(quoted[..end].to_owned()));
            rest = quoted.get(end + 1..).unwrap_or_default();
        } else if let Some(after) = rest.strip_prefix("FM") {
            (rest, bare) = (after, true);
            continue;
        } else if let Some(pattern) = PATTERNS.iter().chain(&HALVES).find(|pattern| rest.starts_with(**pattern)) {
            pieces.push(Piece::Pattern(pattern, bare));
            rest = &rest[pattern.len()..];
        } else if letter.is_alphabetic() || matches!(letter, '%' | '\\') {
            return Err(rest.chars().take_while(|letter| letter.is_alphabetic() || *letter == '%').collect());
        } else {
            pieces.push(Piece::Text(letter.to_string()));
            rest = &rest[letter.len_utf8()..];
        }
        bare = false;
    }
    Ok(pieces)
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

pub(super) fn written(time: NaiveDateTime, format: &[Piece]) -> String {
    let pieces = format.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Pattern(pattern, bare) => part(time, pattern, *bare),
    });
    pieces.collect()
}

fn part(time: NaiveDateTime, pattern: &str, bare: bool) -> String {
    let number = |value: i64, width: usize| if bare { value.to_string() } else { format!("{value:0width$}") };
    let year = |year: i32| i64::from(if year > 0 { year } else { 1 - year });
    let (month, day) = (MONTHS[time.month0() as usize], DAYS[time.weekday().num_days_from_sunday() as usize]);
    let cased = |name: &str| match pattern.as_bytes() {
        [first, ..] if first.is_ascii_lowercase() => name.to_lowercase(),
        [_, second, ..] if second.is_ascii_lowercase() => name.to_owned(),
        _ => name.to_uppercase(),
    };
    let full = |name: &str| if bare { cased(name) } else { format!("{:9}", cased(name)) };
    let hour = i64::from(time.hour());
    let half = if time.hour() < 12 { "am" } else { "pm" };
    match pattern {
        "HH24" => number(hour, 2),
        "HH12" | "HH" => number((hour + 11) % 12 + 1, 2),
        "MI" => number(i64::from(time.minute()), 2),
        "SS" => number(i64::from(time.second()), 2),
        "MS" => number(i64::from(time.nanosecond() / 1_000_000), 3),
        "US" => number(i64::from(time.nanosecond() / 1_000), 6),
        "SSSSS" | "SSSS" => i64::from(time.num_seconds_from_midnight()).to_string(),
        "YYYY" => number(year(time.year()), 4),
        "YYY" => number(year(time.year()) % 1000, 3),
        "YY" => number(year(time.year()) % 100, 2),
        "IYYY" => number(year(time.iso_week().year()), 4),
        "IYY" => number(year(time.iso_week().year()) % 1000, 3),
        "IY" => number(year(time.iso_week().year()) % 100, 2),
        "MM" => number(i64::from(time.month()), 2),
        "DDD" => number(i64::from(time.ordinal()), 3),
        "IDDD" => number(i64::from(time.iso_week().week0()) * 7 + i64::from(time.weekday().number_from_monday()), 3),
        "DD" => number(i64::from(time.day()), 2),
        "D" => (time.weekday().num_days_from_sunday() + 1).to_string(),
        "ID" => time.weekday().number_from_monday().to_string(),
        "IW" => number(i64::from(time.iso_week().week()), 2),
        "WW" => number(i64::from(time.ordinal0() / 7 + 1), 2),
        "W" => (time.day0() / 7 + 1).to_string(),
        "Q" => (time.month0() / 3 + 1).to_string(),
        "J" => (i64::from(time.num_days_from_ce()) + 1_721_425).to_string(),
        "CC" => number(if time.year() > 0 { (year(time.year()) + 99) / 100 } else { -((year(time.year()) + 99) / 100) }, 2),
        "MONTH" | "Month" | "month" => full(month),
        "MON" | "Mon" | "mon" => cased(&month[..3]),
        "DAY" | "Day" | "day" => full(day),
        "DY" | "Dy" | "dy" => cased(&day[..3]),
        "AM" | "PM" => half.to_uppercase(),
        _ => half.to_owned(),
    }
}
