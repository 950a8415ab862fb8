//! Times in records that are text: RFC 3339 and what databases write.

use crate::time::EventTime;

/// -9999-01-01T00:00:00Z
const FIRST: i64 = -377_705_116_800_000_000;
/// 9999-12-31T23:59:59.999999Z
const LAST: i64 = 253_402_300_799_999_999;

/// Whether it lies in the years -9999 to 9999.
pub(super) fn in_range(micros: i64) -> bool {
    (FIRST..=LAST).contains(&micros)
}

/// Reads what `EventTime::parse` reads, in the years -9999 to 9999. Digits below microseconds are cut off.
pub(super) fn parse(text: &str) -> Option<i64> {
    let micros = match usual(text.as_bytes()) {
        Some(micros) => micros,
        None => EventTime::parse(text)?.0,
    };
    in_range(micros).then_some(micros)
}

/// The usual forms, `2001-01-31T23:59:59.123456Z` or with a space or another zone; `None` leaves the text to the full parser.
fn usual(text: &[u8]) -> Option<i64> {
    let (head, mut rest) = text.split_at_checked(19)?;
    if head[4] != b'-' || head[7] != b'-' || !matches!(head[10], b'T' | b't' | b' ') || head[13] != b':' || head[16] != b':' {
        return None;
    }
    let year = number(&head[..4])?;
    let (month, day) = (number(&head[5..7])?, number(&head[8..10])?);
    let (hour, minute, second) = (number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?);
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    if let Some((b'.', digits)) = rest.split_first() {
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&count) {
            return None;
        }
        micros = number(&digits[..count.min(6)])? * 10_i64.pow(6 - count.min(6) as u32);
        rest = &digits[count..];
    }
    let offset = match rest {
        b"" | b"Z" | b"z" | b" UTC" => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let (hours, minutes) = match zone {
                [_, _] => (number(zone)?, 0),
                [hours @ .., b':', m1, m2] | [hours @ .., m1, m2] if hours.len() == 2 => (number(hours)?, number(&[*m1, *m2])?),
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(seconds * 1_000_000 + micros)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, for years from 0 on: years that start in March have
/// their leap day last, so that the days before a month are a linear function.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year + 399, month + 9) } else { (year + 400, month - 3) };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468 - 146_097
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_ends_and_the_epoch() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("9999-12-31T23:59:59.999999Z"), Some(LAST));
        assert_eq!(parse("-9999-01-01T00:00:00"), Some(FIRST));
        assert_eq!(parse("1969-12-31T23:59:59.9999999Z"), Some(-1));
        for zone in ["+01:30", "+0130"] {
            assert_eq!(parse(&format!("2000-02-29 12:00:00{zone}")), parse("2000-02-29T10:30:00Z"), "{zone}");
        }
        for utc in ["", "+00", "-00", " UTC", "Z", "+0000", "-00:00"] {
            assert_eq!(parse(&format!("2000-02-29 10:30:00.5{utc}")), parse("2000-02-29T10:30:00.5Z"), "{utc}");
        }
        assert_eq!(parse("2000-02-29 10:30:00-07"), parse("2000-02-29T17:30:00Z"));
        for bad in [
            "",
            "now",
            "2001-02-29T00:00:00Z",
            "2001-13-01T00:00:00Z",
            "+10000-01-01T00:00:00",
            "2001-01-01T24:00:00Z",
            "2001-01-01 00:00:00+1",
            "2001-01-01 00:00:00+01:3",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_form_is_read_as_the_full_parser_reads_it(
            year in 0_i64..10_000, month in 0_i64..14, day in 0_i64..33, hour in 0_i64..25, minute in 0_i64..61,
            second in 0_i64..60, between in "[T ]", fraction in "(\\.[0-9]{1,9})?", zone in "(|Z| UTC|[+-][0-2][0-9](|:?[0-6][0-9]))",
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{fraction}{zone}");
            if let Some(micros) = usual(text.as_bytes()) {
                prop_assert_eq!(Some(micros), EventTime::parse(&text).map(|time| time.0), "{}", text);
            }
        }
    }
}
