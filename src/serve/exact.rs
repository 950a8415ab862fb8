//! Doubles of JSON to the bit. The fast reader takes the sign from minus zero, the other keeps it but may miss the last
//! bit of other doubles: where a minus zero may stand, both read, and zeros take the sign that the second one found.

use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::value::Value;

/// Reads a document whose doubles have the bits that were written.
///
/// # Errors
/// `Internal` when it is no JSON: what is read here was written by Forebay.
pub fn read_exact(bytes: &[u8]) -> Result<Json> {
    let mut json: Json = sonic_rs::from_slice(bytes).map_err(|error| Error::internal(format!("what should be json is none: {error}")))?;
    if let Some(signed) = with_signs(bytes) {
        restore(&mut json, &signed);
    }
    Ok(json)
}

/// The document with its minus zeros, where there may be some.
pub(super) fn with_signs(bytes: &[u8]) -> Option<Json> {
    let may_hold = bytes.windows(2).any(|pair| pair == b"-0");
    may_hold.then(|| serde_json::from_slice(bytes).ok()).flatten()
}

/// Zero with the sign of its text, also in a list; any other value as it is.
pub(super) fn signed(value: Value, text: Option<&Json>) -> Value {
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
    fn every_double_is_read_to_the_bit() {
        for text in ["0.19999999999999998", "8.41e21", "5e-324", "1.7976931348623157e308", "-0.0", "0.0", "-0.5"] {
            let expected: f64 = text.parse().unwrap();
            let json = read_exact(format!("{{\"a\":[1,{text}]}}").as_bytes()).unwrap();
            assert_eq!(json["a"][1].as_f64().map(f64::to_bits), Some(expected.to_bits()), "{text}");
        }
        assert_eq!(read_exact(b"[9007199254740993,-9223372036854775808]").unwrap().to_string(), "[9007199254740993,-9223372036854775808]");
    }
}
