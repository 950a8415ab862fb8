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

#[cfg(test)]
mod tests {
    use super::*;

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
