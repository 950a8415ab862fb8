//! Points in time and spans of it, in microseconds. Must never read a clock: the clock is handed in.

mod calendar;

use std::fmt;

use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

pub use calendar::{Local, Unit, Zone};

/// When an event happened: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventTime(pub i64);

/// When this engine took an event in: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IngestTime(pub i64);

/// A length of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(pub i64);

/// What an integer counts that stands for a time: since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Epoch {
    Seconds,
    Millis,
    #[default]
    Micros,
    Nanos,
}

impl Epoch {
    pub const ALL: [Self; 4] = [Self::Seconds, Self::Millis, Self::Micros, Self::Nanos];

    /// Microseconds since 1970; digits below are cut off, towards the past. `None` where they do not fit.
    #[must_use]
    pub fn micros(self, number: i64) -> Option<i64> {
        match self {
            Self::Micros => Some(number),
            Self::Seconds => number.checked_mul(1_000_000),
            Self::Millis => number.checked_mul(1_000),
            Self::Nanos => Some(number.div_euclid(1_000)),
        }
    }

    /// As it is declared: `t timestamp ms`.
    #[must_use]
    pub fn spelling(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::Micros => "us",
            Self::Nanos => "ns",
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "seconds",
            Self::Millis => "milliseconds",
            Self::Micros => "microseconds",
            Self::Nanos => "nanoseconds",
        })
    }
}

impl EventTime {
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);

    /// This time moved back by `span`, held at the ends of the range; by the longest span it is the earliest time.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        if span.0 == Span::MAX.0 { Self::MIN } else { Self(self.0.saturating_sub(span.0)) }
    }

    /// This time moved forward by `span`, held at the ends of the range.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Reads RFC 3339 (`2001-01-01T00:47:00Z`), or the same without a zone or with a space for the `T`, as UTC;
    /// zones also as databases write them (`+00`, `+0530`, ` UTC`); or a bare date. Returns `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self(time.timestamp_micros()));
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
            if let Ok(time) = DateTime::parse_from_str(text, format) {
                return Some(Self(time.timestamp_micros()));
            }
        }
        let text = text.strip_suffix(" UTC").unwrap_or(text);
        for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
                return Some(Self(time.and_utc().timestamp_micros()));
            }
        }
        let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(Self(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros()))
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl Span {
    pub const SECOND: Self = Self(1_000_000);
    pub const MINUTE: Self = Self(60 * Self::SECOND.0);
    pub const HOUR: Self = Self(60 * Self::MINUTE.0);
    pub const DAY: Self = Self(24 * Self::HOUR.0);
    /// Longer than any two times are apart.
    pub const MAX: Self = Self(i64::MAX);

    /// Reads `10m`, `10 minutes`, `1 day`, `250ms`, `1h 30m`. Units: ms s m h d w and their English names.
    /// Returns `None` for anything else, also for a span that does not fit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut total: i64 = 0;
        let mut rest = text.trim();
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: i64 = rest[..digits].parse().ok()?;
            rest = rest[digits..].trim_start();
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = match rest[..end].to_ascii_lowercase().as_str() {
                "ms" | "millisecond" | "milliseconds" => 1_000,
                "s" | "second" | "seconds" => Self::SECOND.0,
                "m" | "minute" | "minutes" => Self::MINUTE.0,
                "h" | "hour" | "hours" => Self::HOUR.0,
                "d" | "day" | "days" => Self::DAY.0,
                "w" | "week" | "weeks" => 7 * Self::DAY.0,
                _ => return None,
            };
            total = total.checked_add(number.checked_mul(unit)?)?;
            rest = rest[end..].trim_start();
        }
        Some(Self(total))
    }
}

/// The shortest exact spelling in one unit: `90m`, `1d`, `2w` is written `14d`; the longest span is `unbounded`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAX {
            return f.write_str("unbounded");
        }
        let units = [(Self::DAY.0, "d"), (Self::HOUR.0, "h"), (Self::MINUTE.0, "m"), (Self::SECOND.0, "s"), (1_000, "ms")];
        for (size, name) in units {
            if self.0 % size == 0 && (self.0 != 0 || name == "s") {
                return write!(f, "{}{name}", self.0 / size);
            }
        }
        write!(f, "{}us", self.0)
    }
}

impl Span {
    /// Rounded up to whole units of which there are at least ten: what a clause can be set to so that it covers the span.
    #[must_use]
    pub fn covering(self) -> Self {
        let units = [Self::DAY, Self::HOUR, Self::MINUTE, Self::SECOND];
        let unit = units.into_iter().find(|unit| self.0 % unit.0 == 0 || self.0 >= 10 * unit.0).map_or(1_000, |unit| unit.0);
        Self(self.0.saturating_add(unit - 1) / unit * unit)
    }

    /// For people, in the two largest units that it fills: `303d 5h`, `12m 4s`, `1.2s`, `35ms`.
    #[must_use]
    pub fn roughly(self) -> String {
        const UNITS: [(i64, &str); 4] = [(Span::DAY.0, "d"), (Span::HOUR.0, "h"), (Span::MINUTE.0, "m"), (Span::SECOND.0, "s")];
        let us = self.0;
        match UNITS.iter().position(|(size, _)| us >= *size) {
            None => format!("{}ms", us / 1_000),
            Some(3) if us < 10 * Self::SECOND.0 => format!("{:.1}s", (us / 100_000) as f64 / 10.0),
            Some(3) => format!("{}s", us / Self::SECOND.0),
            Some(at) => {
                let ((large, name), (small, of_it)) = (UNITS[at], UNITS[at + 1]);
                match us % large / small {
                    0 => format!("{}{name}", us / large),
                    rest => format!("{}{name} {rest}{of_it}", us / large),
                }
            }
        }
    }
}

/// Where the engine's present comes from. `main` hands in the system's clock, a simulation its own.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> IngestTime;
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn spans_are_rounded_up_to_units_that_a_person_reads() {
        let cases = [
            (1, "1ms"),
            (1_500, "1500ms"),
            (60_000, "1m"),
            (90_000, "90s"),
            (90_001, "91s"),
            (3_600_000, "1h"),
            (3_601_000, "61m"),
            (86_400_000, "1d"),
            (36_000_001, "11h"),
            (1_000_000_000, "12d"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(Span(milliseconds * 1_000).covering().to_string(), expected, "{milliseconds}");
        }
    }

    #[test]
    fn spans_are_said_in_two_units() {
        let cases = [
            (0, "0ms"),
            (35_999, "35ms"),
            (1_250_000, "1.2s"),
            (59_900_000, "59s"),
            (724_000_000, "12m 4s"),
            (7_200_000_000, "2h"),
            (26_198_371_000_000, "303d 5h"),
            (i64::MAX, "106751991d 4h"),
        ];
        for (microseconds, expected) in cases {
            assert_eq!(Span(microseconds).roughly(), expected, "{microseconds}");
        }
    }
}
