//! Doubles of JSON to the bit. The fast parser loses the sign of minus zero; the other parser keeps the sign but may miss the last
//! bit of other doubles. If a minus zero may be present, both parse the document, and zeros take the sign from the second one.

use serde_json::Value as Json;
use sonic_rs::LazyValue;

use crate::error::{Error, Result};
use crate::value::Value;

/// Reads a document whose doubles have the bits that were written.
///
/// # Errors
/// `Internal` when it is no JSON: what is read here was written by Forebay.
pub fn read_exact(bytes: &[u8]) -> Result<Json> {
    let mut json: Json = sonic_rs::from_slice(bytes).map_err(|error| Error::internal(format!("what should be json is none: {error}")))?;
    if has_minus_zero(bytes)
        && let Ok(signed) = serde_json::from_slice(bytes)
    {
        restore(&mut json, &signed);
    }
    Ok(json)
}

/// Whether some number may be minus zero. Dates are none, nor is -0.5.
pub(in crate::serve) fn has_minus_zero(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"-0") {
        rest = &rest[at + 2..];
        let digits = rest.strip_prefix(b".").map_or(rest, |fraction| fraction);
        let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
        if !digits.get(zeros).is_some_and(u8::is_ascii_digit) && (zeros == 0 || digits.len() < rest.len()) {
            return true;
        }
    }
    false
}

/// The rows of an array of a document, each as it is written.
pub(in crate::serve) fn rows_of<'a>(body: &'a [u8], array: &str) -> impl Iterator<Item = LazyValue<'a>> {
    let array = sonic_rs::get_from_slice(body, &[array]).ok();
    array.and_then(LazyValue::into_array_iter).into_iter().flatten().filter_map(Result::ok)
}

/// Whether it is a zero, or a list that may hold some.
pub(in crate::serve) fn has_zero(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().any(has_zero),
        Value::Float(zero) => *zero == 0.0,
        _ => false,
    }
}

/// Zero with the sign of its text, also in a list; any other value as it is.
pub(in crate::serve) fn signed(value: Value, text: Option<&Json>) -> Value {
    match (&value, text) {
        (Value::List(items), Some(Json::Array(texts))) => {
            Value::List(items.iter().zip(texts).map(|(item, text)| signed(item.clone(), Some(text))).collect())
        }
        (Value::Float(zero), Some(text)) if *zero == 0.0 => Value::Float(text.as_f64().filter(|signed| *signed == 0.0).unwrap_or(*zero)),
        _ => value,
    }
}

fn restore(json: &mut Json, signed: &Json) {
    match (json, signed) {
        (Json::Array(items), Json::Array(signed)) => items.iter_mut().zip(signed).for_each(|(item, signed)| restore(item, signed)),
        (Json::Object(fields), Json::Object(signed)) => {
            for (name, field) in fields {
                if let Some(signed) = signed.get(name) {
                    restore(field, signed);
                }
            }
        }
        (json @ Json::Number(_), Json::Number(number)) if json.as_f64() == Some(0.0) && number.as_f64() == Some(0.0) => {
            *json = Json::Number(number.clone());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_zeros_are_told_from_dates_and_other_numbers() {
        for text in ["-0", "[-0]", "-0.0", "-0.000,1", "-0e5", "-0.0E7"] {
            assert!(has_minus_zero(text.as_bytes()), "{text}");
        }
        for text in ["-0.5", "-0.001", "2026-01-31", "\"2026-10-05\"", "0", "-1", "-0123"] {
            assert!(!has_minus_zero(text.as_bytes()), "{text}");
        }
        let rows: Vec<_> = rows_of(br#"{"a":1,"b":[{"c":-0.0}, 7]}"#, "b").map(|row| row.as_raw_str().to_owned()).collect();
        assert_eq!(rows, ["{\"c\":-0.0}", "7"]);
        assert_eq!(rows_of(b"{\"b\":1}", "b").count() + rows_of(b"{}", "b").count(), 0);
    }

    #[test]
    fn every_double_is_read_to_the_bit() {
        for text in ["0.19999999999999998", "8.41e21", "5e-324", "1.7976931348623157e308", "-0.0", "0.0", "-0.5"] {
            let expected: f64 = text.parse().unwrap();
            let json = read_exact(format!("{{\"a\":[1,{text}]}}").as_bytes()).unwrap();
            assert_eq!(json["a"][1].as_f64().map(f64::to_bits), Some(expected.to_bits()), "{text}");
        }
        assert_eq!(read_exact(b"[9007199254740993,-9223372036854775808]").unwrap().to_string(), "[9007199254740993,-9223372036854775808]");
    }
}
