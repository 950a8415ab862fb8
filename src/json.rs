//! Values as JSON text: one spelling wherever a value leaves the process. Must never read JSON: that is `decode`'s.

use crate::time::EventTime;
use crate::value::Value;

/// Appends `value` as JSON: doubles in the shortest form that reads back to the same bits (`1.0`), NaN and the
/// infinities as the strings `"NaN"`, `"Infinity"`, `"-Infinity"`, timestamps as RFC 3339 text, lists as arrays, maps as
/// objects with sorted keys, structs as objects in the order of their fields.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(v) => out.extend(if *v { &b"true"[..] } else { b"false" }),
        Value::Int(v) => write_display(out, v),
        Value::Float(v) => write_float(out, *v),
        Value::Text(v) => write_text(out, v),
        Value::Timestamp(v) => {
            out.push(b'"');
            write_display(out, &EventTime(*v));
            out.push(b'"');
        }
        Value::List(items) => {
            out.push(b'[');
            write_each(out, items.iter(), write_value);
            out.push(b']');
        }
        Value::Map(entries) | Value::Struct(entries) => {
            out.push(b'{');
            write_each(out, entries.iter(), |out, (key, value)| {
                write_text(out, key);
                out.push(b':');
                write_value(out, value);
            });
            out.push(b'}');
        }
    }
}

/// Appends what `write` makes of each item, with commas between.
pub fn write_each<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

pub fn write_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend(if value > 0.0 { &b"\"Infinity\""[..] } else { b"\"-Infinity\"" });
    } else {
        // Debug is the shortest form that reads back, with `.0` for whole numbers and an exponent for extremes.
        use std::io::Write;
        let _ = write!(out, "{value:?}");
    }
}

/// Appends a JSON string.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.push(b'"');
        out.extend(text.as_bytes());
        out.push(b'"');
    } else if let Ok(quoted) = serde_json::to_vec(text) {
        out.extend(quoted);
    }
}

fn write_display(out: &mut Vec<u8>, value: &impl std::fmt::Display) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn text(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_read_back_to_the_same_bits() {
        for value in [0.1, 1.0, -0.0, 1e300, 5e-324, f64::MAX, 1.0 / 3.0, 123_456_789.125] {
            let back: f64 = text(&Value::Float(value)).parse().unwrap();
            assert_eq!(back.to_bits(), value.to_bits(), "{value:?}");
        }
        assert_eq!(text(&Value::Float(1.0)), "1.0");
        assert_eq!(text(&Value::Float(f64::NAN)), "\"NaN\"");
        assert_eq!(text(&Value::Float(f64::NEG_INFINITY)), "\"-Infinity\"");
    }

    #[test]
    fn texts_are_escaped_and_lists_and_maps_nest() {
        let list = Value::List(Arc::from(vec![Value::Text("a\"b\n".into()), Value::Null, Value::Int(i64::MIN)]));
        assert_eq!(text(&list), r#"["a\"b\n",null,-9223372036854775808]"#);
        let map = Value::Map(Arc::from(vec![("".into(), list), ("k\"".into(), Value::Float(f64::NAN))]));
        assert_eq!(text(&map), r#"{"":["a\"b\n",null,-9223372036854775808],"k\"":"NaN"}"#);
        assert_eq!(text(&Value::Map(Arc::from(vec![]))), "{}");
        let fields = Value::Struct(Arc::from(vec![("z".into(), Value::Int(7)), ("a\"".into(), Value::Null)]));
        assert_eq!(text(&Value::List(Arc::from(vec![fields, Value::Null]))), r#"[{"z":7,"a\"":null},null]"#);
        assert_eq!(text(&Value::Timestamp(0)), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(text(&Value::Timestamp(-1)), "\"1969-12-31T23:59:59.999999Z\"");
    }
}
