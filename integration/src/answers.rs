//! Reads what the engine printed. By another parser than the harness's `serde_json` alone, because that one may be a
//! unit in the last place off where a double has many digits, and these tests compare bits.

use serde_json::Value as Json;

/// One JSON value.
///
/// # Panics
/// When the text is not JSON.
#[must_use]
pub fn read_json(text: &str) -> Json {
    sonic_rs::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}\n{text}"))
}

/// One JSON value per line.
#[must_use]
pub fn read_ndjson(text: &str) -> Vec<Json> {
    text.lines().filter(|line| !line.trim().is_empty()).map(read_json).collect()
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
    }
}
