//! Numbers of JSON that no double holds. The parser refuses a whole record for one, also where no field takes it. Must never
//! take anything for a number that the grammar of JSON does not.

use std::borrow::Cow;

/// The text with zeros for such numbers, each as long as the number was.
pub(super) fn bounded(text: &str) -> Cow<'_, str> {
    let mut bounded = Cow::Borrowed(text);
    let mut from = 0;
    while let Some((at, number)) = next(text, from) {
        from = at + number.len();
        bounded.to_mut().replace_range(at..from, &format!("{:<1$}", 0, number.len()));
    }
    bounded
}

/// The first such number of a value.
pub(super) fn beyond(text: &str) -> Option<&str> {
    next(text, 0).map(|(_, number)| number)
}

/// The first such number from there on, which is not in a text.
fn next(text: &str, from: usize) -> Option<(usize, &str)> {
    let bytes = text.as_bytes();
    let (mut at, mut in_text) = (from, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_text => at += 2,
            b'"' => {
                in_text = !in_text;
                at += 1;
            }
            b'-' | b'0'..=b'9' if !in_text => {
                let length = bytes[at..].iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')).count();
                let number = &text[at..at + length];
                if is_number(number.as_bytes()) && number.parse().is_ok_and(f64::is_infinite) {
                    return Some((at, number));
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

/// Whether the grammar of JSON has it.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || whole > 1 && rest[0] == b'0' {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        match digits(fraction) {
            0 => return false,
            count => rest = &fraction[count..],
        }
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_beyond_doubles_are_bounded() {
        for (text, wanted) in [
            (r#"{"a":1e400,"b":-1E+999}"#, r#"{"a":0    ,"b":0      }"#),
            (r#"{"a":"1e400\"1e400","b":[1e308,1e-400,1.8e308]}"#, r#"{"a":"1e400\"1e400","b":[1e308,1e-400,0      ]}"#),
            (
                r#"{"a":1.e400,"b":01e400,"c":1e400x,"d":+1e400,"e":1e4001.5}"#,
                r#"{"a":1.e400,"b":01e400,"c":0    x,"d":+0    ,"e":1e4001.5}"#,
            ),
        ] {
            assert_eq!(bounded(text), wanted);
        }
        assert!(matches!(bounded(r#"{"a":1}"#), Cow::Borrowed(_)));
        assert_eq!(beyond("[1,\"1e999\", 1e999]"), Some("1e999"));
    }
}
