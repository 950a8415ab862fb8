//! Values as the oracle sees them, with their total order. Shares nothing with the engine's own.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value as Json};

/// One value of an event or of a feature.
#[derive(Clone, Debug, Default)]
pub enum Cell {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds since the epoch.
    Time(i64),
    List(Vec<Cell>),
    /// Sorted by key.
    Map(Vec<(String, Cell)>),
    /// In the order of declaration.
    Struct(Vec<(String, Cell)>),
}

impl Cell {
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Negative zero as zero and every NaN as one, so that equal values have equal bits.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self {
            Self::Float(-0.0) => Self::Float(0.0),
            Self::Float(v) if v.is_nan() => Self::Float(f64::NAN),
            other => other,
        }
    }

    /// The order of `min` and `max`: NaN is the greatest, text is by bytes, false before true.
    ///
    /// # Panics
    /// When the two are of different types, lists, maps or structs.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) | (Self::Time(a), Self::Time(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Float(a), Self::Float(b)) => match (a.is_nan(), b.is_nan()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => a.partial_cmp(b).expect("neither is NaN"),
            },
            _ => panic!("{self:?} and {other:?} have no order"),
        }
    }

    /// Equal to the bit, where all NaN are one.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Self::Map(a), Self::Map(b)) | (Self::Struct(a), Self::Struct(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.same(&b.1))
            }
            _ => false,
        }
    }

    /// As it is sent in an event: numbers that JSON has no spelling for as text.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(v) => Json::Bool(*v),
            Self::Int(v) => Json::from(*v),
            Self::Float(v) => match Number::from_f64(*v) {
                Some(number) => Json::Number(number),
                None if v.is_nan() => Json::from("NaN"),
                None => Json::from(if *v > 0.0 { "Infinity" } else { "-Infinity" }),
            },
            Self::Text(v) => Json::from(v.as_str()),
            Self::Time(v) => Json::from(rfc3339(*v)),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(entries) | Self::Struct(entries) => {
                Json::Object(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(v) => write!(f, "{v:?} ({:016x})", v.to_bits()),
            other => write!(f, "{}", other.to_json()),
        }
    }
}

/// Microseconds since the epoch as `2001-01-01T00:47:00.000000Z`, by the arithmetic of the civil calendar
/// (days from 0000-03-01, where every cycle of 400 years has 146,097 days).
#[must_use]
pub fn rfc3339(micros: i64) -> String {
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let shifted = days + 719_468;
    let (cycle, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let year = year + 400 * cycle + carry;
    format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_by_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339(978_310_020_000_000), "2001-01-01T00:47:00.000000Z");
        assert_eq!(rfc3339(951_782_400_000_000), "2000-02-29T00:00:00.000000Z");
    }
}
