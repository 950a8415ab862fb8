//! Entity keys as bytes, and the slots that own them. The bytes are stored: they must never change meaning.

use xxhash_rust::xxh3::xxh3_64;

use crate::value::Value;

/// The number of slots, the unit of ownership, checkpoint and rebuild.
pub const SLOTS: u16 = 256;

/// One of the `SLOTS` parts into which entity keys are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// An entity key: its columns' values, each with a tag, equal bytes for equal keys.
///
/// | column | bytes |
/// |---|---|
/// | boolean | `1`, then 0 or 1 |
/// | bigint | `2`, then 8 bytes, big endian, sign bit flipped |
/// | double | `3`, then 8 bytes of its bits, big endian |
/// | text | `4`, then the length as 4 bytes, big endian, then UTF-8 |
/// | timestamp | `5`, then as bigint |
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey(pub Box<[u8]>);

impl EntityKey {
    /// The key of these values; `None` when one is null, because a null key belongs to no entity.
    #[must_use]
    pub fn of(values: &[Value]) -> Option<Self> {
        let mut bytes = Vec::with_capacity(9 * values.len());
        for value in values {
            if !append_key_value(&mut bytes, value) {
                return None;
            }
        }
        Some(Self(bytes.into_boxed_slice()))
    }

    #[must_use]
    pub fn slot(&self) -> Slot {
        slot_of(&self.0)
    }
}

/// The slot of an entity key's bytes: the low byte of their XXH3.
#[must_use]
pub fn slot_of(key: &[u8]) -> Slot {
    Slot((xxh3_64(key) & 0xff) as u8)
}

/// Appends one column of a key; `false`, and nothing appended, when the value is null, a list or a map.
pub fn append_key_value(bytes: &mut Vec<u8>, value: &Value) -> bool {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) | Value::Struct(_) => return false,
        Value::Bool(v) => bytes.extend([1, u8::from(*v)]),
        Value::Int(v) => append_key_int(bytes, *v),
        Value::Float(v) => {
            bytes.push(3);
            bytes.extend(v.to_bits().to_be_bytes());
        }
        Value::Text(v) => append_key_text(bytes, v),
        Value::Timestamp(v) => {
            bytes.push(5);
            bytes.extend((*v as u64 ^ (1 << 63)).to_be_bytes());
        }
    }
    true
}

/// The values of an entity key's bytes, none null; `None` when they are no key's.
#[must_use]
pub fn values_of(mut key: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    while let Some((tag, rest)) = key.split_first() {
        let length = match tag {
            1 => 1,
            4 => 4 + u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize,
            _ => 8,
        };
        let (body, rest) = rest.split_at_checked(length)?;
        let word = || body.try_into().ok().map(u64::from_be_bytes);
        values.push(match tag {
            1 => Value::Bool(body != [0]),
            2 => Value::Int((word()? ^ (1 << 63)) as i64),
            3 => Value::Float(f64::from_bits(word()?)),
            4 => Value::Text(std::str::from_utf8(&body[4..]).ok()?.into()),
            5 => Value::Timestamp((word()? ^ (1 << 63)) as i64),
            _ => return None,
        });
        key = rest;
    }
    Some(values)
}

pub fn append_key_int(bytes: &mut Vec<u8>, value: i64) {
    bytes.push(2);
    bytes.extend((value as u64 ^ (1 << 63)).to_be_bytes());
}

pub fn append_key_text(bytes: &mut Vec<u8>, value: &str) {
    bytes.push(4);
    bytes.extend((value.len() as u32).to_be_bytes());
    bytes.extend(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_values_are_read_back_from_its_bytes() {
        let values = [
            Value::Int(-7),
            Value::Text("a\u{0}b".into()),
            Value::Bool(true),
            Value::Float(-0.0),
            Value::Timestamp(i64::MIN),
            Value::Text("".into()),
        ];
        let key = EntityKey::of(&values).unwrap();
        assert_eq!(values_of(&key.0), Some(values.to_vec()));
        assert!((0..key.0.len()).all(|end| values_of(&key.0[..end]).is_none_or(|read| values.starts_with(&read))));
        assert_eq!(values_of(&[9, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(values_of(&[4, 0, 0, 0, 1, 0xff]), None);
    }
}
