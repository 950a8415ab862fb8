//! How values are written as texts and read from them, as PostgreSQL does it.

use crate::time::EventTime;

/// A double in the fewest digits that give it back: `2.5`, `3`, `1e+20`, `NaN`, `-Infinity`.
pub(super) fn of_double(x: f64) -> String {
    if x.is_nan() {
        return "NaN".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{x:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..15) if x != 0.0 || exponent == 0 => format!("{x}"),
        Ok(exponent) => format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
        Err(_) => scientific,
    }
}

/// What C calls white space.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|letter: char| matches!(letter, ' ' | '\t'..='\r'))
}

pub(super) fn integer(text: &str) -> Option<i64> {
    trimmed(text).parse().ok()
}

/// A number whose nearest double is neither infinite nor, where it is not zero, zero; or NaN or an infinity by name.
pub(super) fn double(text: &str) -> Option<f64> {
    let text = trimmed(text);
    let value: f64 = text.parse().ok()?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let is_number = text.bytes().any(|byte| byte.is_ascii_digit());
    let vanishes = value == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    (!(vanishes || is_number && value.is_infinite())).then_some(value)
}

/// A boolean: any beginning of a word that no other word has.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let text = trimmed(text).to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    match text.as_str() {
        "1" => Some(true),
        "0" => Some(false),
        _ if begins("true", 1) || begins("yes", 1) || text == "on" => Some(true),
        _ if begins("false", 1) || begins("no", 1) || begins("off", 2) => Some(false),
        _ => None,
    }
}

/// Whether a text is a value of a type, by the type's name; of other types than these every text is.
pub(in super::super) fn is_value(text: &str, data_type: &str) -> bool {
    match data_type {
        "bigint" => integer(text).is_some(),
        "double" => double(text).is_some(),
        "boolean" => boolean(text).is_some(),
        "timestamp" => moment(text).is_some(),
        _ => true,
    }
}

pub(super) fn moment(text: &str) -> Option<i64> {
    EventTime::parse(trimmed(text)).map(|time| time.0)
}
