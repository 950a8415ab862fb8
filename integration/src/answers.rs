//! Reads what the engine printed, to the bit. `serde_json` alone may be a unit in the last place off where a double has
//! many digits, and `sonic-rs` alone takes the sign from minus zero.

use serde_json::Value as Json;

use crate::oracle::Cell;

/// One JSON value.
///
/// # Panics
/// When the text is not JSON.
#[must_use]
pub fn read_json(text: &str) -> Json {
    let mut exact: Json = sonic_rs::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}\n{text}"));
    if text.contains("-0") {
        let signed: Json = serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}\n{text}"));
        take_zeros(&mut exact, &signed);
    }
    exact
}

/// Zeros with their signs, from the same document as the other parser read it.
fn take_zeros(exact: &mut Json, signed: &Json) {
    match (exact, signed) {
        (Json::Number(number), Json::Number(other)) if number.is_f64() && number.as_f64() == Some(0.0) => *number = other.clone(),
        (Json::Array(items), Json::Array(others)) => items.iter_mut().zip(others).for_each(|(item, other)| take_zeros(item, other)),
        (Json::Object(map), Json::Object(others)) => {
            for (name, value) in map.iter_mut() {
                take_zeros(value, &others[name]);
            }
        }
        _ => {}
    }
}

/// One JSON value per line.
#[must_use]
pub fn read_ndjson(text: &str) -> Vec<Json> {
    text.lines().filter(|line| !line.trim().is_empty()).map(read_json).collect()
}

/// Whether JSON spells this very value. Doubles that JSON has no number for are text.
#[must_use]
pub fn agrees(expected: &Cell, actual: &Json) -> bool {
    match (expected, actual) {
        (Cell::Null, Json::Null) => true,
        (Cell::Bool(a), Json::Bool(b)) => a == b,
        (Cell::Int(a), Json::Number(b)) => b.as_i64() == Some(*a),
        (Cell::Float(a), Json::Number(b)) => b.as_f64().is_some_and(|b| b.to_bits() == a.to_bits()),
        (Cell::Float(a), Json::String(_)) => !a.is_finite() && expected.to_json() == *actual,
        (Cell::Text(a), Json::String(b)) => a == b,
        (Cell::Time(a), Json::String(b)) => micros(b) == Some(*a),
        (Cell::Map(a) | Cell::Struct(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((key, a), (other, b))| key == other && agrees(a, b))
        }
        (Cell::List(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b)),
        _ => false,
    }
}

/// A time as the engine writes it: RFC 3339 with as many digits as it needs; the zone may be left out.
fn micros(text: &str) -> Option<i64> {
    forebay::EventTime::parse(text).map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_to_the_bit() {
        let mut state = 3_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(state);
            if value.is_finite() {
                assert_eq!(read_json(&format!("{value:e}")).as_f64().map(f64::to_bits), Some(value.to_bits()), "{value:e}");
            }
        }
        let zero = read_json(r#"[0.5,{"a":-0.0,"b":0.0}]"#);
        assert!(zero[1]["a"].as_f64().is_some_and(f64::is_sign_negative) && zero[1]["b"].as_f64().is_some_and(f64::is_sign_positive));
    }
}
