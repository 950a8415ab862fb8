//! The one place that knows how internal values become bytes (bincode 2, standard configuration), so that it can be
//! replaced. Only for what Forebay wrote itself; bytes from outside are `decode`'s.

use bincode::config::standard;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// A version byte, an XXH3 checksum (8 bytes, little endian) of what follows it, and the value.
pub fn encode<T: Serialize>(version: u8, value: &T) -> Result<Vec<u8>> {
    let body = bincode::serde::encode_to_vec(value, standard()).map_err(|error| Error::internal(format!("encode: {error}")))?;
    Ok(seal(version, &body))
}

/// Reads what `encode` wrote; `what` names the thing in errors.
pub fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8], what: &str) -> Result<T> {
    let body = open(version, bytes, what)?;
    let (value, _) = bincode::serde::decode_from_slice(body, standard()).map_err(|error| Error::corrupt(format!("{what}: {error}")))?;
    Ok(value)
}

/// Puts a version byte and a checksum before bytes.
pub fn seal(version: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 9);
    bytes.push(version);
    bytes.extend(xxhash_rust::xxh3::xxh3_64(body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// Checks and takes off what `seal` put before bytes.
pub fn open<'a>(version: u8, bytes: &'a [u8], what: &str) -> Result<&'a [u8]> {
    let Some((head, body)) = bytes.split_at_checked(9) else {
        return Err(Error::corrupt(format!("{what}: {} bytes are too few; restore the data folder from a copy", bytes.len())));
    };
    if head[0] != version {
        return Err(Error::corrupt(format!("{what}: format {} but this version reads {version}; use the Forebay that wrote it", head[0])));
    }
    if head[1..] != xxhash_rust::xxh3::xxh3_64(body).to_le_bytes() {
        return Err(Error::corrupt(format!("{what}: checksum does not match; restore the data folder from a copy")));
    }
    Ok(body)
}

/// Where the digits of the checksum stand in a sealed JSON object: `{"format":N,"checksum":"0123456789abcdef",..`.
const CHECKSUM: &str = ",\"checksum\":\"";
const DIGITS: usize = 16;

/// A JSON object, with its format and a checksum of all its other bytes before its own fields: any tool reads it, and no byte of
/// it changes unnoticed.
pub fn seal_json<T: Serialize>(format: u64, value: &T) -> Result<Vec<u8>> {
    let body = serde_json::to_vec(value).map_err(|error| Error::internal(format!("encode: {error}")))?;
    let head = format!("{{\"format\":{format}{CHECKSUM}");
    let tail = [b"\",", &body[1..]].concat();
    let digits = json_checksum(head.as_bytes(), &tail);
    Ok([head.as_bytes(), digits.as_bytes(), &tail].concat())
}

/// A JSON value as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenJson {
    /// The format that it was sealed with; `None` where it was written without a checksum.
    pub sealed: Option<u64>,
    pub value: serde_json::Value,
}

/// Reads what `seal_json` wrote, or JSON without a checksum; otherwise says what is wrong with it.
pub fn open_json(bytes: &[u8]) -> Result<OpenJson, String> {
    let sealed = sealed_format(bytes);
    if let Some((_, at)) = sealed
        && bytes[at..at + DIGITS] != *json_checksum(&bytes[..at], &bytes[at + DIGITS..]).as_bytes()
    {
        return Err("its checksum does not match".to_owned());
    }
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if sealed.is_none() && value.get("checksum").is_some() {
        return Err("its checksum is not where it was written".to_owned());
    }
    Ok(OpenJson { sealed: sealed.map(|(format, _)| format), value })
}

/// The format of a sealed object, and where its checksum's digits begin.
fn sealed_format(bytes: &[u8]) -> Option<(u64, usize)> {
    let rest = bytes.strip_prefix(b"{\"format\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let format = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let checksum = rest[digits..].strip_prefix(CHECKSUM.as_bytes())?;
    (checksum.len() > DIGITS).then_some((format, bytes.len() - checksum.len()))
}

fn json_checksum(head: &[u8], tail: &[u8]) -> String {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    hash.update(head);
    hash.update(tail);
    format!("{:0DIGITS$x}", hash.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_object_is_json_and_shows_every_changed_byte() {
        let value = serde_json::json!({"a": [1, 2], "text": "x\"y"});
        let bytes = seal_json(3, &value).unwrap();
        let read = open_json(&bytes).unwrap();
        assert_eq!((read.sealed, &read.value["a"], &read.value["text"]), (Some(3), &value["a"], &value["text"]));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                // What is no longer taken for sealed is told by its format, which only sealed objects have.
                let unsealed = open_json(&bad).is_ok_and(|read| read.sealed.is_none() && read.value["format"] == 3);
                assert!(open_json(&bad).is_err() || unsealed, "byte {at}, bit {bit}");
            }
            assert!(open_json(&bytes[..at]).is_err(), "{at} bytes");
        }
        assert_eq!(open_json(b"{\"format\":1}").unwrap().sealed, None);
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let bytes = encode(1, &(7_u64, "text")).unwrap();
        assert_eq!(decode::<(u64, String)>(1, &bytes, "pair").unwrap(), (7, "text".to_owned()));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(decode::<(u64, String)>(1, &bad, "pair").is_err(), "byte {at}");
        }
        assert!(decode::<u64>(1, &[], "empty").is_err());
    }
}
